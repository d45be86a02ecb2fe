//! `POST /get-online-features` as Feast's Python server answers it, byte for byte: columns, one for each name, with a value, a status
//! and a time for each row. `tests/feast` compares both.
//!
//! Two answers differ on purpose: a feature past its time to live is OUTSIDE_MAX_AGE and null (Feast serves it,
//! feast-dev/feast#6821), and an older row never replaces a newer one (feast-dev/feast#5163).

use super::encode::{Cells, EPOCH, NULL, push_value};
use super::id::FeatureId;
use super::plan::Plan;
use super::refused::{FeastError, Refused};
use super::table::{MAX_ROWS, key_text};
use super::view::View;
use super::views::Service;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

/// Ids that the header carries at most: of larger batches, those of the first rows.
const MAX_IDS: usize = 100;
/// And their bytes: clients refuse answers whose headers are larger than 8 KiB or 16 KiB in all.
const MAX_ID_BYTES: usize = 4 << 10;

/// Text that is not copied where it has no escapes.
#[derive(Debug, Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The request.
#[derive(Debug, Deserialize)]
struct Asked<'a> {
    #[serde(borrow, default)]
    features: Option<Vec<Text<'a>>>,
    #[serde(borrow, default)]
    feature_service: Option<Text<'a>>,
    #[serde(borrow)]
    entities: Entities<'a>,
    #[serde(default)]
    full_feature_names: bool,
}

/// Columns of keys, in the order of the request: it is the answer's.
#[derive(Debug)]
struct Entities<'a>(Vec<(Text<'a>, Vec<Value>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entities<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Columns;
        impl<'de> Visitor<'de> for Columns {
            type Value = Entities<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("lists by entity")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut columns = Vec::new();
                while let Some(column) = map.next_entry()? {
                    columns.push(column);
                }
                Ok(Entities(columns))
            }
        }
        deserializer.deserialize_map(Columns)
    }
}

/// An answer: the body, and the ids of the features in it, of each view in the order asked for, one a row.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) body: Vec<u8>,
    pub(super) ids: String,
}

/// The text of the header of ids, whole ids only: the first of them, as many as there is room for.
#[derive(Debug, Default)]
struct Ids {
    text: String,
    count: usize,
    full: bool,
}

impl Ids {
    /// Adds one; false where there was no room, and nothing is added any more: what stands for which row is told by the order.
    fn add(&mut self, view: &str, version: u32, key: &str) -> bool {
        if self.full || self.count == MAX_IDS {
            return false;
        }
        let before = self.text.len();
        let separator = if before == 0 { "" } else { "," };
        let id = FeatureId::shown(view, version, key);
        // Writing to a text does not fail.
        let _ = write!(self.text, "{separator}{id}");
        self.full = self.text.len() > MAX_ID_BYTES;
        if self.full {
            self.text.truncate(before);
        } else {
            self.count += 1;
        }
        !self.full
    }
}

impl Service {
    /// Answers a request. Waits only where a row is not in memory.
    pub(super) async fn online(self: &Arc<Self>, body: &[u8]) -> Result<Answer, Refused> {
        let asked: Asked<'_> = serde_json::from_slice(body)
            .map_err(|error| Refused::malformed(body, &error, &["entities"]))?;
        let plan = self.plan(&asked)?;
        let mut entities = asked.entities.0;
        let rows = entities.first().map_or(0, |(_, column)| column.len());
        if entities.iter().any(|(_, column)| column.len() != rows) {
            return Err(Refused::text(
                500,
                "All entity rows must have the same columns.",
            ));
        }
        if rows > MAX_ROWS {
            return Err(Refused::text(
                422,
                &format!("{rows} rows are too many; {MAX_ROWS} at most"),
            ));
        }
        for (name, column) in &mut entities {
            self.convert(&name.0, column)?;
        }
        let keys = plan.views.iter().map(|view| self.keys(view, &entities));
        let keys = keys.collect::<Result<Vec<_>, Refused>>()?;
        let read = self.query(&plan.views, &keys).await?;
        let mut ids = Ids::default();
        for ((view, keys), found) in plan.views.iter().zip(&keys).zip(&read) {
            for (key, cells) in keys.iter().zip(found) {
                let version = cells.as_ref().map_or(0, |cells| cells.version);
                if !ids.add(&view.spec.name, version, key) {
                    break;
                }
            }
        }
        let now_ms = self.clock.now().unix_ms() as i64;
        Ok(Answer {
            body: encode(&plan, &entities, &read, rows, now_ms),
            ids: ids.text,
        })
    }

    fn plan(&self, asked: &Asked<'_>) -> Result<Arc<Plan>, Refused> {
        let full = asked.full_feature_names;
        if let Some(Text(name)) = &asked.feature_service {
            let services = &self.config.feature_services;
            let found = services.iter().find(|service| service.name == *name);
            let missing = || FeastError::no_service(name, &self.config.project);
            let features = &found.ok_or_else(missing)?.features;
            return self
                .plans
                .get(self, features.iter().map(String::as_str), full);
        }
        match asked.features.as_deref() {
            None | Some([]) => Err(Refused::text(500, "No features specified for retrieval")),
            Some(features) => self
                .plans
                .get(self, features.iter().map(|name| &*name.0), full),
        }
    }

    /// The view and the feature's place in it that `view:feature` names.
    pub(super) fn find(&self, name: &str) -> Result<(Arc<View>, usize), Refused> {
        let Some((view, feature)) = name.split_once(':') else {
            let why = format!(
                "Invalid feature reference '{name}'. Expected format: '<feature_view>:<feature>' or '<feature_view>@<version>:<feature>'"
            );
            return Err(Refused::text(500, &why));
        };
        let missing = || FeastError::no_view(view, &self.config.project);
        let found = self.views.get(view).ok_or_else(missing)?;
        match found.features.iter().position(|known| known == feature) {
            Some(index) => Ok((Arc::clone(found), index)),
            None => {
                let why = format!("Feature {feature} not found in projection {view}");
                Err(Refused::key_error(&why))
            }
        }
    }

    /// Gives a column of keys the type that a view gives it.
    fn convert(&self, name: &str, column: &mut [Value]) -> Result<(), Refused> {
        let mut views = self.views.values().filter(|view| view.spec.key == name);
        let Some(kind) = views.find_map(|view| view.spec.types.get(name)) else {
            return Ok(());
        };
        for value in column {
            // Feast takes a number's text for the number.
            let parsed = value.as_str().and_then(|text| text.parse::<i64>().ok());
            let told = kind.cast(value).or_else(|| kind.cast(&parsed?.into()));
            *value = told.ok_or_else(|| {
                Refused::text(500, &format!("{value} is no {kind}, which {name} is"))
            })?;
        }
        Ok(())
    }

    fn keys(
        &self,
        view: &View,
        entities: &[(Text<'_>, Vec<Value>)],
    ) -> Result<Vec<String>, Refused> {
        let column = entities.iter().find(|(name, _)| name.0 == view.spec.key);
        let values = column.map_or(&[][..], |(_, values)| values);
        if values.is_empty() {
            return Err(self.without_keys(view, entities));
        }
        let keys = values.iter().map(key_text).collect::<Option<Vec<String>>>();
        keys.ok_or_else(|| {
            Refused::text(
                422,
                &format!("{}: keys are texts or numbers", view.spec.key),
            )
        })
    }

    /// As Feast says that a view's key is not there: with the keys of all views.
    fn without_keys(&self, view: &View, entities: &[(Text<'_>, Vec<Value>)]) -> Refused {
        let mut all: Vec<&str> = self
            .views
            .values()
            .map(|view| view.spec.key.as_str())
            .collect();
        all.sort_unstable();
        all.dedup();
        let given = |name: &str| entities.iter().any(|(known, _)| known.0 == *name);
        let list = |names: Vec<&str>| {
            let quoted: Vec<String> = names.into_iter().map(|name| format!("'{name}'")).collect();
            format!("[{}]", quoted.join(", "))
        };
        let own = view.spec.key.as_str();
        let missing = all
            .iter()
            .copied()
            .filter(|name| *name != own || !given(name))
            .collect();
        let provided = entities.iter().map(|(name, _)| &*name.0);
        let provided = provided.filter(|name| all.contains(name)).collect();
        Refused::key_error(&format!(
            "Missing join key values for keys: {}. No values provided for keys: {}. Provided join_key_values: {}",
            list(missing),
            list(all.clone()),
            list(provided)
        ))
    }
}

/// The columns as JSON.
fn encode(
    plan: &Plan,
    entities: &[(Text<'_>, Vec<Value>)],
    read: &[Vec<Option<Arc<Cells>>>],
    rows: usize,
    now_ms: i64,
) -> Vec<u8> {
    let mut out =
        Vec::with_capacity(256 + plan.names.len() + plan.columns.len() * (60 + rows * 60));
    out.extend_from_slice(b"{\"results\":[");
    for (index, (_, values)) in entities.iter().enumerate() {
        let before: &[u8] = if index > 0 {
            b",{\"values\":["
        } else {
            b"{\"values\":["
        };
        out.extend_from_slice(before);
        separated(&mut out, rows, |out, row| push_value(out, &values[row]));
        out.extend_from_slice(b"],\"statuses\":[");
        separated(&mut out, rows, |out, _| {
            out.extend_from_slice(b"\"PRESENT\"")
        });
        out.extend_from_slice(b"],\"event_timestamps\":[");
        separated(&mut out, rows, |out, _| out.extend_from_slice(EPOCH));
        out.extend_from_slice(b"]}");
    }
    // Whether a row may be served is the same for all features of a view.
    let expired = |place: usize, cells: &Cells| {
        let age_s = now_ms.saturating_sub(cells.event_ms) as f64 / 1_000.0;
        plan.views[place]
            .spec
            .ttl_s
            .is_some_and(|ttl_s| age_s > ttl_s)
    };
    let mut served: Vec<Vec<Option<(&Cells, bool)>>> = Vec::with_capacity(read.len());
    for (place, found) in read.iter().enumerate() {
        let mut row = Vec::with_capacity(rows);
        row.extend(
            found
                .iter()
                .map(|cells| cells.as_deref().map(|cells| (cells, expired(place, cells)))),
        );
        served.push(row);
    }
    for (place, feature) in &plan.columns {
        let found = &served[*place];
        out.extend_from_slice(b",{\"values\":[");
        separated(&mut out, rows, |out, row| match found[row] {
            Some((cells, false)) => out.extend_from_slice(cells.value(*feature)),
            _ => out.extend_from_slice(NULL),
        });
        out.extend_from_slice(b"],\"statuses\":[");
        separated(&mut out, rows, |out, row| {
            out.extend_from_slice(match found[row] {
                Some((_, false)) => b"\"PRESENT\"",
                Some((_, true)) => b"\"OUTSIDE_MAX_AGE\"",
                None => b"\"NOT_FOUND\"",
            });
        });
        out.extend_from_slice(b"],\"event_timestamps\":[");
        separated(&mut out, rows, |out, row| {
            out.extend_from_slice(found[row].map_or(EPOCH, |(cells, _)| &cells.at));
        });
        out.extend_from_slice(b"]}");
    }
    out.extend_from_slice(b"],\"metadata\":{\"feature_names\":[");
    separated(&mut out, entities.len(), |out, index| {
        push_value(out, &Value::String(entities[index].0.0.as_ref().to_owned()));
    });
    out.extend_from_slice(&plan.names);
    out.extend_from_slice(b"]}}");
    out
}

/// Items with commas between them.
fn separated(out: &mut Vec<u8>, count: usize, mut item: impl FnMut(&mut Vec<u8>, usize)) {
    for index in 0..count {
        if index > 0 {
            out.push(b',');
        }
        item(out, index);
    }
}
