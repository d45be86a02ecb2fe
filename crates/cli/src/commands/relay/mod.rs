//! `skyfresh relay`: one relay of a job, run by the job's owner; and the machines that are rented for relays.

mod ls;
mod rm;

use super::with_config;
use crate::context::Context;
use crate::exit::Exit;
use skyfresh_engine::OpenStore;
use skyfresh_engine::overlay::StoreEdges;
use skyfresh_relay::executor::serve_stdio;
use std::path::PathBuf;
use std::sync::Arc;

/// Serve as one relay of a copy, on this host; see and give back machines that were rented for relays
///
/// Without a command it is run by `skyfresh cp --relays`, here or over ssh: what to do comes on standard input, where it listens
/// goes to standard output. It reads and writes stores with this host's own credentials, and ends when its owner does.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  skyfresh cp -r 's3://a/?region=aws:us-east-1' 's3://b/?region=aws:eu-west-1' --relays local
  skyfresh sync 's3://a/?region=aws:us-east-1' 'gs://b/?region=gcp:us-east1' --relays ssh:hosts --deadline 10m
  skyfresh cp -r 's3://a/?region=aws:us-east-1' 'az://acc/b/?region=azure:westus' --relays ssh:hosts --dry-run
  skyfresh relay ls machines.toml"
)]
pub(crate) struct Args {
    /// Configuration to take [endpoint.NAME] sections from
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(subcommand)]
    machines: Option<Machines>,
}

#[derive(Debug, clap::Subcommand)]
enum Machines {
    Ls(ls::Args),
    Rm(rm::Args),
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    match &args.machines {
        Some(Machines::Ls(args)) => return ls::run(args, context).await,
        Some(Machines::Rm(args)) => return rm::run(args, context).await,
        None => {}
    }
    let opener: Arc<dyn OpenStore> = Arc::new(with_config(args.config.as_deref(), context)?);
    let edges = Arc::new(StoreEdges::new(opener));
    let clock = Arc::clone(&context.clock);
    let end = serve_stdio(tokio::io::stdin(), tokio::io::stdout(), edges, clock).await?;
    tracing::info!(?end, "the relay has ended");
    Ok(Exit::Ok)
}
