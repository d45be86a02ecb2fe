//! Functions of a cloud: instances that start warm or cold, a few more every second, each with a rate of its own, billed by
//! begun slices of time. Workers run on them as they would in a cloud.

use super::Sim;
use super::gate::Gate;
use super::process::{Opener, Route};
use super::way::{Budget, Instance};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use skyfresh_engine::{Error, Executor, InProcess, Published, Result, Stores, Usage, WorkOrder};
use skyfresh_ledger::Ledger;
use skyfresh_sky::catalog::FunctionPlatform;
use skyfresh_sky::{Clock, Kind, Region, Rng};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::Semaphore;

/// How functions are used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionSettings {
    /// The platform, as the catalogue calls it.
    pub platform: String,
    /// Where they run.
    pub region: Region,
    /// Memory of an instance, MB.
    #[serde(default = "default_memory_mb")]
    pub memory_mb: u64,
}

fn default_memory_mb() -> u64 {
    1_024
}

/// An idle instance is kept so long (Lambda keeps them for minutes; documented nowhere, so unverified).
const KEPT_WARM: Duration = Duration::from_secs(300);
/// How often a worker looks whether the platform starts more instances.
const SCALING_LOOK: Duration = Duration::from_millis(50);

/// All functions of one platform in one region.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) settings: FunctionSettings,
    platform: &'static FunctionPlatform,
    running: Semaphore,
    starts: Option<Budget>,
    idle: Mutex<Vec<(Arc<Instance>, u64)>>,
    start_draws: Rng,
    rate_draws: Rng,
}

impl Fleet {
    pub(crate) fn new(
        settings: FunctionSettings,
        platform: &'static FunctionPlatform,
        seed: u64,
    ) -> Self {
        Fleet {
            running: Semaphore::new(platform.max_concurrency as usize),
            starts: platform
                .instances_per_10_s
                .map(|per_10_s| Budget::new(per_10_s / 10.0)),
            idle: Mutex::default(),
            start_draws: Rng::named(seed, "function.start"),
            rate_draws: Rng::named(seed, "function.rate"),
            settings,
            platform,
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Arc<Instance>, u64)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn warm(&self, now_ns: u64) -> Option<Arc<Instance>> {
        let kept_ns = KEPT_WARM.as_nanos() as u64;
        let mut idle = self.idle();
        idle.retain(|(_, since_ns)| now_ns.saturating_sub(*since_ns) < kept_ns);
        idle.pop().map(|(instance, _)| instance)
    }

    fn new_instance(&self) -> Arc<Instance> {
        let rate = |mb_per_s: f64| mb_per_s.max(0.1) * 1e6;
        Arc::new(Instance {
            read_bytes_per_s: rate(self.platform.read_mb_per_s.sample(&self.rate_draws)),
            write_bytes_per_s: rate(self.platform.write_mb_per_s.sample(&self.rate_draws)),
            draws: self.rate_draws.fork(),
        })
    }

    /// Starts an invocation: an idle instance, or a new one as soon as the platform gives one.
    async fn start(&self, clock: &dyn Clock) -> Arc<Instance> {
        let (instance, delay_s) = match self.warm(clock.monotonic_ns()) {
            Some(instance) => (instance, &self.platform.start_warm_s),
            None => {
                while let Some(starts) = &self.starts
                    && !starts.take(clock.monotonic_ns())
                {
                    clock.sleep(SCALING_LOOK).await;
                }
                (self.new_instance(), &self.platform.start_cold_s)
            }
        };
        let delay_s = delay_s.sample(&self.start_draws).clamp(0.0, 600.0);
        clock.sleep(Duration::from_secs_f64(delay_s)).await;
        instance
    }
}

/// Runs workers: on functions where there is a fleet, else in their process; some of them die.
#[derive(Debug)]
pub(crate) struct Workers {
    pub(crate) sim: Arc<Sim>,
    pub(crate) fleets: Vec<Arc<Fleet>>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) route: Arc<Route>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) asker: String,
    /// For workers in the process itself.
    pub(crate) here: InProcess,
}

/// Polls a worker so often, then drops it, wherever it was waiting.
struct Mortal<F> {
    worker: Option<Pin<Box<F>>>,
    polls_left: Option<u32>,
}

impl<F: Future> Future for Mortal<F> {
    /// `None`: it died.
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.polls_left {
            Some(0) => {
                self.worker = None;
                return Poll::Ready(None);
            }
            Some(left) => *left -= 1,
            None => {}
        }
        match &mut self.worker {
            Some(worker) => worker.as_mut().poll(context).map(Some),
            None => Poll::Ready(None),
        }
    }
}

/// Whoever started a worker hears of its death after this.
const DEATH_HEARD_AFTER: Duration = Duration::from_secs(1);

impl Workers {
    /// Where a worker runs: as planned, or where nothing planned, on the functions there are; `None` is the process.
    fn fleet(&self, order: &WorkOrder) -> Result<Option<&Fleet>> {
        let Some(site) = &order.plan.site else {
            return Ok(self.fleets.first().map(|fleet| &**fleet));
        };
        let Some(platform) = site.platform() else {
            return Ok(None);
        };
        let here = |fleet: &&Arc<Fleet>| {
            fleet.settings.region == site.region && fleet.platform.platform == platform.platform
        };
        match self.fleets.iter().find(here) {
            Some(fleet) => Ok(Some(fleet)),
            None => {
                let why = format!("there are no {site}");
                Err(Error::new(
                    Kind::Internal,
                    "run worker",
                    order.worker.clone(),
                    why,
                ))
            }
        }
    }

    async fn on_function(
        &self,
        fleet: &Fleet,
        order: WorkOrder,
        usage: Arc<Usage>,
    ) -> Result<Option<Published>> {
        let closed = |_| {
            let worker = order.worker.clone();
            Error::new(Kind::Internal, "run worker", worker, "the platform is gone")
        };
        let _running = fleet.running.acquire().await.map_err(closed)?;
        let instance = fleet.start(&self.sim.clock).await;
        let begun_ns = self.sim.clock.monotonic_ns();
        let opener = Opener {
            sim: Arc::clone(&self.sim),
            gate: Arc::clone(&self.gate),
            route: Arc::clone(&self.route),
            from: fleet.settings.region.clone(),
            instance: Some(Arc::clone(&instance)),
            asker: format!("{} function", self.asker),
        };
        let parts = order.parts_in_flight;
        let worker = InProcess::new(
            Arc::new(Stores::new(Arc::new(opener))),
            Arc::clone(&self.ledger),
            Arc::clone(&self.clock),
            parts,
        );
        // Billed also where the worker is dropped: its process's death is not the platform's concern.
        let _billed = Invocation {
            workers: self,
            fleet,
            begun_ns,
            instance,
        };
        worker.run(order, usage).await
    }
}

struct Invocation<'a> {
    workers: &'a Workers,
    fleet: &'a Fleet,
    begun_ns: u64,
    instance: Arc<Instance>,
}

impl Drop for Invocation<'_> {
    fn drop(&mut self) {
        let now_ns = self.workers.sim.clock.monotonic_ns();
        let took = Duration::from_nanos(now_ns.saturating_sub(self.begun_ns));
        let fleet = self.fleet;
        let price = fleet.platform.price(fleet.settings.memory_mb, took, 1);
        self.workers.sim.meter.invocation(price);
        fleet.idle().push((Arc::clone(&self.instance), now_ns));
    }
}

#[async_trait]
impl Executor for Workers {
    fn is_elsewhere(&self) -> bool {
        !self.fleets.is_empty()
    }

    async fn run(&self, order: WorkOrder, usage: Arc<Usage>) -> Result<Option<Published>> {
        let polls_left = self.sim.injector.next_worker();
        let worker = order.worker.clone();
        let work = async {
            match self.fleet(&order)? {
                Some(fleet) => self.on_function(fleet, order, usage).await,
                None => self.here.run(order, usage).await,
            }
        };
        let mortal = Mortal {
            worker: Some(Box::pin(work)),
            polls_left,
        };
        match mortal.await {
            Some(result) => result,
            None => {
                self.sim.note(format_args!("{} worker dies", self.asker));
                self.sim.clock.sleep(DEATH_HEARD_AFTER).await;
                self.gate.pass().await;
                let why = "the worker died";
                Err(Error::new(Kind::RetryAfter, "run worker", worker, why))
            }
        }
    }
}
