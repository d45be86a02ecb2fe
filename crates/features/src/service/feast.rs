//! `POST /get-online-features` as Feast's Python server answers it, byte for byte: columns, one for each name, with a value, a status
//! and a time for each row. `tests/feast` compares both.
//!
//! Two answers differ on purpose: a feature past its time to live is OUTSIDE_MAX_AGE and null (Feast serves it,
//! feast-dev/feast#6821), and an older row never replaces a newer one (feast-dev/feast#5163).

use super::answer::{Answer, Ids, encode};
use super::plan::Plan;
use super::read::Rows;
use super::refused::{FeastError, Refused};
use super::request::{Entities, Text};
use super::table::{MAX_ROWS, key_text};
use super::view::View;
use super::views::Service;
use serde_json::Value;
use std::sync::Arc;

/// Cells of an answer that is made on a thread that serves others as well: about a tenth of a millisecond.
const MOST_CELLS: usize = 10_000;

/// A request that can be answered once its rows are there.
struct Ready<'a> {
    plan: Arc<Plan>,
    entities: Vec<(Text<'a>, Vec<Value>)>,
    rows: usize,
    /// Of each view of the plan.
    keys: Vec<Vec<String>>,
}

impl Service {
    /// Answers a request. Waits only where a row is not in memory.
    pub(super) async fn online(self: &Arc<Self>, body: &[u8]) -> Result<Answer, Refused> {
        let ready = self.ready(body)?;
        let read = self.query(&ready.plan.views, &ready.keys).await?;
        Ok(self.answer(&ready, &read))
    }

    /// Answers a request if that takes next to no time: its rows are in memory, and few. `None`, with nothing counted, otherwise.
    pub(super) fn online_at_once(&self, body: &[u8]) -> Result<Option<Answer>, Refused> {
        let ready = self.ready(body)?;
        if ready.rows * ready.plan.columns.len() > MOST_CELLS {
            return Ok(None);
        }
        let read = self.query_memory(&ready.plan.views, &ready.keys);
        Ok(read.map(|read| self.answer(&ready, &read)))
    }

    fn ready<'a>(&self, body: &'a [u8]) -> Result<Ready<'a>, Refused> {
        let (plan, Entities(mut entities)) = self.read_request(body)?;
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
        Ok(Ready {
            plan,
            entities,
            rows,
            keys,
        })
    }

    fn answer(&self, ready: &Ready<'_>, read: &[Rows]) -> Answer {
        let Ready {
            plan,
            entities,
            rows,
            keys,
        } = ready;
        let mut ids = Ids::default();
        for ((view, keys), found) in plan.views.iter().zip(keys).zip(read) {
            for (key, cells) in keys.iter().zip(found) {
                let version = cells.as_ref().map_or(0, |cells| cells.version);
                if !ids.add(&view.spec.name, version, key) {
                    break;
                }
            }
        }
        let now_ms = self.clock.now().unix_ms() as i64;
        Answer {
            body: encode(plan, entities, read, *rows, now_ms),
            ids: ids.text,
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
