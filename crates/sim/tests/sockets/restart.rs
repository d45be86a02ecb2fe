//! The process dies, or stops, while an upload is under way; the next one has the same ledger.

use crate::scene::{PART_BYTES, Scene, arrival, receipts, until};
use skyfresh_engine::Engine;
use skyfresh_ledger::{Ledger, MemoryLedger};
use skyfresh_localsky::Fault;
use skyfresh_sky::{Clock, ObjectVersion, SystemClock};
use std::sync::Arc;
use std::time::Duration;

const KEY: &str = "large";
/// Four parts.
const BYTES: usize = 3 * PART_BYTES + 1_000;

/// An engine with all parts of an upload sent but the third, which is on its way. Answers the upload too.
async fn halfway(
    scene: &Scene,
    ledger: &Arc<MemoryLedger>,
) -> (Arc<Engine>, ObjectVersion, String) {
    let engine = scene.engine(Arc::clone(ledger) as _, "one").await;
    scene.webhook.tell(Some(&engine));
    scene.fault(KEY, ("PUT", Some("partNumber=3")), Fault::Hold, 1);
    let source = scene.put(KEY, 1, BYTES).await;
    let sent = || async {
        let task = ledger.task(&crate::scene::task(KEY)).await.unwrap();
        let Some(attempt) = task.and_then(|task| task.attempt) else {
            return false;
        };
        let parts = ledger.parts(&attempt.id).await.unwrap();
        parts.is_some_and(|(total, done)| (total, done.len()) == (4, 3))
    };
    until("three of four parts are there", sent).await;
    scene.webhook.tell(None);
    let upload = scene.uploads(KEY).await.pop().unwrap();
    (engine, source, upload)
}

/// Drops an engine as a crash would.
async fn crash(scene: &Scene, engine: Arc<Engine>) {
    scene.webhook.tell(None);
    let only_here = || async { Arc::strong_count(&engine) == 1 };
    until("no notification is being taken in", only_here).await;
    drop(engine);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_process_began_to_upload_is_discarded_and_the_object_arrives() {
    let (scene, ledger) = (Scene::open().await, Arc::new(MemoryLedger::new()));
    let (engine, source, upload) = halfway(&scene, &ledger).await;
    crash(&scene, engine).await;
    let engine = scene.engine(Arc::clone(&ledger) as _, "two").await;
    arrival(ledger.as_ref(), KEY, &source).await;
    scene.sky.faults().clear();
    // The dead process may still run, for all its successor knows: its upload must not be published any more.
    let left = scene.uploads(KEY).await;
    assert!(!left.contains(&upload), "{upload} is still there: {left:?}");
    no_upload_is_left(&scene, &ledger).await;
    assert_eq!(scene.versions_published(KEY).await, [1]);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stopped_process_had_uploaded_is_not_sent_again() {
    let (scene, ledger) = (Scene::open().await, Arc::new(MemoryLedger::new()));
    let (engine, source, upload) = halfway(&scene, &ledger).await;
    engine.shutdown().await;
    scene.sky.faults().clear();
    assert_eq!(scene.uploads(KEY).await, [upload], "kept for the next one");
    let engine = scene.engine(Arc::clone(&ledger) as _, "two").await;
    arrival(ledger.as_ref(), KEY, &source).await;
    let receipts = receipts(ledger.as_ref(), KEY).await;
    let moved: u64 = receipts.iter().map(|receipt| receipt.bytes_moved).sum();
    assert_eq!(
        PART_BYTES as u64, moved,
        "only the third part was missing: {receipts:?}"
    );
    no_upload_is_left(&scene, &ledger).await;
    assert_eq!(scene.versions_published(KEY).await, [1]);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_nobody_knows_of_is_gone_after_the_janitor() {
    let (scene, ledger) = (Scene::open().await, Arc::new(MemoryLedger::new()));
    let engine = scene.engine(Arc::clone(&ledger) as _, "one").await;
    scene.webhook.tell(Some(&engine));
    // Begun at the destination, and its id never told.
    scene.fault(KEY, ("POST", Some("uploads")), Fault::ResetAfterDone, 1);
    let source = scene.put(KEY, 1, BYTES).await;
    let begun = || async { !scene.uploads(KEY).await.is_empty() };
    until("an upload is begun", begun).await;
    crash(&scene, engine).await;
    let orphans = scene.uploads(KEY).await;
    let engine = scene.engine(Arc::clone(&ledger) as _, "two").await;
    arrival(ledger.as_ref(), KEY, &source).await;
    no_upload_is_left(&scene, &ledger).await;
    assert!(!orphans.is_empty());
    assert_eq!(scene.versions_published(KEY).await, [1]);
    engine.shutdown().await;
}

/// After a few of the janitor's periods nothing is left at the destination, nor remembered.
async fn no_upload_is_left(scene: &Scene, ledger: &Arc<MemoryLedger>) {
    let began = SystemClock.now();
    let left = || async {
        let remembered = ledger.uploads("rule", SystemClock.now()).await.unwrap();
        remembered.is_empty() && scene.uploads(KEY).await.is_empty()
    };
    until("no upload is left", left).await;
    let (took, period) = (SystemClock.now().since(began), scene.config.janitor_period);
    // Kept for two periods, looked at after each; the rest is for a machine that has other work.
    assert!(took < period * 4 + Duration::from_secs(4), "{took:?}");
}
