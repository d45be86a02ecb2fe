//! What is at the destination already is not sent again, and what is made there is the source's all the same.

mod harness;

use futures::FutureExt;
use harness::{World, key, put};
use skyfresh_engine::{
    ChangelogEntry, ChangelogInput, ChangelogOperation, ChangelogSizes, Engine, Rule,
};
use skyfresh_ledger::{Ledger, Outcome, Receipt, TaskKey};
use skyfresh_sky::{Attributes, Kind, ObjectVersion};
use skyfresh_store::memory::{BucketStyle, Fault, MEMORY_CAPABILITIES, OperationKind};
use skyfresh_store::{Capabilities, Error as StoreError, ObjectStore, Precondition};
use std::time::Duration;

/// A world whose small objects count.
fn world(seed: u64, destinations: usize) -> World {
    let mut world = World::new(seed, destinations);
    world.config.changelog = ChangelogSizes {
        least_bytes: 1,
        least_parts_bytes: 2_000,
    };
    world
}

fn input(name: &str) -> ChangelogInput {
    ChangelogInput {
        key: key(name),
        version: None,
    }
}

fn copy(output: &str, from: &str) -> ChangelogEntry {
    ChangelogEntry {
        output: key(output),
        operation: ChangelogOperation::Copy { input: input(from) },
    }
}

fn rename(from: &str, output: &str) -> ChangelogEntry {
    ChangelogEntry {
        output: key(output),
        operation: ChangelogOperation::Rename { input: input(from) },
    }
}

fn concat(output: &str, from: &[&str]) -> ChangelogEntry {
    ChangelogEntry {
        output: key(output),
        operation: ChangelogOperation::Concat {
            inputs: from.iter().map(|name| input(name)).collect(),
        },
    }
}

/// Bytes unlike those of any other seed.
fn bytes(seed: u8, length: usize) -> Vec<u8> {
    (0..length)
        .map(|index| (index as u8).wrapping_mul(31).wrapping_add(seed) ^ (index >> 8) as u8)
        .collect()
}

/// The last receipt that tells of a change, if there is one.
async fn last(world: &World, destination: &str, name: &str) -> Receipt {
    let task = TaskKey {
        rule: "rule".into(),
        destination: destination.into(),
        key: key(name),
    };
    let receipts = world.ledger.receipts_by_key(&task, 9).await.unwrap();
    let change = receipts
        .iter()
        .find(|receipt| receipt.outcome != Outcome::AlreadyEqual);
    change.or(receipts.first()).expect("a receipt").clone()
}

/// Everything at `d1` equals the source, byte by byte, and nothing is left over.
async fn equal(world: &World, objects: u64) {
    let report = world.verify("mem://d1/").await;
    assert!(report.all_equal() && report.equal == objects, "{report:?}");
    assert_eq!(world.uploads("mem://d1/").await, 0);
}

async fn started(world: &mut World, rule: Rule) -> Engine {
    let engine = world.engine(vec![rule]).await;
    world.quiet(&engine).await;
    engine
}

async fn told(world: &World, engine: &Engine, entry: ChangelogEntry) {
    engine.add_changelog("rule", entry).await.expect("is taken");
    world.quiet(engine).await;
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_was_told_moves_nothing_to_any_destination() {
    let mut world = world(1, 2);
    world.put("a", bytes(1, 5_000)).await;
    let engine = started(&mut world, World::rule(2)).await;
    let attributes = Attributes {
        content_type: Some("text/x-new".into()),
        ..Attributes::default()
    };
    let source = world.store(harness::SOURCE);
    put(source.as_ref(), "b", bytes(1, 5_000).into(), attributes).await;
    told(&world, &engine, copy("b", "a")).await;
    for destination in ["d1", "d2"] {
        let receipt = last(&world, destination, "b").await;
        assert_eq!(receipt.outcome, Outcome::Copied);
        assert_eq!(receipt.strategy, "server-side copy of a");
        assert_eq!((receipt.bytes_moved, receipt.bytes_saved), (0, 5_000));
        let target = world.store(&format!("mem://{destination}/"));
        let head = target.head(&key("b")).await.unwrap();
        assert_eq!(head.attributes.content_type.as_deref(), Some("text/x-new"));
        assert_eq!(receipt.destination, Some(head.version));
    }
    equal(&world, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_rename_copies_before_it_deletes() {
    let mut world = world(2, 1);
    world.put("a", bytes(1, 5_000)).await;
    let rule = Rule {
        delete: true,
        ..World::rule(1)
    };
    let engine = started(&mut world, rule).await;
    world.put("b", bytes(1, 5_000)).await;
    world.delete("a").await;
    // Nobody holds the copy up, but the delete is seen first.
    engine
        .add_changelog("rule", rename("a", "b"))
        .await
        .unwrap();
    world.notify(&engine, "a").await;
    world.quiet(&engine).await;
    let receipt = last(&world, "d1", "b").await;
    assert_eq!((receipt.bytes_moved, receipt.bytes_saved), (0, 5_000));
    assert_eq!(last(&world, "d1", "a").await.outcome, Outcome::Deleted);
    equal(&world, 1).await;
}

#[tokio::test(start_paused = true)]
async fn objects_are_joined_and_appended_to() {
    let mut world = world(3, 1);
    let parts = [bytes(1, 3_000), bytes(2, 700), bytes(3, 4_100)];
    for (name, part) in ["a", "b", "c"].iter().zip(&parts) {
        world.put(name, part.clone()).await;
    }
    let engine = started(&mut world, World::rule(1)).await;
    world.put("all", parts.concat()).await;
    told(&world, &engine, concat("all", &["a", "b", "c"])).await;
    let receipt = last(&world, "d1", "all").await;
    assert_eq!(receipt.strategy, "concat of 3 objects");
    assert_eq!((receipt.bytes_moved, receipt.bytes_saved), (0, 7_800));
    world
        .put("all", [parts.concat(), parts[1].clone()].concat())
        .await;
    told(&world, &engine, concat("all", &["all", "b"])).await;
    let receipt = last(&world, "d1", "all").await;
    assert_eq!((receipt.bytes_moved, receipt.bytes_saved), (0, 8_500));
    equal(&world, 4).await;
}

#[tokio::test(start_paused = true)]
async fn an_input_that_changed_since_is_not_used() {
    let mut world = world(4, 1);
    world.put("a", bytes(1, 5_000)).await;
    let engine = started(&mut world, World::rule(1)).await;
    let old = world
        .store(harness::SOURCE)
        .head(&key("a"))
        .await
        .unwrap()
        .version;
    world.put("b", bytes(1, 5_000)).await;
    // Overwritten, and copied so, before the entry comes.
    world.put("a", bytes(9, 5_000)).await;
    world.notify(&engine, "a").await;
    world.quiet(&engine).await;
    let entry = ChangelogEntry {
        output: key("b"),
        operation: ChangelogOperation::Copy {
            input: ChangelogInput {
                key: key("a"),
                version: Some(old),
            },
        },
    };
    told(&world, &engine, entry).await;
    let receipt = last(&world, "d1", "b").await;
    assert_eq!((receipt.bytes_moved, receipt.bytes_saved), (5_000, 0));
    equal(&world, 2).await;
}

#[tokio::test(start_paused = true)]
async fn an_input_that_changes_under_the_copy_is_not_used() {
    for (seed, kind, entry) in [
        (5, OperationKind::Copy, copy("o", "a")),
        (6, OperationKind::CopyPart, concat("o", &["b", "a"])),
    ] {
        let mut world = world(seed, 1);
        world.put("a", bytes(1, 5_000)).await;
        world.put("b", bytes(2, 2_000)).await;
        let engine = started(&mut world, World::rule(1)).await;
        let whole = match kind {
            OperationKind::Copy => bytes(1, 5_000),
            _ => [bytes(2, 2_000), bytes(1, 5_000)].concat(),
        };
        world.put("o", whole.clone()).await;
        // Between the look at the input and the copy, somebody else writes at the destination.
        let sky = world.sky.clone();
        world.sky.set_fault(Box::new(move |operation| {
            (operation.kind == kind).then(|| {
                let target = sky.store(harness::location("mem://d1/"));
                let written = put(
                    target.as_ref(),
                    "a",
                    bytes(7, 5_000).into(),
                    Attributes::default(),
                );
                sky.clear_fault();
                written.now_or_never().expect("nothing to wait for");
                Fault::Delay(Duration::from_millis(1))
            })
        }));
        told(&world, &engine, entry).await;
        let receipt = last(&world, "d1", "o").await;
        let moved = whole.len() as u64;
        assert_eq!((receipt.bytes_moved, receipt.bytes_saved), (moved, 0));
        world.notify(&engine, "a").await;
        world.quiet(&engine).await;
        equal(&world, 3).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_is_wrong_changes_nothing() {
    let mut world = world(7, 1);
    world.put("a", bytes(1, 5_000)).await;
    world.put("b", bytes(2, 5_000)).await;
    let engine = started(&mut world, World::rule(1)).await;
    for (name, entry) in [
        ("o", copy("o", "b")),
        ("p", concat("p", &["b", "a"])),
        ("q", copy("q", "never there")),
    ] {
        let whole = if name == "p" {
            [bytes(1, 5_000), bytes(2, 5_000)].concat()
        } else {
            // The same size as what the entry says it was made of.
            bytes(3 + name.as_bytes()[0], 5_000)
        };
        let size = whole.len() as u64;
        world.put(name, whole).await;
        told(&world, &engine, entry).await;
        let receipt = last(&world, "d1", name).await;
        assert_eq!((receipt.bytes_moved, receipt.bytes_saved), (size, 0));
    }
    equal(&world, 5).await;
    for bad in [concat("o", &[]), copy("o", "o")] {
        let refused = engine.add_changelog("rule", bad).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Invalid);
    }
    let scoped = Rule {
        include: vec!["in/*".into()],
        ..World::rule(1)
    };
    engine.apply(vec![scoped]).await.unwrap();
    let refused = engine.add_changelog("rule", copy("in/o", "a")).await;
    assert!(refused.unwrap_err().context.contains("does not cover a"));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_or_does_not_is_sent_the_bytes() {
    let weak = [
        Capabilities {
            copy: false,
            copy_part: false,
            ..MEMORY_CAPABILITIES
        },
        MEMORY_CAPABILITIES,
        MEMORY_CAPABILITIES,
    ];
    for (number, capabilities) in weak.into_iter().enumerate() {
        let mut world = world(20 + number as u64, 0);
        world.sky.create_bucket_with("d1", capabilities);
        let states_nothing = BucketStyle {
            content_etags: false,
            states_checksums: false,
        };
        if number == 1 {
            world.sky.set_style("d1", states_nothing);
        }
        world.put("a", bytes(1, 5_000)).await;
        let engine = started(&mut world, World::rule(1)).await;
        world.put("o", bytes(1, 5_000)).await;
        world.sky.set_fault(Box::new(move |operation| {
            let copies = matches!(
                operation.kind,
                OperationKind::Copy | OperationKind::CompleteUpload
            );
            let fails = number == 2 && copies && operation.kind == OperationKind::Copy;
            fails.then(|| {
                let kind = Kind::Unsupported;
                Fault::Refuse(StoreError::new(kind, "copy", "o", "not today"))
            })
        }));
        told(&world, &engine, copy("o", "a")).await;
        let receipt = last(&world, "d1", "o").await;
        assert_eq!(
            (receipt.bytes_moved, receipt.bytes_saved),
            (5_000, 0),
            "{number}: {}",
            receipt.strategy
        );
        equal(&world, 2).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_a_copy_is_found_out() {
    for (seed, kind, entry) in [
        (30, OperationKind::Copy, copy("o", "a")),
        (31, OperationKind::CompleteUpload, concat("o", &["a", "a"])),
    ] {
        let mut world = world(seed, 1);
        world.put("a", bytes(1, 5_000)).await;
        let engine = started(&mut world, World::rule(1)).await;
        let times = if kind == OperationKind::Copy { 1 } else { 2 };
        world.put("o", bytes(1, 5_000).repeat(times)).await;
        let sky = world.sky.clone();
        world.sky.set_fault(Box::new(move |operation| {
            (operation.kind == kind).then(|| {
                sky.clear_fault();
                let lost = StoreError::new(Kind::RetryAfter, "copy", "o", "reset by peer");
                Fault::LoseAnswer(lost)
            })
        }));
        told(&world, &engine, entry).await;
        let receipt = last(&world, "d1", "o").await;
        assert!(matches!(
            receipt.outcome,
            Outcome::AlreadyEqual | Outcome::Copied
        ));
        equal(&world, 2).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_survives_a_restart_and_is_gone_once_it_was_used() {
    let mut world = world(8, 1);
    world.put("a", bytes(1, 5_000)).await;
    let engine = started(&mut world, World::rule(1)).await;
    engine.set_paused("rule", true).await.unwrap();
    world.put("b", bytes(1, 5_000)).await;
    engine.add_changelog("rule", copy("b", "a")).await.unwrap();
    drop(engine);
    // The next process has seen none of this: neither the entry nor, after a day, any receipt of the input.
    world.clock.sleep(Duration::from_secs(86_400)).await;
    let engine = world.engine(vec![World::rule(1)]).await;
    engine.set_paused("rule", false).await.unwrap();
    world.quiet(&engine).await;
    let receipt = last(&world, "d1", "b").await;
    assert_eq!(receipt.strategy, "server-side copy of a");
    assert_eq!(receipt.bytes_moved, 0);
    world
        .until("the entry is gone", || async {
            let md5 = skyfresh_store::checksum::Md5::of(b"b");
            let name = format!("changelog/rule/d1/{md5}");
            world.ledger.cursor(&name).await.unwrap().is_none()
        })
        .await;
    equal(&world, 2).await;
}

#[tokio::test(start_paused = true)]
async fn copies_are_found_without_being_told() {
    let mut world = world(9, 1);
    world.put("a", bytes(1, 5_000)).await;
    let engine = started(&mut world, World::rule(1)).await;
    world.put("b", bytes(1, 5_000)).await;
    world.notify(&engine, "b").await;
    world.quiet(&engine).await;
    let receipt = last(&world, "d1", "b").await;
    assert_eq!(receipt.strategy, "server-side copy of a");
    assert_eq!(receipt.bytes_moved, 0);
    // Also by the next process, from the receipts it reads back; and of a copy of the copy, once the first is gone.
    drop(engine);
    let target = world.store("mem://d1/");
    target.delete(&key("a"), &Precondition::None).await.unwrap();
    let engine = started(&mut world, World::rule(1)).await;
    world.put("c", bytes(1, 5_000)).await;
    world.notify(&engine, "c").await;
    world.quiet(&engine).await;
    let receipt = last(&world, "d1", "c").await;
    assert_eq!(receipt.bytes_moved, 0, "{}", receipt.strategy);
    let totals = &engine.status(None).await.unwrap()[0].destinations[0].totals;
    assert!(totals.bytes_saved >= 5_000);
    engine.sweep("rule").unwrap();
    world
        .until("what was deleted is back", || async {
            world.verify("mem://d1/").await.all_equal()
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn only_attributes_changed() {
    let mut world = world(10, 1);
    world.put("a", bytes(1, 5_000)).await;
    let engine = started(&mut world, World::rule(1)).await;
    let mut attributes = Attributes::default();
    attributes.user.insert("owner".into(), "ml".into());
    let source = world.store(harness::SOURCE);
    put(source.as_ref(), "a", bytes(1, 5_000).into(), attributes).await;
    world.notify(&engine, "a").await;
    world.quiet(&engine).await;
    let receipt = last(&world, "d1", "a").await;
    assert_eq!(receipt.strategy, "server-side copy of a");
    assert_eq!((receipt.bytes_moved, receipt.bytes_saved), (0, 5_000));
    let target = world.store("mem://d1/").head(&key("a")).await.unwrap();
    assert_eq!(target.attributes.user["owner"], "ml");
    equal(&world, 1).await;
}

#[tokio::test(start_paused = true)]
async fn tags_of_the_input_do_not_come_along() {
    let mut world = world(11, 1);
    world.put("a", bytes(1, 5_000)).await;
    let engine = started(&mut world, World::rule(1)).await;
    let target = world.store("mem://d1/");
    let tags = [("kept".to_owned(), "here".to_owned())].into();
    target.set_tags(&key("a"), &tags).await.unwrap();
    world.put("b", bytes(1, 5_000)).await;
    told(&world, &engine, copy("b", "a")).await;
    assert_eq!(last(&world, "d1", "b").await.bytes_moved, 0);
    assert!(target.tags(&key("b")).await.unwrap().is_empty());
    equal(&world, 2).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_saved_has_a_price() {
    let mut world = world(12, 1);
    world.put("a", bytes(1, 900_000)).await;
    let mut rule = World::rule(1);
    rule.source_region = Some("aws:us-east-1".parse().unwrap());
    rule.destinations[0].region = Some("aws:eu-west-1".parse().unwrap());
    let engine = started(&mut world, rule).await;
    world.put("b", bytes(1, 900_000)).await;
    told(&world, &engine, copy("b", "a")).await;
    let (moved, made) = (last(&world, "d1", "a").await, last(&world, "d1", "b").await);
    assert_eq!(made.bytes_saved, 900_000);
    // What the same transfer has just cost, less the same look at both objects, and less what was spent instead.
    let whole = moved.spend.usd() - made.spend.usd();
    assert!(
        made.saved.usd() > 0.9 * whole && made.saved.usd() <= whole + 1e-5,
        "{} of {whole}",
        made.saved
    );
    let totals = &engine.status(None).await.unwrap()[0].destinations[0].totals;
    assert_eq!((totals.bytes_saved, totals.saved), (900_000, made.saved));
    let version = ObjectVersion::from_etag("x");
    assert_ne!(made.destination, Some(version));
}
