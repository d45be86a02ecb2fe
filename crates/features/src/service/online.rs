//! Rows for queries, elsewhere than in the file: what a store of them must be able to do, and how they get there.
//!
//! **In:** rows that the file's commits have. **Out:** the same rows in the online store. **Never:** a row acknowledged and lost because
//! the online store was away, or because the process died in between: rows wait in the file until they are there; a newer row replaced
//! by an older one, whatever the order in which they arrive.

use super::codec::Row;
use super::config::StoreAddress;
use super::store::Store;
use super::views::Service;
use crate::Result;
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
