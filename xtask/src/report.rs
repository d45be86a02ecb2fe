//! A table of results, with what is needed to judge it: when, on what machine, by which command.

use crate::workspace;
use anyhow::{Context, Result};
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

/// What was measured.
pub(crate) struct Report {
    /// Heading.
    pub(crate) title: &'static str,
    /// What the figures mean and how they came about.
    pub(crate) notes: Vec<String>,
    /// Column headings.
    pub(crate) columns: Vec<&'static str>,
    /// As many cells in each row as there are columns.
    pub(crate) rows: Vec<Vec<String>>,
}

/// Several tables that were measured together.
pub(crate) struct Document {
    /// Heading.
    pub(crate) title: &'static str,
    /// What the figures mean and how they came about.
    pub(crate) notes: Vec<String>,
    /// In the order of the page.
    pub(crate) tables: Vec<Table>,
}

/// One of a document's tables.
pub(crate) struct Table {
    /// Heading.
    pub(crate) heading: String,
    /// Column headings.
    pub(crate) columns: Vec<&'static str>,
    /// As many cells in each row as there are columns.
    pub(crate) rows: Vec<Vec<String>>,
}

impl Report {
    /// Prints it, and writes it to `docs/results/<name>.md`.
    pub(crate) fn publish(&self, name: &str) -> Result<PathBuf> {
        publish(name, |date, machine, command| {
            self.markdown(date, machine, command)
        })
    }

    fn markdown(&self, date: &str, machine: &str, command: &str) -> String {
        let mut text = head(self.title, &self.notes, date, machine, command);
        text.push('\n');
        push_table(&mut text, &self.columns, &self.rows);
        text
    }
}

impl Document {
    /// Prints it, and writes it to `docs/results/<name>.md`.
    pub(crate) fn publish(&self, name: &str) -> Result<PathBuf> {
        publish(name, |date, machine, command| {
            self.markdown(date, machine, command)
        })
    }

    fn markdown(&self, date: &str, machine: &str, command: &str) -> String {
        let mut text = head(self.title, &self.notes, date, machine, command);
        for table in &self.tables {
            let _ = writeln!(text, "\n## {}\n", table.heading);
            push_table(&mut text, &table.columns, &table.rows);
        }
        text
    }
}

fn publish(name: &str, markdown: impl Fn(&str, &str, &str) -> String) -> Result<PathBuf> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let today = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    let command = format!("cargo xtask {}", arguments.join(" "));
    let text = markdown(&today, &machine()?, &command);
    let directory = workspace::root().join("docs").join("results");
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let path = directory.join(format!("{name}.md"));
    fs::write(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    print!("\n{text}\n");
    Ok(path)
}

fn head(title: &str, notes: &[String], date: &str, machine: &str, command: &str) -> String {
    let mut text = format!("# {title}\n\n");
    let _ = writeln!(text, "{date}, `{command}`, {machine}.\n");
    for note in notes {
        let _ = writeln!(text, "- {note}");
    }
    text
}

fn push_table(text: &mut String, columns: &[&str], rows: &[Vec<String>]) {
    let row = |cells: &[&str]| format!("| {} |", cells.join(" | "));
    let _ = writeln!(text, "{}", row(columns));
    let _ = writeln!(text, "{}", row(&vec!["---"; columns.len()]));
    for cells in rows {
        let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
        let _ = writeln!(text, "{}", row(&cells));
    }
}

/// `2 × <processor>, 8.0 GB, Linux 6.1`.
fn machine() -> Result<String> {
    let read = |path: &str| fs::read_to_string(path).with_context(|| format!("cannot read {path}"));
    let release = read("/proc/sys/kernel/osrelease")?;
    let cores = std::thread::available_parallelism()
        .context("cannot count the processors")?
        .get();
    Ok(describe_machine(
        &read("/proc/cpuinfo")?,
        &read("/proc/meminfo")?,
        release.trim(),
        cores,
    ))
}

fn describe_machine(cpuinfo: &str, meminfo: &str, release: &str, cores: usize) -> String {
    let field = |text: &'_ str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let model = field(cpuinfo, "model name").unwrap_or_else(|| "processor of unknown model".into());
    let memory_kib: Option<f64> =
        field(meminfo, "MemTotal").and_then(|text| text.trim_end_matches("kB").trim().parse().ok());
    let memory = memory_kib.map_or_else(
        || "unknown memory".into(),
        |kib| format!("{:.1} GB of memory", kib * 1024.0 / 1e9),
    );
    // What follows the first two numbers is the builder's own, and tells nothing to others.
    let version: Vec<&str> = release.split('.').take(2).collect();
    format!("{cores} × {model}, {memory}, Linux {}", version.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_when_where_and_how() {
        let report = Report {
            title: "Delay",
            notes: vec!["A note.".into()],
            columns: vec!["a", "b"],
            rows: vec![vec!["1".into(), "2".into()]],
        };
        let expected = "# Delay\n\n2026-11-21, `cargo xtask bench x`, a machine.\n\n- A note.\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n";
        assert_eq!(
            report.markdown("2026-11-21", "a machine", "cargo xtask bench x"),
            expected
        );
    }

    #[test]
    fn a_document_has_a_heading_for_each_table() {
        let table = |heading: &str| Table {
            heading: heading.into(),
            columns: vec!["a"],
            rows: vec![vec!["1".into()]],
        };
        let document = Document {
            title: "Delay",
            notes: vec!["A note.".into()],
            tables: vec![table("one"), table("two")],
        };
        let text = document.markdown("2026-11-21", "a machine", "cargo xtask bench x");
        let expected = "- A note.\n\n## one\n\n| a |\n| --- |\n| 1 |\n\n## two\n";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn the_machine_is_described_from_proc() {
        let text = describe_machine(
            "model name\t: Some CPU\n",
            "MemTotal:  8000000 kB\n",
            "6.1.0-41-amd64",
            2,
        );
        assert_eq!(text, "2 × Some CPU, 8.2 GB of memory, Linux 6.1");
        assert!(describe_machine("", "", "6.1", 2).contains("unknown memory"));
    }
}
