//! The last points of a series, by event time.

use super::Event;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};

/// Bytes of a point when packed: its time and its value, both little-endian.
const PACKED_BYTES: usize = 16;

/// Points in order of event time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
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

/// A series as it is kept: packed, as a list of a thousand pairs takes longer to read and write as JSON than most functions take.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    /// Points of [`PACKED_BYTES`] each, in Base64 without padding.
    #[serde(default)]
    packed: String,
    /// As earlier versions kept them.
    #[serde(default, skip_serializing)]
    points: Vec<(i64, f64)>,
}

impl From<Series> for Stored {
    fn from(series: Series) -> Self {
        let mut bytes = Vec::with_capacity(series.points.len() * PACKED_BYTES);
        for (at_ms, value) in &series.points {
            bytes.extend_from_slice(&at_ms.to_le_bytes());
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        Stored {
            packed: STANDARD_NO_PAD.encode(bytes),
            points: Vec::new(),
        }
    }
}

impl TryFrom<Stored> for Series {
    type Error = String;

    fn try_from(stored: Stored) -> Result<Self, String> {
        let bytes = STANDARD_NO_PAD
            .decode(&stored.packed)
            .map_err(|error| error.to_string())?;
        let (packed, rest) = bytes.as_chunks::<PACKED_BYTES>();
        if !rest.is_empty() {
            return Err(format!("{} bytes are no number of points", bytes.len()));
        }
        let mut points = stored.points;
        points.reserve(packed.len());
        for point in packed {
            let [at_ms, value] = [0, 8].map(|from| {
                let mut half = [0; 8];
                half.copy_from_slice(&point[from..from + 8]);
                half
            });
            points.push((i64::from_le_bytes(at_ms), f64::from_le_bytes(value)));
        }
        Ok(Series { points })
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

    #[test]
    fn what_was_kept_is_read_as_it_was_also_from_earlier_versions() {
        let series = Series {
            points: vec![(i64::MIN, 0.1), (-1, f64::MIN_POSITIVE), (300_000, -0.0)],
        };
        let kept = serde_json::to_value(&series).unwrap();
        assert!(kept["packed"].is_string());
        assert_eq!(serde_json::from_value::<Series>(kept).unwrap(), series);
        let earlier = serde_json::json!({"points": [[1, 1.5], [2, 2.0]]});
        let read: Series = serde_json::from_value(earlier).unwrap();
        assert_eq!(read.points, [(1, 1.5), (2, 2.0)]);
        for damaged in ["AAAA", "!"] {
            let damaged = serde_json::json!({ "packed": damaged });
            assert!(serde_json::from_value::<Series>(damaged).is_err());
        }
    }
}
