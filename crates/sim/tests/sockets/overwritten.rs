//! The source is overwritten while its parts are being read.

use crate::scene::{PART_BYTES, Scene, arrival};
use skyfresh_ledger::MemoryLedger;
use skyfresh_localsky::Fault;
use skyfresh_sky::{Clock, Kind, SystemClock};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const KEY: &str = "hot";
/// Four parts.
const BYTES: usize = 3 * PART_BYTES + 1_000;
const VERSIONS: u64 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_overwritten_while_it_is_read_never_mixes_with_its_next_version() {
    let mut scene = Scene::open().await;
    // One part after the other: those after the held one are read after the overwrite.
    scene.config.parts_in_flight = 1;
    let (scene, ledger) = (Arc::new(scene), Arc::new(MemoryLedger::new()));
    let engine = scene.engine(Arc::clone(&ledger) as _, "one").await;
    scene.webhook.tell(Some(&engine));
    let first = scene.put(KEY, 1, BYTES).await;
    arrival(ledger.as_ref(), KEY, &first).await;

    let over = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn(keep_reading(Arc::clone(&scene), Arc::clone(&over)));
    let mut newest = first;
    for version in (2..=VERSIONS).step_by(2) {
        // The second part stands still between the stores, half read.
        scene.fault(KEY, ("PUT", Some("partNumber=2")), Fault::Hold, 1);
        scene.put(KEY, version, BYTES).await;
        scene.faults_struck().await;
        newest = scene.put(KEY, version + 1, BYTES).await;
        scene.sky.faults().clear();
        arrival(ledger.as_ref(), KEY, &newest).await;
    }
    over.store(true, Ordering::SeqCst);
    let reads = reader.await.unwrap();
    assert!(reads > 0, "nothing was read meanwhile");

    assert_eq!(scene.read(KEY, None).await, Some(VERSIONS + 1));
    // The versions in between were overwritten before they were read to their end.
    assert_eq!(scene.versions_published(KEY).await, [1, 3, 5]);
    let status = engine.status(None).await.unwrap();
    let totals = &status[0].destinations[0].totals;
    assert_eq!(
        totals.failures.get(&Kind::Corrupt),
        None,
        "pinned reads do not rely on verification: {totals:?}"
    );
    assert!(
        totals.bytes_moved > 3 * BYTES as u64,
        "no copy was broken off: {totals:?}"
    );
    assert_eq!(scene.uploads(KEY).await, [] as [String; 0]);
    assert_eq!(
        scene
            .source
            .head(&crate::scene::key(KEY))
            .await
            .unwrap()
            .version,
        newest
    );
    engine.shutdown().await;
}

/// Reads the object all the time: whole, and never an older version than before. Answers how often.
async fn keep_reading(scene: Arc<Scene>, over: Arc<AtomicBool>) -> u32 {
    let (mut reads, mut newest) = (0, 0);
    while !over.load(Ordering::SeqCst) {
        let version = scene.read(KEY, None).await;
        assert!(
            version >= Some(newest),
            "version {newest} was there, then {version:?}"
        );
        (reads, newest) = (reads + 1, version.unwrap_or(newest));
        SystemClock.sleep(Duration::from_millis(20)).await;
    }
    reads
}
