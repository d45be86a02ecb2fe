//! Training sets as of their time: for each row, the features that a query at the row's time would have got.
//!
//! **In:** rows with keys and times, and the history. **Out:** the rows with features. **Never:** a feature that was not known yet.

use super::config::FeaturesConfig;
use super::history::{Written, read_history};
use super::replay::rows;
use super::table::{key_text, time_ms};
use crate::{Error, Result};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::path::Path;

/// What "as of" means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AsOf {
    /// What was served at the time: written by then.
    #[default]
    Served,
    /// What would have been, had each feature been there with its newest event, as Feast joins.
    Event,
}

/// Versions of one key's features, in the order in which they take effect.
#[derive(Debug, Default)]
struct Versions(Vec<Written>);

impl Versions {
    /// When a version begins to count.
    fn begins(written: &Written, as_of: AsOf) -> i64 {
        match as_of {
            AsOf::Served => i64::try_from(written.created_ms).unwrap_or(i64::MAX),
            AsOf::Event => written.event_ms,
        }
    }

    fn sort(&mut self, as_of: AsOf) {
        // Of those that begin at once, the newest; sorting is stable and the history in order, should even versions be alike.
        self.0.sort_by_key(|written| {
            (
                Self::begins(written, as_of),
                written.event_ms,
                written.version,
            )
        });
    }

    /// The version that counts at a time.
    fn at(&self, at_ms: i64, as_of: AsOf) -> Option<&Written> {
        let count = self
            .0
            .partition_point(|written| Self::begins(written, as_of) <= at_ms);
        self.0.get(count.checked_sub(1)?)
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct TrainingSet<'a> {
    /// The views.
    pub config: &'a FeaturesConfig,
    /// `view:feature`.
    pub features: &'a [String],
    /// The column of the rows' times.
    pub time: &'a str,
    /// What "as of" means.
    pub as_of: AsOf,
    /// Names features `view__feature`.
    pub full_feature_names: bool,
}

/// Adds features to the rows of a file (.csv with a heading, .jsonl or .parquet), as of each row's time. A feature that was not there, or past
/// its time to live, is null.
///
/// # Errors
/// A view or feature that there is not, a row without its key or time, or a file that cannot be read.
pub fn training_set(
    wanted: &TrainingSet<'_>,
    labels: &Path,
    history: &Path,
) -> Result<Vec<Map<String, Value>>> {
    let columns = wanted.columns()?;
    let mut labels = rows(labels)?.collect::<Result<Vec<_>>>()?;
    let mut versions: HashMap<(&str, String), Versions> = HashMap::new();
    for row in &labels {
        for column in &columns {
            versions
                .entry((column.view, column.key_of(row)?))
                .or_default();
        }
    }
    let views: Vec<&str> = columns.iter().map(|column| column.view).collect();
    read_history(history, |written| {
        if let Some(view) = views.iter().find(|view| **view == written.view)
            && let Some(known) = versions.get_mut(&(*view, written.key.clone()))
        {
            known.0.push(written);
        }
    })?;
    versions
        .values_mut()
        .for_each(|versions| versions.sort(wanted.as_of));
    for row in &mut labels {
        let missing = || {
            Error::invalid(
                "join features",
                wanted.time,
                "a row has no time in this column",
            )
        };
        let at_ms = row.get(wanted.time).and_then(time_ms).ok_or_else(missing)?;
        for column in &columns {
            let known = versions.get(&(column.view, column.key_of(row)?));
            let written = known.and_then(|versions| versions.at(at_ms, wanted.as_of));
            let fresh = written.filter(|written| {
                let age_s = at_ms.saturating_sub(written.event_ms) as f64 / 1_000.0;
                column.ttl_s.is_none_or(|ttl_s| age_s <= ttl_s)
            });
            let value = fresh.and_then(|written| written.features.get(column.feature).cloned());
            row.insert(column.name.clone(), value.unwrap_or(Value::Null));
        }
    }
    Ok(labels)
}

/// A feature to add.
struct Column<'a> {
    view: &'a str,
    feature: &'a str,
    key: &'a str,
    ttl_s: Option<f64>,
    name: String,
}

impl Column<'_> {
    fn key_of(&self, row: &Map<String, Value>) -> Result<String> {
        let key = row.get(self.key).and_then(key_text);
        let why = format!("a row has no key of view {}", self.view);
        key.ok_or_else(|| Error::invalid("join features", self.key, why))
    }
}

impl<'a> TrainingSet<'a> {
    fn columns(&self) -> Result<Vec<Column<'a>>> {
        let column = |name: &'a String| {
            let bad = |why: &str| Error::invalid("join features", name, why);
            let (view, feature) = name
                .split_once(':')
                .ok_or_else(|| bad("a feature is named view:feature"))?;
            let spec = self.config.views.iter().find(|spec| spec.name == view);
            let spec = spec.ok_or_else(|| bad("there is no such view"))?;
            if !spec.feature_names()?.iter().any(|known| known == feature) {
                return Err(bad("the view has no such feature"));
            }
            Ok(Column {
                view: &spec.name,
                feature,
                key: &spec.key,
                ttl_s: spec.ttl_s,
                name: match self.full_feature_names {
                    true => format!("{view}__{feature}"),
                    false => feature.to_owned(),
                },
            })
        };
        self.features.iter().map(column).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const VIEWS: &str = "[[view]]\nname = \"v\"\nkey = \"k\"\nfeatures = [\"x\"]\nttl_s = 0.05\n";

    fn written(key: u32, event_ms: i64, created_ms: u64, version: u32) -> Written {
        Written {
            view: "v".into(),
            key: key.to_string(),
            event_ms,
            created_ms,
            version,
            features: [("x".to_owned(), json!(version))].into_iter().collect(),
        }
    }

    /// By looking at everything.
    fn brute(history: &[Written], key: u32, at_ms: i64, as_of: AsOf) -> Value {
        let mut best: Option<&Written> = None;
        for candidate in history
            .iter()
            .filter(|written| written.key == key.to_string())
        {
            let begins = match as_of {
                AsOf::Served => candidate.created_ms as i64,
                AsOf::Event => candidate.event_ms,
            };
            let beats = best.is_none_or(|best| match as_of {
                AsOf::Served => {
                    (candidate.created_ms, candidate.event_ms, candidate.version)
                        >= (best.created_ms, best.event_ms, best.version)
                }
                AsOf::Event => {
                    (candidate.event_ms, candidate.version) >= (best.event_ms, best.version)
                }
            });
            if begins <= at_ms && beats {
                best = Some(candidate);
            }
        }
        match best {
            Some(best) if at_ms - best.event_ms <= 50 => best.features["x"].clone(),
            _ => Value::Null,
        }
    }

    proptest! {
        #[test]
        fn the_join_is_that_of_looking_at_everything(
            events in proptest::collection::vec((0u32..3, 0i64..200, 0u64..40), 0..60),
            asked in proptest::collection::vec((0u32..4, 0i64..300), 1..40),
            served in any::<bool>(),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut history = Vec::new();
            let mut versions = [0u32; 3];
            for (key, event_ms, delay_ms) in events {
                versions[key as usize] += 1;
                history.push(written(key, event_ms, event_ms as u64 + delay_ms, versions[key as usize]));
            }
            let (log, labels) = (folder.path().join("history"), folder.path().join("labels.jsonl"));
            std::fs::create_dir(&log).unwrap();
            // In several segments.
            for (number, chunk) in history.chunks(7).enumerate() {
                let lines: Vec<String> = chunk.iter().map(|row| serde_json::to_string(row).unwrap()).collect();
                std::fs::write(log.join(format!("{number:020}.jsonl")), lines.join("\n")).unwrap();
            }
            let lines: Vec<String> = asked.iter().map(|(key, at_ms)| json!({"k": key, "t": *at_ms as f64 / 1e3}).to_string()).collect();
            std::fs::write(&labels, lines.join("\n")).unwrap();
            let config = FeaturesConfig::parse(VIEWS).unwrap();
            let as_of = if served { AsOf::Served } else { AsOf::Event };
            let wanted = TrainingSet { config: &config, features: &["v:x".to_owned()], time: "t", as_of, full_feature_names: false };
            let joined = training_set(&wanted, &labels, &log).unwrap();
            for (row, (key, at_ms)) in joined.iter().zip(&asked) {
                // As the file has it: seconds cut to milliseconds.
                let at_ms = time_ms(&json!(*at_ms as f64 / 1e3)).unwrap();
                prop_assert_eq!(&row["x"], &brute(&history, *key, at_ms, as_of), "{} at {}", key, at_ms);
            }
        }
    }
}
