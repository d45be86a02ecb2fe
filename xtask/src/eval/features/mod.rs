//! `cargo xtask eval features`: what an order of updates is worth, on real series and synthetic ratings, and what it takes.
//!
//! **In:** the series of the Numenta Anomaly Benchmark in `../shared/data/nab` (parts that need them are skipped, loudly, where they are
//! absent), the scheduler built in release. **Out:** tables and pictures in `docs/results/features*.md`. **Never:** a figure that no
//! run has made.

mod delay;
mod load;
mod overhead;
mod ratings;
mod recovery;
mod rows;
mod series;
mod server;
mod serving;
mod wrk;

use crate::cargo::cargo;
use crate::workspace;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Stdio;

/// Replay logs under every policy of updating features.
#[derive(clap::Args)]
pub(crate) struct Features {
    /// The part to run, several with several of these; all where it is left out
    #[arg(long = "part", value_name = "NAME")]
    parts: Vec<Part>,
}

/// See the modules of the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Real series: every policy, budget and kind of query
    Series,
    /// Synthetic ratings: every policy and budget
    Ratings,
    /// Feedback that comes late
    Delay,
    /// What scheduling takes
    Overhead,
    /// How fast features are answered, beside Feast
    Serving,
    /// How long a start takes after kill -9
    Recovery,
}

impl Features {
    /// Runs it; true where every aim that it can judge was met.
    pub(crate) fn run(self) -> Result<bool> {
        let all = [
            Part::Series,
            Part::Ratings,
            Part::Delay,
            Part::Overhead,
            Part::Serving,
            Part::Recovery,
        ];
        let parts = if self.parts.is_empty() {
            all.to_vec()
        } else {
            self.parts
        };
        let mut met = true;
        for part in parts {
            met &= match part {
                Part::Series => series::run()?,
                Part::Ratings => ratings::run()?,
                Part::Delay => delay::run()?,
                Part::Overhead => overhead::run()?,
                Part::Serving => serving::run()?,
                Part::Recovery => recovery::run()?,
            };
        }
        Ok(met)
    }
}

/// Where the benchmark's series are; `None`, with a loud remark, where they are not.
fn data() -> Option<PathBuf> {
    let path = workspace::root().join("../shared/data/nab");
    if path.is_dir() {
        return Some(path);
    }
    println!(
        "SKIPPED: {} is not there. It holds the series of https://github.com/numenta/NAB (MIT).",
        path.display()
    );
    None
}

/// What `regret`, built in release, prints, line by line.
fn measured(arguments: &[&str]) -> Result<Vec<Value>> {
    measured_by("regret", arguments)
}

/// What an example of the crate, built in release, prints, line by line.
fn measured_by(example: &str, arguments: &[&str]) -> Result<Vec<Value>> {
    println!("measuring: {example} {}", arguments.join(" "));
    let output = cargo([
        "run",
        "--release",
        "--quiet",
        "--package",
        "skyfresh-features",
    ])
    .args(["--example", example, "--"])
    .args(arguments)
    .stderr(Stdio::inherit())
    .output()
    .with_context(|| format!("cannot run the example {example}"))?;
    if !output.status.success() {
        bail!("{example} did not run to its end: {}", output.status);
    }
    let text =
        String::from_utf8(output.stdout).with_context(|| format!("{example} printed no text"))?;
    let lines = text.lines().map(|line| {
        serde_json::from_str(line).with_context(|| format!("{example} printed {line}"))
    });
    lines.collect()
}
