//! A node: carries out the programs of its owner, and ends when told to, when its owner is not heard of, or when its life is over.
//!
//! ```text
//!                    ┌───────────────── one route (one tree) ──────────────────┐
//!  previous hop ═══► │ receive ─► tee ─┬─► hop queue ═══ n connections ═══════►│ next hop
//!   (n connections)  │   │             ├─► hop queue ═══ n connections ═══════►│ next hop
//!   ◄─ taken, credit │   └ space       └─► open ─► decompress ─► write ─► sink │
//!   ◄─ written, failed (from here, and from the hops below)                    │
//!                    └─────────────────────────────────────────────────────────┘
//! ```
//!
//! A chunk takes space in its route's queue (`queue_chunks` × `chunk_bytes`) before its payload is read from the wire or the
//! source, and keeps it until every hop and writer is done with it; only then does the previous hop get credit for it. So
//! memory is bounded, a full queue anywhere reaches the reader, and routes cannot block each other. Bytes are shared, not copied.

mod boot;
mod control;
mod flow;
mod hop;
mod item;
mod message;
mod queue;
mod read;
mod receive;
mod reverse;
mod steps;
mod write;

pub use boot::{Boot, PROTOCOL, Timing};
pub(crate) use message::{Assignment, Order, Report, Usage, decode, encode};

use crate::chunk::Edges;
use crate::crypto::{Endpoint, Sealer};
use crate::frame::{Frame, Purpose, read_frame};
use crate::{Error, JobId, Result, TreeId};
use flow::Flow;
use queue::Queue;
use skyfresh_sky::{Clock, Kind, timeout};
use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Callers that may be greeting at once; more wait in the listener's backlog.
const GREETINGS_AT_ONCE: usize = 256;

/// Why a node ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its owner, or whoever runs it, said so.
    Told,
    /// Its owner was not heard of for [`Timing::lease_ms`].
    OwnerSilent,
    /// [`Timing::max_life_ms`] passed.
    TooOld,
}

/// What all of a node's parts share.
pub(crate) struct Shared {
    pub(crate) endpoint: Endpoint,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) edges: Arc<dyn Edges>,
    pub(crate) timing: Timing,
    pub(crate) reports: Queue<Report>,
    pub(crate) counters: item::Counters,
    /// Sealing, opening and compressing at once.
    pub(crate) processors: Arc<Semaphore>,
    pub(crate) written: write::Written,
    pub(crate) steps: Arc<steps::Steps>,
    stop: CancellationToken,
    sealer: Mutex<Option<Arc<Sealer>>>,
    flows: Mutex<HashMap<TreeId, Arc<Flow>>>,
    owner_heard_ns: AtomicU64,
    owner_connection: Mutex<CancellationToken>,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn job(&self) -> JobId {
        self.endpoint.identity().job
    }

    fn flow(&self, tree: TreeId) -> Option<Arc<Flow>> {
        lock(&self.flows).get(&tree).cloned()
    }

    pub(crate) fn link_timeout(&self) -> Duration {
        Duration::from_millis(self.timing.link_timeout_ms)
    }

    pub(crate) fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.timing.heartbeat_ms)
    }
}

/// A node that listens.
pub struct Relay {
    shared: Arc<Shared>,
    listener: TcpListener,
    address: SocketAddr,
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Relay {
    /// Listens. Nothing is done for anybody before the owner's program has come.
    ///
    /// # Errors
    /// `Invalid` for an identity that cannot be used; `RetryAfter` where the address cannot be listened on.
    pub async fn bind(boot: Boot, edges: Arc<dyn Edges>, clock: Arc<dyn Clock>) -> Result<Relay> {
        boot.timing.validate()?;
        let listener = TcpListener::bind(&boot.listen)
            .await
            .map_err(|error| Error::io("listen", &boot.listen, error))?;
        let address = listener
            .local_addr()
            .map_err(|error| Error::io("listen", &boot.listen, error))?;
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        let shared = Shared {
            endpoint: Endpoint::new(boot.identity, boot.security)?,
            owner_heard_ns: AtomicU64::new(clock.monotonic_ns()),
            clock,
            edges,
            timing: boot.timing,
            reports: Queue::default(),
            counters: item::Counters::default(),
            processors: Arc::new(Semaphore::new(processors)),
            written: write::Written::default(),
            steps: Arc::default(),
            stop: CancellationToken::new(),
            sealer: Mutex::default(),
            flows: Mutex::default(),
            owner_connection: Mutex::default(),
        };
        Ok(Relay {
            shared: Arc::new(shared),
            listener,
            address,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until it ends. Everything it started has been told to stop when this returns; dropped, it stops likewise.
    pub async fn run(self, stop: CancellationToken) -> End {
        // Whatever way this future ends, nothing of the node goes on.
        let _stopped = self.shared.stop.clone().drop_guard();
        let born_ns = self.shared.clock.monotonic_ns();
        let end = tokio::select! {
            () = stop.cancelled() => End::Told,
            () = self.shared.stop.cancelled() => End::Told,
            end = self.shared.watch_owner(born_ns) => end,
            () = accept(&self.shared, &self.listener) => End::Told,
        };
        for (_, flow) in lock(&self.shared.flows).drain() {
            flow.stop.cancel();
        }
        tracing::debug!(node = %self.shared.endpoint.identity().node, ?end, "relay ends");
        end
    }
}

async fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    let greetings = Arc::new(Semaphore::new(GREETINGS_AT_ONCE));
    loop {
        let Ok(permit) = Arc::clone(&greetings).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let serving = serve(Arc::clone(shared), stream, permit);
                let stop = shared.stop.clone();
                tokio::spawn(stop.run_until_cancelled_owned(serving));
            }
            Err(error) => {
                // Out of file descriptors, most likely: others must end before more can be taken.
                tracing::warn!(%error, "a caller could not be taken");
                shared.clock.sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(
    shared: Arc<Shared>,
    stream: TcpStream,
    greeting: tokio::sync::OwnedSemaphorePermit,
) {
    let greeted = timeout(&*shared.clock, shared.link_timeout(), async {
        let (mut reader, writer, peer) = shared.endpoint.answer(stream).await?;
        match read_frame(&mut *reader, false).await? {
            Frame::Hello(hello) => Ok((reader, writer, peer, hello)),
            _ => Err(Error::new(
                Kind::Denied,
                "answer",
                "a caller that does not greet",
            )),
        }
    });
    let result = match greeted.await {
        Some(Ok((reader, writer, peer, hello))) => {
            drop(greeting);
            let identity = shared.endpoint.identity();
            if hello.job != identity.job
                || hello.token != identity.token
                || hello.to != identity.node
            {
                Err(Error::new(
                    Kind::Denied,
                    "answer",
                    "a caller of another job, or for another node",
                ))
            } else {
                match hello.purpose {
                    Purpose::Control => control::serve(&shared, reader, writer, &peer).await,
                    Purpose::Hop {
                        from,
                        tree,
                        connections,
                    } => {
                        receive::serve(&shared, reader, writer, &peer, &from, tree, connections)
                            .await
                    }
                }
            }
        }
        Some(Err(error)) => Err(error),
        None => Err(Error::new(
            Kind::Denied,
            "answer",
            "a caller that says nothing",
        )),
    };
    if let Err(error) = result {
        tracing::debug!(node = %shared.endpoint.identity().node, %error, "connection ends");
    }
}

impl Shared {
    pub(crate) fn hear_owner(&self) {
        self.owner_heard_ns
            .store(self.clock.monotonic_ns(), Ordering::Relaxed);
    }

    async fn watch_owner(&self, born_ns: u64) -> End {
        let ns = |ms: u64| ms.saturating_mul(1_000_000);
        loop {
            self.clock.sleep(self.heartbeat()).await;
            let now_ns = self.clock.monotonic_ns();
            let heard_ns = self.owner_heard_ns.load(Ordering::Relaxed);
            if now_ns.saturating_sub(born_ns) > ns(self.timing.max_life_ms) {
                return End::TooOld;
            }
            if now_ns.saturating_sub(heard_ns) > ns(self.timing.lease_ms) {
                return End::OwnerSilent;
            }
        }
    }
}

#[cfg(test)]
mod tests;
