//! The shapes of Feast's feature server (<https://docs.feast.dev/reference/feature-servers/python-feature-server>).
//!
//! Answers are columns: one result for each name, with a value, a status and a time for each entity row.

use super::config::ViewSpec;
use super::id::FeatureId;
use super::store::Row;
use super::views::Service;
use crate::function::Event;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use skyfresh_sky::Kind;
use std::collections::BTreeMap;

/// Rows of one request at most.
const MAX_ROWS: usize = 10_000;
/// What stands for "no time", as in Feast.
const EPOCH: &str = "1970-01-01T00:00:00Z";

/// `POST /get-online-features`.
#[derive(Debug, Deserialize)]
pub(super) struct GetOnlineFeatures {
    #[serde(default)]
    features: Option<Vec<String>>,
    #[serde(default)]
    feature_service: Option<String>,
    entities: BTreeMap<String, Vec<Value>>,
    #[serde(default)]
    full_feature_names: bool,
}

/// Its answer.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct OnlineFeatures {
    metadata: Metadata,
    results: Vec<Column>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Metadata {
    feature_names: Vec<String>,
}

#[derive(Debug, Default, PartialEq, Serialize)]
struct Column {
    values: Vec<Value>,
    statuses: Vec<&'static str>,
    event_timestamps: Vec<String>,
}

impl Column {
    fn push(&mut self, value: Value, status: &'static str, at: String) {
        self.values.push(value);
        self.statuses.push(status);
        self.event_timestamps.push(at);
    }
}

/// `POST /push` and `POST /write-to-online-store`.
#[derive(Debug, Deserialize)]
pub(super) struct Push {
    #[serde(default)]
    pub(super) push_source_name: String,
    #[serde(default)]
    pub(super) feature_view_name: String,
    pub(super) df: Map<String, Value>,
    #[serde(default)]
    pub(super) to: Option<String>,
}

/// `POST /feedback`: ours.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FeedbackBody {
    pub(super) query_id: String,
    pub(super) feature_id: String,
    pub(super) error: f64,
    #[serde(default)]
    pub(super) queried_ms: Option<u64>,
}

fn refused(target: &str, why: impl Into<String>) -> Error {
    Error::invalid("get features", target, why)
}

/// A key as text. Numbers and texts that look alike are one key.
fn key_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

impl Service {
    /// Answers a request, with the ids of the features that were read, in the order of views, then rows.
    pub(super) fn online(
        &self,
        asked: &GetOnlineFeatures,
    ) -> Result<(OnlineFeatures, Vec<FeatureId>)> {
        let names = self.asked_features(asked)?;
        let rows = asked.entities.values().map(Vec::len).max().unwrap_or(0);
        if rows == 0
            || rows > MAX_ROWS
            || asked.entities.values().any(|column| column.len() != rows)
        {
            let why =
                format!("every entity must have the same number of rows, from 1 to {MAX_ROWS}");
            return Err(refused("entities", why));
        }
        let mut answer = OnlineFeatures {
            metadata: Metadata {
                feature_names: asked.entities.keys().cloned().collect(),
            },
            results: Vec::new(),
        };
        for values in asked.entities.values() {
            let mut column = Column::default();
            for value in values {
                column.push(value.clone(), "PRESENT", EPOCH.to_owned());
            }
            answer.results.push(column);
        }
        let mut read: BTreeMap<&str, Vec<Option<Row>>> = BTreeMap::new();
        let mut ids = Vec::new();
        for (view, _) in &names {
            if read.contains_key(view.as_str()) {
                continue;
            }
            let keys = self.asked_keys(view, asked)?;
            let found = self.query(view, &keys)?;
            for (key, row) in keys.iter().zip(&found) {
                ids.push(FeatureId {
                    view: view.clone(),
                    version: row.as_ref().map_or(0, |row| row.version),
                    key: key.clone(),
                });
            }
            read.insert(view, found);
        }
        let now_ms = self.clock.now().unix_ms() as i64;
        for (view, feature) in &names {
            let spec = &self.view(view)?.spec;
            let mut column = Column::default();
            for row in &read[view.as_str()] {
                let (value, status, at) = cell(row.as_ref(), feature, spec, now_ms);
                column.push(value, status, at);
            }
            answer.results.push(column);
            answer
                .metadata
                .feature_names
                .push(match asked.full_feature_names {
                    true => format!("{view}__{feature}"),
                    false => feature.clone(),
                });
        }
        Ok((answer, ids))
    }

    /// View and feature, in the order asked for.
    fn asked_features(&self, asked: &GetOnlineFeatures) -> Result<Vec<(String, String)>> {
        let named = match (&asked.features, &asked.feature_service) {
            (Some(features), None) => features,
            (None, Some(name)) => {
                let services = &self.config.feature_services;
                let found = services.iter().find(|service| service.name == *name);
                let why = "no such feature service";
                let missing = || Error::new(Kind::Missing, "get features", name, why);
                &found.ok_or_else(missing)?.features
            }
            _ => return Err(refused("request", "give features, or feature_service")),
        };
        let mut features = Vec::with_capacity(named.len());
        for name in named {
            let (view, feature) = name
                .split_once(':')
                .ok_or_else(|| refused(name, "a feature is named view:feature"))?;
            if !self
                .view(view)?
                .features
                .iter()
                .any(|known| known == feature)
            {
                let why = "the view has no such feature";
                return Err(Error::new(Kind::Missing, "get features", name, why));
            }
            features.push((view.to_owned(), feature.to_owned()));
        }
        Ok(features)
    }

    fn asked_keys(&self, view: &str, asked: &GetOnlineFeatures) -> Result<Vec<String>> {
        let column = &self.view(view)?.spec.key;
        let missing = || refused(column, format!("view {view} needs this entity"));
        let values = asked.entities.get(column).ok_or_else(missing)?;
        let keys = values.iter().map(key_text).collect::<Option<Vec<String>>>();
        keys.ok_or_else(|| refused(column, "keys are texts or numbers"))
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
            let key = key_text(&keys[row]);
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
                .map(|(name, values)| ((*name).clone(), values[row].clone()));
            let event = Event {
                at_ms,
                columns: values.collect(),
            };
            events.push((key, event));
        }
        Ok(events)
    }
}

fn cell(
    row: Option<&Row>,
    feature: &str,
    spec: &ViewSpec,
    now_ms: i64,
) -> (Value, &'static str, String) {
    let Some(row) = row else {
        return (Value::Null, "NOT_FOUND", EPOCH.to_owned());
    };
    let at = jiff::Timestamp::from_millisecond(row.event_ms)
        .map_or_else(|_| EPOCH.to_owned(), |at| at.to_string());
    let age_s = now_ms.saturating_sub(row.event_ms) as f64 / 1_000.0;
    if spec.ttl_s.is_some_and(|ttl_s| age_s > ttl_s) {
        return (Value::Null, "OUTSIDE_MAX_AGE", at);
    }
    match row.features.get(feature) {
        None | Some(Value::Null) => (Value::Null, "NULL_VALUE", at),
        Some(value) => (value.clone(), "PRESENT", at),
    }
}

/// Seconds since 1970, RFC 3339, or a date and time in UTC.
fn time_ms(value: &Value) -> Option<i64> {
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
