//! `skyfresh sync`: make destinations equal to a source, once.

use crate::bulk::{self, CopyArgs, Request};
use crate::context::Context;
use crate::exit::{Exit, Told};
use crate::objects::{Objects, Reading};
use skyfresh_engine::bulk::DeleteLimits;
use std::io::{IsTerminal, Write};

/// Copy what differs, and with --delete remove what the source does not have
///
/// SRC and DST are prefixes or directories. Both are listed in key order and compared as they are listed: objects of equal size
/// that are not older at the destination are left alone (--checksum and --size-only compare otherwise). Copies begin with
/// the first page. Deletes come last, and only if both listings came to their ends, nothing failed, and there are not
/// more than --max-delete.
///
/// To keep places equal from now on, use `skyfresh replicate` or `skyfresh serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  skyfresh sync ./site s3://site/ --delete
  skyfresh sync s3://data/ gs://data-copy/ az://account/data/ --exclude '*.tmp'
  skyfresh sync s3://data/ s3://data-eu/ --delete --max-delete 50 --dry-run")]
pub(crate) struct Args {
    /// Where objects are: s3://bucket/prefix/, gs://…, az://account/container/prefix/, file:///directory or ./directory
    #[arg(value_name = "SRC")]
    source: String,
    /// Where they must also be
    #[arg(value_name = "DST", required = true)]
    destinations: Vec<String>,
    /// Delete at the destinations what the source does not have
    #[arg(long)]
    delete: bool,
    /// Most deletes at one destination; more are refused, and then none is made
    #[arg(long, value_name = "N", default_value_t = 1_000, requires = "delete")]
    max_delete: u64,
    /// Delete even where the source is completely empty
    #[arg(long, requires = "delete")]
    allow_empty_source: bool,
    #[command(flatten)]
    copy: CopyArgs,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let reading = Reading {
        recursive: true,
        literal: true,
    };
    let source = Objects::read(&args.source, reading)?;
    let mut targets = Vec::new();
    for destination in &args.destinations {
        targets.push(Objects::read(destination, reading)?);
    }
    let delete = args.delete.then_some(DeleteLimits {
        most: args.max_delete,
        allow_empty_source: args.allow_empty_source,
    });
    if args.delete && !args.copy.dry_run && !args.copy.yes {
        confirm(&args)?;
    }
    let options = args.copy.options(false, None, delete)?;
    let request = Request {
        command: "sync",
        source,
        targets,
        options,
        args: &args.copy,
    };
    bulk::run(request, context).await
}

/// Asks a person at a terminal. A script has said --delete, and --max-delete protects it.
fn confirm(args: &Args) -> anyhow::Result<()> {
    let (input, mut output) = (std::io::stdin(), std::io::stderr());
    if !input.is_terminal() || !output.is_terminal() {
        return Ok(());
    }
    write!(
        output,
        "Objects that {} does not have will be deleted at {} (at most {} each). Go on? [y/N] ",
        args.source,
        args.destinations.join(", "),
        args.max_delete
    )?;
    output.flush()?;
    let mut answer = String::new();
    input.read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Told::new(Exit::Refused, "not confirmed; nothing was done")
            .hint("-y asks nothing, --dry-run shows what would be done")
            .into()),
    }
}
