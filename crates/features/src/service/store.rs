//! Features, data that waits, and feedback, in one file that survives crashes.

use crate::function::{Event, Features};
use crate::{Error, Result};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use skyfresh_sky::Kind;
use std::path::Path;

/// `view\0key` → a [`Row`].
const FEATURES: TableDefinition<&str, &[u8]> = TableDefinition::new("features");
/// `view\0key` and the number of its arrival → an [`Event`].
const EVENTS: TableDefinition<(&str, u64), &[u8]> = TableDefinition::new("events");
/// The query's id → a [`Report`].
const FEEDBACK: TableDefinition<&str, &[u8]> = TableDefinition::new("feedback");

/// Pages of the file kept in memory.
const CACHE_BYTES: usize = 256 << 20;

/// The features of a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) view: String,
    pub(super) key: String,
    pub(super) version: u32,
    pub(super) error: f64,
    pub(super) queried_ms: u64,
    pub(super) at_ms: u64,
}

/// A feature to write, and the events that are in it now.
#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) target: String,
    pub(super) row: Row,
    pub(super) used: Vec<u64>,
}

/// Everything durable. Each change is flushed to the disk before it returns.
#[derive(Debug)]
pub struct Store {
    database: Database,
    name: String,
}

/// The row of a key of a view.
pub(super) fn target(view: &str, key: &str) -> String {
    format!("{view}\0{key}")
}

impl Store {
    /// Opens or creates the file.
    ///
    /// # Errors
    /// [`Kind::Denied`] where another process has it open, [`Kind::Corrupt`] where it is no such file.
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let opened = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create(path)
            .map_err(|error| failed("open", &name, error))?;
        let store = Store {
            database: opened,
            name,
        };
        store.change("open", |transaction| {
            transaction.open_table(FEATURES)?;
            transaction.open_table(EVENTS)?;
            transaction.open_table(FEEDBACK)?;
            Ok(())
        })?;
        Ok(store)
    }

    fn change<T>(
        &self,
        operation: &'static str,
        body: impl FnOnce(&redb::WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T> {
        let run = || {
            let transaction = self.database.begin_write()?;
            let told = body(&transaction)?;
            transaction.commit()?;
            Ok::<T, redb::Error>(told)
        };
        run().map_err(|error| failed(operation, &self.name, error))
    }

    /// A key's features.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn get(&self, view: &str, key: &str) -> Result<Option<Row>> {
        let read = || {
            let table = self.database.begin_read()?.open_table(FEATURES)?;
            let found = table.get(target(view, key).as_str())?;
            Ok::<_, redb::Error>(found.map(|bytes| bytes.value().to_vec()))
        };
        let bytes = read().map_err(|error| failed("read", &self.name, error))?;
        bytes.map(|bytes| self.parsed(&bytes)).transpose()
    }

    /// Features of several keys, in one snapshot.
    pub(super) fn get_all<'a>(
        &self,
        view: &str,
        keys: impl Iterator<Item = &'a str>,
    ) -> Result<Vec<Option<Row>>> {
        let told = |error: redb::Error| failed("read", &self.name, error);
        let transaction = self
            .database
            .begin_read()
            .map_err(|error| told(error.into()))?;
        let table = transaction
            .open_table(FEATURES)
            .map_err(|error| told(error.into()))?;
        keys.map(|key| {
            let found = table.get(target(view, key).as_str());
            let found = found.map_err(|error| told(error.into()))?;
            found.map(|bytes| self.parsed(bytes.value())).transpose()
        })
        .collect()
    }

    /// Adds events; `(target, number, event)`.
    pub(super) fn append(&self, events: &[(String, u64, Event)]) -> Result<()> {
        self.change("write", |transaction| {
            let mut table = transaction.open_table(EVENTS)?;
            for (target, number, event) in events {
                table.insert((target.as_str(), *number), bytes(event).as_slice())?;
            }
            Ok(())
        })
    }

    /// Writes features and removes the events that are in them, all or nothing. A row that is not newer, by event time and then
    /// version, than what is stored leaves that as it is, and is told as false.
    pub(super) fn write(&self, writes: &[Write]) -> Result<Vec<bool>> {
        self.change("write", |transaction| {
            let mut features = transaction.open_table(FEATURES)?;
            let mut events = transaction.open_table(EVENTS)?;
            let mut written = Vec::with_capacity(writes.len());
            for Write { target, row, used } in writes {
                let stored = features.get(target.as_str())?.and_then(|bytes| {
                    let stored: Option<Row> = serde_json::from_slice(bytes.value()).ok();
                    stored
                });
                let newer = stored.is_none_or(|stored| {
                    (row.event_ms, row.version) > (stored.event_ms, stored.version)
                });
                if newer {
                    features.insert(target.as_str(), bytes(row).as_slice())?;
                }
                for number in used {
                    events.remove((target.as_str(), *number))?;
                }
                written.push(newer);
            }
            Ok(written)
        })
    }

    /// Keeps what was reported for a query; false where the query's error is known already.
    pub(super) fn report(&self, query_id: &str, report: &Report) -> Result<bool> {
        self.change("write", |transaction| {
            let mut table = transaction.open_table(FEEDBACK)?;
            if table.get(query_id)?.is_some() {
                return Ok(false);
            }
            table.insert(query_id, bytes(report).as_slice())?;
            Ok(true)
        })
    }

    /// Forgets what was reported before this time.
    pub(super) fn forget_reports(&self, before_ms: u64) -> Result<()> {
        self.change("clean up", |transaction| {
            let mut table = transaction.open_table(FEEDBACK)?;
            table.retain(|_, bytes| {
                let report: Option<Report> = serde_json::from_slice(bytes).ok();
                report.is_some_and(|report| report.at_ms >= before_ms)
            })?;
            Ok(())
        })
    }

    /// Everything, in order: features, events that wait, feedback.
    pub(super) fn all(
        &self,
        mut row: impl FnMut(&str, Row),
        mut event: impl FnMut(&str, u64, Event),
        mut report: impl FnMut(Report),
    ) -> Result<()> {
        let transaction = self.database.begin_read();
        let told = |error: redb::Error| failed("read", &self.name, error);
        let transaction = transaction.map_err(|error| told(error.into()))?;
        let table = transaction
            .open_table(FEATURES)
            .map_err(|error| told(error.into()))?;
        for entry in table.iter().map_err(|error| told(error.into()))? {
            let (target, bytes) = entry.map_err(|error| told(error.into()))?;
            row(target.value(), self.parsed(bytes.value())?);
        }
        let table = transaction
            .open_table(EVENTS)
            .map_err(|error| told(error.into()))?;
        for entry in table.iter().map_err(|error| told(error.into()))? {
            let (place, bytes) = entry.map_err(|error| told(error.into()))?;
            let (target, number) = place.value();
            event(target, number, self.parsed(bytes.value())?);
        }
        let table = transaction
            .open_table(FEEDBACK)
            .map_err(|error| told(error.into()))?;
        for entry in table.iter().map_err(|error| told(error.into()))? {
            let (_, bytes) = entry.map_err(|error| told(error.into()))?;
            report(self.parsed(bytes.value())?);
        }
        Ok(())
    }

    fn parsed<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T> {
        serde_json::from_slice(bytes).map_err(|error| {
            let why = "a row is not what this version writes: restore the file, or move it away";
            Error::new(Kind::Corrupt, "read", &self.name, why).with_source(error)
        })
    }
}

fn bytes(value: &impl Serialize) -> Vec<u8> {
    // Plain structs with text keys always become JSON.
    serde_json::to_vec(value).unwrap_or_default()
}

fn failed(operation: &'static str, name: &str, error: impl Into<redb::Error>) -> Error {
    let error = error.into();
    let (kind, why) = match &error {
        redb::Error::DatabaseAlreadyOpen => (
            Kind::Denied,
            "another process has it open: stop that, or give this one another file".to_owned(),
        ),
        redb::Error::Corrupted(why) => (Kind::Corrupt, why.clone()),
        redb::Error::Io(io) if io.kind() == std::io::ErrorKind::InvalidData => {
            (Kind::Corrupt, "it is no feature store".to_owned())
        }
        other => (Kind::Denied, other.to_string()),
    };
    Error::new(kind, operation, name, why).with_source(error)
}
