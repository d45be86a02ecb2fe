//! Bulk jobs over stores in memory, in virtual time, with faults.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod deletes;
mod faults;
mod one;
mod parts;
mod scene;
mod server_parts;

use scene::{Scene, get};
use skyfresh_engine::bulk::{BulkOptions, BulkOutcome, Compare, MetadataChoice};
use skyfresh_sky::Attributes;
use skyfresh_store::memory::OperationKind;

#[tokio::test(start_paused = true)]
async fn everything_is_copied_and_a_second_run_copies_nothing() {
    let scene = Scene::new(1).await;
    for number in 0..2_500 {
        scene
            .write(&format!("p/{number:05}"), &vec![7; number % 40])
            .await;
    }
    scene.write("p/large", &vec![1; 3 << 20]).await;
    let first = scene.run(BulkOptions::default()).await;
    assert_eq!(get(&first.tally.targets[0].copied), 2_501);
    assert_eq!(get(&first.tally.targets[0].failed), 0);
    scene.assert_equal(0).await;
    let copied = first
        .records
        .iter()
        .filter(|it| it.outcome == BulkOutcome::Copied);
    assert!(
        copied.clone().all(|it| it.crc64.is_some()),
        "each was proved"
    );
    assert_eq!(copied.count(), 2_501);

    let second = scene.run(BulkOptions::default()).await;
    assert_eq!(get(&second.tally.targets[0].copied), 0);
    assert_eq!(get(&second.tally.targets[0].skipped), 2_501);
    assert_eq!(
        scene.count(OperationKind::Put),
        2_501,
        "nothing was written again"
    );
}

#[tokio::test(start_paused = true)]
async fn one_read_serves_every_target() {
    let scene = Scene::new(3).await;
    for (key, bytes) in [("small", 10), ("streamed", 2 << 20), ("parts", 9 << 20)] {
        scene.write(key, &vec![3; bytes]).await;
    }
    let options = BulkOptions {
        part_bytes: Some(4 << 20),
        ..BulkOptions::default()
    };
    let ran = scene.run(options).await;
    // One for each of two whole objects, three parts.
    assert_eq!(scene.count(OperationKind::Get), 5);
    for target in 0..3 {
        assert_eq!(get(&ran.tally.targets[target].copied), 3);
        scene.assert_equal(target).await;
    }
    assert_eq!(get(&ran.tally.bytes_read), 10 + (2 << 20) + (9 << 20));
}

#[tokio::test(start_paused = true)]
async fn what_was_overwritten_at_equal_size_is_noticed_by_time_and_by_checksum() {
    let scene = Scene::new(1).await;
    scene.write("a", b"old").await;
    scene.run(BulkOptions::default()).await;
    scene.pass_seconds(10).await;
    scene.write("a", b"new").await;
    let by_size = BulkOptions {
        compare: Compare::SizeOnly,
        ..BulkOptions::default()
    };
    let ran = scene.run(by_size).await;
    assert_eq!(get(&ran.tally.targets[0].skipped_by_size), 1);
    let by_checksum = BulkOptions {
        compare: Compare::Checksum,
        ..BulkOptions::default()
    };
    let ran = scene.run(by_checksum.clone()).await;
    assert_eq!(get(&ran.tally.targets[0].copied), 1);
    scene.assert_equal(0).await;
    let again = scene.run(by_checksum).await;
    assert_eq!(get(&again.tally.targets[0].proved), 1);
}

#[tokio::test(start_paused = true)]
async fn metadata_is_kept_left_or_set() {
    let scene = Scene::new(1).await;
    let attributes = Attributes {
        content_type: Some("text/x".into()),
        cache_control: Some("no-store".into()),
        user: [("owner".to_owned(), "me".to_owned())].into(),
        ..Attributes::default()
    };
    scene.write_with("a", b"x", attributes.clone()).await;
    let carried = |metadata| async {
        let options = BulkOptions {
            compare: Compare::Never,
            metadata,
            ..BulkOptions::default()
        };
        scene.run(options).await;
        scene.head(0, "a").await.attributes
    };
    assert_eq!(carried(MetadataChoice::Keep).await, attributes);
    let bare = carried(MetadataChoice::Nothing).await;
    assert_eq!(bare.content_type, attributes.content_type);
    assert_eq!((bare.cache_control, bare.user.len()), (None, 0));
    let set = Attributes {
        content_type: Some("y".into()),
        ..Attributes::default()
    };
    assert_eq!(
        carried(MetadataChoice::Set(Box::new(set.clone()))).await,
        set
    );
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_tells_and_writes_nothing() {
    let scene = Scene::new(1).await;
    scene.write("a", b"x").await;
    let options = BulkOptions {
        dry_run: true,
        ..BulkOptions::default()
    };
    let ran = scene.run(options).await;
    assert_eq!(get(&ran.tally.targets[0].planned), 1);
    assert_eq!(ran.records[0].outcome, BulkOutcome::WouldCopy);
    assert_eq!(scene.count(OperationKind::Put), 0);
}
