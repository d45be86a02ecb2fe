//! `skyfresh place`: the cheapest stores for the way an object is written and read.

mod advise;
mod apply;
mod asked;
mod drift;
mod explain;
mod lines;
mod oracle;
mod query;

use crate::context::Context;
use crate::exit::Exit;

/// Find the cheapest stores for the way objects are written and read, exactly
///
/// `place query` answers for one object a line of JSON, `place explain` says what each store and each region costs, `place oracle` makes every placement that can ever be cheapest, once, for many objects. `place advise` reads access logs and says what moving data would save; `place apply` makes replication rules of its advice.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[command(after_help = "\
Examples:
  skyfresh place query --prices tables --regions aws-eu --replicas 2 --workloads objects.jsonl --json
  skyfresh place query --replicas 2.. --min-providers 2 --forbid-region aws-us-east-1 --workloads objects.jsonl
  skyfresh place explain --prices tables --regions 'azure|aws' --replicas 1..3 --workloads objects.jsonl
  skyfresh place oracle build --prices tables --regions aws --replicas 2 --count
  skyfresh place advise logs/ --at aws-us-east-1-s3-Standard --clients networks.csv --html advice.html")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Query(Box<query::Args>),
    Explain(Box<explain::Args>),
    Oracle(Box<oracle::Args>),
    Advise(Box<advise::Args>),
    Apply(apply::Args),
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    match &args.what {
        What::Query(args) => query::run(args, context),
        What::Explain(args) => explain::run(args, context),
        What::Oracle(args) => oracle::run(args, context),
        What::Advise(args) => advise::run(args, context),
        What::Apply(args) => apply::run(args, context),
    }
}
