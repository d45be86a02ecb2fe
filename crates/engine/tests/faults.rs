//! One fault a test: what it does, what is said of it, and that nothing is lost.

mod harness;

use harness::{World, key, read};
use skyfresh_engine::{Engine, LaneState, ObjectEvent, Rule};
use skyfresh_ledger::{Ledger, Outcome, TaskKey};
use skyfresh_sky::{Attributes, Kind};
use skyfresh_store::memory::{BodyFault, Fault, MEMORY_CAPABILITIES, Operation, OperationKind};
use skyfresh_store::{Error as StoreError, ObjectStore, UploadLimits};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

fn refuse(kind: Kind, why: &str) -> Fault {
    Fault::Refuse(StoreError::new(kind, "fault", "store", why))
}

/// Faults the first `count` operations that match.
fn first(
    world: &World,
    count: u64,
    matches: impl Fn(&Operation<'_>) -> bool + Send + Sync + 'static,
    fault: impl Fn() -> Fault + Send + Sync + 'static,
) {
    let seen = AtomicU64::new(0);
    world.sky.set_fault(Box::new(move |operation| {
        (matches(operation) && seen.fetch_add(1, Ordering::SeqCst) < count).then(&fault)
    }));
}

async fn ready(world: &mut World, rule: Rule) -> Engine {
    let engine = world.engine(vec![rule]).await;
    world.quiet(&engine).await;
    engine
}

async fn copied(world: &World, name: &str) -> skyfresh_ledger::Receipt {
    let task = TaskKey {
        rule: "rule".into(),
        destination: "d1".into(),
        key: key(name),
    };
    world
        .ledger
        .receipts_by_key(&task, 1)
        .await
        .unwrap()
        .remove(0)
}

#[tokio::test(start_paused = true)]
async fn a_failing_key_never_blocks_another_and_says_why() {
    let mut world = World::new(1, 1);
    let engine = ready(&mut world, World::rule(1)).await;
    let cured = Arc::new(AtomicBool::new(false));
    let well = Arc::clone(&cured);
    world.sky.set_fault(Box::new(move |operation| {
        let sick = operation.full_key == Some("bad")
            && operation.kind == OperationKind::Get
            && !well.load(Ordering::SeqCst);
        sick.then(|| refuse(Kind::Denied, "this object may not be read"))
    }));
    world.put("bad", "x").await;
    world.notify(&engine, "bad").await;
    for index in 0..50 {
        world.put(&format!("good{index}"), "y").await;
        world.notify(&engine, &format!("good{index}")).await;
    }
    world.clock.sleep(MINUTE).await;
    let explained = engine.explain("rule", &key("bad")).await.unwrap().remove(0);
    let pending = explained.pending.unwrap();
    assert!(
        pending.failures >= 2
            && pending
                .last_failure
                .as_ref()
                .unwrap()
                .message
                .contains("may not be read"),
        "{pending:?}"
    );
    assert!(pending.next_attempt > world.clock.now());
    assert_eq!(world.verify("mem://d1/").await.equal, 50);
    cured.store(true, Ordering::SeqCst);
    world.quiet(&engine).await;
    assert_eq!(
        read(world.store("mem://d1/").as_ref(), "bad")
            .await
            .unwrap(),
        "x",
        "retried for ever, so cured in the end"
    );
}

#[tokio::test(start_paused = true)]
async fn a_dead_destination_slows_no_other() {
    let mut world = World::new(2, 2);
    let engine = ready(&mut world, World::rule(2)).await;
    world.sky.set_fault(Box::new(|operation| {
        (operation.bucket == "d2").then(|| Fault::Delay(MINUTE * 10))
    }));
    let began = world.clock.now();
    for index in 0..200 {
        world.put(&format!("k{index}"), vec![3; 2500]).await;
        world.notify(&engine, &format!("k{index}")).await;
    }
    world
        .until("d1 has everything", || async {
            engine.status(None).await.unwrap()[0].destinations[0]
                .backlog
                .objects
                == 0
        })
        .await;
    assert!(world.clock.now().since(began) < Duration::from_secs(5));
    world.sky.clear_fault();
    world.quiet(&engine).await;
    assert!(world.verify("mem://d2/").await.all_equal());
}

#[tokio::test(start_paused = true)]
async fn a_source_changed_during_the_copy_starts_again_from_the_new_version() {
    let mut world = World::new(3, 1);
    let engine = ready(&mut world, World::rule(1)).await;
    for (name, size) in [("inline", 900), ("parts", 9000)] {
        world.put(name, vec![1; size]).await;
        let newer = vec![2; size + 7];
        first(
            &world,
            1,
            move |operation| operation.kind == OperationKind::Get && operation.bucket == "source",
            move || {
                Fault::Body(BodyFault::Overwrite {
                    at: 500,
                    bytes: newer.clone().into(),
                })
            },
        );
        world.notify(&engine, name).await;
        world.clock.sleep(MINUTE).await;
        world.notify(&engine, name).await;
        world.quiet(&engine).await;
        let held = read(world.store("mem://d1/").as_ref(), name).await.unwrap();
        assert_eq!(held, vec![2; size + 7], "{name}");
    }
    assert_eq!(world.uploads("mem://d1/").await, 0);
}

#[tokio::test(start_paused = true)]
async fn corrupted_bytes_are_never_published() {
    let mut world = World::new(4, 1);
    let engine = ready(&mut world, World::rule(1)).await;
    for (name, size) in [("inline", 900), ("parts", 9000)] {
        world.put(name, vec![1; size]).await;
        first(
            &world,
            1,
            move |operation| operation.kind == OperationKind::Get && operation.bucket == "source",
            || Fault::Body(BodyFault::Corrupt { at: 400 }),
        );
        world.notify(&engine, name).await;
        world.quiet(&engine).await;
        assert_eq!(
            read(world.store("mem://d1/").as_ref(), name).await.unwrap(),
            vec![1; size],
            "{name}"
        );
        let receipt = copied(&world, name).await;
        assert!(
            receipt.bytes_moved > size as u64 || receipt.failures > 0,
            "the corrupt attempt was noticed: {receipt:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_a_publish_is_found_out_and_not_repeated() {
    let mut world = World::new(5, 1);
    let engine = ready(&mut world, World::rule(1)).await;
    for (name, size, kind) in [
        ("inline", 900, OperationKind::Put),
        ("parts", 9000, OperationKind::CompleteUpload),
    ] {
        world.put(name, vec![1; size]).await;
        first(
            &world,
            1,
            move |operation| operation.kind == kind && operation.bucket == "d1",
            || {
                Fault::LoseAnswer(StoreError::new(
                    Kind::RetryAfter,
                    "fault",
                    "store",
                    "timed out",
                ))
            },
        );
        world.notify(&engine, name).await;
        world.quiet(&engine).await;
        let receipt = copied(&world, name).await;
        assert!(receipt.bytes_moved <= size as u64, "{receipt:?}");
        assert!(world.verify("mem://d1/").await.all_equal());
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_resumes_inside_the_object() {
    let mut world = World::new(6, 1);
    let engine = ready(&mut world, World::rule(1)).await;
    world.put("large", vec![5; 40_000]).await;
    // From the 20th part on, uploads hang: the restart comes while half of the object is there.
    world.sky.set_fault(Box::new(|operation| {
        let late = operation.kind == OperationKind::UploadPart
            && operation.part_number.is_some_and(|number| number > 20);
        late.then(|| Fault::Delay(MINUTE * 1000))
    }));
    world.notify(&engine, "large").await;
    world.clock.sleep(Duration::from_secs(2)).await;
    engine.shutdown().await;
    world.sky.clear_fault();
    let engine = world.engine(vec![World::rule(1)]).await;
    world.quiet(&engine).await;
    assert!(world.verify("mem://d1/").await.all_equal());
    let receipt = copied(&world, "large").await;
    assert!(
        receipt.bytes_moved <= 24_000,
        "the first 20 parts were not sent again: {receipt:?}"
    );
    assert_eq!(world.uploads("mem://d1/").await, 0);
}

#[tokio::test(start_paused = true)]
async fn stragglers_are_duplicated_when_the_pool_is_dry() {
    let mut world = World::new(7, 1);
    let engine = ready(&mut world, World::rule(1)).await;
    world.put("large", vec![5; 20_000]).await;
    // One upload of one part never ends; only a second worker can finish the object.
    first(
        &world,
        1,
        |operation| operation.kind == OperationKind::UploadPart && operation.part_number == Some(7),
        || Fault::Delay(MINUTE * 100_000),
    );
    let began = world.clock.now();
    world.notify(&engine, "large").await;
    world.quiet(&engine).await;
    assert!(world.verify("mem://d1/").await.all_equal());
    assert!(
        world.clock.now().since(began) < MINUTE,
        "a duplicate finished what the straggler held"
    );
}

#[tokio::test(start_paused = true)]
async fn orphaned_uploads_are_gone_after_the_janitor() {
    let mut world = World::new(8, 1);
    let engine = ready(&mut world, World::rule(1)).await;
    world.put("large", vec![5; 20_000]).await;
    let foreign = world
        .store("mem://d1/")
        .create_upload(&key("someone-else"), &Attributes::default())
        .await
        .unwrap();
    // The upload is created, but its answer is lost: nobody knows its id.
    first(
        &world,
        1,
        |operation| operation.kind == OperationKind::CreateUpload,
        || {
            Fault::LoseAnswer(StoreError::new(
                Kind::RetryAfter,
                "fault",
                "store",
                "timed out",
            ))
        },
    );
    world.notify(&engine, "large").await;
    world.quiet(&engine).await;
    assert_eq!(world.uploads("mem://d1/").await, 2);
    world.clock.sleep(world.config.janitor_period * 4).await;
    let left = world
        .store("mem://d1/")
        .list_uploads(None)
        .await
        .unwrap()
        .uploads;
    assert_eq!(
        left.iter()
            .map(|upload| upload.upload.as_str())
            .collect::<Vec<_>>(),
        [foreign],
        "only ours are aborted"
    );
}

#[tokio::test(start_paused = true)]
async fn a_missing_or_forbidden_bucket_is_named_and_cured_without_a_restart() {
    let mut world = World::new(9, 1);
    world.sky.remove_bucket("d1");
    world.put("k", "x").await;
    let engine = world.engine(vec![World::rule(1)]).await;
    world.clock.sleep(MINUTE).await;
    let status = engine.status(None).await.unwrap();
    let lane = &status[0].destinations[0];
    assert_eq!(lane.state, LaneState::Unreachable);
    assert!(
        lane.trouble.as_ref().unwrap().contains("d1"),
        "{:?}",
        lane.trouble
    );
    world.sky.create_bucket("d1");
    world.quiet(&engine).await;
    assert!(world.verify("mem://d1/").await.all_equal());
}

#[tokio::test(start_paused = true)]
async fn an_object_of_more_parts_than_allowed_gets_larger_parts() {
    let mut world = World::new(10, 0);
    let limits = UploadLimits {
        max_parts: 100,
        min_part_bytes: 1,
        ..UploadLimits::LOCAL
    };
    world.sky.create_bucket_with(
        "d1",
        skyfresh_store::Capabilities {
            upload_limits: limits,
            ..MEMORY_CAPABILITIES
        },
    );
    world.config.sizing.part_bytes = 100;
    let engine = ready(&mut world, World::rule(1)).await;
    world.put("large", vec![9; 10_001 * 100]).await;
    world.notify(&engine, "large").await;
    world.quiet(&engine).await;
    assert!(world.verify("mem://d1/").await.all_equal());
}

#[tokio::test(start_paused = true)]
async fn awkward_keys_and_metadata_at_the_limit_arrive() {
    let mut world = World::new(11, 1);
    let long = "x".repeat(1024);
    let names = [
        "a//b",
        "/lead",
        "trail/",
        ".",
        "..",
        "a/../b",
        "ü ñ 漢",
        "a+b %41&c",
        "a",
        "a/b",
        &long,
    ];
    for name in names {
        world.put(name, name.as_bytes().to_vec()).await;
    }
    let mut attributes = Attributes::default();
    attributes
        .user
        .insert("k".into(), "v".repeat((8 << 10) - 1));
    harness::put(
        world.store(harness::SOURCE).as_ref(),
        "full",
        vec![1; 5000].into(),
        attributes.clone(),
    )
    .await;
    let engine = ready(&mut world, World::rule(1)).await;
    let report = world.verify("mem://d1/").await;
    assert!(
        report.all_equal() && report.equal == names.len() as u64 + 1,
        "{report:?}"
    );
    let full = world.store("mem://d1/").head(&key("full")).await.unwrap();
    assert_eq!(
        full.attributes.user, attributes.user,
        "no room for a stamp, and nothing dropped for one"
    );
    engine.sweep("rule").unwrap();
    world.clock.sleep(MINUTE).await;
    assert_eq!(
        engine.status(None).await.unwrap()[0].destinations[0]
            .sweep
            .as_ref()
            .unwrap()
            .submitted,
        0
    );
}

#[tokio::test(start_paused = true)]
async fn events_for_an_unknown_rule_are_refused_so_that_the_sender_keeps_them() {
    let mut world = World::new(12, 1);
    let engine = ready(&mut world, World::rule(1)).await;
    let event = ObjectEvent {
        key: key("k"),
        changed: None,
        size: None,
    };
    assert_eq!(
        engine.submit("other", &[event]).await.unwrap_err().kind,
        Kind::Missing
    );
    assert_eq!(
        engine.notify(None, b"{not json").await.unwrap_err().kind,
        Kind::Invalid
    );
}

#[tokio::test(start_paused = true)]
async fn an_object_overwritten_all_the_time_still_makes_progress() {
    let mut world = World::new(13, 1);
    let engine = ready(&mut world, World::rule(1)).await;
    for round in 0..100u8 {
        world.put("hot", vec![round; 700]).await;
        world.notify(&engine, "hot").await;
        world.clock.sleep(Duration::from_millis(50)).await;
    }
    let during = copied(&world, "hot").await;
    assert_eq!(during.outcome, Outcome::Copied);
    world.quiet(&engine).await;
    assert_eq!(
        read(world.store("mem://d1/").as_ref(), "hot")
            .await
            .unwrap(),
        vec![99; 700]
    );
    let status = engine.status(None).await.unwrap();
    let copies = status[0].destinations[0].totals.outcomes[&Outcome::Copied];
    assert!(
        copies <= 100,
        "bursts coalesce: {copies} copies of 100 writes"
    );
}
