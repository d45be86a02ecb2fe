//! What the suite found.

use crate::Capabilities;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

/// How one case ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The store did what it must.
    Passed,
    /// The store does not offer this, and says so; where that could be checked, it was.
    NotSupported(String),
    /// The caller asked to leave it out, for this reason.
    Skipped(String),
    /// The store did otherwise.
    Failed(String),
}

/// One line of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The case's name.
    pub case: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// What the suite found about one backend. Displayed as a table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The backend's name.
    pub backend: String,
    /// What it can do, as probed; `None` where the probe failed.
    pub capabilities: Option<Capabilities>,
    /// The cases, in order.
    pub rows: Vec<Row>,
}

impl Report {
    /// Whether nothing failed. Says nothing about what was skipped or not supported: see [`Report::rows`].
    pub fn passed(&self) -> bool {
        !self
            .rows
            .iter()
            .any(|row| matches!(row.outcome, Outcome::Failed(_)))
    }

    /// Writes it as JSON into `directory`, under the backend's name.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, directory: &Path) -> std::io::Result<()> {
        let name: String = self
            .backend
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        std::fs::create_dir_all(directory)?;
        let json = serde_json::to_vec_pretty(self).map_err(std::io::Error::other)?;
        std::fs::write(directory.join(format!("{name}.json")), json)
    }

    /// Whether every case ran and passed.
    pub fn complete(&self) -> bool {
        self.rows.iter().all(|row| row.outcome == Outcome::Passed)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self
            .rows
            .iter()
            .map(|row| row.case.len())
            .max()
            .unwrap_or(0);
        let mut counts = [0usize; 4];
        writeln!(f, "{}", self.backend)?;
        for row in &self.rows {
            let (index, text) = match &row.outcome {
                Outcome::Passed => (0, "ok".to_owned()),
                Outcome::NotSupported(what) => (1, format!("not supported: {what}")),
                Outcome::Skipped(reason) => (2, format!("skipped: {reason}")),
                Outcome::Failed(why) => (3, format!("FAILED: {why}")),
            };
            counts[index] += 1;
            writeln!(f, "  {:width$}  {text}", row.case)?;
        }
        let [passed, not_supported, skipped, failed] = counts;
        write!(
            f,
            "  {passed} ok, {not_supported} not supported, {skipped} skipped, {failed} failed"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_a_table_and_only_failures_fail_it() {
        let row = |case: &str, outcome| Row {
            case: case.to_owned(),
            outcome,
        };
        let mut report = Report {
            backend: "disk".into(),
            capabilities: None,
            rows: vec![
                row("put", Outcome::Passed),
                row("versions", Outcome::NotSupported("version ids".into())),
            ],
        };
        assert!(report.passed() && !report.complete());
        report
            .rows
            .push(row("race", Outcome::Failed("two winners".into())));
        assert!(!report.passed());
        assert_eq!(
            report.to_string(),
            "disk\n  put       ok\n  versions  not supported: version ids\n  race      FAILED: two winners\n  \
             1 ok, 1 not supported, 0 skipped, 1 failed"
        );
    }
}
