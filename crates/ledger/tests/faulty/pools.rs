//! A part pool through faults.

use super::{FAULTS, Process, Ticks};
use skyfresh_ledger::shared::{Faults, MemoryDocuments};
use skyfresh_ledger::*;
use skyfresh_sky::{Kind, Rng};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;

const LEASE: Duration = Duration::from_millis(120);
const RIPE: Duration = Duration::from_millis(60);

/// How a run went.
pub(crate) struct Run {
    /// Calls that completed the pool.
    pub(crate) completed: u32,
    /// Processes that died.
    pub(crate) died: u32,
}

struct World {
    documents: MemoryDocuments,
    ticks: Ticks,
    total: u32,
    /// Results that a process was told are recorded, by part.
    recorded: Mutex<BTreeMap<u32, Vec<String>>>,
}

/// Runs one seed: processes with two workers each on one pool.
pub(crate) async fn run_pool(seed: u64) -> Run {
    let rng = Rng::seeded(seed);
    let world = Arc::new(World {
        documents: MemoryDocuments::new(),
        ticks: Ticks::default(),
        total: 1 + rng.below(90) as u32,
        recorded: Mutex::default(),
    });
    let first = Process::start(&world.documents, Faults::default(), &rng).await;
    first.ledger.open_pool("x", world.total).await.unwrap();
    let mut processes = JoinSet::new();
    for number in 0..3 {
        processes.spawn(live(Arc::clone(&world), number, rng.fork()));
    }
    let (mut completed, mut died) = (0, 0);
    for (by_it, deaths) in processes.join_all().await {
        completed += by_it;
        died += deaths;
    }
    let (total, parts) = first.ledger.parts("x").await.unwrap().expect("it is open");
    let numbers: Vec<_> = parts.iter().map(|part| part.number).collect();
    assert_eq!(
        (total, numbers),
        (world.total, (1..=world.total).collect()),
        "seed {seed}"
    );
    for (number, etags) in &*world.recorded.lock().unwrap() {
        let stands = &parts[*number as usize - 1].etag;
        assert!(
            stands.starts_with(&format!("{number}-")),
            "seed {seed}: {etags:?}"
        );
    }
    assert!(completed <= 1, "seed {seed}: completed {completed} times");
    first.ledger.close_pool("x").await.unwrap();
    assert_eq!(world.documents.count("pool/"), 0, "seed {seed}");
    Run { completed, died }
}

/// One process after another in the same place, until all parts are done.
async fn live(world: Arc<World>, number: u32, rng: Rng) -> (u32, u32) {
    let (mut completed, mut died) = (0, 0);
    loop {
        let process = Process::start(&world.documents, FAULTS, &rng).await;
        let mut held: Vec<(String, u32)> = Vec::new();
        while !process.documents.has_crashed() {
            let worker = format!("w{number}.{died}.{}", rng.below(2));
            let (limit, now) = (1 + rng.below(3) as usize, world.ticks.now());
            let ledger = &process.ledger;
            match ledger
                .claim_parts("x", &worker, limit, LEASE, RIPE, now)
                .await
            {
                Ok(claims) => {
                    held.extend(claims.iter().map(|claim| (worker.clone(), claim.number)))
                }
                Err(error) => assert_ne!(error.kind, Kind::Missing),
            }
            if held.is_empty() {
                world.ticks.pass(20);
                if let Ok(Some((total, parts))) = ledger.parts("x").await
                    && parts.len() as u32 == total
                {
                    return (completed, died);
                }
                continue;
            }
            let (worker, part) = held.swap_remove(rng.below(held.len() as u64) as usize);
            match rng.below(8) {
                // Forgotten: its lease runs out.
                0 => world.ticks.pass(30),
                1 => ledger.release_part("x", &worker, part).await.unwrap(),
                _ => {
                    let done = PartDone {
                        number: part,
                        etag: format!("{part}-{worker}-{:?}", world.ticks.now()),
                        size: 1,
                        crc64: None,
                        crc32c: None,
                    };
                    match ledger.finish_part("x", done.clone()).await {
                        Ok(state) => {
                            assert_eq!(state.total, world.total);
                            completed += u32::from(state.completed_now);
                            assert!(!state.completed_now || state.done == state.total);
                            let mut recorded = world.recorded.lock().unwrap();
                            recorded.entry(part).or_default().push(done.etag);
                        }
                        Err(_) => held.push((worker, part)),
                    }
                }
            }
        }
        died += 1;
    }
}
