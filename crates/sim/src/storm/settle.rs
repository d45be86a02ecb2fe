//! After the storm: faults stop, and everything must come right, and nothing be left over.

use super::run::{RULE, buckets, key, location};
use crate::fault::{KEYS, Setup};
use crate::observer::{Guarantee, UNCAPPED};
use crate::world::{Blueprint, Notifier, Process, Sim, StateStore};
use skyfresh_engine::WaitOutcome;
use skyfresh_engine::verify::{Depth, verify};
use skyfresh_ledger::shared::{Settings, SharedLedger};
use skyfresh_ledger::{Ledger, TaskKey};
use skyfresh_sky::{Clock, Rng, Timestamp};
use skyfresh_store::ObjectStore;
use std::sync::Arc;
use std::time::Duration;

/// What a run consists of.
pub(super) struct Storm {
    pub(super) sim: Arc<Sim>,
    pub(super) blueprint: Arc<Blueprint>,
    pub(super) processes: Vec<Arc<Process>>,
    pub(super) notifier: Arc<Notifier>,
}

/// Requests, stalls and pauses that were begun before faults stopped may take so long.
const LAST_FAULTS: Duration = Duration::from_secs(65);
/// Convergence may take this long: retries back off to five minutes.
const CONVERGENCE: Duration = Duration::from_secs(4 * 3_600);
/// What is not held by the cap on deletes is done after this.
const CAPPED: Duration = Duration::from_secs(400);
/// Leaks are gone after this many of the janitor's periods.
const PERIODS: u32 = 6;

/// Ends the storm, and reports what does not come right.
pub(super) async fn settle(storm: &Storm, setup: &Setup) {
    let sim = &storm.sim;
    sim.note(format_args!("faults stop"));
    sim.injector.disarm();
    for process in &storm.processes {
        process.heal();
    }
    sim.clock.sleep(LAST_FAULTS).await;
    if sim.observer.is_broken() {
        return;
    }
    let capped = setup.delete && setup.max_deletes < UNCAPPED;
    match capped {
        // More deletes than the cap are held until a person says that they are meant: nothing is proved before.
        true => sim.clock.sleep(CAPPED).await,
        false => converge(storm).await,
    }
    if storm.notifier.waiting() > 0 {
        let what = format!("{} messages are not taken", storm.notifier.waiting());
        return broken(sim, Guarantee::Convergence, what);
    }
    if !capped {
        compare(sim, setup).await;
    }
    sim.clock
        .sleep(storm.blueprint.config.janitor_period * PERIODS)
        .await;
    leaks(storm, setup, capped).await;
}

/// Waits until every process says that everything is proved.
async fn converge(storm: &Storm) {
    let sim = &storm.sim;
    let until = sim.now().after(Duration::from_millis(1));
    for process in &storm.processes {
        process.runs().await;
        let waited = process
            .ask(|engine| async move { engine.wait(RULE, until, CONVERGENCE).await })
            .await;
        if !matches!(waited, Some(Ok(WaitOutcome::Reached))) {
            let what = format!("nothing is proved hours after the last fault: {waited:?}");
            return broken(sim, Guarantee::Convergence, what);
        }
    }
}

fn broken(sim: &Sim, guarantee: Guarantee, what: String) {
    sim.observer.report(sim.now(), guarantee, what);
}

/// Compares source and destinations byte for byte, without the engine.
async fn compare(sim: &Sim, setup: &Setup) {
    let source = sim.sky.store(location("source"));
    for bucket in buckets(setup) {
        let target = sim.sky.store(location(&bucket));
        let clock = &sim.clock;
        let report = verify(
            source.as_ref(),
            target.as_ref(),
            None,
            Depth::Bytes,
            clock,
            |_| {},
        )
        .await;
        let extra = |report: &skyfresh_engine::verify::VerifyReport| match setup.delete {
            true => report.only_target,
            false => 0,
        };
        match report {
            Ok(report)
                if report.only_source + report.different + report.unreadable + extra(&report)
                    == 0 => {}
            report => {
                let what = format!("{bucket} differs from the source: {report:?}");
                broken(sim, Guarantee::Convergence, what);
            }
        }
    }
}

/// Looks for what was left over.
async fn leaks(storm: &Storm, setup: &Setup, capped: bool) {
    let sim = &storm.sim;
    for bucket in buckets(setup) {
        let uploads = sim.sky.store(location(&bucket)).list_uploads(None).await;
        match uploads {
            Ok(page) if page.uploads.is_empty() => {}
            uploads => {
                let what = format!("unfinished uploads at {bucket}: {uploads:?}");
                broken(sim, Guarantee::NothingLeaks, what);
            }
        }
    }
    let ledger: Arc<dyn Ledger> = match &storm.blueprint.state {
        StateStore::Embedded { ledger, .. } => Arc::clone(ledger) as _,
        StateStore::Shared(service) => {
            let documents = service
                .documents
                .another(Default::default(), Rng::seeded(0));
            let settings = Settings::default();
            let rng = Rng::named(sim.seed, "leaks");
            match SharedLedger::open(Arc::new(documents), settings, rng).await {
                Ok(ledger) => Arc::new(ledger),
                Err(error) => {
                    let what = format!("the ledger cannot be opened any more: {error}");
                    return broken(sim, Guarantee::NothingLost, what);
                }
            }
        }
    };
    match ledger.uploads(RULE, Timestamp::MAX).await {
        Ok(intents) if intents.is_empty() => {}
        intents => {
            let what = format!("intents of uploads are left: {intents:?}");
            broken(sim, Guarantee::NothingLeaks, what);
        }
    }
    for destination in buckets(setup) {
        for number in 0..KEYS {
            let task = TaskKey {
                rule: RULE.into(),
                destination: destination.clone(),
                key: key(number as u8),
            };
            match ledger.task(&task).await {
                Ok(None) => {}
                // Held by the cap on deletes, and says so.
                Ok(Some(_)) if capped => {}
                found => {
                    let what = format!("a task is left: {found:?}");
                    broken(sim, Guarantee::NothingLost, what);
                }
            }
        }
    }
}
