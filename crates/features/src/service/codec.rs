//! What rows of the store look like as bytes: a fixed head, so that a start reads no JSON, then JSON.

use super::history::Written;
use crate::function::{Event, Features};
use serde_json::Value;

/// The first byte of every value. Earlier versions wrote plain JSON, which begins with `{`.
const FORMAT: u8 = 2;

/// What is known of a key's features without reading them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) event_ms: i64,
    pub(super) version: u32,
    pub(super) created_ms: u64,
    pub(super) records: u64,
}

/// The features of a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The newest event in them, milliseconds since 1970.
    pub event_ms: i64,
    /// Grows by one with each update.
    pub version: u32,
    /// When they were written.
    pub created_ms: u64,
    /// Events that went into them so far.
    pub records: u64,
    /// The features.
    pub features: Features,
    /// What the function keeps.
    pub state: Value,
}

/// An error that was reported.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Report {
    pub(super) view: String,
    pub(super) key: String,
    pub(super) version: u32,
    pub(super) error: f64,
    pub(super) queried_ms: u64,
    pub(super) at_ms: u64,
}

/// What an event that waits said of the feature it met: the feature's version, and its error.
pub(super) type Judgement = Option<(u32, f64)>;

impl Row {
    pub(super) fn head(&self) -> Head {
        Head {
            event_ms: self.event_ms,
            version: self.version,
            created_ms: self.created_ms,
            records: self.records,
        }
    }

    /// The same, without what the function keeps.
    pub(super) fn without_state(&self) -> Self {
        Row {
            features: self.features.clone(),
            state: Value::Null,
            ..*self
        }
    }

    /// Head, length of the features, features, state.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let features = json(&self.features);
        let mut bytes = Vec::with_capacity(40 + features.len());
        bytes.extend_from_slice(&self.head().to_bytes());
        bytes.extend_from_slice(&(features.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&features);
        if !self.state.is_null() {
            bytes.extend_from_slice(&json(&self.state));
        }
        bytes
    }

    /// With the state; `None` for what no version wrote.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (mut row, state) = Self::split(bytes)?;
        if !state.is_empty() {
            row.state = serde_json::from_slice(state).ok()?;
        }
        Some(row)
    }

    /// Without the state, which is large and read by functions alone.
    pub(super) fn stateless(bytes: &[u8]) -> Option<Self> {
        Some(Self::split(bytes)?.0)
    }

    fn split(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let head = Head::from_bytes(bytes.get(..Head::BYTES)?)?;
        let mut rest = Reader(bytes.get(Head::BYTES..)?);
        let length = rest.u32()? as usize;
        let features = rest.take(length)?;
        let row = Row {
            event_ms: head.event_ms,
            version: head.version,
            created_ms: head.created_ms,
            records: head.records,
            features: serde_json::from_slice(features).ok()?,
            state: Value::Null,
        };
        Some((row, rest.0))
    }
}

impl Head {
    pub(super) const BYTES: usize = 29;

    pub(super) fn to_bytes(self) -> [u8; Head::BYTES] {
        let mut bytes = [FORMAT; Head::BYTES];
        bytes[1..9].copy_from_slice(&self.event_ms.to_le_bytes());
        bytes[9..13].copy_from_slice(&self.version.to_le_bytes());
        bytes[13..21].copy_from_slice(&self.created_ms.to_le_bytes());
        bytes[21..29].copy_from_slice(&self.records.to_le_bytes());
        bytes
    }

    /// Of a row, too: it begins with its head.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        from.format()?;
        Some(Head {
            event_ms: from.i64()?,
            version: from.u32()?,
            created_ms: from.u64()?,
            records: from.u64()?,
        })
    }
}

/// Time, judgement, columns.
pub(super) fn event_to_bytes(event: &Event, judgement: Judgement) -> Vec<u8> {
    let columns = json(&event.columns);
    let mut bytes = Vec::with_capacity(22 + columns.len());
    bytes.push(FORMAT);
    bytes.extend_from_slice(&event.at_ms.to_le_bytes());
    let (version, error) = judgement.unwrap_or((0, f64::NAN));
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.extend_from_slice(&error.to_le_bytes());
    bytes.extend_from_slice(&columns);
    bytes
}

/// What the event said of the feature it met, without its columns.
pub(super) fn judgement(bytes: &[u8]) -> Option<Judgement> {
    let mut from = Reader(bytes);
    from.format()?;
    from.i64()?;
    let (version, error) = (from.u32()?, from.f64()?);
    Some((!error.is_nan()).then_some((version, error)))
}

pub(super) fn event_from_bytes(bytes: &[u8]) -> Option<Event> {
    let mut from = Reader(bytes);
    from.format()?;
    let at_ms = from.i64()?;
    from.take(12)?;
    Some(Event {
        at_ms,
        columns: serde_json::from_slice(from.0).ok()?,
    })
}

impl Report {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(33 + self.view.len() + self.key.len());
        bytes.push(FORMAT);
        bytes.extend_from_slice(&self.at_ms.to_le_bytes());
        bytes.extend_from_slice(&self.queried_ms.to_le_bytes());
        bytes.extend_from_slice(&self.error.to_le_bytes());
        bytes.extend_from_slice(&self.version.to_le_bytes());
        bytes.extend_from_slice(&(self.view.len() as u32).to_le_bytes());
        bytes.extend_from_slice(self.view.as_bytes());
        bytes.extend_from_slice(self.key.as_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        from.format()?;
        let (at_ms, queried_ms, error, version) =
            (from.u64()?, from.u64()?, from.f64()?, from.u32()?);
        let length = from.u32()? as usize;
        let view = std::str::from_utf8(from.take(length)?).ok()?.to_owned();
        let key = std::str::from_utf8(from.0).ok()?.to_owned();
        Some(Report {
            view,
            key,
            version,
            error,
            queried_ms,
            at_ms,
        })
    }

    /// When it was reported, of its bytes.
    pub(super) fn reported_ms(bytes: &[u8]) -> Option<u64> {
        let mut from = Reader(bytes);
        from.format()?;
        from.u64()
    }
}

/// Length of the target, target, row without its state.
pub(super) fn history_to_bytes(target: &str, row: &Row) -> Vec<u8> {
    let mut bytes = (target.len() as u32).to_le_bytes().to_vec();
    bytes.extend_from_slice(target.as_bytes());
    bytes.extend_from_slice(&row.without_state().to_bytes());
    bytes
}

pub(super) fn history_from_bytes(bytes: &[u8]) -> Option<Written> {
    let mut from = Reader(bytes);
    let length = from.u32()? as usize;
    let target = std::str::from_utf8(from.take(length)?).ok()?;
    Written::of(target, Row::stateless(from.0)?)
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    // Maps with text keys, and plain values, always become JSON.
    serde_json::to_vec(value).unwrap_or_default()
}

/// Takes bytes from the front, never more than there are.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn format(&mut self) -> Option<()> {
        (self.array::<1>()? == [FORMAT]).then_some(())
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    fn f64(&mut self) -> Option<f64> {
        self.array().map(f64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn row() -> Row {
        Row {
            event_ms: -5,
            version: 7,
            created_ms: 9,
            records: 11,
            features: [("a".to_owned(), json!([1.5, null]))].into_iter().collect(),
            state: json!({"sum": 2.5}),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = row().to_bytes();
        assert_eq!(Row::from_bytes(&bytes), Some(row()));
        assert_eq!(Head::from_bytes(&bytes), Some(row().head()));
        let without = Row {
            state: Value::Null,
            ..row()
        };
        assert_eq!(Row::stateless(&bytes), Some(without.clone()));
        assert_eq!(Row::from_bytes(&without.to_bytes()), Some(without));
        let report = Report {
            view: "carts".into(),
            key: "Zürich".into(),
            version: 3,
            error: 0.25,
            queried_ms: 5,
            at_ms: 6,
        };
        let bytes = report.to_bytes();
        assert_eq!(Report::reported_ms(&bytes), Some(6));
        assert_eq!(Report::from_bytes(&bytes), Some(report));
        let event = Event {
            at_ms: 12,
            columns: [("v".to_owned(), json!("x"))].into_iter().collect(),
        };
        for known in [None, Some((4, 0.5))] {
            let bytes = event_to_bytes(&event, known);
            assert_eq!(judgement(&bytes), Some(known));
            assert_eq!(event_from_bytes(&bytes).as_ref(), Some(&event));
        }
    }

    proptest! {
        #[test]
        fn numbers_keep_every_digit(number in any::<f64>().prop_filter("JSON has no other", |number| number.is_finite())) {
            let row = Row { features: [("a".to_owned(), json!(number))].into_iter().collect(), ..row() };
            prop_assert_eq!(Row::from_bytes(&row.to_bytes()), Some(row));
        }

        /// Whatever the bytes are, reading them ends with a value or none.
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..80), cut in 0usize..60) {
            let cut = &row().to_bytes()[..cut];
            for bytes in [bytes.as_slice(), cut, &[&[FORMAT], bytes.as_slice()].concat()] {
                let _ = (Row::from_bytes(bytes), Head::from_bytes(bytes), Report::from_bytes(bytes));
                let _ = (event_from_bytes(bytes), judgement(bytes));
            }
            prop_assert_eq!(Row::from_bytes(b"{\"event_ms\":1}"), None);
        }
    }
}
