//! `skyfresh plan replicate`: the ways of one change to its destinations.

use crate::context::Context;
use crate::exit::{Exit, Told};
use crate::output::{Style, Table};
use serde::Serialize;
use skyfresh_plan::predict::{Family, Site};
use skyfresh_plan::replicate::{
    Ask, Candidate, Choice, FanOut, Planner, Settings, StoreCopy, Verdict, fan_out,
};
use skyfresh_sky::catalog::Catalog;
use skyfresh_sky::{Invalid, Region, Slo, Usd, format_bytes, parse_bytes, parse_delay};
use std::time::Duration;

/// Predict and price every way of replicating a change, and say which is the cheapest in time
///
/// Times run from when the change is known. They are predicted from the catalogue's figures. With several destinations the cheapest tree is shown too: a destination may read from another one that has it already.
///
/// Exits with 1 where nothing is in time, or the budget is too small.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The region that the object is in, e.g. aws:us-east-1
    #[arg(value_name = "SOURCE")]
    source: Region,
    /// The regions that it must also be in
    #[arg(value_name = "DESTINATION", required = true, num_args = 1..)]
    destinations: Vec<Region>,
    /// Its size
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    size: u64,
    /// How fresh: a delay, and the percentile of changes that must keep it
    #[arg(long, value_name = "DELAY[@pPERCENTILE]", default_value = "60s")]
    slo: Slo,
    /// How much of that has passed when planning begins
    #[arg(long, value_name = "DELAY", value_parser = parse_delay, default_value = "0s")]
    elapsed: Duration,
    /// How often the key changes: with it, how long a change may wait for the next one, and the dollars of all of them
    #[arg(long, value_name = "N/s|min|hour", value_parser = parse_changes)]
    changes: Option<f64>,
    /// Dollars a month or an hour, which `--changes` must stay within
    #[arg(long, value_name = "USD/month|hour", value_parser = parse_budget, requires = "changes")]
    budget: Option<f64>,
    /// By which share a plan may be dearer than the cheapest in time, if it is faster
    #[arg(long, value_name = "SHARE", default_value = "0.01", value_parser = parse_share)]
    premium: f64,
    /// Further regions whose functions may be used; the source's and the destination's always may
    #[arg(long, value_name = "REGION")]
    via: Vec<Region>,
    /// Plan for workers of a process in this region, without functions
    #[arg(long, value_name = "REGION", conflicts_with = "via")]
    process: Option<Region>,
    /// Also look at the destination's store copying from the source's by itself, where both are of one provider
    #[arg(long)]
    server_copy: bool,
    /// Share of functions that start cold, 0 to 1
    #[arg(long, value_name = "SHARE", default_value = "0.05", value_parser = parse_share)]
    cold: f64,
    /// The service of a shared ledger, as `skyfresh catalog` names it
    #[arg(long, value_name = "SERVICE")]
    state: Option<String>,
    /// How delays are modelled: as measured, or as the published system does
    #[arg(long, value_name = "FAMILY", default_value = "measured")]
    family: Model,
    /// Show every candidate
    #[arg(long)]
    all: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Model {
    /// Measured distributions, parts pulled
    Measured,
    /// Normal, and Gumbel for the last of several workers (λReplica)
    NormalGumbel,
}

fn parse_share(text: &str) -> Result<f64, String> {
    let share = text
        .parse::<f64>()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("{text} is no share: write a number from 0 to 1"))
}

/// Changes a second.
fn parse_changes(text: &str) -> Result<f64, String> {
    let bad = || format!("{text} is no rate: write 20/min, 0.5/s or 3/hour");
    let (count, unit) = text.split_once('/').ok_or_else(bad)?;
    let count: f64 = count.parse().map_err(|_| bad())?;
    let unit_s = match unit {
        "s" => 1.0,
        "min" => 60.0,
        "hour" => 3_600.0,
        _ => return Err(bad()),
    };
    let usable = count.is_finite() && count > 0.0;
    usable.then_some(count / unit_s).ok_or_else(bad)
}

/// Dollars a second.
fn parse_budget(text: &str) -> Result<f64, String> {
    let bad = || format!("{text} is no budget: write 50/month or 0.2/hour");
    let (usd, unit) = text.split_once('/').ok_or_else(bad)?;
    let usd: f64 = usd.trim_start_matches('$').parse().map_err(|_| bad())?;
    let unit_s = match unit {
        "month" => 30.0 * 86_400.0,
        "hour" => 3_600.0,
        _ => return Err(bad()),
    };
    let usable = usd.is_finite() && usd > 0.0;
    usable.then_some(usd / unit_s).ok_or_else(bad)
}

const MONTH_S: f64 = 30.0 * 86_400.0;
/// Candidates shown beside the winner where not all are asked for: those around it.
const SHOWN_BEFORE: usize = 3;
const SHOWN_AFTER: usize = 2;

/// What is told of one destination.
#[derive(Serialize)]
struct Planned<'a> {
    destination: &'a Region,
    choice: Choice,
    /// How long a change may wait for the next one of its key, and what the key costs a month, held and not held.
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<Held>,
}

#[derive(Clone, Copy, Serialize)]
struct Held {
    wait_s: f64,
    usd_a_month: f64,
    usd_a_month_unheld: f64,
}

#[derive(Serialize)]
struct Whole<'a> {
    source: &'a Region,
    size_bytes: u64,
    slo: Slo,
    destinations: Vec<Planned<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tree: Option<FanOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    within_budget: Option<bool>,
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let catalog = Catalog::embedded();
    known(&catalog, args)?;
    let settings = Settings {
        state: args.state.clone(),
        cold: args.cold,
        family: match args.family {
            Model::Measured => Family::Measured,
            Model::NormalGumbel => Family::NormalGumbel,
        },
        ..Settings::default()
    };
    let mut planner = Planner::new(catalog, settings).map_err(usage)?;
    let asks: Vec<Ask> = args.destinations.iter().map(|to| ask(args, to)).collect();
    let mut destinations = Vec::new();
    for asked in &asks {
        let choice = planner.choose(asked).map_err(usage)?;
        let held = match (args.changes, choice.winner()) {
            (Some(per_s), Some(winner)) => Some(held(&mut planner, asked, winner, per_s)?),
            _ => None,
        };
        destinations.push(Planned {
            destination: &asked.destination,
            choice,
            held,
        });
    }
    let tree = match asks.len() {
        1 => None,
        _ => Some(fan_out(&mut planner, &asks).map_err(usage)?),
    };
    let usd_a_month: f64 = destinations
        .iter()
        .filter_map(|it| it.held)
        .map(|it| it.usd_a_month)
        .sum();
    let within_budget = args
        .budget
        .map(|usd_a_second| usd_a_month <= usd_a_second * MONTH_S);
    let whole = Whole {
        source: &args.source,
        size_bytes: args.size,
        slo: args.slo,
        destinations,
        tree,
        within_budget,
    };
    let output = &context.output;
    if output.json {
        output.json_line(&whole)?;
    } else {
        show(&whole, args, usd_a_month, context);
    }
    let in_time = |it: &Planned<'_>| it.choice.verdict == Verdict::InTime;
    Ok(
        match whole.destinations.iter().all(in_time) && within_budget != Some(false) {
            true => Exit::Ok,
            false => Exit::Failed,
        },
    )
}

fn usage(error: Invalid) -> anyhow::Error {
    Told::new(Exit::Usage, error.to_string()).into()
}

/// Refuses regions of which the catalogue knows nothing: a plan of guesses would look like one of figures.
fn known(catalog: &Catalog, args: &Args) -> anyhow::Result<()> {
    let regions = catalog.regions();
    let named = std::iter::once(&args.source)
        .chain(&args.process)
        .chain(&args.destinations)
        .chain(&args.via);
    for region in named {
        if !regions.contains(region) {
            let why = format!("the catalogue knows no region {region}");
            return Err(Told::new(Exit::Usage, why)
                .hint("`skyfresh catalog regions` lists those it knows")
                .into());
        }
    }
    Ok(())
}

fn ask(args: &Args, destination: &Region) -> Ask {
    let mut ask = Ask::new(
        args.source.clone(),
        destination.clone(),
        args.size,
        args.slo,
    );
    ask.elapsed = args.elapsed;
    ask.premium = args.premium;
    // As where the source keeps no older versions: a change while it is read makes the copy begin again.
    ask.changes_per_s = args.changes.unwrap_or(0.0);
    ask.sites
        .extend(args.via.iter().cloned().filter_map(Site::functions));
    if let Some(region) = &args.process {
        ask.sites = vec![Site::process(region.clone())];
    }
    ask.sites.sort();
    ask.sites.dedup();
    let provider = destination.provider;
    let one_service = args.server_copy && args.source.provider == provider;
    ask.server_copy = one_service.then(|| StoreCopy::usual(args.size, provider));
    ask
}

fn held(planner: &mut Planner, ask: &Ask, winner: &Candidate, per_s: f64) -> anyhow::Result<Held> {
    let hold = planner.hold(ask, winner, per_s).map_err(usage)?;
    let usd = winner.cost.total().usd();
    // A transfer covers the change that began the wait, and those that fell into it.
    let transfers_per_s = per_s / (1.0 + per_s * hold.wait_s);
    Ok(Held {
        wait_s: hold.wait_s,
        usd_a_month: usd * transfers_per_s * MONTH_S,
        usd_a_month_unheld: usd * per_s * MONTH_S,
    })
}

fn seconds(value: f64) -> String {
    match value.is_finite() {
        true => format!("{value:.2} s"),
        false => "never".into(),
    }
}

/// Marked where the catalogue only estimates one of the links.
fn about(candidate: &Candidate, value: f64) -> String {
    let sign = if candidate.estimated { "≈ " } else { "" };
    format!("{sign}{}", seconds(value))
}

/// With four digits, since candidates differ little: most of their price is the same egress.
fn precise(usd: Usd) -> String {
    let usd = usd.usd();
    let leading = if usd > 0.0 { -usd.log10().floor() } else { 0.0 };
    let digits = (leading + 3.0).clamp(2.0, 12.0) as usize;
    format!("${usd:.digits$}")
}

fn show(whole: &Whole<'_>, args: &Args, usd_a_month: f64, context: &Context) {
    let output = &context.output;
    for planned in &whole.destinations {
        let title = format!(
            "{} to {}, {}, {}",
            whole.source,
            planned.destination,
            format_bytes(whole.size_bytes),
            whole.slo
        );
        output.line(output.paint(Style::Bold, &title));
        output.line(table(&planned.choice, args, context));
        output.line(format!("  {}", planned.choice.why));
        if let Some(held) = planned.held {
            output.line(format!(
                "  a change may wait {} for the next one: {} a month for this key, {} without waiting",
                seconds(held.wait_s),
                Usd::from_usd(held.usd_a_month),
                Usd::from_usd(held.usd_a_month_unheld)
            ));
        }
    }
    if let Some(tree) = &whole.tree {
        let alone: Usd = whole
            .destinations
            .iter()
            .filter_map(|it| it.choice.price())
            .sum();
        let title = format!(
            "All of them, {} ({} without a tree)",
            precise(tree.total),
            precise(alone)
        );
        output.line(output.paint(Style::Bold, &title));
        for leaf in &tree.leaves {
            let from = leaf.via.as_ref().unwrap_or(whole.source);
            output.line(format!(
                "  {} from {from}: {}, there within {}, {}",
                leaf.destination,
                leaf.candidate.way,
                seconds(leaf.at_slo_s),
                precise(leaf.candidate.cost.total())
            ));
        }
    }
    if let Some(within) = whole.within_budget {
        let word = if within { "within" } else { "beyond" };
        output.line(format!(
            "  {} a month: {word} the budget",
            Usd::from_usd(usd_a_month)
        ));
    }
}

fn table(choice: &Choice, args: &Args, context: &Context) -> String {
    let at_slo = format!("p{}", args.slo.percentile);
    let mut table = Table::new(&[
        "",
        "way",
        "p50",
        &at_slo,
        "in time",
        "total",
        "egress",
        "requests",
        "functions",
        "state",
    ]);
    let chosen = choice.chosen.unwrap_or(0);
    for (index, candidate) in choice.candidates.iter().enumerate() {
        let near = index + SHOWN_BEFORE >= chosen && index <= chosen + SHOWN_AFTER;
        if !args.all && !near {
            continue;
        }
        let (sign, style) = match choice.chosen == Some(index) {
            true => ("→", Style::Bold),
            false => (" ", Style::Plain),
        };
        let cost = &candidate.cost;
        let in_time = match &candidate.refused {
            Some(why) => why.clone(),
            None => format!("{:.1}%", candidate.in_time * 100.0),
        };
        let unpriced = if cost.unpriced { "?" } else { "" };
        let cells = [
            sign.to_owned(),
            candidate.way.to_string(),
            about(candidate, candidate.p50_s),
            about(candidate, candidate.at_slo_s),
            in_time,
            format!("{}{unpriced}", precise(cost.total())),
            format!("{}{unpriced}", cost.egress),
            cost.requests.to_string(),
            cost.functions.to_string(),
            cost.state.to_string(),
        ];
        table.row(cells.into_iter().map(|cell| (style, cell)).collect());
    }
    let left_out = choice.candidates.len();
    let shown = match args.all {
        true => String::new(),
        false => format!("\n  {left_out} candidates in all; --all shows them"),
    };
    format!("{}{shown}", table.render(&context.output, 2))
}
