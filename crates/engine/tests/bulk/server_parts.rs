//! Objects larger than one copy by a store may be: copied by it in parts, where their checksums prove it.

use crate::scene::{Scene, get};
use skyfresh_engine::bulk::{BulkOptions, BulkOutcome};
use skyfresh_sky::Kind;
use skyfresh_store::memory::{BucketStyle, Fault, MEMORY_CAPABILITIES, OperationKind};
use skyfresh_store::{Capabilities, Error, UploadLimits};
use std::sync::atomic::{AtomicU64, Ordering};

/// A store's largest copy, bytes; S3's is 5 GiB.
const MOST: u64 = 1 << 20;
const LARGE: usize = 5 * (MOST as usize) / 2 + 17;

fn small_copies() -> Capabilities {
    Capabilities {
        upload_limits: UploadLimits {
            min_part_bytes: 64 << 10,
            max_put_bytes: MOST,
            ..UploadLimits::LOCAL
        },
        ..MEMORY_CAPABILITIES
    }
}

fn content() -> Vec<u8> {
    (0..LARGE).map(|at| (at * 31 % 251) as u8).collect()
}

/// A large object and a small one; targets whose store copies little at once.
async fn scene() -> Scene {
    let scene = Scene::with_targets(1, small_copies()).await;
    scene.write("large", &content()).await;
    scene.write("small", b"x").await;
    scene
}

fn parts_of(bytes: u64) -> BulkOptions {
    BulkOptions {
        part_bytes: Some(bytes),
        ..BulkOptions::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_object_is_copied_by_the_store_in_parts() {
    let scene = scene().await;
    let ran = scene.run_within_a_service(parts_of(MOST)).await;
    assert_eq!(get(&ran.tally.targets[0].server_copied), 2);
    assert_eq!(get(&ran.tally.targets[0].unprovable), 0);
    assert_eq!(scene.count(OperationKind::CopyPart), 3);
    assert_eq!(scene.count(OperationKind::UploadPart), 0);
    assert_eq!(scene.count(OperationKind::Get), 0, "no byte came here");
    let large = ran
        .records
        .iter()
        .find(|record| record.key.as_str() == "large");
    assert_eq!(large.unwrap().outcome, BulkOutcome::ServerCopied);
    assert!(large.unwrap().crc64.is_some());
    scene.assert_equal(0).await;
    assert!(scene.ledger_is_empty().await);
}

#[tokio::test(start_paused = true)]
async fn without_a_checksum_that_parts_add_up_to_the_bytes_travel() {
    let scene = Scene::with_targets(1, small_copies()).await;
    let silent = BucketStyle {
        states_checksums: false,
        ..BucketStyle::S3
    };
    for bucket in ["source", "d0"] {
        scene.sky.set_style(bucket, silent);
    }
    scene.write("large", &content()).await;
    scene.write("small", b"x").await;
    let ran = scene.run_within_a_service(parts_of(MOST)).await;
    assert_eq!(get(&ran.tally.targets[0].copied), 2);
    assert_eq!(scene.count(OperationKind::CopyPart), 0);
    assert!(get(&ran.tally.targets[0].unprovable) >= 1);
    scene.assert_equal(0).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_may_not_copy_gets_the_bytes_and_keeps_no_upload() {
    let scene = scene().await;
    scene.faults(|operation| {
        let denied = Error::new(Kind::Denied, "copy part", "mem://d0/large", "no");
        (operation.kind == OperationKind::CopyPart).then_some(Fault::Refuse(denied))
    });
    let ran = scene.run_within_a_service(parts_of(MOST)).await;
    assert_eq!(get(&ran.tally.targets[0].copied), 2);
    assert_eq!(get(&ran.tally.targets[0].server_copied), 1, "the small one");
    assert_eq!(scene.count(OperationKind::AbortUpload), 1);
    scene.assert_equal(0).await;
    assert!(scene.ledger_is_empty().await);
}

#[tokio::test(start_paused = true)]
async fn passing_trouble_repeats_a_part() {
    let scene = scene().await;
    let seen = AtomicU64::new(0);
    scene.faults(move |operation| {
        if operation.kind != OperationKind::CopyPart {
            return None;
        }
        let busy = Error::new(Kind::RetryAfter, "copy part", "mem://d0/large", "busy");
        (seen.fetch_add(1, Ordering::Relaxed) < 2).then_some(Fault::Refuse(busy))
    });
    let ran = scene.run_within_a_service(parts_of(MOST)).await;
    assert_eq!(get(&ran.tally.targets[0].server_copied), 2);
    assert_eq!(scene.count(OperationKind::CopyPart), 5);
    scene.assert_equal(0).await;
}
