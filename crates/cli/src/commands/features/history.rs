//! `skyfresh features history`.

use super::serve::read_config;
use crate::context::Context;
use crate::exit::{Exit, Told};
use anyhow::Context as _;
use skyfresh_features::service::{AsOf, TrainingSet, training_set};
use std::fmt::Write as _;
use std::path::PathBuf;

/// Add features to the rows of a file, each as of its own time: a training set without knowledge of the future
///
/// The history is the directory that `history` names in the configuration: every feature that was written since it is set, seconds after it was written. A feature that was not there yet, or was past its time to live, is null. Prints JSON lines.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  skyfresh features history --asof orders.csv --features carts:price_sum,profile:city
  skyfresh features history --asof orders.jsonl --features carts:price_sum --by event --output training.jsonl"
)]
pub(super) struct Args {
    /// The rows: .csv with a heading, or .jsonl, with the views' keys and a time
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
    /// Write here instead
    #[arg(long, value_name = "FILE.jsonl")]
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
    let mut text = String::new();
    for row in &rows {
        // Writing to a text does not fail.
        let _ = writeln!(text, "{}", serde_json::to_string(row).context(cannot)?);
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    context
        .output
        .note(format!("{} rows in {}", rows.len(), path.display()));
    Ok(Exit::Ok)
}
