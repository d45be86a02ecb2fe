//! Values as the JSON that Feast's server writes, encoded once when they are read from the store, not with each answer.

use super::codec::Row;
use crate::scheduler::Key;
use serde_json::Value;
use std::fmt::Write as _;

/// What stands for "no time", as in Feast.
pub(super) const EPOCH: &[u8] = b"\"1970-01-01T00:00:00Z\"";
/// A value that is not there.
pub(super) const NULL: &[u8] = b"null";

/// Where the scheduler of a key is, and the key's number in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    /// Of the shard, among those of this process.
    pub(super) place: u32,
    pub(super) key: Key,
}

/// A row as it is answered: each feature's value as JSON, in the order of the view's features.
#[derive(Debug)]
pub(super) struct Cells {
    pub(super) event_ms: i64,
    pub(super) version: u32,
    /// Where the view has a scheduler, and the key is of this process.
    pub(super) seat: Option<Seat>,
    /// The event's time as JSON.
    pub(super) at: Box<[u8]>,
    values: Box<[u8]>,
    ends: Box<[u32]>,
}

impl Cells {
    /// Encodes a row.
    pub(super) fn of(row: &Row, features: &[String], seat: Option<Seat>) -> Self {
        let values = features.iter().map(|name| row.features.get(name));
        Self::new(row.event_ms, row.version, values, seat)
    }

    /// Encodes values, in the order of the view's features; one that is not there is null.
    pub(super) fn new<'a>(
        event_ms: i64,
        version: u32,
        features: impl Iterator<Item = Option<&'a Value>>,
        seat: Option<Seat>,
    ) -> Self {
        let (mut values, mut ends) = (Vec::new(), Vec::new());
        for value in features {
            match value {
                Some(value) => push_value(&mut values, value),
                None => values.extend_from_slice(NULL),
            }
            ends.push(values.len() as u32);
        }
        Cells {
            event_ms,
            version,
            seat,
            at: time(event_ms).into_bytes().into_boxed_slice(),
            values: values.into_boxed_slice(),
            ends: ends.into_boxed_slice(),
        }
    }

    /// The value of a feature, by its place in the view.
    pub(super) fn value(&self, index: usize) -> &[u8] {
        let start = index
            .checked_sub(1)
            .map_or(0, |before| self.ends[before] as usize);
        &self.values[start..self.ends[index] as usize]
    }

    /// Bytes of all values.
    pub(super) fn value_bytes(&self) -> usize {
        self.values.len()
    }

    /// All values as a list in JSON.
    pub(super) fn list(&self) -> Vec<u8> {
        let mut list = Vec::with_capacity(self.values.len() + self.ends.len() + 2);
        list.push(b'[');
        for index in 0..self.ends.len() {
            if index > 0 {
                list.push(b',');
            }
            list.extend_from_slice(self.value(index));
        }
        list.push(b']');
        list
    }

    /// Bytes of memory it takes, about.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.at.len() + self.values.len() + 4 * self.ends.len()
    }
}

/// A time as Protobuf's JSON has it: RFC 3339 in UTC, with 0 or 3 digits of a second's fraction.
pub(super) fn time(unix_ms: i64) -> String {
    let Ok(at) = jiff::Timestamp::from_millisecond(unix_ms) else {
        return String::from_utf8_lossy(EPOCH).into_owned();
    };
    match unix_ms.rem_euclid(1_000) {
        0 => format!("\"{at:.0}\""),
        _ => format!("\"{at:.3}\""),
    }
}

/// A value as JSON without spaces; numbers as Python writes them.
pub(super) fn push_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            push_float(out, number.as_f64().unwrap_or_default());
        }
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                push_value(out, item);
            }
            out.push(b']');
        }
        // Writing to memory does not fail.
        other => {
            let _ = serde_json::to_writer(out, other);
        }
    }
}

/// The shortest digits that name the number, laid out as `repr` does: with an exponent below 1e-4 and from 1e16 on.
fn push_float(out: &mut Vec<u8>, number: f64) {
    let mut text = String::with_capacity(24);
    let _ = write!(text, "{number:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let mut fixed = String::with_capacity(24);
        let _ = write!(fixed, "{number}");
        if !fixed.contains('.') {
            fixed.push_str(".0");
        }
        out.extend_from_slice(fixed.as_bytes());
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        let mut scientific = String::with_capacity(24);
        let _ = write!(scientific, "{digits}e{sign}{:02}", exponent.unsigned_abs());
        out.extend_from_slice(scientific.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_written_as_python_does() {
        let told = |value: Value| {
            let mut out = Vec::new();
            push_value(&mut out, &value);
            String::from_utf8(out).unwrap()
        };
        // Checked against Python 3.11's json.dumps.
        for (value, text) in [
            (json!(1.0), "1.0"),
            (json!(0.1), "0.1"),
            (json!(-0.0), "-0.0"),
            (json!(1e15), "1000000000000000.0"),
            (json!(1e16), "1e+16"),
            (json!(1.5e-5), "1.5e-05"),
            (json!(0.0001), "0.0001"),
            (json!(1e300), "1e+300"),
            (json!(0.1f32 as f64), "0.10000000149011612"),
            (
                json!([1, null, "a\"b", true, 2.5]),
                "[1,null,\"a\\\"b\",true,2.5]",
            ),
        ] {
            assert_eq!(told(value), text);
        }
    }

    #[test]
    fn times_have_no_fraction_or_three_digits() {
        assert_eq!(time(0), "\"1970-01-01T00:00:00Z\"");
        assert_eq!(time(1_500), "\"1970-01-01T00:00:01.500Z\"");
        assert_eq!(time(-1), "\"1969-12-31T23:59:59.999Z\"");
    }

    #[test]
    fn a_row_is_cut_into_its_cells() {
        let row = Row {
            event_ms: 1,
            version: 2,
            created_ms: 3,
            records: 4,
            features: [("b".to_owned(), json!("x")), ("a".to_owned(), json!(1))]
                .into_iter()
                .collect(),
            state: Value::Null,
        };
        let features = ["a", "none", "b"].map(str::to_owned);
        let cells = Cells::of(&row, &features, None);
        let values = [0, 1, 2].map(|index| cells.value(index));
        assert_eq!(values, [&b"1"[..], b"null", b"\"x\""]);
    }
}
