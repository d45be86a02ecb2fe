//! Storms by hand: `seed N`, `file SCHEDULE.json`, `shrink N`, `seeds FROM TO THREADS`. `cargo xtask soak` uses the last.

#![allow(clippy::print_stdout, reason = "a program of its own")]

use skyfresh_sim::fault::{Schedule, generate};
use skyfresh_sim::storm::{run, shrink, sweep_seeds};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match act(&words) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// False: a guarantee was broken.
fn act(words: &[&str]) -> Result<bool, Box<dyn std::error::Error>> {
    match words {
        ["seed", seed] => Ok(tell(&generate(seed.parse()?))),
        ["file", path] => {
            let schedule: Schedule = serde_json::from_str(&std::fs::read_to_string(path)?)?;
            Ok(tell(&schedule))
        }
        ["shrink", seed] => {
            let small = shrink(&generate(seed.parse()?));
            println!("{}", serde_json::to_string_pretty(&small.schedule)?);
            println!("{} runs: {:?}", small.runs, small.outcome.violations);
            Ok(small.outcome.violations.is_empty())
        }
        ["seeds", from, to, threads] => {
            let seeds = from.parse()?..to.parse()?;
            let failures = sweep_seeds(seeds, threads.parse()?, |progress| {
                if progress.done.is_multiple_of(1_000) {
                    println!("{} seeds, {} failed", progress.done, progress.failed);
                }
                true
            });
            for failure in &failures {
                println!("seed {}: {}", failure.seed, failure.outcome.violations[0]);
            }
            Ok(failures.is_empty())
        }
        _ => Err("say: seed N | file SCHEDULE.json | shrink N | seeds FROM TO THREADS".into()),
    }
}

fn tell(schedule: &Schedule) -> bool {
    let outcome = run(schedule, true);
    for line in &outcome.log {
        println!("{line}");
    }
    for violation in &outcome.violations {
        println!("{violation}");
    }
    println!("hash {:016x}, {} events", outcome.hash, outcome.events);
    outcome.violations.is_empty()
}
