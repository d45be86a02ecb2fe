//! Deleting is opt-in, needs a complete listing, and is capped.

mod harness;

use harness::{World, key, read};
use skyfresh_engine::{Engine, Rule};
use skyfresh_ledger::{Ledger, Outcome, TaskKey};
use skyfresh_sky::Kind;
use skyfresh_store::memory::{Fault, OperationKind};
use skyfresh_store::{Error as StoreError, ObjectStore};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

async fn names(world: &World) -> Vec<String> {
    let page = world.store("mem://d1/").list(None, 1000).await.unwrap();
    page.objects
        .iter()
        .map(|object| object.key.to_string())
        .collect()
}

async fn filled(world: &mut World, count: usize, rule: Rule) -> Engine {
    for index in 0..count {
        world
            .put(&format!("k{index:03}"), vec![index as u8; 10])
            .await;
    }
    let engine = world.engine(vec![rule]).await;
    world.quiet(&engine).await;
    assert_eq!(names(world).await.len(), count);
    engine
}

async fn swept(world: &World, engine: &Engine) -> skyfresh_engine::SweepReport {
    let before = engine.status(None).await.unwrap()[0].destinations[0]
        .sweep
        .clone();
    engine.sweep("rule").unwrap();
    world
        .until("a new sweep is complete", || async {
            engine.status(None).await.unwrap()[0].destinations[0].sweep != before
        })
        .await;
    engine.status(None).await.unwrap()[0].destinations[0]
        .sweep
        .clone()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn deletes_are_off_by_default() {
    let mut world = World::new(1, 1);
    let engine = filled(&mut world, 3, World::rule(1)).await;
    world.delete("k001").await;
    world.notify(&engine, "k001").await;
    world.quiet(&engine).await;
    swept(&world, &engine).await;
    world.quiet(&engine).await;
    assert_eq!(names(&world).await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn deletes_travel_by_event_and_by_sweep_and_leave_tombstones() {
    let mut world = World::new(2, 1);
    let engine = filled(
        &mut world,
        4,
        Rule {
            delete: true,
            ..World::rule(1)
        },
    )
    .await;
    world.delete("k001").await;
    world.notify(&engine, "k001").await;
    world.quiet(&engine).await;
    world.delete("k002").await;
    swept(&world, &engine).await;
    world.quiet(&engine).await;
    assert_eq!(names(&world).await, ["k000", "k003"]);
    for name in ["k001", "k002"] {
        let task = TaskKey {
            rule: "rule".into(),
            destination: "d1".into(),
            key: key(name),
        };
        assert!(
            world.ledger.tombstone(&task).await.unwrap().is_some(),
            "{name}"
        );
        assert_eq!(
            world.ledger.receipts_by_key(&task, 1).await.unwrap()[0].outcome,
            Outcome::Deleted
        );
    }
    world.put("k001", "back again").await;
    world.notify(&engine, "k001").await;
    world.quiet(&engine).await;
    assert_eq!(
        read(world.store("mem://d1/").as_ref(), "k001")
            .await
            .unwrap(),
        "back again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_missing_source_bucket_is_never_a_delete() {
    let mut world = World::new(3, 1);
    let engine = filled(
        &mut world,
        5,
        Rule {
            delete: true,
            ..World::rule(1)
        },
    )
    .await;
    world.sky.remove_bucket("source");
    for index in 0..5 {
        world.notify(&engine, &format!("k{index:03}")).await;
    }
    engine.sweep("rule").unwrap();
    world.clock.sleep(MINUTE * 60).await;
    assert_eq!(names(&world).await.len(), 5);
    let status = engine.status(None).await.unwrap();
    let lane = &status[0].destinations[0];
    assert!(
        lane.sweep_error.as_ref().unwrap().contains("source"),
        "{lane:?}"
    );
    assert_eq!(lane.backlog.failing[&Kind::Missing], 5);
}

#[tokio::test(start_paused = true)]
async fn an_empty_source_deletes_nothing_unless_that_is_said() {
    let mut world = World::new(4, 1);
    let rule = Rule {
        delete: true,
        ..World::rule(1)
    };
    let engine = filled(&mut world, 5, rule.clone()).await;
    for index in 0..5 {
        world.delete(&format!("k{index:03}")).await;
    }
    let report = swept(&world, &engine).await;
    assert!(
        report.deletes_refused.as_ref().unwrap().contains("empty"),
        "{report:?}"
    );
    world.clock.sleep(MINUTE * 60).await;
    assert_eq!(names(&world).await.len(), 5);
    engine
        .apply(vec![Rule {
            allow_empty_source: true,
            ..rule
        }])
        .await
        .unwrap();
    world.quiet(&engine).await;
    world.clock.sleep(MINUTE).await;
    assert_eq!(names(&world).await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_finds_too_many_deletes_makes_none() {
    let mut world = World::new(5, 1);
    let engine = filled(
        &mut world,
        20,
        Rule {
            delete: true,
            max_deletes: 9,
            ..World::rule(1)
        },
    )
    .await;
    for index in 0..10 {
        world.delete(&format!("k{index:03}")).await;
    }
    let report = swept(&world, &engine).await;
    assert_eq!(report.deletes, 10);
    assert!(
        report
            .deletes_refused
            .as_ref()
            .unwrap()
            .contains("max_deletes"),
        "{report:?}"
    );
    world.clock.sleep(MINUTE).await;
    assert_eq!(names(&world).await.len(), 20);
    let proven = engine.status(None).await.unwrap()[0].destinations[0].proven;
    assert_eq!(
        proven, None,
        "a destination with refused deletes is not proved equal"
    );
}

#[tokio::test(start_paused = true)]
async fn deletes_by_event_past_the_cap_are_held_and_say_so() {
    let mut world = World::new(6, 1);
    let engine = filled(
        &mut world,
        20,
        Rule {
            delete: true,
            max_deletes: 5,
            sweep_every: MINUTE * 6000,
            ..World::rule(1)
        },
    )
    .await;
    for index in 0..10 {
        world.delete(&format!("k{index:03}")).await;
        world.notify(&engine, &format!("k{index:03}")).await;
    }
    world.clock.sleep(MINUTE).await;
    assert_eq!(names(&world).await.len(), 15);
    let status = engine.status(None).await.unwrap();
    let failing = &status[0].destinations[0].failing;
    assert!(
        failing[0]
            .last
            .as_ref()
            .unwrap()
            .message
            .contains("held for safety"),
        "{failing:?}"
    );
    // The window moves on: an hour later the next five go.
    world.clock.sleep(MINUTE * 75).await;
    assert_eq!(names(&world).await.len(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_fails_midway_is_never_taken_for_an_end() {
    let mut world = World::new(7, 1);
    for index in 0..2500 {
        world.put(&format!("k{index:04}"), "x").await;
    }
    let engine = world
        .engine(vec![Rule {
            delete: true,
            ..World::rule(1)
        }])
        .await;
    world.quiet(&engine).await;
    // The second page of the source fails from now on.
    let pages = std::sync::atomic::AtomicU64::new(0);
    world.sky.set_fault(Box::new(move |operation| {
        let listing = operation.kind == OperationKind::List && operation.bucket == "source";
        let page = if listing {
            pages.fetch_add(1, std::sync::atomic::Ordering::SeqCst)
        } else {
            0
        };
        (page % 2 == 1).then(|| {
            Fault::Refuse(StoreError::new(
                Kind::RetryAfter,
                "list",
                "source",
                "internal error",
            ))
        })
    }));
    engine.sweep("rule").unwrap();
    world.clock.sleep(MINUTE * 30).await;
    let page = world
        .store("mem://d1/")
        .list(Some("k2400"), 1000)
        .await
        .unwrap();
    assert_eq!(page.objects.len(), 99, "nothing was deleted");
    assert!(
        engine.status(None).await.unwrap()[0].destinations[0]
            .sweep_error
            .is_some()
    );
}
