//! Many at once.

use super::*;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::task::JoinSet;

/// Sixteen claimants, a thousand tasks: each is claimed by one, finished once, and has one receipt.
pub async fn many_claimants_never_share_a_task(ledger: Subject) {
    claimants(ledger, 1_000).await;
}

/// The same with few tasks, for services that are slow here.
pub async fn many_claimants_never_share_few_tasks(ledger: Subject) {
    claimants(ledger, 100).await;
}

async fn claimants(ledger: Subject, tasks: usize) {
    submit(
        &ledger,
        (0..tasks).map(|n| live(&format!("k{n}"), 1, 2)).collect(),
    )
    .await;
    let mut claimants = JoinSet::new();
    for claimant in 0..16 {
        let ledger = Arc::clone(&ledger);
        claimants.spawn(async move {
            let mut mine = Vec::new();
            loop {
                let claims = ledger
                    .claim(request(&format!("owner-{claimant}"), 7, 10))
                    .await
                    .unwrap();
                if claims.is_empty() {
                    return mine;
                }
                for claim in claims {
                    assert!(!claim.takeover);
                    tokio::task::yield_now().await;
                    assert_eq!(finish(&ledger, &claim, 11).await, Finished::Done);
                    mine.push((claim.task.task.key.as_str().to_owned(), claim.token));
                }
            }
        });
    }
    let claimed: Vec<_> = claimants.join_all().await.into_iter().flatten().collect();
    assert_eq!(claimed.len(), tasks);
    assert_eq!(
        claimed
            .iter()
            .map(|(name, _)| name)
            .collect::<BTreeSet<_>>()
            .len(),
        tasks
    );
    assert_eq!(
        claimed
            .iter()
            .map(|(_, token)| token)
            .collect::<BTreeSet<_>>()
            .len(),
        tasks
    );
    assert_eq!(
        ledger
            .receipts_by_time(RULE, at(0), 9_999)
            .await
            .unwrap()
            .len(),
        tasks
    );
    assert_eq!(backlog(&ledger).await, Backlog::default());
}

/// Eight workers with short leases on one pool: every part is done, and one call completes it.
pub async fn many_workers_complete_a_pool_once(ledger: Subject) {
    const PARTS: u32 = 300;
    ledger.open_pool("x", PARTS).await.unwrap();
    let now = Arc::new(AtomicU64::new(1));
    let completed = Arc::new(AtomicU64::new(0));
    let mut workers = JoinSet::new();
    for worker in 0..8_u32 {
        let (ledger, now, completed) = (
            Arc::clone(&ledger),
            Arc::clone(&now),
            Arc::clone(&completed),
        );
        workers.spawn(async move {
            let name = format!("w{worker}");
            let (lease, ripe) = (Duration::from_millis(40), Duration::from_millis(20));
            while completed.load(Ordering::SeqCst) == 0 {
                let time = at(now.fetch_add(1, Ordering::SeqCst));
                let claims = ledger
                    .claim_parts("x", &name, 5, lease, ripe, time)
                    .await
                    .unwrap();
                for claim in claims {
                    // Some die with a part in hand, some give it back: neither may lose it.
                    match (claim.number + worker + time.unix_ms() as u32) % 11 {
                        0 => {}
                        1 => ledger.release_part("x", &name, claim.number).await.unwrap(),
                        _ => {
                            let part = PartDone {
                                number: claim.number,
                                etag: name.clone(),
                                size: 1,
                                crc64: None,
                                crc32c: None,
                            };
                            let state = ledger.finish_part("x", part).await.unwrap();
                            completed.fetch_add(u64::from(state.completed_now), Ordering::SeqCst);
                        }
                    }
                }
                tokio::task::yield_now().await;
            }
        });
    }
    workers.join_all().await;
    assert_eq!(completed.load(Ordering::SeqCst), 1);
    let (total, parts) = ledger.parts("x").await.unwrap().expect("the pool is open");
    assert_eq!(total, PARTS);
    assert_eq!(
        parts.iter().map(|part| part.number).collect::<Vec<_>>(),
        (1..=PARTS).collect::<Vec<_>>()
    );
}

/// A writer changes one key while workers carry it: after the last change, somebody claims it once more.
pub async fn a_hot_key_written_while_worked_on_is_never_lost(ledger: Subject) {
    let source = Arc::new(AtomicU64::new(0));
    let copied = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let mut workers = JoinSet::new();
    for worker in 0..4 {
        let (ledger, source, copied, stop) = (
            Arc::clone(&ledger),
            Arc::clone(&source),
            Arc::clone(&copied),
            Arc::clone(&stop),
        );
        workers.spawn(async move {
            loop {
                let stopping = stop.load(Ordering::SeqCst);
                let claims = ledger
                    .claim(request(&format!("w{worker}"), 1, 1_000))
                    .await
                    .unwrap();
                if claims.is_empty() && stopping {
                    return;
                }
                for claim in claims {
                    let seen = source.load(Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    copied.store(seen, Ordering::SeqCst);
                    finish(&ledger, &claim, 1_000).await;
                }
                tokio::task::yield_now().await;
            }
        });
    }
    for change in 1..=200 {
        source.store(change, Ordering::SeqCst);
        submit(&ledger, vec![live("hot", change, change)]).await;
    }
    stop.store(true, Ordering::SeqCst);
    workers.join_all().await;
    // A worker that saw nothing to do may have stopped before another's last `Again`, which that other then carried.
    assert_eq!(copied.load(Ordering::SeqCst), 200);
    assert_eq!(ledger.task(&key("hot")).await.unwrap(), None);
}
