//! Objects in parts: gone on with by the next run, never of two versions, nothing left behind.

use crate::scene::{Scene, get};
use skyfresh_engine::bulk::BulkOptions;
use skyfresh_sky::Kind;
use skyfresh_store::Error;
use skyfresh_store::memory::{BodyFault, Fault, OperationKind};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_util::sync::CancellationToken;

fn in_parts() -> BulkOptions {
    BulkOptions {
        part_bytes: Some(1 << 20),
        transfers: Some(2),
        ..BulkOptions::default()
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_run_goes_on_inside_the_object() {
    let scene = Scene::new(1).await;
    let bytes: Vec<u8> = (0..10u32 << 20).map(|at| (at % 251) as u8).collect();
    scene.write("large", &bytes).await;
    // The run is stopped while the seventh part goes.
    let stop = scene.stop.lock().unwrap().clone();
    scene.faults(move |operation| {
        if operation.part_number == Some(7) {
            stop.cancel();
            let error = Error::new(Kind::RetryAfter, "upload part", "mem://d0/large", "killed");
            return Some(Fault::Refuse(error));
        }
        None
    });
    let first = scene.run(in_parts()).await;
    assert_eq!(get(&first.tally.targets[0].copied), 0);
    let sent = scene.count(OperationKind::UploadPart);
    assert!((6..10).contains(&sent), "{sent}");

    scene.faults(|_| None);
    *scene.stop.lock().unwrap() = CancellationToken::new();
    let second = scene.run(in_parts()).await;
    assert_eq!(get(&second.tally.targets[0].copied), 1);
    let again = scene.count(OperationKind::UploadPart) - sent;
    assert!((3..=5).contains(&again), "{again} parts were sent again");
    assert_eq!(scene.count(OperationKind::CreateUpload), 1);
    scene.assert_equal(0).await;
    assert_eq!(
        scene
            .target(0)
            .list_uploads(None)
            .await
            .unwrap()
            .uploads
            .len(),
        0
    );
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_run_left_of_a_changed_object_is_swept_away() {
    let scene = Scene::new(1).await;
    scene.write("large", &vec![1; 4 << 20]).await;
    let stop = scene.stop.lock().unwrap().clone();
    scene.faults(move |operation| {
        if operation.part_number == Some(3) {
            stop.cancel();
        }
        None
    });
    scene.run(in_parts()).await;
    assert_eq!(
        scene
            .target(0)
            .list_uploads(None)
            .await
            .unwrap()
            .uploads
            .len(),
        1
    );
    scene.faults(|_| None);
    *scene.stop.lock().unwrap() = CancellationToken::new();
    scene.pass_seconds(5).await;
    scene.write("large", &vec![2; 5 << 20]).await;
    let ran = scene.run(in_parts()).await;
    assert_eq!(get(&ran.tally.targets[0].copied), 1);
    scene.assert_equal(0).await;
    assert_eq!(
        scene
            .target(0)
            .list_uploads(None)
            .await
            .unwrap()
            .uploads
            .len(),
        0
    );
}

#[tokio::test(start_paused = true)]
async fn a_source_that_changes_under_it_is_copied_as_it_is_then() {
    let scene = Scene::new(2).await;
    scene.write("large", &vec![1; 6 << 20]).await;
    let reads = AtomicU64::new(0);
    scene.faults(move |operation| {
        let read = operation.kind == OperationKind::Get && operation.bucket == "source";
        (read && reads.fetch_add(1, Ordering::Relaxed) == 3).then(|| {
            Fault::Body(BodyFault::Overwrite {
                at: 1_000,
                bytes: vec![2; 7 << 20].into(),
            })
        })
    });
    let ran = scene.run(in_parts()).await;
    for target in 0..2 {
        assert_eq!(
            get(&ran.tally.targets[target].copied),
            1,
            "{:?}",
            ran.tally.targets[target].failures()
        );
        scene.assert_equal(target).await;
        assert_eq!(
            scene
                .target(target)
                .list_uploads(None)
                .await
                .unwrap()
                .uploads
                .len(),
            0
        );
    }
}
