//! Counts, sums, means, extremes over a window of event time.

use super::series::Series;
use super::{Event, Function, Update, json, keep, kept, parameter};
use crate::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What can be told of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aggregate {
    /// How many values.
    Count,
    /// Their sum.
    Sum,
    /// Their mean; null of none.
    Mean,
    /// The smallest; null of none.
    Min,
    /// The largest; null of none.
    Max,
    /// The newest; null of none.
    Last,
    /// The standard deviation of the population; null of none.
    Deviation,
}

impl Aggregate {
    fn as_str(self) -> &'static str {
        match self {
            Aggregate::Count => "count",
            Aggregate::Sum => "sum",
            Aggregate::Mean => "mean",
            Aggregate::Min => "min",
            Aggregate::Max => "max",
            Aggregate::Last => "last",
            Aggregate::Deviation => "deviation",
        }
    }

    fn of(self, values: &[f64]) -> Value {
        let count = values.len() as f64;
        let sum: f64 = values.iter().sum();
        let any = |value: f64| {
            if values.is_empty() {
                Value::Null
            } else {
                json(value)
            }
        };
        match self {
            Aggregate::Count => values.len().into(),
            Aggregate::Sum => json(sum),
            Aggregate::Mean => any(sum / count),
            Aggregate::Min => any(values.iter().copied().fold(f64::INFINITY, f64::min)),
            Aggregate::Max => any(values.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
            Aggregate::Last => values.last().map_or(Value::Null, |value| json(*value)),
            Aggregate::Deviation => {
                let mean = sum / count;
                let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
                any((squares / count).sqrt())
            }
        }
    }
}

/// Aggregates of one column over the window that ends at the newest event; a feature each, named `<column>_<aggregate>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowAggregates {
    /// The column that is aggregated.
    pub column: String,
    /// The window, seconds of event time.
    pub window_s: f64,
    /// What is told of it.
    pub aggregates: Vec<Aggregate>,
    /// Values kept at most; the oldest go first.
    #[serde(default = "most_values")]
    pub max_values: usize,
}

fn most_values() -> usize {
    10_000
}

impl WindowAggregates {
    pub(super) fn checked(self) -> Result<Self> {
        match self.window_s > 0.0 && !self.aggregates.is_empty() && self.max_values > 0 {
            true => Ok(self),
            false => Err(parameter(
                "window-aggregates",
                "window_s and max_values must be above 0, and aggregates must name at least one",
            )),
        }
    }
}

impl Function for WindowAggregates {
    fn features(&self) -> Vec<String> {
        let name = |aggregate: &Aggregate| format!("{}_{}", self.column, aggregate.as_str());
        self.aggregates.iter().map(name).collect()
    }

    fn on_events(&self, key: &str, events: &[Event], state: &Value) -> Result<Update> {
        let mut series: Series = kept(key, state)?;
        series.take(events, &self.column);
        series.keep_span((self.window_s * 1_000.0) as i64);
        series.keep_last(self.max_values);
        let values: Vec<f64> = series.values().collect();
        let told = self
            .aggregates
            .iter()
            .map(|aggregate| aggregate.of(&values));
        Ok(Update {
            features: self.features().into_iter().zip(told).collect(),
            state: keep(&series),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_window_is_told_and_moves() {
        let function = WindowAggregates {
            column: "v".into(),
            window_s: 10.0,
            aggregates: vec![
                Aggregate::Count,
                Aggregate::Sum,
                Aggregate::Mean,
                Aggregate::Min,
                Aggregate::Max,
                Aggregate::Last,
                Aggregate::Deviation,
            ],
            max_values: 100,
        };
        let event = |at_s: i64, value: f64| Event {
            at_ms: at_s * 1_000,
            columns: [("v".to_owned(), value.into())].into_iter().collect(),
        };
        let none = function.on_events("k", &[], &Value::Null).unwrap();
        assert_eq!(none.features["v_count"], 0);
        assert_eq!(none.features["v_mean"], Value::Null);
        let first = [event(0, 50.0), event(5, 2.0)];
        let first = function.on_events("k", &first, &Value::Null).unwrap();
        let next = function
            .on_events("k", &[event(12, 4.0)], &first.state)
            .unwrap();
        let expected = json!({
            "v_count": 2, "v_sum": 6.0, "v_mean": 3.0, "v_min": 2.0, "v_max": 4.0, "v_last": 4.0, "v_deviation": 1.0
        });
        assert_eq!(Value::Object(next.features), expected);
        assert!(function.on_events("k", &[], &json!(7)).is_err());
    }
}
