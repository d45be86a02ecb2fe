//! `skyfresh du`: how much there is, and what keeping it costs.

mod tree;

use crate::catalog_file;
use crate::commands::Filters;
use crate::context::Context;
use crate::exit::{Exit, Failures};
use crate::listing::{Named, Place};
use crate::open::Opener;
use crate::output::{Style, printable};
use crate::render::{objects, size};
use futures::TryStreamExt as _;
use serde::Serialize;
use skyfresh_engine::{Globs, region_of};
use skyfresh_sky::catalog::{Catalog, PriceScope, RegionPrices};
use skyfresh_sky::{Location, Region, Scheme, Usd};
use tree::{Sum, Tree};

/// Count objects and bytes, and say what storing them costs a month
///
/// The price is the catalogue's for the standard class in the region of the location (docs/catalogue.md), first bracket, without
/// requests, older versions and unfinished uploads. The region is the one on the location (?region=provider:name); a bucket of AWS
/// is asked for it. Where it cannot be told the cost is unknown, and printed as -.
///
/// With --depth each common prefix comes before the one around it, as du has it for directories.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  skyfresh du --human 's3://models/?region=eu-west-1'
  skyfresh du --depth 1 's3://logs/2026/?region=aws:us-east-1'
  skyfresh du 'gs://data/*.parquet?region=us-central1' --json")]
pub(crate) struct Args {
    #[command(flatten)]
    named: Named,
    /// Also count each common prefix, so many levels deep
    #[arg(long, value_name = "N", default_value_t = 0)]
    depth: usize,
    /// Sizes in KiB, MiB, …
    #[arg(long)]
    human: bool,
    #[command(flatten)]
    filters: Filters,
}

/// A sum, as JSON.
#[derive(Serialize)]
struct Line<'a> {
    /// What was named, without options.
    named: String,
    /// Whole key; `None` for all that was named.
    prefix: Option<&'a str>,
    objects: u64,
    bytes: u64,
    usd_per_month: Option<Usd>,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let globs = args.filters.globs()?;
    let catalog = catalog_file::of_config(args.named.config.as_deref(), context)?;
    let opener = args.named.opener(context)?;
    let places = args.named.open(&opener, false)?;
    let mut failures = Failures::default();
    let all = async {
        for place in places {
            let counted = match place.or_below(&opener).await {
                Ok(place) => count(&args, &place, &globs, &opener, &catalog, context).await,
                Err(error) => Err(error),
            };
            if let Err(error) = counted {
                failures.tell(&context.output, &error);
            }
        }
    };
    tokio::select! {
        () = all => {}
        () = context.stop.cancelled() => return Ok(Exit::Interrupted),
    }
    Ok(failures.exit())
}

async fn count(
    args: &Args,
    place: &Place,
    globs: &Globs,
    opener: &Opener,
    catalog: &Catalog,
    context: &Context,
) -> anyhow::Result<()> {
    let mut pages = place.pages(globs);
    // Whether it can be listed at all is known before anything is asked for its price.
    let mut page = pages.try_next().await?;
    let region = region(opener, place.location()).await;
    let prices = region
        .as_ref()
        .and_then(|region| catalog.region_prices(region));
    let usd_per_gb = prices.map(|prices| prices.usd_per_gb_month);
    let print = |key: &str, sum: Sum| show(args, place, key, sum, usd_per_gb, context);
    let mut tree = Tree::new(args.depth);
    let mut unusable = 0;
    while let Some(current) = page {
        for object in &current.objects {
            let one = Sum {
                objects: 1,
                bytes: object.size,
            };
            let level = place.location().prefix.len();
            tree.add(level, object.key.as_str(), one, &print)?;
        }
        unusable += current.unusable.len();
        if context.output.is_cut() {
            return Ok(());
        }
        page = pages.try_next().await?;
    }
    let total = tree.finish(&print)?;
    print(&place.location().prefix, total)?;
    if unusable > 0 {
        let remark = format!("note: {unusable} names there cannot be objects, and are not counted");
        context.output.note(remark);
    }
    if !context.output.json {
        context
            .output
            .note(about_price(place.location(), region.as_ref(), prices));
    }
    Ok(())
}

fn show(
    args: &Args,
    place: &Place,
    key: &str,
    sum: Sum,
    usd_per_gb: Option<Usd>,
    context: &Context,
) -> anyhow::Result<()> {
    let usd_per_month = usd_per_gb.map(|price| price.per_gb(sum.bytes));
    let prefix = Some(key).filter(|key| *key != place.location().prefix);
    let named = place.described();
    if context.output.json {
        return context.output.json_line(&Line {
            named,
            prefix,
            objects: sum.objects,
            bytes: sum.bytes,
            usd_per_month,
        });
    }
    let name = match prefix {
        Some(key) => printable(place.name(key), false),
        None => context.output.paint(Style::Bold, printable(&named, false)),
    };
    let cost = usd_per_month.map_or_else(|| "-".to_owned(), |usd| format!("{usd}/month"));
    let (bytes, count) = (size(sum.bytes, args.human), objects(sum.objects));
    context
        .output
        .line(format_args!("{bytes:>14}  {count:>16}  {cost:>16}  {name}"));
    Ok(())
}

/// The region whose prices count, where it can be told.
async fn region(opener: &Opener, location: &Location) -> Option<Region> {
    let told = region_of(location, None);
    if told != Region::local() {
        return Some(told);
    }
    if location.scheme != Scheme::S3 || location.option("endpoint").is_some() {
        return None;
    }
    let store = opener.s3(location).ok()?;
    // A bucket that is elsewhere says where with its first answer. It was listed just now: what fails here is no matter.
    skyfresh_store::ObjectStore::check_readable(&store)
        .await
        .ok()?;
    format!("aws:{}", store.aws_region()?).parse().ok()
}

fn about_price(
    location: &Location,
    region: Option<&Region>,
    prices: Option<RegionPrices>,
) -> String {
    match (region, prices) {
        (Some(region), Some(prices)) => {
            let whose = match prices.scope {
                PriceScope::Provider => " (its provider's price: the region has none listed)",
                PriceScope::Override => " (your own figure)",
                PriceScope::Region => "",
            };
            format!(
                "note: priced as the standard class of {region}, {} a GB and month{whose}",
                prices.usd_per_gb_month
            )
        }
        (Some(region), None) => format!("note: what storing costs is unknown: the catalogue has no price for {region}"),
        (None, _) if matches!(location.scheme, Scheme::File | Scheme::Memory) => {
            "note: what storing costs is unknown: the catalogue has no price for this machine's own".into()
        }
        (None, _) => {
            "note: what storing costs is unknown, as the region is: add ?region=PROVIDER:NAME to the location".into()
        }
    }
}
