//! `cargo xtask ci`: everything a change must pass.

use crate::cargo::{DENY, cargo};
use crate::{process, test};
use anyhow::Result;
use std::process::Command;
use std::time::{Duration, Instant};

/// Check formatting, lints, dependencies and documentation, then run every test.
#[derive(clap::Args)]
pub(crate) struct Ci {}

type Step = (&'static str, fn() -> Result<bool>);

/// Quick ones first. Dependencies are built once: lints and documentation share theirs.
const CHECKS: [Step; 4] = [
    ("format", || {
        process::run(&mut cargo(["fmt", "--all", "--check"]))
    }),
    ("lint", || {
        process::run(&mut cargo([
            "clippy",
            "--locked",
            "--workspace",
            "--all-features",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]))
    }),
    ("documentation", || process::run(&mut documentation())),
    ("dependencies", dependencies),
];

impl Ci {
    /// Runs every step, a failed one does not hide the next; true where all passed.
    pub(crate) fn run(self) -> Result<bool> {
        let mut passed = true;
        let mut timings = Vec::new();
        for (name, step) in CHECKS {
            println!("\n== {name}");
            let start = Instant::now();
            let step_passed = step()?;
            passed &= step_passed;
            timings.push((name, start.elapsed(), step_passed));
        }
        println!("\n== test");
        let start = Instant::now();
        let outcome = test::run_all(&[])?;
        timings.push(("test", start.elapsed(), outcome.passed));
        passed &= outcome.passed;

        println!();
        for (name, elapsed, step_passed) in timings {
            println!("{}", timing_line(name, elapsed, step_passed));
        }
        outcome.print_summary()?;
        Ok(passed)
    }
}

fn timing_line(name: &str, elapsed: Duration, passed: bool) -> String {
    format!(
        "{name:<14} {:>7.1} s  {}",
        elapsed.as_secs_f64(),
        if passed { "passed" } else { "FAILED" }
    )
}

fn documentation() -> Command {
    let mut command = cargo([
        "doc",
        "--locked",
        "--workspace",
        "--all-features",
        "--no-deps",
    ]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    command
}

fn dependencies() -> Result<bool> {
    DENY.ensure()?;
    // Not `advisories`: see deny.toml.
    process::run(&mut cargo([
        "deny",
        "--workspace",
        "check",
        "licenses",
        "bans",
        "sources",
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_stands_out() {
        assert_eq!(
            timing_line("lint", Duration::from_millis(1_250), true),
            "lint               1.2 s  passed"
        );
        assert!(timing_line("lint", Duration::ZERO, false).ends_with("FAILED"));
    }
}
