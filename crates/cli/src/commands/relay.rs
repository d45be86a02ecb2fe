//! `skyfresh relay`: one relay of a job, run by the job's owner.

use super::with_config;
use crate::context::Context;
use crate::exit::Exit;
use skyfresh_engine::OpenStore;
use skyfresh_engine::overlay::StoreEdges;
use skyfresh_relay::executor::serve_stdio;
use std::path::PathBuf;
use std::sync::Arc;

/// Serve as one relay of a copy, on this host
///
/// Run by `skyfresh cp --relays`, here or over ssh: what to do comes on standard input, where it listens goes to standard output.
/// It reads and writes stores with this host's own credentials, and ends when its owner does.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  skyfresh cp -r 's3://a/?region=aws:us-east-1' 's3://b/?region=aws:eu-west-1' --relays local
  skyfresh sync 's3://a/?region=aws:us-east-1' 'gs://b/?region=gcp:us-east1' --relays ssh:hosts --deadline 10m
  skyfresh cp -r 's3://a/?region=aws:us-east-1' 'az://acc/b/?region=azure:westus' --relays ssh:hosts --dry-run")]
pub(crate) struct Args {
    /// Configuration to take [endpoint.NAME] sections from
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let opener: Arc<dyn OpenStore> = Arc::new(with_config(args.config.as_deref(), context)?);
    let edges = Arc::new(StoreEdges::new(opener));
    let clock = Arc::clone(&context.clock);
    let end = serve_stdio(tokio::io::stdin(), tokio::io::stdout(), edges, clock).await?;
    tracing::info!(?end, "the relay has ended");
    Ok(Exit::Ok)
}
