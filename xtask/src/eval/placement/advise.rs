//! `skyfresh place advise` on logs that are made for it, end to end: seconds, memory, and whether nothing was lost.

use super::{publish, text};
use crate::bench::usage::Usage;
use crate::cargo::{cargo, release_build};
use crate::report::Table;
use crate::workspace;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const STORE: &str = "aws-us-east-2-s3-General Purpose";
/// Lines of the logs, and what their objects are placed by; the last one by one.
const RUNS: [(u64, &str); 4] = [
    (1_000_000, "prefix"),
    (10_000_000, "prefix"),
    (10_000_000, "access-set"),
    (10_000_000, "object"),
];
/// Memory that no run may pass: a million objects, each with its placement, and the sizes of four million more.
const MEMORY_AIM_MIB: f64 = 1536.0;
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What one run did.
struct Run {
    lines: u64,
    by: &'static str,
    log_bytes: u64,
    seconds: f64,
    cpu_s: f64,
    peak_mib: f64,
    summary: Value,
    /// Whether its counts are those of the log's maker.
    same: bool,
}

pub(super) fn run() -> Result<bool> {
    let skyfresh = release_build()?;
    let directory = tempfile::tempdir_in(workspace::target()).context("no place for a log")?;
    let mut runs: Vec<Run> = Vec::new();
    let mut made: Option<(u64, Value)> = None;
    for (lines, by) in RUNS {
        let log = directory.path().join("access.log");
        if made.as_ref().is_none_or(|(of, _)| *of != lines) {
            made = Some((lines, make(lines, directory.path(), &log)?));
        }
        if let Some((_, truth)) = &made {
            runs.push(one(&skyfresh, directory.path(), (lines, by), truth)?);
        }
    }
    tell(&runs)
}

/// Makes a log, and says what is in it.
fn make(lines: u64, directory: &Path, log: &Path) -> Result<Value> {
    println!("making a log of {lines} lines");
    let output = cargo(["run", "--release", "--quiet"])
        .args(["--package", "skyfresh-placement", "--example", "evaluate"])
        .args(["--", "log", &lines.to_string()])
        .stdout(File::create(log).context("cannot make the log")?)
        .stderr(Stdio::piped())
        .output()
        .context("cannot make the log")?;
    let told = String::from_utf8_lossy(&output.stderr);
    let last = told.lines().last().unwrap_or_default();
    let truth: Value =
        serde_json::from_str(last).with_context(|| format!("the maker said {told}"))?;
    let regions = truth["regions"].as_array().context("no regions")?;
    let networks = regions.iter().enumerate().map(|(number, region)| {
        format!(
            "10.{number}.0.0/16,{}\n",
            region.as_str().unwrap_or_default()
        )
    });
    std::fs::write(directory.join("networks.csv"), networks.collect::<String>())
        .context("cannot write the networks")?;
    Ok(truth)
}

fn one(
    skyfresh: &Path,
    directory: &Path,
    (lines, by): (u64, &'static str),
    truth: &Value,
) -> Result<Run> {
    println!("advising: {lines} lines, by {by}");
    let log = directory.join("access.log");
    let log_bytes = log.metadata().context("no log")?.len();
    let start = Instant::now();
    let mut child = Command::new(skyfresh)
        .args(["place", "advise", "access.log", "--json", "--by", by])
        .args(["--clients", "networks.csv", "--html", "advice.html"])
        .args(["--at", STORE, "--regions", "aws", "--prices"])
        .arg(workspace::root().join("crates/placement/tables"))
        .current_dir(directory)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run skyfresh")?;
    let output = child.stdout.take().context("no output")?;
    // All is read, so that the process is not held up by a full pipe; the summary is the first line.
    let reader = std::thread::spawn(move || {
        let mut lines = BufReader::new(output).lines();
        let first = lines.next();
        for line in lines {
            line?;
        }
        first.unwrap_or_else(|| Ok(String::new()))
    });
    let mut usage = Usage {
        cpu_s: 0.0,
        peak_resident_bytes: 0,
    };
    let status = loop {
        // The greatest that it ever had is told up to the end, but for the last hundredths of a second.
        if let Ok(now) = Usage::of(child.id()) {
            usage = now;
        }
        match child.try_wait().context("cannot wait for skyfresh")? {
            Some(status) => break status,
            None => std::thread::sleep(LOOK_EVERY),
        }
    };
    let seconds = start.elapsed().as_secs_f64();
    let first = match reader.join() {
        Ok(first) => first.context("cannot read the advice")?,
        Err(_) => bail!("cannot read the advice"),
    };
    if !status.success() {
        bail!("skyfresh ended with {status}: {first}");
    }
    let told: Value = serde_json::from_str(&first).context("no summary")?;
    let summary = told["summary"].clone();
    let same = ["accesses", "failed", "others", "bad"]
        .iter()
        .all(|name| summary[*name] == truth[*name] && truth[*name].is_u64());
    Ok(Run {
        lines,
        by,
        log_bytes,
        seconds,
        cpu_s: usage.cpu_s,
        peak_mib: usage.peak_resident_bytes as f64 / f64::from(1 << 20),
        summary,
        same,
    })
}

fn tell(runs: &[Run]) -> Result<bool> {
    let most = runs.iter().map(|run| run.peak_mib).fold(0.0, f64::max);
    let usd =
        |run: &Run, name: &str| -> f64 { text(&run.summary, name).parse().unwrap_or(f64::NAN) };
    let large: Vec<&Run> = runs.iter().filter(|run| run.lines == RUNS[3].0).collect();
    let aims = vec![
        (
            "served, failed and other requests and bad lines are as many as the log's maker wrote"
                .into(),
            runs.iter().all(|run| run.same),
        ),
        (
            format!("at most {most:.0} MiB of memory, of {MEMORY_AIM_MIB} MiB"),
            most <= MEMORY_AIM_MIB,
        ),
        (
            "today's dollars are the same to the last digit however objects are grouped".into(),
            large
                .iter()
                .all(|run| run.summary["today_usd"] == large[0].summary["today_usd"]),
        ),
        (
            "placing objects one by one costs no more than placing them in groups".into(),
            large
                .iter()
                .all(|run| usd(large[large.len() - 1], "best_usd") <= usd(run, "best_usd")),
        ),
    ];
    let table = Table {
        heading: "From log to report".into(),
        columns: vec![
            "lines",
            "log, GB",
            "by",
            "seconds",
            "lines/s",
            "processor s",
            "peak MiB",
            "objects",
            "requests folded",
            "one size in",
            "groups",
            "today, $",
            "best, $",
            "moving, $",
        ],
        rows: runs
            .iter()
            .map(|run| {
                let count = |name: &str| run.summary[name].to_string();
                vec![
                    run.lines.to_string(),
                    format!("{:.2}", run.log_bytes as f64 / 1e9),
                    run.by.into(),
                    format!("{:.1}", run.seconds),
                    format!("{:.0}", run.lines as f64 / run.seconds),
                    format!("{:.1}", run.cpu_s),
                    format!("{:.0}", run.peak_mib),
                    count("objects"),
                    count("folded_accesses"),
                    count("one_size_in"),
                    count("groups"),
                    format!("{:.2}", usd(run, "today_usd")),
                    format!("{:.2}", usd(run, "best_usd")),
                    format!("{:.2}", usd(run, "moving_usd")),
                ]
            })
            .collect(),
    };
    let notes = vec![
        "`skyfresh place advise` as a process, from a log on the disk to its JSON and its HTML page: S3 server access logs, 75 stores of 25 regions, two threads where groups are placed, one where lines are read. Memory is the most that the process ever had resident.".into(),
        "The log is made (`crates/placement/examples/evaluate/log.rs`): thirty days, three million objects under six prefixes, ten regions. A million objects are held each (`--max-objects`), the requests of the rest are added to those of their prefix.".into(),
    ];
    publish(
        "placement-advise",
        "Advice from access logs",
        &aims,
        notes,
        table,
    )
}
