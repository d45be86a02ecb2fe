//! `skyfresh plan`: what would be done, what it would take and cost, without doing it.

mod ask;
mod overlay;
mod pareto;
mod replicate;

pub(crate) use ask::parse_usd;

use crate::context::Context;
use crate::exit::Exit;

/// Show what would be done: every way, how long it would take, what it would cost, and which one wins
///
/// With regions it plans a bulk transfer over an overlay of machines, to one destination or many: the cheapest within a deadline or at a throughput, or the fastest for a budget. `plan pareto` shows what more throughput costs, `plan replicate` the ways of a single change.
///
/// Exits with 1 where nothing does what was asked.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    verbatim_doc_comment
)]
#[command(after_help = "\
Examples:
  skyfresh plan aws:us-east-1 gcp:europe-west1 --size 1TB --deadline 10m
  skyfresh plan gcp:asia-southeast1 azure:eastasia aws:ap-southeast-2 aws:sa-east-1 --size 100GB --vms 2 --deadline 2m --map plan.svg
  skyfresh plan azure:westus aws:eu-west-1 --size 50GB --budget 6 --json
  skyfresh plan pareto azure:westus aws:eu-west-1 --size 50GB --svg frontier.svg
  skyfresh plan replicate aws:us-east-1 gcp:us-central1 --size 1GB --slo 10s@p99")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    overlay: overlay::OverlayArgs,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Replicate(replicate::Args),
    Pareto(pareto::Args),
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    match &args.what {
        Some(What::Replicate(args)) => replicate::run(args, context),
        Some(What::Pareto(args)) => pareto::run(args, context),
        None => overlay::run(&args.overlay, context),
    }
}
