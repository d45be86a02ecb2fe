//! A process: the real engine, the way to its stores and its ledger, and who starts it again when it has died.

use super::clock::{ProcessClock, Skew};
use super::dispatch::{DispatchLedger, Dispatcher};
use super::documents::{FarDocuments, ServiceModel};
use super::far_store::FarStore;
use super::functions::{Fleet, Workers};
use super::gate::Gate;
use super::near_ledger::NearLedger;
use super::way::{Instance, Pipe, Way};
use super::{Sim, Site};
use crate::scenario::PlanSettings;
use skyfresh_engine::planning::Planning;
use skyfresh_engine::{Engine, EngineConfig, InProcess, OpenStore, Parts, Rule, Stores};
use skyfresh_ledger::shared::{Settings, SharedLedger};
use skyfresh_ledger::{Ledger, MemoryLedger};
use skyfresh_plan::replicate::{Planner, Settings as PlannerSettings};
use skyfresh_sky::{Clock, Distribution, Invalid, Location, Region, Rng};
use skyfresh_store::ObjectStore;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Where buckets are, and how to get there.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) sites: BTreeMap<String, Arc<Site>>,
    /// From a region to a region: the ways, without instance.
    pub(crate) ways: BTreeMap<(Region, Region), Way>,
}

/// Opens stores for whoever is in `from`.
#[derive(Debug)]
pub(crate) struct Opener {
    pub(crate) sim: Arc<Sim>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) route: Arc<Route>,
    pub(crate) from: Region,
    pub(crate) instance: Option<Arc<Instance>>,
    pub(crate) asker: String,
}

impl OpenStore for Opener {
    fn open(&self, location: &Location) -> skyfresh_store::Result<Arc<dyn ObjectStore>> {
        let missing = |what: String| {
            let target = location.to_string();
            skyfresh_store::Error::new(skyfresh_sky::Kind::Invalid, "open", target, what)
        };
        let site = self.route.sites.get(&location.bucket);
        let site = site.ok_or_else(|| missing("the scenario has no such bucket".into()))?;
        let ends = (self.from.clone(), site.region.clone());
        let way = self.route.ways.get(&ends);
        let way = way.ok_or_else(|| missing(format!("no way from {} to it", self.from)))?;
        Ok(Arc::new(FarStore {
            inner: self.sim.sky.store(location.clone()),
            site: Arc::clone(site),
            way: Way {
                instance: self.instance.clone(),
                ..way.clone()
            },
            gate: Arc::clone(&self.gate),
            sim: Arc::clone(&self.sim),
            route: Arc::clone(&self.route),
            from: self.from.clone(),
            asker: self.asker.clone(),
        }))
    }
}

/// Where the ledger is.
#[derive(Clone, Debug)]
pub(crate) enum StateStore {
    /// In the process, durable: one process only.
    Embedded {
        ledger: Arc<MemoryLedger>,
        latency_ms: Distribution,
    },
    /// A service that processes share.
    Shared(Arc<ServiceModel>),
}

/// What every incarnation of a process is made from.
#[derive(Debug)]
pub(crate) struct Blueprint {
    pub(crate) sim: Arc<Sim>,
    pub(crate) rule: Rule,
    pub(crate) config: EngineConfig,
    pub(crate) state: StateStore,
    /// How parts are given out.
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) route: Arc<Route>,
    /// Where processes run.
    pub(crate) region: Region,
    /// Network cards, one a process.
    pub(crate) cards: Vec<Option<Arc<Pipe>>>,
    /// Functions; where nothing plans, at most one fleet, on which all workers run.
    pub(crate) fleets: Vec<Arc<Fleet>>,
    /// How the engine plans, if it does.
    pub(crate) plan: Option<PlanSettings>,
    /// The ledger's service, as the catalogue calls it.
    pub(crate) state_service: Option<String>,
    pub(crate) max_parts_in_flight: usize,
    /// How long a process takes from nothing to its first instruction.
    pub(crate) starts_in: Duration,
}

/// A process as the outside sees it.
#[derive(Debug)]
pub(crate) struct Process {
    number: usize,
    blueprint: Arc<Blueprint>,
    skew: Arc<Skew>,
    alive: watch::Sender<Option<Alive>>,
    restart_after: Mutex<Duration>,
}

#[derive(Clone, Debug)]
struct Alive {
    engine: Arc<Engine>,
    gate: Arc<Gate>,
}

impl Process {
    /// Starts a process, and starts it again whenever it has died.
    pub(crate) fn start(blueprint: Arc<Blueprint>, number: usize) -> Arc<Self> {
        let process = Arc::new(Process {
            number,
            blueprint,
            skew: Arc::default(),
            alive: watch::Sender::new(None),
            restart_after: Mutex::new(Duration::ZERO),
        });
        tokio::spawn(Arc::clone(&process).supervise());
        process
    }

    async fn supervise(self: Arc<Self>) {
        let clock = self.blueprint.sim.clock.clone();
        for incarnation in 1.. {
            clock.sleep(self.blueprint.starts_in).await;
            let gate = Arc::new(Gate::new());
            let born = gate
                .unless_dead(self.incarnate(incarnation, &gate))
                .await
                .flatten();
            if let Some(engine) = born {
                let alive = Alive {
                    engine: Arc::new(engine),
                    gate: Arc::clone(&gate),
                };
                self.alive.send_replace(Some(alive));
                gate.death().await;
                self.alive.send_replace(None);
            }
            let wait = std::mem::take(
                &mut *self
                    .restart_after
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner),
            );
            let sim = &self.blueprint.sim;
            sim.observer.process_died(sim.now());
            sim.note(format_args!("process {} died", self.number));
            clock.sleep(wait).await;
        }
    }

    /// One incarnation; `None`: it could not start, and dies.
    async fn incarnate(&self, incarnation: u32, gate: &Arc<Gate>) -> Option<Engine> {
        let blueprint = &self.blueprint;
        let sim = &blueprint.sim;
        let asker = format!("{}.{incarnation}", self.number);
        let draws = |what: &str| Rng::named(sim.seed, &format!("{what}.{asker}"));
        let clock: Arc<dyn Clock> = Arc::new(ProcessClock {
            clock: sim.clock.clone(),
            skew: Arc::clone(&self.skew),
            gate: Arc::clone(gate),
        });
        let (inner, latency_ms): (Arc<dyn Ledger>, _) = match &blueprint.state {
            StateStore::Embedded { ledger, latency_ms } => {
                (Arc::clone(ledger) as _, Some(latency_ms.clone()))
            }
            StateStore::Shared(service) => {
                let documents = FarDocuments {
                    inner: service
                        .documents
                        .another(Default::default(), draws("documents")),
                    service: Arc::clone(service),
                    gate: Arc::clone(gate),
                    sim: Arc::clone(sim),
                    draws: draws("service.latency"),
                };
                let settings = Settings::default();
                let opened =
                    SharedLedger::open(Arc::new(documents), settings, draws("ledger")).await;
                match opened {
                    Ok(ledger) => (Arc::new(ledger) as _, None),
                    Err(error) => return self.unborn(error.to_string()).await,
                }
            }
        };
        let ledger: Arc<dyn Ledger> = Arc::new(NearLedger {
            inner,
            gate: Arc::clone(gate),
            sim: Arc::clone(sim),
            asker: asker.clone(),
            latency_ms,
            draws: draws("ledger.latency"),
        });
        let ledger = DispatchLedger::before(ledger, &blueprint.dispatcher);
        let route = Arc::new(self.route());
        let opener = Opener {
            sim: Arc::clone(sim),
            gate: Arc::clone(gate),
            route: Arc::clone(&route),
            from: blueprint.region.clone(),
            instance: None,
            asker: asker.clone(),
        };
        let stores = Arc::new(Stores::new(Arc::new(opener)));
        let executor = Workers {
            sim: Arc::clone(sim),
            fleets: blueprint.fleets.clone(),
            gate: Arc::clone(gate),
            route: Arc::clone(&blueprint.route),
            clock: Arc::clone(&clock),
            ledger: Arc::clone(&ledger),
            asker: asker.clone(),
            here: InProcess::new(
                Arc::clone(&stores),
                Arc::clone(&ledger),
                Arc::clone(&clock),
                blueprint.max_parts_in_flight,
            ),
        };
        let config = EngineConfig {
            owner: format!("process-{asker}"),
            ..blueprint.config.clone()
        };
        let planning = match self.planning() {
            Ok(planning) => planning,
            Err(error) => return self.unborn(error.to_string()).await,
        };
        let engine = Engine::new(Parts {
            config,
            ledger,
            stores,
            executor: Arc::new(executor),
            catalog: sim.catalog.clone(),
            clock,
            rng: draws("engine"),
            planning,
        });
        match engine.apply(vec![blueprint.rule.clone()]).await {
            Ok(_) => Some(engine),
            Err(error) => self.unborn(error.to_string()).await,
        }
    }

    fn planning(&self) -> Result<Option<Planning>, Invalid> {
        let Some(plan) = &self.blueprint.plan else {
            return Ok(None);
        };
        let settings = PlannerSettings {
            state: self.blueprint.state_service.clone(),
            parts_in_flight: u32::try_from(self.blueprint.config.parts_in_flight).unwrap_or(1),
            family: plan.family,
            ..PlannerSettings::default()
        };
        let places: Result<_, Invalid> = plan.sites.iter().map(|site| site.parse()).collect();
        Ok(Some(Planning {
            planner: Planner::new(self.blueprint.sim.catalog.clone(), settings)?,
            home: self.blueprint.region.clone(),
            process_workers: plan.process_workers,
            functions: places?,
        }))
    }

    async fn unborn(&self, error: String) -> Option<Engine> {
        let sim = &self.blueprint.sim;
        sim.note(format_args!(
            "process {} cannot start: {error}",
            self.number
        ));
        sim.clock.sleep(Duration::from_secs(1)).await;
        None
    }

    /// The ways from this process: with its own network card.
    fn route(&self) -> Route {
        let shared = &self.blueprint.route;
        let mut ways = shared.ways.clone();
        if let Some(Some(card)) = self.blueprint.cards.get(self.number) {
            for way in ways.values_mut() {
                way.pipes.push(Arc::clone(card));
            }
        }
        Route {
            sites: shared.sites.clone(),
            ways,
        }
    }

    fn gate(&self) -> Option<Arc<Gate>> {
        let alive = self.alive.borrow();
        alive.as_ref().map(|alive| Arc::clone(&alive.gate))
    }

    /// Lets it die at the operation after `operations` more.
    pub(crate) fn kill(&self, operations: u32, after_effect: bool, restart_after: Duration) {
        if let Some(gate) = self.gate() {
            *self
                .restart_after
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = restart_after;
            gate.light(operations, after_effect);
        }
    }

    /// Stops it for a while.
    pub(crate) fn freeze(&self, duration: Duration) {
        if let Some(gate) = self.gate() {
            let clock = self.blueprint.sim.clock.clone();
            gate.freeze();
            tokio::spawn(async move {
                clock.sleep(duration).await;
                gate.thaw();
            });
        }
    }

    /// Sets its clock.
    pub(crate) fn set_skew_ms(&self, ms: i64) {
        self.skew.set_ms(ms);
    }

    /// Lets it go on at once if it stands still, and forget that it should die.
    pub(crate) fn heal(&self) {
        self.skew.set_ms(0);
        if let Some(gate) = self.gate() {
            gate.unlight();
            gate.thaw();
        }
    }

    /// Asks its engine something; `None` where it is not running, or dies meanwhile.
    pub(crate) async fn ask<T, F: Future<Output = T>>(
        &self,
        question: impl FnOnce(Arc<Engine>) -> F,
    ) -> Option<T> {
        let alive = self.alive.borrow().clone()?;
        alive.gate.unless_dead(question(alive.engine)).await
    }

    /// Waits until it runs.
    pub(crate) async fn runs(&self) {
        let mut alive = self.alive.subscribe();
        while alive.borrow_and_update().is_none() {
            if alive.changed().await.is_err() {
                return;
            }
        }
    }
}
