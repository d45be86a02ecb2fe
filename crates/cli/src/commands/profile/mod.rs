//! `skyfresh profile`: what the way between two places is like, measured from this machine on purpose.

mod compare;
mod measure;
mod probes;
mod save;
mod tell;

use crate::catalog_file;
use crate::commands::{open_side, with_config};
use crate::context::Context;
use crate::exit::{Exit, Told};
use crate::locations::parse_location;
use anyhow::Context as _;
use compare::{Here, Line};
use measure::{Latency, Measure, Rate};
use probes::{PREFIX, Probes};
use serde::Serialize;
use skyfresh_engine::region_of;
use skyfresh_sky::{Location, ObjectKey, Provider, Region, Timestamp, parse_bytes};
use skyfresh_store::ObjectStore;
use std::path::PathBuf;
use std::sync::Arc;

/// Measure the way between two places from this machine, beside what the catalogue says
///
/// SRC is only read: its largest object of the first page of its listing, or --key. At DST objects named .skyfresh-probe-… are
/// written, and removed again, also after Ctrl-C. Measured are the delay of HEAD requests at both sides, and the throughput of 1, 2, 4,
/// 8 and 16 streams from SRC to this machine and from this machine to DST. Bytes are billed as always: each of the ten measures of
/// throughput moves --bytes at the most, and takes up no new request after 20 s.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  skyfresh profile 's3://models/?region=us-east-1' 's3://models-eu/?region=eu-west-1' --here aws:us-east-1
  skyfresh profile s3://models/ gs://models-copy/ --key big.bin --bytes 256MiB --json
  skyfresh profile 's3://a/?region=us-east-1' 's3://b/?region=eu-west-1' --here aws:us-east-1 --save prices.csv")]
pub(crate) struct Args {
    /// What is read: s3://bucket/prefix, file:///directory or ./directory
    #[arg(value_name = "SRC", value_parser = parse_location)]
    source: Location,
    /// Where probe objects are written
    #[arg(value_name = "DST", value_parser = parse_location)]
    target: Location,
    /// The object of SRC to read
    #[arg(long, value_name = "KEY", value_parser = |text: &str| ObjectKey::new(text))]
    key: Option<ObjectKey>,
    /// Most bytes of each measure of throughput
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes, default_value = "64MiB")]
    bytes: u64,
    /// HEAD requests at each side
    #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    requests: u32,
    /// The region this machine is in. Without it, it is taken to be that of a side that answers much sooner than the other one, if
    /// one does
    #[arg(long, value_name = "REGION")]
    here: Option<Region>,
    /// Put what was measured into this file of your own figures (docs/catalogue.md), in place of what it had of these links
    #[arg(long, value_name = "FILE", requires = "here")]
    save: Option<PathBuf>,
    /// Configuration to take [endpoint.NAME] sections and the catalogue from
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// One side as it was measured.
#[derive(Serialize)]
struct Side {
    location: String,
    region: Region,
    /// The object that was read, and its size.
    #[serde(skip_serializing_if = "Option::is_none")]
    read: Option<(ObjectKey, u64)>,
    head: Latency,
    rates: Vec<Rate>,
    /// Beside the catalogue.
    lines: Vec<Line>,
}

/// Everything that was measured.
#[derive(Serialize)]
struct Report {
    as_of: Timestamp,
    here: Option<Here>,
    /// Absent where the source has no object to read.
    source: Option<Side>,
    destination: Side,
    /// Where the figures were put.
    #[serde(skip_serializing_if = "Option::is_none")]
    saved: Option<PathBuf>,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    if args.bytes == 0 {
        return Err(Told::new(Exit::Usage, "--bytes must be above zero").into());
    }
    let catalog = catalog_file::of_config(args.config.as_deref(), context)?;
    let regions = (region_of(&args.source, None), region_of(&args.target, None));
    if let (Some(path), Some(here)) = (&args.save, &args.here) {
        save::check(path, &regions, here)?;
    }
    let opener = with_config(args.config.as_deref(), context)?;
    let source = open_side(&opener, &args.source).await?;
    let target = open_side(&opener, &args.target).await?;
    let object = object(source.as_ref(), args.key.as_ref()).await?;
    if object.is_none() {
        let why = "the source has no object to read: only the destination is measured";
        context.output.note(format_args!("note: {why}"));
    }
    let nonce = context.rng.token();
    // Finds out how the destination must be written to. Not cut off: it removes what it writes.
    let cannot = || format!("cannot write to {}", args.target);
    target.probe(&nonce).await.with_context(cannot)?;
    let measure = Measure {
        clock: Arc::clone(&context.clock),
        stop: context.stop.clone(),
        bytes: args.bytes,
        requests: args.requests,
    };
    let probes = Probes::new(Arc::clone(&target), &nonce, &context.rng);
    let measured = async {
        let destination = at_destination(&measure, &probes, &regions.1).await?;
        let read = match object {
            Some(object) => Some(at_source(&measure, source, object, &regions.0).await?),
            None => None,
        };
        anyhow::Ok((read, destination))
    };
    let measured = measured.await;
    let removed = probes.remove_all().await;
    let removed = removed.with_context(|| {
        format!(
            "cannot remove all probe objects from {}: their names begin with {PREFIX}{nonce}",
            args.target
        )
    });
    let (mut source, mut destination) = match (measured, removed) {
        (Ok(measured), removed) => removed.map(|()| measured)?,
        (Err(error), Ok(())) => return Err(error),
        (Err(error), Err(left)) => {
            context.output.note(format_args!("{left:#}"));
            return Err(error);
        }
    };
    if context.stop.is_cancelled() {
        return Ok(Exit::Interrupted);
    }
    let near = |side: &Side| (side.region.clone(), side.head.p50_ms);
    let here = match &args.here {
        Some(region) => Some(Here::said(region.clone())),
        None => source
            .as_ref()
            .and_then(|source| Here::taken(near(source), near(&destination))),
    };
    let region = here.as_ref().map(|here| &here.region);
    if let Some(source) = &mut source {
        let expected = region.and_then(|here| compare::read(&catalog, &regions.0, here));
        source.lines = compare::lines(&source.head, &source.rates, expected.as_ref());
    }
    let expected = region.and_then(|here| compare::written(&catalog, here, &regions.1));
    destination.lines = compare::lines(&destination.head, &destination.rates, expected.as_ref());
    let report = Report {
        as_of: context.clock.now(),
        here,
        source,
        destination,
        saved: args.save.clone(),
    };
    if let (Some(path), Some(here)) = (&args.save, &args.here) {
        save::save(path, &report, here)?;
    }
    match context.output.json {
        true => context.output.json_line(&report)?,
        false => tell::tell(&report, context),
    }
    Ok(Exit::Ok)
}

/// The object to read, and its size; `None` where there is none.
async fn object(
    store: &dyn ObjectStore,
    key: Option<&ObjectKey>,
) -> anyhow::Result<Option<(ObjectKey, u64)>> {
    if let Some(key) = key {
        let head = store
            .head(key)
            .await
            .with_context(|| format!("cannot read {key}"))?;
        return Ok(Some((key.clone(), head.size)));
    }
    let page = store
        .list(None, 1_000)
        .await
        .context("cannot list the source")?;
    let objects = page.objects.into_iter();
    let readable = objects.filter(|it| it.size > 0 && !it.key.as_str().starts_with(PREFIX));
    let largest = readable.max_by_key(|object| object.size);
    Ok(largest.map(|object| (object.key, object.size)))
}

async fn at_destination(
    measure: &Measure,
    probes: &Probes,
    region: &Region,
) -> anyhow::Result<Side> {
    let store = probes.store();
    let rates = measure.writes(probes).await.context("cannot write")?;
    let key = probes.first().await?;
    let head = measure.heads(store.as_ref(), &key).await?;
    Ok(Side {
        location: store.location().to_string(),
        region: region.clone(),
        read: None,
        head,
        rates,
        lines: Vec::new(),
    })
}

async fn at_source(
    measure: &Measure,
    store: Arc<dyn ObjectStore>,
    (key, size): (ObjectKey, u64),
    region: &Region,
) -> anyhow::Result<Side> {
    let head = measure.heads(store.as_ref(), &key).await?;
    let rates = measure.reads(&store, &key, size).await;
    Ok(Side {
        location: store.location().to_string(),
        region: region.clone(),
        read: Some((key, size)),
        head,
        rates: rates.context("cannot read")?,
        lines: Vec::new(),
    })
}

/// Whether a link of the catalogue leads from one to the other.
fn is_link(from: &Region, to: &Region) -> bool {
    from != to && from.provider != Provider::Local && to.provider != Provider::Local
}
