//! What is there because of us, written down as it comes to be.

use super::Resource;
use serde::{Deserialize, Serialize};

/// What an entry says of its resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It was there already, as planned, and is not ours: never removed.
    Found,
    /// It was absent, and creating it began. Written before the request, so that what a crash leaves is known to be ours.
    Creating,
    /// We created it.
    Created,
}

/// One resource, and how it came to be there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The resource as it was planned.
    pub resource: Resource,
    /// Its name at the provider.
    pub name: String,
    /// How it came to be there.
    pub state: State,
}

/// What was done for one rule, in the order in which it was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The rule.
    pub rule: String,
    /// Its source when it was wired, so that it can be unwired after the rule is gone from the configuration.
    pub source: String,
    /// The entries.
    pub entries: Vec<Entry>,
}

impl Record {
    /// A record of nothing yet.
    pub fn new(rule: impl Into<String>, source: impl Into<String>) -> Self {
        Record {
            rule: rule.into(),
            source: source.into(),
            entries: Vec::new(),
        }
    }

    pub(super) fn entry(&mut self, resource: &Resource) -> Option<&mut Entry> {
        self.entries
            .iter_mut()
            .find(|entry| entry.resource == *resource)
    }

    pub(super) fn set(&mut self, resource: &Resource, name: String, state: State) {
        match self.entry(resource) {
            Some(entry) => (entry.name, entry.state) = (name, state),
            None => self.entries.push(Entry {
                resource: resource.clone(),
                name,
                state,
            }),
        }
    }
}

/// Where a record is kept. Durable once `save` returns.
pub trait Journal: Send + Sync {
    /// Replaces what is kept by this record.
    ///
    /// # Errors
    /// It could not be written; nothing that depends on it may be done then.
    fn save(&self, record: &Record) -> std::io::Result<()>;
}
