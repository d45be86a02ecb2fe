//! Data as Feast's feature server takes it (<https://docs.feast.dev/reference/feature-servers/python-feature-server>): a table of columns.

use super::config::ViewSpec;
use super::view::View;
use super::views::Service;
use crate::function::Event;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Rows of one request at most.
pub(super) const MAX_ROWS: usize = 10_000;

/// `POST /push`.
#[derive(Debug, Deserialize)]
pub(super) struct Push {
    pub(super) push_source_name: String,
    pub(super) df: Map<String, Value>,
    #[serde(default)]
    pub(super) to: Option<String>,
}

/// `POST /write-to-online-store`.
#[derive(Debug, Deserialize)]
pub(super) struct Write {
    pub(super) feature_view_name: String,
    pub(super) df: Map<String, Value>,
}

/// What must be there to push, and to write.
pub(super) const PUSH_FIELDS: [&str; 2] = ["push_source_name", "df"];
pub(super) const WRITE_FIELDS: [&str; 2] = ["feature_view_name", "df"];

/// `POST /feedback`: ours.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FeedbackBody {
    pub(super) query_id: String,
    pub(super) feature_id: String,
    pub(super) error: f64,
    #[serde(default)]
    pub(super) queried_ms: Option<u64>,
}

/// A key as text. Numbers and texts that look alike are one key.
pub(super) fn key_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// A value in the type that the view gives its column.
fn typed(spec: &ViewSpec, column: &str, value: &Value, row: usize) -> Result<Value> {
    let Some(kind) = spec.types.get(column) else {
        return Ok(value.clone());
    };
    kind.cast(value).ok_or_else(|| {
        let why = format!(
            "row {row}: {value} is no {kind}, which view {} gives this column",
            spec.name
        );
        Error::invalid("read data", column, why)
    })
}

impl Service {
    /// The event of a row, for a view.
    pub(super) fn event(&self, view: &View, row: &Map<String, Value>) -> Result<(String, Event)> {
        let spec = &view.spec;
        let bad = |column: &str, why: &str| Error::invalid("read data", column, why);
        let key = row
            .get(&spec.key)
            .map(|key| typed(spec, &spec.key, key, 0))
            .transpose()?;
        let key = key
            .as_ref()
            .and_then(key_text)
            .ok_or_else(|| bad(&spec.key, "a row has no key"))?;
        let at_ms = row.get(&spec.time).and_then(time_ms);
        let at_ms = at_ms.ok_or_else(|| bad(&spec.time, "a row has no time"))?;
        let values = row
            .iter()
            .filter(|(name, _)| **name != spec.key && **name != spec.time)
            .map(|(name, value)| Ok((name.clone(), typed(spec, name, value, 0)?)));
        let columns = values.collect::<Result<_>>()?;
        Ok((key, Event { at_ms, columns }))
    }

    /// The events of a table of columns, for a view.
    pub(super) fn events(
        &self,
        view: &str,
        table: &Map<String, Value>,
    ) -> Result<Vec<(String, Event)>> {
        let spec = &self.view(view)?.spec;
        let bad = |column: &str, why: String| Error::invalid("read data", column, why);
        let mut columns: Vec<(&String, &Vec<Value>)> = Vec::new();
        for (name, values) in table {
            let Some(values) = values.as_array() else {
                return Err(bad(name, "a column is a list".into()));
            };
            columns.push((name, values));
        }
        let rows = columns.first().map_or(0, |(_, values)| values.len());
        if rows > MAX_ROWS || columns.iter().any(|(_, values)| values.len() != rows) {
            let why = format!("columns must be equally long, at most {MAX_ROWS}");
            return Err(bad("df", why));
        }
        let find = |name: &str| {
            let found = columns.iter().find(|(column, _)| *column == name);
            let missing = || bad(name, format!("view {view} needs this column"));
            found.map(|(_, values)| *values).ok_or_else(missing)
        };
        let (keys, times) = (find(&spec.key)?, find(&spec.time)?);
        let mut events = Vec::with_capacity(rows);
        for row in 0..rows {
            let key = key_text(&typed(spec, &spec.key, &keys[row], row)?);
            let key = key.ok_or_else(|| bad(&spec.key, format!("row {row}: no key")))?;
            let at_ms = time_ms(&times[row]);
            let at_ms = at_ms.ok_or_else(|| {
                bad(
                    &spec.time,
                    format!("row {row}: no time: give RFC 3339, or seconds since 1970"),
                )
            })?;
            let values = columns
                .iter()
                .filter(|(name, _)| **name != spec.key && **name != spec.time)
                .map(|(name, values)| Ok(((*name).clone(), typed(spec, name, &values[row], row)?)));
            let event = Event {
                at_ms,
                columns: values.collect::<Result<_>>()?,
            };
            events.push((key, event));
        }
        Ok(events)
    }
}

/// Seconds since 1970, RFC 3339, or a date and time in UTC.
pub(super) fn time_ms(value: &Value) -> Option<i64> {
    if let Some(seconds) = value.as_f64() {
        return Some((seconds * 1_000.0) as i64);
    }
    let text = value.as_str()?;
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(at.as_millisecond());
    }
    let at: jiff::civil::DateTime = text.parse().ok()?;
    let zoned = at.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(zoned.timestamp().as_millisecond())
}
