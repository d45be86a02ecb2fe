//! A machine that is ours until it is given back, and patience with a cloud.

use crate::{Cloud, Machine};
use skyfresh_relay::{Error, Result};
use skyfresh_sky::{Clock, Kind, Region};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long giving back is tried, and between two tries.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(2);

/// Dropped, it gives the machine back.
pub(super) struct Lease {
    cloud: Arc<dyn Cloud>,
    clock: Arc<dyn Clock>,
    region: Region,
    id: String,
    over: AtomicBool,
}

impl Lease {
    pub(super) fn of(machine: &Machine, cloud: Arc<dyn Cloud>, clock: Arc<dyn Clock>) -> Self {
        Lease {
            cloud,
            clock,
            region: machine.region.clone(),
            id: machine.id.clone(),
            over: AtomicBool::new(false),
        }
    }

    /// Gives the machine back, once.
    pub(super) async fn end(&self) {
        if !self.over.swap(true, Ordering::AcqRel) {
            give_back(&*self.cloud, &*self.clock, &self.region, &self.id).await;
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.over.swap(true, Ordering::AcqRel) {
            return;
        }
        let (cloud, clock) = (Arc::clone(&self.cloud), Arc::clone(&self.clock));
        let (region, id) = (self.region.clone(), self.id.clone());
        // Without a runtime this process is ending: the machine does, too, when its relay notices.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { give_back(&*cloud, &*clock, &region, &id).await });
        }
    }
}

async fn give_back(cloud: &dyn Cloud, clock: &dyn Clock, region: &Region, id: &str) {
    let deadline_ns = clock.monotonic_ns() + PATIENCE.as_nanos() as u64;
    let done = patiently(clock, deadline_ns, PAUSE, || cloud.terminate(region, id)).await;
    if let Err(error) = done {
        tracing::warn!(
            id, %region, %error,
            "a rented machine could not be given back: it ends by itself after its longest life; sooner by skyfresh relay rm"
        );
    }
}

/// Tries again while the answer is "not now", until `deadline_ns` has passed; the last error then.
pub(super) async fn patiently<T, F: Future<Output = Result<T, Error>>>(
    clock: &dyn Clock,
    deadline_ns: u64,
    pause: Duration,
    attempt: impl Fn() -> F,
) -> Result<T> {
    loop {
        match attempt().await {
            Err(error)
                if error.kind == Kind::RetryAfter
                    && clock.monotonic_ns() + (pause.as_nanos() as u64) < deadline_ns =>
            {
                tracing::debug!(%error, "not yet");
                clock.sleep(pause).await;
            }
            outcome => return outcome,
        }
    }
}
