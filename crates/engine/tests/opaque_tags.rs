//! Parts that were sent twice, at a destination whose entity tags differ for the same bytes.

mod harness;

use bytes::Bytes;
use futures::FutureExt;
use harness::{World, key};
use skyfresh_ledger::{Ledger, Outcome, Receipt, TaskKey};
use skyfresh_store::memory::{BucketStyle, Fault, OperationKind};
use skyfresh_store::{ObjectStore, single_chunk};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const SIZE: usize = 5_000;
const PART: usize = 1_000;

fn whole() -> Vec<u8> {
    (0..SIZE).map(|index| (index % 241) as u8).collect()
}

/// What happened to an object of five parts, of which `late` were sent once more, just before each of the first completions.
struct Ran {
    receipt: Receipt,
    /// Uploads that were begun.
    uploads: u32,
    completions: u32,
}

/// `states_checksums`: whether the destination states checksums; `late`: which part is replaced before each completion, and with
/// which bytes.
async fn ran(seed: u64, states_checksums: bool, late: Vec<(u32, Vec<u8>)>) -> Ran {
    let mut world = World::new(seed, 1);
    let style = BucketStyle {
        content_etags: false,
        states_checksums,
    };
    world.sky.set_style("d1", style);
    let engine = world.engine(vec![World::rule(1)]).await;
    world.quiet(&engine).await;
    let counts = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
    let (counted, sky) = (Arc::clone(&counts), world.sky.clone());
    world.sky.set_fault(Box::new(move |operation| {
        if operation.kind == OperationKind::CreateUpload {
            counted[0].fetch_add(1, Ordering::Relaxed);
        }
        if operation.kind != OperationKind::CompleteUpload {
            return None;
        }
        let number = counted[1].fetch_add(1, Ordering::Relaxed);
        let (part, bytes) = late.get(number as usize)?;
        // The slower of two workers: its part takes effect while completion is on its way.
        let target = sky.store(harness::location("mem://d1/"));
        let (size, body) = (bytes.len() as u64, single_chunk(Bytes::from(bytes.clone())));
        let (name, upload) = (key("a"), operation.upload?.to_owned());
        let sent = target.upload_part(&name, &upload, *part, size, body);
        sent.now_or_never()
            .expect("nothing to wait for")
            .expect("is taken");
        Some(Fault::Delay(Duration::from_millis(1)))
    }));
    world.put("a", whole()).await;
    world.notify(&engine, "a").await;
    world.quiet(&engine).await;
    world.sky.clear_fault();
    let report = world.verify("mem://d1/").await;
    assert!(report.all_equal() && report.equal == 1, "{report:?}");
    assert_eq!(world.uploads("mem://d1/").await, 0);
    let task = TaskKey {
        rule: "rule".into(),
        destination: "d1".into(),
        key: key("a"),
    };
    let receipts = world.ledger.receipts_by_key(&task, 9).await.unwrap();
    let copied = |receipt: &Receipt| receipt.outcome == Outcome::Copied;
    Ran {
        receipt: receipts.into_iter().find(copied).expect("was copied"),
        uploads: counts[0].load(Ordering::Relaxed),
        completions: counts[1].load(Ordering::Relaxed),
    }
}

fn part(number: u32) -> (u32, Vec<u8>) {
    let start = (number as usize - 1) * PART;
    (number, whole()[start..start + PART].to_vec())
}

#[tokio::test(start_paused = true)]
async fn a_part_that_was_replaced_by_its_duplicate_is_published_as_it_is_now() {
    let ran = ran(1, true, vec![part(2)]).await;
    assert_eq!((ran.uploads, ran.completions), (1, 2));
    assert_eq!(
        ran.receipt.bytes_moved, SIZE as u64,
        "nothing was sent again"
    );
    assert_eq!(ran.receipt.failures, 0);
}

/// A duplicate may come while the upload is looked at, too.
#[tokio::test(start_paused = true)]
async fn duplicates_that_come_one_after_the_other_are_waited_out() {
    let ran = ran(2, true, vec![part(2), part(5), part(2)]).await;
    assert_eq!((ran.uploads, ran.completions), (1, 4));
    assert_eq!(ran.receipt.bytes_moved, SIZE as u64);
}

#[tokio::test(start_paused = true)]
async fn other_bytes_under_the_same_number_are_never_published() {
    for (seed, states_checksums, late) in [
        (3, true, (2, vec![7; PART])),
        // Of these it cannot be told whether they are the same.
        (4, false, part(2)),
    ] {
        let ran = ran(seed, states_checksums, vec![late]).await;
        assert_eq!(ran.uploads, 2, "begun again");
        assert_eq!(ran.receipt.failures, 1, "by another attempt");
    }
}
