//! Storms of faults, seed after seed: every guarantee, at every moment, and everything right in the end.

use skyfresh_sim::fault::{generate, generate_copies};
use skyfresh_sim::storm::{Outcome, run, shrink, sweep_seeds};

/// Seeds that every change must pass, and those of a quick look.
const SEEDS_IN_CI: u64 = 10_000;
const SEEDS: u64 = 500;

#[expect(
    clippy::disallowed_methods,
    reason = "how many is given through the environment"
)]
fn seeds() -> u64 {
    let variable = |name: &str| std::env::var(name).ok();
    let in_ci = variable("CI").is_some_and(|value| !matches!(value.as_str(), "" | "0" | "false"));
    variable("SKYFRESH_SIM_SEEDS")
        .and_then(|text| text.parse().ok())
        .unwrap_or(if in_ci { SEEDS_IN_CI } else { SEEDS })
}

#[test]
fn storms_keep_every_guarantee() {
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let failures = sweep_seeds(0..seeds(), threads, |progress| progress.failed < 3);
    if let Some(failure) = failures.first() {
        let small = shrink(&generate(failure.seed));
        let schedule = serde_json::to_string_pretty(&small.schedule).expect("values");
        panic!(
            "seed {}: {}\nreplay: cargo run -p skyfresh-cli -- sim scenarios/storm.toml --seed {} -v\n\
             the smallest schedule found, to be kept in crates/sim/regressions:\n{schedule}",
            failure.seed, failure.outcome.violations[0], failure.seed
        );
    }
}

/// Whether a run had a copy that the destination's store made.
fn copies_by_store(outcome: &Outcome) -> bool {
    let copies = |line: &String| line.contains(" copy d1/") && line.ends_with(" None");
    outcome.log.iter().any(copies)
}

/// Stores that take objects from the source by themselves, in every storm instead of in one of four.
#[test]
fn storms_of_server_copies_keep_every_guarantee() {
    let mut made_there = 0;
    for seed in 0..seeds() / 5 {
        let mut schedule = generate(seed);
        schedule.setup.server_copy = true;
        let outcome = run(&schedule, true);
        assert!(
            outcome.violations.is_empty(),
            "seed {seed}: {}\n{}",
            outcome.violations[0],
            serde_json::to_string_pretty(&shrink(&schedule).schedule).expect("values")
        );
        made_there += u64::from(copies_by_store(&outcome));
    }
    assert!(
        made_there > seeds() / 10,
        "only {made_there} runs had a server-side copy from the source"
    );
}

#[test]
fn storms_of_copies_keep_every_guarantee() {
    let mut made_there = 0;
    for seed in 0..seeds() / 5 {
        let schedule = generate_copies(seed);
        let outcome = run(&schedule, true);
        assert!(
            outcome.violations.is_empty(),
            "seed {seed}: {}\n{}",
            outcome.violations[0],
            serde_json::to_string_pretty(&shrink(&schedule).schedule).expect("values")
        );
        // Copies from the source are counted above.
        let of_its_own = !schedule.setup.server_copy && copies_by_store(&outcome);
        made_there += u64::from(of_its_own);
    }
    assert!(
        made_there > seeds() / 50,
        "only {made_there} runs had a server-side copy"
    );
}
