//! Relays that stand by while rules run: parts of large objects go through them, from a source to one or several destinations.
//!
//! **In:** who says which ways go by relays and where these run ([`PlanRelays`]); what a worker was told of its object. **Out:** by
//! which relays its parts may go. **Never:** plans a way twice; leaves relays running when it is closed.

use super::carriers::{Carriers, Seat};
use super::ends::{RelayEnds, RelayOrder};
use super::prices::HopPrices;
use super::way::StandingWay;
use async_trait::async_trait;
use skyfresh_relay::DestinationSet;
use skyfresh_relay::executor::Executor;
use skyfresh_relay::topology::Topology;
use skyfresh_sky::{Clock, Rng, Usd};
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How relays carry from one source.
#[derive(Clone)]
pub struct StandingPlan {
    /// Their shape.
    pub topology: Topology,
    /// Which of the targets that were asked for each of the shape's destinations is: some may be left out.
    pub carries: Vec<usize>,
    /// Where they are started.
    pub executor: Arc<dyn Executor>,
    /// Egress of their hops.
    pub prices: HopPrices,
    /// Smaller objects are no better off by them.
    pub least_bytes: u64,
    /// What a GB costs on its way to each of the shape's destinations otherwise: relays carry only for less, as fewer than all of them may
    /// lack a part. `None`: whatever it costs; a price that is not known does not speak against relays.
    pub otherwise: Option<Vec<Option<Usd>>>,
}

impl fmt::Debug for StandingPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StandingPlan")
            .field("carries", &self.carries)
            .finish_non_exhaustive()
    }
}

impl StandingPlan {
    /// The place in the shape of a target that was asked for.
    pub(crate) fn place(&self, target: usize) -> Option<u8> {
        let at = self.carries.iter().position(|carried| *carried == target)?;
        u8::try_from(at).ok()
    }

    /// Whether a part that `wanted` lack costs no more by relays.
    pub(crate) fn pays_for(&self, wanted: DestinationSet) -> bool {
        let Some(otherwise) = &self.otherwise else {
            return true;
        };
        let usd = |at: u8| otherwise.get(usize::from(at)).copied().flatten();
        let apart: Option<Usd> = wanted.iter().map(usd).sum();
        apart.is_none_or(|apart| self.prices.usd_per_gb(wanted) <= apart)
    }
}

/// Says which ways go by relays.
#[async_trait]
pub trait PlanRelays: Send + Sync + fmt::Debug {
    /// How relays carry between these ends; `None`: they would be no better. Asked once for each.
    async fn plan(&self, ends: &RelayEnds) -> Option<StandingPlan>;
}

/// All ways by relays of a process. When it is dropped, its relays end.
#[derive(Debug)]
pub struct StandingRelays {
    planner: Arc<dyn PlanRelays>,
    world: World,
    ways: tokio::sync::Mutex<Ways>,
    _stop: DropGuard,
}

/// `None`: relays are no better there.
type Ways = HashMap<RelayEnds, Option<Arc<StandingWay>>>;

/// What all ways share.
#[derive(Clone)]
pub(super) struct World {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) rng: Arc<Rng>,
    pub(super) stop: CancellationToken,
    /// The relays' jobs, and parts that several wait for.
    jobs: Arc<Mutex<JoinSet<()>>>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

impl World {
    /// Runs a task that [`StandingRelays::close`] waits for.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if self.stop.is_cancelled() {
            return;
        }
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        while jobs.try_join_next().is_some() {}
        jobs.spawn(task);
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

    /// The way between these ends, if relays are to carry it.
    pub(crate) async fn way(&self, ends: &RelayEnds) -> Option<Arc<StandingWay>> {
        let mut ways = self.ways.lock().await;
        if let Some(way) = ways.get(ends) {
            return way.clone();
        }
        let planned = self.planner.plan(ends).await;
        let way = planned.map(|plan| Arc::new(StandingWay::new(plan, self.world.clone())));
        ways.insert(ends.clone(), way.clone());
        way
    }

    /// By which relays the parts of an order may go; each is given up before its `lease` is over.
    pub(crate) async fn carriers(&self, order: &RelayOrder, lease: Duration) -> Carriers {
        let alone = match order.ends.alone(order.target) {
            Some(ends) => self.way(&ends).await,
            None => None,
        };
        let together = match order.mates.is_empty() {
            true => None,
            false => self.way(&order.ends).await,
        };
        let seat = together.and_then(|way| Seat::of(way, order));
        Carriers::new(alone, seat, order.spare, lease)
    }

    /// Ends all relays, and returns when they have ended.
    pub async fn close(&self) {
        self.world.stop.cancel();
        let taken = |jobs: &Mutex<JoinSet<()>>| {
            std::mem::take(&mut *jobs.lock().unwrap_or_else(PoisonError::into_inner))
        };
        loop {
            let mut jobs = taken(&self.world.jobs);
            if jobs.is_empty() {
                return;
            }
            while jobs.join_next().await.is_some() {}
        }
    }
}
