//! What every handler shares.

use crate::ServerOptions;
use crate::metrics::Counters;
use crate::push::{KeySet, Seen};
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
    /// Signatures and message ids that were taken lately.
    pub(crate) seen: Seen,
    pub(crate) pubsub_keys: Option<KeySet>,
    pub(crate) event_grid_keys: Option<KeySet>,
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
        let keys = |url: &str| {
            let fetch = options.fetch_keys.clone();
            KeySet::new(url.to_owned(), fetch, Arc::clone(&clock))
        };
        let event_grid = options.event_grid.as_ref();
        Arc::new(Api {
            pubsub_keys: options.pubsub.as_ref().map(|rules| keys(&rules.keys_url)),
            event_grid_keys: event_grid
                .and_then(|rules| Some(keys(&rules.token.as_ref()?.keys_url))),
            engine,
            clock: Arc::clone(&clock),
            options,
            counters: Counters::default(),
            seen: Seen::default(),
            stop,
            started_ns,
        })
    }

    /// How long this server has run.
    pub(crate) fn uptime(&self) -> Duration {
        Duration::from_nanos(self.clock.monotonic_ns().saturating_sub(self.started_ns))
    }
}
