//! What the destination has already is not sent again: copied, joined, and kept in parts by its own store, over HTTP.

use crate::scene::{PART_BYTES, Scene, arrival, key};
use bytes::Bytes;
use futures::StreamExt;
use skyfresh_engine::{ChangelogEntry, ChangelogInput, ChangelogOperation, ChangelogSizes, Engine};
use skyfresh_ledger::{Ledger, MemoryLedger, Receipt};
use skyfresh_sky::{Attributes, ObjectVersion};
use skyfresh_store::{
    CompletedPart, CopySource, GetOptions, ObjectStore, Precondition, PutOptions, single_chunk,
};
use std::sync::Arc;

/// Bytes unlike those of any other seed.
fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let words =
        (0..).map(|index: u64| (index + seed * 1_000_003).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let bytes = words.flat_map(|word| (word ^ (word >> 29)).to_le_bytes());
    bytes.take(length).collect()
}

async fn put(scene: &Scene, name: &str, body: Vec<u8>) -> ObjectVersion {
    let options = PutOptions {
        size: body.len() as u64,
        attributes: Attributes::default(),
        precondition: Precondition::None,
    };
    let name = key(name);
    let put = scene.source.put(&name, options, single_chunk(body));
    put.await.unwrap().version
}

/// Uploads an object in parts, as large ones are.
async fn upload(scene: &Scene, name: &str, parts: &[Vec<u8>]) -> ObjectVersion {
    let (source, name) = (&scene.source, key(name));
    let upload = source
        .create_upload(&name, &Attributes::default())
        .await
        .unwrap();
    let mut completed = Vec::new();
    for (part, number) in parts.iter().zip(1..) {
        let size = part.len() as u64;
        let sent = source.upload_part(&name, &upload, number, size, single_chunk(part.clone()));
        let receipt = sent.await.unwrap();
        completed.push(CompletedPart {
            number,
            etag: receipt.etag,
            size,
            crc64: receipt.crc64,
        });
    }
    let complete = source.complete_upload(&name, &upload, &completed, &Precondition::None);
    complete.await.unwrap().version
}

async fn read(store: &dyn ObjectStore, name: &str) -> Bytes {
    let mut body = store
        .get(&key(name), GetOptions::default())
        .await
        .unwrap()
        .body;
    let mut all = Vec::new();
    while let Some(chunk) = body.next().await {
        all.extend_from_slice(&chunk.unwrap());
    }
    all.into()
}

async fn told(engine: &Engine, output: &str, operation: ChangelogOperation) {
    let output = key(output);
    let entry = ChangelogEntry { output, operation };
    engine.add_changelog("rule", entry).await.unwrap();
}

fn input(name: &str) -> ChangelogInput {
    ChangelogInput {
        key: key(name),
        version: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_is_not_sent_again() {
    let mut scene = Scene::open().await;
    scene.config.changelog = ChangelogSizes {
        least_bytes: 1_000,
        least_parts_bytes: 2 * PART_BYTES as u64,
    };
    let ledger: Arc<dyn Ledger> = Arc::new(MemoryLedger::new());
    let engine = scene.engine(Arc::clone(&ledger), "one").await;
    scene.webhook.tell(Some(&engine));
    let (a, b) = (bytes(1, PART_BYTES + 1_000), bytes(2, 300_000));
    for (name, body) in [("a", &a), ("b", &b)] {
        let version = put(&scene, name, body.clone()).await;
        arrival(ledger.as_ref(), name, &version).await;
    }
    let is_there = |receipt: &Receipt, strategy: &str, moved: usize| {
        assert!(receipt.strategy.contains(strategy), "{}", receipt.strategy);
        let size = receipt.size;
        assert_eq!(
            (receipt.bytes_moved, receipt.bytes_saved),
            (moved as u64, size - moved as u64)
        );
    };

    // A user copies an object at the source, and tells nothing but what the source's notification tells.
    let from = CopySource {
        bucket: None,
        full_key: "b".into(),
        version: None,
    };
    let copied = scene
        .source
        .copy(&key("found"), &from, None, &Precondition::None)
        .await
        .unwrap();
    let receipt = arrival(ledger.as_ref(), "found", &copied.version).await;
    is_there(&receipt, "server-side copy of b", 0);

    // A user joins two, and says so: the entry is there before the notification is.
    scene.webhook.tell(None);
    let joined = put(&scene, "joined", [a.clone(), b.clone()].concat()).await;
    let inputs = vec![input("a"), input("b")];
    told(&engine, "joined", ChangelogOperation::Concat { inputs }).await;
    let receipt = arrival(ledger.as_ref(), "joined", &joined).await;
    is_there(&receipt, "concat of 2 objects", 0);
    scene.webhook.tell(Some(&engine));

    // Of three parts, one changes.
    let mut parts = [3, 4, 5].map(|seed| bytes(seed, PART_BYTES));
    let version = upload(&scene, "parts", &parts).await;
    arrival(ledger.as_ref(), "parts", &version).await;
    parts[1] = bytes(6, PART_BYTES);
    let version = upload(&scene, "parts", &parts).await;
    let receipt = arrival(ledger.as_ref(), "parts", &version).await;
    is_there(&receipt, "2 of 3 parts unchanged", PART_BYTES);

    for name in ["a", "b", "found", "joined", "parts"] {
        let (source, target) = (scene.source.as_ref(), scene.target.as_ref());
        assert!(
            read(source, name).await == read(target, name).await,
            "{name} differs"
        );
        assert!(scene.uploads(name).await.is_empty());
    }
    engine.shutdown().await;
}
