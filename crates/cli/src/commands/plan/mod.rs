//! `skyfresh plan`: what would be done, what it would take and cost, without doing it.

mod replicate;

use crate::context::Context;
use crate::exit::Exit;

/// Show what would be done: every way, how long it would take, what it would cost, and which one wins
#[derive(Debug, clap::Args)]
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
