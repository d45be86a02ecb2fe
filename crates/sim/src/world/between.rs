//! What lies between two stores when one of them copies from the other by itself.
//!
//! In: a copy's source. Out: the time its bytes take from store to store, and what they cost. Never: passes what the source's
//! own trouble would stop: whatever is wrong with its heads is wrong with copies from it.

use super::Sim;
use skyfresh_sky::{Clock, ObjectKey, Region};
use skyfresh_store::memory::MemoryStore;
use skyfresh_store::{ObjectStore, Result};
use std::sync::Arc;
use std::time::Duration;

/// See the module.
#[derive(Debug)]
pub(super) struct BetweenStores {
    /// The whole bucket that is read.
    pub(super) source: Arc<MemoryStore>,
    pub(super) key: ObjectKey,
    /// What one copy carries, bytes per second: providers publish no rates of their own copies, so that of one connection.
    pub(super) bytes_per_s: f64,
    pub(super) sim: Arc<Sim>,
    pub(super) from: Region,
    pub(super) to: Region,
}

impl BetweenStores {
    /// Carries so many bytes; the whole object where it is not said.
    pub(super) async fn carry(&self, bytes: Option<u64>) -> Result<()> {
        let head = self.source.head(&self.key).await?;
        let bytes = bytes.unwrap_or(head.size);
        let takes = Duration::try_from_secs_f64(bytes as f64 / self.bytes_per_s);
        self.sim.clock.sleep(takes.unwrap_or(Duration::MAX)).await;
        self.sim.meter.moved(&self.from, &self.to, bytes);
        Ok(())
    }
}
