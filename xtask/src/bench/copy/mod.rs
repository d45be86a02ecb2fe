//! `cargo xtask bench copy`: copying and comparing two S3 endpoints, against other tools and against what is possible.
//!
//! **In:** a release build of the product, the peers that can be installed here, two S3 servers in memory on loopback.
//! **Out:** wall time, processor time and peak memory of every tool for every work, in turn, as medians, in `docs/results/`.
//! **Never:** counts a run whose destination does not hold everything afterwards; leaves a peer out without saying so.

mod aims;
mod figure;
mod install;
mod measure;
mod page;
mod servers;
mod tools;
mod work;

use self::figure::Figure;
use self::install::Installed;
use self::measure::{Bare, Outcome};
use self::servers::{Pair, Servers};
use self::tools::{Row, Scene, Tool};
use self::work::Work;
use crate::cargo::{cargo, release_build};
use crate::{process, workspace};
use anyhow::{Context, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::path::PathBuf;

/// Measure cp and sync against other tools, and against a bare pipe from GET to PUT.
#[derive(clap::Args)]
pub(super) struct Copy {
    /// Only these works
    #[arg(long = "work", value_delimiter = ',', value_enum)]
    works: Vec<Work>,
    /// Only these tools
    #[arg(long, value_delimiter = ',', value_enum, ignore_case = true)]
    tools: Vec<Tool>,
    /// How often each tool does each work
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// What serves source and destination
    #[arg(long, value_enum, default_value = "localsky")]
    servers: Servers,
    /// Measure this program instead of a release build of this tree
    #[arg(long, value_name = "PATH")]
    skyfresh: Option<PathBuf>,
    /// Name of the file below docs/results/
    #[arg(long, default_value = "copy")]
    name: String,
}

/// What one row of a table came to.
struct Measured {
    row: Row,
    runs: Vec<Figure>,
    /// Why it has no figures, or no more of them.
    failure: Option<String>,
}

impl Measured {
    fn median(&self) -> Option<Figure> {
        match self.failure {
            None => Figure::median(&self.runs),
            Some(_) => None,
        }
    }
}

impl Copy {
    /// Runs every work; true where nothing of ours failed.
    pub(super) fn run(self) -> Result<bool> {
        raise_open_files_limit()?;
        let skyfresh = match &self.skyfresh {
            Some(path) => std::path::absolute(path).context("--skyfresh")?,
            None => release_build()?,
        };
        let bare = bare()?;
        let installed = Installed::ensure(self.servers, &self.chosen_tools())?;
        for line in installed.lines() {
            println!("{line}");
        }
        let mut tables = Vec::new();
        for work in self.chosen_works() {
            let measured = self.measure(work, &skyfresh, &bare, &installed)?;
            tables.push((work, measured));
        }
        let complete = tables
            .iter()
            .flat_map(|(_, rows)| rows)
            .all(|measured| measured.failure.is_none() || measured.row.tool != Tool::Skyfresh);
        let path =
            page::document(&tables, &installed, self.rounds, self.servers).publish(&self.name)?;
        println!("written to {}", path.display());
        Ok(complete)
    }

    fn chosen_works(&self) -> Vec<Work> {
        match self.works.is_empty() {
            true => Work::ALL.to_vec(),
            false => self.works.clone(),
        }
    }

    fn chosen_tools(&self) -> Vec<Tool> {
        match self.tools.is_empty() {
            true => Tool::ALL.to_vec(),
            false => self.tools.clone(),
        }
    }

    fn measure(
        &self,
        work: Work,
        skyfresh: &std::path::Path,
        bare: &Bare,
        installed: &Installed,
    ) -> Result<Vec<Measured>> {
        println!("\n{}: {}", work.letter(), work.describe());
        if work.link().is_some() && !self.servers.can_shape() {
            println!("  left out: these servers have no shaping; use --servers localsky");
            return Ok(Vec::new());
        }
        let pair = Pair::start(self.servers, skyfresh, installed, work)?;
        bare.fill(&pair, work)?;
        let scene = Scene {
            work,
            from: &pair.source,
            to: &pair.destination,
            bucket: servers::BUCKET,
            scratch: pair.scratch(),
            skyfresh,
            bare: bare.program(),
            installed,
        };
        let mut rows: Vec<Measured> = self
            .chosen_tools()
            .into_iter()
            .flat_map(|tool| tool.rows(&scene))
            .map(|row| Measured {
                row,
                runs: Vec::new(),
                failure: None,
            })
            .collect();
        // The servers' memory is fresh, which costs more than anything a tool does; and files are read for the first time.
        bare.warm_up(&pair, &scene)?;
        for round in 1..=self.rounds {
            for measured in &mut rows {
                if process::interrupted() {
                    bail!("interrupted");
                }
                if measured.failure.is_none() {
                    run_once(measured, work, bare, &pair)?;
                    println!("  {round}/{} {}", self.rounds, last(measured));
                }
            }
        }
        Ok(rows)
    }
}

/// One run of one row; what the tool does wrong is put down, not returned.
fn run_once(measured: &mut Measured, work: Work, bare: &Bare, pair: &Pair) -> Result<()> {
    let command = match &measured.row.command {
        Ok(command) => command,
        Err(why) => {
            measured.failure = Some(why.clone());
            return Ok(());
        }
    };
    if work.copies() {
        bare.empty(pair)?;
    }
    pair.clear_scratch()?;
    let log = pair.log(work, &measured.row.label);
    match bare.measure(command, pair, &log)? {
        Outcome::Failed(why) => measured.failure = Some(format!("failed: {why}")),
        Outcome::Done(figure) => {
            let held = bare.count(pair)?;
            if held == work.contents() {
                measured.runs.push(figure);
            } else {
                measured.failure = Some(format!(
                    "failed: the destination holds {} objects of {} bytes in all instead of {} of {}",
                    held.objects,
                    held.bytes,
                    work.contents().objects,
                    work.contents().bytes
                ));
            }
        }
    }
    Ok(())
}

fn last(measured: &Measured) -> String {
    let label = &measured.row.label;
    match (&measured.failure, measured.runs.last()) {
        (Some(failure), _) => format!("{label}: {failure}"),
        (None, Some(figure)) => format!("{label}: {figure}"),
        (None, None) => label.clone(),
    }
}

/// The client that measures, fills and checks, built as what it is compared with: a release build.
fn bare() -> Result<Bare> {
    let build = [
        "build",
        "--release",
        "--package",
        "xtask",
        "--example",
        "bare",
    ];
    if !process::run(&mut cargo(build))? {
        bail!("the release build of xtask's example `bare` failed; its message is above");
    }
    let path = workspace::target().join("release/examples/bare");
    Ok(Bare::new(path))
}

/// A thousand connections to a server are a thousand of its files, and as many of the tool's, twice.
fn raise_open_files_limit() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).context("cannot raise the limit of open files")
}
