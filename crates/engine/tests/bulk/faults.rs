//! Passing trouble, changed objects, other writers, bytes that arrive wrong.

use crate::scene::{Scene, get};
use skyfresh_engine::bulk::{BulkOptions, BulkOutcome};
use skyfresh_sky::{Attributes, Kind};
use skyfresh_store::Error;
use skyfresh_store::memory::{BodyFault, Fault, OperationKind};
use std::sync::atomic::{AtomicU64, Ordering};

#[tokio::test(start_paused = true)]
async fn passing_trouble_is_overcome_everywhere() {
    let scene = Scene::new(2).await;
    for number in 0..50 {
        scene
            .write(&format!("{number}"), &vec![5; number * 100])
            .await;
    }
    scene.write("large", &vec![9; 5 << 20]).await;
    let count = AtomicU64::new(0);
    scene.faults(move |operation| {
        let strikes = matches!(
            operation.kind,
            OperationKind::Get
                | OperationKind::Put
                | OperationKind::UploadPart
                | OperationKind::CompleteUpload
        );
        let turn = count.fetch_add(1, Ordering::Relaxed);
        let error = Error::new(Kind::RetryAfter, operation.kind.as_str(), "mem://x/", "503");
        match (strikes, turn % 13) {
            (true, 0) => Some(Fault::Refuse(error)),
            (true, 1) => Some(Fault::Body(BodyFault::Corrupt { at: 3 })),
            (true, 2) => Some(Fault::LoseAnswer(error)),
            _ => None,
        }
    });
    let options = BulkOptions {
        part_bytes: Some(1 << 20),
        ..BulkOptions::default()
    };
    let ran = scene.run(options).await;
    scene.sky.clear_fault();
    for target in 0..2 {
        let failures = ran.tally.targets[target].failures();
        assert_eq!(get(&ran.tally.targets[target].copied), 51, "{failures:?}");
        scene.assert_equal(target).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_denied_target_is_given_up_and_the_other_served() {
    let scene = Scene::new(2).await;
    for number in 0..500 {
        scene.write(&format!("{number}"), b"x").await;
    }
    scene.faults(|operation| {
        let denied = Error::new(Kind::Denied, "put", "mem://d0/", "403");
        (operation.kind == OperationKind::Put && operation.bucket == "d0")
            .then_some(Fault::Refuse(denied))
    });
    let ran = scene.run(BulkOptions::default()).await;
    assert_eq!(get(&ran.tally.targets[1].copied), 500);
    assert_eq!(
        ran.tally.targets[0].given_up().map(|(kind, _)| kind),
        Some(Kind::Denied)
    );
    assert!(get(&ran.tally.targets[0].failed) > 0);
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_newer_object_is_not_replaced_with_no_clobber() {
    let scene = Scene::new(1).await;
    scene.write("a", b"ours").await;
    let target = scene.target(0);
    let written = AtomicU64::new(0);
    // Between the listing and the write, another writer puts the key.
    scene.faults(move |operation| {
        let ours = operation.kind == OperationKind::Get && operation.bucket == "source";
        if ours && written.fetch_add(1, Ordering::Relaxed) == 0 {
            let options = skyfresh_store::PutOptions {
                size: 6,
                attributes: Attributes::default(),
                precondition: skyfresh_store::Precondition::None,
            };
            let key = skyfresh_sky::ObjectKey::new("a").unwrap();
            let body = skyfresh_store::single_chunk("theirs");
            futures::FutureExt::now_or_never(target.put(&key, options, body))
                .unwrap()
                .unwrap();
        }
        None
    });
    let options = BulkOptions {
        no_clobber: true,
        ..BulkOptions::default()
    };
    let ran = scene.run(options).await;
    assert_eq!(get(&ran.tally.targets[0].copied), 0);
    assert_eq!(ran.records[0].outcome, BulkOutcome::Skipped);
    assert_eq!(scene.head(0, "a").await.size, 6, "theirs is still there");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_goes_away_meanwhile_is_no_failure() {
    let scene = Scene::new(1).await;
    scene.write("a", b"x").await;
    scene.faults(|operation| {
        let gone = Error::new(Kind::Missing, "get", "mem://source/a", "gone");
        (operation.kind == OperationKind::Get).then_some(Fault::Refuse(gone))
    });
    let ran = scene.run(BulkOptions::default()).await;
    assert_eq!(get(&ran.tally.targets[0].failed), 0);
    assert!(
        ran.records[0]
            .why
            .as_deref()
            .unwrap()
            .contains("gone from the source")
    );
}
