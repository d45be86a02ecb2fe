//! Carries a plan out in the simulated sky: a scenario and a trace are written, and `skyfresh sim` runs them.

use crate::cargo::cargo;
use crate::{process, workspace};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use skyfresh_plan::predict::{Host, Shape, Site};
use skyfresh_sky::{Region, Slo};
use std::fmt::Write as _;
use std::process::Command;

/// What is to be found out.
pub(super) struct Experiment<'a> {
    pub(super) source: &'a str,
    pub(super) destination: &'a Region,
    pub(super) size_bytes: u64,
    pub(super) slo: Slo,
    pub(super) site: &'a Site,
    pub(super) shape: Shape,
    pub(super) notification: &'a str,
    pub(super) state: &'a str,
    pub(super) objects: u64,
    pub(super) seeds: u64,
}

/// Over all seeds.
pub(super) struct Outcome {
    pub(super) p50_s: f64,
    pub(super) p99_s: f64,
    /// Half of the 95% interval of the mean of the seeds' p99.
    pub(super) p99_error_s: f64,
    pub(super) attained: f64,
    /// Of one object.
    pub(super) usd: f64,
    /// Whether every guarantee was kept and every change arrived.
    pub(super) kept: bool,
}

/// One object each so many ms: none waits for another.
const SPACING_MS: u64 = 20_000;

/// Builds the product that simulates.
pub(super) fn build() -> Result<()> {
    let arguments = ["build", "--release", "--quiet", "--package", "skyfresh-cli"];
    if !process::run(&mut cargo(arguments))? {
        bail!("the product does not build");
    }
    Ok(())
}

fn scenario(experiment: &Experiment<'_>) -> String {
    let (part_bytes, workers) = match experiment.shape {
        // The largest object that goes in one piece.
        Shape::Inline => (experiment.size_bytes.max(16 << 20), 1),
        Shape::Parts {
            workers,
            part_bytes,
        } => (part_bytes, workers),
    };
    let mut text = format!(
        "title = \"evaluation\"\nslo = \"{}\"\n[source]\nregion = \"{}\"\n[[destination]]\nregion = \"{}\"\n\
         [engine]\npart_bytes = {part_bytes}\nmax_workers = {workers}\nmax_parts_in_flight = 4096\nsweep_every_s = 86400\n\
         [state]\nservice = \"{}\"\n[notifications]\npath = \"{}\"\n",
        experiment.slo,
        experiment.source,
        experiment.destination,
        experiment.state,
        experiment.notification,
    );
    if let Host::Functions {
        platform,
        memory_mb,
    } = &experiment.site.host
    {
        let region = &experiment.site.region;
        let _ = write!(
            text,
            "[functions]\nplatform = \"{platform}\"\nregion = \"{region}\"\nmemory_mb = {memory_mb}\n"
        );
    }
    text
}

/// In the format that IBM publishes traces in.
fn trace(experiment: &Experiment<'_>) -> String {
    (0..experiment.objects).fold(String::new(), |mut text, index| {
        let (at_ms, size) = (index * SPACING_MS, experiment.size_bytes);
        let _ = writeln!(text, "{at_ms} REST.PUT.OBJECT object{index:05} {size}");
        text
    })
}

/// Runs it with each seed.
pub(super) fn run(experiment: &Experiment<'_>) -> Result<Outcome> {
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("scenario.toml"), scenario(experiment))?;
    std::fs::write(path("trace"), trace(experiment))?;
    let output = Command::new(workspace::target().join("release/skyfresh"))
        .args([
            "sim",
            "scenario.toml",
            "--trace",
            "trace",
            "--json",
            "--seeds",
        ])
        .arg(format!("0..{}", experiment.seeds))
        .current_dir(folder.path())
        .output()
        .context("cannot run skyfresh")?;
    let lines = String::from_utf8_lossy(&output.stdout);
    let reports: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("no JSON: {line}")))
        .collect::<Result<_>>()?;
    if reports.len() as u64 != experiment.seeds {
        bail!(
            "skyfresh sim gave {} reports: {}",
            reports.len(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    outcome(&reports, output.status.success())
}

fn outcome(reports: &[Value], kept: bool) -> Result<Outcome> {
    let each = |field: &str| -> Result<Vec<f64>> {
        let number = |report: &Value| {
            report[field]
                .as_f64()
                .with_context(|| format!("the report has no {field}: {report}"))
        };
        reports.iter().map(number).collect()
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (p99s, usd, events) = (each("p99_s")?, each("usd")?, each("events")?);
    Ok(Outcome {
        p50_s: mean(&each("p50_s")?),
        p99_s: mean(&p99s),
        p99_error_s: half_interval(&p99s),
        attained: mean(&each("slo_attainment")?),
        usd: usd.iter().sum::<f64>() / events.iter().sum::<f64>(),
        kept,
    })
}

/// Student's t at 97.5% for 1 to 9 degrees of freedom (any table of it); beyond, that of 10 is wide enough.
const T: [f64; 9] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262,
];

/// Half of the 95% interval of the mean of these values, at least two of them.
fn half_interval(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values
        .iter()
        .map(|value| (value - mean) * (value - mean))
        .sum::<f64>()
        / (count - 1.0);
    let t = T.get(values.len() - 2).copied().unwrap_or(2.228);
    t * (variance / count).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn seeds_are_averaged_and_their_spread_told() {
        let report = |p99: f64, usd: f64| json!({"p50_s": 1.0, "p99_s": p99, "usd": usd, "events": 10, "slo_attainment": 1.0});
        let both = outcome(&[report(2.0, 1.0), report(4.0, 2.0)], true).unwrap();
        assert_eq!((both.p50_s, both.p99_s, both.attained), (1.0, 3.0, 1.0));
        assert!((both.usd - 0.15).abs() < 1e-12);
        // Standard deviation √2, of a mean of two 1: t is 12.706.
        assert!((both.p99_error_s - 12.706).abs() < 1e-9);
        assert!(outcome(&[json!({"p50_s": 1.0})], true).is_err());
    }
}
