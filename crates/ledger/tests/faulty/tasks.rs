//! Tasks through faults.

use super::{FAULTS, Process, Ticks};
use skyfresh_ledger::shared::{Faults, MemoryDocuments};
use skyfresh_ledger::*;
use skyfresh_sky::{Kind, ObjectKey, ObjectVersion, Rng, Timestamp, Usd};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;

const KEYS: u64 = 6;
const PROCESSES: usize = 4;
const STEPS: usize = 60;
const LEASE: Duration = Duration::from_millis(60);

/// What the world knows, and no process.
#[derive(Default)]
struct Truth {
    /// The source's version of each key.
    written: BTreeMap<TaskKey, u64>,
    /// The newest version that was copied: before the claim is finished, whether or not that comes to pass.
    copied: BTreeMap<TaskKey, u64>,
    /// Claims that their holders work on: token and expiry.
    live: BTreeMap<TaskKey, (u64, Timestamp)>,
    /// All claims of each key, the newest last.
    given: BTreeMap<TaskKey, Vec<u64>>,
    /// Receipts of claims that were finished.
    finished: Vec<Receipt>,
}

struct World {
    seed: u64,
    documents: MemoryDocuments,
    ticks: Ticks,
    truth: Mutex<Truth>,
}

fn key(number: u64) -> TaskKey {
    TaskKey {
        rule: "rule".into(),
        destination: "eu".into(),
        key: ObjectKey::new(format!("k{number}")).unwrap(),
    }
}

/// Runs one seed. How many claims were finished.
pub(crate) async fn run_tasks(seed: u64) -> u64 {
    let rng = Rng::seeded(seed);
    let world = Arc::new(World {
        seed,
        documents: MemoryDocuments::new(),
        ticks: Ticks::default(),
        truth: Mutex::default(),
    });
    let mut processes = JoinSet::new();
    for number in 0..PROCESSES {
        processes.spawn(live(Arc::clone(&world), number, rng.fork()));
    }
    processes.join_all().await;
    settle(&world, &rng).await
}

/// One process after another in the same place: each works until it dies.
async fn live(world: Arc<World>, number: usize, rng: Rng) {
    let mut process = Process::start(&world.documents, FAULTS, &rng).await;
    let (mut incarnation, mut claims) = (0, Vec::new());
    for _ in 0..STEPS {
        if process.documents.has_crashed() {
            process = Process::start(&world.documents, FAULTS, &rng).await;
            incarnation += 1;
            claims.clear();
        }
        match rng.below(10) {
            0..3 => world.write(&process, &rng).await,
            3..6 => {
                let owner = format!("p{number}.{incarnation}");
                claims.extend(world.claim(&process, &owner, &rng).await);
            }
            6 => world.ticks.pass(rng.below(40)),
            _ if !claims.is_empty() => {
                let claim = claims.swap_remove(rng.below(claims.len() as u64) as usize);
                claims.extend(world.work(&process, claim, &rng).await);
            }
            _ => {}
        }
    }
}

/// A claim with the source version its holder has read.
type Held = (Claim, u64);

impl World {
    fn truth(&self) -> std::sync::MutexGuard<'_, Truth> {
        self.truth.lock().unwrap()
    }

    /// Changes an object and tells of it, like a sender of notifications: again and again until it is taken.
    async fn write(&self, process: &Process, rng: &Rng) {
        let task = key(rng.below(KEYS));
        let now = self.ticks.now();
        let signal = Signal {
            origin: Origin::Live,
            changed: now,
            notified: now,
            size: Some(1),
        };
        *self.truth().written.entry(task.clone()).or_default() += 1;
        let submission = Submission { task, signal };
        while process
            .ledger
            .submit(vec![submission.clone()])
            .await
            .is_err()
        {
            if process.documents.has_crashed() {
                // The sender turns to another, in the end.
                let other = Process::start(&self.documents, Faults::default(), rng).await;
                other.ledger.submit(vec![submission]).await.unwrap();
                return;
            }
        }
    }

    async fn claim(&self, process: &Process, owner: &str, rng: &Rng) -> Vec<Held> {
        let now = self.ticks.now();
        let request = ClaimRequest {
            rule: "rule".into(),
            destination: "eu".into(),
            owner: owner.into(),
            lease: LEASE,
            limit: 1 + rng.below(3) as usize,
            now,
        };
        let Ok(claims) = process.ledger.claim(request).await else {
            return Vec::new();
        };
        let mut truth = self.truth();
        let mut held = Vec::new();
        for claim in claims {
            let (task, expires) = (claim.task.task.clone(), now.after(LEASE));
            let now = self.ticks.now();
            let given = truth.given.entry(task.clone()).or_default();
            assert!(!given.contains(&claim.token), "seed {}: {task}", self.seed);
            if expires <= now {
                // The answer came late: others may have had the task meanwhile. It is left to its lease.
                given.insert(0, claim.token);
                continue;
            }
            given.push(claim.token);
            if let Some((token, other)) = truth.live.get(&task) {
                let overlap = *other > now;
                assert!(
                    !overlap,
                    "seed {}: {task} is claimed by {token} and {}",
                    self.seed, claim.token
                );
            }
            truth.live.insert(task.clone(), (claim.token, expires));
            let seen = truth.written[&task];
            held.push((claim, seen));
        }
        held
    }

    /// Does something with a claim; gives it back if it is still held.
    async fn work(&self, process: &Process, (claim, seen): Held, rng: &Rng) -> Option<Held> {
        let (task, token) = (claim.task.task.clone(), claim.token);
        let now = self.ticks.now();
        // Whoever has a newer claim got it before this call began: this one must be refused.
        let is_stale = self.truth().given[&task].last() != Some(&token);
        let ledger = &process.ledger;
        let action = rng.below(6);
        if action > 1 {
            // From here on, it may end at any moment.
            let mut truth = self.truth();
            if truth
                .live
                .get(&task)
                .is_some_and(|(live, _)| *live == token)
            {
                truth.live.remove(&task);
            }
        }
        let done = match action {
            0 => ledger.renew(&task, token, now.after(LEASE)).await,
            1 => ledger.record_attempt(&task, token, None).await,
            2 => ledger.release(&task, token, now).await,
            3 => {
                let failure = Failure {
                    kind: Kind::RetryAfter,
                    message: "no".into(),
                    at: now,
                };
                ledger.fail(&task, token, failure, now.after(LEASE)).await
            }
            _ => self.finish(process, &claim, seen, now).await,
        };
        if is_stale {
            assert!(
                done.is_err(),
                "seed {}: stale {token} of {task}, action {action}",
                self.seed
            );
        }
        match done {
            Ok(()) if action == 0 => {
                let mut truth = self.truth();
                if let Some((live, expires)) = truth.live.get_mut(&task)
                    && *live == token
                {
                    *expires = now.after(LEASE);
                }
                drop(truth);
                Some((claim, seen))
            }
            Ok(()) if action == 1 => Some((claim, seen)),
            Ok(()) => None,
            Err(error) => (error.kind == Kind::RetryAfter).then_some((claim, seen)),
        }
    }

    async fn finish(
        &self,
        process: &Process,
        claim: &Claim,
        seen: u64,
        now: Timestamp,
    ) -> Result<()> {
        let (task, token) = (&claim.task.task, claim.token);
        let receipt = receipt(task, token, now);
        let completion = Completion {
            receipt: receipt.clone(),
            mark: Some(Mark {
                source: seen,
                destination: seen,
            }),
            tombstone: None,
        };
        {
            let mut truth = self.truth();
            let copied = truth.copied.entry(task.clone()).or_default();
            *copied = seen.max(*copied);
        }
        process.ledger.finish(task, token, completion, now).await?;
        self.truth().finished.push(receipt);
        Ok(())
    }
}

/// The faults stop: what is pending is done, and the truth compared.
async fn settle(world: &World, rng: &Rng) -> u64 {
    let process = Process::start(&world.documents, Faults::default(), rng).await;
    loop {
        world.ticks.pass(1_000);
        let claims = world.claim(&process, "last", rng).await;
        if claims.is_empty() {
            break;
        }
        for (claim, seen) in claims {
            let now = world.ticks.now();
            world.finish(&process, &claim, seen, now).await.unwrap();
            world.truth().live.remove(&claim.task.task);
        }
    }
    let seed = world.seed;
    let (written, copied, finished) = {
        let truth = world.truth();
        (
            truth.written.clone(),
            truth.copied.clone(),
            truth.finished.clone(),
        )
    };
    assert_eq!(copied, written, "seed {seed}: a task was lost");
    let ledger = &process.ledger;
    let backlog = ledger.backlog("rule", "eu").await.unwrap();
    assert_eq!(backlog, Backlog::default(), "seed {seed}");
    let all = ledger
        .receipts_by_time("rule", Timestamp::ZERO, usize::MAX)
        .await
        .unwrap();
    assert!(all.is_sorted_by_key(|receipt| receipt.published));
    for receipt in &finished {
        let by_key = ledger
            .receipts_by_key(&receipt.task, usize::MAX)
            .await
            .unwrap();
        for receipts in [&all, &by_key] {
            let own = receipts.iter().filter(|other| *other == receipt);
            assert_eq!(own.count(), 1, "seed {seed}: {receipt:?}");
        }
    }
    let tasks = written.keys();
    let keys: Vec<_> = tasks.map(|task| task.key.clone()).collect();
    let marks = ledger.marks("rule", "eu", &keys).await.unwrap();
    assert!(marks.iter().all(Option::is_some), "seed {seed}");
    // All of it can be forgotten.
    while ledger
        .prune(Timestamp::from_unix_ms(u64::MAX >> 1))
        .await
        .unwrap()
        > 0
    {}
    assert_eq!(world.documents.count("receipt/"), 0, "seed {seed}");
    assert_eq!(world.documents.count("journal/"), 0, "seed {seed}");
    assert_eq!(world.documents.count("task/"), 0, "seed {seed}");
    finished.len() as u64
}

fn receipt(task: &TaskKey, token: u64, now: Timestamp) -> Receipt {
    Receipt {
        task: task.clone(),
        outcome: Outcome::Copied,
        origin: Origin::Live,
        source: Some(ObjectVersion {
            etag: token.to_string(),
            version_id: None,
        }),
        destination: None,
        crc64: None,
        changed: now,
        notified: now,
        started: now,
        published: now,
        size: 1,
        bytes_moved: 1,
        requests: 1,
        spend: Usd::ZERO,
        strategy: "inline".into(),
        failures: 0,
        unkept: Vec::new(),
        bytes_saved: 0,
        saved: Usd::ZERO,
    }
}
