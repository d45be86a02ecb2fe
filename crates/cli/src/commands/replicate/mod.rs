//! `skyfresh replicate`: a rule without a file.

mod follow;
mod once;

use crate::bulk::relays::{Place, Purpose, StandingArgs, standing};
use crate::catalog_file;
use crate::commands::{Filters, listen, open_side, with_config};
use crate::config::EngineSection;
use crate::context::Context;
use crate::exit::{Exit, Told};
use crate::locations::parse_location;
use crate::open;
use anyhow::Context as _;
use sha2::{Digest, Sha256};
use skyfresh_engine::{Bandwidth, Engine, Rule, Stores};
use skyfresh_ledger::Ledger;
use skyfresh_server::ServerOptions;
use skyfresh_sky::{Location, Scheme, Slo, format_delay, parse_delay};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The rule's name, in the ledger and in paths of the API.
const RULE: &str = "replicate";
/// Where nothing tells of changes, listings are compared this often at most.
const SHORTEST_SWEEP: Duration = Duration::from_secs(10);

/// Keep destinations equal to a source, without a configuration file
///
/// Copies what differs, then every change as it happens, and proves again and again that both sides are equal, until
/// Ctrl-C. A directory is watched; for a bucket, --listen takes its notifications, and without them
/// listings are compared often enough for the SLO. Where it stands is kept in a ledger file, so that a second run goes on
/// where the first one stopped.
///
/// With --once: copies what differs, proves equality, and exits: with 0 only if everything in scope is verified.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  skyfresh replicate ./models s3://models-eu/ s3://models-us/ --slo 60s --delete
  skyfresh replicate s3://data/ 's3://data/?endpoint=https://storage.example.com&profile=other' --once
  skyfresh replicate s3://a/ s3://b/ --listen 127.0.0.1:7071 --exclude '*.tmp' --bandwidth 50MB")]
pub(crate) struct Args {
    /// Where objects come from: s3://bucket/prefix, gs://bucket/prefix, az://account/container/prefix, file:///directory or
    /// ./directory
    #[arg(value_name = "SRC", value_parser = parse_location)]
    source: Location,
    /// Where they must also be
    #[arg(value_name = "DST", required = true, value_parser = parse_location)]
    destinations: Vec<Location>,
    /// How fresh: DELAY or DELAY@pN, e.g. 60s or 10s@p99.9
    #[arg(long, value_name = "SLO", default_value = "60s")]
    slo: Slo,
    /// Copy what differs, prove equality, exit
    #[arg(long)]
    once: bool,
    /// Delete at the destinations what is absent at the source
    #[arg(long)]
    delete: bool,
    /// Most deletes at one destination in an hour, and in one comparison; more are refused
    #[arg(long, value_name = "N", default_value_t = 1_000, requires = "delete")]
    max_deletes: u64,
    /// Delete even where the source is completely empty
    #[arg(long, requires = "delete")]
    allow_empty_source: bool,
    #[command(flatten)]
    filters: Filters,
    /// Copy object tags too
    #[arg(long)]
    tags: bool,
    /// Refuse, and report, an object whose metadata a destination cannot keep whole (docs/metadata.md)
    #[arg(long)]
    strict_metadata: bool,
    /// Most bytes read from the source in a second, e.g. 50MB
    #[arg(long, value_name = "SIZE", value_parser = bandwidth)]
    bandwidth: Option<Bandwidth>,
    /// How often listings are compared [default: 15m; for a bucket without --listen half of the SLO, at least 10s]
    #[arg(long, value_name = "DELAY", value_parser = parse_delay)]
    sweep_every: Option<Duration>,
    /// Where to keep what must outlive this run [default: a file named by a hash of SRC, DST and filters below
    /// $XDG_STATE_HOME/skyfresh or ~/.local/state/skyfresh, so that the same command goes on where it stopped]
    #[arg(long, value_name = "PATH")]
    ledger: Option<PathBuf>,
    /// Let relays carry large objects where that is cheaper than direct: local (processes of this machine), or ssh:FILE
    /// (hosts with skyfresh, a line `REGION HOST` each); docs/overlay.md
    #[arg(long, value_name = "WHERE")]
    relays: Option<Place>,
    /// With --relays: where they are better in this, cost or speed
    #[arg(long, value_name = "WHAT", default_value = "cost", requires = "relays")]
    relays_for: Purpose,
    /// Serve the HTTP API here, above all for notifications (POST /v1/notifications); the webhook secret is read
    /// from SKYFRESH_WEBHOOK_SECRET, the API token from SKYFRESH_TOKEN
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Take notifications from anyone who reaches that address
    #[arg(long, requires = "listen")]
    allow_unauthenticated_notifications: bool,
    /// Configuration to take [endpoint.NAME] sections and the catalogue's file from
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

fn bandwidth(text: &str) -> Result<Bandwidth, skyfresh_sky::Invalid> {
    Bandwidth::try_from(text.to_owned())
}

impl Args {
    fn rule(&self) -> Rule {
        let mut rule = Rule::new(RULE, self.source.clone(), self.destinations.clone());
        self.filters.apply(&mut rule);
        rule.slo = self.slo;
        rule.delete = self.delete;
        rule.max_deletes = self.max_deletes;
        rule.allow_empty_source = self.allow_empty_source;
        rule.tags = self.tags;
        rule.strict_metadata = self.strict_metadata;
        rule.bandwidth = self.bandwidth;
        let blind = self.source.scheme != Scheme::File && self.listen.is_none() && !self.once;
        match self.sweep_every {
            Some(every) => rule.sweep_every = every,
            None if blind => {
                rule.sweep_every = rule
                    .sweep_every
                    .min((self.slo.delay / 2).max(SHORTEST_SWEEP));
            }
            None => {}
        }
        rule
    }

    /// The ledger's file, in a directory that is there.
    fn ledger_path(&self, context: &Context) -> anyhow::Result<PathBuf> {
        if let Some(path) = &self.ledger {
            return Ok(path.clone());
        }
        let directory = context.environment.state_dir().ok_or_else(|| {
            Told::new(
                Exit::Usage,
                "there is no place for the ledger: neither XDG_STATE_HOME nor HOME is set",
            )
            .hint("give one with --ledger PATH")
        })?;
        std::fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make the state directory {}", directory.display()))?;
        Ok(directory.join(format!("replicate-{}.ledger", self.identity())))
    }

    /// Names what is replicated where: equal commands have equal names.
    fn identity(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |kind: u8, text: &str| {
            hash.update([kind]);
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        };
        add(b's', &self.source.to_string());
        self.destinations
            .iter()
            .for_each(|destination| add(b'd', &destination.to_string()));
        self.filters.include.iter().for_each(|glob| add(b'i', glob));
        self.filters.exclude.iter().for_each(|glob| add(b'e', glob));
        hex::encode(&hash.finalize()[..8])
    }
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let rule = args.rule();
    let secret = context.environment.get("SKYFRESH_WEBHOOK_SECRET");
    if args.listen.is_some() && secret.is_none() && !args.allow_unauthenticated_notifications {
        return Err(Told::new(
            Exit::Usage,
            "--listen without a secret would refuse every notification",
        )
        .hint("set SKYFRESH_WEBHOOK_SECRET, or give --allow-unauthenticated-notifications")
        .into());
    }
    let opener = with_config(args.config.as_deref(), context)?;
    let catalog = catalog_file::of_config(args.config.as_deref(), context)?;
    opener.check_rule(&rule)?;
    for location in std::iter::once(&args.source).chain(&args.destinations) {
        open_side(&opener, location).await?;
    }
    let path = args.ledger_path(context)?;
    let owner = open::owner(&context.rng);
    let ledger = Arc::new(open::ledger(&path, &owner).await?);
    context
        .output
        .note(format_args!("ledger: {}", path.display()));
    let opener = if args.once {
        opener.without_watching()
    } else {
        opener
    };
    let stores = Arc::new(Stores::new(Arc::new(opener)));
    let shared_ledger: Arc<dyn Ledger> = ledger.clone();
    let relays = args.relays.clone().map(|place| StandingArgs {
        place,
        purpose: args.relays_for,
    });
    let relays = relays.map(|relays| standing(&relays, args.config.as_deref(), &catalog, context));
    let relays = relays.transpose()?;
    let engine = Arc::new(open::engine(
        context,
        &EngineSection::default(),
        &owner,
        shared_ledger,
        stores,
        catalog,
        None,
        relays.as_ref(),
    )?);
    let stop_server = CancellationToken::new();
    let server = serve(&args, &engine, context, stop_server.clone()).await?;
    if args.listen.is_none() && !args.once && args.source.scheme != Scheme::File {
        context.output.note(format_args!(
            "nothing tells of changes at the source: listings are compared every {}; --listen takes notifications",
            format_delay(rule.sweep_every)
        ));
    }
    let ended = match args.once {
        true => once::run(rule, &engine, context).await,
        false => follow::run(rule, &engine, context).await,
    };
    stop_server.cancel();
    if let Some(server) = server {
        server
            .await
            .context("the server stopped")?
            .context("the server stopped")?;
    }
    engine.shutdown().await;
    if let Some(relays) = relays {
        relays.close().await;
    }
    ledger.close().await;
    ended
}

type Server = tokio::task::JoinHandle<skyfresh_engine::Result<()>>;

async fn serve(
    args: &Args,
    engine: &Arc<Engine>,
    context: &Context,
    stop: CancellationToken,
) -> anyhow::Result<Option<Server>> {
    let Some(address) = args.listen else {
        return Ok(None);
    };
    let listener = listen(address).await?;
    let address = listener.local_addr().context("cannot tell the address")?;
    let variable = |name: &str| context.environment.get(name).map(str::to_owned);
    let options = ServerOptions {
        api_token: variable("SKYFRESH_TOKEN"),
        webhook_secret: variable("SKYFRESH_WEBHOOK_SECRET"),
        allow_unauthenticated_notifications: args.allow_unauthenticated_notifications,
        ..ServerOptions::default()
    };
    context.output.note(format_args!(
        "notifications: http://{address}/v1/notifications"
    ));
    let (engine, clock) = (Arc::clone(engine), context.clock.clone());
    Ok(Some(tokio::spawn(skyfresh_server::serve(
        listener, engine, clock, options, stop,
    ))))
}
