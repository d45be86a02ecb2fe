//! `skyfresh place query`: the cheapest stores for each object.

use super::asked::{Asked, threads, usage};
use super::lines::Lines;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Style, printable};
use skyfresh_placement::{Direct, Engine, Ilp, Oracle, Plan, Reply, query};
use skyfresh_sky::parse_delay;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

/// Answer for each object: the cheapest stores, what they cost, which region reads from which
///
/// One object a line of JSON in: `{"id", "size_gb", "puts": {region: n}, "gets": {region: n}}`, and `ingress_gb`, `egress_gb` where they differ from requests × size; numbers, or strings such as "153/1000000". With --json one line out for each, in the same order. docs/placement.md describes both.
///
/// A line that cannot be answered is answered by an error; the others are answered all the same, and the exit code is 1.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[command(after_help = "\
Examples:
  skyfresh place query --prices tables --regions aws-eu --replicas 2 --workloads objects.jsonl --json
  skyfresh place query --replicas 2..3 --min-providers 2 --workloads objects.jsonl
  skyfresh place query --prices tables --latency latency.csv --slo-seconds 0.5 --workloads - < objects.jsonl")]
pub(super) struct Args {
    #[command(flatten)]
    asked: Asked,
    #[command(flatten)]
    objects: Objects,
    /// Who finds them: `direct`, the solver that needs no preparation; `oracle`, all placements that can be cheapest; `ilp`, an integer programme
    #[arg(long, value_name = "ENGINE", default_value = "direct")]
    engine: EngineName,
    /// Stop after this long for an object, with the best so far and its proven gap
    #[arg(long, value_name = "DELAY", value_parser = parse_delay)]
    time_limit: Option<Duration>,
}

/// Which objects, and how they are answered.
#[derive(Debug, clap::Args)]
pub(super) struct Objects {
    /// One object a line of JSON; `-` reads standard input
    #[arg(long, value_name = "FILE.jsonl")]
    pub(super) workloads: PathBuf,
    /// Threads [default: all]
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum EngineName {
    Direct,
    Oracle,
    Ilp,
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    if args.time_limit.is_some() && args.engine != EngineName::Direct {
        return Err(usage("--time-limit is for --engine direct").into());
    }
    let scenario = args.asked.scenario()?;
    match args.engine {
        EngineName::Direct => {
            let limit_ns = |limit: Duration| u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
            let engine = Direct {
                limit_ns: args.time_limit.map(limit_ns),
                ..Direct::new(&scenario)
            };
            answer_all(&engine, &args.objects, context)
        }
        EngineName::Oracle => {
            // All candidates, so that ties are told as the direct method tells them.
            let plan = Plan {
                filter: false,
                threads: threads(args.objects.threads),
                ..Plan::default()
            };
            let (oracle, _) = Oracle::build(&scenario, plan)?;
            answer_all(&oracle, &args.objects, context)
        }
        EngineName::Ilp => answer_all(&Ilp::new(&scenario), &args.objects, context),
    }
}

/// Answers every line, in batches.
pub(super) fn answer_all(
    engine: &dyn Engine,
    objects: &Objects,
    context: &Context,
) -> anyhow::Result<Exit> {
    let output = &context.output;
    let threads = threads(objects.threads);
    let mut lines = Lines::open(&objects.workloads)?;
    let mut exit = Exit::Ok;
    loop {
        if context.stop.is_cancelled() {
            return Ok(Exit::Interrupted);
        }
        let batch = lines.batch()?;
        if batch.is_empty() || output.is_cut() {
            return Ok(exit);
        }
        let batch: Vec<&str> = batch.iter().map(String::as_str).collect();
        let mut text = String::new();
        for reply in query(engine, &batch, threads, &*context.clock) {
            if matches!(reply, Reply::Refusal(_)) {
                exit = Exit::Failed;
            }
            // Writing to a String cannot fail.
            let _ = match output.json {
                true => writeln!(text, "{}", reply.json()),
                false => writeln!(text, "{}", shown(&reply, context)),
            };
        }
        output.text(&text);
    }
}

/// One line for people.
fn shown(reply: &Reply<'_>, context: &Context) -> String {
    let output = &context.output;
    match reply {
        Reply::Answer(answer) => {
            let mut text = format!(
                "{}  ${}  {}",
                printable(&answer.id, false),
                answer.cost_usd,
                answer.stores.join(" + ")
            );
            if answer.gap > 0.0 {
                let _ = write!(
                    text,
                    "  (at most {:.3}% above the cheapest)",
                    answer.gap * 100.0
                );
            } else if !answer.unique {
                text.push_str("  (others may cost the same)");
            }
            text
        }
        Reply::Refusal(refusal) => format!(
            "{}  {} {}",
            printable(refusal.id.as_deref().unwrap_or("(no id)"), false),
            output.paint(Style::Red, "error:"),
            printable(&refusal.error, false)
        ),
    }
}
