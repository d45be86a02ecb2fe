//! `skyfresh plan`: what would be done, what it would take and cost, without doing it.

mod replicate;

use crate::context::Context;
use crate::exit::Exit;

/// Show what would be done: every way, how long it would take, what it would cost, and which one wins
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  skyfresh plan replicate aws:us-east-1 gcp:us-central1 --size 1GB --slo 10s@p99
  skyfresh plan replicate aws:us-east-1 azure:eastus gcp:europe-west1 --size 100MB --slo 60s --all
  skyfresh plan replicate aws:us-east-1 aws:eu-west-1 --size 5MB --changes 20/min --budget 50/month --json")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Replicate(replicate::Args),
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    match &args.what {
        What::Replicate(args) => replicate::run(args, context),
    }
}
