//! `skyfresh place oracle`: every placement that can be cheapest, made once.

use super::asked::{Asked, threads, usage};
use super::drift;
use super::query::{Objects, answer_all};
use crate::context::Context;
use crate::exit::{Exit, Told};
use anyhow::Context as _;
use serde::Serialize;
use skyfresh_placement::{Counts, Oracle, Plan, Shard};
use skyfresh_sky::Invalid;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Make, merge, describe and ask an oracle: all placements that can be cheapest for an object of any size
///
/// It holds for objects whose reads are of whole objects. The direct solver of `place query` needs none, and is faster; an oracle is for knowing all placements that there can be.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[command(after_help = "\
Examples:
  skyfresh place oracle build --prices tables --regions 'azure|aws' --replicas 3 --count
  skyfresh place oracle build --regions aws --replicas 3 --shard 1/2 --output part1.oracle
  skyfresh place oracle merge part1.oracle part2.oracle --output whole.oracle
  skyfresh place oracle query whole.oracle --workloads objects.jsonl --json
  skyfresh place oracle query whole.oracle --workloads objects.jsonl --drift")]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Build(Box<Build>),
    Merge(Merge),
    Info(Info),
    Query(Query),
}

/// Go through all sets of stores, and keep the placements that can be cheapest
///
/// A shard that is there already is not made again, so that a build that was stopped goes on where it was.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
struct Build {
    #[command(flatten)]
    asked: Asked,
    /// Only this part of the sets: the first of n is 1/n
    #[arg(long, value_name = "i/n", default_value = "1/1", value_parser = parse_shard)]
    shard: Shard,
    /// Keep also those that another placement makes better: then ties are told in full
    #[arg(long)]
    unfiltered: bool,
    /// Drop also those that several others, together, make better: milliseconds for each that is left
    #[arg(long, conflicts_with = "unfiltered")]
    reduce: bool,
    /// Print how many there are, as JSON; without --output nothing is kept
    #[arg(long)]
    count: bool,
    /// Where the oracle goes
    #[arg(long, value_name = "FILE", required_unless_present = "count")]
    output: Option<PathBuf>,
    /// Threads [default: all]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// Make one oracle of all its shards
#[derive(Debug, clap::Args)]
struct Merge {
    /// The shards, in any order
    #[arg(value_name = "FILE", required = true)]
    parts: Vec<PathBuf>,
    /// Where the whole goes
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

/// Say what an oracle holds
#[derive(Debug, clap::Args)]
struct Info {
    /// The oracle
    #[arg(value_name = "FILE")]
    oracle: PathBuf,
}

/// Answer for each object, as `place query` does, by an oracle
#[derive(Debug, clap::Args)]
struct Query {
    /// The oracle
    #[arg(value_name = "FILE")]
    oracle: PathBuf,
    #[command(flatten)]
    objects: Objects,
    /// Say how far its size, its puts, its gets and the gets of each region can shrink and grow before other stores are the cheapest, and which
    #[arg(long)]
    drift: bool,
}

/// What `--count` prints.
#[derive(Serialize)]
struct Counted {
    write_choices: u64,
    candidates: u64,
    distinct: u64,
    after_filter: u64,
    /// With --reduce: how many are left, and how many of these without a proof that an object needs them.
    #[serde(skip_serializing_if = "Option::is_none")]
    after_reduction: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unproven: Option<u64>,
    seconds: f64,
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    match &args.what {
        What::Build(args) => build(args, context),
        What::Merge(args) => merge(args, context),
        What::Info(args) => info(args, context),
        What::Query(args) => {
            let oracle = read(&args.oracle)?;
            if oracle.shard() != Shard::WHOLE {
                return Err(usage("a shard is no whole oracle")
                    .hint("`skyfresh place oracle merge` makes one of all of them")
                    .into());
            }
            match args.drift {
                true => drift::answer_all(&oracle, &args.objects, context),
                false => answer_all(&oracle, &args.objects, context),
            }
        }
    }
}

fn build(args: &Build, context: &Context) -> anyhow::Result<Exit> {
    let scenario = args.asked.scenario()?;
    let plan = Plan {
        shard: args.shard,
        filter: !args.unfiltered,
        reduce: args.reduce,
        keep: args.output.is_some(),
        count_distinct: args.count,
        threads: threads(args.threads),
    };
    if let Some(path) = args
        .output
        .as_ref()
        .filter(|path| !args.count && path.exists())
        && let Ok(there) = read(path)
        && there.is_made_by(&scenario, &plan)
    {
        context
            .output
            .note(format!("{} is there already", path.display()));
        return told(&there, path, context);
    }
    let began_ns = context.clock.monotonic_ns();
    let (oracle, counts) = Oracle::build(&scenario, plan)?;
    let seconds = context.clock.monotonic_ns().saturating_sub(began_ns) as f64 / 1e9;
    if let Some(path) = &args.output {
        write(&oracle, path)?;
        if !args.count {
            return told(&oracle, path, context);
        }
    }
    let Counts {
        write_choices,
        candidates,
        distinct,
        after_filter,
        after_reduction,
        unproven,
    } = counts;
    let reduced = |count: u64| args.reduce.then_some(count);
    context.output.json_line(&Counted {
        write_choices,
        candidates,
        distinct,
        after_filter,
        after_reduction: reduced(after_reduction),
        unproven: reduced(unproven),
        seconds,
    })?;
    Ok(Exit::Ok)
}

fn merge(args: &Merge, context: &Context) -> anyhow::Result<Exit> {
    let parts = args.parts.iter().map(|path| read(path));
    let whole = Oracle::merge(parts.collect::<anyhow::Result<Vec<Oracle>>>()?)?;
    write(&whole, &args.output)?;
    told(&whole, &args.output, context)
}

fn info(args: &Info, context: &Context) -> anyhow::Result<Exit> {
    told(&read(&args.oracle)?, &args.oracle, context)
}

/// Says what an oracle holds.
fn told(oracle: &Oracle, path: &Path, context: &Context) -> anyhow::Result<Exit> {
    let output = &context.output;
    let scenario = oracle.scenario();
    let (least, most) = oracle.replicas();
    let Shard { index, of } = oracle.shard();
    if output.json {
        output.json_line(&serde_json::json!({
            "file": path, "candidates": oracle.candidates(), "filtered": oracle.is_filtered(),
            "reduced": oracle.is_reduced(),
            "min_replicas": least, "max_replicas": most, "shard": index + 1, "of": of,
            "regions": scenario.regions().len(), "stores": scenario.stores().len(),
        }))?;
        return Ok(Exit::Ok);
    }
    let replicas = match least == most {
        true => format!("{least} replicas"),
        false => format!("{least} to {most} replicas"),
    };
    let part = match of {
        1 => String::new(),
        _ => format!(", shard {} of {of}", index + 1),
    };
    let kept = match (oracle.is_reduced(), oracle.is_filtered()) {
        (true, _) => "that others together do not make better",
        (false, true) => "that no other makes better",
        (false, false) => "unfiltered",
    };
    output.line(format!(
        "{}: {} placements {kept}, {replicas}, {} stores in {} regions{part}",
        path.display(),
        oracle.candidates(),
        scenario.stores().len(),
        scenario.regions().len(),
    ));
    Ok(Exit::Ok)
}

fn read(path: &Path) -> anyhow::Result<Oracle> {
    let file = File::open(path)
        .map_err(|error| usage(format!("cannot read {}: {error}", path.display())))?;
    let oracle = Oracle::read_from(&mut BufReader::new(file));
    oracle.with_context(|| format!("in {}", path.display()))
}

/// Writes beside the place and renames, so that what stands there is whole.
fn write(oracle: &Oracle, path: &Path) -> anyhow::Result<()> {
    let cannot = |error: std::io::Error| {
        let why = format!("cannot write {}: {error}", path.display());
        Told::new(Exit::Failed, why)
    };
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // As readable as any other file: the user's mask applies.
    let file = tempfile::Builder::new()
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(directory)
        .map_err(cannot)?;
    let mut to = BufWriter::new(file);
    oracle.write_to(&mut to).map_err(cannot)?;
    to.flush().map_err(cannot)?;
    let file = to
        .into_inner()
        .map_err(|error| cannot(error.into_error()))?;
    file.persist(path).map_err(|error| cannot(error.error))?;
    Ok(())
}

/// `1/4`: the first of four.
fn parse_shard(text: &str) -> Result<Shard, Invalid> {
    let numbers = text.split_once('/').and_then(|(index, of)| {
        let (index, of): (u32, u32) = (index.trim().parse().ok()?, of.trim().parse().ok()?);
        (1..=of).contains(&index).then_some(Shard {
            index: index - 1,
            of,
        })
    });
    numbers.ok_or_else(|| Invalid::new("shard", text, "write i/n, e.g. 1/4 for the first of four"))
}
