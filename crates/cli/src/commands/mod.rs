//! One command, one file: its arguments, and what it does.

pub(crate) mod api;
pub(crate) mod cat;
pub(crate) mod catalog;
pub(crate) mod changelog;
pub(crate) mod completions;
pub(crate) mod cp;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod du;
pub(crate) mod explain;
pub(crate) mod features;
pub(crate) mod head;
pub(crate) mod localsky;
pub(crate) mod ls;
pub(crate) mod pause;
pub(crate) mod place;
pub(crate) mod plan;
pub(crate) mod profile;
pub(crate) mod relay;
pub(crate) mod reload;
pub(crate) mod replicate;
pub(crate) mod resume;
pub(crate) mod rm;
pub(crate) mod rules;
pub(crate) mod serve;
pub(crate) mod sim;
pub(crate) mod status;
pub(crate) mod sweep;
pub(crate) mod sync;
pub(crate) mod unwire;
pub(crate) mod verify;
pub(crate) mod wait;
pub(crate) mod weights;
pub(crate) mod wire;

use crate::args::Command;
use crate::config::Config;
use crate::context::Context;
use crate::exit::{Exit, Told};
use crate::open::Opener;
use anyhow::Context as _;
use skyfresh_engine::{Globs, OpenStore, Rule};
use skyfresh_sky::Location;
use skyfresh_store::ObjectStore;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tracing_subscriber::filter::LevelFilter;

/// Runs one command.
///
/// # Errors
/// Whatever kept it from its end; `exit` and `hint` say what that means.
pub(crate) async fn run(command: Command, context: &Context) -> anyhow::Result<Exit> {
    match command {
        Command::Demo(args) => demo::run(args, context).await,
        Command::Cp(args) => cp::run(args, context).await,
        Command::Sync(args) => sync::run(args, context).await,
        Command::Serve(args) => serve::run(args, context).await,
        Command::Replicate(args) => replicate::run(args, context).await,
        Command::Verify(args) => verify::run(args, context).await,
        Command::Ls(args) => ls::run(args, context).await,
        Command::Du(args) => du::run(args, context).await,
        Command::Cat(args) => cat::run(args, context).await,
        Command::Head(args) => head::run(args, context).await,
        Command::Rm(args) => rm::run(args, context).await,
        Command::Doctor(args) => doctor::run(args, context).await,
        Command::Profile(args) => profile::run(args, context).await,
        Command::Wire(args) => wire::run(args, context).await,
        Command::Unwire(args) => unwire::run(args, context).await,
        Command::Sim(args) => sim::run_command(args, context).await,
        Command::Plan(args) => tokio::task::block_in_place(|| plan::run(&args, context)),
        Command::Place(args) => tokio::task::block_in_place(|| place::run(&args, context)),
        Command::Features(args) => features::run(args, context).await,
        Command::Catalog(args) => catalog::run(args, context).await,
        Command::Relay(args) => relay::run(args, context).await,
        Command::Localsky(args) => localsky::run(args, context).await,
        Command::Status(args) => status::run(args, context).await,
        Command::Wait(args) => wait::run(args, context).await,
        Command::Explain(args) => explain::run(args, context).await,
        Command::Rules(args) => rules::run(args, context).await,
        Command::Pause(args) => pause::run(args, context).await,
        Command::Resume(args) => resume::run(args, context).await,
        Command::Sweep(args) => sweep::run(args, context).await,
        Command::Weights(args) => weights::run(args, context).await,
        Command::Changelog(args) => changelog::run(args, context).await,
        Command::Reload(args) => reload::run(args, context).await,
        Command::Completions(args) => Ok(completions::run(&args, context)),
    }
}

impl Command {
    /// How much is logged without `-v`: a daemon's log is read later, by someone who was not there.
    pub(crate) fn default_level(&self) -> LevelFilter {
        match self {
            Command::Serve(_) => LevelFilter::INFO,
            Command::Features(args) if args.is_daemon() => LevelFilter::INFO,
            _ => LevelFilter::WARN,
        }
    }
}

/// Which keys are in scope.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Filters {
    /// Only keys that match this glob (may be repeated); `*` crosses `/`
    #[arg(long, value_name = "GLOB")]
    pub(crate) include: Vec<String>,
    /// No keys that match this glob (may be repeated); wins over --include
    #[arg(long, value_name = "GLOB")]
    pub(crate) exclude: Vec<String>,
}

impl Filters {
    /// Sets a rule's globs.
    pub(crate) fn apply(&self, rule: &mut Rule) {
        rule.include = self.include.clone();
        rule.exclude = self.exclude.clone();
    }

    /// Whether there are any.
    pub(crate) fn are_given(&self) -> bool {
        !self.include.is_empty() || !self.exclude.is_empty()
    }

    /// The globs, compiled.
    ///
    /// # Errors
    /// One cannot be read.
    pub(crate) fn globs(&self) -> Result<Globs, skyfresh_sky::Invalid> {
        Globs::new(&self.include, &self.exclude)
    }
}

/// An opener that knows the endpoints of a configuration, where one is given.
pub(crate) fn with_config(path: Option<&Path>, context: &Context) -> anyhow::Result<Opener> {
    let endpoints = match path {
        Some(path) => Config::read(path, &context.environment)?.endpoints,
        None => Default::default(),
    };
    Ok(Opener::new(context, endpoints))
}

/// Opens one side and makes sure that it can be reached and read, so that a mistyped name fails at once.
pub(crate) async fn open_side(
    opener: &Opener,
    location: &Location,
) -> anyhow::Result<Arc<dyn ObjectStore>> {
    let cannot = || format!("cannot read {location}");
    let store = opener.open(location).with_context(cannot)?;
    store.check_readable().await.with_context(cannot)?;
    Ok(store)
}

/// Listens on an address.
pub(crate) async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let told = Told::new(Exit::Usage, format!("cannot listen on {address}: {error}"));
        match error.kind() {
            std::io::ErrorKind::AddrInUse => told.hint(
                "another process listens there: stop it, or choose another address (port 0 is any free one)",
            ),
            _ => told.hint("choose an address of this machine, e.g. 127.0.0.1:7070"),
        }
        .into()
    })
}
