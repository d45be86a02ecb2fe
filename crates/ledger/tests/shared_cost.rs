//! What a replicated object costs in a shared ledger, in the units that services charge by.

use skyfresh_ledger::shared::{MemoryDocuments, Settings, SharedLedger, Usage};
use skyfresh_ledger::*;
use skyfresh_sky::{ObjectKey, ObjectVersion, Rng, Timestamp, Usd};
use std::sync::Arc;
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(60);

fn at(ms: u64) -> Timestamp {
    Timestamp::from_unix_ms(1_700_000_000_000 + ms)
}

async fn make() -> (SharedLedger, Arc<MemoryDocuments>) {
    let documents = Arc::new(MemoryDocuments::new());
    let open = SharedLedger::open(documents.clone(), Settings::default(), Rng::seeded(1));
    (open.await.unwrap(), documents)
}

fn key(number: usize) -> TaskKey {
    TaskKey {
        rule: "photos-to-europe".into(),
        destination: "s3://photos-eu-west-1".into(),
        key: ObjectKey::new(format!("albums/2026/11/21/holiday-{number:08}.jpg")).unwrap(),
    }
}

fn submission(number: usize, now: u64) -> Submission {
    let signal = Signal {
        origin: Origin::Live,
        changed: at(now),
        notified: at(now),
        size: Some(250_000),
    };
    Submission {
        task: key(number),
        signal,
    }
}

fn request(limit: usize, now: u64) -> ClaimRequest {
    ClaimRequest {
        rule: "photos-to-europe".into(),
        destination: "s3://photos-eu-west-1".into(),
        owner: "host-1/9f0c2b7e5d41a386".into(),
        lease: LEASE,
        limit,
        now: at(now),
    }
}

fn completion(task: &Task, now: u64, mark: bool) -> Completion {
    let version = |tag: &str| ObjectVersion {
        etag: format!("\"{tag}e2f3a4b5c6d7e8f9a0b1c2d3e4f5a6\""),
        version_id: Some("3sL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY+MTRCxf3vjVBH40Nr8X8gdRQBpUMLUo".into()),
    };
    Completion {
        receipt: Receipt {
            task: task.task.clone(),
            outcome: Outcome::Copied,
            origin: Origin::Live,
            source: Some(version("a1")),
            destination: Some(version("b2")),
            crc64: Some("0123456789abcdef".into()),
            changed: task.changed_since,
            notified: task.pending_since,
            started: at(now),
            published: at(now),
            size: 250_000,
            bytes_moved: 250_000,
            requests: 3,
            spend: Usd::from_units(50),
            strategy: "inline".into(),
            failures: 0,
            unkept: Vec::new(),
            bytes_saved: 0,
            saved: Usd::ZERO,
        },
        mark: mark.then_some(Mark {
            source: 1,
            destination: 2,
        }),
        tombstone: None,
    }
}

fn since(now: Usage, before: Usage) -> Usage {
    Usage {
        writes: now.writes - before.writes,
        refused: now.refused - before.refused,
        write_units: now.write_units - before.write_units,
        reads: now.reads - before.reads,
        read_units: now.read_units - before.read_units,
    }
}

#[expect(
    clippy::print_stdout,
    reason = "the figures are what the test is read for"
)]
fn tell(what: &str, used: Usage, objects: u64) -> f64 {
    let each = |units: u64| units as f64 / objects as f64;
    println!(
        "{what}: {:.2} write units, {:.2} read units each ({} writes refused)",
        each(used.write_units),
        each(used.read_units),
        used.refused
    );
    each(used.write_units)
}

/// Objects one after the other: nothing shares a write.
async fn one_by_one(objects: u64, mark: bool) -> Usage {
    let (ledger, documents) = make().await;
    let before = documents.usage();
    for number in 0..objects {
        let now = number * 100;
        ledger
            .submit(vec![submission(number as usize, now)])
            .await
            .unwrap();
        let claims = ledger.claim(request(64, now)).await.unwrap();
        assert_eq!(claims.len(), 1);
        let done = completion(&claims[0].task, now, mark);
        let (task, token) = (&claims[0].task.task, claims[0].token);
        ledger.finish(task, token, done, at(now)).await.unwrap();
    }
    since(documents.usage(), before)
}

#[tokio::test]
async fn a_small_object_costs_at_most_six_write_units() {
    let alone = tell("alone, no mark", one_by_one(200, false).await, 200);
    let marked = tell("alone, with a mark", one_by_one(200, true).await, 200);
    assert!(alone <= 5.1, "{alone}");
    assert!(marked <= 6.1, "{marked}");

    // A storm: batches of 256, 64 claimed at once, all finished at once.
    let (ledger, documents) = make().await;
    let before = documents.usage();
    for batch in 0..8_usize {
        let numbers = batch * 256..(batch + 1) * 256;
        let now = batch as u64 * 1_000;
        let submissions = numbers.map(|number| submission(number, now)).collect();
        ledger.submit(submissions).await.unwrap();
        for _ in 0..4 {
            let claims = ledger.claim(request(64, now)).await.unwrap();
            assert_eq!(claims.len(), 64);
            let finishes = claims.iter().map(|claim| {
                let done = completion(&claim.task, now, true);
                ledger.finish(&claim.task.task, claim.token, done, at(now))
            });
            futures::future::try_join_all(finishes).await.unwrap();
        }
    }
    let used = since(documents.usage(), before);
    let each = tell("in a storm, with a mark", used, 2_048);
    assert!(each <= 6.0, "{each}");
    assert!(used.read_units < 2_048, "{used:?}");
    assert_eq!(used.refused, 0);

    let before = documents.usage();
    assert_eq!(ledger.prune(at(1_000_000)).await.unwrap(), 2_048);
    tell("pruning it", since(documents.usage(), before), 2_048);
    assert_eq!(documents.count("receipt/"), 0);
    assert_eq!(documents.count("journal/"), 0);
}

/// A second process that only looks: what polling once a second costs while nothing happens.
#[tokio::test]
async fn an_idle_poll_reads_one_unit_per_shard() {
    let (ledger, documents) = make().await;
    for second in 0..10 {
        let before = documents.usage();
        assert!(
            ledger
                .claim(request(64, second * 1_000))
                .await
                .unwrap()
                .is_empty()
        );
        ledger
            .next_due("photos-to-europe", "s3://photos-eu-west-1")
            .await
            .unwrap();
        let used = since(documents.usage(), before);
        assert_eq!((used.write_units, used.read_units), (0, 8), "{used:?}");
    }
}

/// While its own tasks keep a process busy, it does not read others' at each claim.
#[tokio::test]
async fn a_busy_process_scans_once_a_second() {
    let (ledger, documents) = make().await;
    let all = (0..2_000).map(|number| submission(number, 0)).collect();
    ledger.submit(all).await.unwrap();
    let before = documents.usage();
    for claim in 0..100 {
        let claims = ledger.claim(request(10, claim * 10)).await.unwrap();
        assert_eq!(claims.len(), 10);
    }
    let used = since(documents.usage(), before);
    let all_of_it = 2_000_u64.div_ceil(10);
    assert!(used.read_units <= all_of_it, "{used:?}");
    assert!(used.reads <= 8 * 2, "{used:?}");
}

async fn pool(parts: u32) -> Usage {
    let (ledger, documents) = make().await;
    let before = documents.usage();
    ledger.open_pool("attempt-5d41a386-1", parts).await.unwrap();
    let (mut now, mut completed) = (0, 0);
    while completed == 0 {
        for worker in ["w1", "w2", "w3", "w4"] {
            let ripe = Duration::from_secs(1_000);
            let claims = ledger
                .claim_parts("attempt-5d41a386-1", worker, 2, LEASE, ripe, at(now))
                .await
                .unwrap();
            for claim in claims {
                now += 50;
                let part = PartDone {
                    number: claim.number,
                    etag: format!("\"{:032x}\"", u128::MAX / u128::from(claim.number)),
                    size: 16 << 20,
                    crc64: Some(u64::MAX / u64::from(claim.number)),
                    crc32c: None,
                };
                let state = ledger
                    .finish_part("attempt-5d41a386-1", part)
                    .await
                    .unwrap();
                completed += u32::from(state.completed_now);
            }
        }
    }
    assert_eq!(completed, 1);
    let (_, done) = ledger.parts("attempt-5d41a386-1").await.unwrap().unwrap();
    assert_eq!(done.len() as u32, parts);
    ledger.close_pool("attempt-5d41a386-1").await.unwrap();
    assert_eq!(documents.count("pool/"), 0);
    since(documents.usage(), before)
}

/// The parts of a large object: at most two units and 1.1 per part, from ten parts on; below, one more.
#[tokio::test]
async fn the_parts_of_a_large_object_cost_little_more_than_their_number() {
    for parts in [2, 4, 8, 10, 16, 32, 100, 1_000, 10_000] {
        let used = pool(parts).await;
        let each = tell(&format!("a pool of {parts} parts"), used, u64::from(parts));
        let aim = 2.0 + 1.1 * f64::from(parts);
        let all = each * f64::from(parts);
        let more = if parts < 10 { 1.0 } else { 0.0 };
        assert!(
            all <= aim + more + 1e-6,
            "{parts} parts: {all} write units, aimed at {aim}"
        );
    }
}
