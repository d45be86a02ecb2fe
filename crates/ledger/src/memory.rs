//! A ledger in memory: for the simulator and tests, where nothing has to outlive the process.

use crate::backend::Backend;
use crate::model::Backlog;
use crate::tables::Table;
use crate::transaction::{Read, Staged, Transaction};
use crate::{Bell, Listener, Result, backend};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One map per table, under one lock. The same calls give the same answers: nothing in it depends on time, randomness or
/// which thread runs.
#[derive(Debug)]
pub struct MemoryLedger {
    tables: Mutex<Tables>,
    arrivals: Bell,
}

impl MemoryLedger {
    /// An empty ledger.
    pub fn new() -> Self {
        MemoryLedger {
            tables: Mutex::new(vec![BTreeMap::new(); Table::ALL.len()]),
            arrivals: Bell::new(),
        }
    }

    /// The backlog counted row by row, which also checks every counter and index. Takes as long as the backlog is.
    ///
    /// # Errors
    /// [`Kind::Corrupt`](skyfresh_sky::Kind::Corrupt) where a counter or an index disagrees with the tasks.
    pub async fn recount(&self, rule: &str, destination: &str) -> Result<Backlog> {
        backend::recount(self, rule, destination).await
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryLedger {
    fn default() -> Self {
        Self::new()
    }
}

type Tables = Vec<BTreeMap<Vec<u8>, Vec<u8>>>;

struct View<'tables> {
    tables: &'tables Tables,
    operation: &'static str,
}

impl Read for View<'_> {
    fn operation(&self) -> &'static str {
        self.operation
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.tables[table as usize].get(key).cloned())
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        reverse: bool,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<()> {
        if from < to {
            let mut rows = self.tables[table as usize]
                .range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)));
            while let Some((key, value)) = if reverse {
                rows.next_back()
            } else {
                rows.next()
            } {
                if !visit(key, value) {
                    break;
                }
            }
        }
        Ok(())
    }
}

impl Backend for MemoryLedger {
    async fn change<T: Send + 'static>(
        &self,
        operation: &'static str,
        step: impl FnOnce(&mut dyn Transaction) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut tables = self.lock();
        let view = View {
            tables: &tables,
            operation,
        };
        let mut staged = Staged::new(&view);
        let result = staged.run(operation, step)?;
        let (changes, wake) = staged.into_changes();
        for (table, rows) in changes {
            for (key, value) in rows {
                match value {
                    Some(value) => tables[table as usize].insert(key, value),
                    None => tables[table as usize].remove(&key),
                };
            }
        }
        drop(tables);
        if wake {
            self.arrivals.ring();
        }
        Ok(result)
    }

    async fn look<T: Send + 'static>(
        &self,
        operation: &'static str,
        step: impl FnOnce(&dyn Read) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        step(&View {
            tables: &self.lock(),
            operation,
        })
    }

    async fn scan<T: Send + 'static>(
        &self,
        operation: &'static str,
        step: impl FnOnce(&dyn Read) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.look(operation, step).await
    }

    fn wakes(&self) -> Listener {
        self.arrivals.listen()
    }
}

#[cfg(test)]
impl MemoryLedger {
    /// Sets a row behind the logic's back.
    pub(crate) fn put_raw(&self, table: Table, key: Vec<u8>, value: Vec<u8>) {
        self.lock()[table as usize].insert(key, value);
    }
}
