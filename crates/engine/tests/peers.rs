//! Several engines on one ledger: no coordinator, no memory in common.

mod harness;

use harness::{World, key};
use skyfresh_engine::{Engine, ObjectEvent, Rule, WaitOutcome};
use skyfresh_ledger::shared::{MemoryDocuments, Settings, SharedLedger};
use skyfresh_ledger::{Ledger, TaskKey};
use skyfresh_sky::Rng;
use std::sync::Arc;
use std::time::Duration;

/// One set of documents, and the ledgers that processes open in it.
struct Together {
    documents: MemoryDocuments,
    rng: Rng,
}

impl Together {
    fn new() -> Self {
        Together {
            documents: MemoryDocuments::new(),
            rng: Rng::seeded(5),
        }
    }

    /// What a process of its own opens.
    async fn ledger(&self) -> Arc<dyn Ledger> {
        let documents = self.documents.another(Default::default(), self.rng.fork());
        let settings = Settings::default();
        let opened = SharedLedger::open(Arc::new(documents), settings, self.rng.fork()).await;
        Arc::new(opened.expect("opens"))
    }

    /// An engine in a process of its own.
    async fn engine(&self, world: &mut World, rule: Rule) -> Engine {
        world.engine_on(self.ledger().await, vec![rule]).await
    }
}

async fn copied(engine: &Engine) -> u64 {
    let status = engine.status(None).await.expect("status");
    let lanes = status.iter().flat_map(|rule| &rule.destinations);
    lanes
        .flat_map(|lane| lane.totals.outcomes.iter())
        .filter(|(outcome, _)| {
            serde_json::to_value(outcome).is_ok_and(|outcome| outcome == "copied")
        })
        .map(|(_, count)| count)
        .sum()
}

async fn sweep_started(engine: &Engine) -> Option<skyfresh_sky::Timestamp> {
    let status = engine.status(None).await.expect("status");
    status[0].destinations[0]
        .sweep
        .as_ref()
        .map(|sweep| sweep.started)
}

async fn proved(world: &World, engine: &Engine) {
    let waited = engine
        .wait("rule", world.clock.now(), Duration::from_secs(600))
        .await;
    assert_eq!(waited.expect("the ledger answers"), WaitOutcome::Reached);
}

#[tokio::test(start_paused = true)]
async fn what_one_hears_of_all_may_do_and_each_object_moves_once() {
    let (mut world, together) = (World::new(21, 2), Together::new());
    let one = together.engine(&mut world, World::rule(2)).await;
    let two = together.engine(&mut world, World::rule(2)).await;
    world.quiet(&one).await;
    world.quiet(&two).await;
    for index in 0..300 {
        let name = format!("k{index}");
        world.put(&name, vec![index as u8; 1_500]).await;
        world.notify(&one, &name).await;
    }
    proved(&world, &two).await;
    for destination in ["mem://d1/", "mem://d2/"] {
        assert!(world.verify(destination).await.all_equal());
    }
    assert_eq!(copied(&one).await + copied(&two).await, 600);
    world.clock.sleep(Duration::from_secs(10)).await;
    let status = two.status(None).await.unwrap();
    let seen: u64 = status[0]
        .destinations
        .iter()
        .map(|lane| lane.lag.changes)
        .sum();
    assert_eq!(seen, 600, "the lag window holds what the other one did too");
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_process_held_is_taken_over_within_its_lease() {
    let (mut world, together) = (World::new(22, 1), Together::new());
    let dying = together.engine(&mut world, World::rule(1)).await;
    let living = together.engine(&mut world, World::rule(1)).await;
    world.quiet(&dying).await;
    world.quiet(&living).await;
    for index in 0..100 {
        let name = format!("k{index}");
        world.put(&name, vec![index as u8; 20_000]).await;
        world.notify(&dying, &name).await;
    }
    // Claims are under way, none is finished.
    world.clock.sleep(Duration::from_millis(1)).await;
    drop(dying);
    let died = world.clock.now();
    world
        .until("nothing is pending", || async {
            let status = living.status(None).await.expect("status");
            status[0].destinations[0].backlog.objects == 0
        })
        .await;
    let took = world.clock.now().since(died);
    assert!(
        took < world.config.lease + Duration::from_secs(2),
        "{took:?}"
    );
    assert!(world.verify("mem://d1/").await.all_equal());
}

/// An owner may die between any two writes to the ledger. What it has published and put on record counts as late once: what
/// is copied after it is not older than its attempt.
#[tokio::test(start_paused = true)]
async fn what_a_dead_process_has_published_does_not_count_again() {
    let mut twice = 0;
    for writes in 1..=20 {
        let (mut world, together) = (World::new(40 + writes, 1), Together::new());
        let documents = Arc::new(
            together
                .documents
                .another(Default::default(), Rng::seeded(writes)),
        );
        let settings = Settings::default();
        let opened = SharedLedger::open(documents.clone(), settings, Rng::seeded(writes)).await;
        let ledger: Arc<dyn Ledger> = Arc::new(opened.expect("opens"));
        let dying = world.engine_on(ledger, vec![World::rule(1)]).await;
        let living = together.engine(&mut world, World::rule(1)).await;
        world.quiet(&dying).await;
        world.quiet(&living).await;
        world.put("k", vec![1; 1_500]).await;
        // Heard of late, so that the change is older than the attempt.
        let event = ObjectEvent {
            key: key("k"),
            changed: Some(world.clock.now()),
            size: None,
        };
        world.clock.sleep(Duration::from_millis(300)).await;
        dying.submit("rule", &[event]).await.expect("is taken in");
        documents.crash_after(writes);
        world.clock.sleep(Duration::from_millis(500)).await;
        drop(dying);
        world.put("k", vec![2; 1_600]).await;
        world.notify(&living, "k").await;
        proved(&world, &living).await;
        let task = TaskKey {
            rule: "rule".into(),
            destination: "d1".into(),
            key: key("k"),
        };
        let receipts = together.ledger().await.receipts_by_key(&task, 10).await;
        let mut receipts = receipts.expect("reads");
        receipts.sort_by_key(|receipt| receipt.published);
        for (earlier, later) in receipts.iter().zip(&receipts[1.min(receipts.len())..]) {
            twice += 1;
            assert!(
                later.changed >= earlier.started,
                "{writes} writes: {earlier:?} covers what {later:?} counts from"
            );
        }
    }
    assert!(twice > 0, "no process died between its receipt and its end");
}

#[tokio::test(start_paused = true)]
async fn one_sweeps_at_a_time_and_all_know_what_it_found() {
    let (mut world, together) = (World::new(23, 1), Together::new());
    let rule = Rule {
        sweep_every: Duration::from_secs(100),
        ..World::rule(1)
    };
    world.put("k", "x").await;
    let one = together.engine(&mut world, rule.clone()).await;
    let two = together.engine(&mut world, rule).await;
    world.quiet(&one).await;
    world.quiet(&two).await;
    let first = sweep_started(&one).await;
    assert_eq!(sweep_started(&two).await, first, "one sweep for both");
    world.clock.sleep(Duration::from_secs(90)).await;
    assert_eq!(sweep_started(&one).await, first, "not before its time");
    world.clock.sleep(Duration::from_secs(20)).await;
    let second = sweep_started(&one).await;
    assert!(second > first && sweep_started(&two).await == second);
    one.sweep("rule").unwrap();
    world.clock.sleep(Duration::from_secs(10)).await;
    assert!(
        sweep_started(&two).await > second,
        "asked of one, seen by both"
    );
    // Whoever swept last: when it dies, the other one goes on.
    drop(one);
    world.clock.sleep(Duration::from_secs(250)).await;
    let age = world.clock.now().since(sweep_started(&two).await.unwrap());
    assert!(age < Duration::from_secs(120), "{age:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pause_counts_for_all() {
    let (mut world, together) = (World::new(24, 1), Together::new());
    let one = together.engine(&mut world, World::rule(1)).await;
    let two = together.engine(&mut world, World::rule(1)).await;
    world.quiet(&one).await;
    world.quiet(&two).await;
    one.set_paused("rule", true).await.unwrap();
    world.clock.sleep(Duration::from_secs(10)).await;
    assert!(two.status(None).await.unwrap()[0].paused);
    world.put("k", "x").await;
    world.notify(&two, "k").await;
    world.clock.sleep(Duration::from_secs(60)).await;
    assert!(world.store("mem://d1/").head_is_missing("k").await);
    two.set_paused("rule", false).await.unwrap();
    proved(&world, &one).await;
    assert!(!world.store("mem://d1/").head_is_missing("k").await);
}

#[tokio::test(start_paused = true)]
async fn deletes_of_others_and_of_the_dead_count_against_the_cap() {
    let (mut world, together) = (World::new(25, 1), Together::new());
    let rule = Rule {
        delete: true,
        max_deletes: 3,
        ..World::rule(1)
    };
    for index in 0..10 {
        world.put(&format!("k{index}"), "x").await;
    }
    let one = together.engine(&mut world, rule.clone()).await;
    world.quiet(&one).await;
    for index in 0..3 {
        let name = format!("k{index}");
        world.delete(&name).await;
        world.notify(&one, &name).await;
    }
    world.quiet(&one).await;
    drop(one);
    let two = together.engine(&mut world, rule).await;
    world.clock.sleep(Duration::from_secs(10)).await;
    world.delete("k9").await;
    world.notify(&two, "k9").await;
    world.clock.sleep(Duration::from_secs(60)).await;
    assert!(
        !world.store("mem://d1/").head_is_missing("k9").await,
        "held"
    );
    world.clock.sleep(Duration::from_secs(3_600)).await;
    world.quiet(&two).await;
    assert!(world.store("mem://d1/").head_is_missing("k9").await);
}

trait HeadIsMissing {
    async fn head_is_missing(&self, name: &str) -> bool;
}

impl<S: skyfresh_store::ObjectStore + ?Sized> HeadIsMissing for Arc<S> {
    async fn head_is_missing(&self, name: &str) -> bool {
        self.head(&key(name))
            .await
            .is_err_and(|error| error.kind == skyfresh_sky::Kind::Missing)
    }
}
