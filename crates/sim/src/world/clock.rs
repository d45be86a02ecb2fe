//! The clock of one process: the simulation's, ahead or behind, and standing still with its process.

use super::gate::Gate;
use async_trait::async_trait;
use skyfresh_sky::{Clock, Timestamp, VirtualClock};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// How far a process's clock is ahead (or, negative, behind), in ms. Changes take effect at once, as a step of NTP does.
#[derive(Debug, Default)]
pub(crate) struct Skew(AtomicI64);

impl Skew {
    pub(crate) fn set_ms(&self, ms: i64) {
        self.0.store(ms, Ordering::SeqCst);
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct ProcessClock {
    pub(crate) clock: VirtualClock,
    pub(crate) skew: Arc<Skew>,
    pub(crate) gate: Arc<Gate>,
}

#[async_trait]
impl Clock for ProcessClock {
    fn now(&self) -> Timestamp {
        let now = self.clock.now();
        match self.skew.0.load(Ordering::SeqCst) {
            ahead @ 0.. => now.after(Duration::from_millis(ahead.unsigned_abs())),
            behind => now.before(Duration::from_millis(behind.unsigned_abs())),
        }
    }

    fn monotonic_ns(&self) -> u64 {
        self.clock.monotonic_ns()
    }

    async fn sleep(&self, delay: Duration) {
        self.clock.sleep(delay).await;
        self.gate.pass().await;
    }
}
