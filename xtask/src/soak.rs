//! `cargo xtask soak`: storms of faults for as long as there is time, going on where the last one stopped.

use crate::cargo::cargo;
use crate::{process, workspace};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Run storms of faults, seed after seed; goes on where the last soak stopped.
#[derive(clap::Args)]
pub(crate) struct Soak {
    /// Seeds from 0 up to this one
    #[arg(long, value_name = "N", default_value = "1000000")]
    seeds: u64,
    /// Stop after so many minutes
    #[arg(long, value_name = "M")]
    minutes: Option<u64>,
    /// Begin at 0 again
    #[arg(long)]
    restart: bool,
}

/// Seeds between two looks at the clock, each of which is remembered.
const CHUNK: u64 = 2_000;

/// What is remembered between soaks, in `target/soak.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    /// Every seed below it was run.
    next: u64,
    /// Those that broke a guarantee, with what was broken.
    failed: Vec<String>,
}

fn path() -> PathBuf {
    workspace::target().join("soak.json")
}

fn load(restart: bool) -> Result<State> {
    match std::fs::read(path()) {
        Ok(text) if !restart => serde_json::from_slice(&text).with_context(|| {
            format!(
                "{} cannot be read; begin again with --restart",
                path().display()
            )
        }),
        _ => Ok(State::default()),
    }
}

fn save(state: &State) -> Result<()> {
    let text = serde_json::to_vec_pretty(state)?;
    std::fs::write(path(), text).with_context(|| format!("cannot write {}", path().display()))
}

impl Soak {
    /// Runs them; true where every guarantee held, in earlier soaks too.
    pub(crate) fn run(self) -> Result<bool> {
        let build = ["build", "--release", "--quiet", "--package", "skyfresh-sim"];
        if !process::run(&mut cargo(build.into_iter().chain(["--example", "storm"])))? {
            bail!("the simulator does not build");
        }
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let limit = self
            .minutes
            .map(|minutes| Duration::from_secs(60 * minutes));
        let (mut state, begun) = (load(self.restart)?, Instant::now());
        if state.next > 0 {
            println!("going on at seed {}", state.next);
        }
        let first = state.next;
        while state.next < self.seeds
            && limit.is_none_or(|limit| begun.elapsed() < limit)
            && !process::interrupted()
        {
            let to = (state.next + CHUNK).min(self.seeds);
            let program = workspace::target().join("release/examples/storm");
            let output = std::process::Command::new(&program)
                .args(["seeds", &state.next.to_string(), &to.to_string()])
                .arg(threads.to_string())
                .stderr(Stdio::inherit())
                .output()
                .with_context(|| format!("cannot run {}", program.display()))?;
            let text = String::from_utf8_lossy(&output.stdout);
            let failed = text.lines().filter(|line| line.starts_with("seed "));
            let before = state.failed.len();
            state.failed.extend(failed.map(str::to_owned));
            let ended = output.status.success() || state.failed.len() > before;
            if !ended || process::interrupted() {
                break;
            }
            for line in &state.failed[before..] {
                println!("{line}");
            }
            state.next = to;
            save(&state)?;
            let per_s = (state.next - first) as f64 / begun.elapsed().as_secs_f64();
            println!(
                "{to} seeds, {} failed, {per_s:.0} a second",
                state.failed.len()
            );
        }
        println!(
            "{} of {} seeds were run, {} broke a guarantee; replay one with\n  cargo run --release -p skyfresh-cli -- sim scenarios/storm.toml --seed N",
            state.next,
            self.seeds,
            state.failed.len()
        );
        Ok(state.failed.is_empty())
    }
}
