//! Deletes: opt-in, capped, and only after listings that came to their ends.

use crate::scene::{Scene, get};
use skyfresh_engine::bulk::{BulkOptions, BulkOutcome, DeleteLimits};
use skyfresh_sky::{Attributes, Kind, ObjectKey};
use skyfresh_store::Error;
use skyfresh_store::memory::{Fault, OperationKind};

fn deleting(most: u64) -> BulkOptions {
    BulkOptions {
        delete: Some(DeleteLimits {
            most,
            allow_empty_source: false,
        }),
        ..BulkOptions::default()
    }
}

async fn with_extras(count: usize) -> Scene {
    let scene = Scene::new(1).await;
    scene.write("kept", b"x").await;
    for number in 0..count {
        let key = format!("extra/{number}");
        scene
            .put(scene.target(0), &key, b"y", Attributes::default())
            .await;
    }
    scene
}

#[tokio::test(start_paused = true)]
async fn what_the_source_does_not_have_is_deleted_only_where_asked() {
    let scene = with_extras(3).await;
    let ran = scene.run(BulkOptions::default()).await;
    assert_eq!(get(&ran.tally.targets[0].deleted), 0);
    let ran = scene.run(deleting(3)).await;
    assert_eq!(get(&ran.tally.targets[0].deleted), 3);
    scene.assert_equal(0).await;
}

#[tokio::test(start_paused = true)]
async fn too_many_deletes_are_refused_whole() {
    let scene = with_extras(3).await;
    let ran = scene.run(deleting(2)).await;
    assert_eq!(get(&ran.tally.targets[0].deleted), 0);
    let why = ran.tally.targets[0].deletes_refused().unwrap();
    assert!(why.contains("3 objects to delete are more than 2"), "{why}");
    assert_eq!(scene.count(OperationKind::Delete), 0);
}

#[tokio::test(start_paused = true)]
async fn an_empty_source_deletes_nothing() {
    let scene = Scene::new(1).await;
    scene
        .put(scene.target(0), "precious", b"y", Attributes::default())
        .await;
    let ran = scene.run(deleting(100)).await;
    assert!(
        ran.tally.targets[0]
            .deletes_refused()
            .unwrap()
            .contains("lists nothing")
    );
    assert_eq!(scene.count(OperationKind::Delete), 0);
    let meant = BulkOptions {
        delete: Some(DeleteLimits {
            most: 100,
            allow_empty_source: true,
        }),
        ..BulkOptions::default()
    };
    let ran = scene.run(meant).await;
    assert_eq!(get(&ran.tally.targets[0].deleted), 1);
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_or_half_listed_source_deletes_nothing_and_says_so() {
    for fails_at in [0, 1] {
        let scene = with_extras(3).await;
        for number in 0..1_500 {
            scene.write(&format!("k/{number:04}"), b"z").await;
        }
        let pages = std::sync::atomic::AtomicU64::new(0);
        scene.faults(move |operation| {
            if operation.kind != OperationKind::List || operation.bucket != "source" {
                return None;
            }
            let page = pages.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let error = Error::new(
                Kind::RetryAfter,
                "list",
                "mem://source/",
                "connection refused",
            );
            (page >= fails_at).then_some(Fault::Refuse(error))
        });
        let ran = scene.run(deleting(1_000)).await;
        let (kind, why) = ran.tally.source_failed().unwrap();
        assert_eq!(kind, Kind::RetryAfter);
        assert!(why.contains("connection refused"), "{why}");
        assert!(ran.tally.targets[0].deletes_refused().is_some());
        assert_eq!(scene.count(OperationKind::Delete), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_whose_listing_breaks_off_loses_nothing_and_the_other_goes_on() {
    let scene = Scene::new(2).await;
    for number in 0..1_200 {
        scene.write(&format!("k/{number:04}"), b"z").await;
    }
    scene.faults(|operation| {
        let error = Error::new(Kind::Denied, "list", "mem://d0/", "no");
        (operation.kind == OperationKind::List && operation.bucket == "d0")
            .then_some(Fault::Refuse(error))
    });
    let ran = scene.run(deleting(1_000)).await;
    assert_eq!(ran.tally.targets[0].given_up().unwrap().0, Kind::Denied);
    assert!(ran.tally.targets[0].deletes_refused().is_some());
    assert_eq!(get(&ran.tally.targets[1].copied), 1_200);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_deleted_after_a_failure() {
    let scene = with_extras(1).await;
    scene.faults(|operation| {
        let error = Error::new(Kind::Denied, "put", "mem://d0/kept", "no");
        (operation.kind == OperationKind::Put).then_some(Fault::Refuse(error))
    });
    let ran = scene.run(deleting(10)).await;
    assert_eq!(get(&ran.tally.targets[0].failed), 1);
    assert!(
        ran.tally.targets[0]
            .deletes_refused()
            .unwrap()
            .contains("could not be copied")
    );
    assert_eq!(scene.count(OperationKind::Delete), 0);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_the_source_has_by_now_stays() {
    let scene = with_extras(1).await;
    // It is written to the source after the source was listed: when the delete looks.
    let source = scene.source();
    let seen = std::sync::atomic::AtomicBool::new(false);
    scene.faults(move |operation| {
        let looks = operation.kind == OperationKind::Head && operation.bucket == "source";
        if looks && !seen.swap(true, std::sync::atomic::Ordering::Relaxed) {
            let options = skyfresh_store::PutOptions {
                size: 1,
                attributes: Attributes::default(),
                precondition: skyfresh_store::Precondition::None,
            };
            let key = ObjectKey::new("extra/0").unwrap();
            let body = skyfresh_store::single_chunk("n");
            futures::FutureExt::now_or_never(source.put(&key, options, body))
                .unwrap()
                .unwrap();
        }
        None
    });
    let ran = scene.run(deleting(10)).await;
    assert_eq!(get(&ran.tally.targets[0].deleted), 0);
    let left = ran
        .records
        .iter()
        .find(|it| it.key.as_str() == "extra/0")
        .unwrap();
    assert_eq!(left.outcome, BulkOutcome::Skipped);
}

#[tokio::test(start_paused = true)]
async fn every_key_of_many_blocks_is_looked_up_and_deleted_only_as_listed() {
    let scene = with_extras(620).await;
    // Somebody replaces one when it is about to be deleted.
    let target = scene.target(0);
    let seen = std::sync::atomic::AtomicBool::new(false);
    scene.faults(move |operation| {
        let looks = operation.kind == OperationKind::Head && operation.bucket == "source";
        if looks && !seen.swap(true, std::sync::atomic::Ordering::Relaxed) {
            let options = skyfresh_store::PutOptions {
                size: 3,
                attributes: Attributes::default(),
                precondition: skyfresh_store::Precondition::None,
            };
            let key = ObjectKey::new("extra/300").unwrap();
            let body = skyfresh_store::single_chunk("new");
            futures::FutureExt::now_or_never(target.put(&key, options, body))
                .unwrap()
                .unwrap();
        }
        None
    });
    let ran = scene.run(deleting(1_000)).await;
    assert_eq!(get(&ran.tally.targets[0].deleted), 619);
    assert_eq!(get(&ran.tally.targets[0].failed), 1);
    assert_eq!(scene.count(OperationKind::Delete), 620);
    let failed: Vec<_> = ran
        .records
        .iter()
        .filter(|record| record.outcome == BulkOutcome::Failed)
        .collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].key.as_str(), "extra/300");
    assert_eq!(
        scene.head(0, "extra/300").await.size,
        3,
        "the new one stays"
    );
}
