//! What is served: views, and named sets of their features.

use super::kind::FeatureType;
use super::sharding::Sharding;
use super::source::Source;
use crate::function::FunctionSpec;
use crate::scheduler::{Options, PolicyName};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A configuration, as `docs/features.md` describes it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeaturesConfig {
    /// Where to listen; Feast's port on this machine where it is left out.
    #[serde(default = "listen")]
    pub listen: String,
    /// The file that keeps everything, or the URL of the server that keeps online rows.
    #[serde(default)]
    pub store: StoreAddress,
    /// The file that keeps everything else, where `store` is a URL: data that waits, what functions keep, feedback, and rows on their
    /// way to the server.
    #[serde(default = "journal")]
    pub journal: String,
    /// The directory that keeps every feature ever written; without it none is kept.
    pub history: Option<String>,
    /// What its files are.
    #[serde(default)]
    pub history_format: HistoryFormat,
    /// Memory for rows that are ready to be answered, mebibytes; others are read from the store.
    #[serde(default = "memory_mb")]
    pub memory_mb: usize,
    /// How keys are divided among schedulers and processes.
    #[serde(default)]
    pub sharding: Sharding,
    /// The name of the project in Feast's messages.
    #[serde(default = "project")]
    pub project: String,
    /// The views.
    #[serde(default, rename = "view")]
    pub views: Vec<ViewSpec>,
    /// What feeds push sources by itself.
    #[serde(default, rename = "source")]
    pub sources: Vec<Source>,
    /// Named sets of features.
    #[serde(default, rename = "feature_service")]
    pub feature_services: Vec<FeatureService>,
}

/// What the files of the history are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HistoryFormat {
    /// Lines of JSON.
    #[default]
    Jsonl,
    /// Parquet.
    Parquet,
}

fn listen() -> String {
    "127.0.0.1:6566".into()
}

fn journal() -> String {
    "features.redb".into()
}

/// A file, or `redis://user:password@host:port/database`: shown without what is secret.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct StoreAddress(String);

impl StoreAddress {
    /// Whole, secrets included.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a server's.
    pub(super) fn is_url(&self) -> bool {
        self.0.starts_with("redis://")
    }
}

impl Default for StoreAddress {
    fn default() -> Self {
        StoreAddress(journal())
    }
}

impl std::fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.split_once("://") {
            None => f.write_str(&self.0),
            // The last @: a password may have one, though it should not.
            Some((scheme, rest)) => {
                let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
                write!(f, "{scheme}://{host}")
            }
        }
    }
}

impl std::fmt::Debug for StoreAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{self}\"")
    }
}

fn memory_mb() -> usize {
    1_024
}

fn project() -> String {
    "skyfresh".into()
}

/// A table of features by key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewSpec {
    /// Its name.
    pub name: String,
    /// The column that holds the key.
    pub key: String,
    /// The column that holds the time of the event.
    #[serde(default = "time")]
    pub time: String,
    /// The push source whose data it takes; its own name where it is left out.
    pub source: Option<String>,
    /// Seconds after the event time for which features are served.
    pub ttl_s: Option<f64>,
    /// What makes the features of the data; `None`: they come ready, and are written as they are.
    pub function: Option<FunctionSpec>,
    /// The features that come ready.
    #[serde(default)]
    pub features: Vec<String>,
    /// Types of features and of the key, by name: what is written is converted, and refused where that cannot be.
    #[serde(default)]
    pub types: BTreeMap<String, FeatureType>,
    /// Which key is updated next.
    #[serde(default = "policy")]
    pub policy: PolicyName,
    /// How the scheduler goes about it; the policy's defaults where it is left out. Times are in seconds.
    pub schedule: Option<Options>,
    /// The budget, where it is in neither of the units below.
    #[serde(default = "updates_per_s")]
    pub updates_per_s: f64,
    /// The budget in cores: a worker's time counts, waiting for the disk included.
    pub cores: Option<f64>,
    /// The budget in dollars an hour, at the price below.
    pub usd_per_hour: Option<f64>,
    /// What a core costs, dollars an hour.
    pub usd_per_core_hour: Option<f64>,
}

fn time() -> String {
    "event_timestamp".into()
}

fn policy() -> PolicyName {
    PolicyName::Regret
}

fn updates_per_s() -> f64 {
    1_000.0
}

/// A named set of features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureService {
    /// Its name.
    pub name: String,
    /// `view:feature`.
    pub features: Vec<String>,
}

impl ViewSpec {
    /// The push source whose data it takes.
    pub fn source(&self) -> &str {
        self.source.as_deref().unwrap_or(&self.name)
    }

    /// The budget in cores, where it is in cores or dollars.
    pub fn cores(&self) -> Option<f64> {
        let of_dollars = || Some(self.usd_per_hour? / self.usd_per_core_hour?);
        self.cores.or_else(of_dollars)
    }

    /// The names of its features.
    ///
    /// # Errors
    /// A parameter of its function is out of range.
    pub fn feature_names(&self) -> Result<Vec<String>> {
        Ok(match &self.function {
            Some(function) => function.function()?.features(),
            None => self.features.clone(),
        })
    }
}

impl FeaturesConfig {
    /// A process that has some of the shards alone must see all rows of a topic, to take those of its keys: it gets a group of its own.
    fn name_groups(&mut self) {
        let Some(mine) = self.sharding.part() else {
            return;
        };
        let shards: Vec<String> = mine.iter().map(u32::to_string).collect();
        for source in &mut self.sources {
            if let Source::Kafka(topic) = source {
                topic.group = format!("{}.shards-{}", topic.group, shards.join("-"));
            }
        }
    }

    /// Reads a configuration.
    ///
    /// # Errors
    /// It is not TOML of this form, or what it says cannot be; the message names the view.
    pub fn parse(text: &str) -> Result<Self> {
        let mut config: FeaturesConfig = toml::from_str(text).map_err(|error| {
            // Without the line itself, which may have a password.
            let line = error.span().map_or(0, |span| {
                1 + text.as_bytes()[..span.start.min(text.len())]
                    .iter()
                    .filter(|byte| **byte == b'\n')
                    .count()
            });
            let why = format!("line {line}: {}", error.message());
            Error::invalid("read configuration", "features", why)
        })?;
        if !config.store.is_url() && config.store.as_str().contains("://") {
            let why = format!("store = {:?} is neither a file nor redis://…", config.store);
            return Err(Error::invalid("read configuration", "features", why));
        }
        config.sharding.check()?;
        if config.history_format == HistoryFormat::Parquet && !cfg!(feature = "parquet") {
            return Err(super::history::no_parquet(
                "read configuration",
                "history_format",
            ));
        }
        config.name_groups();
        let mut names = BTreeSet::new();
        for view in &config.views {
            let bad = |why: &str| Err(Error::invalid("read configuration", &view.name, why));
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if view.name.is_empty() || !view.name.chars().all(fits) {
                return bad("a view's name is made of letters, digits, _ and -");
            }
            if !names.insert(&view.name) {
                return bad("there are two views of this name");
            }
            if view.function.is_some() != view.features.is_empty() {
                return bad("give either a function, or the features that come ready");
            }
            if !(view.updates_per_s > 0.0 && view.updates_per_s.is_finite()) {
                return bad("updates_per_s must be above 0");
            }
            let amounts = [view.cores, view.usd_per_hour, view.usd_per_core_hour];
            if amounts
                .iter()
                .flatten()
                .any(|amount| !(*amount > 0.0 && amount.is_finite()))
            {
                return bad("cores, usd_per_hour and usd_per_core_hour must be above 0");
            }
            if view.usd_per_hour.is_some() != view.usd_per_core_hour.is_some() {
                return bad("a budget in dollars needs usd_per_hour and usd_per_core_hour");
            }
            if view.cores.is_some() && view.usd_per_hour.is_some() {
                return bad("give one budget: in cores, or in dollars");
            }
            if view
                .ttl_s
                .is_some_and(|ttl_s| !(ttl_s > 0.0 && ttl_s.is_finite()))
            {
                return bad("ttl_s must be above 0");
            }
            if let Some(options) = &view.schedule {
                options.check().map_err(|why| {
                    Error::invalid("read configuration", &view.name, why.to_string())
                })?;
            }
            if let Some(function) = &view.function {
                function.function()?;
            }
        }
        for source in &config.sources {
            let name = source.name();
            source.check()?;
            if !config.views.iter().any(|view| view.source() == name) {
                let why = "no view takes data from this source";
                return Err(Error::invalid("read configuration", name, why));
            }
        }
        Ok(config)
    }
}
