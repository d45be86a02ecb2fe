//! Sixteen claimants in four processes on one shared ledger.

use skyfresh_ledger::shared::{Documents, Settings, SharedLedger};
use skyfresh_ledger::{
    Backlog, ClaimRequest, Completion, Finished, Ledger, Origin, Outcome, Receipt, Signal,
    Submission, Task, TaskKey,
};
use skyfresh_sky::{Clock, ObjectKey, Rng, SystemClock, Timestamp, Usd};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

const PROCESSES: usize = 4;
const CLAIMANTS: usize = 16;
const TASKS: usize = 160;

const RULE: &str = "storm";
const DESTINATION: &str = "eu";

/// What a storm took.
pub(crate) struct Report {
    /// Tasks finished.
    pub(crate) tasks: usize,
    /// From the first claim to the last receipt.
    pub(crate) elapsed: Duration,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        write!(
            f,
            "{} tasks by {CLAIMANTS} claimants in {PROCESSES} processes: {seconds:.1} s, {:.0} a second",
            self.tasks,
            self.tasks as f64 / seconds
        )
    }
}

/// Every task is claimed by one claimant at a time, finished once, and has one receipt. `open` makes one process's view of the
/// same documents.
pub(crate) async fn sixteen_claimants_share_the_work(
    open: impl Fn() -> Arc<dyn Documents>,
) -> Report {
    let mut processes: Vec<Arc<dyn Ledger>> = Vec::new();
    for _ in 0..PROCESSES {
        let ledger = SharedLedger::open(open(), Settings::default(), Rng::from_entropy()).await;
        processes.push(Arc::new(ledger.expect("a ledger")));
    }
    let submissions = (0..TASKS).map(|n| submission(&format!("k{n}"))).collect();
    processes[0].submit(submissions).await.expect("submitted");

    let start_ns = SystemClock.monotonic_ns();
    let mut claimants = JoinSet::new();
    for claimant in 0..CLAIMANTS {
        let ledger = Arc::clone(&processes[claimant % PROCESSES]);
        claimants.spawn(async move { work(&*ledger, &format!("owner-{claimant}")).await });
    }
    let finished: Vec<(String, u64)> = claimants.join_all().await.into_iter().flatten().collect();
    let elapsed = Duration::from_nanos(SystemClock.monotonic_ns() - start_ns);

    assert_eq!(finished.len(), TASKS, "each task once");
    let keys: BTreeSet<&String> = finished.iter().map(|(key, _)| key).collect();
    assert_eq!(keys.len(), TASKS);
    let tokens: BTreeSet<&u64> = finished.iter().map(|(_, token)| token).collect();
    assert_eq!(tokens.len(), TASKS);
    for ledger in &processes {
        let receipts = ledger.receipts_by_time(RULE, Timestamp::ZERO, 9_999).await;
        assert_eq!(receipts.expect("receipts").len(), TASKS);
        let backlog = ledger.backlog(RULE, DESTINATION).await.expect("a backlog");
        assert_eq!(backlog, Backlog::default());
    }
    Report {
        tasks: finished.len(),
        elapsed,
    }
}

async fn work(ledger: &dyn Ledger, owner: &str) -> Vec<(String, u64)> {
    let mut mine = Vec::new();
    loop {
        let request = ClaimRequest {
            rule: RULE.into(),
            destination: DESTINATION.into(),
            owner: owner.into(),
            // Longer than any storm: what is claimed twice is a fault.
            lease: Duration::from_secs(3_600),
            limit: 4,
            now: SystemClock.now(),
        };
        let claims = ledger.claim(request).await.expect("a claim");
        if claims.is_empty() {
            return mine;
        }
        for claim in claims {
            assert!(!claim.takeover);
            let now = SystemClock.now();
            let finished = ledger
                .finish(
                    &claim.task.task,
                    claim.token,
                    completion(&claim.task, now),
                    now,
                )
                .await;
            assert_eq!(finished.expect("finished"), Finished::Done);
            mine.push((claim.task.task.key.as_str().to_owned(), claim.token));
        }
    }
}

fn submission(name: &str) -> Submission {
    Submission {
        task: TaskKey {
            rule: RULE.into(),
            destination: DESTINATION.into(),
            key: ObjectKey::new(name).expect("a key"),
        },
        signal: Signal {
            origin: Origin::Live,
            changed: Timestamp::from_unix_ms(1),
            notified: Timestamp::from_unix_ms(2),
            size: Some(10),
        },
    }
}

fn completion(task: &Task, published: Timestamp) -> Completion {
    Completion {
        receipt: Receipt {
            task: task.task.clone(),
            outcome: Outcome::Copied,
            origin: task.signal.origin,
            source: None,
            destination: None,
            crc64: None,
            changed: task.changed_since,
            notified: task.pending_since,
            started: published,
            published,
            size: 10,
            bytes_moved: 10,
            requests: 2,
            spend: Usd::from_units(1),
            strategy: "inline".into(),
            failures: task.failures,
            unkept: Vec::new(),
            bytes_saved: 0,
            saved: Usd::ZERO,
        },
        mark: None,
        tombstone: None,
    }
}
