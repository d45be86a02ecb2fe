//! `skyfresh place explain`: where the money of a placement goes.

use super::asked::{Asked, usage};
use super::lines::Lines;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Style, Table, printable};
use serde::Serialize;
use skyfresh_placement::{
    Fault, Item, Limits, Refusal, Scenario, cost_of, explain, read_usage, solve,
};
use std::path::PathBuf;

/// Say what each store and each region costs, in lines that add up to the total
///
/// Of the cheapest placement; with --at of the stores that you name, such as those that hold the copies today.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[command(after_help = "\
Examples:
  skyfresh place explain --prices tables --regions aws-eu --replicas 2 --workloads objects.jsonl
  skyfresh place explain --workloads objects.jsonl --id logo --at aws-us-east-1-s3-Standard
  skyfresh place explain --replicas 1..3 --workloads objects.jsonl --json")]
pub(super) struct Args {
    #[command(flatten)]
    asked: Asked,
    /// One object a line of JSON; `-` reads standard input
    #[arg(long, value_name = "FILE.jsonl")]
    workloads: PathBuf,
    /// Only the object of this id
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// A store that holds a copy, in place of the cheapest ones; may be given again
    #[arg(long, value_name = "STORE")]
    at: Vec<String>,
}

#[derive(Serialize)]
struct Explained<'a> {
    id: &'a str,
    cost_usd: String,
    stores: Vec<&'a str>,
    lines: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    store: &'a str,
    region: Option<&'a str>,
    item: &'static str,
    cost_usd: String,
}

fn item(item: Item) -> &'static str {
    match item {
        Item::Storage => "storage",
        Item::Puts => "puts",
        Item::Ingress => "ingress",
        Item::Gets => "gets",
        Item::Egress => "egress",
    }
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let scenario = args.asked.scenario()?;
    let mut at = Vec::with_capacity(args.at.len());
    for name in &args.at {
        let store = scenario
            .stores()
            .iter()
            .position(|store| store.name == *name);
        let store = store.ok_or_else(|| {
            usage(format!(
                "{name} is not among the {} stores chosen",
                scenario.stores().len()
            ))
            .hint(format!(
                "names are provider-region-service-tier, e.g. {}",
                scenario.stores()[0].name
            ))
        })?;
        at.push(store as u32);
    }
    at.sort_unstable();
    at.dedup();
    let mut lines = Lines::open(&args.workloads)?;
    let (mut exit, mut any) = (Exit::Ok, false);
    loop {
        let batch = lines.batch()?;
        if batch.is_empty() || context.output.is_cut() {
            break;
        }
        for line in batch {
            let told = match read_usage(&line) {
                Ok(usage) if args.id.as_ref().is_some_and(|id| *id != usage.id) => continue,
                Ok(usage) => {
                    let id = usage.id.clone();
                    one(&scenario, &usage, &at, context).map_err(|fault| (Some(id), fault))
                }
                Err((id, _)) if args.id.is_some() && id != args.id => continue,
                Err(fault) => Err(fault),
            };
            any = true;
            match told {
                Ok(told) => told?,
                Err((id, fault)) => {
                    exit = Exit::Failed;
                    refuse(id, &fault, context)?;
                }
            }
        }
    }
    match &args.id {
        Some(id) if !any => Err(usage(format!(
            "no object of {} has the id {id}",
            args.workloads.display()
        ))
        .into()),
        _ => Ok(exit),
    }
}

fn refuse(id: Option<String>, fault: &Fault, context: &Context) -> anyhow::Result<()> {
    let output = &context.output;
    if output.json {
        return output.json_line(&Refusal {
            id,
            error: fault.to_string(),
            kind: fault.kind(),
        });
    }
    output.line(format!(
        "{}  {} {}",
        printable(id.as_deref().unwrap_or("(no id)"), false),
        output.paint(Style::Red, "error:"),
        printable(&fault.to_string(), false)
    ));
    Ok(())
}

/// Explains one object; the inner result is that of printing.
fn one(
    scenario: &Scenario,
    usage: &skyfresh_placement::Usage,
    at: &[u32],
    context: &Context,
) -> Result<anyhow::Result<()>, Fault> {
    let workload = usage.resolve(scenario)?;
    let cheapest = || {
        solve(scenario, &workload, Limits::default())
            .map(|placement| placement.stores)
            .map_err(|infeasible| Fault::Infeasible(infeasible.describe(scenario)))
    };
    let stores = if at.is_empty() {
        cheapest()?
    } else {
        at.to_vec()
    };
    let cut_off =
        || Fault::Infeasible("a region that reads can read from none of these stores".into());
    let (total, _) = cost_of(scenario, &workload, &stores).ok_or_else(cut_off)?;
    let lines = explain(scenario, &workload, &stores).ok_or_else(cut_off)?;
    let store_name = |store: u32| scenario.stores()[store as usize].name.as_str();
    let explained = Explained {
        id: &usage.id,
        cost_usd: total.to_string(),
        stores: stores.iter().map(|store| store_name(*store)).collect(),
        lines: lines
            .iter()
            .map(|line| Line {
                store: store_name(line.store),
                region: line
                    .region
                    .map(|region| scenario.regions()[region].as_str()),
                item: item(line.item),
                cost_usd: line.cost.to_string(),
            })
            .collect(),
    };
    let output = &context.output;
    if output.json {
        return Ok(output.json_line(&explained));
    }
    output.line(output.paint(
        Style::Bold,
        format!(
            "{}: ${} a month",
            printable(explained.id, false),
            explained.cost_usd
        ),
    ));
    let mut table = Table::new(&["STORE", "FOR", "REGION", "$"]);
    for line in &explained.lines {
        table.row(vec![
            (Style::Plain, line.store.into()),
            (Style::Plain, line.item.into()),
            (Style::Plain, line.region.unwrap_or_default().into()),
            (Style::Plain, line.cost_usd.clone()),
        ]);
    }
    table.row(vec![
        (Style::Plain, "total".into()),
        (Style::Plain, String::new()),
        (Style::Plain, String::new()),
        (Style::Plain, explained.cost_usd.clone()),
    ]);
    output.line(table.render(output, 2));
    Ok(Ok(()))
}
