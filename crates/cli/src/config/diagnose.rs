//! Errors in a configuration file, shown where they are.

use std::ops::Range;
use std::path::Path;

/// What is wrong with a configuration, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ConfigError {
    /// File, line, column, what is wrong, and the line itself.
    pub(crate) message: String,
    /// What to do next.
    pub(crate) hints: Vec<String>,
}

impl ConfigError {
    /// The file cannot be read.
    pub(crate) fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        ConfigError {
            message: format!("{}: {error}", path.display()),
            hints: vec![
                "give the path of a configuration with -c; skyfresh.example.toml is one to start from".into(),
            ],
        }
    }
}

/// A file under examination.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    /// Its name, for messages.
    pub(crate) name: &'a str,
    /// Its content.
    pub(crate) text: &'a str,
}

impl Source<'_> {
    /// What the TOML reader found.
    pub(crate) fn error_of_toml(&self, error: &toml::de::Error) -> ConfigError {
        self.error_at(error.span(), error.message())
    }

    /// An error at a place in the file.
    pub(crate) fn error_at(&self, span: Option<Range<usize>>, what: &str) -> ConfigError {
        let what = what.trim().replace('\n', "; ");
        let Some(span) = span else {
            return ConfigError {
                message: format!("{}: {what}", self.name),
                hints: Vec::new(),
            };
        };
        let start = span.start.min(self.text.len());
        let before = &self.text.as_bytes()[..start];
        let line_start = before
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let line_number = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let line = self
            .text
            .get(line_start..)
            .unwrap_or_default()
            .lines()
            .next()
            .unwrap_or_default();
        let column = self
            .text
            .get(line_start..start)
            .map_or(1, |prefix| prefix.chars().count() + 1);
        let shown = without_secrets(line);
        let marked = line
            .get(start - line_start..)
            .unwrap_or_default()
            .len()
            .min(span.len())
            .max(1);
        // A mark below what was left out would point at nothing.
        let marked = marked.min(shown.len().saturating_sub(start - line_start).max(1));
        let gutter = line_number.to_string();
        let indent = " ".repeat(gutter.len());
        let message = format!(
            "{}:{line_number}:{column}: {what}\n {indent} |\n {gutter} | {}\n {indent} | {}{}",
            self.name,
            shown.replace('\t', " "),
            " ".repeat(column - 1),
            "^".repeat(marked),
        );
        ConfigError {
            message,
            hints: Vec::new(),
        }
    }
}

/// A line without the value of anything that sounds like a secret. A misspelt field is still one.
fn without_secrets(line: &str) -> String {
    const WORDS: [&str; 8] = [
        "secret",
        "token",
        "password",
        "key",
        "credential",
        "auth",
        "azure",
        "sas",
    ];
    let lower = line.to_ascii_lowercase();
    // An address may carry a password: scheme://user:password@host.
    let address = lower
        .split_once("://")
        .is_some_and(|(_, rest)| rest.contains('@'));
    match line.find('=') {
        Some(at) if address || WORDS.iter().any(|word| lower.contains(word)) => {
            format!("{}= ***", &line[..at])
        }
        _ => line.to_owned(),
    }
}
