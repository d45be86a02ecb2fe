//! `cargo xtask eval placement`: placements counted, timed, checked by another solver, and compared with how others place objects.
//!
//! **In:** the price tables of `crates/placement/tables`, the crate built in release, HiGHS from its Python wheel. **Out:** tables and a
//! picture in `docs/results/`. **Never:** a figure of a paper that is not marked as the paper's.

mod advise;
mod trace;

use super::reference::Reference;
use crate::cargo::cargo;
use crate::report::{Document, Table};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::process::Stdio;

/// Count, time and check placements, and compare with how others place objects.
#[derive(clap::Args)]
pub(crate) struct Placement {
    /// The part to run, several with several of these; all where it is left out
    #[arg(long = "part", value_name = "NAME")]
    parts: Vec<Part>,
}

/// What is found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// How many write choices and candidates there are
    Counts,
    /// Microseconds for one placement
    Speed,
    /// Costs beside those of an integer programme
    Programmes,
    /// A trace of 1.1 million objects, and heuristics
    Trace,
    /// An access log of 10 million lines, and what is made of it
    Advise,
}

/// Known counts, worked out apart: scenario, replicas, write choices, candidates, candidates left by the filter.
const KNOWN: [(&str, u64, u64, u64, u64); 12] = [
    ("C1", 1, 8, 8, 8),
    ("C1", 2, 28, 48, 48),
    ("C1", 3, 56, 124, 124),
    ("C2", 1, 24, 24, 16),
    ("C2", 2, 276, 408, 196),
    ("C2", 3, 2024, 3700, 1188),
    ("C3", 1, 75, 75, 50),
    ("C3", 2, 2775, 4710, 2353),
    ("C3", 3, 67_525, 147_953, 50_809),
    ("C5", 1, 163, 163, 118),
    ("C5", 2, 13_203, 32_887, 17_972),
    ("C5", 3, 708_561, 2_664_921, 1_056_227),
];

/// What is aimed at: row, figure, microseconds at most.
const AIMS: [(&str, &str, f64); 5] = [
    ("C5 f=3 uniform", "mean_us", 60.0),
    ("C5 f=3 uniform", "p99_us", 150.0),
    ("C5 f=3 sparse", "mean_us", 10.0),
    ("C5 f=3 dense", "p999_us", 1000.0),
    ("C5 f=5 dense", "max_us", 50_000.0),
];

/// By how much costs that two solvers find may differ, relative to the cost: dollars in floating point on both sides.
const SAME: f64 = 1e-9;

type Aims = Vec<(String, bool)>;

impl Placement {
    /// Runs it; true where every aim was met.
    pub(crate) fn run(self) -> Result<bool> {
        let all = vec![
            Part::Counts,
            Part::Speed,
            Part::Programmes,
            Part::Trace,
            Part::Advise,
        ];
        let parts = if self.parts.is_empty() {
            all
        } else {
            self.parts
        };
        let mut met = true;
        for part in parts {
            met &= match part {
                Part::Counts => counts()?,
                Part::Speed => speed()?,
                Part::Programmes => programmes()?,
                Part::Trace => trace::run()?,
                Part::Advise => advise::run()?,
            };
        }
        Ok(met)
    }
}

/// What the crate, built in release, tells of a part.
fn measured(part: &str) -> Result<Vec<Value>> {
    println!("placing: {part}");
    let output = cargo(["run", "--release", "--quiet"])
        .args(["--package", "skyfresh-placement", "--example", "evaluate"])
        .args(["--", part])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run the placements")?;
    if !output.status.success() {
        bail!("the placements did not run to their end: {}", output.status);
    }
    let text = String::from_utf8(output.stdout).context("the placements printed no text")?;
    let lines = text.lines().map(|line| {
        serde_json::from_str(line).with_context(|| format!("the placements printed {line}"))
    });
    lines.collect()
}

fn number(row: &Value, name: &str) -> f64 {
    row[name].as_f64().unwrap_or(f64::NAN)
}

fn text<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap_or_default()
}

/// Notes that say which aims were met, before others; and whether all were.
fn judged(aims: &Aims, notes: Vec<String>) -> (Vec<String>, bool) {
    let lines = aims
        .iter()
        .map(|(aim, met)| format!("**{}** {aim}", if *met { "Met:" } else { "Missed:" }));
    let all = aims.iter().all(|(_, met)| *met);
    (notes.into_iter().chain(lines).collect(), all)
}

fn publish(
    name: &str,
    title: &'static str,
    aims: &Aims,
    notes: Vec<String>,
    table: Table,
) -> Result<bool> {
    let (notes, met) = judged(aims, notes);
    Document {
        title,
        notes,
        tables: vec![table],
    }
    .publish(name)?;
    Ok(met)
}

fn counts() -> Result<bool> {
    let rows = measured("counts")?;
    let known = |row: &Value| {
        KNOWN.iter().find(|(scenario, replicas, ..)| {
            *scenario == text(row, "scenario") && Some(*replicas) == row["replicas"].as_u64()
        })
    };
    let agrees = |row: &Value| {
        known(row).is_some_and(|(_, _, choices, candidates, left)| {
            row["write_choices"] == *choices
                && row["candidates"] == *candidates
                && row["after_filter"] == *left
        })
    };
    let seconds = rows.last().map_or(f64::NAN, |row| number(row, "seconds"));
    let aims = vec![
        (
            "all counts are those worked out apart".into(),
            rows.iter().all(agrees),
        ),
        (
            format!("C5 with three replicas: {seconds:.2} s for enumeration and filter, of 2 s"),
            seconds <= 2.0,
        ),
    ];
    let reduced = |row: &Value, name: &str| match row[name].as_u64() {
        Some(count) => count.to_string(),
        None => "–".into(),
    };
    let table = Table {
        heading: "Candidates".into(),
        columns: vec![
            "scenario",
            "replicas",
            "write choices",
            "candidates",
            "distinct",
            "after filter",
            "seconds",
            "after reduction",
            "of these unproven",
            "seconds",
        ],
        rows: rows
            .iter()
            .map(|row| {
                let count = |name: &str| row[name].to_string();
                vec![
                    text(row, "scenario").into(),
                    count("replicas"),
                    count("write_choices"),
                    count("candidates"),
                    count("distinct"),
                    count("after_filter"),
                    format!("{:.4}", number(row, "seconds")),
                    reduced(row, "after_reduction"),
                    reduced(row, "unproven"),
                    match row["reduction_seconds"].as_f64() {
                        Some(seconds) => format!("{seconds:.2}"),
                        None => "–".into(),
                    },
                ]
            })
            .collect(),
    };
    let notes = vec!["Exact enumeration, one thread; `distinct` counts candidates of different prices; the filter drops those that an exchange of one store makes no dearer for any object. The reduction drops those that others, together, are never dearer than, by programmes whose proofs are checked in whole numbers; on all threads, and where the filter leaves 20,000 at most. What neither is proven of is kept.".into()];
    publish(
        "placement-counts",
        "Placements that can be cheapest",
        &aims,
        notes,
        table,
    )
}

fn speed() -> Result<bool> {
    let rows = measured("speed")?;
    let mut aims: Aims = AIMS
        .iter()
        .map(|(name, figure, most)| {
            let row = rows
                .iter()
                .find(|row| text(row, "name") == *name && text(row, "engine") == "direct");
            let took = row.map_or(f64::NAN, |row| number(row, figure));
            let aim = format!(
                "{name}, {}: {took:.0} µs, of {most} µs",
                figure.trim_end_matches("_us")
            );
            (aim, took <= *most)
        })
        .collect();
    aims.push((
        "every answer proven, and those of the oracle of the same cost".into(),
        rows.iter().all(|row| row["wrong"] == 0),
    ));
    let table = Table {
        heading: "Microseconds for one object".into(),
        columns: vec![
            "objects",
            "engine",
            "mean",
            "p50",
            "p99",
            "p99.9",
            "max",
            "sets or candidates",
        ],
        rows: rows
            .iter()
            .map(|row| {
                let us = |name: &str| format!("{:.0}", number(row, name));
                vec![
                    text(row, "name").into(),
                    text(row, "engine").into(),
                    us("mean_us"),
                    us("p50_us"),
                    us("p99_us"),
                    us("p999_us"),
                    us("max_us"),
                    row["nodes"].to_string(),
                ]
            })
            .collect(),
    };
    let notes = vec!["One thread, 2,000 objects a row, of each the fastest of three; the oracle answers 256 objects, eight at a time, each by its share. Uniform: up to 1 GB, up to 1,000 gets in every region; sparse: in at most ten; dense: every region gets, log-uniform up to 10⁶, of 1 KB to 10 GB.".into()];
    publish(
        "placement-speed",
        "How long a placement takes",
        &aims,
        notes,
        table,
    )
}

fn programmes() -> Result<bool> {
    let tasks = measured("programmes")?;
    let mut solver = match Reference::start()? {
        Ok(solver) => solver,
        Err(why) => bail!("{why}"),
    };
    // Scenario and replicas; objects, greatest difference, seconds of HiGHS, microseconds of ours.
    let mut rows: Vec<(String, u32, f64, f64, f64)> = Vec::new();
    for mut task in tasks {
        let name = format!(
            "{} f={}..{}",
            text(&task, "scenario"),
            task["least"],
            task["most"]
        );
        task["kind"] = "placement".into();
        let answer = solver.solve(&task)?;
        let (ours, theirs) = (number(&task, "usd"), number(&answer, "usd"));
        let off = ((ours - theirs) / theirs.max(f64::MIN_POSITIVE)).abs();
        if rows.last().is_none_or(|(last, ..)| *last != name) {
            rows.push((name, 0, 0.0, 0.0, 0.0));
        }
        if let Some(row) = rows.last_mut() {
            row.1 += 1;
            row.2 = if off.is_nan() {
                f64::INFINITY
            } else {
                row.2.max(off)
            };
            row.3 += number(&answer, "cpu_s");
            row.4 += number(&task, "micros");
        }
    }
    let aims = vec![(
        format!(
            "the costs agree to {SAME:e}, relative, for all {} objects",
            rows.iter().map(|row| row.1).sum::<u32>()
        ),
        rows.iter().all(|row| row.2 <= SAME),
    )];
    let table = Table {
        heading: "Direct method and HiGHS".into(),
        columns: vec![
            "scenario",
            "objects",
            "greatest difference",
            "HiGHS, mean ms",
            "direct, mean ms",
        ],
        rows: rows
            .iter()
            .map(|(name, objects, off, seconds, micros)| {
                let mean = |sum: f64| sum / f64::from(*objects);
                vec![
                    name.clone(),
                    objects.to_string(),
                    format!("{off:.1e}"),
                    format!("{:.1}", mean(seconds * 1e3)),
                    format!("{:.3}", mean(micros / 1e3)),
                ]
            })
            .collect(),
    };
    let notes = vec!["HiGHS solves SpanStore's programme in its strong form, a row x ≤ y for each region and store, on one thread, until nothing better can be; its choice is priced again. Milliseconds of solving, without building the programme.".into()];
    publish(
        "placement-programmes",
        "The same costs by another solver",
        &aims,
        notes,
        table,
    )
}
