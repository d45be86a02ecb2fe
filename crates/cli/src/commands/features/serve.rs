//! `skyfresh features serve`.

use crate::commands::listen;
use crate::context::Context;
use crate::exit::{Exit, Told};
use anyhow::Context as _;
use serde::Serialize;
use skyfresh_features::service::{FeaturesConfig, Service, Store, serve};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Keep the views of a configuration fresh, and serve them in the shapes of Feast's feature server
///
/// Prints one line once it is ready. Data and feedback are on the disk before they are acknowledged; after a crash the next start goes on where it was. SIGTERM or Ctrl-C stops it. There is no authentication: listen on an address that only clients reach.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  skyfresh features serve -c features.toml
  curl -s localhost:6566/get-online-features -H 'content-type: application/json' -d '{\"features\": [\"carts:price_sum\"], \"entities\": {\"user_id\": [7]}}'"
)]
pub(super) struct Args {
    /// The configuration; docs/features.md describes it
    #[arg(short, long, value_name = "FILE", default_value = "features.toml")]
    config: PathBuf,
}

/// Reads a configuration.
pub(super) fn read_config(path: &Path) -> anyhow::Result<FeaturesConfig> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Told::new(
            Exit::Usage,
            format!("cannot read {}: {error}", path.display()),
        )
        .hint("docs/features.md has a configuration to start from")
    })?;
    FeaturesConfig::parse(&text).context("cannot read the configuration")
}

/// The line that says that it runs.
#[derive(Serialize)]
struct Ready<'a> {
    ready: bool,
    url: String,
    views: Vec<&'a str>,
}

pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let cannot = "cannot serve features";
    let path = args.config.display();
    let config = read_config(&args.config)?;
    let address: SocketAddr = config.listen.parse().map_err(|_| {
        let why = format!("listen = {:?} in {path} is no address", config.listen);
        Told::new(Exit::Usage, why).hint("give an address and a port, e.g. 127.0.0.1:6566")
    })?;
    let store = tokio::task::block_in_place(|| Store::of(&config)).context(cannot)?;
    let names: Vec<String> = config.views.iter().map(|view| view.name.clone()).collect();
    let opened = Service::open(config, store, context.clock.clone(), &context.rng);
    let service = Arc::new(opened.context(cannot)?);
    let listener = listen(address).await?;
    let ready = Ready {
        ready: true,
        url: format!(
            "http://{}",
            listener.local_addr().context("cannot tell the address")?
        ),
        views: names.iter().map(String::as_str).collect(),
    };
    match context.output.json {
        true => context.output.json_line(&ready)?,
        false => context.output.line(format_args!(
            "ready on {} (views {})",
            ready.url,
            ready.views.join(", ")
        )),
    }
    let workers = tokio::spawn(Arc::clone(&service).run(context.stop.clone()));
    let served = serve(listener, service, context.stop.clone()).await;
    context.stop.cancel();
    workers.await.context("the workers ended early")?;
    served.context(cannot)?;
    Ok(Exit::Ok)
}
