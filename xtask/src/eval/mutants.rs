//! `cargo xtask eval mutants`: the product, wrong on purpose in each of its ways, and the seed that shows it.

use crate::cargo::cargo;
use crate::report::Report;
use crate::workspace;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fs;
use std::process::Stdio;

/// Break the product on purpose, in each of its ways, and see which seed of the simulator shows it.
#[derive(clap::Args)]
pub(crate) struct Mutants {}

/// Seeds that a mutant may live through.
const SEEDS: u64 = 1_000;

impl Mutants {
    /// Runs them; true where every mutant was caught.
    pub(crate) fn run(self) -> Result<bool> {
        let output = cargo(["run", "--release", "--quiet", "--package", "skyfresh-sim"])
            .args(["--features", "mutants", "--example", "mutants"])
            .stderr(Stdio::inherit())
            .output()
            .context("cannot run the simulator")?;
        if !output.status.success() {
            bail!("the simulator did not run to its end: {}", output.status);
        }
        let mut rows: Vec<Value> = output
            .stdout
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).context("the simulator's output is no JSON"))
            .collect::<Result<_>>()?;
        rows.sort_by_key(|row| text(row, "mutant"));
        for row in rows.iter().filter(|row| row.get("schedule").is_some()) {
            keep(row)?;
        }
        let caught = rows.iter().filter(|row| row.get("seed").is_some()).count();
        let all = rows.len();
        let report = Report {
            title: "Mutants: the test of the simulator",
            notes: vec![
                format!("{caught} of {all} mutants are caught within {SEEDS} seeds (from 0; the same seeds for all)."),
                "Each is one guarded line of the product, switched on by `skyfresh_sky::Mutant`; the build that users have does not contain them.".into(),
                "Seeds to catch: the first seed that breaks a guarantee, plus one. Steps: of that seed's schedule, and of the smallest schedule that still shows it, which is kept in `crates/sim/mutants` and run by every test run, with the mutant and without.".into(),
            ],
            columns: vec!["mutant", "seeds to catch", "guarantee that breaks", "steps", "smallest", "what is seen"],
            rows: rows.iter().map(cells).collect(),
        };
        report.publish("mutants")?;
        Ok(caught == all)
    }
}

fn text(row: &Value, field: &str) -> String {
    match &row[field] {
        Value::String(text) => text.replace('|', "\\|"),
        Value::Null => "-".into(),
        other => other.to_string(),
    }
}

fn cells(row: &Value) -> Vec<String> {
    let seeds = match row["seed"].as_u64() {
        Some(seed) => (seed + 1).to_string(),
        None => format!("**not within {SEEDS}**"),
    };
    let mut cells = vec![text(row, "mutant"), seeds];
    cells.extend(["guarantee", "steps", "smallest", "what"].map(|field| text(row, field)));
    cells
}

/// Keeps the smallest schedule for the tests.
fn keep(row: &Value) -> Result<()> {
    let folder = workspace::root().join("crates/sim/mutants");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join(format!("{}.json", text(row, "mutant")));
    let schedule = serde_json::to_string_pretty(&row["schedule"])? + "\n";
    fs::write(&path, schedule).with_context(|| format!("cannot write {}", path.display()))
}
