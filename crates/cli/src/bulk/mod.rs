//! Runs a bulk job (`cp`, `sync`): opens both sides, shows progress, says what came of it.

mod args;
mod dry;
mod progress;
mod records;
pub(crate) mod relays;
mod summary;
mod timetable;

pub(crate) use args::CopyArgs;

use crate::catalog_file;
use crate::commands::with_config;
use crate::context::Context;
use crate::exit::{Exit, Told};
use crate::listing::disk;
use crate::objects::{Objects, Which};
use crate::open::{self, Opener};
use anyhow::Context as _;
use progress::Progress;
use records::Records;
use relays::Planned;
use sha2::{Digest, Sha256};
use skyfresh_engine::bulk::{
    BulkJob, BulkOptions, BulkSeams, BulkTally, BulkTarget, BulkThrottle, OpenLedger, Selection,
    TargetTally, Walk, run as run_job,
};
use skyfresh_engine::overlay::Overlay;
use skyfresh_engine::{OpenStore, Scope, overlaps};
use skyfresh_ledger::{EmbeddedLedger, Ledger};
use skyfresh_sky::{Location, ObjectKey, Scheme};
use skyfresh_store::ObjectStore;
use skyfresh_store::memory::MemoryStore;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use timetable::Timetable;

/// How often the timetable is looked at.
const TIMETABLE_EVERY: Duration = Duration::from_secs(15);
/// Descriptors that a job may need: two connections for each transfer, and files.
const DESCRIPTORS: u64 = 8_192;

/// A bulk job as a command means it.
pub(crate) struct Request<'a> {
    /// The command, for the ledger's name.
    pub(crate) command: &'static str,
    /// Which objects, below which location.
    pub(crate) source: Objects,
    /// Where to, and under which name where it is one object.
    pub(crate) targets: Vec<Objects>,
    /// How.
    pub(crate) options: BulkOptions,
    /// What both commands take.
    pub(crate) args: &'a CopyArgs,
}

/// Does it.
///
/// # Errors
/// It could not begin. What failed on the way is in the exit code.
pub(crate) async fn run(request: Request<'_>, context: &Context) -> anyhow::Result<Exit> {
    raise_descriptors();
    let args = request.args;
    let opener = with_config(args.config.as_deref(), context)?;
    let (source_location, locations) = (
        request.source.location.clone(),
        request
            .targets
            .iter()
            .map(|target| target.location.clone())
            .collect::<Vec<_>>(),
    );
    let walks = !matches!(request.source.which, Which::One(_));
    if let Some(inside) = locations
        .iter()
        .find(|location| walks && overlaps(&source_location, location))
    {
        let why = format!(
            "{inside} lies inside {source_location}, or around it: it would copy its own copies"
        );
        return Err(Told::new(Exit::Usage, why)
            .hint("choose a destination beside the source")
            .into());
    }
    let mut job = job(&request, &opener, request.options.dry_run)?;
    let same_service: Vec<bool> = job
        .targets
        .iter()
        .map(|target| target.same_service)
        .collect();
    let keeps = |store: &dyn ObjectStore| store.capabilities().metadata;
    let from = keeps(job.source.as_ref());
    let targets = job.targets.iter();
    let metadata: Vec<_> = targets.map(|to| (from, keeps(to.store.as_ref()))).collect();
    // Read while the first listings are on their way: it takes a moment.
    let config = args.config.clone();
    let environment = context.environment.clone();
    let catalog = tokio::task::spawn_blocking(move || {
        catalog_file::of_environment(config.as_deref(), &environment)
    });
    if args.by_size_only() {
        context
            .output
            .note("--size-only: objects that were overwritten at equal size will NOT be noticed");
    }
    let tally = BulkTally::new(job.targets.len());
    let records = Records::open(args.report.as_deref(), &locations, context)?;
    let (opened, ledger) = ledger(&request, context)?;
    let clock = Arc::clone(&context.clock);
    let throttle = args.bwlimit.as_ref().map(|table| {
        let now = table.at(local_minute());
        (table.clone(), BulkThrottle::new(now, Arc::clone(&clock)))
    });
    let relays = match &args.relays.relays {
        Some(place) if !request.options.dry_run => {
            start_relays(&request, &opener, place, context).await?
        }
        _ => None,
    };
    let (overlay, relays) = relays.unzip();
    if overlay.is_some() {
        // The plan is for everything: no store copies by itself what relays carry.
        for target in &mut job.targets {
            target.same_service = false;
            target.may_pull = false;
        }
    }
    let seams = BulkSeams {
        overlay,
        clock,
        rng: context.rng.fork(),
        ledger: Some(ledger),
        bandwidth: throttle.as_ref().map(|(_, throttle)| Arc::clone(throttle)),
        listener: records.listener(),
        stop: context.stop.clone(),
    };
    let dry_run = request.options.dry_run;
    let labels: Vec<String> = request.targets.iter().map(Objects::label).collect();
    let mut progress = Progress::new(context, &labels, Arc::clone(&tally), dry_run);
    let running = run_job(job, seams, Arc::clone(&tally));
    let keeping_time = keep_time(throttle, context);
    tokio::select! {
        () = running => {}
        never = progress.show_until_dropped() => match never {},
        never = keeping_time => match never {},
    }
    context.output.end_frame();
    if let Some(ledger) = opened.take() {
        ledger.close().await;
    }
    // Before anything that can fail: relays may stand on machines that are paid for.
    let relays = match relays {
        Some(relays) => Some(relays.ended().await),
        None => None,
    };
    records.close()?;
    let catalog = catalog.await.context("cannot read the catalogue")??;
    let mut relayed = relays.is_some();
    if let (Some(place), true) = (&args.relays.relays, dry_run) {
        let decided = relays::decide(&request, place, &planned(&tally), &catalog)?;
        decided.tell(context)?;
        relayed = decided.by_relays();
    }
    if let Some(relays) = relays {
        relays.tell(&catalog, context)?;
    }
    let ended = summary::Ended {
        source: &source_location,
        targets: &locations,
        labels: &labels,
        tally: &tally,
        catalog: &catalog,
        took: progress.elapsed(),
        stopped: context.stop.is_cancelled(),
        dry_run,
        deletes: request.options.delete,
        relayed,
        same_service: &same_service,
        metadata: &metadata,
    };
    summary::tell(&ended, context)
}

/// Counts what must be copied, decides whether relays are worth it, and starts them where they are.
async fn start_relays(
    request: &Request<'_>,
    opener: &Opener,
    place: &relays::Place,
    context: &Context,
) -> anyhow::Result<Option<(Overlay, relays::Running)>> {
    let (config, environment) = (request.args.config.clone(), context.environment.clone());
    let catalog = tokio::task::spawn_blocking(move || {
        catalog_file::of_environment(config.as_deref(), &environment)
    });
    let job = job(request, opener, true)?;
    let tally = BulkTally::new(job.targets.len());
    let seams = BulkSeams {
        overlay: None,
        clock: Arc::clone(&context.clock),
        rng: context.rng.fork(),
        ledger: None,
        bandwidth: None,
        listener: None,
        stop: context.stop.clone(),
    };
    run_job(job, seams, Arc::clone(&tally)).await;
    let catalog = catalog.await.context("cannot read the catalogue")??;
    let planned = planned(&tally);
    let decided = relays::decide(request, place, &planned, &catalog)?;
    decided.tell(context)?;
    decided.start(request, place, &planned, &catalog, context)
}

/// What each target lacks, by a dry run.
fn planned(tally: &BulkTally) -> Planned {
    let of = |bytes: fn(&TargetTally) -> &AtomicU64| {
        let targets = tally.targets.iter();
        targets.map(|target| progress::get(bytes(target))).collect()
    };
    Planned {
        bytes: of(|target| &target.planned_bytes),
        in_parts: of(|target| &target.planned_in_parts),
    }
}

/// The job, with both sides open.
fn job(request: &Request<'_>, opener: &Opener, dry_run: bool) -> anyhow::Result<BulkJob> {
    // Below a directory that a store keeps, attributes and checksums are in what is kept around it.
    let source = disk::rooted(request.source.clone());
    let source = open(opener, &source.location)?;
    let mut targets = Vec::new();
    for target in &request.targets {
        let same_service = !request.args.no_server_copy
            && opener.same_service(&request.source.location, &target.location);
        // Azure alone reads URLs; whether it reaches this one shows when it tries.
        let may_pull = !request.args.no_server_copy
            && !same_service
            && target.location.scheme == Scheme::Azure
            && matches!(request.source.location.scheme, Scheme::S3 | Scheme::Azure);
        targets.push(BulkTarget {
            store: open_target(opener, &target.location, dry_run)?,
            same_service,
            may_pull,
        });
    }
    let filters = &request.args.filters;
    let scope = Scope::of_globs("--include/--exclude", &filters.include, &filters.exclude)?;
    let walk = |literal: &str, glob| {
        Selection::Walk(Walk {
            literal: literal.to_owned(),
            glob,
            scope: scope.clone(),
        })
    };
    let selection = match &request.source.which {
        Which::One(key) => Selection::One {
            key: key.clone(),
            names: request
                .targets
                .iter()
                .map(|target| name(target, key))
                .collect(),
        },
        Which::All => walk("", None),
        Which::Matching { literal, glob } => walk(literal, Some(glob.clone())),
    };
    Ok(BulkJob {
        source,
        targets,
        selection,
        options: BulkOptions {
            dry_run,
            ..request.options.clone()
        },
    })
}

fn open(opener: &Opener, location: &Location) -> anyhow::Result<Arc<dyn ObjectStore>> {
    opener
        .open(location)
        .with_context(|| format!("cannot open {location}"))
}

/// What an object is called at a target.
fn name(target: &Objects, key: &ObjectKey) -> ObjectKey {
    match &target.which {
        Which::One(name) => name.clone(),
        Which::All | Which::Matching { .. } => key.clone(),
    }
}

/// A target; a directory that is not there yet is made, as copying tools do.
fn open_target(
    opener: &Opener,
    location: &Location,
    dry_run: bool,
) -> anyhow::Result<Arc<dyn ObjectStore>> {
    let directory = Path::new(&location.bucket);
    if location.scheme == Scheme::File && !directory.exists() {
        if dry_run {
            // Nothing is made, and nothing is there.
            let nothing = "mem://nothing/".parse()?;
            return Ok(MemoryStore::new(nothing, opener.clock()));
        }
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot make the directory {}", location.bucket))?;
    }
    open(opener, location)
}

/// Where the ledger will be found once it was opened, so that it can be closed.
#[derive(Clone, Default)]
struct OpenedLedger(Arc<Mutex<Option<Arc<EmbeddedLedger>>>>);

impl OpenedLedger {
    fn take(&self) -> Option<Arc<EmbeddedLedger>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn ledger(request: &Request<'_>, context: &Context) -> anyhow::Result<(OpenedLedger, OpenLedger)> {
    let path = ledger_path(request, context)?;
    let owner = open::owner(&context.rng);
    let opened = OpenedLedger::default();
    let keep = opened.clone();
    let open: OpenLedger = Arc::new(move || {
        let (path, owner, keep) = (path.clone(), owner.clone(), keep.clone());
        Box::pin(async move {
            if let Some(directory) = path.parent() {
                // Where it cannot be made, opening says why.
                let _ = std::fs::create_dir_all(directory);
            }
            let ledger = Arc::new(EmbeddedLedger::open(&path, &owner).await?);
            *keep.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&ledger));
            let ledger: Arc<dyn Ledger> = ledger;
            Ok(ledger)
        })
    });
    Ok((opened, open))
}

fn ledger_path(request: &Request<'_>, context: &Context) -> anyhow::Result<PathBuf> {
    if let Some(path) = &request.args.ledger {
        return Ok(path.clone());
    }
    let directory = context.environment.state_dir().ok_or_else(|| {
        Told::new(
            Exit::Usage,
            "there is no place for the ledger: neither XDG_STATE_HOME nor HOME is set",
        )
        .hint("give one with --ledger PATH")
    })?;
    let mut hash = Sha256::new();
    for place in std::iter::once(&request.source).chain(&request.targets) {
        let text = place.label();
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    let name = hex::encode(&hash.finalize()[..8]);
    Ok(directory.join(format!("{}-{name}.ledger", request.command)))
}

/// Sets the rate as the timetable says, until dropped.
async fn keep_time(
    throttle: Option<(Timetable, Arc<BulkThrottle>)>,
    context: &Context,
) -> std::convert::Infallible {
    loop {
        context.clock.sleep(TIMETABLE_EVERY).await;
        if let Some((table, throttle)) = &throttle
            && table.changes()
        {
            throttle.set(table.at(local_minute()));
        }
    }
}

/// The minute of the day, here.
fn local_minute() -> u32 {
    let now = jiff::Zoned::now();
    let minute = i32::from(now.hour()) * 60 + i32::from(now.minute());
    minute.unsigned_abs()
}

/// Asks the system for as many descriptors as many connections need; it may give fewer.
fn raise_descriptors() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(DESCRIPTORS).min(DESCRIPTORS);
    if limit.current.is_some_and(|current| current < most) {
        limit.current = Some(most);
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::debug!(%error, "the limit on descriptors stays");
        }
    }
}
