//! Running things with the bare client: filling, emptying and counting buckets, and measuring a program.

use super::figure::Figure;
use super::servers::{BUCKET, Pair};
use super::tools::{Invocation, Scene, limit};
use super::work::{Contents, Work};
use crate::process::{Group, run};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A tool that takes longer is given up.
const TIME_LIMIT: Duration = Duration::from_secs(300);

/// How often a running tool is looked at. Its times are taken by its parent, which waits for it.
const POLL: Duration = Duration::from_millis(10);

/// Connections that fill a bucket.
const FILLING: &str = "32";

/// `xtask/examples/bare`, built.
pub(super) struct Bare {
    program: PathBuf,
}

/// How a run ended.
pub(super) enum Outcome {
    Done(Figure),
    Failed(String),
}

/// What `bare measure` writes down.
#[derive(Deserialize)]
struct Report {
    exit: String,
    success: bool,
    #[serde(flatten)]
    figure: Figure,
}

impl Bare {
    pub(super) fn new(program: PathBuf) -> Bare {
        Bare { program }
    }

    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    fn command(&self, pair: &Pair) -> Command {
        let mut command = Command::new(&self.program);
        pair.set_environment(&mut command);
        command
    }

    /// Fills the source and, where nothing is to be copied, then the destination: so its objects are the newer ones.
    pub(super) fn fill(&self, pair: &Pair, work: Work) -> Result<()> {
        let (objects, bytes) = work.objects();
        let sides: &[&str] = match work.copies() {
            true => &[&pair.source],
            false => &[&pair.source, &pair.unshaped_destination],
        };
        for side in sides {
            let mut fill = self.command(pair);
            fill.args(["fill", "--at", side, "--bucket", BUCKET])
                .args(["--objects", &objects.to_string()])
                .args(["--bytes", &bytes.to_string()])
                .args(["--connections", FILLING]);
            if !run(&mut fill)? {
                bail!("the bucket of {side} could not be filled; the message is above");
            }
        }
        Ok(())
    }

    pub(super) fn empty(&self, pair: &Pair) -> Result<()> {
        let mut empty = self.command(pair);
        empty.args([
            "empty",
            "--at",
            &pair.unshaped_destination,
            "--bucket",
            BUCKET,
        ]);
        if !run(&mut empty)? {
            bail!("the destination could not be emptied; the message is above");
        }
        Ok(())
    }

    /// What the destination holds.
    pub(super) fn count(&self, pair: &Pair) -> Result<Contents> {
        let mut count = self.command(pair);
        count.args([
            "count",
            "--at",
            &pair.unshaped_destination,
            "--bucket",
            BUCKET,
        ]);
        let output = count.stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            bail!("the destination could not be listed; the message is above");
        }
        serde_json::from_slice(&output.stdout).context("bare count printed no JSON")
    }

    /// One run of the bare pipe that is not counted.
    pub(super) fn warm_up(&self, pair: &Pair, scene: &Scene<'_>) -> Result<()> {
        let log = pair.log(scene.work, "warm-up");
        for row in limit::rows(scene).iter().take(1) {
            if let Ok(invocation) = &row.command
                && let Outcome::Failed(why) = self.measure(invocation, pair, &log)?
            {
                bail!("the bare pipe failed: {why}; see {}", log.display());
            }
        }
        Ok(())
    }

    /// Runs a tool to its end.
    pub(super) fn measure(
        &self,
        invocation: &Invocation,
        pair: &Pair,
        log: &Path,
    ) -> Result<Outcome> {
        let report = log.with_extension("json");
        // What an earlier run wrote must not be taken for this one's.
        let _ = fs::remove_file(&report);
        let output =
            File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = self.command(pair);
        command
            .arg("measure")
            .arg("--report")
            .arg(&report)
            .arg("--")
            .args(&invocation.words)
            .envs(
                invocation
                    .environment
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .current_dir(pair.scratch())
            .stdout(output.try_clone()?)
            .stderr(output);
        let mut group = Group::spawn(&mut command)?;
        let deadline = Instant::now() + TIME_LIMIT;
        while group.try_wait()?.is_none() {
            if Instant::now() > deadline {
                group.stop()?;
                let why = format!("not done after {} s", TIME_LIMIT.as_secs());
                return Ok(Outcome::Failed(why));
            }
            std::thread::sleep(POLL);
        }
        let Ok(text) = fs::read_to_string(&report) else {
            return Ok(Outcome::Failed(complaint(log)));
        };
        let report: Report = serde_json::from_str(&text).context("bare measure wrote no JSON")?;
        if !report.success {
            let why = format!("{}: {}", report.exit, complaint(log));
            return Ok(Outcome::Failed(why));
        }
        Ok(Outcome::Done(report.figure))
    }
}

/// What a tool said of its failure, short enough for a table.
fn complaint(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    shorten(&String::from_utf8_lossy(&text))
}

/// The first line that calls itself an error, else the last: some say how to ask for help at the end.
fn shorten(text: &str) -> String {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let error = lines
        .clone()
        .find(|line| line.to_ascii_lowercase().starts_with("error"));
    let line = error.or(lines.next_back()).unwrap_or("it said nothing");
    line.trim().replace('|', "/").chars().take(160).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_by_one_line() {
        assert_eq!(shorten("a\n\n b|c \n\n"), "b/c");
        assert_eq!(shorten("a\nerror: b\nhint: c\n"), "error: b");
        assert_eq!(shorten("\n"), "it said nothing");
        assert_eq!(shorten(&"x".repeat(500)).len(), 160);
    }

    #[test]
    fn what_the_bare_client_writes_is_read() {
        let text = r#"{"exit":"exit status: 0","success":true,"wall_s":0.5,"cpu_s":0.25,"peak_bytes":1024}"#;
        let report: Report = serde_json::from_str(text).expect("its form");
        assert!(
            report.success && report.figure.wall_s == 0.5 && report.figure.peak_bytes == 1024.0
        );
    }
}
