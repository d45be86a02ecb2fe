//! Several processes on one store of documents where answers get lost and processes die between any two writes. Time and chance
//! come from a seed: a failing one is named, and fails again.

mod faulty;

use faulty::pools::run_pool;
use faulty::tasks::run_tasks;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
}

/// No task is lost, a key has one live claim at most, stale tokens are refused, and what was finished has one receipt by key
/// and one by time.
#[test]
fn tasks_survive_lost_answers_and_dead_processes() {
    let mut finished = 0;
    for seed in 0..60 {
        finished += runtime().block_on(run_tasks(seed));
    }
    assert!(
        finished > 500,
        "the faults left only {finished} claims to finish"
    );
}

/// No part is lost, the first result of a part stands, and one call at most completes the pool: one, where none died.
#[test]
fn pools_survive_lost_answers_and_dead_processes() {
    let (mut completed, mut died) = (0, 0);
    for seed in 0..60 {
        let run = runtime().block_on(run_pool(seed));
        completed += run.completed;
        died += run.died;
    }
    assert!(
        completed >= 50 && died >= 20,
        "{completed} completed, {died} died"
    );
}
