//! One run of one scenario: users write as the trace says, the engine keeps up or does not.

use super::build::{RULE, blueprint, location, terms};
use super::edits;
use super::pattern::Pattern;
use super::report::Report;
use super::{NotificationSettings, Scenario};
use crate::fault::Step;
use crate::storm::apply;
use crate::trace::{Trace, TraceError, TraceEvent, TraceOperation};
use crate::world::{Note, Notifier, Process, Sim};
use futures::StreamExt;
use skyfresh_sky::catalog::{notification_path, vm};
use skyfresh_sky::{Attributes, Clock, Distribution, Invalid, ObjectKey, Rng};
use skyfresh_store::memory::MemoryStore;
use skyfresh_store::{ObjectStore, Precondition, PutOptions};
use std::sync::Arc;
use std::time::Duration;

/// Why a scenario could not be run to its end.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// It says something that cannot be.
    #[error(transparent)]
    Scenario(#[from] Invalid),
    /// A line of its trace cannot be read.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The machine gives no runtime.
    #[error("cannot make a runtime: {0}")]
    Runtime(#[from] std::io::Error),
}

/// What users do.
pub struct Load {
    /// What it is called in the report.
    pub name: String,
    /// Who changes what when.
    pub trace: Trace,
}

/// How often it is looked whether the last changes have arrived.
const DRAIN_LOOK: Duration = Duration::from_millis(500);
/// What is left to do of a change that has arrived takes a few calls of the ledger.
const RECEIPTS_AFTER: Duration = Duration::from_secs(5);

/// Runs a scenario. `progress` hears of virtual time, ms, now and then.
///
/// # Errors
/// The scenario or a line of the trace is not what it should be.
pub fn run(
    scenario: &Scenario,
    seed: u64,
    load: Load,
    progress: &mut dyn FnMut(u64),
) -> Result<Report, Trouble> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    runtime.block_on(go(scenario, seed, load, progress))
}

/// Users, as the trace has them.
pub(super) struct Users {
    pub(super) sim: Arc<Sim>,
    pub(super) source: Arc<MemoryStore>,
    pub(super) pattern: Pattern,
    notifier: Arc<Notifier>,
    settings: NotificationSettings,
    delay_ms: Distribution,
    draws: Rng,
    fates: Rng,
    pub(super) writes: u64,
    pub(super) skipped: u64,
}

impl Users {
    /// Does what the trace says. A put or delete that the store would refuse (a key that is none) is left out and counted.
    async fn act(&mut self, event: TraceEvent) {
        let Ok(key) = ObjectKey::new(event.key) else {
            self.skipped += 1;
            return;
        };
        let done = match event.operation {
            TraceOperation::Put | TraceOperation::Copy => {
                self.writes += 1;
                let content = self.pattern.content(self.writes, event.size);
                let options = PutOptions {
                    size: event.size,
                    attributes: Attributes::default(),
                    precondition: Precondition::None,
                };
                let body = futures::stream::iter(content.into_iter().map(Ok)).boxed();
                self.source.put(&key, options, body).await.is_ok()
            }
            TraceOperation::Delete => {
                let deleted = self.source.delete(&key, &Precondition::None).await;
                deleted.is_ok()
            }
            TraceOperation::Get | TraceOperation::Head | TraceOperation::Other => return,
        };
        if !done {
            self.skipped += 1;
            return;
        }
        let size = (event.operation != TraceOperation::Delete).then_some(event.size);
        self.tell(&key, size);
    }

    pub(super) fn tell(&self, key: &ObjectKey, size: Option<u64>) {
        let copies = match self.fates.unit() {
            fate if fate < self.settings.lost => 0,
            fate if fate < self.settings.lost + self.settings.repeated => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let mut delay_s = self.delay_ms.sample(&self.draws) / 1_000.0;
            if self.fates.chance(self.settings.late) {
                delay_s += self.settings.late_s.sample(&self.draws);
            }
            let note = Note {
                key: key.clone(),
                changed: self.sim.now(),
                size,
            };
            let delay = Duration::from_secs_f64(delay_s.clamp(0.0, 86_400.0));
            self.notifier.send(note, delay);
        }
    }
}

async fn go(
    scenario: &Scenario,
    seed: u64,
    load: Load,
    progress: &mut dyn FnMut(u64),
) -> Result<Report, Trouble> {
    let sim = Sim::new(seed, terms(scenario), false);
    let blueprint = Arc::new(blueprint(&sim, scenario, seed)?);
    let processes: Vec<_> = (0..scenario.engine.processes.into())
        .map(|number| Process::start(Arc::clone(&blueprint), number))
        .collect();
    let notifier = Notifier::new(Arc::clone(&sim), RULE.to_owned());
    tokio::spawn(Arc::clone(&notifier).run(processes.clone()));
    // Machines are there, and have compared two empty buckets, before the first user writes.
    for process in &processes {
        process.runs().await;
    }
    sim.clock.sleep(Duration::from_secs(5)).await;
    let begun_ms = sim.now_ms();
    let path = notification_path(&scenario.notifications.path);
    let mut users = Users {
        source: sim.sky.store(location("source")?),
        pattern: Pattern::new(seed),
        notifier,
        settings: scenario.notifications.clone(),
        delay_ms: path.map_or(Distribution::Constant(0.0), |path| path.delay_ms.clone()),
        draws: Rng::named(seed, "notification.delay"),
        fates: Rng::named(seed, "notification.fate"),
        writes: 0,
        skipped: 0,
        sim: Arc::clone(&sim),
    };
    tokio::spawn(troubles(
        Arc::clone(&sim),
        processes.clone(),
        scenario.faults.clone(),
        begun_ms,
    ));
    let mut told_ms = 0;
    for event in load.trace {
        let event = event?;
        let wait_ms = (begun_ms + event.at_ms).saturating_sub(sim.now_ms());
        if wait_ms > 0 {
            sim.clock.sleep(Duration::from_millis(wait_ms)).await;
        }
        if event.at_ms >= told_ms {
            progress(event.at_ms);
            told_ms = event.at_ms + 10_000;
        }
        users.act(event).await;
    }
    if let Some(edits) = &scenario.load.edits {
        edits::make(&mut users, edits, &processes).await;
    }
    let ended_ms = sim.now_ms();
    let deadline_ms = ended_ms + scenario.load.drain_s * 1_000;
    while sim.observer.delays().1 > 0 && sim.now_ms() < deadline_ms {
        sim.clock.sleep(DRAIN_LOOK).await;
    }
    if scenario.load.keep_receipts {
        // The last change can be read before its receipt is written.
        sim.clock.sleep(RECEIPTS_AFTER).await;
    }
    if let Some(machine) = scenario.engine.machine.as_deref().and_then(vm) {
        let had = Duration::from_millis(sim.now_ms());
        for _ in &processes {
            sim.meter.machine(machine.price(had));
        }
    }
    Ok(Report::of(
        scenario,
        seed,
        &load.name,
        &sim,
        begun_ms,
        users.skipped,
    ))
}

/// Does to the system what the scenario says, when it says so.
async fn troubles(sim: Arc<Sim>, processes: Vec<Arc<Process>>, faults: Vec<Step>, begun_ms: u64) {
    let mut faults = faults;
    faults.sort_by_key(|step| step.at_ms);
    for step in faults {
        let wait_ms = (begun_ms + step.at_ms).saturating_sub(sim.now_ms());
        sim.clock.sleep(Duration::from_millis(wait_ms)).await;
        apply(&sim, &processes, RULE, &step.action).await;
    }
}
