//! One run of one schedule.

use super::apply::apply;
use super::copies;
use super::settle::{Storm, settle};
use crate::fault::{Action, PART_BYTES, Schedule, Setup};
use crate::observer::{Terms, Violation};
use crate::world::{
    Blueprint, EPOCH, Note, Notifier, Process, Route, ServiceModel, Sim, Site, StateStore, Way,
};
use serde::Serialize;
use skyfresh_engine::{ChangelogSizes, Destination, EngineConfig, Rule};
use skyfresh_ledger::MemoryLedger;
use skyfresh_sky::{Attributes, Clock, Distribution, Location, ObjectKey, Region, Rng, Scheme};
use skyfresh_store::memory::{BucketStyle, MEMORY_CAPABILITIES};
use skyfresh_store::{Capabilities, ObjectStore, Precondition, PutOptions, single_chunk};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The name of the rule in every run.
pub(super) const RULE: &str = "rule";
/// Guarantees are looked at in between, too: whatever the engine says is proved, must be so.
const PROOF_LOOK: Duration = Duration::from_millis(2_300);
/// What the last steps began goes on so long before faults stop: those that are armed have something to strike.
const LAST_STEPS: Duration = Duration::from_secs(15);
/// Clocks of a schedule differ by no more than this, in either direction, and are set at any time.
const CLOCKS_DIFFER: Duration = Duration::from_secs(5);

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Broken guarantees, in the order in which they were seen; empty is good.
    pub violations: Vec<Violation>,
    /// Hash of everything that happened.
    pub hash: u64,
    /// How much that was.
    pub events: u64,
    /// Virtual time the run took, ms.
    pub took_ms: u64,
    /// The log, where it was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
}

/// Runs a schedule to its end, or to the first broken guarantee.
pub fn run(schedule: &Schedule, keep_log: bool) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(storm(schedule, keep_log)),
        // Without files or sockets a runtime needs nothing that could be lacking.
        Err(error) => unreachable!("a runtime without IO: {error}"),
    }
}

/// The location of a bucket.
pub(super) fn location(bucket: &str) -> Location {
    Location {
        scheme: Scheme::Memory,
        ..format!("mem://{bucket}/").parse().unwrap_or_else(|_| {
            // Bucket names here are constants.
            unreachable!("{bucket} is a bucket name")
        })
    }
}

/// A key of a schedule.
pub(super) fn key(number: u8) -> ObjectKey {
    let name = format!("key-{number}");
    ObjectKey::new(name).unwrap_or_else(|_| unreachable!("letters and digits"))
}

fn rule(setup: &Setup) -> Rule {
    let destinations: Vec<_> = buckets(setup).map(|name| location(&name)).collect();
    let named = |mut rule: Rule| {
        for (destination, name) in rule.destinations.iter_mut().zip(buckets(setup)) {
            *destination = Destination {
                name,
                server_copy: setup.server_copy,
                ..destination.clone()
            };
        }
        rule
    };
    named(Rule {
        delete: setup.delete,
        max_deletes: setup.max_deletes,
        allow_empty_source: true,
        sweep_every: Duration::from_secs(20),
        ..Rule::new(RULE, location("source"), destinations)
    })
}

/// The destinations' buckets; destinations are called as they are.
pub(super) fn buckets(setup: &Setup) -> impl Iterator<Item = String> {
    (1..=setup.destinations).map(|number| format!("d{number}"))
}

fn config(setup: &Setup) -> EngineConfig {
    let mut config = EngineConfig::new("of a process");
    config.sizing.part_bytes = PART_BYTES;
    config.lease = Duration::from_secs(5);
    config.janitor_period = Duration::from_secs(30);
    if setup.server_copy {
        config.server_copy_least_bytes = 1;
    }
    if setup.changelog {
        config.changelog = ChangelogSizes {
            least_bytes: 1,
            least_parts_bytes: 1,
        };
    }
    config
}

fn make_buckets(sim: &Sim, setup: &Setup) {
    let source = Capabilities {
        versioned: setup.versioned_source,
        ..MEMORY_CAPABILITIES
    };
    sim.sky.create_bucket_with("source", source);
    let style = |states_checksums| BucketStyle {
        content_etags: states_checksums,
        states_checksums,
    };
    sim.sky
        .set_style("source", style(setup.source_states_checksums));
    for bucket in buckets(setup) {
        sim.sky.create_bucket(&bucket);
        let style = style(setup.target_states_checksums);
        let content_etags = style.content_etags && !setup.opaque_tags;
        sim.sky.set_style(
            &bucket,
            BucketStyle {
                content_etags,
                ..style
            },
        );
    }
}

fn blueprint(sim: &Arc<Sim>, setup: &Setup) -> Blueprint {
    let region = Region::local();
    let latency_ms = Distribution::Uniform {
        low: 0.0,
        high: f64::from(setup.latency_ms),
    };
    let way = Way {
        latency_ms: Distribution::Constant(0.0),
        connection_bytes_per_s: f64::INFINITY,
        pipes: Vec::new(),
        instance: None,
        draws: Rng::named(sim.seed, "store.latency"),
    };
    let names = buckets(setup).chain(["source".to_owned()]);
    let state = match setup.shared_ledger {
        true => StateStore::Shared(Arc::new(ServiceModel::new(latency_ms.clone(), None))),
        false => StateStore::Embedded {
            ledger: Arc::new(MemoryLedger::new()),
            latency_ms: Distribution::Uniform {
                low: 0.0,
                high: 5.0,
            },
        },
    };
    Blueprint {
        sim: Arc::clone(sim),
        rule: rule(setup),
        config: config(setup),
        state,
        dispatcher: Arc::default(),
        route: Arc::new(Route {
            sites: names
                .map(|name| {
                    let takes = latency_ms.clone();
                    (name, Site::new(region.clone(), takes, None, None, None))
                })
                .collect(),
            ways: BTreeMap::from([((region.clone(), region.clone()), way)]),
        }),
        region,
        cards: Vec::new(),
        fleets: Vec::new(),
        plan: None,
        state_service: None,
        max_parts_in_flight: 64,
        starts_in: Duration::ZERO,
    }
}

async fn storm(schedule: &Schedule, keep_log: bool) -> Outcome {
    let setup = &schedule.setup;
    let terms = Terms {
        start: EPOCH,
        rule: RULE.to_owned(),
        destinations: buckets(setup).map(|name| (name.clone(), name)).collect(),
        delete: setup.delete,
        // Several processes that delete at the same moment may pass the cap by what they delete in that time.
        max_deletes: setup.max_deletes * u64::from(setup.processes),
        exact_ledger: !setup.shared_ledger,
        slo: Duration::from_secs(60),
        capacity: 0,
        keeps_receipts: false,
    };
    let sim = Sim::new(schedule.seed, terms, keep_log);
    make_buckets(&sim, setup);
    let blueprint = Arc::new(blueprint(&sim, setup));
    let processes: Vec<_> = (0..setup.processes.into())
        .map(|number| Process::start(Arc::clone(&blueprint), number))
        .collect();
    let notifier = Notifier::new(Arc::clone(&sim), RULE.to_owned());
    tokio::spawn(Arc::clone(&notifier).run(processes.clone()));
    let skewed = |step: &crate::fault::Step| matches!(step.action, Action::Skew { .. });
    let clocks_differ = match schedule.steps.iter().any(skewed) {
        true => CLOCKS_DIFFER,
        false => Duration::ZERO,
    };
    let proofs = watch_proofs(Arc::clone(&sim), processes.clone(), clocks_differ);
    tokio::spawn(proofs);
    let storm = Storm {
        sim: Arc::clone(&sim),
        blueprint,
        processes,
        notifier,
    };
    for step in &schedule.steps {
        let wait_ms = step.at_ms.saturating_sub(sim.now_ms());
        sim.clock.sleep(Duration::from_millis(wait_ms)).await;
        if sim.observer.is_broken() {
            break;
        }
        act(&storm, &step.action).await;
    }
    sim.clock.sleep(LAST_STEPS).await;
    if !sim.observer.is_broken() {
        settle(&storm, setup).await;
    }
    let (hash, events) = sim.digest();
    Outcome {
        violations: sim.observer.violations(),
        hash,
        events,
        took_ms: sim.now_ms(),
        log: sim.take_lines(),
    }
}

/// Holds what the engines say is proved against what is there.
async fn watch_proofs(sim: Arc<Sim>, processes: Vec<Arc<Process>>, clocks_differ: Duration) {
    loop {
        sim.clock.sleep(PROOF_LOOK).await;
        for process in &processes {
            let status = process
                .ask(|engine| async move { engine.status(None).await })
                .await;
            let Some(Ok(rules)) = status else { continue };
            for lane in rules.iter().flat_map(|rule| &rule.destinations) {
                if let Some(proven) = lane.proven {
                    let proven = proven.before(clocks_differ);
                    sim.observer.proved(sim.now(), &lane.destination, proven);
                }
            }
        }
    }
}

fn tell(storm: &Storm, key: &ObjectKey, tell_ms: &[u32], size: Option<u64>) {
    for delay_ms in tell_ms {
        let note = Note {
            key: key.clone(),
            changed: storm.sim.now(),
            size,
        };
        let delay = Duration::from_millis((*delay_ms).into());
        storm.notifier.send(note, delay);
    }
}

async fn act(storm: &Storm, action: &Action) {
    let Storm { sim, processes, .. } = storm;
    sim.note(format_args!("step {action:?}"));
    let source = sim.sky.store(location("source"));
    match action {
        Action::Put {
            key: number,
            bytes,
            tell_ms,
        } => {
            let key = key(*number);
            let content = sim.contents.next(key.as_str(), *bytes as usize);
            let options = PutOptions {
                size: content.len() as u64,
                attributes: Attributes::default(),
                precondition: Precondition::None,
            };
            if source
                .put(&key, options, single_chunk(content))
                .await
                .is_ok()
            {
                tell(storm, &key, tell_ms, Some((*bytes).into()));
            }
        }
        Action::Delete {
            key: number,
            tell_ms,
        } => {
            let key = key(*number);
            if source.delete(&key, &Precondition::None).await.is_ok() {
                tell(storm, &key, tell_ms, None);
            }
        }
        Action::Copy {
            key: number,
            from,
            told,
            tell_ms,
        } => {
            let size = copies::copy(storm, &source, key(*number), key(*from), *told).await;
            if size.is_some() {
                tell(storm, &key(*number), tell_ms, size);
            }
        }
        fault => apply(sim, processes, RULE, fault).await,
    }
}
