//! How many keys a second the embedded ledger carries from signal to receipt, every step durable.
//!
//! ```text
//! cargo run --release -p skyfresh-ledger --example throughput -- [CYCLES] [TASKS_AT_ONCE] [MARKS] [DIRECTORY]
//! ```
//!
//! A cycle is `submit`, `claim`, `finish`. Each of the tasks at once does one cycle after the other. Prints cycles per
//! second, the delay of a cycle, and CPU time per cycle (of the whole process, from `/proc`, where there is one); then
//! the size on disk per mark, for 0 or more marks.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement: it times and prints"
)]

use skyfresh_ledger::*;
use skyfresh_sky::{ObjectKey, ObjectVersion, Timestamp, Usd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

fn key(n: u64) -> ObjectKey {
    ObjectKey::new(format!("datasets/images/train/{n:012}.jpeg")).expect("a key")
}

fn completion(claim: &Claim) -> Completion {
    let version = ObjectVersion {
        etag: "d41d8cd98f00b204e9800998ecf8427e".into(),
        version_id: Some("3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY".into()),
    };
    Completion {
        receipt: Receipt {
            task: claim.task.task.clone(),
            outcome: Outcome::Copied,
            origin: Origin::Live,
            source: Some(version.clone()),
            destination: Some(version),
            crc64: Some("0123456789abcdef".into()),
            changed: NOW,
            notified: NOW,
            started: NOW,
            published: NOW,
            size: 10_240,
            bytes_moved: 10_240,
            requests: 3,
            spend: Usd::from_units(5_400_000),
            strategy: "inline".into(),
            failures: 0,
            unkept: Vec::new(),
            bytes_saved: 0,
            saved: Usd::ZERO,
        },
        mark: Some(Mark {
            source: claim.token,
            destination: !claim.token,
        }),
        tombstone: None,
    }
}

async fn cycle(ledger: &EmbeddedLedger, n: u64) {
    let task = TaskKey {
        rule: "models".into(),
        destination: "eu-central".into(),
        key: key(n),
    };
    let signal = Signal {
        origin: Origin::Live,
        changed: NOW,
        notified: NOW,
        size: Some(10_240),
    };
    ledger
        .submit(vec![Submission { task, signal }])
        .await
        .expect("submit");
    let request = ClaimRequest {
        rule: "models".into(),
        destination: "eu-central".into(),
        owner: "host-1-0123456789abcdef".into(),
        lease: Duration::from_secs(30),
        limit: 1,
        now: NOW,
    };
    // Another may have claimed this key meanwhile, but then there is one of another's to claim.
    for claim in ledger.claim(request).await.expect("claim") {
        ledger
            .finish(&claim.task.task, claim.token, completion(&claim), NOW)
            .await
            .expect("finish");
    }
}

/// User and system time of this process so far.
fn cpu_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    // Linux reports in units of 1/100 s (USER_HZ, proc(5)).
    Some(Duration::from_millis(ticks * 10))
}

/// Peak memory of this process, as Linux says it.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or("unknown".into(), |peak| peak.trim().to_owned())
}

async fn cycles(path: &Path, cycles: u64, at_once: u64) {
    let ledger = Arc::new(
        EmbeddedLedger::open(path, "host-1-0123456789abcdef")
            .await
            .expect("open"),
    );
    let next = Arc::new(AtomicU64::new(0));
    let (began, cpu_before) = (Instant::now(), cpu_time());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..at_once {
        let (ledger, next) = (Arc::clone(&ledger), Arc::clone(&next));
        tasks.spawn(async move {
            let mut delays = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= cycles {
                    return delays;
                }
                let began = Instant::now();
                cycle(&ledger, n).await;
                delays.push(began.elapsed());
            }
        });
    }
    let mut delays: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    let elapsed = began.elapsed();
    delays.sort_unstable();
    let percentile =
        |percent: usize| delays[(delays.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    let cpu = match (cpu_before, cpu_time()) {
        (Some(before), Some(after)) => {
            format!(
                "{:.0} us CPU per cycle",
                (after - before).as_secs_f64() * 1e6 / cycles as f64
            )
        }
        _ => "CPU time unknown".to_owned(),
    };
    println!(
        "{at_once} at once: {:.0} cycles/s, p50 {:.1} ms, p99 {:.1} ms, {cpu}, peak memory {}",
        cycles as f64 / elapsed.as_secs_f64(),
        percentile(50),
        percentile(99),
        peak_memory(),
    );
    ledger.close().await;
}

async fn marks(path: &Path, count: u64) {
    let ledger = EmbeddedLedger::open(path, "marks").await.expect("open");
    let began = Instant::now();
    for first in (0..count).step_by(10_000) {
        let batch = first..(first + 10_000).min(count);
        let marks = batch
            .map(|n| {
                (
                    key(n),
                    Mark {
                        source: n,
                        destination: !n,
                    },
                )
            })
            .collect();
        ledger
            .put_marks("models", "eu-central", marks)
            .await
            .expect("put_marks");
    }
    let elapsed = began.elapsed();
    ledger.close().await;
    let bytes = std::fs::metadata(path).expect("the file").len();
    println!(
        "{count} marks: {:.0}/s, {:.1} bytes of file each, peak memory {}",
        count as f64 / elapsed.as_secs_f64(),
        bytes as f64 / count as f64,
        peak_memory(),
    );
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    let number = |index: usize, default: u64| {
        arguments
            .get(index)
            .map_or(default, |text| text.parse().expect("a whole number"))
    };
    let directory = match arguments.get(4) {
        Some(parent) => tempfile::tempdir_in(parent),
        None => tempfile::tempdir(),
    }
    .expect("a directory");
    cycles(
        &directory.path().join("cycles"),
        number(1, 20_000),
        number(2, 64),
    )
    .await;
    let count = number(3, 0);
    if count > 0 {
        marks(&directory.path().join("marks"), count).await;
    }
}
