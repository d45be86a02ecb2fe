//! `cargo xtask test`: every test of the workspace, with the servers they need.

use crate::cargo::{NEXTEST, cargo};
use crate::servers::TestServers;
use crate::skips::{self, SkipLog};
use crate::{process, runner, workspace};
use anyhow::Result;
use std::io::IsTerminal;
use std::path::Path;
use std::process::Command;

/// Run every test, with test servers installed under target/ and started for the run.
#[derive(clap::Args)]
pub(crate) struct Test {
    /// Arguments for the test runner, e.g. `-- -p skyfresh-store` or `-- some_test_name`.
    #[arg(last = true)]
    runner: Vec<String>,
}

impl Test {
    /// Runs the tests and prints the runner's summary last; true where all passed.
    pub(crate) fn run(self) -> Result<bool> {
        let outcome = run_all(&self.runner)?;
        outcome.print_summary()?;
        Ok(outcome.passed)
    }
}

/// A finished run whose summary is still to be printed.
pub(crate) struct Outcome {
    /// Whether everything passed, and, in CI, nothing was skipped.
    pub(crate) passed: bool,
    run: runner::Run,
}

impl Outcome {
    /// Prints the runner's own summary.
    pub(crate) fn print_summary(&self) -> Result<()> {
        self.run.print_summary()
    }
}

/// Runs everything and prints what was skipped, but not the runner's summary.
pub(crate) fn run_all(arguments: &[String]) -> Result<Outcome> {
    run_with(arguments, &[])
}

/// The same with more variables in the tests' environment.
pub(crate) fn run_with(arguments: &[String], variables: &[(&str, &Path)]) -> Result<Outcome> {
    let skips = SkipLog::create()?;
    let servers = TestServers::start()?;
    for missing in &servers.missing {
        println!("missing: {}: {}", missing.what, missing.why);
        println!("  install it with: {}", missing.install_line);
    }
    if workspace::is_ci() && !servers.missing.is_empty() {
        anyhow::bail!("CI is set, so nothing may be missing");
    }

    let nextest = NEXTEST.is_installed();
    if !nextest {
        println!(
            "cargo-nextest is absent; using `cargo test`. Install it with: {}",
            NEXTEST.install_line()
        );
    }
    let in_test_environment = |mut command: Command| {
        if std::io::stdout().is_terminal() {
            command.env("CARGO_TERM_COLOR", "always");
        }
        command
            .envs(servers.variables.iter().cloned())
            .envs(variables.iter().copied())
            .env(skips::VARIABLE, skips.path());
        command
    };
    // nextest does not run examples in documentation; `cargo test` does. A chosen few tests need neither.
    let examples_passed = !nextest
        || !arguments.is_empty()
        || process::run(&mut in_test_environment(cargo([
            "test",
            "--quiet",
            "--workspace",
            "--all-features",
            "--doc",
        ])))?;
    let run = runner::run(in_test_environment(runner_command(nextest, arguments)))?;
    drop(servers);

    let skipped = skips.read()?;
    println!();
    if !examples_passed {
        println!("failed: examples in documentation, above");
    }
    match skipped.len() {
        0 if !run.finished() => println!("the tests did not run to their end"),
        0 => println!("skipped: nothing"),
        _ => skipped.iter().for_each(|skip| println!("skipped: {skip}")),
    }
    let may_skip = !workspace::is_ci();
    if !may_skip && !skipped.is_empty() {
        println!("failed: CI is set, so nothing may be skipped");
    }
    let passed = run.passed && examples_passed && (may_skip || skipped.is_empty());
    Ok(Outcome { passed, run })
}

fn runner_command(nextest: bool, arguments: &[String]) -> Command {
    // Asking for packages (`-- -p …`) replaces asking for all of them.
    let names_packages = arguments
        .iter()
        .any(|argument| argument.starts_with("-p") || argument == "--package");
    let mut command = if nextest {
        cargo(["nextest", "run"])
    } else {
        cargo(["test", "--no-fail-fast"])
    };
    // Backends that a plain build leaves out are tested all the same.
    command.arg("--all-features");
    if !names_packages {
        command.arg("--workspace");
    }
    if nextest && workspace::is_ci() {
        command.args(["--profile", "ci"]);
    }
    command.args(arguments);
    command
}
