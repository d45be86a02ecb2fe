//! `skyfresh cp`: one-shot copies.

use crate::bulk::{self, CopyArgs, Request};
use crate::context::Context;
use crate::exit::{Exit, Told};
use crate::objects::{Objects, Reading, Which};

/// Copy objects, every one of them verified
///
/// SRC is one object (s3://bucket/a/b), everything below a prefix (s3://bucket/a/ with -r), or what matches a glob
/// (s3://bucket/a/*.bin). With several DST the source is read once. What is at a destination already, of equal size and not older, is
/// left alone; --checksum, --size-only and --always say otherwise.
///
/// Every copy is confirmed by its store's checksum before it counts. Ctrl-C and kill are safe: the same command goes on
/// where it stopped, inside large objects too. Nothing needs tuning: how many transfers go on at once is found while copying.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  skyfresh cp model.bin s3://models/v2/
  skyfresh cp -r s3://models/v2/ s3://models-eu/v2/ gs://models-us/v2/
  skyfresh cp 's3://logs/2026/*.gz' ./logs/ --dry-run")]
pub(crate) struct Args {
    /// What: s3://bucket/key, gs://bucket/key, az://account/container/key, file:///path or ./path
    #[arg(value_name = "SRC")]
    source: String,
    /// Where to: an object's name, or a prefix ending in /
    #[arg(value_name = "DST", required = true)]
    destinations: Vec<String>,
    /// Everything below SRC
    #[arg(short, long)]
    recursive: bool,
    /// Take * in SRC for itself
    #[arg(long)]
    literal: bool,
    /// Copy also what is at the destination already
    #[arg(long, conflicts_with_all = ["checksum", "size_only"])]
    always: bool,
    /// Replace only this version at the destination: its entity tag
    #[arg(long, value_name = "ETAG", conflicts_with_all = ["no_clobber", "recursive"])]
    if_match: Option<String>,
    #[command(flatten)]
    copy: CopyArgs,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let reading = Reading {
        recursive: args.recursive,
        literal: args.literal,
    };
    let source = Objects::read(&args.source, reading)?;
    if matches!(source.which, Which::All) && !args.recursive {
        let why = format!("{} is a prefix, not an object", args.source);
        return Err(Told::new(Exit::Usage, why)
            .hint("give -r to copy everything below it")
            .into());
    }
    let many = !matches!(source.which, Which::One(_));
    let mut targets = Vec::new();
    for destination in &args.destinations {
        let reading = Reading {
            recursive: many,
            literal: true,
        };
        let target = Objects::read(destination, reading)?;
        // One object keeps its name below a prefix.
        targets.push(match &source.which {
            Which::One(key) => target.named(key)?,
            Which::All | Which::Matching { .. } => target,
        });
    }
    let options = args
        .copy
        .options(args.always, args.if_match.as_deref(), None)?;
    let request = Request {
        command: "cp",
        source,
        targets,
        options,
        args: &args.copy,
    };
    bulk::run(request, context).await
}
