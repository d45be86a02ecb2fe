//! A single object: what is asked of a far target while it is found out whether it wants the object, and what becomes of it.

use crate::scene::{Ran, Scene, get};
use skyfresh_engine::bulk::{BulkOptions, Compare, Selection};
use skyfresh_sky::{Attributes, Kind, ObjectKey};
use skyfresh_store::Error;
use skyfresh_store::memory::OperationKind::{
    AbortUpload, CompleteUpload, CreateUpload, Head, UploadPart,
};
use skyfresh_store::memory::{Fault, OperationKind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const FAR: Duration = Duration::from_millis(80);
const NEAR: Duration = Duration::from_millis(2);

/// What was asked of targets, in order.
type Asked = Arc<Mutex<Vec<OperationKind>>>;

/// Targets answer after this long; what is asked of them is put down. `refused` are.
fn targets_answer_after(scene: &Scene, delay: Duration, refused: Option<OperationKind>) -> Asked {
    let asked = Asked::default();
    let told = Arc::clone(&asked);
    scene.faults(move |operation| {
        if operation.bucket == "source" {
            return None;
        }
        told.lock().unwrap().push(operation.kind);
        if refused == Some(operation.kind) {
            let error = Error::new(Kind::Denied, operation.kind.as_str(), "mem://d0/", "no");
            return Some(Fault::Refuse(error));
        }
        Some(Fault::Delay(delay))
    });
    asked
}

async fn copy(scene: &Scene, options: BulkOptions) -> Ran {
    let key = ObjectKey::new("large").unwrap();
    let names = vec![key.clone(); scene.targets];
    scene
        .run_selected(options, Selection::One { key, names })
        .await
}

fn in_parts() -> BulkOptions {
    BulkOptions {
        part_bytes: Some(2 << 20),
        ..BulkOptions::default()
    }
}

async fn unfinished(scene: &Scene, target: usize) -> usize {
    let page = scene.target(target).list_uploads(None).await.unwrap();
    page.uploads.len()
}

#[tokio::test(start_paused = true)]
async fn a_far_target_is_asked_for_an_upload_while_it_is_looked_at() {
    let scene = Scene::new(1).await;
    scene.write("large", &vec![1; 6 << 20]).await;
    let asked = targets_answer_after(&scene, FAR, None);
    let began_ns = scene.clock.monotonic_ns();
    let ran = copy(&scene, in_parts()).await;
    let took = Duration::from_nanos(scene.clock.monotonic_ns() - began_ns);
    assert_eq!(get(&ran.tally.targets[0].copied), 1);
    assert_eq!(
        *asked.lock().unwrap(),
        [
            Head,
            CreateUpload,
            UploadPart,
            UploadPart,
            UploadPart,
            CompleteUpload
        ]
    );
    // Head and upload, parts, completion: three round trips, and what is waited before the target counts as far.
    assert!(took < FAR * 3 + Duration::from_millis(20), "{took:?}");
    scene.assert_equal(0).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_opened_in_vain_is_discarded() {
    let scene = Scene::new(2).await;
    let bytes = vec![1; 6 << 20];
    scene.write("large", &bytes).await;
    scene.pass_seconds(5).await;
    let held = scene.target(0);
    scene
        .put(held, "large", &bytes, Attributes::default())
        .await;
    // Only the heads tell that it is the same: that is judged when its turn comes.
    for copied in [1, 0] {
        let asked = targets_answer_after(&scene, FAR, None);
        let options = BulkOptions {
            compare: Compare::Checksum,
            ..in_parts()
        };
        let ran = copy(&scene, options).await;
        assert_eq!(get(&ran.tally.targets[0].copied), 0);
        assert_eq!(get(&ran.tally.targets[1].copied), copied);
        let aborted = asked
            .lock()
            .unwrap()
            .iter()
            .filter(|it| **it == AbortUpload)
            .count();
        assert_eq!(aborted as u64, 2 - copied);
        for target in 0..2 {
            assert_eq!(unfinished(&scene, target).await, 0);
        }
    }
    let asked = targets_answer_after(&scene, FAR, None);
    let ran = copy(&scene, in_parts()).await;
    assert_eq!(get(&ran.tally.targets[0].skipped), 1);
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked.iter().filter(|it| **it == CreateUpload).count(), 2);
    assert_eq!(asked.iter().filter(|it| **it == AbortUpload).count(), 2);
    assert_eq!(unfinished(&scene, 0).await, 0);
    assert!(scene.ledger_is_empty().await, "nothing is left to sweep");
}

#[tokio::test(start_paused = true)]
async fn a_near_target_is_asked_for_nothing_in_vain() {
    let scene = Scene::new(1).await;
    scene.write("large", &vec![1; 6 << 20]).await;
    scene.pass_seconds(5).await;
    let asked = targets_answer_after(&scene, NEAR, None);
    copy(&scene, in_parts()).await;
    scene.pass_seconds(5).await;
    let ran = copy(&scene, in_parts()).await;
    assert_eq!(get(&ran.tally.targets[0].skipped), 1);
    assert_eq!(
        *asked.lock().unwrap(),
        [
            Head,
            CreateUpload,
            UploadPart,
            UploadPart,
            UploadPart,
            CompleteUpload,
            Head
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_object_is_not_overwritten_by_an_upload_opened_before_it_was_seen() {
    let scene = Scene::new(1).await;
    scene.write("large", &vec![1; 6 << 20]).await;
    let theirs = vec![9; 100];
    let held = scene.target(0);
    scene
        .put(held, "large", &theirs, Attributes::default())
        .await;
    targets_answer_after(&scene, FAR, None);
    let options = BulkOptions {
        no_clobber: true,
        ..in_parts()
    };
    let ran = copy(&scene, options).await;
    assert_eq!(get(&ran.tally.targets[0].skipped), 1);
    assert_eq!(scene.head(0, "large").await.size, 100);
    assert_eq!(unfinished(&scene, 0).await, 0);
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_cannot_be_opened_fails_the_object() {
    let scene = Scene::new(1).await;
    scene.write("large", &vec![1; 6 << 20]).await;
    targets_answer_after(&scene, FAR, Some(CreateUpload));
    let ran = copy(&scene, in_parts()).await;
    assert_eq!(get(&ran.tally.targets[0].failed), 1);
    assert_eq!(get(&ran.tally.targets[0].copied), 0);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_changes_after_the_upload_was_opened_is_copied_as_it_is_then() {
    let scene = Scene::new(1).await;
    scene.write("large", &vec![1; 6 << 20]).await;
    targets_answer_after(&scene, FAR, None);
    let source = scene.source();
    let (ran, ()) = tokio::join!(copy(&scene, in_parts()), async {
        scene.clock.sleep(Duration::from_millis(50)).await;
        scene
            .put(source, "large", &vec![2; 5 << 20], Attributes::default())
            .await;
    });
    assert_eq!(get(&ran.tally.targets[0].copied), 1);
    scene.assert_equal(0).await;
    assert_eq!(unfinished(&scene, 0).await, 0);
}
