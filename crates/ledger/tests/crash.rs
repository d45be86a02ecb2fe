//! Kills a process that writes a ledger, at random instants, and looks at what it left.
//!
//! The child (this executable again) prints a line for every change that was answered. The parent kills it, opens the
//! file and checks that every printed change is there, that counters and indexes agree with a recount, that no old lease
//! blocks, and that tokens have not gone back. `SKYFRESH_CRASH_ROUNDS` and `SKYFRESH_CRASH_SEED` ask for more rounds, or for
//! the seed of a failure.

#![expect(
    clippy::disallowed_methods,
    reason = "real processes take real time, and are told by the environment"
)]

use skyfresh_ledger::*;
use skyfresh_sky::{Kind, ObjectKey, ObjectVersion, Rng, Timestamp, Usd};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const RULE: &str = "rule";
const DESTINATION: &str = "eu";
/// Nothing here depends on the time: leases never run out by themselves.
const NOW: Timestamp = Timestamp::from_unix_ms(1_000);
const WORKERS: u64 = 8;
const PARTS: u32 = 10_000;

fn key(name: &str) -> TaskKey {
    TaskKey {
        rule: RULE.into(),
        destination: DESTINATION.into(),
        key: ObjectKey::new(name).unwrap(),
    }
}

fn submission(name: &str) -> Submission {
    let signal = Signal {
        origin: Origin::Live,
        changed: NOW,
        notified: NOW,
        size: Some(name.len() as u64),
    };
    Submission {
        task: key(name),
        signal,
    }
}

fn request(owner: &str, limit: usize) -> ClaimRequest {
    let (rule, destination, owner) = (RULE.into(), DESTINATION.into(), owner.into());
    ClaimRequest {
        rule,
        destination,
        owner,
        lease: Duration::from_secs(3_600),
        limit,
        now: NOW,
    }
}

fn completion(claim: &Claim) -> Completion {
    Completion {
        receipt: Receipt {
            task: claim.task.task.clone(),
            outcome: Outcome::Copied,
            origin: Origin::Live,
            source: Some(ObjectVersion {
                etag: "etag".into(),
                version_id: None,
            }),
            destination: None,
            crc64: None,
            changed: NOW,
            notified: NOW,
            started: NOW,
            published: NOW,
            size: 1,
            bytes_moved: 1,
            requests: 1,
            spend: Usd::ZERO,
            strategy: claim.token.to_string(),
            failures: 0,
            unkept: Vec::new(),
            bytes_saved: 0,
            saved: Usd::ZERO,
        },
        mark: Some(Mark {
            source: claim.token,
            destination: 0,
        }),
        tombstone: None,
    }
}

// --- the child -------------------------------------------------------------------------------------------------------

/// Tells the parent, in one write, that a change was answered.
fn acknowledge(line: String) {
    std::io::stdout()
        .lock()
        .write_all(format!("ack {line}\n").as_bytes())
        .unwrap();
}

#[test]
#[ignore = "the child process of `nothing_acknowledged_is_lost`"]
fn child() {
    let Ok(path) = std::env::var("SKYFRESH_CRASH_LEDGER") else {
        return;
    };
    let seed: u64 = std::env::var("SKYFRESH_CRASH_SEED")
        .unwrap()
        .parse()
        .unwrap();
    // The test runner has begun a line of its own.
    std::io::stdout().lock().write_all(b"\n").unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(async {
        let owner = format!("child-{seed}");
        let ledger = Arc::new(EmbeddedLedger::open(&path, &owner).await.unwrap());
        ledger.open_pool("pool", PARTS).await.unwrap();
        let mut workers = tokio::task::JoinSet::new();
        for worker in 0..WORKERS {
            let rng = Rng::seeded(seed * WORKERS + worker);
            workers.spawn(work(
                Arc::clone(&ledger),
                owner.clone(),
                format!("{seed}-{worker}"),
                rng,
            ));
        }
        workers.join_all().await;
    });
}

/// Signals, claims, and ends claims in all ways, until killed.
async fn work(ledger: Arc<EmbeddedLedger>, owner: String, worker: String, rng: Rng) {
    for round in 0.. {
        let names: Vec<_> = (0..1 + rng.below(3))
            .map(|n| format!("{worker}-{round}-{n}"))
            .collect();
        ledger
            .submit(names.iter().map(|name| submission(name)).collect())
            .await
            .unwrap();
        for name in names {
            acknowledge(format!("submit {name}"));
        }
        for claim in ledger
            .claim(request(&owner, 1 + rng.below(3) as usize))
            .await
            .unwrap()
        {
            let (task, token) = (claim.task.task.clone(), claim.token);
            let name = task.key.as_str();
            acknowledge(format!("claim {name} {token}"));
            if rng.chance(0.2) {
                ledger.submit(vec![submission(name)]).await.unwrap();
                acknowledge(format!("dirty {name} {token}"));
            }
            match rng.below(10) {
                0 => {} // Left claimed.
                1 | 2 => {
                    let failure = Failure {
                        kind: Kind::RetryAfter,
                        message: "no".into(),
                        at: NOW,
                    };
                    ledger.fail(&task, token, failure, NOW).await.unwrap();
                    acknowledge(format!("fail {name} {token}"));
                }
                _ => {
                    ledger
                        .finish(&task, token, completion(&claim), NOW)
                        .await
                        .unwrap();
                    acknowledge(format!("finish {name} {token}"));
                }
            }
        }
        let minute = Duration::from_secs(60);
        for part in ledger
            .claim_parts("pool", &worker, 2, minute, minute, NOW)
            .await
            .unwrap()
        {
            let part = PartDone {
                number: part.number,
                etag: worker.clone(),
                size: 1,
                crc64: None,
                crc32c: None,
            };
            let number = part.number;
            ledger.finish_part("pool", part).await.unwrap();
            acknowledge(format!("part {number} {worker}"));
        }
        ledger
            .set_cursor(&worker, Some(round.into()))
            .await
            .unwrap();
        acknowledge(format!("cursor {worker} {round}"));
    }
}

// --- the parent ------------------------------------------------------------------------------------------------------

/// What the children said was done, over all rounds.
#[derive(Default)]
struct Acknowledged {
    submitted: BTreeSet<String>,
    /// By key, the tokens of ended claims.
    finished: BTreeSet<(String, u64)>,
    failed: BTreeMap<String, Vec<u64>>,
    /// By key, the newest token under which a further change was signalled.
    dirtied: BTreeMap<String, u64>,
    parts: BTreeMap<u32, String>,
    cursors: BTreeMap<String, u64>,
    newest_token: u64,
    changes: u64,
}

impl Acknowledged {
    fn read(&mut self, output: &str) {
        // A line cut off by the kill was not said.
        let whole = output.rsplit_once('\n').map_or("", |(whole, _)| whole);
        for line in whole.lines().filter_map(|line| line.strip_prefix("ack ")) {
            self.changes += 1;
            let words: Vec<_> = line.split(' ').collect();
            let number = |index: usize| words[index].parse::<u64>().unwrap();
            let name = words[1].to_owned();
            match words[0] {
                "submit" => drop(self.submitted.insert(name)),
                "claim" => self.newest_token = self.newest_token.max(number(2)),
                "dirty" => drop(self.dirtied.insert(name, number(2))),
                "fail" => self.failed.entry(name).or_default().push(number(2)),
                "finish" => drop(self.finished.insert((name, number(2)))),
                "part" => drop(self.parts.insert(number(1) as u32, words[2].to_owned())),
                "cursor" => drop(self.cursors.insert(name, number(2))),
                other => panic!("the child said {other:?}"),
            }
        }
    }

    async fn check(&self, ledger: &Arc<EmbeddedLedger>) {
        let counted = ledger.recount(RULE, DESTINATION).await.unwrap();
        let receipts = ledger
            .receipts_by_time(RULE, Timestamp::ZERO, usize::MAX)
            .await
            .unwrap();
        let mut finished: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for receipt in &receipts {
            let token = receipt.strategy.parse().unwrap();
            finished
                .entry(receipt.task.key.as_str())
                .or_default()
                .push(token);
        }
        let newest_finish = |name: &str| {
            finished
                .get(name)
                .and_then(|tokens| tokens.last().copied())
                .unwrap_or(0)
        };
        let mut pending = BTreeMap::new();
        // A key can be claimed before its submitter has come to say that it was submitted.
        let named = self
            .submitted
            .iter()
            .chain(self.dirtied.keys())
            .chain(self.failed.keys());
        for name in named {
            if let Some(task) = ledger.task(&key(name)).await.unwrap() {
                pending.insert(name.as_str(), task);
            } else {
                assert!(
                    finished.contains_key(name.as_str()),
                    "{name} is neither pending nor finished"
                );
            }
        }
        for (name, token) in &self.finished {
            let tokens = finished
                .get(name.as_str())
                .unwrap_or_else(|| panic!("no receipt of {name}"));
            assert_eq!(
                tokens.iter().filter(|other| *other == token).count(),
                1,
                "{name} {token}"
            );
            let marks = ledger
                .marks(RULE, DESTINATION, &[key(name).key])
                .await
                .unwrap();
            assert!(
                marks[0].is_some_and(|mark| mark.source >= *token),
                "{name} {token}"
            );
        }
        for (name, token) in &self.dirtied {
            let done = newest_finish(name) > *token;
            assert!(
                done || pending.contains_key(name.as_str()),
                "the change of {name} under {token} is lost"
            );
        }
        for (name, tokens) in &self.failed {
            let since_success = tokens
                .iter()
                .filter(|token| **token > newest_finish(name))
                .count() as u32;
            if let Some(task) = pending.get(name.as_str()) {
                assert!(
                    task.failures >= since_success,
                    "{name}: {} failures",
                    task.failures
                );
            }
        }
        let (total, parts) = ledger
            .parts("pool")
            .await
            .unwrap()
            .unwrap_or((PARTS, Vec::new()));
        assert_eq!(total, PARTS);
        let parts: BTreeMap<_, _> = parts
            .into_iter()
            .map(|part| (part.number, part.etag))
            .collect();
        for (number, worker) in &self.parts {
            assert_eq!(parts.get(number), Some(worker), "part {number}");
        }
        for (name, round) in &self.cursors {
            let value = ledger
                .cursor(name)
                .await
                .unwrap()
                .and_then(|value| value.as_u64());
            assert!(
                value >= Some(*round),
                "cursor {name}: {value:?}, acknowledged {round}"
            );
        }

        // Everything pending can be claimed at once, with newer tokens; then it is given back.
        let claims = ledger.claim(request("parent", usize::MAX)).await.unwrap();
        assert_eq!(claims.len() as u64, counted.objects, "an old lease blocks");
        for claim in &claims {
            assert!(claim.token > self.newest_token, "tokens went back");
        }
        let mut releases = tokio::task::JoinSet::new();
        for claim in claims {
            let ledger = Arc::clone(ledger);
            releases.spawn(async move {
                ledger
                    .release(&claim.task.task, claim.token, NOW)
                    .await
                    .unwrap()
            });
        }
        releases.join_all().await;
    }
}

fn start(ledger: &Path, output: &Path, seed: u64) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "child",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env("SKYFRESH_CRASH_LEDGER", ledger)
        .env("SKYFRESH_CRASH_SEED", seed.to_string())
        .stdout(File::create(output).unwrap())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

fn run_and_kill(ledger: &Path, output: &Path, seed: u64, after: Duration) -> bool {
    let mut child = start(ledger, output, seed);
    std::thread::sleep(after);
    let running = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    running
}

#[tokio::test]
async fn nothing_acknowledged_is_lost() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().expect(name))
    };
    let rounds = number("SKYFRESH_CRASH_ROUNDS").unwrap_or(20);
    let first = number("SKYFRESH_CRASH_SEED").unwrap_or(1);
    let directory = tempfile::tempdir().unwrap();
    let (path, output) = (
        directory.path().join("ledger"),
        directory.path().join("output"),
    );
    let mut acknowledged = Acknowledged::default();
    for seed in first..first + rounds {
        // From before the file exists to amid the work.
        let after = Duration::from_millis(Rng::seeded(seed).below(250));
        assert!(
            run_and_kill(&path, &output, seed, after),
            "the child of seed {seed} died by itself"
        );
        acknowledged.read(&std::fs::read_to_string(&output).unwrap());
        let parent = format!("parent-{seed}");
        let ledger = Arc::new(EmbeddedLedger::open(&path, &parent).await.unwrap());
        acknowledged.check(&ledger).await;
        ledger.close().await;
    }
    assert!(
        acknowledged.changes > rounds * 10,
        "only {} changes: killed too early",
        acknowledged.changes
    );
}

#[tokio::test]
async fn a_ledger_open_in_another_process_is_refused_and_that_process_named() {
    let directory = tempfile::tempdir().unwrap();
    let (path, output) = (
        directory.path().join("ledger"),
        directory.path().join("output"),
    );
    let mut child = start(&path, &output, 1);
    while !std::fs::read_to_string(&output).unwrap().contains("ack ") {
        assert!(
            child.try_wait().unwrap().is_none(),
            "the child died by itself"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    let error = EmbeddedLedger::open(&path, "parent").await.unwrap_err();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(error.kind, Kind::Denied);
    let expected = format!(
        "locked by another process (pid {}); stop it, or give another path",
        child.id()
    );
    assert!(error.to_string().contains(&expected), "{error}");
    EmbeddedLedger::open(&path, "parent").await.unwrap();
}
