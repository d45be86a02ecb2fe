//! A mean in which old values count less.

use super::{Evaluator, Event, Features, Function, Update, json, keep, kept, parameter};
use crate::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The mean of one column in which a value counts half as much after each half-life of event time. Gives `<column>_mean`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExponentialMean {
    /// The column.
    pub column: String,
    /// Seconds of event time.
    pub half_life_s: f64,
}

/// Both sums as they are at `at_ms`.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct State {
    at_ms: i64,
    sum: f64,
    weight: f64,
}

impl ExponentialMean {
    pub(super) fn checked(self) -> Result<Self> {
        match self.half_life_s > 0.0 {
            true => Ok(self),
            false => Err(parameter("exponential-mean", "half_life_s must be above 0")),
        }
    }

    fn feature(&self) -> String {
        format!("{}_mean", self.column)
    }
}

impl Function for ExponentialMean {
    fn features(&self) -> Vec<String> {
        vec![self.feature()]
    }

    fn on_events(&self, key: &str, events: &[Event], state: &Value) -> Result<Update> {
        let mut state: State = kept(key, state)?;
        for event in events {
            let Some(value) = event.number(&self.column).filter(|value| value.is_finite()) else {
                continue;
            };
            // Late events count as much as they would had they come in time, so the order of arrival does not matter.
            let fade = |from: i64, to: i64| {
                0.5f64.powf((to - from).max(0) as f64 / 1_000.0 / self.half_life_s)
            };
            let at_ms = state.at_ms.max(event.at_ms);
            let (old, new) = (fade(state.at_ms, at_ms), fade(event.at_ms, at_ms));
            state = State {
                at_ms,
                sum: state.sum * old + value * new,
                weight: state.weight * old + new,
            };
        }
        let mean = match state.weight > 0.0 {
            true => json(state.sum / state.weight),
            false => Value::Null,
        };
        Ok(Update {
            features: [(self.feature(), mean)].into_iter().collect(),
            state: keep(&state),
        })
    }
}

impl Evaluator for ExponentialMean {
    /// The mean as a forecast of the next value.
    fn error(&self, features: &Features, event: &Event) -> Option<f64> {
        let forecast = features.get(&self.feature())?.as_f64()?;
        Some((event.number(&self.column)? - forecast).abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_values_count_half_and_order_of_arrival_does_not_matter() {
        let function = ExponentialMean {
            column: "v".into(),
            half_life_s: 10.0,
        };
        let event = |at_s: i64, value: f64| Event {
            at_ms: at_s * 1_000,
            columns: [("v".to_owned(), value.into())].into_iter().collect(),
        };
        let (old, new) = (event(0, 1.0), event(10, 4.0));
        let update = function.on_events("k", &[old.clone(), new.clone()], &Value::Null);
        let update = update.unwrap();
        assert_eq!(update.features["v_mean"], 3.0);
        let late = function.on_events("k", &[new], &Value::Null).unwrap();
        let late = function.on_events("k", &[old], &late.state).unwrap();
        assert_eq!(late.features["v_mean"], 3.0);
        assert_eq!(function.error(&late.features, &event(11, 5.0)), Some(2.0));
    }
}
