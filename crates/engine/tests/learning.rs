//! What receipts taught a process is known to its successor.

mod harness;

use harness::{World, key};
use skyfresh_engine::Engine;
use skyfresh_ledger::{Expected, Ledger, TaskKey};
use std::time::Duration;

/// As the ledger calls the record of the only lane.
const RECORD: &str = "learnt/rule/d1";

/// Copies an object whose bytes take ten seconds, and tells what was expected of it.
async fn copy(world: &World, engine: &Engine, name: &str) -> Expected {
    world.put(name, vec![3; 10_000]).await;
    world.notify(engine, name).await;
    world.quiet(engine).await;
    let task = TaskKey {
        rule: "rule".into(),
        destination: "d1".into(),
        key: key(name),
    };
    let receipts = world.ledger.receipts_by_key(&task, 1).await.expect("reads");
    receipts[0].expected.clone().expect("was planned")
}

/// A world in which everything is a hundred times slower than the catalogue says.
async fn slow(seed: u64) -> (World, Engine) {
    let mut world = World::new(seed, 1);
    world.planned = true;
    let engine = start(&mut world).await;
    (world, engine)
}

async fn start(world: &mut World) -> Engine {
    let mut rule = World::rule(1);
    rule.slo.delay = Duration::from_secs(120);
    rule.bandwidth = Some("1KB".to_owned().try_into().expect("a rate"));
    let engine = world.engine(vec![rule]).await;
    world.quiet(&engine).await;
    engine
}

/// What is expected of the first copy, and after it has been learnt that copies are slow.
async fn learn(world: &World, engine: &Engine) -> (u64, u64) {
    let first = copy(world, engine, "first").await.p50_ms;
    for index in 0..10 {
        copy(world, engine, &format!("k{index}")).await;
    }
    let later = copy(world, engine, "later").await.p50_ms;
    assert!(
        later > 10 * first,
        "{first} ms, then {later} ms: nothing was learnt"
    );
    (first, later)
}

#[tokio::test(start_paused = true)]
async fn a_successor_goes_on_with_what_was_learnt() {
    let (mut world, engine) = slow(71).await;
    let (_, learnt_ms) = learn(&world, &engine).await;
    engine.shutdown().await;
    let engine = start(&mut world).await;
    let again_ms = copy(&world, &engine, "again").await.p50_ms;
    let off = again_ms as f64 / learnt_ms as f64 - 1.0;
    assert!(
        off.abs() < 0.1,
        "{learnt_ms} ms before, {again_ms} ms after"
    );
}

/// A process that dies is not asked: what the janitor has kept by then is there.
#[tokio::test(start_paused = true)]
async fn what_was_learnt_is_kept_while_the_process_runs_but_not_all_the_time() {
    let (mut world, engine) = slow(72).await;
    let (_, learnt_ms) = learn(&world, &engine).await;
    world.clock.sleep(world.config.janitor_period * 2).await;
    let kept = world.ledger.cursor(RECORD).await.expect("reads");
    assert!(kept.is_some());
    copy(&world, &engine, "one more").await;
    assert_eq!(
        world.ledger.cursor(RECORD).await.expect("reads"),
        kept,
        "at most once a period"
    );
    world.clock.sleep(world.config.janitor_period * 2).await;
    let newer = world.ledger.cursor(RECORD).await.expect("reads");
    assert_ne!(newer, kept);
    world.clock.sleep(world.config.janitor_period * 2).await;
    assert_eq!(
        world.ledger.cursor(RECORD).await.expect("reads"),
        newer,
        "nothing new"
    );
    drop(engine);
    let engine = start(&mut world).await;
    let again_ms = copy(&world, &engine, "again").await.p50_ms;
    assert!(
        again_ms > learnt_ms / 2,
        "{learnt_ms} ms before, {again_ms} ms after"
    );
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_none_is_left() {
    let (mut world, engine) = slow(73).await;
    let (first_ms, _) = learn(&world, &engine).await;
    engine.shutdown().await;
    let good = world
        .ledger
        .cursor(RECORD)
        .await
        .expect("reads")
        .expect("is kept");
    let mut damaged = good.clone();
    damaged["routes"][0]["parts"] = serde_json::json!({"count": 5, "weight": -1.0, "buckets": []});
    let mut newer = good;
    newer["layout"] = 99.into();
    for (index, record) in [damaged, newer, "nonsense".into()].into_iter().enumerate() {
        world
            .ledger
            .set_cursor(RECORD, Some(record))
            .await
            .expect("writes");
        let engine = start(&mut world).await;
        let name = format!("again{index}");
        let again_ms = copy(&world, &engine, &name).await.p50_ms;
        assert_eq!(again_ms, first_ms, "as one that has learnt nothing");
        engine.shutdown().await;
        let mended = world
            .ledger
            .cursor(RECORD)
            .await
            .expect("reads")
            .expect("is kept");
        assert_eq!(mended["layout"], 1, "and what it learns is kept again");
    }
}
