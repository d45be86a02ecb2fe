//! `skyfresh serve`: the daemon.

use crate::bulk::relays::standing;
use crate::catalog_file;
use crate::channels;
use crate::commands::listen;
use crate::config::Config;
use crate::context::Context;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::open::{self, Opener};
use crate::signals;
use anyhow::Context as _;
use futures::FutureExt;
use serde::Serialize;
use skyfresh_engine::{Applied, Engine, Stores};
use skyfresh_server::ServerOptions;
use skyfresh_sky::Kind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Run the daemon: keep every rule of a configuration fresh, and serve the HTTP API
///
/// Prints one line once it is ready. SIGHUP, or `skyfresh reload`, reads the rules again and applies what changed while
/// the rest runs on; other sections need a restart. SIGTERM or Ctrl-C stops it: what is pending stays in the ledger and goes on
/// with the next start. The log goes to standard error.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  skyfresh serve -c skyfresh.toml
  skyfresh serve -c /etc/skyfresh.toml --quiet
  kill -HUP $(pidof skyfresh)    # read the rules again")]
pub(crate) struct Args {
    /// The configuration; docs/configuration.md describes it
    #[arg(short, long, value_name = "FILE", default_value = "skyfresh.toml")]
    config: PathBuf,
}

/// The line that says that it runs.
#[derive(Serialize)]
struct Ready<'a> {
    ready: bool,
    url: String,
    rules: &'a [String],
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let config = Config::read(&args.config, &context.environment)?;
    let catalog = catalog_file::overridden(config.catalog.as_deref())?;
    let mut hangup = signals::hangup().context("cannot listen for signals")?;
    let listener = listen(config.server.listen).await?;
    let address = listener.local_addr().context("cannot tell the address")?;
    warn_of_open_doors(&config, address.ip().is_loopback());
    let owner = open::owner(&context.rng);
    let ledger = open::ledger::configured(context, &config.ledger, &owner).await?;
    let opener = Arc::new(Opener::new(context, config.endpoints.clone()));
    let channels = channels::open_all(&opener, &config.channels)?;
    let stores = Arc::new(Stores::new(opener));
    let relays = config.engine.relays.as_ref();
    let relays = relays.map(|relays| standing(relays, Some(&args.config), &catalog, context));
    let relays = relays.transpose()?;
    let engine = Arc::new(open::engine(
        context,
        &config.engine,
        &owner,
        ledger.ledger(),
        stores,
        catalog,
        config.ledger.state_service(),
        relays.as_ref(),
    )?);
    let applied = engine
        .apply(config.rules.clone())
        .await
        .context("cannot start the rules")?;
    engine.pull(channels).await?;
    let reloader = Arc::new(Reloader {
        path: args.config,
        environment: context.environment.clone(),
        engine: Arc::clone(&engine),
        at_start: config.clone(),
    });
    let stop_server = CancellationToken::new();
    let push = &config.server.push;
    let options = ServerOptions {
        api_token: config
            .server
            .api_token
            .as_ref()
            .map(|token| token.expose().to_owned()),
        webhook_secret: config
            .server
            .webhook_secret
            .as_ref()
            .map(|secret| secret.expose().to_owned()),
        allow_unauthenticated_notifications: config.server.allow_unauthenticated_notifications,
        pubsub: push.pubsub.clone(),
        event_grid: push.event_grid.as_ref().map(|section| section.rules()),
        fetch_keys: match push.pubsub.is_some() || push.event_grid.is_some() {
            true => Some(channels::fetch_keys(context.clock.clone())?),
            false => None,
        },
        reload: Some({
            let reloader = Arc::clone(&reloader);
            Arc::new(move || Arc::clone(&reloader).reload().boxed())
        }),
        ..ServerOptions::default()
    };
    let serving = skyfresh_server::serve(
        listener,
        Arc::clone(&engine),
        context.clock.clone(),
        options,
        stop_server.clone(),
    );
    let mut server = tokio::spawn(serving);
    announce(
        &Ready {
            ready: true,
            url: format!("http://{address}"),
            rules: &applied.started,
        },
        context,
    )?;
    let mut failed = None;
    loop {
        tokio::select! {
            () = context.stop.cancelled() => break,
            _ = hangup.recv() => {
                // Told in the log: whoever sent the signal is not listening.
                let _ = Arc::clone(&reloader).reload().await;
            }
            ended = &mut server => {
                failed = Some(ended);
                break;
            }
        }
    }
    tracing::info!("stopping");
    stop_server.cancel();
    let ended = match failed {
        Some(ended) => ended,
        None => server.await,
    };
    engine.shutdown().await;
    if let Some(relays) = relays {
        relays.close().await;
    }
    ledger.close().await;
    ended
        .context("the server stopped")?
        .context("the server stopped")?;
    Ok(Exit::Ok)
}

fn announce(ready: &Ready<'_>, context: &Context) -> anyhow::Result<()> {
    if context.output.json {
        return context.output.json_line(ready);
    }
    let rules = match ready.rules {
        [] => "no rules yet".to_owned(),
        rules => format!("rules {}", rules.join(", ")),
    };
    context
        .output
        .line(format_args!("ready on {} ({rules})", ready.url));
    Ok(())
}

fn warn_of_open_doors(config: &Config, loopback: bool) {
    if !loopback && config.server.api_token.is_none() {
        tracing::warn!(
            "[server] listen is reachable from other machines and api_token is not set: anyone may pause rules"
        );
    }
    if config.server.webhook_secret.is_none()
        && !config.server.allow_unauthenticated_notifications
        && config.channels.is_empty()
        && config.server.push == Default::default()
    {
        tracing::info!(
            "[server] webhook_secret is not set: notifications are refused, changes are found by sweeps and watches"
        );
    }
}

/// Reads the rules again.
#[derive(Debug)]
struct Reloader {
    path: PathBuf,
    environment: Environment,
    engine: Arc<Engine>,
    at_start: Config,
}

impl Reloader {
    async fn reload(self: Arc<Self>) -> skyfresh_engine::Result<Applied> {
        let reloaded = self.read_and_apply().await;
        match &reloaded {
            Ok(applied) => tracing::info!(
                started = ?applied.started, restarted = ?applied.restarted, stopped = ?applied.stopped, "rules reloaded"
            ),
            Err(error) => tracing::error!(%error, "rules not reloaded; those that run go on"),
        }
        reloaded
    }

    async fn read_and_apply(&self) -> skyfresh_engine::Result<Applied> {
        let config = Config::read(&self.path, &self.environment).map_err(|error| {
            skyfresh_engine::Error::new(Kind::Invalid, "reload", show(&self.path), error.message)
        })?;
        for (section, changed) in [
            ("catalog", config.catalog != self.at_start.catalog),
            ("server", config.server != self.at_start.server),
            ("ledger", config.ledger != self.at_start.ledger),
            ("engine", config.engine != self.at_start.engine),
            ("endpoint", config.endpoints != self.at_start.endpoints),
            ("channel", config.channels != self.at_start.channels),
        ] {
            if changed {
                tracing::warn!(
                    section,
                    "changed since the start; restart the daemon for that to count"
                );
            }
        }
        self.engine.apply(config.rules).await
    }
}

fn show(path: &Path) -> String {
    path.display().to_string()
}
