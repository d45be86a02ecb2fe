//! What tests did not do, by name.
//!
//! A test that lacks something it needs appends one line to the file that [`VARIABLE`] names, and returns. The list is
//! printed after the run: a skipped test is never taken for one that passed.

use crate::workspace;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Names the file that a test appends its `skipped: <test>: <why>` line to.
pub(crate) const VARIABLE: &str = "SKYFRESH_TEST_SKIP_LOG";

/// The skips of one run.
pub(crate) struct SkipLog {
    path: PathBuf,
}

impl SkipLog {
    /// Begins an empty list; of its own for each run, so that runs side by side do not mix.
    pub(crate) fn create() -> Result<SkipLog> {
        let directory = workspace::target().join("skipped");
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        let path = directory.join(format!("{}.log", std::process::id()));
        fs::write(&path, "").with_context(|| format!("cannot write {}", path.display()))?;
        Ok(SkipLog { path })
    }

    /// The file's path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What was skipped, each once.
    pub(crate) fn read(&self) -> Result<BTreeSet<String>> {
        let text = fs::read_to_string(&self.path)
            .with_context(|| format!("cannot read {}", self.path.display()))?;
        Ok(parse(&text))
    }
}

impl Drop for SkipLog {
    fn drop(&mut self) {
        // A file that stays is an empty trace under target/, no more.
        let _ = fs::remove_file(&self.path);
    }
}

fn parse(text: &str) -> BTreeSet<String> {
    text.lines()
        .map(|line| line.strip_prefix("skipped:").unwrap_or(line).trim())
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_skip_is_named_once_with_or_without_its_prefix() {
        let skips =
            parse("skipped: moto: no server\n\nmoto: no server\nskipped: boto3: no Python\n");
        assert_eq!(
            skips.into_iter().collect::<Vec<_>>(),
            ["boto3: no Python", "moto: no server"]
        );
    }
}
