//! `cargo xtask bench plan`: how long planning takes.

use crate::cargo::cargo;
use crate::report::Report;
use anyhow::{Context, Result, bail};
use skyfresh_sky::format_bytes;
use std::process::Stdio;

/// Measure how long the planner takes: the first plan of a kind, and later ones.
#[derive(clap::Args)]
pub(crate) struct Plan {}

impl Plan {
    /// Runs it; true where it ran to its end.
    pub(crate) fn run(self) -> Result<bool> {
        let output = cargo(["run", "--release", "--quiet", "--package", "skyfresh-plan"])
            .args(["--example", "speed"])
            .stderr(Stdio::inherit())
            .output()
            .context("cannot run the planner")?;
        if !output.status.success() {
            bail!("the planner did not run to its end: {}", output.status);
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let rows = text.lines().skip(1).map(row).collect::<Result<_>>()?;
        let report = Report {
            title: "How long planning takes",
            notes: vec![
                "From AWS us-east-1 to GCP us-central1, by functions at either end; 19,000 plans of sizes that differ by up to a tenth, the lane taught by 500 receipts.".into(),
                "First: draws the transfers of every shape at about this size, once a process. Later plans look them up.".into(),
            ],
            columns: vec!["size", "SLO", "candidates", "first, ms", "p50, µs", "p99, µs", "longest, µs"],
            rows,
        };
        report.publish("plan")?;
        Ok(true)
    }
}

fn row(line: &str) -> Result<Vec<String>> {
    let mut cells: Vec<String> = line.split(',').map(str::to_owned).collect();
    if cells.len() != 7 {
        bail!("the planner printed {line}");
    }
    let bytes = cells[0]
        .parse()
        .with_context(|| format!("no size: {line}"))?;
    cells[0] = format_bytes(bytes);
    Ok(cells)
}

#[cfg(test)]
mod tests {
    use super::row;

    #[test]
    fn a_line_becomes_a_row() {
        assert_eq!(
            row("1048576,5s@p99,2,1.0,7.3,8.2,9.0").unwrap()[..2],
            ["1.0 MiB", "5s@p99"]
        );
        assert!(row("1,2").is_err());
        assert!(row("a,5s@p99,2,1.0,7.3,8.2,9.0").is_err());
    }
}
