//! `skyfresh place`: the cheapest stores for the way an object is written and read.

mod asked;
mod explain;
mod lines;
mod oracle;
mod query;

use crate::context::Context;
use crate::exit::Exit;

/// Find the cheapest stores for the way objects are written and read, exactly
///
/// `place query` answers for one object a line of JSON, `place explain` says what each store and each region costs, `place oracle` makes every placement that can ever be cheapest, once, for many objects.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[command(after_help = "\
Examples:
  skyfresh place query --prices tables --regions aws-eu --replicas 2 --workloads objects.jsonl --json
  skyfresh place query --replicas 2.. --min-providers 2 --forbid-region aws-us-east-1 --workloads objects.jsonl
  skyfresh place explain --prices tables --regions 'azure|aws' --replicas 1..3 --workloads objects.jsonl
  skyfresh place oracle build --prices tables --regions aws --replicas 2 --count")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Query(Box<query::Args>),
    Explain(Box<explain::Args>),
    Oracle(Box<oracle::Args>),
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    match &args.what {
        What::Query(args) => query::run(args, context),
        What::Explain(args) => explain::run(args, context),
        What::Oracle(args) => oracle::run(args, context),
    }
}
