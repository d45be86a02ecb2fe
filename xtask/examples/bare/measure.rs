//! A program's wall time, processor time and peak memory, by `getrusage` of this process's children: it has one, and its
//! own are counted with it. This process is small on purpose: Linux counts the memory of the process that starts a program
//! as the program's first peak.

use anyhow::{Context, Result};
use nix::sys::resource::{UsageWho, getrusage};
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

pub(crate) fn run(report: &Path, command: &[OsString]) -> Result<()> {
    let (program, arguments) = command.split_first().context("no program was given")?;
    let start = Instant::now();
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start {}", program.to_string_lossy()))?;
    let wall_s = start.elapsed().as_secs_f64();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("cannot ask what it used")?;
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    let measured = serde_json::json!({
        "exit": status.to_string(),
        "success": status.success(),
        "wall_s": wall_s,
        "cpu_s": seconds(usage.user_time()) + seconds(usage.system_time()),
        // Linux gives it in KiB.
        "peak_bytes": usage.max_rss() * 1024,
    });
    std::fs::write(report, measured.to_string())
        .with_context(|| format!("cannot write {}", report.display()))
}
