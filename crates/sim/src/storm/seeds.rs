//! Many seeds, on all cores.

use super::run::{Outcome, run};
use crate::fault::generate;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A seed whose schedule breaks a guarantee.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What happened.
    pub outcome: Outcome,
}

/// How far a sweep of seeds is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Seeds that were run.
    pub done: u64,
    /// Every seed below this one was run.
    pub all_below: u64,
    /// Of them, those that broke something.
    pub failed: u64,
}

/// Runs seeds on `threads` threads, in order, until they are done or `go_on` says no. Seeds that fail are given back, lowest
/// first.
pub fn sweep_seeds(
    seeds: Range<u64>,
    threads: usize,
    go_on: impl Fn(Progress) -> bool + Sync,
) -> Vec<Failure> {
    let next = AtomicU64::new(seeds.start);
    let stop = AtomicBool::new(false);
    let done = Mutex::new((0u64, std::collections::BTreeSet::new(), seeds.start));
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= seeds.end {
                        return;
                    }
                    let outcome = run(&generate(seed), false);
                    let failed = {
                        let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
                        if !outcome.violations.is_empty() {
                            failures.push(Failure { seed, outcome });
                        }
                        failures.len() as u64
                    };
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    let (count, beyond, all_below) = &mut *done;
                    *count += 1;
                    beyond.insert(seed);
                    while beyond.remove(all_below) {
                        *all_below += 1;
                    }
                    let progress = Progress {
                        done: *count,
                        all_below: *all_below,
                        failed,
                    };
                    if !go_on(progress) {
                        stop.store(true, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    let mut failures = failures
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    failures.sort_by_key(|failure| failure.seed);
    failures
}
