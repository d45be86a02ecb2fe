//! One event, one stage after another: what the engine does when nothing goes wrong, and at its edges.

mod harness;

use harness::{World, key, put, read};
use skyfresh_engine::{Rule, WaitOutcome};
use skyfresh_ledger::{Ledger, Outcome, TaskKey};
use skyfresh_sky::Attributes;
use skyfresh_store::ObjectStore;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

fn task(name: &str) -> TaskKey {
    TaskKey {
        rule: "rule".into(),
        destination: "d1".into(),
        key: key(name),
    }
}

#[tokio::test(start_paused = true)]
async fn backfill_then_live_at_every_destination() {
    let mut world = World::new(1, 3);
    for index in 0..50 {
        world
            .put(&format!("old/{index}"), vec![index as u8; index * 100])
            .await;
    }
    let engine = world.engine(vec![World::rule(3)]).await;
    world.quiet(&engine).await;
    world.put("new", "live").await;
    world.notify(&engine, "new").await;
    world.put("old/1", vec![9; 5000]).await;
    world.notify(&engine, "old/1").await;
    world.quiet(&engine).await;
    for destination in ["mem://d1/", "mem://d2/", "mem://d3/"] {
        let report = world.verify(destination).await;
        assert!(report.all_equal() && report.equal == 51, "{report:?}");
        assert_eq!(world.uploads(destination).await, 0);
    }
    let status = engine.status(Some("rule")).await.unwrap();
    let lag = status[0].destinations[0].lag;
    assert_eq!(lag.changes, 2, "backfill is not lag");
    assert!(
        lag.p99_s.unwrap() < 5.0 && lag.slo_attainment == Some(1.0),
        "{lag:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn receipts_state_what_was_proved() {
    let mut world = World::new(2, 1);
    let engine = world.engine(vec![World::rule(1)]).await;
    world.quiet(&engine).await;
    for (name, size, strategy) in [
        ("empty", 0, "inline"),
        ("small", 1000, "inline"),
        ("large", 10_500, "multipart 11 x 1000 B, 3 workers"),
    ] {
        world.put(name, vec![7; size]).await;
        world.notify(&engine, name).await;
        world.quiet(&engine).await;
        let receipts = world.ledger.receipts_by_key(&task(name), 9).await.unwrap();
        let receipt = &receipts[0];
        assert_eq!(
            (receipt.outcome, receipt.size, receipt.bytes_moved),
            (Outcome::Copied, size as u64, size as u64)
        );
        assert_eq!(receipt.strategy, strategy);
        assert_eq!(
            receipt.crc64.as_deref(),
            Some(
                skyfresh_store::checksum::Crc64::of(&vec![7; size])
                    .to_string()
                    .as_str()
            )
        );
        let (source, target) = (
            world.store(harness::SOURCE).head(&key(name)).await.unwrap(),
            world.store("mem://d1/").head(&key(name)).await.unwrap(),
        );
        assert_eq!(
            (receipt.source.as_ref(), receipt.destination.as_ref()),
            (Some(&source.version), Some(&target.version))
        );
        assert!(
            receipt.published >= receipt.started
                && receipt.started >= receipt.notified
                && receipt.notified >= receipt.changed
        );
    }
}

#[tokio::test(start_paused = true)]
async fn repeated_events_move_nothing_twice() {
    let mut world = World::new(3, 1);
    let engine = world.engine(vec![World::rule(1)]).await;
    world.quiet(&engine).await;
    world.put("k", vec![1; 3000]).await;
    for _ in 0..20 {
        world.notify(&engine, "k").await;
        world.clock.sleep(Duration::from_millis(300)).await;
    }
    world.quiet(&engine).await;
    let totals = &engine.status(None).await.unwrap()[0].destinations[0].totals;
    assert_eq!(
        (totals.outcomes[&Outcome::Copied], totals.bytes_moved),
        (1, 3000)
    );
    assert!(totals.outcomes[&Outcome::AlreadyEqual] >= 10);
}

#[tokio::test(start_paused = true)]
async fn metadata_travels_and_the_stamp_tells_the_source_version() {
    let mut world = World::new(4, 1);
    let mut attributes = Attributes {
        content_type: Some("text/x-test".into()),
        cache_control: Some("max-age=5".into()),
        content_encoding: Some("gzip".into()),
        ..Attributes::default()
    };
    attributes.user.insert("owner".into(), "ml".into());
    for (name, size) in [("inline", 10), ("parts", 5000)] {
        put(
            world.store(harness::SOURCE).as_ref(),
            name,
            vec![1; size].into(),
            attributes.clone(),
        )
        .await;
    }
    let engine = world.engine(vec![World::rule(1)]).await;
    world.quiet(&engine).await;
    for name in ["inline", "parts"] {
        let source = world.store(harness::SOURCE).head(&key(name)).await.unwrap();
        let mut copied = world
            .store("mem://d1/")
            .head(&key(name))
            .await
            .unwrap()
            .attributes;
        assert_eq!(
            copied.user.remove(skyfresh_engine::STAMP),
            Some(source.version.to_string())
        );
        assert_eq!(copied, attributes, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_ledger_costs_comparisons_and_no_copies() {
    let mut world = World::new(5, 1);
    for index in 0..20 {
        world
            .put(&format!("k{index}"), vec![index as u8; 100 + index * 400])
            .await;
    }
    let engine = world.engine(vec![World::rule(1)]).await;
    world.quiet(&engine).await;
    drop(engine);
    world.ledger = std::sync::Arc::new(skyfresh_ledger::MemoryLedger::new());
    let engine = world.engine(vec![World::rule(1)]).await;
    world.quiet(&engine).await;
    let totals = engine.status(None).await.unwrap()[0].destinations[0]
        .totals
        .clone();
    assert_eq!(totals.bytes_moved, 0, "{totals:?}");
    engine.sweep("rule").unwrap();
    world.clock.sleep(HOUR).await;
    let sweep = engine.status(None).await.unwrap()[0].destinations[0]
        .sweep
        .clone()
        .unwrap();
    assert_eq!(
        (sweep.source_objects, sweep.submitted),
        (20, 0),
        "the marks were rebuilt from the stores"
    );
}

#[tokio::test(start_paused = true)]
async fn filters_keep_keys_out_and_probe_objects_never_travel() {
    let mut world = World::new(6, 1);
    let rule = Rule {
        include: vec!["models/*".into()],
        exclude: vec!["*.tmp".into()],
        ..World::rule(1)
    };
    for name in ["models/a", "models/b.tmp", "logs/c"] {
        world.put(name, "x").await;
    }
    let engine = world.engine(vec![rule]).await;
    world.notify(&engine, "logs/c").await;
    world.quiet(&engine).await;
    let listed = world.store("mem://d1/").list(None, 1000).await.unwrap();
    assert_eq!(
        listed
            .objects
            .iter()
            .map(|object| object.key.as_str())
            .collect::<Vec<_>>(),
        ["models/a"]
    );
}

#[tokio::test(start_paused = true)]
async fn wait_proves_what_no_notification_told() {
    let mut world = World::new(7, 1);
    let engine = world.engine(vec![World::rule(1)]).await;
    world.quiet(&engine).await;
    world.put("silent", "nobody told").await;
    let now = world.clock.now().after(Duration::from_millis(1));
    assert_eq!(
        engine.wait("rule", now, HOUR).await.unwrap(),
        WaitOutcome::Reached
    );
    assert_eq!(
        read(world.store("mem://d1/").as_ref(), "silent")
            .await
            .unwrap(),
        "nobody told"
    );
}

#[tokio::test(start_paused = true)]
async fn wait_does_not_claim_what_it_cannot_prove() {
    let mut world = World::new(8, 1);
    let engine = world.engine(vec![World::rule(1)]).await;
    world.quiet(&engine).await;
    world.sky.remove_bucket("d1");
    world.put("k", "x").await;
    let until = world.clock.now();
    assert_eq!(
        engine
            .wait("rule", until, Duration::from_secs(60))
            .await
            .unwrap(),
        WaitOutcome::TimedOut
    );
}

#[tokio::test(start_paused = true)]
async fn pause_holds_and_resume_catches_up() {
    let mut world = World::new(9, 1);
    let engine = world.engine(vec![World::rule(1)]).await;
    world.quiet(&engine).await;
    engine.set_paused("rule", true).await.unwrap();
    world.put("k", "x").await;
    world.notify(&engine, "k").await;
    world.clock.sleep(HOUR).await;
    assert_eq!(read(world.store("mem://d1/").as_ref(), "k").await, None);
    drop(engine);
    let engine = world.engine(vec![World::rule(1)]).await;
    world.clock.sleep(HOUR).await;
    assert!(
        engine.status(None).await.unwrap()[0].paused,
        "a pause survives a restart"
    );
    assert_eq!(read(world.store("mem://d1/").as_ref(), "k").await, None);
    engine.set_paused("rule", false).await.unwrap();
    world.quiet(&engine).await;
    assert_eq!(
        read(world.store("mem://d1/").as_ref(), "k").await.unwrap(),
        "x"
    );
}

#[tokio::test(start_paused = true)]
async fn changed_rules_restart_alone() {
    let mut world = World::new(10, 2);
    world.put("k", "x").await;
    let engine = world.engine(vec![World::rule(1)]).await;
    let unchanged = engine.apply(vec![World::rule(1)]).await.unwrap();
    assert_eq!(unchanged, skyfresh_engine::Applied::default());
    let changed = engine.apply(vec![World::rule(2)]).await.unwrap();
    assert_eq!(changed.restarted, ["rule"]);
    world.quiet(&engine).await;
    assert!(world.verify("mem://d2/").await.all_equal());
    let invalid = Rule {
        include: vec!["[".into()],
        ..World::rule(2)
    };
    assert!(engine.apply(vec![invalid]).await.is_err());
    assert_eq!(
        engine.rules(),
        [World::rule(2)],
        "a bad rule changes nothing"
    );
    assert_eq!(engine.apply(vec![]).await.unwrap().stopped, ["rule"]);
}

#[tokio::test(start_paused = true)]
async fn the_source_is_read_no_faster_than_configured() {
    let mut world = World::new(11, 1);
    for index in 0..10 {
        world.put(&format!("k{index}"), vec![1; 100_000]).await;
    }
    let rule = Rule {
        bandwidth: Some("100KB".to_owned().try_into().unwrap()),
        ..World::rule(1)
    };
    let began = world.clock.now();
    let engine = world.engine(vec![rule]).await;
    world.quiet(&engine).await;
    let took = world.clock.now().since(began);
    assert!(
        took >= Duration::from_millis(9_500),
        "1 MB at 100 KB/s took {took:?}"
    );
    assert!(world.verify("mem://d1/").await.all_equal());
}
