//! Trend, season and remainder of a series, and the forecast that follows from them.

use super::series::Series;
use super::{Evaluator, Event, Features, Function, Update, json, keep, kept, parameter};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use skyfresh_sky::Kind;

/// What a series decomposes into, as far as a forecast needs it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decomposition {
    /// The trend at the last point.
    pub trend: f64,
    /// The season's last period; the first is that of the point after the last.
    pub season: Vec<f64>,
    /// What trend and season leave of the last point.
    pub remainder: f64,
    /// How much of the remainder carries over from point to point (its autocorrelation at lag 1, 0 to 1).
    pub carry: f64,
}

impl Decomposition {
    /// Seasonal-trend decomposition by loess (Cleveland et al., J. Off. Stat. 6, 1990), with an AR(1) remainder. At least two
    /// periods of points, equally spaced.
    ///
    /// # Errors
    /// Fewer points than two periods, or a period below 2.
    pub fn of(points: &[f64], period: usize) -> Result<Self> {
        let refused = |context: String| Error::new(Kind::Invalid, "decompose", "series", context);
        if period < 2 || points.len() < 2 * period {
            return Err(refused(format!(
                "{} points are too few for a period of {period}: give at least two periods",
                points.len()
            )));
        }
        let fit = stlrs::params()
            .fit(points, period)
            .map_err(|error| refused(error.to_string()))?;
        let count = points.len();
        let season = fit.seasonal()[count - period..].to_vec();
        let remainder = fit.remainder();
        let last = *remainder.last().unwrap_or(&0.0);
        let squares: f64 = remainder.iter().map(|value| value * value).sum();
        let products: f64 = remainder.windows(2).map(|pair| pair[0] * pair[1]).sum();
        let carry = match squares > 0.0 {
            true => (products / squares).clamp(0.0, 1.0),
            false => 0.0,
        };
        Ok(Decomposition {
            trend: *fit.trend().last().unwrap_or(&0.0),
            season,
            remainder: last,
            carry,
        })
    }

    /// The value expected `ahead` points after the last; 1 is the next.
    pub fn forecast(&self, ahead: usize) -> f64 {
        let season = match self.season.len() {
            0 => 0.0,
            period => self.season[(ahead.max(1) - 1) % period],
        };
        let carried = self.carry.powi(ahead.min(i32::MAX as usize) as i32) * self.remainder;
        self.trend + season + carried
    }
}

/// Decomposes the last `window` points of a column. Gives `<column>_trend`, `<column>_remainder` and `<column>_forecast`, a list
/// of the next period's values; null before there are two periods.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StlForecast {
    /// The column.
    pub column: String,
    /// Points in a season.
    pub period: usize,
    /// Points that are decomposed; three seasons are usual.
    pub window: usize,
    /// Seconds of event time from point to point.
    pub interval_s: f64,
}

/// Points kept at most, so that one key's state stays within megabytes.
const MAX_WINDOW: usize = 100_000;

impl StlForecast {
    pub(super) fn checked(self) -> Result<Self> {
        let fits = self.period >= 2 && self.window >= 2 * self.period;
        match fits && self.window <= MAX_WINDOW && self.interval_s > 0.0 {
            true => Ok(self),
            false => Err(parameter(
                "stl-forecast",
                "period must be at least 2, window from two periods to 100,000 points, interval_s above 0",
            )),
        }
    }

    fn named(&self, what: &str) -> String {
        format!("{}_{what}", self.column)
    }
}

impl Function for StlForecast {
    fn features(&self) -> Vec<String> {
        ["trend", "remainder", "forecast", "until_ms"]
            .map(|what| self.named(what))
            .to_vec()
    }

    fn on_events(&self, key: &str, events: &[Event], state: &Value) -> Result<Update> {
        let mut series: Series = kept(key, state)?;
        series.take(events, &self.column);
        series.keep_last(self.window);
        let points: Vec<f64> = series.values().collect();
        let told = match points.len() >= 2 * self.period {
            false => vec![Value::Null; 4],
            true => {
                let parts = Decomposition::of(&points, self.period)?;
                let forecast = (1..=self.period).map(|ahead| json(parts.forecast(ahead)));
                let until = series.points.last().map_or(0, |(at, _)| *at);
                vec![
                    json(parts.trend),
                    json(parts.remainder),
                    forecast.collect(),
                    until.into(),
                ]
            }
        };
        Ok(Update {
            features: self.features().into_iter().zip(told).collect(),
            state: keep(&series),
        })
    }
}

impl Evaluator for StlForecast {
    /// The forecast's error; seasons repeat beyond the first.
    fn error(&self, features: &Features, event: &Event) -> Option<f64> {
        let forecast = features.get(&self.named("forecast"))?.as_array()?;
        let until_ms = features.get(&self.named("until_ms"))?.as_i64()?;
        let ahead = (event.at_ms - until_ms) as f64 / 1_000.0 / self.interval_s;
        if forecast.is_empty() || ahead < 0.5 {
            return None;
        }
        let index = (ahead.round() as usize - 1) % forecast.len();
        let expected = forecast[index].as_f64()?;
        Some((event.number(&self.column)? - expected).abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(index: usize) -> f64 {
        100.0 + index as f64 * 0.5 + [0.0, 10.0, -10.0, 4.0][index % 4]
    }

    #[test]
    fn a_season_is_forecast() {
        let points: Vec<f64> = (0..24).map(wave).collect();
        let parts = Decomposition::of(&points, 4).unwrap();
        for ahead in 1..=4 {
            // The trend is not continued: half a unit a point is what it misses.
            let error = (parts.forecast(ahead) - wave(23 + ahead)).abs();
            assert!(error < 0.5 * ahead as f64 + 1.0, "{ahead}: {error}");
        }
        assert!(Decomposition::of(&points[..7], 4).is_err());
    }

    #[test]
    fn the_function_waits_for_two_seasons_and_knows_its_error() {
        let function = StlForecast {
            column: "v".into(),
            period: 4,
            window: 12,
            interval_s: 60.0,
        };
        let function = function.checked().unwrap();
        let event = |index: usize| Event {
            at_ms: index as i64 * 60_000,
            columns: [("v".to_owned(), wave(index).into())].into_iter().collect(),
        };
        let early: Vec<Event> = (0..7).map(event).collect();
        let early = function.on_events("k", &early, &Value::Null).unwrap();
        assert_eq!(early.features["v_trend"], Value::Null);
        assert_eq!(function.error(&early.features, &event(8)), None);
        let later: Vec<Event> = (7..24).map(event).collect();
        let later = function.on_events("k", &later, &early.state).unwrap();
        assert!(function.error(&later.features, &event(24)).unwrap() < 2.0);
        assert!(function.error(&later.features, &event(40)).unwrap() > 5.0);
        assert_eq!(function.error(&later.features, &event(23)), None);
    }
}
