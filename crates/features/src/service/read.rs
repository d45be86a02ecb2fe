//! Rows for queries: from memory at once, from the store on threads that may block.

use super::cache::{Found, Ticket};
use super::encode::Cells;
use super::view::{View, seconds};
use super::views::Service;
use crate::{Error, Result};
use skyfresh_sky::Kind;
use std::sync::Arc;

/// The rows of keys, in their order, ready to be answered; `None` for a key without features.
pub(super) type Rows = Vec<Option<Arc<Cells>>>;

/// A key that memory has no row of.
struct Absent {
    /// Its place among the keys asked for.
    place: usize,
    key: String,
    ticket: Ticket,
}

impl Service {
    /// The present features of keys, counted as queries. Waits only where a row is not in memory, and then blocks no thread that serves.
    pub(super) async fn query(self: &Arc<Self>, view: &Arc<View>, keys: &[String]) -> Result<Rows> {
        let mut rows = Vec::with_capacity(keys.len());
        let mut absent = Vec::new();
        for (place, key) in keys.iter().enumerate() {
            rows.push(match view.cache.get(key) {
                Found::Cells(cells) => Some(cells),
                Found::Absent(ticket) => {
                    let key = key.clone();
                    absent.push(Absent { place, key, ticket });
                    None
                }
            });
        }
        if !absent.is_empty() {
            let (service, view) = (Arc::clone(self), Arc::clone(view));
            let reading = tokio::task::spawn_blocking(move || service.read(&view, absent));
            let read = reading.await.map_err(|error| {
                Error::new(Kind::Internal, "read", "features", error.to_string())
            })??;
            for (place, cells) in read {
                rows[place] = Some(cells);
            }
        }
        if view.function.is_some() {
            // A key that nobody has data for is not remembered: queries must not fill the memory.
            let asked = rows.iter().flatten().filter_map(|cells| cells.key);
            view.ask(asked, seconds(self.clock.as_ref()));
        }
        Ok(rows)
    }

    /// Reads rows out of the store, in one snapshot, and keeps them in memory; those that are there, with their places. Blocks.
    fn read(&self, view: &View, absent: Vec<Absent>) -> Result<Vec<(usize, Arc<Cells>)>> {
        let keys = absent.iter().map(|absent| absent.key.as_str());
        let rows = self.store.get_all(&view.spec.name, keys)?;
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
