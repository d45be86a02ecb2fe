//! What goes first when there are not enough workers for everything.

mod harness;

use harness::{World, key, location};
use skyfresh_engine::{Engine, ObjectEvent, Rule, Weight};
use skyfresh_ledger::shared::{MemoryDocuments, Settings, SharedLedger};
use skyfresh_ledger::{Ledger, Outcome, Receipt};
use skyfresh_sky::{Kind, Rng, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// From a folder of the source to a bucket of its own.
fn rule(name: &str, destination: &str, slo: Duration) -> Rule {
    let (from, to) = (
        format!("mem://source/{name}/"),
        format!("mem://{destination}/"),
    );
    let mut rule = Rule::new(name, location(&from), vec![location(&to)]);
    rule.slo.delay = slo;
    rule
}

async fn submit(world: &World, engine: &Engine, rule: &str, name: &str) {
    let event = ObjectEvent {
        key: key(name),
        changed: Some(world.clock.now()),
        size: None,
    };
    engine.submit(rule, &[event]).await.expect("is taken in");
}

async fn copied(ledger: &dyn Ledger, rule: &str) -> Vec<Receipt> {
    let all = ledger.receipts_by_time(rule, Timestamp::ZERO, 1_000);
    let mut all = all.await.expect("reads");
    all.retain(|receipt| receipt.outcome == Outcome::Copied);
    all
}

/// Room for one worker, and a rule whose copies take a second each: `objects` of so many parts.
async fn behind_a_backlog(seed: u64, objects: usize, parts: usize) -> (World, Engine) {
    let mut world = World::new(seed, 2);
    world.max_parts_in_flight = world.config.parts_in_flight;
    world.config.inline_in_flight = 1;
    let mut bulk = rule("bulk", "d1", Duration::from_secs(3_600));
    bulk.bandwidth = Some("20KB".to_owned().try_into().expect("a rate"));
    let urgent = rule("urgent", "d2", Duration::from_secs(5));
    let engine = world.engine(vec![bulk, urgent]).await;
    world.quiet(&engine).await;
    for index in 0..objects {
        let name = format!("k{index}");
        world
            .put(&format!("bulk/{name}"), vec![index as u8; parts * 1_000])
            .await;
        submit(&world, &engine, "bulk", &name).await;
    }
    world.clock.sleep(Duration::from_secs(2)).await;
    (world, engine)
}

/// Something urgent is there within its SLO, and whatever was there before arrives as well.
async fn overtakes(world: &World, engine: &Engine, objects: usize, bytes: usize) {
    world.put("urgent/now", vec![7; bytes]).await;
    submit(world, engine, "urgent", "now").await;
    world.quiet(engine).await;
    let (urgent, bulk) = (
        copied(&*world.ledger, "urgent").await,
        copied(&*world.ledger, "bulk").await,
    );
    assert_eq!((urgent.len(), bulk.len()), (1, objects));
    let delay = urgent[0].published.since(urgent[0].changed);
    assert!(delay < Duration::from_secs(5), "{delay:?}");
    let last = bulk.iter().map(|receipt| receipt.published).max();
    assert!(
        last > Some(urgent[0].published.after(Duration::from_secs(10))),
        "the backlog was no backlog: {last:?}"
    );
    let there = harness::read(world.store("mem://d2/").as_ref(), "now").await;
    assert_eq!(there.map(|bytes| bytes.len()), Some(bytes));
}

#[tokio::test(start_paused = true)]
async fn an_urgent_rule_overtakes_the_backlog_of_another() {
    let (world, engine) = behind_a_backlog(31, 20, 20).await;
    overtakes(&world, &engine, 20, 3_000).await;
}

/// Small objects go in one request each, and wait in a line of their own.
#[tokio::test(start_paused = true)]
async fn an_urgent_rule_overtakes_a_backlog_of_small_objects() {
    let (world, engine) = behind_a_backlog(36, 400, 1).await;
    overtakes(&world, &engine, 400, 800).await;
}

/// One object may take hours, and its workers hold all there is.
#[tokio::test(start_paused = true)]
async fn a_worker_in_the_middle_of_an_object_gives_way() {
    let (world, engine) = behind_a_backlog(32, 1, 400).await;
    overtakes(&world, &engine, 1, 3_000).await;
}

/// A rule whose deadlines have passed when it hears of a change.
fn late_rule() -> Rule {
    let mut late = rule("late", "d1", Duration::from_millis(1));
    late.bandwidth = Some("20KB".to_owned().try_into().expect("a rate"));
    late
}

fn weight(prefix: &str, regret_per_s: f64) -> Weight {
    Weight {
        prefix: prefix.into(),
        regret_per_s,
    }
}

fn weights() -> Vec<Weight> {
    vec![weight("b", 5.0), weight("b9", 0.5), weight("c", 2.0)]
}

/// What is late goes by [`weights`], one after the other.
async fn goes_by_weights(world: &World, engine: &Engine, ledger: &dyn Ledger) {
    let names = ["a1", "b1", "b91", "c1", "a2", "b2", "c2"];
    for name in names {
        world.put(&format!("late/{name}"), vec![1; 20_000]).await;
    }
    // The first one is on its way before the others come.
    submit(world, engine, "late", names[0]).await;
    world.clock.sleep(Duration::from_millis(500)).await;
    for name in &names[1..] {
        submit(world, engine, "late", name).await;
    }
    world.quiet(engine).await;
    let mut done = copied(ledger, "late").await;
    done.sort_by_key(|receipt| receipt.published);
    let mut order: Vec<&str> = done
        .iter()
        .map(|receipt| receipt.task.key.as_str())
        .collect();
    order.retain(|name| *name != names[0]);
    assert_eq!(order, ["b1", "b2", "c1", "c2", "a2", "b91"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_late_goes_by_the_weights_of_stale_reads_after_a_restart_too() {
    let mut world = World::new(33, 1);
    world.max_parts_in_flight = 1;
    let engine = world.engine(vec![late_rule()]).await;
    let kept = engine.set_weights("late", weights()).await;
    assert_eq!(kept.expect("keeps"), weights());
    drop(engine);
    let engine = world.engine(vec![late_rule()]).await;
    world.quiet(&engine).await;
    assert_eq!(engine.weights("late").await.expect("reads"), weights());
    goes_by_weights(&world, &engine, &*world.ledger).await;
}

#[tokio::test(start_paused = true)]
async fn weights_that_another_process_was_told_count_within_seconds() {
    let mut world = World::new(34, 1);
    world.max_parts_in_flight = 1;
    let (documents, mut ledgers) = (MemoryDocuments::new(), Vec::<Arc<dyn Ledger>>::new());
    for seed in [1, 2] {
        let another = Arc::new(documents.another(Default::default(), Rng::seeded(seed)));
        let opened = SharedLedger::open(another, Settings::default(), Rng::seeded(seed)).await;
        ledgers.push(Arc::new(opened.expect("opens")));
    }
    let mut engines = Vec::new();
    for ledger in &ledgers {
        engines.push(world.engine_on(Arc::clone(ledger), vec![late_rule()]).await);
    }
    for engine in &engines {
        world.quiet(engine).await;
    }
    let told = engines[1].set_weights("late", weights()).await;
    told.expect("keeps");
    world.clock.sleep(Duration::from_secs(10)).await;
    engines.truncate(1);
    goes_by_weights(&world, &engines[0], &*ledgers[0]).await;
}

#[tokio::test(start_paused = true)]
async fn weights_that_cannot_be_used_change_nothing() {
    let mut world = World::new(35, 1);
    let engine = world.engine(vec![World::rule(1)]).await;
    let kept = engine.set_weights("rule", weights()).await;
    kept.expect("keeps");
    let bad = engine.set_weights("rule", vec![weight("a", -1.0)]).await;
    assert_eq!(bad.unwrap_err().kind, Kind::Invalid);
    let nowhere = engine.set_weights("nosuch", Vec::new()).await;
    assert_eq!(nowhere.unwrap_err().kind, Kind::Missing);
    assert_eq!(engine.weights("rule").await.expect("reads"), weights());
    let cleared = engine.set_weights("rule", Vec::new()).await;
    assert!(cleared.expect("keeps").is_empty());
    assert!(engine.weights("rule").await.expect("reads").is_empty());
}
