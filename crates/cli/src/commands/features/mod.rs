//! `skyfresh features`: tables of derived features, kept fresh by what their staleness costs.

mod history;
mod serve;
mod simulate;
mod status;

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
  skyfresh features serve -c features.toml
  skyfresh features status
  skyfresh features history --asof orders.csv --features carts:price_sum
  skyfresh features simulate --data metrics/ --policy regret,round-robin --budget .01,.1 --seeds 5"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Serve(serve::Args),
    Status(status::Args),
    History(history::Args),
    Simulate(simulate::Args),
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    match args.what {
        What::Serve(args) => serve::run(&args, context).await,
        What::Status(args) => status::run(&args, context).await,
        What::History(args) => tokio::task::block_in_place(|| history::run(&args, context)),
        What::Simulate(args) => tokio::task::block_in_place(|| simulate::run(&args, context)),
    }
}

impl Args {
    /// Whether it runs until it is stopped.
    pub(crate) fn is_daemon(&self) -> bool {
        matches!(self.what, What::Serve(_))
    }
}
