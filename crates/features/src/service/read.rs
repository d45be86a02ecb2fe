//! Rows for queries: from memory at once, from the store on threads that may block, from peers where they have the key.

use super::cache::Found as InMemory;
use super::encode::Cells;
use super::spread::{Absent, Found};
use super::view::{View, seconds};
use super::views::Service;
use crate::Result;
use std::sync::Arc;

/// The rows of keys, in their order, ready to be answered; `None` for a key without features.
pub(super) type Rows = Vec<Option<Arc<Cells>>>;

impl Service {
    /// The present features of keys, counted as queries. Waits only where a row is not in memory, and then blocks no thread that serves.
    pub(super) async fn query(self: &Arc<Self>, view: &Arc<View>, keys: &[String]) -> Result<Rows> {
        let mut rows = Vec::with_capacity(keys.len());
        let mut absent = Vec::new();
        for (place, key) in keys.iter().enumerate() {
            rows.push(match view.cache.get(key) {
                InMemory::Cells(cells) => Some(cells),
                InMemory::Absent(ticket) => {
                    let key = key.clone();
                    absent.push(Absent { place, key, ticket });
                    None
                }
            });
        }
        if !absent.is_empty() {
            for (place, cells) in self.fetch(view, absent).await? {
                rows[place] = Some(cells);
            }
        }
        if view.function.is_some() {
            // A key that nobody has data for is not remembered: queries must not fill the memory.
            view.ask(&rows, seconds(self.clock.as_ref()));
        }
        Ok(rows)
    }

    /// Reads rows out of the store, in one snapshot, and keeps them in memory. Blocks.
    pub(super) fn read(&self, view: &View, absent: &[Absent]) -> Result<Found> {
        let keys = absent.iter().map(|absent| absent.key.as_str());
        let rows = self.store.get_online(&view.spec.name, keys)?;
        let mut found = Vec::with_capacity(rows.len());
        for (Absent { place, key, ticket }, row) in absent.iter().zip(rows) {
            if let Some(row) = row {
                let cells = view.cells(key, &row);
                view.cache.read(key, *ticket, Arc::clone(&cells));
                found.push((*place, cells));
            }
        }
        Ok(found)
    }
}
