//! Carries plans out in the simulated sky: a scenario and a trace are written, and `skyfresh sim` runs them.

use super::{NOTIFICATION, SOURCE, STATE};
use crate::cargo::cargo;
use crate::{process, workspace};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use skyfresh_plan::predict::{Host, Shape, Site};
use skyfresh_sky::{Region, Slo};
use std::collections::HashMap;
use std::fmt::{Display, Write as _};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// A load of equally large objects, copied as planned.
#[derive(Clone, Debug)]
pub(super) struct Experiment {
    pub(super) destination: Region,
    pub(super) size_bytes: u64,
    pub(super) slo: Slo,
    pub(super) site: Site,
    pub(super) shape: Shape,
    /// How parts are given out, as scenarios call it.
    pub(super) dispatch: &'static str,
    /// Parts that one worker copies at once.
    pub(super) parts_in_flight: u32,
    pub(super) objects: u64,
}

/// What the runs of one scenario gave, one figure a seed.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    pub(super) p50_s: Vec<f64>,
    pub(super) p99_s: Vec<f64>,
    pub(super) p999_s: Vec<f64>,
    pub(super) p9999_s: Vec<f64>,
    pub(super) attained: Vec<f64>,
    /// Changes times destinations.
    pub(super) events: Vec<f64>,
    /// Of a change.
    pub(super) usd: Vec<f64>,
    pub(super) bytes_moved: Vec<f64>,
    /// Misses of the SLO: all; avoidable; told late; without room; by copying (`skyfresh sim --json`).
    pub(super) misses: Vec<[u64; 5]>,
    /// From the claim until the copy could be read, in seconds, in the order of the receipts.
    pub(super) took_s: Vec<Vec<f64>>,
    /// The same from the change on.
    pub(super) lag_s: Vec<Vec<f64>>,
    /// Whether every guarantee was kept and every change arrived.
    pub(super) kept: bool,
}

/// One scenario, its trace, and the seeds to run it with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Runs {
    pub(super) scenario: String,
    /// In the format that IBM publishes traces in; `None` where the scenario says what the load is.
    pub(super) trace: Option<String>,
    pub(super) seeds: u64,
}

/// One object each so many ms: none waits for another.
const SPACING_MS: u64 = 20_000;
/// Runs at once: each is a process of one thread.
const AT_ONCE: usize = 2;

/// Builds the product that simulates.
pub(super) fn build() -> Result<()> {
    let arguments = ["build", "--release", "--quiet", "--package", "skyfresh-cli"];
    if !process::run(&mut cargo(arguments))? {
        bail!("the product does not build");
    }
    Ok(())
}

/// What all scenarios begin with: from where to where, the ledger's service, how changes are told.
pub(super) fn surroundings(title: &str, slo: impl Display, destination: impl Display) -> String {
    format!(
        "title = \"{title}\"\nslo = \"{slo}\"\n[source]\nregion = \"{SOURCE}\"\n[[destination]]\nregion = \"{destination}\"\n\
         [state]\nservice = \"{STATE}\"\n[notifications]\npath = \"{NOTIFICATION}\"\n"
    )
}

impl Experiment {
    /// As a scenario, with a run for each seed.
    pub(super) fn runs(&self, seeds: u64) -> Runs {
        let trace = (0..self.objects).fold(String::new(), |mut text, index| {
            let (at_ms, size) = (index * SPACING_MS, self.size_bytes);
            let _ = writeln!(text, "{at_ms} REST.PUT.OBJECT object{index:05} {size}");
            text
        });
        Runs {
            scenario: self.scenario(),
            trace: Some(trace),
            seeds,
        }
    }

    fn scenario(&self) -> String {
        let (part_bytes, workers) = match self.shape {
            // The largest object that goes in one piece.
            Shape::Inline => (self.size_bytes.max(16 << 20), 1),
            Shape::Parts {
                workers,
                part_bytes,
            } => (part_bytes, workers),
        };
        let (dispatch, in_flight) = (self.dispatch, self.parts_in_flight);
        let mut text = surroundings("evaluation", self.slo, &self.destination);
        let _ = write!(
            text,
            "[engine]\npart_bytes = {part_bytes}\nmax_workers = {workers}\nparts_a_worker = 1\ndispatch = \"{dispatch}\"\n\
             parts_in_flight = {in_flight}\nmax_parts_in_flight = 4096\nsweep_every_s = 86400\n[load]\nkeep_receipts = true\n",
        );
        if let Host::Functions {
            platform,
            memory_mb,
        } = &self.site.host
        {
            let region = &self.site.region;
            let _ = write!(
                text,
                "[functions]\nplatform = \"{platform}\"\nregion = \"{region}\"\nmemory_mb = {memory_mb}\n"
            );
        }
        text
    }
}

/// Runs scenarios; what was run once is not run again, since it would be the same.
#[derive(Debug, Default)]
pub(super) struct Lab {
    known: Mutex<HashMap<Runs, Outcome>>,
}

impl Lab {
    /// The outcomes, in order.
    pub(super) fn run(&self, all: &[Runs]) -> Result<Vec<Outcome>> {
        let next = Mutex::new(0);
        let work = || -> Result<()> {
            loop {
                let index = {
                    let mut next = next.lock().unwrap_or_else(PoisonError::into_inner);
                    *next += 1;
                    *next - 1
                };
                let Some(runs) = all.get(index) else {
                    return Ok(());
                };
                if !self.known().contains_key(runs) {
                    let outcome = simulate(runs)?;
                    self.known().insert(runs.clone(), outcome);
                }
                println!("  {} of {} scenarios", index + 1, all.len());
            }
        };
        std::thread::scope(|scope| -> Result<()> {
            let others: Vec<_> = (1..AT_ONCE).map(|_| scope.spawn(work)).collect();
            let mine = work();
            for other in others {
                match other.join() {
                    Ok(result) => result?,
                    Err(_) => bail!("a thread that ran scenarios panicked"),
                }
            }
            mine
        })?;
        let known = self.known();
        all.iter()
            .map(|runs| known.get(runs).cloned().context("was just run"))
            .collect()
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<Runs, Outcome>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn simulate(runs: &Runs) -> Result<Outcome> {
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("scenario.toml"), &runs.scenario)?;
    let mut command = Command::new(workspace::target().join("release/skyfresh"));
    command
        .args(["sim", "scenario.toml", "--json", "--seeds"])
        .arg(format!("0..{}", runs.seeds))
        .current_dir(folder.path());
    if let Some(trace) = &runs.trace {
        std::fs::write(path("trace"), trace)?;
        command.args(["--trace", "trace"]);
    }
    let output = command.output().context("cannot run skyfresh")?;
    let lines = String::from_utf8_lossy(&output.stdout);
    let reports: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("no JSON: {line}")))
        .collect::<Result<_>>()?;
    if reports.len() as u64 != runs.seeds {
        bail!(
            "skyfresh sim gave {} reports: {}",
            reports.len(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    outcome(&reports, output.status.success())
}

fn outcome(reports: &[Value], kept: bool) -> Result<Outcome> {
    let mut all = Outcome {
        kept,
        ..Outcome::default()
    };
    for report in reports {
        let number = |field: &str| {
            let value = report[field].as_f64();
            value.with_context(|| format!("the report has no {field}: {report}"))
        };
        let events = number("events")?;
        all.p50_s.push(number("p50_s")?);
        all.p99_s.push(number("p99_s")?);
        all.p999_s.push(number("p999_s")?);
        all.p9999_s.push(number("p9999_s")?);
        all.attained.push(number("slo_attainment")?);
        all.usd.push(number("usd")? / events);
        all.events.push(events);
        all.bytes_moved.push(number("bytes_moved")?);
        let missed = |why: &str| report["misses"][why].as_u64().unwrap_or(0);
        let reasons = ["all", "avoidable", "told_late", "no_room", "copying"];
        all.misses.push(reasons.map(missed));
        let receipts = |field: &str| {
            let receipts = report["receipts"].as_array().into_iter().flatten();
            receipts
                .filter_map(|receipt| receipt[field].as_f64())
                .collect()
        };
        all.took_s.push(receipts("took_s"));
        all.lag_s.push(receipts("lag_s"));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reports_are_read_seed_by_seed() {
        let report = |p99: f64, usd: f64| {
            json!({
                "p50_s": 1.0, "p99_s": p99, "p999_s": 5.0, "p9999_s": 6.0, "usd": usd, "events": 10, "slo_attainment": 1.0,
                "bytes_moved": 7, "misses": {"all": 3, "avoidable": 1}, "receipts": [{"took_s": 0.5, "lag_s": 1.5}, {"took_s": 0.25, "lag_s": 1.25}],
            })
        };
        let both = outcome(&[report(2.0, 1.0), report(4.0, 2.0)], true).unwrap();
        assert_eq!(
            (&both.p99_s[..], &both.usd[..]),
            (&[2.0, 4.0][..], &[0.1, 0.2][..])
        );
        assert_eq!(both.misses, [[3, 1, 0, 0, 0]; 2]);
        assert_eq!(both.took_s, vec![vec![0.5, 0.25]; 2]);
        assert_eq!(both.lag_s, vec![vec![1.5, 1.25]; 2]);
        assert!(outcome(&[json!({"p50_s": 1.0})], true).is_err());
    }
}
