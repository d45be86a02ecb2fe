//! Rows in memory, ready to be answered. Readers wait for no commit: a write holds a lock of one part in 64 for as long as it
//! takes to replace a pointer.

use super::encode::Cells;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, PoisonError, RwLock};

const PARTS: usize = 64;

/// The rows of a view that were read or written last, up to a limit of memory.
#[derive(Debug)]
pub(super) struct Cache {
    hasher: RandomState,
    parts: Box<[RwLock<Part>]>,
    /// Of each part.
    limit_bytes: usize,
}

#[derive(Debug, Default)]
struct Part {
    rows: HashMap<Box<str>, Arc<Cells>>,
    bytes: usize,
    /// Counts writes, so that a row that was read before a write is not put in after it.
    writes: u64,
}

/// What was found, and what to show when a row is put where nothing was.
pub(super) enum Found {
    Cells(Arc<Cells>),
    Absent(Ticket),
}

/// The number of writes at the time of a look.
#[derive(Clone, Copy)]
pub(super) struct Ticket(u64);

impl Cache {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Cache {
            hasher: RandomState::new(),
            parts: (0..PARTS).map(|_| RwLock::default()).collect(),
            limit_bytes: limit_bytes / PARTS,
        }
    }

    fn part(&self, key: &str) -> &RwLock<Part> {
        &self.parts[self.hasher.hash_one(key) as usize % PARTS]
    }

    pub(super) fn get(&self, key: &str) -> Found {
        let part = self
            .part(key)
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        match part.rows.get(key) {
            Some(cells) => Found::Cells(Arc::clone(cells)),
            None => Found::Absent(Ticket(part.writes)),
        }
    }

    /// A row was read from the store after [`Cache::get`] found none.
    pub(super) fn read(&self, key: &str, ticket: Ticket, cells: Arc<Cells>) {
        let mut part = self
            .part(key)
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if part.writes == ticket.0 {
            part.put(key, cells, self.limit_bytes);
        }
    }

    /// A row was written to the store.
    pub(super) fn written(&self, key: &str, cells: Arc<Cells>) {
        let mut part = self
            .part(key)
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        part.writes += 1;
        let newer = part
            .rows
            .get(key)
            .is_none_or(|old| (cells.event_ms, cells.version) > (old.event_ms, old.version));
        if newer {
            part.put(key, cells, self.limit_bytes);
        }
    }
}

impl Part {
    fn put(&mut self, key: &str, cells: Arc<Cells>, limit_bytes: usize) {
        let size = |key: &str, cells: &Cells| 2 * key.len() + cells.bytes() + 64;
        self.bytes += size(key, &cells);
        if let Some(old) = self.rows.insert(key.into(), cells) {
            self.bytes -= size(key, &old);
        }
        while self.bytes > limit_bytes && self.rows.len() > 1 {
            // Which goes is as good as random: the table's order is that of a seeded hash.
            let Some(other) = self.rows.keys().find(|other| ***other != *key).cloned() else {
                break;
            };
            if let Some(old) = self.rows.remove(&other) {
                self.bytes -= size(&other, &old);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::codec::Row;
    use super::*;
    use serde_json::Value;

    fn cells(version: u32) -> Arc<Cells> {
        let row = Row {
            event_ms: 0,
            version,
            created_ms: 0,
            records: 0,
            features: Default::default(),
            state: Value::Null,
        };
        Arc::new(Cells::of(&row, &[], None))
    }

    fn version(cache: &Cache, key: &str) -> Option<u32> {
        match cache.get(key) {
            Found::Cells(cells) => Some(cells.version),
            Found::Absent(_) => None,
        }
    }

    #[test]
    fn what_was_read_before_a_write_never_replaces_it() {
        let cache = Cache::new(1 << 20);
        let Found::Absent(ticket) = cache.get("k") else {
            panic!("it is empty");
        };
        cache.written("k", cells(2));
        cache.read("k", ticket, cells(1));
        assert_eq!(version(&cache, "k"), Some(2));
        cache.written("k", cells(1));
        assert_eq!(
            version(&cache, "k"),
            Some(2),
            "an older row replaces nothing"
        );
        let Found::Absent(ticket) = cache.get("other") else {
            panic!("it is not there");
        };
        cache.read("other", ticket, cells(1));
        assert_eq!(version(&cache, "other"), Some(1));
    }

    #[test]
    fn memory_is_bounded_and_the_newest_stays() {
        let cache = Cache::new(PARTS * 2_000);
        for key in 0..10_000u32 {
            cache.written(&key.to_string(), cells(1));
            assert_eq!(version(&cache, &key.to_string()), Some(1));
        }
        let part = |part: &RwLock<Part>| {
            let part = part.read().unwrap();
            assert!(
                part.bytes <= 2_000 && !part.rows.is_empty(),
                "{}",
                part.bytes
            );
        };
        cache.parts.iter().for_each(part);
    }
}
