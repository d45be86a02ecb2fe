//! `skyfresh features history`.

use super::serve::read_config;
use crate::context::Context;
use crate::exit::{Exit, Told};
use anyhow::Context as _;
use skyfresh_features::service::{AsOf, TrainingSet, training_set};
use std::fmt::Write as _;
#[cfg(feature = "parquet")]
use std::fs::File;
#[cfg(feature = "parquet")]
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// Add features to the rows of a file, each as of its own time: a training set without knowledge of the future
///
/// The history is the directory that `history` names in the configuration: every feature that was written since it is set, seconds after it was written. A feature that was not there yet, or was past its time to live, is null. Prints JSON lines; writes Parquet where --output ends in .parquet.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  skyfresh features history --asof orders.csv --features carts:price_sum,profile:city
  skyfresh features history --asof orders.jsonl --features carts:price_sum --by event --output training.jsonl
  skyfresh features history --asof orders.parquet --features carts:price_sum --output training.parquet"
)]
pub(super) struct Args {
    /// The rows: .csv with a heading, .jsonl or .parquet, with the views' keys and a time
    #[arg(long, value_name = "FILE")]
    asof: PathBuf,
    /// The features, as view:feature; several with commas
    #[arg(long, value_name = "F,…", value_delimiter = ',', required = true)]
    features: Vec<String>,
    /// The configuration
    #[arg(short, long, value_name = "FILE", default_value = "features.toml")]
    config: PathBuf,
    /// The column of the time
    #[arg(long, value_name = "COLUMN", default_value = "event_timestamp")]
    time: String,
    /// What "as of" means: what was served then, or the newest event by then though its feature came later
    #[arg(long, value_name = "WHAT", default_value = "served")]
    by: By,
    /// Name features view__feature
    #[arg(long)]
    full_feature_names: bool,
    /// Write here instead, as Parquet where it ends in .parquet
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// See `AsOf`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum By {
    /// Features that were written by then
    Served,
    /// Features of events that happened by then
    Event,
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let cannot = "cannot join features";
    let config = read_config(&args.config)?;
    let Some(directory) = &config.history else {
        let why = format!("{} keeps no history", args.config.display());
        return Err(Told::new(Exit::Usage, why)
            .hint("set history = \"history\" in it")
            .into());
    };
    let wanted = TrainingSet {
        config: &config,
        features: &args.features,
        time: &args.time,
        as_of: match args.by {
            By::Served => AsOf::Served,
            By::Event => AsOf::Event,
        },
        full_feature_names: args.full_feature_names,
    };
    let rows = training_set(&wanted, &args.asof, directory.as_ref()).context(cannot)?;
    let Some(path) = &args.output else {
        for row in &rows {
            context.output.json_line(row)?;
        }
        return Ok(Exit::Ok);
    };
    if path.extension().is_some_and(|end| end == "parquet") {
        write_parquet(path, &rows)?;
    } else {
        write_lines(path, &rows)?;
    }
    context
        .output
        .note(format!("{} rows in {}", rows.len(), path.display()));
    Ok(Exit::Ok)
}

type Row = serde_json::Map<String, serde_json::Value>;

fn write_lines(path: &Path, rows: &[Row]) -> anyhow::Result<()> {
    let mut text = String::new();
    for row in rows {
        // Writing to a text does not fail.
        let _ = writeln!(text, "{}", serde_json::to_string(row)?);
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(feature = "parquet")]
fn write_parquet(path: &Path, rows: &[Row]) -> anyhow::Result<()> {
    let write = || {
        let file = BufWriter::new(File::create(path)?);
        skyfresh_features::service::write_rows(file, rows)?.flush()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(not(feature = "parquet"))]
fn write_parquet(path: &Path, _: &[Row]) -> anyhow::Result<()> {
    let why = format!("cannot write {}: this build has no Parquet", path.display());
    Err(Told::new(Exit::Usage, why)
        .hint("build with the feature `parquet`, or write .jsonl")
        .into())
}
