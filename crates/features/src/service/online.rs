//! Rows for queries, elsewhere than in the file: what a store of them must be able to do, and how they get there.
//!
//! **In:** rows that the file's commits have. **Out:** the same rows in the online store. **Never:** a row acknowledged and lost because
//! the online store was away, or because the process died in between: rows wait in the file until they are there; a newer row replaced
//! by an older one, whatever the order in which they arrive.

use super::codec::{Head, Row};
use super::config::{FeaturesConfig, StoreAddress};
use super::store::{Store, UNPUBLISHED, target};
use super::views::Service;
use crate::Result;
use redb::{Durability, ReadableTable, ReadableTableMetadata};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Rows in one request at most.
pub(super) const BATCH: usize = 1_000;

/// How often rows that wait are looked for though nothing was written: those that could not be written before.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// A store of rows, by `view\0key`.
pub(super) trait OnlineRows: std::fmt::Debug + Send + Sync {
    /// Rows without what functions keep, in the order of the targets; `None` where there is none. Blocks.
    ///
    /// # Errors
    /// It cannot be reached, or holds what no version wrote.
    fn read(&self, targets: &[String]) -> Result<Vec<Option<Row>>>;

    /// Writes rows, each by itself, whole or not at all, and only where it is newer, by event time and then version, than what is there;
    /// for each whether it was. Blocks.
    ///
    /// # Errors
    /// It cannot be reached; some may be written.
    fn write(&self, rows: &[(String, Row)]) -> Result<Vec<bool>>;
}

impl Store {
    /// Opens what a configuration names: the file, and the online store, where that is another.
    ///
    /// # Errors
    /// Those of [`Store::open`]; the online store cannot be reached or refuses, or this build has none of its kind.
    pub fn of(config: &FeaturesConfig) -> Result<Self> {
        if !config.store.is_url() {
            return Self::open(config.store.as_str().as_ref());
        }
        let online = connect(&config.store, &config.project)?;
        let mut store = Self::open(config.journal.as_ref())?;
        store.put_online(online);
        Ok(store)
    }

    /// Features of several keys as queries get them.
    pub(super) fn get_online<'a>(
        &self,
        view: &str,
        keys: impl Iterator<Item = &'a str>,
    ) -> Result<Vec<Option<Row>>> {
        let Some(online) = self.online() else {
            return self.get_all(view, keys);
        };
        let targets: Vec<String> = keys.map(|key| target(view, key)).collect();
        // Rows are taken out of the table once they are online: who finds none here finds it there.
        let targets_here = targets.iter().map(String::as_str);
        let mut rows = self.rows_of(UNPUBLISHED, targets_here)?;
        let (mut places, mut absent) = (Vec::new(), Vec::new());
        for (place, target) in targets.into_iter().enumerate() {
            if rows[place].is_none() {
                places.push(place);
                absent.push(target);
            }
        }
        if !absent.is_empty() {
            for (place, row) in places.into_iter().zip(online.read(&absent)?) {
                rows[place] = row;
            }
        }
        Ok(rows)
    }

    /// How many rows are not online yet; `None` where there is no online store but the file.
    pub(super) fn waiting(&self) -> Result<Option<u64>> {
        if self.online().is_none() {
            return Ok(None);
        }
        let count = self.look(|transaction| Ok(transaction.open_table(UNPUBLISHED)?.len()?))?;
        Ok(Some(count))
    }

    /// Rows that are not online yet, after a target, in their order.
    pub(super) fn unpublished(&self, after: &str, most: usize) -> Result<Vec<(String, Row)>> {
        let found = self.look(|transaction| {
            let table = transaction.open_table(UNPUBLISHED)?;
            let after = (Bound::Excluded(after), Bound::Unbounded);
            let mut found = Vec::new();
            for entry in table.range::<&str>(after)?.take(most) {
                let (target, bytes) = entry?;
                found.push((target.value().to_owned(), Row::stateless(bytes.value())));
            }
            Ok(found)
        })?;
        let rows = found
            .into_iter()
            .map(|(target, row)| Ok((target, self.known(row)?)));
        rows.collect()
    }

    /// Rows are online: those of them that were not replaced since wait no more. Not flushed: after a crash they are written once more,
    /// which changes nothing.
    pub(super) fn published(&self, rows: &[(String, Row)]) -> Result<()> {
        self.change_with("write", Durability::None, |transaction| {
            let mut table = transaction.open_table(UNPUBLISHED)?;
            for (target, row) in rows {
                let waiting = table.get(target.as_str())?;
                let waiting = waiting.and_then(|bytes| Head::from_bytes(bytes.value()));
                if waiting == Some(row.head()) {
                    table.remove(target.as_str())?;
                }
            }
            Ok(())
        })
    }
}

/// Connects to the online store at a URL.
#[cfg(feature = "redis")]
pub(super) fn connect(address: &StoreAddress, project: &str) -> Result<Box<dyn OnlineRows>> {
    let rows = super::redis::RedisRows::connect(address.as_str(), project)?;
    Ok(Box::new(rows))
}

/// Says that there is none.
#[cfg(not(feature = "redis"))]
pub(super) fn connect(address: &StoreAddress, _project: &str) -> Result<Box<dyn OnlineRows>> {
    let why =
        "this program was built without Redis: build it with --features redis, or name a file";
    Err(crate::Error::new(
        skyfresh_sky::Kind::Unsupported,
        "open store",
        address.to_string(),
        why,
    ))
}

/// Writes rows that wait to the online store, where there is one; how many. Blocks.
pub(super) fn publish(store: &Store) -> Result<usize> {
    let Some(online) = store.online() else {
        return Ok(0);
    };
    let (mut published, mut after) = (0, String::new());
    loop {
        // From the last one on: rows that are written again and again hold up no others.
        let rows = store.unpublished(&after, BATCH)?;
        let Some((last, _)) = rows.last() else {
            return Ok(published);
        };
        after.clone_from(last);
        online.write(&rows)?;
        store.published(&rows)?;
        published += rows.len();
    }
}

impl Service {
    /// Writes rows that wait to the online store, where there is one; how many. Blocks.
    ///
    /// # Errors
    /// It cannot be reached: the rows go on waiting.
    pub fn publish(&self) -> Result<usize> {
        publish(&self.store)
    }

    /// Writes rows to the online store as they come, and at the end.
    pub(super) async fn publish_all(self: Arc<Self>, stop: CancellationToken) {
        while self.store.online().is_some() {
            let stopped = stop.is_cancelled();
            let service = Arc::clone(&self);
            let published = tokio::task::spawn_blocking(move || service.publish()).await;
            let failed = match published {
                Ok(Ok(_)) => false,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "rows wait in the file until the online store takes them");
                    true
                }
                Err(error) => {
                    tracing::error!(%error, "rows were not written to the online store");
                    true
                }
            };
            if stopped {
                return;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.store.wrote.notified(), if !failed => {}
                () = self.clock.sleep(RETRY_EVERY) => {}
            }
        }
    }
}

/// A row's place in the order in which rows replace each other: texts of 30 digits, the event's time and then the version, so that any
/// store can compare them.
#[cfg(any(feature = "redis", test))]
pub(super) fn order(row: &Row) -> String {
    let unsigned = (row.event_ms as u64) ^ (1 << 63);
    format!("{unsigned:020}{:010}", row.version)
}

/// Bytes that [`order`] takes.
#[cfg(any(feature = "redis", test))]
pub(super) const ORDER_BYTES: usize = 30;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    proptest! {
        #[test]
        fn texts_are_in_the_order_of_rows(a: (i64, u32), b: (i64, u32)) {
            let text = |(event_ms, version)| {
                let row = Row { event_ms, version, created_ms: 0, records: 0, features: Default::default(), state: Value::Null };
                order(&row)
            };
            prop_assert_eq!(text(a).cmp(&text(b)), a.cmp(&b));
            prop_assert_eq!(text(a).len(), ORDER_BYTES);
        }
    }
}
