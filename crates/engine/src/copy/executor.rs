//! The seam behind which workers run: tasks of this process now, elsewhere later.

use super::line::Line;
use super::urgency::Urgency;
use super::worker;
use crate::decide::Plan;
use crate::finish::Published;
use crate::overlay::{Carriers, RelayOrder, StandingRelays};
use crate::throttle::Throttle;
use crate::usage::Usage;
use crate::{Result, Stores};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use skyfresh_ledger::{Ledger, TaskKey};
use skyfresh_sky::{Clock, Location};
use skyfresh_store::ObjectStore;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Everything a worker must know, as a value that can travel.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorkOrder {
    /// For which key.
    pub task: TaskKey,
    /// The attempt, which is the part pool's key.
    pub attempt: String,
    /// The destination's upload id.
    pub upload: String,
    /// What to copy, and how.
    pub plan: Plan,
    /// Where from.
    pub source: Location,
    /// Where to.
    pub target: Location,
    /// This worker's name.
    pub worker: String,
    /// Parts it copies at once.
    pub parts_in_flight: usize,
    /// How long it may hold a part.
    pub part_lease: Duration,
    /// How much it cannot wait.
    pub urgency: Urgency,
    /// Whether it stays when others hold all that is left, and duplicates what is slow; else it ends.
    pub stays: bool,
    /// Relays that may carry its parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relays: Option<RelayOrder>,
}

/// Runs workers.
#[async_trait]
pub trait Executor: Send + Sync + std::fmt::Debug {
    /// Runs one worker until its pool is complete or closed. What it uses is added to `usage` as it goes, so that nothing
    /// is left out of the bill when it is stopped. Returns the published object if it was this worker that completed the
    /// last part, verified everything and published. Dropping the future stops the worker at any point.
    ///
    /// An order whose plan is to copy in one request has no pool and no upload: its worker does that, and publishes.
    async fn run(&self, order: WorkOrder, usage: Arc<Usage>) -> Result<Option<Published>>;

    /// Whether workers for which no place was planned run on other machines than this process, with networks of their own.
    fn is_elsewhere(&self) -> bool {
        false
    }

    /// Relays that stand by for its workers.
    fn relays(&self) -> Option<&StandingRelays> {
        None
    }
}

/// What a worker works with.
pub(crate) struct WorkerContext {
    pub(crate) source: Arc<dyn ObjectStore>,
    pub(crate) target: Arc<dyn ObjectStore>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) throttle: Option<Arc<Throttle>>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Relays that may carry its parts, and where parts wait that they do not carry.
    pub(crate) relays: Option<(Carriers, Arc<Line>)>,
}

/// Workers as tasks of this process, with at most so many parts in flight in all: the bound on memory. Those that relays carry for a
/// destination are not in this process's memory, and as many besides. Where there are more
/// orders than that, of whatever rule, the most urgent goes first, also before one that has begun and has parts left.
#[derive(Debug)]
pub struct InProcess {
    stores: Arc<Stores>,
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    line: Arc<Line>,
    relays: Option<Arc<StandingRelays>>,
    /// Where orders whose parts go by relays wait: one line for each destination, or those of one would keep those of another from
    /// coming together with them.
    relay_lines: Mutex<HashMap<Location, Arc<Line>>>,
}

impl InProcess {
    /// An executor over these stores and this ledger.
    pub fn new(
        stores: Arc<Stores>,
        ledger: Arc<dyn Ledger>,
        clock: Arc<dyn Clock>,
        max_parts_in_flight: usize,
    ) -> Self {
        InProcess {
            stores,
            ledger,
            line: Line::new(max_parts_in_flight, Arc::clone(&clock)),
            clock,
            relays: None,
            relay_lines: Mutex::default(),
        }
    }

    fn relay_line(&self, target: &Location) -> Arc<Line> {
        let lines = self.relay_lines.lock();
        let mut lines = lines.unwrap_or_else(PoisonError::into_inner);
        let new = || Line::new(self.line.total(), Arc::clone(&self.clock));
        Arc::clone(lines.entry(target.clone()).or_insert_with(new))
    }

    /// With relays that carry parts where they are better.
    #[must_use]
    pub fn with_relays(mut self, relays: Arc<StandingRelays>) -> Self {
        self.relays = Some(relays);
        self
    }
}

#[async_trait]
impl Executor for InProcess {
    async fn run(&self, order: WorkOrder, usage: Arc<Usage>) -> Result<Option<Published>> {
        let relays = match (&self.relays, &order.relays) {
            (Some(relays), Some(asked)) => Some(relays.carriers(asked, order.part_lease).await),
            _ => None,
        };
        let relays = relays.filter(Carriers::are_open);
        let urgency = order.urgency.into();
        let line = match &relays {
            Some(_) => self.relay_line(&order.target),
            None => Arc::clone(&self.line),
        };
        let mut turn = line.enter(order.parts_in_flight, urgency).await;
        let context = WorkerContext {
            relays: relays.map(|relays| (relays, Arc::clone(&self.line))),
            source: self.stores.get(&order.source)?,
            target: self.stores.get(&order.target)?,
            ledger: Arc::clone(&self.ledger),
            throttle: self.stores.throttle(&order.task.rule),
            clock: Arc::clone(&self.clock),
        };
        worker::run(&context, &order, &usage, &mut turn).await
    }

    fn relays(&self) -> Option<&StandingRelays> {
        self.relays.as_deref()
    }
}
