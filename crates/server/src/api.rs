//! What every handler shares.

use crate::ServerOptions;
use crate::metrics::Counters;
use skyfresh_engine::Engine;
use skyfresh_sky::Clock;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The state behind the routes.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) engine: Arc<Engine>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: ServerOptions,
    pub(crate) counters: Counters,
    /// Cancelled at shutdown: long polls answer then instead of holding it up.
    pub(crate) stop: CancellationToken,
    started_ns: u64,
}

impl Api {
    pub(crate) fn new(
        engine: Arc<Engine>,
        clock: Arc<dyn Clock>,
        options: ServerOptions,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let started_ns = clock.monotonic_ns();
        Arc::new(Api {
            engine,
            clock,
            options,
            counters: Counters::default(),
            stop,
            started_ns,
        })
    }

    /// How long this server has run.
    pub(crate) fn uptime(&self) -> Duration {
        Duration::from_nanos(self.clock.monotonic_ns().saturating_sub(self.started_ns))
    }
}
