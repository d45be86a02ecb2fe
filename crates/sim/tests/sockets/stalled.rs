//! Two processes on one ledger: one stands still beyond its lease with its publish on the wire, and the other goes on.

use crate::process::Process;
use crate::scene::{PART_BYTES, Scene, receipts, task, until};
use skyfresh_ledger::Ledger;
use skyfresh_ledger::shared::{MemoryDocuments, Settings, SharedLedger};
use skyfresh_localsky::Fault;
use skyfresh_sky::Rng;
use std::sync::Arc;

const KEY: &str = "k";

async fn ledger(documents: &MemoryDocuments, rng: &Rng) -> Arc<dyn Ledger> {
    let documents = documents.another(Default::default(), rng.fork());
    let opened = SharedLedger::open(Arc::new(documents), Settings::default(), rng.fork()).await;
    Arc::new(opened.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_publish_that_comes_late_does_not_undo_a_newer_one() {
    late_publish(3_000, ("PUT", None)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_publish_that_comes_late_does_not_undo_a_newer_one() {
    late_publish(PART_BYTES + 1_000, ("POST", Some("uploadId"))).await;
}

async fn late_publish(bytes: usize, publish: (&str, Option<&str>)) {
    let (scene, documents, rng) = (Scene::open().await, MemoryDocuments::new(), Rng::seeded(5));
    let observed = ledger(&documents, &rng).await;
    let processes = [
        Process::start(&scene, ledger(&documents, &rng).await, "one").await,
        Process::start(&scene, ledger(&documents, &rng).await, "two").await,
    ];
    scene.webhook.tell(Some(&processes[0].engine));
    scene.put(KEY, 1, bytes).await;
    settled(&scene, observed.as_ref(), 1).await;

    // Whoever copies the second version: its publish is sent, and does not arrive yet.
    scene.fault(KEY, publish, Fault::Hold, 1);
    scene.put(KEY, 2, bytes).await;
    scene.faults_struck().await;
    let lease = observed.task(&task(KEY)).await.unwrap().unwrap().lease;
    let owner = lease.unwrap().owner;
    let (stalled, other) = match processes[0].owner == owner {
        true => (&processes[0], &processes[1]),
        false => (&processes[1], &processes[0]),
    };
    let frozen = stalled.freeze().await;
    scene.webhook.tell(Some(&other.engine));
    scene.put(KEY, 3, bytes).await;
    let taken_over = || async { scene.read(KEY, None).await == Some(3) };
    until(
        "the other process has published the newer version",
        taken_over,
    )
    .await;

    let handled = requests(&scene);
    scene.sky.faults().clear();
    let arrived = || async { requests(&scene) > handled };
    until("the late publish is answered", arrived).await;
    drop(frozen);
    settled(&scene, observed.as_ref(), 3).await;
    let lost = || async {
        let status = stalled.engine.status(None).await.unwrap();
        status[0].destinations[0].totals.leases_lost > 0
    };
    until("the process that stood still has noticed", lost).await;
    settled(&scene, observed.as_ref(), 3).await;

    assert_eq!(
        scene.versions_published(KEY).await,
        [1, 3],
        "the destination went back"
    );
    let published = scene.all_published(KEY).await;
    for receipt in receipts(observed.as_ref(), KEY).await {
        let known = published
            .iter()
            .any(|publish| Some(&publish.version) == receipt.destination.as_ref());
        assert!(known, "no such version was ever there: {receipt:?}");
    }
    for process in &processes {
        process.engine.shutdown().await;
    }
}

/// Requests that changed the destination or listed it, answered so far.
fn requests(scene: &Scene) -> u64 {
    let meter = scene.sky.meter();
    meter.requests[&scene.target_region].writes
}

/// Waits until this version is at the destination, and nothing is pending.
async fn settled(scene: &Scene, ledger: &dyn Ledger, version: u64) {
    let settled = || async {
        let pending = ledger.task(&task(KEY)).await.unwrap().is_some();
        !pending && scene.read(KEY, None).await == Some(version)
    };
    until(&format!("version {version} has arrived"), settled).await;
}
