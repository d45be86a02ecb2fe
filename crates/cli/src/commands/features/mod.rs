//! `skyfresh features`: tables of derived features, kept fresh by what their staleness costs.

mod simulate;

use crate::context::Context;
use crate::exit::Exit;

/// Keep tables of features fresh by what their staleness costs, and find out what that is worth
///
/// docs/features.md describes it.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  skyfresh features simulate --data metrics/ --policy regret,round-robin --budget .01,.1 --seeds 5"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Simulate(simulate::Args),
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    match args.what {
        What::Simulate(args) => tokio::task::block_in_place(|| simulate::run(&args, context)),
    }
}
