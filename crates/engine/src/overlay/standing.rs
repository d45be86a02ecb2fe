//! Relays that stand by while rules run: parts of large objects go through them, from one source to one destination.
//!
//! **In:** who says which ways go by relays and where these run ([`PlanRelays`]); parts of live copies. **Out:** a part as the destination's
//! store holds it, or nothing: then it goes through this process, as it would have without relays. **Never:** keeps a part waiting for
//! relays that have not carried one yet, but for the one that tries them; leaves relays running that nothing was given for long.
//!
//! ```text
//!  down ── a part comes, and it is time ──► up, unproven ── first part carried ──► up
//!   ▲  ▲                                        │                                  │
//!   │  └── after 30 s, then twice as long … ────┴── its job has ended ─────────────┤
//!   └───── at once ───────────────────────────────── idle, or old ─────────────────┘
//! ```

use super::carry::{Overlay, OverlaySeams, PartAsked};
use async_trait::async_trait;
use skyfresh_ledger::PartDone;
use skyfresh_relay::Result as RelayResult;
use skyfresh_relay::executor::Executor;
use skyfresh_relay::job::{Event, JobOptions, JobReport, Listener};
use skyfresh_relay::topology::Topology;
use skyfresh_sky::{Clock, Location, Rng, Usd};
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long the part that tries relays waits for them: a login takes about two seconds.
const FIRST_WAIT: Duration = Duration::from_secs(10);
/// Relays that were given nothing for so long end.
const IDLE: Duration = Duration::from_secs(300);
/// Relays are started anew after so long, so that what a job remembers, and what a host keeps, has an end.
const OLD: Duration = Duration::from_secs(6 * 3600);
/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Relays that failed stay down for so long, then twice as long, at most for the second.
const DOWN: Duration = Duration::from_secs(30);
const DOWN_AT_MOST: Duration = Duration::from_secs(600);

/// How relays carry one way.
#[derive(Clone)]
pub struct StandingPlan {
    /// Their shape, of one destination.
    pub topology: Topology,
    /// Where they are started.
    pub executor: Arc<dyn Executor>,
    /// Egress of all hops together, for a GB that arrives.
    pub egress_per_gb: Usd,
}

impl fmt::Debug for StandingPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StandingPlan").finish_non_exhaustive()
    }
}

/// Says which ways go by relays.
#[async_trait]
pub trait PlanRelays: Send + Sync + fmt::Debug {
    /// How relays carry what goes from `source` to `target`; `None`: they would be no better. Asked once for each way.
    async fn plan(&self, source: &Location, target: &Location) -> Option<StandingPlan>;
}

/// All ways by relays of a process. When it is dropped, its relays end.
#[derive(Debug)]
pub struct StandingRelays {
    planner: Arc<dyn PlanRelays>,
    world: World,
    ways: tokio::sync::Mutex<Ways>,
    _stop: DropGuard,
}

/// By source and target; `None`: relays are no better there.
type Ways = HashMap<(Location, Location), Option<Arc<StandingWay>>>;

/// What all ways share.
#[derive(Clone)]
struct World {
    clock: Arc<dyn Clock>,
    rng: Arc<Rng>,
    stop: CancellationToken,
    /// The relays' jobs.
    jobs: Arc<Mutex<JoinSet<()>>>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

/// One way.
#[derive(Debug)]
pub(crate) struct StandingWay {
    plan: StandingPlan,
    world: World,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Down {
        until_ns: u64,
        failures: u32,
    },
    Up {
        overlay: Arc<Overlay>,
        meter: Arc<Meter>,
        failures: u32,
    },
}

/// What is known of relays that are up.
#[derive(Debug, Default)]
struct Meter {
    used_ns: AtomicU64,
    carried: AtomicU64,
    /// A part tries whether they carry anything.
    trying: AtomicBool,
}

impl Meter {
    fn is_proven(&self) -> bool {
        self.carried.load(Ordering::Relaxed) > 0
    }
}

/// The turn of the part that tries relays.
struct Trying<'a>(&'a Meter);

impl Drop for Trying<'_> {
    fn drop(&mut self) {
        self.0.trying.store(false, Ordering::Release);
    }
}

impl StandingRelays {
    /// None up yet.
    pub fn new(planner: Arc<dyn PlanRelays>, clock: Arc<dyn Clock>, rng: Rng) -> Self {
        let stop = CancellationToken::new();
        StandingRelays {
            planner,
            ways: tokio::sync::Mutex::default(),
            _stop: stop.clone().drop_guard(),
            world: World {
                clock,
                rng: Arc::new(rng),
                stop,
                jobs: Arc::default(),
            },
        }
    }

    /// The way from one location to another, if relays are to carry it.
    pub(crate) async fn way(
        &self,
        source: &Location,
        target: &Location,
    ) -> Option<Arc<StandingWay>> {
        let mut ways = self.ways.lock().await;
        let ends = (source.clone(), target.clone());
        if let Some(way) = ways.get(&ends) {
            return way.clone();
        }
        let planned = self.planner.plan(source, target).await;
        let way = planned.map(|plan| {
            Arc::new(StandingWay {
                plan,
                world: self.world.clone(),
                state: Mutex::new(State::Down {
                    until_ns: 0,
                    failures: 0,
                }),
            })
        });
        ways.insert(ends, way.clone());
        way
    }

    /// Ends all relays, and returns when they have ended.
    pub async fn close(&self) {
        self.world.stop.cancel();
        let mut jobs = std::mem::take(&mut *locked(&self.world.jobs));
        while jobs.join_next().await.is_some() {}
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StandingWay {
    /// Egress of all hops together, for a GB that arrives.
    pub(crate) fn egress_per_gb(&self) -> Usd {
        self.plan.egress_per_gb
    }

    /// Whether it is worth asking for a part of so many bytes: relays are up and carry, or may be tried.
    pub(crate) fn takes(self: &Arc<Self>, bytes: u64) -> bool {
        bytes <= u64::from(self.plan.topology.chunk_bytes)
            && self.up().is_some_and(|(_, meter)| {
                meter.is_proven() || !meter.trying.load(Ordering::Acquire)
            })
    }

    /// Has a part of one upload carried, within `patience` if the relays are known to carry; `None`: it must go another way. A part that
    /// was given up may still be written by a relay: the same bytes as whoever carries it instead.
    pub(crate) async fn part(
        self: &Arc<Self>,
        asked: &PartAsked<'_>,
        patience: Duration,
    ) -> Option<PartDone> {
        let (overlay, meter) = self.up()?;
        let clock = &self.world.clock;
        meter.used_ns.store(clock.monotonic_ns(), Ordering::Relaxed);
        let (_trying, wait) = match meter.is_proven() {
            true => (None, patience),
            false => {
                if meter.trying.swap(true, Ordering::AcqRel) {
                    return None;
                }
                (Some(Trying(&meter)), FIRST_WAIT.min(patience))
            }
        };
        tokio::select! {
            biased;
            mut parts = overlay.part(asked) => parts.pop().flatten(),
            () = clock.sleep(wait) => {
                tracing::info!(key = %asked.key, part = asked.number, ?wait, "relays take too long: a part goes direct");
                None
            }
        }
    }

    /// Relays that are up; started, where they are down and it is time.
    fn up(self: &Arc<Self>) -> Option<(Arc<Overlay>, Arc<Meter>)> {
        let mut state = locked(&self.state);
        let failures = match &*state {
            State::Up { overlay, meter, .. } => {
                return (!overlay.is_over()).then(|| (Arc::clone(overlay), Arc::clone(meter)));
            }
            State::Down { until_ns, failures } => {
                let early = self.world.clock.monotonic_ns() < *until_ns;
                if early || self.world.stop.is_cancelled() {
                    return None;
                }
                *failures
            }
        };
        let meter = Arc::new(Meter::default());
        let seams = OverlaySeams {
            executor: Arc::clone(&self.plan.executor),
            clock: Arc::clone(&self.world.clock),
            rng: self.world.rng.fork(),
            listener: Some(listener(Arc::clone(&meter))),
            stop: self.world.stop.clone(),
        };
        let (overlay, job) =
            Overlay::start(self.plan.topology.clone(), JobOptions::default(), seams);
        let overlay = Arc::new(overlay);
        let now_ns = self.world.clock.monotonic_ns();
        meter.used_ns.store(now_ns, Ordering::Relaxed);
        let watched = watch(Arc::downgrade(self), Arc::clone(&meter), now_ns, job);
        let mut jobs = locked(&self.world.jobs);
        while jobs.try_join_next().is_some() {}
        jobs.spawn(watched);
        *state = State::Up {
            overlay: Arc::clone(&overlay),
            meter: Arc::clone(&meter),
            failures,
        };
        Some((overlay, meter))
    }

    /// Takes these relays down: no part is given to them any more, and they end when those under way are answered.
    fn take_down(&self, of: &Arc<Meter>, failed: bool) {
        let mut state = locked(&self.state);
        let State::Up {
            meter, failures, ..
        } = &*state
        else {
            return;
        };
        if !Arc::ptr_eq(meter, of) {
            return;
        }
        let failures = match failed {
            true if !meter.is_proven() => failures + 1,
            true => 1,
            false => 0,
        };
        let down = match failures {
            0 => Duration::ZERO,
            _ => (DOWN * 2u32.saturating_pow(failures - 1)).min(DOWN_AT_MOST),
        };
        *state = State::Down {
            until_ns: self.world.clock.monotonic_ns() + down.as_nanos() as u64,
            failures,
        };
    }
}

/// Counts what relays have written, also where whoever asked for it has gone another way; losses are worth a line in the log.
fn listener(meter: Arc<Meter>) -> Listener {
    Arc::new(move |event| match event {
        Event::Written { .. } => {
            meter.carried.fetch_add(1, Ordering::Relaxed);
        }
        Event::NodeLost { node, why } => tracing::warn!(%node, why, "a standing relay is lost"),
        Event::LinkLost { from, to, why } => tracing::warn!(%from, %to, why, "a link is cut"),
        Event::NodeReplaced { dead, by } => tracing::warn!(%dead, %by, "a relay was replaced"),
        Event::DestinationFailed { failed, .. } => {
            tracing::warn!(
                why = failed.why,
                "standing relays do not reach the destination"
            );
        }
        Event::Progress(_) => {}
    })
}

/// Runs the relays' job to its end, and takes them down when they are idle, old, or have failed.
async fn watch(
    way: Weak<StandingWay>,
    meter: Arc<Meter>,
    began_ns: u64,
    job: impl Future<Output = RelayResult<JobReport>> + Send + 'static,
) {
    let Some(clock) = way.upgrade().map(|way| Arc::clone(&way.world.clock)) else {
        return;
    };
    let mut job = pin!(job);
    let since = |ns: u64| Duration::from_nanos(clock.monotonic_ns().saturating_sub(ns));
    let ended = loop {
        tokio::select! {
            biased;
            ended = &mut job => break ended,
            () = clock.sleep(LOOK_EVERY) => {}
        }
        let unused = since(meter.used_ns.load(Ordering::Relaxed));
        if (unused >= IDLE || since(began_ns) >= OLD)
            && let Some(way) = way.upgrade()
        {
            way.take_down(&meter, false);
        }
    };
    let parts = meter.carried.load(Ordering::Relaxed);
    let stopped = way
        .upgrade()
        .is_none_or(|way| way.world.stop.is_cancelled());
    match &ended {
        Err(_) if stopped => tracing::info!(parts, "standing relays have ended"),
        Ok(_) => tracing::info!(parts, "standing relays have ended"),
        Err(error) => tracing::warn!(parts, %error, "standing relays have failed: parts go direct"),
    }
    if let Some(way) = way.upgrade() {
        // Those that were taken down before are down already.
        way.take_down(&meter, true);
    }
}
