use super::{Dispatch, DispatchLedger, Dispatcher};
use skyfresh_ledger::{
    Attempt, ClaimRequest, Ledger, MemoryLedger, Origin, PartDone, Signal, Submission, TaskKey,
};
use skyfresh_sky::{Kind, ObjectKey, ObjectVersion, Timestamp};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

const ATTEMPT: &str = "attempt";
const LEASE: Duration = Duration::from_secs(60);
const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

/// A pool of so many parts, planned for so many workers.
async fn pool(way: Dispatch, total: u32, workers: u32) -> Arc<dyn Ledger> {
    let ledger = DispatchLedger::before(
        Arc::new(MemoryLedger::new()),
        &Arc::new(Dispatcher::new(way)),
    );
    let task = TaskKey {
        rule: "rule".into(),
        destination: "d1".into(),
        key: ObjectKey::new("key").unwrap(),
    };
    let submission = Submission {
        task: task.clone(),
        signal: Signal {
            origin: Origin::Live,
            changed: NOW,
            notified: NOW,
            size: None,
        },
    };
    ledger.submit(vec![submission]).await.unwrap();
    let request = ClaimRequest {
        rule: "rule".into(),
        destination: "d1".into(),
        owner: "owner".into(),
        now: NOW,
        lease: LEASE,
        limit: 1,
    };
    let claims = ledger.claim(request).await.unwrap();
    let attempt = Attempt {
        id: ATTEMPT.into(),
        source: ObjectVersion::from_etag("etag"),
        upload: None,
        plan: serde_json::json!({"strategy": {"multipart": {"workers": workers}}}),
    };
    let token = claims[0].token;
    ledger
        .record_attempt(&task, token, Some(attempt))
        .await
        .unwrap();
    ledger.open_pool(ATTEMPT, total).await.unwrap();
    ledger
}

/// What a worker is given; `None`: it ends.
async fn ask(ledger: &dyn Ledger, worker: &str, limit: usize, now: Timestamp) -> Option<Vec<u32>> {
    let claims = ledger
        .claim_parts(ATTEMPT, worker, limit, LEASE, Duration::ZERO, now)
        .await;
    match claims {
        Ok(claims) => Some(claims.iter().map(|claim| claim.number).collect()),
        Err(error) => {
            assert_eq!(error.kind, Kind::Missing);
            None
        }
    }
}

async fn finish(ledger: &dyn Ledger, number: u32) -> bool {
    let part = PartDone {
        number,
        etag: "etag".into(),
        size: 1,
        crc64: None,
        crc32c: None,
    };
    let state = ledger.finish_part(ATTEMPT, part).await.unwrap();
    state.completed_now
}

#[tokio::test]
async fn each_way_does_each_part_once_and_completes_once() {
    for way in [Dispatch::Pull, Dispatch::Equal, Dispatch::Counter] {
        let ledger = pool(way, 23, 4).await;
        let (mut given, mut completed) = (Vec::new(), 0);
        for _ in 0..23 {
            for worker in ["run-1", "run-2", "run-3", "run-4"] {
                for number in ask(&*ledger, worker, 2, NOW).await.unwrap_or_default() {
                    given.push(number);
                    completed += u32::from(finish(&*ledger, number).await);
                }
            }
        }
        let each: BTreeSet<u32> = given.iter().copied().collect();
        assert_eq!((given.len(), each.len(), completed), (23, 23, 1), "{way:?}");
    }
}

#[tokio::test]
async fn shares_are_equal_and_nobody_takes_anothers() {
    let ledger = pool(Dispatch::Equal, 10, 4).await;
    let mut sizes = Vec::new();
    for worker in ["run-1", "run-2", "run-3", "run-4"] {
        let share = ask(&*ledger, worker, 99, NOW).await.unwrap();
        assert!(share.windows(2).all(|pair| pair[1] == pair[0] + 1));
        sizes.push(share.len());
        // Nothing more for it, but it is not sent away from what it has.
        assert_eq!(ask(&*ledger, worker, 1, NOW).await, Some(vec![]));
    }
    assert_eq!(sizes, [2, 3, 2, 3]);
    // The first ends with its own parts, though others are not done.
    for number in 1..=2 {
        finish(&*ledger, number).await;
    }
    assert_eq!(ask(&*ledger, "run-1", 1, NOW).await, None);
    // Tried again, what is left is shared anew: 8 parts among 4.
    let again = ask(&*ledger, "again-1", 99, NOW).await.unwrap();
    assert_eq!(again, [3, 4]);
}

#[tokio::test]
async fn a_counter_hands_out_once_until_the_lease_ends() {
    let ledger = pool(Dispatch::Counter, 2, 2).await;
    assert_eq!(ask(&*ledger, "run-1", 1, NOW).await, Some(vec![1]));
    assert_eq!(ask(&*ledger, "run-2", 1, NOW).await, Some(vec![2]));
    // What a worker gives back is its own to try again, and no other's.
    ledger.release_part(ATTEMPT, "run-1", 1).await.unwrap();
    finish(&*ledger, 2).await;
    assert_eq!(ask(&*ledger, "run-2", 1, NOW).await, None);
    assert_eq!(ask(&*ledger, "run-1", 1, NOW).await, Some(vec![1]));
    // It dies with it: whoever tries the object again gets it when the lease is over.
    assert_eq!(ask(&*ledger, "again-1", 1, NOW).await, None);
    let later = NOW.after(LEASE);
    assert_eq!(ask(&*ledger, "again-1", 1, later).await, Some(vec![1]));
    assert!(finish(&*ledger, 1).await);
}

#[tokio::test]
async fn only_the_engines_own_way_duplicates() {
    let mut duplicated = Vec::new();
    for way in [Dispatch::PullAndDuplicate, Dispatch::Pull] {
        let ledger = pool(way, 1, 2).await;
        assert_eq!(ask(&*ledger, "run-1", 1, NOW).await, Some(vec![1]));
        let late = NOW.after(Duration::from_secs(30));
        duplicated.push(ask(&*ledger, "run-2", 1, late).await);
    }
    assert_eq!(duplicated, [Some(vec![1]), Some(vec![])]);
}
