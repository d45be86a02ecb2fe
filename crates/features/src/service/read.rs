//! Rows for queries: from memory at once, from the store on threads that may block, from peers where they have the key.

use super::cache::Found as InMemory;
use super::encode::Cells;
use super::spread::{Absent, Found, ended};
use super::view::{View, seconds};
use super::views::Service;
use crate::Result;
use std::sync::Arc;
use tokio::task::JoinSet;

/// The rows of a view's keys, in their order, ready to be answered; `None` for a key without features.
pub(super) type Rows = Vec<Option<Arc<Cells>>>;

/// What memory has of a view's keys, and what it has not.
fn remembered(view: &View, keys: &[String]) -> (Rows, Vec<Absent>) {
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
    (rows, absent)
}

impl Service {
    /// The present features of each view's keys, counted as queries. Waits only where a row is not in memory, and then blocks no thread
    /// that serves.
    pub(super) async fn query(
        self: &Arc<Self>,
        views: &[Arc<View>],
        keys: &[Vec<String>],
    ) -> Result<Vec<Rows>> {
        let mut found = Vec::with_capacity(views.len());
        let mut cold = Vec::new();
        for (index, (view, keys)) in views.iter().zip(keys).enumerate() {
            let (rows, absent) = remembered(view, keys);
            if !absent.is_empty() {
                cold.push((index, absent));
            }
            found.push(rows);
        }
        if !cold.is_empty() {
            // All views at once: the slowest store or peer is waited for, not one after the other.
            let mut fetching = JoinSet::new();
            for (index, absent) in cold {
                let (service, view) = (Arc::clone(self), Arc::clone(&views[index]));
                fetching.spawn(async move { (index, service.fetch(&view, absent).await) });
            }
            // Errors, too, are told once nothing is under way any more.
            let mut failure = None;
            while let Some(fetched) = fetching.join_next().await {
                let fetched = fetched.map_err(ended);
                match fetched.and_then(|(index, rows)| Ok((index, rows?))) {
                    Ok((index, rows)) => {
                        for (place, cells) in rows {
                            found[index][place] = Some(cells);
                        }
                    }
                    Err(error) => failure = Some(error),
                }
            }
            if let Some(error) = failure {
                return Err(error);
            }
        }
        self.count(views, &found);
        Ok(found)
    }

    /// The same, where all rows are in memory; otherwise `None`, and nothing is counted.
    pub(super) fn query_memory(
        &self,
        views: &[Arc<View>],
        keys: &[Vec<String>],
    ) -> Option<Vec<Rows>> {
        let mut found = Vec::with_capacity(views.len());
        for (view, keys) in views.iter().zip(keys) {
            let mut rows = Vec::with_capacity(keys.len());
            for key in keys {
                match view.cache.get(key) {
                    InMemory::Cells(cells) => rows.push(Some(cells)),
                    InMemory::Absent(_) => return None,
                }
            }
            found.push(rows);
        }
        self.count(views, &found);
        Some(found)
    }

    /// Tells schedulers what was asked for.
    fn count(&self, views: &[Arc<View>], found: &[Rows]) {
        for (view, rows) in views.iter().zip(found) {
            if view.function.is_some() {
                // A key that nobody has data for is not remembered: queries must not fill the memory.
                view.ask(rows, seconds(self.clock.as_ref()));
            }
        }
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
