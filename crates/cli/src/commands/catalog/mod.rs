//! `skyfresh catalog`: what the catalogue says, and tables of other systems turned into its own.

mod functions;
mod import;
mod regions;
mod ways;

use crate::catalog_file;
use crate::context::Context;
use crate::exit::{Exit, Told};
use skyfresh_sky::Region;
use skyfresh_sky::catalog::Catalog;
use std::path::PathBuf;

/// Show prices, throughput and distances between regions, and where each figure comes from
///
/// The catalogue is part of this binary: nothing is asked over a network. Every figure says whether it is listed (measured, or on
/// a price list), doubted, estimated, or your own; docs/catalogue.md names sources, dates, and the error of the estimates.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  skyfresh catalog regions --provider gcp
  skyfresh catalog price aws:us-east-1 azure:westeurope
  skyfresh catalog link aws:us-east-1 cloudflare:weur --json
  skyfresh catalog import --skyplane ./profiles --output prices.csv
  skyfresh catalog price aws:us-east-1 gcp:us-central1 --overrides prices.csv")]
pub(crate) struct Args {
    #[command(subcommand)]
    question: Question,
}

/// What is asked.
#[derive(Debug, clap::Subcommand)]
enum Question {
    Regions(regions::Args),
    Price(ways::PriceArgs),
    Link(ways::LinkArgs),
    Functions(functions::Args),
    Import(import::Args),
}

/// The user's own figures.
#[derive(Debug, clap::Args)]
struct Overrides {
    /// A file with your own figures, which come first (docs/catalogue.md)
    #[arg(long, value_name = "FILE")]
    overrides: Option<PathBuf>,
}

impl Overrides {
    fn catalog(&self) -> anyhow::Result<Catalog> {
        catalog_file::overridden(self.overrides.as_deref())
    }
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    match args.question {
        Question::Regions(args) => regions::run(&args, context),
        Question::Price(args) => ways::price(&args, context),
        Question::Link(args) => ways::link(&args, context),
        Question::Functions(args) => functions::run(&args, context),
        Question::Import(args) => import::run(&args, context),
    }
}

/// A region that the catalogue lists; else an error with the names most like it.
fn listed(catalog: &Catalog, text: &str) -> Result<Region, Told> {
    let unknown = |why: String| {
        let near = catalog.nearest_names(text, 3);
        let hint = match near.is_empty() {
            true => "`skyfresh catalog regions` lists them".to_owned(),
            false => format!("did you mean {}?", near.join(", ")),
        };
        Told::new(Exit::Usage, why).hint(hint)
    };
    let region: Region = text
        .parse()
        .map_err(|error: skyfresh_sky::Invalid| unknown(error.to_string()))?;
    match catalog.place(&region) {
        Some(_) => Ok(region),
        None => Err(unknown(format!("the catalogue does not list {region}"))),
    }
}
