//! Features, data that waits, and feedback, in one file that survives crashes.

pub use super::codec::Row;
use super::codec::{self, Head, Judgement, Report};
use super::history::Written;
use super::online::OnlineRows;
use crate::function::Event;
use crate::{Error, Result};
use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition,
};
use skyfresh_sky::Kind;
use std::path::Path;
use tokio::sync::Notify;

/// `view\0key` → a [`Row`].
const FEATURES: TableDefinition<&str, &[u8]> = TableDefinition::new("features");
/// `view\0key` → the [`Head`] of its row, apart from the rows so that a start reads little.
const HEADS: TableDefinition<&str, &[u8]> = TableDefinition::new("heads");
/// `view\0key` and the number of its arrival → an [`Event`].
const EVENTS: TableDefinition<(&str, u64), &[u8]> = TableDefinition::new("events");
/// The query's id → a [`Report`].
const FEEDBACK: TableDefinition<&str, &[u8]> = TableDefinition::new("feedback");
/// Rows on their way to the history, by number: the length of the target, the target, the row without its state.
const HISTORY: TableDefinition<u64, &[u8]> = TableDefinition::new("history");
/// What a source reads (`source\0file`, or a partition of a topic) → how far it was taken in: rows, or the next offset.
const POSITIONS: TableDefinition<&str, u64> = TableDefinition::new("positions");

/// Where online rows are elsewhere: `view\0key` → a [`Row`], without what functions keep, that is not there yet.
pub(super) const UNPUBLISHED: TableDefinition<&str, &[u8]> = TableDefinition::new("unpublished");

/// Pages of the file kept in memory.
const CACHE_BYTES: usize = 256 << 20;

/// An event that came.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) target: String,
    /// In order of arrival.
    pub(super) number: u64,
    pub(super) event: Event,
    /// What it said of the feature that it met.
    pub(super) judgement: Judgement,
}

/// How far events take a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// What is read: a file, or a partition of a topic.
    pub(super) name: String,
    /// Where the events begin: rows, or an offset.
    pub(super) from: u64,
    /// Where they end.
    pub(super) to: u64,
}

/// A feature to write, and the events that are in it now.
#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) target: String,
    pub(super) row: Row,
    pub(super) used: Vec<u64>,
    /// Whether the version and the count of records are one more than what is stored, whatever the row says: so for features that
    /// come ready, which several may write at once.
    pub(super) follows: bool,
}

/// Everything durable. Each change is flushed to the disk before it returns.
#[derive(Debug)]
pub struct Store {
    database: Database,
    name: String,
    keeps_history: bool,
    online: Option<Box<dyn OnlineRows>>,
    /// Rings when rows wait to be online.
    pub(super) wrote: Notify,
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
            keeps_history: false,
            online: None,
            wrote: Notify::new(),
        };
        store.change("open", |transaction| {
            transaction.open_table(FEATURES)?;
            transaction.open_table(HEADS)?;
            transaction.open_table(EVENTS)?;
            transaction.open_table(FEEDBACK)?;
            transaction.open_table(POSITIONS)?;
            transaction.open_table(HISTORY)?;
            transaction.open_table(UNPUBLISHED)?;
            Ok(())
        })?;
        Ok(store)
    }

    /// Rows are read by queries from there from now on.
    pub(super) fn put_online(&mut self, online: Box<dyn OnlineRows>) {
        self.online = Some(online);
    }

    /// Where rows are that queries read, if not in the file.
    pub(super) fn online(&self) -> Option<&dyn OnlineRows> {
        self.online.as_deref()
    }

    /// Keeps what is written for [`super::history`] from now on.
    pub(super) fn keep_history(&mut self) {
        self.keeps_history = true;
    }

    fn change<T>(
        &self,
        operation: &'static str,
        body: impl FnOnce(&redb::WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T> {
        self.change_with(operation, Durability::Immediate, body)
    }

    /// One commit, flushed or not: what is not is lost in a crash, unless a later commit was flushed.
    pub(super) fn change_with<T>(
        &self,
        operation: &'static str,
        durability: Durability,
        body: impl FnOnce(&redb::WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T> {
        let run = || {
            let mut transaction = self.database.begin_write()?;
            transaction.set_durability(durability)?;
            let told = body(&transaction)?;
            transaction.commit()?;
            Ok::<T, redb::Error>(told)
        };
        run().map_err(|error| failed(operation, &self.name, error))
    }

    pub(super) fn look<T>(
        &self,
        body: impl FnOnce(&redb::ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T> {
        let run = || body(&self.database.begin_read()?);
        run().map_err(|error| failed("read", &self.name, error))
    }

    /// A key's features, with what the function keeps, as the file has them: of features that come ready it has none where these are
    /// in an online store elsewhere.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn get(&self, view: &str, key: &str) -> Result<Option<Row>> {
        let rows = self.get_each(view, std::iter::once(key))?;
        rows.into_iter().next().unwrap_or(Ok(None))
    }

    /// As [`Store::get`], of several keys in one snapshot: for each its own error, where its row is damaged.
    pub(super) fn get_each<'a>(
        &self,
        view: &str,
        keys: impl Iterator<Item = &'a str>,
    ) -> Result<Vec<Result<Option<Row>>>> {
        let found = self.look(|transaction| {
            let table = transaction.open_table(FEATURES)?;
            let read = |key| {
                let found = table.get(target(view, key).as_str())?;
                Ok(found.map(|bytes| Row::from_bytes(bytes.value())))
            };
            keys.map(read).collect::<Result<Vec<_>, redb::Error>>()
        })?;
        let told = found.into_iter();
        Ok(told
            .map(|row| row.map(|row| self.known(row)).transpose())
            .collect())
    }

    /// Features of several keys, in one snapshot, without what functions keep, as the file has them.
    pub(super) fn get_all<'a>(
        &self,
        view: &str,
        keys: impl Iterator<Item = &'a str>,
    ) -> Result<Vec<Option<Row>>> {
        let targets: Vec<String> = keys.map(|key| target(view, key)).collect();
        self.rows_of(FEATURES, targets.iter().map(String::as_str))
    }

    pub(super) fn rows_of<'a>(
        &self,
        table: TableDefinition<&str, &[u8]>,
        targets: impl Iterator<Item = &'a str>,
    ) -> Result<Vec<Option<Row>>> {
        let found = self.look(|transaction| {
            let table = transaction.open_table(table)?;
            let read = |target| {
                let found = table.get(target)?;
                Ok(found.map(|bytes| Row::stateless(bytes.value())))
            };
            targets.map(read).collect::<Result<Vec<_>, redb::Error>>()
        })?;
        let told = found
            .into_iter()
            .map(|row| row.map(|row| self.known(row)).transpose());
        told.collect()
    }

    /// Events by their numbers.
    pub(super) fn events(&self, target: &str, numbers: &[u64]) -> Result<Vec<Event>> {
        let found = self.look(|transaction| {
            let table = transaction.open_table(EVENTS)?;
            let read = |number: &u64| {
                let found = table.get((target, *number))?;
                Ok(found.and_then(|bytes| codec::event_from_bytes(bytes.value())))
            };
            numbers
                .iter()
                .map(read)
                .collect::<Result<Vec<_>, redb::Error>>()
        })?;
        found.into_iter().map(|event| self.known(event)).collect()
    }

    /// How far a file or a partition was taken in.
    pub(super) fn position(&self, name: &str) -> Result<u64> {
        self.look(|transaction| {
            let found = transaction.open_table(POSITIONS)?.get(name)?;
            Ok(found.map_or(0, |rows| rows.value()))
        })
    }

    /// Adds events, and how far they take what they are from; nothing at all where some of that was taken in before.
    pub(super) fn append(&self, events: &[Arrival], progress: &[Progress]) -> Result<()> {
        let known = self.change("write", |transaction| {
            let mut positions = transaction.open_table(POSITIONS)?;
            for one in progress {
                let stored = positions.get(one.name.as_str())?;
                if stored.is_some_and(|stored| stored.value() > one.from) {
                    return Ok(Some(one.name.clone()));
                }
            }
            for one in progress {
                positions.insert(one.name.as_str(), one.to)?;
            }
            let mut table = transaction.open_table(EVENTS)?;
            for Arrival {
                target,
                number,
                event,
                judgement,
            } in events
            {
                let bytes = codec::event_to_bytes(event, *judgement);
                table.insert((target.as_str(), *number), bytes.as_slice())?;
            }
            Ok(None)
        })?;
        let Some(name) = known else {
            return Ok(());
        };
        let why = "some of it was taken in before: another reader has this store, or the topic was made anew and needs another group";
        let target = name.replace('\0', ", ");
        Err(Error::new(Kind::Precondition, "take in", target, why))
    }

    /// Writes features and removes the events that are in them, all or nothing. A row that is not newer, by event time and then
    /// version, than what is stored leaves that as it is, and is told as false. Rows that follow what is stored have their numbers
    /// afterwards.
    pub(super) fn write(&self, writes: &mut [Write]) -> Result<Vec<bool>> {
        let written = self.change("write", |transaction| {
            let mut features = transaction.open_table(FEATURES)?;
            let mut heads = transaction.open_table(HEADS)?;
            let mut events = transaction.open_table(EVENTS)?;
            let mut history = transaction.open_table(HISTORY)?;
            let mut unpublished = transaction.open_table(UNPUBLISHED)?;
            let mut number = history.last()?.map_or(0, |(number, _)| number.value());
            // What was moved out is remembered by the last number, which stays.
            let mut written = Vec::with_capacity(writes.len());
            for Write {
                target,
                row,
                used,
                follows,
            } in writes
            {
                let stored = heads.get(target.as_str())?;
                let stored = stored.and_then(|bytes| Head::from_bytes(bytes.value()));
                if *follows {
                    let (version, records) =
                        stored.map_or((0, 0), |head| (head.version, head.records));
                    (row.version, row.records) = (version.wrapping_add(1), records + 1);
                }
                let newer = stored.is_none_or(|stored| {
                    (row.event_ms, row.version) > (stored.event_ms, stored.version)
                });
                if newer {
                    if self.online.is_some() {
                        let bytes = row.without_state().to_bytes();
                        unpublished.insert(target.as_str(), bytes.as_slice())?;
                    }
                    // What no function and no evaluator reads again need not be here as well as online.
                    if self.online.is_none() || !*follows {
                        features.insert(target.as_str(), row.to_bytes().as_slice())?;
                    }
                    heads.insert(target.as_str(), row.head().to_bytes().as_slice())?;
                    if self.keeps_history {
                        number += 1;
                        history.insert(number, codec::history_to_bytes(target, row).as_slice())?;
                    }
                }
                for number in used {
                    events.remove((target.as_str(), *number))?;
                }
                written.push(newer);
            }
            Ok(written)
        })?;
        self.wrote.notify_one();
        Ok(written)
    }

    /// Keeps what was reported for a query; false where the query's error is known already.
    pub(super) fn report(&self, query_id: &str, report: &Report) -> Result<bool> {
        self.change("write", |transaction| {
            let mut table = transaction.open_table(FEEDBACK)?;
            if table.get(query_id)?.is_some() {
                return Ok(false);
            }
            table.insert(query_id, report.to_bytes().as_slice())?;
            Ok(true)
        })
    }

    /// Forgets what was reported before this time.
    pub(super) fn forget_reports(&self, before_ms: u64) -> Result<()> {
        self.change("clean up", |transaction| {
            let mut table = transaction.open_table(FEEDBACK)?;
            table.retain(|_, bytes| {
                Report::reported_ms(bytes).is_some_and(|at_ms| at_ms >= before_ms)
            })?;
            Ok(())
        })
    }

    /// The oldest rows that are in no segment yet.
    pub(super) fn unexported(&self, most: usize) -> Result<Vec<(u64, Written)>> {
        let found = self.look(|transaction| {
            let table = transaction.open_table(HISTORY)?;
            let mut found = Vec::new();
            for entry in table.iter()?.take(most + 1) {
                let (number, bytes) = entry?;
                // An empty value stands where the last one was that was moved out, so that numbers go on from there.
                if !bytes.value().is_empty() {
                    found.push((number.value(), codec::history_from_bytes(bytes.value())));
                }
            }
            Ok(found)
        })?;
        let rows = found
            .into_iter()
            .take(most)
            .map(|(number, row)| Ok((number, self.known(row)?)));
        rows.collect()
    }

    /// Rows up to this number are in segments.
    pub(super) fn exported(&self, last: u64) -> Result<()> {
        self.change("write", |transaction| {
            let mut table = transaction.open_table(HISTORY)?;
            table.retain_in(..=last, |_, _| false)?;
            table.insert(last, [].as_slice())?;
            Ok(())
        })
    }

    /// How many keys have features.
    pub(super) fn rows(&self) -> Result<u64> {
        self.look(|transaction| Ok(transaction.open_table(HEADS)?.len()?))
    }

    /// What a start has to know, in order: heads of features, events that wait, feedback.
    pub(super) fn all(
        &self,
        mut head: impl FnMut(&str, Head),
        mut event: impl FnMut(&str, u64, Judgement),
        mut report: impl FnMut(Report),
    ) -> Result<()> {
        let whole = self.look(|transaction| {
            let mut whole = true;
            for entry in transaction.open_table(HEADS)?.iter()? {
                let (target, bytes) = entry?;
                match Head::from_bytes(bytes.value()) {
                    Some(known) => head(target.value(), known),
                    None => whole = false,
                }
            }
            for entry in transaction.open_table(EVENTS)?.iter()? {
                let (place, bytes) = entry?;
                let (target, number) = place.value();
                match codec::judgement(bytes.value()) {
                    Some(known) => event(target, number, known),
                    None => whole = false,
                }
            }
            for entry in transaction.open_table(FEEDBACK)?.iter()? {
                let (_, bytes) = entry?;
                match Report::from_bytes(bytes.value()) {
                    Some(known) => report(known),
                    None => whole = false,
                }
            }
            Ok(whole)
        })?;
        self.known(whole.then_some(()))
    }

    pub(super) fn known<T>(&self, row: Option<T>) -> Result<T> {
        let why = "a row is not what this version writes: restore the file, or move it away";
        row.ok_or_else(|| Error::new(Kind::Corrupt, "read", &self.name, why))
    }
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
