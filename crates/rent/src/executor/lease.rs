//! A machine that is ours until it is given back, and patience with a cloud.

use crate::{Cloud, Machine};
use skyfresh_relay::{Error, Result};
use skyfresh_sky::{Clock, Kind, Region};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio_util::task::TaskTracker;

/// How long giving back is tried, and between two tries.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(2);
/// How long whoever waits hears nothing.
const TELLING: Duration = Duration::from_secs(45);

/// Dropped, it gives the machine back.
pub(super) struct Lease {
    cloud: Arc<dyn Cloud>,
    clock: Arc<dyn Clock>,
    /// What goes on after whoever began it is gone; the executor waits for it.
    tasks: TaskTracker,
    region: Region,
    id: String,
    over: OnceCell<()>,
}

impl Lease {
    pub(super) fn of(
        machine: &Machine,
        cloud: Arc<dyn Cloud>,
        clock: Arc<dyn Clock>,
        tasks: TaskTracker,
    ) -> Self {
        Lease {
            cloud,
            clock,
            tasks,
            region: machine.region.clone(),
            id: machine.id.clone(),
            over: OnceCell::new(),
        }
    }

    /// Gives the machine back, and returns when that is done, whoever began it. Broken off, it is begun again.
    pub(super) async fn end(&self) {
        let give_back = || give_back(&*self.cloud, &*self.clock, &self.region, &self.id);
        self.over.get_or_init(give_back).await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.over.initialized() {
            return;
        }
        let (cloud, clock) = (Arc::clone(&self.cloud), Arc::clone(&self.clock));
        let (region, id) = (self.region.clone(), self.id.clone());
        // Without a runtime this process is ending: the machine does, too, when its relay notices.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let giving = async move { give_back(&*cloud, &*clock, &region, &id).await };
            self.tasks.spawn_on(giving, &runtime);
        }
    }
}

pub(super) async fn give_back(cloud: &dyn Cloud, clock: &dyn Clock, region: &Region, id: &str) {
    let deadline_ns = clock.monotonic_ns() + PATIENCE.as_nanos() as u64;
    let attempt = || async {
        cloud.terminate(region, id).await.map_err(|error| {
            // One that was rented just now may not be known everywhere yet, and would be left.
            let kind = match error.kind {
                Kind::Missing => Kind::RetryAfter,
                kind => kind,
            };
            Error { kind, ..error }
        })
    };
    if let Err(error) = patiently(clock, deadline_ns, PAUSE, attempt).await {
        tracing::warn!(
            id, %region, %error,
            "a rented machine could not be given back: it ends by itself after its longest life; sooner by skyfresh relay rm"
        );
    }
}

/// Tries again while the answer is "not now", until `deadline_ns` has passed; the last error then. Whoever waits long is told for what.
pub(super) async fn patiently<T, F: Future<Output = Result<T, Error>>>(
    clock: &dyn Clock,
    deadline_ns: u64,
    pause: Duration,
    attempt: impl Fn() -> F,
) -> Result<T> {
    let mut told_ns = clock.monotonic_ns();
    loop {
        let outcome = attempt().await;
        let now_ns = clock.monotonic_ns();
        match outcome {
            Err(error)
                if error.kind == Kind::RetryAfter
                    && now_ns + (pause.as_nanos() as u64) < deadline_ns =>
            {
                if now_ns.saturating_sub(told_ns) >= TELLING.as_nanos() as u64 {
                    told_ns = now_ns;
                    let left_s = (deadline_ns - now_ns) / 1_000_000_000;
                    tracing::warn!(%error, "still waiting, for {left_s} s more at most");
                } else {
                    tracing::debug!(%error, "not yet");
                }
                clock.sleep(pause).await;
            }
            outcome => return outcome,
        }
    }
}
