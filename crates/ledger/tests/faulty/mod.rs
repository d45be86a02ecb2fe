//! Processes that share documents through faults.

pub(crate) mod pools;
pub(crate) mod tasks;

use skyfresh_ledger::shared::{Faults, MemoryDocuments, Settings, SharedLedger};
use skyfresh_sky::{Rng, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The clock of all processes: a tick for each look.
#[derive(Debug, Default)]
pub(crate) struct Ticks(AtomicU64);

impl Ticks {
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(1_000 + self.0.fetch_add(1, Ordering::SeqCst))
    }

    /// Time passes.
    pub(crate) fn pass(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

/// A process: its handle, and its connection, which knows whether the process is dead.
pub(crate) struct Process {
    pub(crate) ledger: SharedLedger,
    pub(crate) documents: Arc<MemoryDocuments>,
}

impl Process {
    /// Starts one, which may die after some writes.
    pub(crate) async fn start(all: &MemoryDocuments, faults: Faults, rng: &Rng) -> Process {
        loop {
            let documents = Arc::new(all.another(faults, rng.fork()));
            let settings = Settings {
                task_shards: 3,
                ..Settings::default()
            };
            let opened = SharedLedger::open(documents.clone(), settings, rng.fork()).await;
            if let Ok(ledger) = opened {
                if rng.chance(0.7) && faults != Faults::default() {
                    documents.crash_after(rng.below(60));
                }
                return Process { ledger, documents };
            }
        }
    }
}

/// A bad network.
pub(crate) const FAULTS: Faults = Faults {
    lost_answer: 0.05,
    lost_request: 0.05,
    failed_read: 0.03,
    yields: 3,
};
