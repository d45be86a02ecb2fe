//! Relays of one way: up while they are used, down while they fail.
//!
//! **In:** parts, and how long they may wait. **Out:** each part as the destinations' stores hold it, or nothing: then it goes through
//! this process, as it would have without relays. **Never:** keeps a part waiting for relays that have not carried one yet for longer than
//! it may; leaves relays running that nothing was given for long.
//!
//! ```text
//!  down ── a part comes, and it is time ──► up, unproven ── first part carried ──► up
//!   ▲  ▲                                        │                                  │
//!   │  └── after 30 s, then twice as long … ────┴── its job has ended ─────────────┤
//!   └───── at once ──────────────── idle, old, or a destination was given up ──────┘
//! ```

use super::carry::{Overlay, OverlaySeams, PartAsked};
use super::standing::{StandingPlan, World};
use super::together::Gatherings;
use skyfresh_ledger::PartDone;
use skyfresh_relay::job::{Event, JobOptions, JobReport, Listener};
use skyfresh_relay::{DestinationSet, Result as RelayResult};
use skyfresh_sky::{ObjectKey, ObjectVersion};
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Notify;

/// How long the part that tries relays waits for them: a login takes about two seconds.
const FIRST_WAIT: Duration = Duration::from_secs(10);
/// Relays that were given nothing for so long end.
const IDLE: Duration = Duration::from_secs(300);
/// Relays are started anew after so long, so that what a job remembers, and what a host keeps, has an end.
const OLD: Duration = Duration::from_secs(6 * 3600);
/// The same where a destination was given up: it may be well again.
const OLD_WITHOUT_ONE: Duration = Duration::from_secs(300);
/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Relays that failed stay down for so long, then twice as long, at most for the second.
const DOWN: Duration = Duration::from_secs(30);
const DOWN_AT_MOST: Duration = Duration::from_secs(600);

/// How long a part waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For relays that are known to carry.
    pub(super) carry: Duration,
    /// For relays that another part tries.
    pub(super) start: Duration,
}

impl Patience {
    /// The shorter of both.
    pub(super) fn least(self, other: Patience) -> Patience {
        Patience {
            carry: self.carry.min(other.carry),
            start: self.start.min(other.start),
        }
    }
}

/// One way.
#[derive(Debug)]
pub(crate) struct StandingWay {
    pub(super) plan: StandingPlan,
    pub(super) world: World,
    state: Mutex<State>,
    /// Parts that wait until others want them too.
    pub(super) gatherings: Mutex<Gatherings>,
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
    /// Rung when that is known.
    tried: Notify,
    /// They do not reach a destination.
    lacks_one: AtomicBool,
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
        self.0.tried.notify_waiters();
    }
}

impl StandingWay {
    pub(super) fn new(plan: StandingPlan, world: World) -> Self {
        StandingWay {
            plan,
            world,
            state: Mutex::new(State::Down {
                until_ns: 0,
                failures: 0,
            }),
            gatherings: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How its relays carry.
    pub(crate) fn plan(&self) -> &StandingPlan {
        &self.plan
    }

    /// Whether a destination has got on so far with an object that one that begins now will not be together with it.
    pub(crate) fn is_ahead(&self, object: (ObjectKey, ObjectVersion), who: u8) -> bool {
        self.gatherings().is_ahead(&object, who)
    }

    /// The destinations that relays, where they are up, are not known to fail.
    pub(super) fn reaches(&self) -> DestinationSet {
        match &*self.state() {
            State::Up { overlay, .. } => overlay.reaches(),
            State::Down { .. } => self.plan.topology.all(),
        }
    }

    /// Whether relays are up, or may be tried.
    pub(crate) fn is_open(&self) -> bool {
        match &*self.state() {
            State::Up { overlay, .. } => !overlay.is_over(),
            State::Down { until_ns, .. } => self.world.clock.monotonic_ns() >= *until_ns,
        }
    }

    /// Whether it is worth asking for a part of so many bytes that can wait so long.
    pub(super) fn takes(self: &Arc<Self>, bytes: u64, patience: Patience) -> bool {
        bytes <= u64::from(self.plan.topology.chunk_bytes)
            && self.up().is_some_and(|(_, meter)| {
                meter.is_proven()
                    || !meter.trying.load(Ordering::Acquire)
                    || patience.start > Duration::ZERO
            })
    }

    /// Has a part carried, and says of each upload, by its place among those asked for, as soon as it is known, what came of it; `None`:
    /// it must go another way. A part that was given up may still be written by a relay: the same bytes as whoever carries it instead.
    pub(super) async fn part_each(
        self: &Arc<Self>,
        asked: &PartAsked<'_>,
        patience: Patience,
        mut each: impl FnMut(usize, Option<PartDone>),
    ) {
        let mut open: BTreeSet<usize> = (0..asked.uploads.len()).collect();
        if let Some((overlay, meter)) = self.up() {
            let clock = &self.world.clock;
            meter.used_ns.store(clock.monotonic_ns(), Ordering::Relaxed);
            if let Some((_trying, wait)) = self.turn(&meter, patience).await {
                let heard = |at: usize, part: Option<PartDone>| {
                    open.remove(&at);
                    each(at, part);
                };
                tokio::select! {
                    biased;
                    () = overlay.part_each(asked, heard) => {}
                    () = clock.sleep(wait) => {
                        let part = asked.part;
                        tracing::info!(key = %part.key, part = part.number, ?wait, "relays take too long: a part goes direct");
                    }
                }
            }
        }
        open.into_iter().for_each(|at| each(at, None));
    }

    /// How long the part may wait for an answer; where nothing was carried yet, one part tries, and the others wait for that.
    async fn turn<'a>(
        &self,
        meter: &'a Meter,
        patience: Patience,
    ) -> Option<(Option<Trying<'a>>, Duration)> {
        let mut tried = pin!(meter.tried.notified());
        tried.as_mut().enable();
        if meter.is_proven() {
            return Some((None, patience.carry));
        }
        if !meter.trying.swap(true, Ordering::AcqRel) {
            return Some((Some(Trying(meter)), FIRST_WAIT.min(patience.carry)));
        }
        tokio::select! {
            biased;
            () = tried => {}
            () = self.world.clock.sleep(patience.start) => {}
        }
        meter.is_proven().then_some((None, patience.carry))
    }

    /// Relays that are up; started, where they are down and it is time.
    fn up(self: &Arc<Self>) -> Option<(Arc<Overlay>, Arc<Meter>)> {
        let mut state = self.state();
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
        let of = (Arc::downgrade(self), Arc::downgrade(&overlay));
        let watched = watch(of, Arc::clone(&meter), now_ns, job);
        self.world.spawn(watched);
        *state = State::Up {
            overlay: Arc::clone(&overlay),
            meter: Arc::clone(&meter),
            failures,
        };
        Some((overlay, meter))
    }

    /// Takes these relays down: no part is given to them any more, and they end when those under way are answered.
    fn take_down(&self, of: &Arc<Meter>, failed: bool) {
        of.tried.notify_waiters();
        let mut state = self.state();
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
            if meter.carried.fetch_add(1, Ordering::Relaxed) == 0 {
                meter.tried.notify_waiters();
            }
        }
        Event::NodeLost { node, why } => tracing::warn!(%node, why, "a standing relay is lost"),
        Event::LinkLost { from, to, why } => tracing::warn!(%from, %to, why, "a link is cut"),
        Event::NodeReplaced { dead, by } => tracing::warn!(%dead, %by, "a relay was replaced"),
        Event::DestinationFailed { failed, .. } => {
            meter.lacks_one.store(true, Ordering::Relaxed);
            tracing::warn!(
                why = failed.why,
                "standing relays do not reach a destination"
            );
        }
        Event::Progress(_) => {}
    })
}

/// Runs the relays' job to its end, and takes them down when they are idle, old, or have failed.
async fn watch(
    (way, overlay): (Weak<StandingWay>, Weak<Overlay>),
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
        let lacks_one = meter.lacks_one.load(Ordering::Relaxed)
            || overlay.upgrade().is_some_and(|it| it.lacks_one());
        let old = match lacks_one {
            true => OLD_WITHOUT_ONE,
            false => OLD,
        };
        if (unused >= IDLE || since(began_ns) >= old)
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
