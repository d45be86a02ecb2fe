//! `cargo xtask eval overlay`: the planners of overlays beside the papers' programmes, solved by another solver in the same run, and
//! beside the papers' own figures.
//!
//! **In:** the measured grids of `crates/plan/grids`, the planners built in release, HiGHS from its Python wheel. **Out:** tables and
//! pictures in `docs/results/`. **Never:** a figure of a paper that is not marked as the paper's.

mod achieved;
mod cases;
mod papers;
mod random;
mod rules;
mod unicast;

use crate::cargo::cargo;
use crate::workspace;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Plan overlays beside the papers' programmes and figures.
#[derive(clap::Args)]
pub(crate) struct Overlay {
    /// The part to run, several with several of these; all where it is left out
    #[arg(long = "part", value_name = "NAME")]
    parts: Vec<Part>,
    /// Seconds that the reference solver may take for one joint programme
    #[arg(long, value_name = "S", default_value = "180")]
    limit_s: u32,
}

/// See the modules of the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// The four cases of Cloudcast's evaluation, every engine, and the reference programmes
    Cases,
    /// One destination: routes, every pair, frontiers, the reference programme
    Unicast,
    /// Random cases by the number of destinations; what approximations cost
    Random,
    /// The papers' headlines
    Papers,
    /// Plans carried out by relays over shaped links: predicted against achieved
    Achieved,
    /// Rules with several destinations, with relays and without: what they spend
    Rules,
}

impl Overlay {
    /// Runs it; true where every aim that it can judge was met.
    pub(crate) fn run(self) -> Result<bool> {
        let folder = workspace::target().join("eval").join("overlay");
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let all = [
            Part::Cases,
            Part::Unicast,
            Part::Random,
            Part::Papers,
            Part::Achieved,
            Part::Rules,
        ];
        let parts = if self.parts.is_empty() {
            all.to_vec()
        } else {
            self.parts
        };
        let mut met = true;
        for part in parts {
            met &= match part {
                Part::Cases => cases::run(&folder, self.limit_s)?,
                Part::Unicast => unicast::run(&folder)?,
                Part::Random => random::run(&folder)?,
                Part::Papers => papers::run(&folder)?,
                Part::Achieved => achieved::run()?,
                Part::Rules => rules::run()?,
            };
        }
        Ok(met)
    }
}

/// What the planners, built in release, tell of a part.
fn measured(part: &str, folder: &Path) -> Result<Vec<Value>> {
    println!("planning: {part}");
    let folder = folder.to_str().context("the target folder is not UTF-8")?;
    told_by("skyfresh-plan", "overlay", &[part, folder])
}

/// The lines of JSON that an example, built in release, prints.
fn told_by(package: &str, example: &str, arguments: &[&str]) -> Result<Vec<Value>> {
    let output = cargo(["run", "--release", "--quiet", "--package", package])
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

pub(super) fn of<'a>(rows: &'a [Value], part: &str) -> impl Iterator<Item = &'a Value> {
    rows.iter().filter(move |row| row["part"] == part)
}

pub(super) fn number(row: &Value, name: &str) -> f64 {
    row[name].as_f64().unwrap_or(f64::NAN)
}

fn text(row: &Value, name: &str) -> String {
    row[name].as_str().unwrap_or("–").to_owned()
}

/// A figure with so many digits; a dash where there is none.
pub(super) fn figure(value: f64, digits: usize) -> String {
    if value.is_finite() {
        format!("{value:.digits$}")
    } else {
        "–".into()
    }
}

/// Writes a picture beside the tables.
pub(super) fn picture(name: &str, svg: &str) -> Result<PathBuf> {
    let path = workspace::root().join("docs").join("results").join(name);
    std::fs::write(&path, svg).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// Whether all aims were met, as notes: each line says one.
pub(super) fn judged(aims: &[(String, bool)]) -> (Vec<String>, bool) {
    let lines = aims
        .iter()
        .map(|(aim, met)| format!("**{}** {aim}", if *met { "Met:" } else { "Missed:" }))
        .collect();
    (lines, aims.iter().all(|(_, met)| *met))
}
