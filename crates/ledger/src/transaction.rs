//! What the logic needs of a backend: ordered maps of bytes, read at one instant, changed in one step.
//!
//! [`Staged`] keeps changes in memory over a base that only reads. A backend runs one operation, or a batch of them, over
//! one `Staged`, then applies what it holds in one transaction of its own. An operation that fails is undone alone.

use crate::tables::Table;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::ops::Bound;

/// A row: key and value.
pub(crate) type Row = (Vec<u8>, Vec<u8>);

/// Keys from `from` (inclusive) to `to` (exclusive).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span<'a> {
    pub(crate) from: &'a [u8],
    pub(crate) to: &'a [u8],
}

/// Reads of one consistent state.
pub trait Read {
    /// The operation under way, for messages.
    fn operation(&self) -> &'static str;

    /// A row's value.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// Calls `visit` with the rows from `from` (inclusive) to `to` (exclusive), the last first where `reverse`, until it
    /// returns false.
    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        reverse: bool,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<()>;
}

/// Reads that see their own changes.
pub trait Transaction: Read {
    /// Sets a row.
    fn put(&mut self, table: Table, key: Vec<u8>, value: Vec<u8>) -> Result<()>;

    /// Removes a row; none there is not an error.
    fn delete(&mut self, table: Table, key: Vec<u8>) -> Result<()>;

    /// Tells that a task may have become claimable: once the change is durable, waiters are woken.
    fn wake(&mut self);
}

impl dyn Read + '_ {
    /// At most `limit` rows of `span`.
    pub(crate) fn rows(
        &self,
        table: Table,
        span: Span<'_>,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        if limit > 0 {
            self.scan(table, span.from, span.to, reverse, &mut |key, value| {
                rows.push((key.to_vec(), value.to_vec()));
                rows.len() < limit
            })?;
        }
        Ok(rows)
    }

    /// The span's first row.
    pub(crate) fn first(&self, table: Table, span: Span<'_>) -> Result<Option<Row>> {
        Ok(self.rows(table, span, false, 1)?.pop())
    }
}

/// A row's new value; `None` is a removal.
pub(crate) type Change = Option<Vec<u8>>;

/// Changes of one table, by key.
pub(crate) type Changes = BTreeMap<Vec<u8>, Change>;

/// A transaction kept in memory over a base that only reads.
pub(crate) struct Staged<'base> {
    base: &'base dyn Read,
    operation: &'static str,
    changes: Vec<Changes>,
    /// What to restore if the operation under way fails: the change before, where there was one.
    undo: Vec<(Table, Vec<u8>, Option<Change>)>,
    wake: bool,
}

impl<'base> Staged<'base> {
    pub(crate) fn new(base: &'base dyn Read) -> Self {
        Staged {
            operation: base.operation(),
            base,
            changes: vec![Changes::new(); Table::ALL.len()],
            undo: Vec::new(),
            wake: false,
        }
    }

    /// Runs one operation: its changes stay if it succeeds, and are undone if it fails.
    pub(crate) fn run<T>(
        &mut self,
        operation: &'static str,
        body: impl FnOnce(&mut dyn Transaction) -> Result<T>,
    ) -> Result<T> {
        let wake_before = self.wake;
        self.operation = operation;
        self.undo.clear();
        let result = body(self);
        if result.is_err() {
            self.wake = wake_before;
            while let Some((table, key, before)) = self.undo.pop() {
                match before {
                    Some(change) => self.changes[table as usize].insert(key, change),
                    None => self.changes[table as usize].remove(&key),
                };
            }
        }
        result
    }

    /// How many rows there are to write.
    pub(crate) fn rows(&self) -> usize {
        self.changes.iter().map(Changes::len).sum()
    }

    /// The changes by table, and whether to wake waiters.
    pub(crate) fn into_changes(self) -> (Vec<(Table, Changes)>, bool) {
        let changes = Table::ALL
            .into_iter()
            .zip(self.changes)
            .filter(|(_, changes)| !changes.is_empty());
        (changes.collect(), self.wake)
    }

    fn change(&mut self, table: Table, key: Vec<u8>, value: Change) {
        let before = self.changes[table as usize].insert(key.clone(), value);
        self.undo.push((table, key, before));
    }
}

impl Read for Staged<'_> {
    fn operation(&self) -> &'static str {
        self.operation
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self.changes[table as usize].get(key) {
            Some(change) => Ok(change.clone()),
            None => self.base.get(table, key),
        }
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        reverse: bool,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<()> {
        if from >= to {
            return Ok(());
        }
        let changes = self.changes[table as usize]
            .range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)))
            .map(|(key, value)| (key.as_slice(), value.as_deref()));
        let mut ascending = changes.clone();
        let mut descending = changes.rev();
        let mut next = move || {
            if reverse {
                descending.next()
            } else {
                ascending.next()
            }
        };
        // Merge: a changed row stands before the base's rows that follow it, and replaces or hides its own.
        let mut change = next();
        let mut wanted = true;
        self.base
            .scan(table, from, to, reverse, &mut |key, value| {
                while let Some((changed, new)) = change {
                    if changed != key && (changed < key) == reverse {
                        break;
                    }
                    change = next();
                    if let Some(new) = new {
                        wanted = visit(changed, new);
                    }
                    if !wanted || changed == key {
                        return wanted;
                    }
                }
                wanted = visit(key, value);
                wanted
            })?;
        while let (true, Some((changed, new))) = (wanted, change) {
            change = next();
            if let Some(new) = new {
                wanted = visit(changed, new);
            }
        }
        Ok(())
    }
}

impl Transaction for Staged<'_> {
    fn put(&mut self, table: Table, key: Vec<u8>, value: Vec<u8>) -> Result<()> {
        self.change(table, key, Some(value));
        Ok(())
    }

    fn delete(&mut self, table: Table, key: Vec<u8>) -> Result<()> {
        self.change(table, key, None);
        Ok(())
    }

    fn wake(&mut self) {
        self.wake = true;
    }
}

/// A counter in `meta`; 0 where there is none yet.
pub(crate) fn read_counter(read: &dyn Read, name: &[u8]) -> Result<u64> {
    let Some(value) = read.get(Table::Meta, name)? else {
        return Ok(0);
    };
    let bytes: [u8; 8] = value.as_slice().try_into().map_err(|_| -> Error {
        crate::tables::corrupt(read.operation(), Table::Meta, name, "a counter has 8 bytes")
    })?;
    Ok(u64::from_be_bytes(bytes))
}

/// Sets a counter in `meta`.
pub(crate) fn write_counter(
    transaction: &mut dyn Transaction,
    name: &[u8],
    value: u64,
) -> Result<()> {
    transaction.put(Table::Meta, name.to_vec(), value.to_be_bytes().to_vec())
}
