//! `skyfresh relay rm`.

use crate::context::Context;
use crate::exit::Exit;
use crate::rented::{MachineLine, Renting};
use std::path::PathBuf;

/// Give back machines that were rented for relays
///
/// Jobs give theirs back by themselves, and a machine ends by itself after its longest life: this is for what is left when neither
/// happened or a provider keeps what has shut down, or for ending a job's machines at once. A job that still runs leads round relays
/// that are gone.
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("which").required(true),
    after_help = "\
Examples:
  skyfresh relay rm machines.toml --expired
  skyfresh relay rm machines.toml --job 00c0ffee00c0ffee
  skyfresh relay rm machines.toml --all --json"
)]
pub(super) struct Args {
    /// The file that says what is rented where, as `--relays rented:FILE` takes it
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Those that should be gone by themselves and are not, those that only stand still included
    #[arg(long, group = "which")]
    expired: bool,

    /// Those of this job
    #[arg(long, value_name = "JOB", group = "which")]
    job: Option<String>,

    /// All of them, those of jobs that run included
    #[arg(long, group = "which")]
    all: bool,
}

pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let renting = Renting::read(&args.file, None)?;
    let cloud = renting.cloud(context)?;
    let now = context.clock.now();
    let (machines, complete) = renting.find(context).await?;
    let chosen: Vec<_> = machines
        .iter()
        .filter(|machine| machine.is_there())
        .filter(|machine| match &args.job {
            Some(job) => machine.tags.job == *job,
            None => args.all || machine.is_expired(now),
        })
        .collect();
    let output = &context.output;
    let mut exit = if complete { Exit::Ok } else { Exit::Failed };
    for machine in &chosen {
        // One that cannot be given back does not keep the others.
        match cloud.terminate(&machine.region, &machine.id).await {
            Ok(()) if output.json => output.json_line(&MachineLine::of(machine, now))?,
            Ok(()) => output.line(format_args!(
                "{} in {}: given back",
                machine.id, machine.region
            )),
            Err(error) => {
                output.note(format_args!("{}: {error}", machine.id));
                exit = Exit::Failed;
            }
        }
    }
    if chosen.is_empty() && complete {
        output.note("there is nothing to give back");
    }
    Ok(exit)
}
