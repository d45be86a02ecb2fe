//! A publish takes effect, and the connection breaks before its answer is there.

use crate::scene::{PART_BYTES, Scene, arrival, receipts};
use skyfresh_ledger::MemoryLedger;
use skyfresh_localsky::Fault;
use std::sync::Arc;

struct Object {
    name: &'static str,
    bytes: usize,
    /// Method and parameter of the request that publishes it.
    publish: (&'static str, Option<&'static str>),
    /// How many answers in a row are lost, of its first version and of its second.
    lost: [u64; 2],
}

/// The adapter itself asks again, three times in all, where it can: not when the body was streamed. Then it is the engine that
/// has to find out.
const OBJECTS: [Object; 3] = [
    Object {
        name: "collected",
        bytes: 900,
        publish: ("PUT", None),
        lost: [1, 3],
    },
    Object {
        name: "streamed",
        bytes: 1 << 20,
        publish: ("PUT", None),
        lost: [1, 1],
    },
    Object {
        name: "parts",
        bytes: 2 * PART_BYTES + 77,
        publish: ("POST", Some("uploadId")),
        lost: [1, 3],
    },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_whose_answer_is_lost_is_found_out_and_not_repeated() {
    let (scene, ledger) = (Scene::open().await, Arc::new(MemoryLedger::new()));
    let engine = scene.engine(Arc::clone(&ledger) as _, "one").await;
    scene.webhook.tell(Some(&engine));
    // The first is published where there is nothing, the second over the first.
    for (round, version) in [1, 2].into_iter().enumerate() {
        for object in OBJECTS {
            let (name, times) = (object.name, object.lost[round]);
            scene.fault(name, object.publish, Fault::ResetAfterDone, times);
            let source = scene.put(name, version, object.bytes).await;
            let receipt = arrival(ledger.as_ref(), name, &source).await;
            scene.faults_struck().await;
            let published = scene.all_published(name).await;
            assert_eq!(
                published.len() as u64,
                version,
                "{name}: each version is published once: {published:?}"
            );
            assert_eq!(scene.read(name, None).await, Some(version), "{name}");
            for receipt in receipts(ledger.as_ref(), name).await {
                let known = published
                    .iter()
                    .any(|publish| Some(&publish.version) == receipt.destination.as_ref());
                assert!(known, "{name}: no such version was ever there: {receipt:?}");
            }
            assert_eq!(
                receipt.destination.as_ref(),
                published.last().map(|publish| &publish.version),
                "{name}"
            );
        }
    }
    engine.shutdown().await;
}
