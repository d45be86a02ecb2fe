//! `cargo xtask eval stores`: every backend against the conformance suite, as one table.

use crate::{test, workspace};
use anyhow::{Context, Result};
use serde_json::Value;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// Run the conformance suite on every store and write docs/stores.md.
#[derive(clap::Args)]
pub(crate) struct Stores {}

/// Names the directory that the suite keeps its reports in.
const REPORTS: &str = "SKYFRESH_TEST_REPORTS";

/// A column of the table: its head, and where its value stands in the capability record.
const CAPABILITIES: [(&str, &str); 15] = [
    ("PUT if absent", "put_if_absent"),
    ("PUT over version", "put_if_version"),
    ("complete if absent", "complete_if_absent"),
    ("complete over version", "complete_if_version"),
    ("DELETE of version", "delete_if_version"),
    ("DELETE of many", "batch_delete"),
    ("GET of version", "get_if_version"),
    ("copy", "copy"),
    ("copy range", "copy_part"),
    ("copy from URL", "pull"),
    ("multipart", "multipart"),
    ("list uploads", "list_uploads"),
    ("tags", "tags"),
    ("versions", "versioned"),
    ("bytes proved by", "verification"),
];

impl Stores {
    /// Runs the suites; true where all of them passed.
    pub(crate) fn run(self) -> Result<bool> {
        let directory = workspace::target().join("conformance");
        if directory.exists() {
            fs::remove_dir_all(&directory)
                .with_context(|| format!("cannot empty {}", directory.display()))?;
        }
        let arguments = ["-E", "test(conforms)"].map(str::to_owned);
        let outcome = test::run_with(&arguments, &[(REPORTS, &directory)])?;
        let table = table(&read(&directory)?)?;
        let path = workspace::root().join("docs").join("stores.md");
        fs::write(&path, &table).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{table}\nwritten to docs/stores.md");
        outcome.print_summary()?;
        Ok(outcome.passed)
    }
}

/// All reports, in the order of their names.
fn read(directory: &Path) -> Result<Vec<Value>> {
    let mut paths = fs::read_dir(directory)
        .with_context(|| format!("no suite has left a report in {}", directory.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            serde_json::from_slice(&text)
                .with_context(|| format!("{} is no report", path.display()))
        })
        .collect()
}

fn table(reports: &[Value]) -> Result<String> {
    let mut text = String::from(
        "# Stores\n\nWritten by `cargo xtask eval stores`: the capability record of each store as its probe finds it, and how it \
         fared in\nthe conformance suite (`crates/store/src/conformance`). Servers are the pinned ones of `cargo xtask test`; \
         `localsky` is\nour own. `ignored` means that a false condition was accepted: writing under it protects nothing, and \
         `skyfresh doctor`\nsays so.\n\n| store |",
    );
    for (head, _) in CAPABILITIES {
        write!(text, " {head} |")?;
    }
    text.push_str(" part bytes, parts | cases ok | not supported | left out |\n|---|");
    text.push_str(&"---|".repeat(CAPABILITIES.len() + 4));
    for report in reports {
        write!(text, "\n| {} |", name(report))?;
        for (_, field) in CAPABILITIES {
            write!(text, " {} |", value(&report["capabilities"][field]))?;
        }
        let limits = &report["capabilities"]["upload_limits"];
        write!(
            text,
            " {} to {}, {} |",
            bytes(&limits["min_part_bytes"]),
            bytes(&limits["max_part_bytes"]),
            limits["max_parts"]
        )?;
        for outcome in ["passed", "not_supported", "skipped"] {
            write!(text, " {} |", cases(report, outcome).len())?;
        }
    }
    text.push_str("\n\n## What was left out, and why\n");
    for report in reports {
        let skipped = cases(report, "skipped");
        let unsupported = cases(report, "not_supported");
        if skipped.is_empty() && unsupported.is_empty() {
            continue;
        }
        write!(text, "\n**{}**\n\n", name(report))?;
        for (case, why) in skipped {
            writeln!(text, "- `{case}`: {why}")?;
        }
        for (case, what) in unsupported {
            writeln!(text, "- `{case}`: not supported: {what}")?;
        }
    }
    Ok(text)
}

fn name(report: &Value) -> &str {
    report["backend"].as_str().unwrap_or_default()
}

/// Cases that ended in one way, each with its reason.
fn cases<'a>(report: &'a Value, outcome: &str) -> Vec<(&'a str, &'a str)> {
    let rows = report["rows"].as_array().into_iter().flatten();
    rows.filter_map(|row| {
        let case = row["case"].as_str()?;
        match &row["outcome"] {
            Value::String(ended) => (ended == outcome).then_some((case, "")),
            ended => Some((case, ended.get(outcome)?.as_str()?)),
        }
    })
    .collect()
}

fn value(value: &Value) -> String {
    match value {
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "–".into(),
        Value::String(text) if text == "enforced" => "yes".into(),
        Value::String(text) if text == "ignored" => "**ignored**".into(),
        Value::String(text) if text == "unsupported" => "–".into(),
        Value::String(text) => text.replace('_', " "),
        Value::Null => "–".into(),
        Value::Object(batch) => match batch.get("if_version") {
            Some(Value::String(text)) if text == "enforced" => most_keys(batch),
            _ => format!("{}, without conditions", most_keys(batch)),
        },
        other => other.to_string(),
    }
}

/// How many objects one request deletes.
fn most_keys(batch: &serde_json::Map<String, Value>) -> String {
    batch.get("most_keys").unwrap_or(&Value::Null).to_string()
}

fn bytes(value: &Value) -> String {
    match value.as_u64() {
        Some(u64::MAX) => "any".into(),
        Some(bytes) if bytes >= 1 << 30 && bytes % (1 << 30) == 0 => format!("{} GiB", bytes >> 30),
        Some(bytes) if bytes >= 1 << 20 => format!("{} MiB", bytes >> 20),
        Some(bytes) => format!("{bytes} B"),
        None => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_report_becomes_a_line_and_its_reasons() {
        let report = json!({
            "backend": "moto",
            "capabilities": {
                "put_if_absent": "enforced", "put_if_version": "ignored", "tags": false, "verification": "etag_md5",
                "batch_delete": { "most_keys": 1000, "if_version": "ignored" },
                "upload_limits": { "min_part_bytes": 5 << 20, "max_part_bytes": u64::MAX, "max_parts": 10_000 },
            },
            "rows": [
                { "case": "put", "outcome": "passed" },
                { "case": "race", "outcome": { "skipped": "two winners" } },
                { "case": "tags", "outcome": { "not_supported": "tags" } },
            ],
        });
        let text = table(&[report]).unwrap();
        assert!(text.contains("| moto | yes | **ignored** |"), "{text}");
        assert!(text.contains("| 1000, without conditions |"), "{text}");
        assert!(
            text.contains("| etag md5 | 5 MiB to any, 10000 | 1 | 1 | 1 |"),
            "{text}"
        );
        assert!(
            text.contains("- `race`: two winners\n- `tags`: not supported: tags"),
            "{text}"
        );
    }
}
