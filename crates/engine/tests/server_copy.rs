//! The destination's store takes objects from the source's store by itself, where the rule says so; whatever is not proved
//! equal that way is transferred, and the receipt says why.

mod harness;

use harness::{SOURCE, World, key, put};
use skyfresh_engine::{Engine, Rule};
use skyfresh_ledger::{Ledger, Outcome, Receipt, TaskKey};
use skyfresh_sky::{Attributes, Kind};
use skyfresh_store::memory::{BucketStyle, Fault, MEMORY_CAPABILITIES, OperationKind};
use skyfresh_store::{Capabilities, Error as StoreError, ObjectStore, UploadLimits};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

const STATES_NOTHING: BucketStyle = BucketStyle {
    content_etags: false,
    states_checksums: false,
};

/// A world in which small objects count.
fn world(seed: u64) -> World {
    let mut world = World::new(seed, 1);
    world.config.server_copy_least_bytes = 1;
    world.config.changelog.least_bytes = u64::MAX;
    world
}

fn rule() -> Rule {
    let mut rule = World::rule(1);
    rule.destinations[0].server_copy = true;
    rule.sweep_every = Duration::from_secs(86_400);
    rule
}

fn bytes(seed: u8, length: usize) -> Vec<u8> {
    (0..length)
        .map(|index| (index as u8).wrapping_mul(29).wrapping_add(seed) ^ (index >> 8) as u8)
        .collect()
}

/// Puts an object, tells of it, and waits until it has arrived.
async fn arrives(world: &World, engine: &Engine, name: &str, body: Vec<u8>) -> Receipt {
    world.put(name, body).await;
    told(world, engine, name).await
}

async fn told(world: &World, engine: &Engine, name: &str) -> Receipt {
    world.notify(engine, name).await;
    world.quiet(engine).await;
    last(world, name).await
}

async fn last(world: &World, name: &str) -> Receipt {
    let task = TaskKey {
        rule: "rule".into(),
        destination: "d1".into(),
        key: key(name),
    };
    let receipts = world.ledger.receipts_by_key(&task, 9).await.unwrap();
    receipts.into_iter().next().expect("a receipt")
}

/// Everything at `d1` equals the source, byte by byte, and nothing is left over.
async fn equal(world: &World) {
    assert!(world.verify("mem://d1/").await.all_equal());
    assert_eq!(world.uploads("mem://d1/").await, 0);
}

async fn started(world: &mut World, rule: Rule) -> Engine {
    let engine = world.engine(vec![rule]).await;
    world.quiet(&engine).await;
    engine
}

/// Counts the copies that stores are asked for, and lets `fault` say what becomes of each.
fn copies(
    world: &World,
    fault: impl Fn(u32) -> Option<Fault> + Send + Sync + 'static,
) -> Arc<AtomicU32> {
    let count = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&count);
    world.sky.set_fault(Box::new(move |operation| {
        let copies = matches!(
            operation.kind,
            OperationKind::Copy | OperationKind::CopyPart
        );
        let number = copies.then(|| counted.fetch_add(1, Ordering::Relaxed));
        number.and_then(&fault)
    }));
    count
}

#[tokio::test(start_paused = true)]
async fn the_store_copies_and_no_byte_passes_through_workers() {
    let mut world = world(1);
    let engine = started(&mut world, rule()).await;
    let mut attributes = Attributes {
        content_type: Some("text/x-new".into()),
        ..Attributes::default()
    };
    attributes.user.insert("owner".into(), "ml".into());
    let source = world.store(SOURCE);
    put(source.as_ref(), "a", bytes(1, 5_000).into(), attributes).await;
    let receipt = told(&world, &engine, "a").await;
    assert_eq!(receipt.outcome, Outcome::Copied);
    assert_eq!(receipt.strategy, "server-side copy from the source");
    assert_eq!((receipt.bytes_moved, receipt.bytes_saved), (0, 5_000));
    assert!(receipt.unkept.is_empty());
    let head = world
        .store("mem://d1/")
        .head(&key("a"))
        .await
        .expect("is there");
    assert_eq!(head.attributes.content_type.as_deref(), Some("text/x-new"));
    assert_eq!(head.attributes.user["owner"], "ml");
    assert_eq!(receipt.crc64, head.crc64.map(|crc64| crc64.to_string()));
    assert_eq!(receipt.destination, Some(head.version));
    // Over an older version, too; and what is there is found equal without being copied again.
    let receipt = arrives(&world, &engine, "a", bytes(2, 7_000)).await;
    assert_eq!((receipt.bytes_moved, receipt.bytes_saved), (0, 7_000));
    let again = told(&world, &engine, "a").await;
    assert_eq!(again.outcome, Outcome::AlreadyEqual);
    equal(&world).await;
    let totals = &engine.status(None).await.unwrap()[0].destinations[0].totals;
    assert_eq!(totals.bytes_saved, 12_000);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_copied_so_unless_the_rule_says_so() {
    let mut world = world(2);
    let engine = started(&mut world, World::rule(1)).await;
    let count = copies(&world, |_| None);
    let receipt = arrives(&world, &engine, "a", bytes(1, 5_000)).await;
    assert_eq!((receipt.bytes_moved, receipt.bytes_saved), (5_000, 0));
    assert_eq!(receipt.strategy, "multipart 5 x 1000 B, 2 workers");
    assert_eq!(count.load(Ordering::Relaxed), 0);
    // Nor what is so small that it is read with its head.
    drop(engine);
    world.config.server_copy_least_bytes = 5_001;
    let engine = started(&mut world, rule()).await;
    let receipt = arrives(&world, &engine, "b", bytes(2, 5_000)).await;
    assert_eq!(receipt.strategy, "multipart 5 x 1000 B, 2 workers");
    equal(&world).await;
}

#[tokio::test(start_paused = true)]
async fn the_planner_chooses_it_predicts_it_and_prices_it() {
    let mut world = world(3);
    world.planned = true;
    let mut rule = rule();
    rule.source_region = Some("aws:us-east-1".parse().unwrap());
    rule.destinations[0].region = Some("aws:us-west-2".parse().unwrap());
    rule.slo = "120s@p99".parse().unwrap();
    let engine = started(&mut world, rule).await;
    let size = 20_000_000;
    let receipt = arrives(&world, &engine, "a", bytes(1, size)).await;
    let expected = receipt.expected.expect("was planned");
    assert_eq!(expected.way, "server-side copy");
    assert!(expected.took_ms.is_some(), "{expected:?}");
    assert_eq!((receipt.bytes_moved, receipt.bytes_saved), (0, size as u64));
    // What leaves the source's region is paid for, whoever carries it: $0.02 a GB.
    let egress = 0.02 * size as f64 / 1e9;
    let spend = receipt.spend.usd();
    assert!(spend > egress && spend < 1.1 * egress, "{spend} {egress}");
    // What fails is carried out by workers, and teaches nothing of how fast stores copy.
    copies(&world, |_| {
        let kind = Kind::Unsupported;
        Some(Fault::Refuse(StoreError::new(
            kind,
            "copy",
            "b",
            "not today",
        )))
    });
    let receipt = arrives(&world, &engine, "b", bytes(2, size)).await;
    assert_eq!((receipt.bytes_moved, receipt.bytes_saved), (size as u64, 0));
    let expected = receipt.expected.expect("was planned");
    assert_eq!(
        (expected.way.as_str(), expected.took_ms),
        ("server-side copy", None)
    );
    assert!(receipt.strategy.contains("(no server-side copy: "));
    equal(&world).await;
}

/// The store reads what the source has when it reads: a version that came meanwhile is never published as the older one.
#[tokio::test(start_paused = true)]
async fn a_source_that_changes_under_the_copy_is_looked_at_again() {
    let mut world = world(4);
    let engine = started(&mut world, rule()).await;
    copies(&world, |number| {
        (number == 0).then_some(Fault::Delay(Duration::from_secs(2)))
    });
    world.put("a", bytes(1, 5_000)).await;
    world.notify(&engine, "a").await;
    world.clock.sleep(Duration::from_secs(1)).await;
    world.put("a", bytes(9, 6_000)).await;
    let version = world.store(SOURCE).head(&key("a")).await.unwrap().version;
    world.quiet(&engine).await;
    let receipt = last(&world, "a").await;
    assert_eq!(receipt.source, Some(version));
    assert!(
        receipt.strategy.contains("(no server-side copy: "),
        "{}",
        receipt.strategy
    );
    assert_eq!((receipt.bytes_moved, receipt.bytes_saved), (6_000, 0));
    equal(&world).await;
}

/// Whoever wrote at the destination meanwhile is not overwritten by a copy that knows nothing of it.
#[tokio::test(start_paused = true)]
async fn a_copy_keeps_to_the_version_that_was_seen() {
    let mut world = world(5);
    let engine = started(&mut world, rule()).await;
    let count = copies(&world, |number| {
        (number == 0).then_some(Fault::Delay(Duration::from_secs(2)))
    });
    world.put("a", bytes(1, 5_000)).await;
    world.notify(&engine, "a").await;
    world.clock.sleep(Duration::from_secs(1)).await;
    let target = world.store("mem://d1/");
    let other = bytes(8, 4_000);
    put(target.as_ref(), "a", other.into(), Attributes::default()).await;
    let theirs = target.head(&key("a")).await.unwrap().version;
    let mut events = world.sky.subscribe();
    world.quiet(&engine).await;
    let receipt = last(&world, "a").await;
    assert!(receipt.strategy.contains("(no server-side copy: "));
    assert_eq!(count.load(Ordering::Relaxed), 1, "tried once");
    // The only publish since is the transfer's, which had seen theirs.
    let published = events.try_recv().expect("was published");
    assert_eq!(receipt.destination.map(|it| it.etag), Some(published.etag));
    assert!(events.try_recv().is_err());
    assert_ne!(target.head(&key("a")).await.unwrap().version, theirs);
    equal(&world).await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_states_no_checksum_is_transferred() {
    let mut world = world(6);
    world.sky.set_style("source", STATES_NOTHING);
    let engine = started(&mut world, rule()).await;
    let count = copies(&world, |_| None);
    let receipt = arrives(&world, &engine, "a", bytes(1, 5_000)).await;
    assert_eq!(
        receipt.strategy,
        "multipart 5 x 1000 B, 2 workers (no server-side copy: no checksum that follows from the inputs' is stated by the source)"
    );
    assert_eq!((receipt.bytes_moved, receipt.bytes_saved), (5_000, 0));
    assert_eq!(count.load(Ordering::Relaxed), 0, "nothing is even tried");
    equal(&world).await;
}

/// A copy of which the destination states nothing is not taken for a copy: it is sent after all, over what was made; and its
/// store is not asked again for an hour.
#[tokio::test(start_paused = true)]
async fn a_copy_that_is_not_proved_is_sent() {
    let mut world = world(7);
    world.sky.set_style("d1", STATES_NOTHING);
    let engine = started(&mut world, rule()).await;
    let count = copies(&world, |_| None);
    for (name, asked) in [("a", 1), ("b", 1)] {
        let receipt = arrives(&world, &engine, name, bytes(1, 5_000)).await;
        assert_eq!(receipt.outcome, Outcome::Copied);
        assert_eq!((receipt.bytes_moved, receipt.bytes_saved), (5_000, 0));
        assert!(
            receipt
                .strategy
                .contains("the destination states no checksum of it"),
            "{}",
            receipt.strategy
        );
        assert_eq!(count.load(Ordering::Relaxed), asked, "{name}");
    }
    world.clock.sleep(Duration::from_secs(3_600)).await;
    arrives(&world, &engine, "c", bytes(1, 5_000)).await;
    assert_eq!(count.load(Ordering::Relaxed), 2, "an hour later");
    equal(&world).await;
}

/// The process dies between the copy and its proof: what it left must not pass for proved.
#[tokio::test(start_paused = true)]
async fn a_copy_that_nobody_proved_is_made_again() {
    let mut world = world(8);
    world.sky.set_style("d1", STATES_NOTHING);
    let engine = started(&mut world, rule()).await;
    let copied = AtomicBool::new(false);
    world.sky.set_fault(Box::new(move |operation| {
        copied.fetch_or(operation.kind == OperationKind::Copy, Ordering::Relaxed);
        let looks = operation.kind == OperationKind::Head && operation.bucket == "d1";
        let proves = looks && copied.load(Ordering::Relaxed);
        proves.then_some(Fault::Delay(Duration::from_secs(60)))
    }));
    world.put("a", bytes(1, 5_000)).await;
    world.notify(&engine, "a").await;
    let target = world.store("mem://d1/");
    world
        .until("the copy is visible", || async {
            !target.list(None, 1).await.unwrap().objects.is_empty()
        })
        .await;
    drop(engine);
    world.sky.clear_fault();
    let engine = started(&mut world, World::rule(1)).await;
    world
        .until("it was sent", || async {
            last(&world, "a").await.outcome == Outcome::Copied
        })
        .await;
    assert_eq!(last(&world, "a").await.bytes_moved, 5_000);
    engine.shutdown().await;
    equal(&world).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_may_not_read_the_source_is_not_asked_for_every_object() {
    let mut world = world(9);
    let engine = started(&mut world, rule()).await;
    let count = copies(&world, |_| {
        let why = "no s3:GetObject on the source";
        Some(Fault::Refuse(StoreError::new(
            Kind::Denied,
            "copy",
            "a",
            why,
        )))
    });
    for name in ["a", "b", "c"] {
        let receipt = arrives(&world, &engine, name, bytes(1, 5_000)).await;
        assert_eq!((receipt.bytes_moved, receipt.bytes_saved), (5_000, 0));
        assert!(receipt.strategy.contains("no s3:GetObject on the source"));
        assert_eq!(receipt.failures, 0, "within the same attempt");
    }
    assert_eq!(count.load(Ordering::Relaxed), 1);
    equal(&world).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_found_out() {
    let mut world = world(10);
    let engine = started(&mut world, rule()).await;
    copies(&world, |_| {
        let kind = Kind::RetryAfter;
        Some(Fault::LoseAnswer(StoreError::new(
            kind,
            "copy",
            "a",
            "reset by peer",
        )))
    });
    let receipt = arrives(&world, &engine, "a", bytes(1, 5_000)).await;
    assert_eq!(receipt.outcome, Outcome::AlreadyEqual);
    assert_eq!(receipt.bytes_moved, 0, "it was there after all");
    equal(&world).await;
}

/// What one request cannot copy is copied into parts, and proved by them before it is visible.
#[tokio::test(start_paused = true)]
async fn a_large_object_is_copied_in_parts() {
    let mut world = world(11);
    world.sky.remove_bucket("d1");
    let limited = Capabilities {
        upload_limits: UploadLimits {
            min_part_bytes: 1_000,
            max_part_bytes: 2_000,
            max_parts: 10,
            max_put_bytes: 3_000,
        },
        ..MEMORY_CAPABILITIES
    };
    world.sky.create_bucket_with("d1", limited);
    let engine = started(&mut world, rule()).await;
    let count = copies(&world, |_| None);
    let receipt = arrives(&world, &engine, "a", bytes(1, 9_000)).await;
    assert_eq!(
        receipt.strategy,
        "server-side copy from the source in 5 parts"
    );
    assert_eq!((receipt.bytes_moved, receipt.bytes_saved), (0, 9_000));
    assert_eq!(count.load(Ordering::Relaxed), 5);
    let head = world.store("mem://d1/").head(&key("a")).await.unwrap();
    assert!(head.attributes.user.contains_key(skyfresh_engine::STAMP));
    equal(&world).await;
    // A part that is not what the source states leaves nothing visible, and no upload.
    let target = world.store("mem://d1/");
    world.sky.set_fault(Box::new(|operation| {
        let fails = operation.kind == OperationKind::CopyPart && operation.part_number == Some(3);
        fails.then(|| {
            let kind = Kind::RetryAfter;
            Fault::Refuse(StoreError::new(kind, "copy part", "b", "503"))
        })
    }));
    let receipt = arrives(&world, &engine, "b", bytes(3, 9_000)).await;
    assert!(receipt.strategy.contains("(no server-side copy: "));
    assert_eq!(receipt.bytes_moved, 9_000);
    assert_eq!(target.head(&key("b")).await.unwrap().size, 9_000);
    equal(&world).await;
}

/// A store copies tags with an object in one request; only what the rule says about tags may decide.
#[tokio::test(start_paused = true)]
async fn tags_come_along_where_the_rule_says_so() {
    for (seed, tags) in [(12, false), (13, true)] {
        let mut world = world(seed);
        let engine = started(&mut world, Rule { tags, ..rule() }).await;
        let source = world.store(SOURCE);
        world.put("a", bytes(1, 5_000)).await;
        let team = [("team".to_owned(), "vision".to_owned())].into();
        source.set_tags(&key("a"), &team).await.unwrap();
        let receipt = told(&world, &engine, "a").await;
        assert_eq!(
            receipt.strategy,
            "server-side copy from the source in 1 part"
        );
        let held = world.store("mem://d1/").tags(&key("a")).await.unwrap();
        assert_eq!(held == team, tags, "{held:?}");
        assert_eq!(held.is_empty(), !tags);
        equal(&world).await;
    }
}
