//! Seeded storms: random writes at the source while everything that may go wrong does, watched by an observer that knows
//! nothing of the engine. The guarantees of GUARANTEES.md are the invariants. A failing seed prints its replay command.

mod harness;

use bytes::Bytes;
use harness::{World, key, location, read};
use md5::Digest;
use skyfresh_engine::{Engine, ObjectEvent, Rule};
use skyfresh_ledger::{Ledger, TaskKey};
use skyfresh_sky::{Clock, Kind, Rng};
use skyfresh_store::memory::{BodyFault, Fault, MemoryEvent, MemoryEventKind, OperationKind};
use skyfresh_store::{Error as StoreError, ObjectStore};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;

const KEYS: u64 = 6;
const WRITES: u64 = 60;

/// Content that says which version it is, and that no mixture of versions can imitate.
fn content(name: &str, version: u64, size: usize) -> Bytes {
    let line = format!("{name}#{version}#{size};");
    line.bytes()
        .cycle()
        .take(size.max(line.len()))
        .collect::<Vec<_>>()
        .into()
}

/// The version of a whole object, or why it is torn.
fn version_of(name: &str, bytes: &[u8]) -> Result<u64, String> {
    let text = String::from_utf8_lossy(bytes);
    let mut fields = text.split([';', '#']);
    let (held, version, size) = (fields.next(), fields.next(), fields.next());
    let version = version
        .and_then(|version| version.parse::<u64>().ok())
        .ok_or("no version")?;
    let size = size
        .and_then(|size| size.parse::<usize>().ok())
        .ok_or("no size")?;
    if held != Some(name) || content(name, version, size) != bytes {
        return Err(format!(
            "{} bytes that are no version of {name}",
            bytes.len()
        ));
    }
    Ok(version)
}

/// Which faults are on; all off when the storm is over.
#[derive(Clone)]
struct Faults {
    rng: Rng,
    on: Arc<AtomicBool>,
    /// Makes content for another writer that overwrites an object while it is read.
    versions: Arc<Mutex<HashMap<String, u64>>>,
}

impl Faults {
    fn next_version(&self, name: &str) -> u64 {
        let mut versions = self.versions.lock().unwrap();
        let version = versions.entry(name.into()).or_default();
        *version += 1;
        *version
    }

    fn draw(&self, kind: OperationKind, bucket: &str, full_key: Option<&str>) -> Option<Fault> {
        // Only the observer reads destinations.
        let observed = kind == OperationKind::Get && bucket != "source";
        if observed || !self.on.load(Ordering::SeqCst) || !self.rng.chance(0.15) {
            return None;
        }
        let error =
            |kind, why: &str| StoreError::new(kind, "fault", full_key.unwrap_or(bucket), why);
        let passing = || error(Kind::RetryAfter, "injected");
        let at = self.rng.below(3000);
        let writes = matches!(
            kind,
            OperationKind::Put
                | OperationKind::CompleteUpload
                | OperationKind::CreateUpload
                | OperationKind::Delete
                | OperationKind::AbortUpload
        );
        let has_body = matches!(
            kind,
            OperationKind::Get | OperationKind::Put | OperationKind::UploadPart
        );
        let fault = match self.rng.below(8) {
            0 | 1 => Fault::Refuse(passing()),
            2 if writes => Fault::LoseAnswer(passing()),
            3 if has_body => Fault::Body(BodyFault::Fail {
                at,
                error: passing(),
            }),
            4 if has_body => Fault::Body(BodyFault::Corrupt { at }),
            5 if has_body => Fault::Body(BodyFault::Stall {
                at,
                delay: Duration::from_millis(self.rng.below(30_000)),
            }),
            6 if kind == OperationKind::Get && bucket == "source" => {
                let name = full_key?;
                let bytes = content(name, self.next_version(name), self.rng.below(6000) as usize);
                Fault::Body(BodyFault::Overwrite { at, bytes })
            }
            7 => Fault::Delay(Duration::from_millis(self.rng.below(20_000))),
            _ => Fault::Refuse(error(Kind::Denied, "injected")),
        };
        Some(fault)
    }
}

/// Reads every object that appears at a destination and holds it against the guarantees: it is whole, it is content the
/// source had, and in the order in which the source had it.
async fn observe(
    store: impl Fn(&str) -> Arc<dyn ObjectStore>,
    mut events: UnboundedReceiver<MemoryEvent>,
) {
    let mut source_order: HashMap<(String, String), u64> = HashMap::new();
    let mut newest: HashMap<(String, String), u64> = HashMap::new();
    let mut waiting = VecDeque::new();
    let mut sequence = 0;
    while let Some(event) = events.recv().await {
        waiting.push_back(event);
        while let Some(event) = waiting.pop_front() {
            if event.full_key.starts_with(".skyfresh-probe-")
                || event.kind != MemoryEventKind::Put
                || event.bucket == "source"
            {
                sequence += 1;
                source_order.insert((event.full_key, event.etag), sequence);
                continue;
            }
            let Some(bytes) = read(store(&event.bucket).as_ref(), &event.full_key).await else {
                continue;
            };
            // What was just read may be newer than the event: hear of everything before it first.
            while let Ok(later) = events.try_recv() {
                if later.bucket == "source" && later.kind == MemoryEventKind::Put {
                    sequence += 1;
                    source_order.insert((later.full_key, later.etag), sequence);
                } else {
                    waiting.push_back(later);
                }
            }
            let (bucket, name) = (event.bucket, event.full_key);
            let version = version_of(&name, &bytes)
                .unwrap_or_else(|why| panic!("torn object in {bucket}: {why}"));
            let etag = hex::encode(md5::Md5::digest(&bytes));
            let order = *source_order.get(&(name.clone(), etag)).unwrap_or_else(|| {
                panic!("{name} version {version} in {bucket}: the source never had it")
            });
            let seen = newest.entry((bucket.clone(), name.clone())).or_default();
            assert!(
                order >= *seen,
                "{name} went back in {bucket}, to version {version}"
            );
            *seen = order;
        }
    }
}

async fn tell(engine: &Engine, clock: &dyn Clock, rng: &Rng, name: &str) {
    // Lost, repeated and late notifications; order follows from the delays.
    let copies = match rng.below(10) {
        0 => 0,
        1 => 3,
        _ => 1,
    };
    for _ in 0..copies {
        let event = ObjectEvent {
            key: key(name),
            changed: Some(clock.now()),
            size: Some(rng.below(5000)),
        };
        engine.submit("rule", &[event]).await.expect("is taken in");
        clock.sleep(Duration::from_millis(rng.below(400))).await;
    }
}

async fn storm(seed: u64) {
    let mut world = World::new(seed, 2);
    world.config.lease = Duration::from_secs(5);
    let rng = Rng::seeded(seed ^ 0x5eed);
    let faults = Faults {
        rng: rng.fork(),
        on: Arc::new(AtomicBool::new(true)),
        versions: Arc::default(),
    };
    let events = world.sky.subscribe();
    let (sky, hook) = (world.sky.clone(), faults.clone());
    let observer = tokio::spawn(observe(
        move |bucket| sky.store(location(&format!("mem://{bucket}/"))),
        events,
    ));
    // Reads of the observer and of the final comparison are not part of the storm.
    world.sky.set_fault(Box::new(move |operation| {
        hook.draw(operation.kind, operation.bucket, operation.full_key)
    }));
    let delete = rng.chance(0.5);
    let rule = Rule {
        delete,
        sweep_every: Duration::from_secs(120),
        ..World::rule(2)
    };
    let mut engines = vec![world.engine(vec![rule.clone()]).await];
    for _ in 0..WRITES {
        let name = format!("key-{}", rng.below(KEYS));
        if rng.chance(0.15) {
            let _ = world
                .store(harness::SOURCE)
                .delete(&key(&name), &skyfresh_store::Precondition::None)
                .await;
        } else {
            let bytes = content(&name, faults.next_version(&name), rng.below(8000) as usize);
            let options = skyfresh_store::PutOptions {
                size: bytes.len() as u64,
                attributes: skyfresh_sky::Attributes::default(),
                precondition: skyfresh_store::Precondition::None,
            };
            // The user's own write may fail too; then there is nothing to replicate.
            let _ = world
                .store(harness::SOURCE)
                .put(&key(&name), options, skyfresh_store::single_chunk(bytes))
                .await;
        }
        tell(&engines[0], world.clock.as_ref(), &rng, &name).await;
        world
            .clock
            .sleep(Duration::from_millis(rng.below(3_000)))
            .await;
        match rng.below(20) {
            // A crash: whatever was under way stops where it was.
            0 => engines.truncate(1),
            1 => {
                engines.clear();
                engines.push(world.engine(vec![rule.clone()]).await);
            }
            // A second process on the same ledger.
            2 if engines.len() == 1 => engines.push(world.engine(vec![rule.clone()]).await),
            3 => engines[0].sweep("rule").expect("sweeps"),
            _ => {}
        }
    }
    faults.on.store(false, Ordering::SeqCst);
    engines.truncate(1);
    let engine = &engines[0];
    // Faults drawn before may still be due: stalls, delays, and the overwrites behind them.
    world.clock.sleep(Duration::from_secs(120)).await;
    let until = world.clock.now().after(Duration::from_millis(1));
    let waited = engine
        .wait("rule", until, Duration::from_secs(24 * 3600))
        .await
        .expect("waits");
    assert_eq!(waited, skyfresh_engine::WaitOutcome::Reached, "convergence");
    for destination in ["mem://d1/", "mem://d2/"] {
        let report = world.verify(destination).await;
        let extra = if delete { report.only_target } else { 0 };
        assert_eq!(
            (
                report.only_source,
                report.different,
                report.unreadable,
                extra
            ),
            (0, 0, 0, 0),
            "convergence at {destination}: {report:?}"
        );
    }
    // Every receipt's version is one the source had, and what is there now has a receipt or equals a receipt's version.
    let receipts = world
        .ledger
        .receipts_by_time("rule", skyfresh_sky::Timestamp::ZERO, 100_000)
        .await
        .expect("receipts");
    assert!(!receipts.is_empty());
    // Leaks are bounded by the janitor: after some periods no upload, no pool, no task is left.
    world.clock.sleep(world.config.janitor_period * 12).await;
    for destination in ["mem://d1/", "mem://d2/"] {
        assert_eq!(
            world.uploads(destination).await,
            0,
            "leaked uploads at {destination}"
        );
    }
    for index in 0..KEYS {
        let task = TaskKey {
            rule: "rule".into(),
            destination: "d1".into(),
            key: key(&format!("key-{index}")),
        };
        assert!(
            world.ledger.task(&task).await.expect("task").is_none(),
            "a task is left"
        );
    }
    assert!(
        world
            .ledger
            .uploads("rule", skyfresh_sky::Timestamp::MAX)
            .await
            .expect("journal")
            .is_empty(),
        "intents are left"
    );
    if observer.is_finished() {
        observer.await.expect("the observer saw a broken guarantee");
    } else {
        observer.abort();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the replay command is given through the environment"
)]
fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    match number("SKYFRESH_STORM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SKYFRESH_STORM_SEEDS").unwrap_or(100),
    }
}

#[test]
fn storm_of_faults_keeps_every_guarantee() {
    for seed in seeds() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            runtime.block_on(storm(seed))
        }));
        if let Err(panic) = result {
            let replay = format!(
                "SKYFRESH_STORM_SEED={seed} cargo test -p skyfresh-engine --test storm -- --nocapture"
            );
            let why = panic
                .downcast_ref::<String>()
                .cloned()
                .unwrap_or_else(|| "see above".into());
            panic!("seed {seed}: {why}\nreplay: {replay}");
        }
    }
}

#[test]
fn the_observer_tells_torn_from_whole() {
    let whole = content("k", 3, 100);
    assert_eq!(version_of("k", &whole), Ok(3));
    let mixed = [&whole[..50], &content("k", 4, 100)[50..]].concat();
    assert!(version_of("k", &mixed).is_err());
    assert!(version_of("k", &whole[..99]).is_err());
    assert!(version_of("other", &whole).is_err());
}
