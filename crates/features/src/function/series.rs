//! The last points of a series, by event time.

use super::Event;
use serde::{Deserialize, Serialize};

/// Points in order of event time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Series {
    pub(super) points: Vec<(i64, f64)>,
}

impl Series {
    /// Takes in the events that have the column. Points that come late find their place; of two at one time the later arrival
    /// counts.
    pub(super) fn take(&mut self, events: &[Event], column: &str) {
        for event in events {
            let Some(value) = event.number(column).filter(|value| value.is_finite()) else {
                continue;
            };
            let place = self.points.partition_point(|(at, _)| *at < event.at_ms);
            match self.points.get_mut(place) {
                Some(point) if point.0 == event.at_ms => point.1 = value,
                _ => self.points.insert(place, (event.at_ms, value)),
            }
        }
    }

    pub(super) fn keep_last(&mut self, count: usize) {
        let extra = self.points.len().saturating_sub(count);
        self.points.drain(..extra);
    }

    /// Drops what is older than this before the newest point.
    pub(super) fn keep_span(&mut self, span_ms: i64) {
        if let Some((newest, _)) = self.points.last().copied() {
            self.points.retain(|(at, _)| newest - at < span_ms);
        }
    }

    pub(super) fn values(&self) -> impl Iterator<Item = f64> {
        self.points.iter().map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_points_find_their_place() {
        let event = |at_ms, value: f64| Event {
            at_ms,
            columns: [("v".to_owned(), value.into())].into_iter().collect(),
        };
        let mut series = Series::default();
        series.take(
            &[event(3, 3.0), event(1, 1.0), event(2, 9.0), event(2, 2.0)],
            "v",
        );
        series.take(&[event(4, 4.0)], "other");
        assert_eq!(series.values().collect::<Vec<_>>(), [1.0, 2.0, 3.0]);
        series.keep_span(2);
        assert_eq!(series.points, [(2, 2.0), (3, 3.0)]);
        series.keep_last(1);
        assert_eq!(series.points, [(3, 3.0)]);
    }
}
