//! Of an object that changed in some parts, only these are sent.

mod harness;

use harness::{World, key, put};
use skyfresh_engine::{ChangelogSizes, Engine};
use skyfresh_ledger::{Ledger, Outcome, Receipt, TaskKey};
use skyfresh_sky::{Attributes, Kind};
use skyfresh_store::memory::{Fault, OperationKind};
use skyfresh_store::{CompletedPart, Error as StoreError, ObjectStore, Precondition, single_chunk};

/// A world whose small objects count, and an engine that has copied `o`.
async fn copied(seed: u64, parts: &[Vec<u8>]) -> (World, Engine) {
    let mut world = World::new(seed, 1);
    world.config.changelog = ChangelogSizes {
        least_bytes: 1,
        least_parts_bytes: 2_000,
    };
    put_parts(&world, parts).await;
    let engine = world.engine(vec![World::rule(1)]).await;
    world.quiet(&engine).await;
    assert_eq!(last(&world).await.bytes_moved, parts.concat().len() as u64);
    (world, engine)
}

/// Uploads `o` in these parts.
async fn put_parts(world: &World, parts: &[Vec<u8>]) {
    let (store, name) = (world.store(harness::SOURCE), key("o"));
    let attributes = Attributes::default();
    let upload = store.create_upload(&name, &attributes).await.unwrap();
    let mut completed = Vec::new();
    for (part, number) in parts.iter().zip(1..) {
        let (size, body) = (part.len() as u64, single_chunk(part.clone()));
        let receipt = store
            .upload_part(&name, &upload, number, size, body)
            .await
            .unwrap();
        completed.push(CompletedPart {
            number,
            etag: receipt.etag,
            size,
            crc64: receipt.crc64,
        });
    }
    store
        .complete_upload(&name, &upload, &completed, &Precondition::None)
        .await
        .unwrap();
}

fn bytes(seed: u8, length: usize) -> Vec<u8> {
    (0..length)
        .map(|index| (index as u8).wrapping_mul(31).wrapping_add(seed) ^ (index >> 8) as u8)
        .collect()
}

/// Nine parts of a thousand bytes, and a rest.
fn ten_parts() -> Vec<Vec<u8>> {
    (0..10u8)
        .map(|seed| bytes(seed, if seed == 9 { 300 } else { 1_000 }))
        .collect()
}

async fn last(world: &World) -> Receipt {
    let task = TaskKey {
        rule: "rule".into(),
        destination: "d1".into(),
        key: key("o"),
    };
    let receipts = world.ledger.receipts_by_key(&task, 9).await.unwrap();
    let change = receipts
        .iter()
        .find(|receipt| receipt.outcome != Outcome::AlreadyEqual);
    change.expect("a receipt").clone()
}

/// Writes a version at the source, and holds what becomes of it against how many bytes should have been sent.
async fn brings(world: &World, engine: &Engine, parts: &[Vec<u8>], moved: u64) -> Receipt {
    put_parts(world, parts).await;
    world.notify(engine, "o").await;
    world.quiet(engine).await;
    let (receipt, size) = (last(world).await, parts.concat().len() as u64);
    assert_eq!(
        (receipt.size, receipt.bytes_moved, receipt.bytes_saved),
        (size, moved, size - moved),
        "{}",
        receipt.strategy
    );
    equal(world).await;
    receipt
}

async fn equal(world: &World) {
    let report = world.verify("mem://d1/").await;
    assert!(report.all_equal() && report.equal == 1, "{report:?}");
    assert_eq!(world.uploads("mem://d1/").await, 0);
}

#[tokio::test(start_paused = true)]
async fn parts_that_did_not_change_are_not_sent_again() {
    let mut parts = ten_parts();
    let (mut world, engine) = copied(1, &parts).await;
    // One changes in the middle, and the object is appended to.
    parts[3] = bytes(50, 1_000);
    parts[9] = bytes(51, 1_000);
    parts.push(bytes(52, 400));
    let receipt = brings(&world, &engine, &parts, 2_400).await;
    assert_eq!(
        receipt.strategy,
        "multipart 11 x 1000 B, 3 workers, 8 of 11 parts unchanged"
    );
    // Again, by a process that has seen nothing of it.
    drop(engine);
    let engine = world.engine(vec![World::rule(1)]).await;
    world.quiet(&engine).await;
    parts[0] = bytes(60, 1_000);
    brings(&world, &engine, &parts, 1_000).await;
    // Cut to whole parts of the old one: nothing is left to send.
    parts.truncate(7);
    brings(&world, &engine, &parts, 0).await;
    assert_eq!(
        engine.status(None).await.unwrap()[0].destinations[0]
            .totals
            .bytes_saved,
        9_400 + 7_000
    );
}

#[tokio::test(start_paused = true)]
async fn an_old_object_that_is_not_ours_any_more_is_not_used() {
    let mut parts = ten_parts();
    let (world, engine) = copied(2, &parts).await;
    // Of the same size, by somebody else.
    let target = world.store("mem://d1/");
    put(
        target.as_ref(),
        "o",
        bytes(9, 9_300).into(),
        Attributes::default(),
    )
    .await;
    parts[3] = bytes(50, 1_000);
    brings(&world, &engine, &parts, 9_300).await;
}

#[tokio::test(start_paused = true)]
async fn an_old_object_that_is_replaced_under_the_copy_is_not_used() {
    let mut parts = ten_parts();
    let (world, engine) = copied(3, &parts).await;
    let sky = world.sky.clone();
    world.sky.set_fault(Box::new(move |operation| {
        (operation.kind == OperationKind::CopyPart && operation.part_number == Some(5)).then(|| {
            use futures::FutureExt;
            sky.clear_fault();
            let target = sky.store(harness::location("mem://d1/"));
            let other = bytes(9, 9_300).into();
            put(target.as_ref(), "o", other, Attributes::default())
                .now_or_never()
                .expect("nothing to wait for");
            Fault::Delay(std::time::Duration::from_millis(1))
        })
    }));
    parts[3] = bytes(50, 1_000);
    put_parts(&world, &parts).await;
    world.notify(&engine, "o").await;
    world.quiet(&engine).await;
    equal(&world).await;
}

#[tokio::test(start_paused = true)]
async fn what_the_destination_does_not_copy_is_sent() {
    let mut parts = ten_parts();
    let (world, engine) = copied(4, &parts).await;
    world.sky.set_fault(Box::new(|operation| {
        (operation.kind == OperationKind::CopyPart).then(|| {
            let kind = Kind::Unsupported;
            Fault::Refuse(StoreError::new(kind, "copy part", "o", "not today"))
        })
    }));
    parts[3] = bytes(50, 1_000);
    brings(&world, &engine, &parts, 9_300).await;
    // Nor does a source that tells nothing of its parts hold anything up.
    world.sky.set_fault(Box::new(|operation| {
        (operation.kind == OperationKind::Parts).then(|| {
            let kind = Kind::RetryAfter;
            Fault::Refuse(StoreError::new(kind, "parts", "o", "try later"))
        })
    }));
    parts[4] = bytes(51, 1_000);
    brings(&world, &engine, &parts, 9_300).await;
}
