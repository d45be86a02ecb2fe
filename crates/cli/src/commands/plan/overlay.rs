//! `skyfresh plan SOURCE DESTINATION…`: a bulk transfer over an overlay.

use super::ask::{Asked, parse_gbps, parse_usd, places, usage, write};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Style, Table};
use serde::Serialize;
use skyfresh_plan::multicast::reference_model;
use skyfresh_plan::overlay::{Engine, Goal, Infeasible, Outcome, OverlayPlan, plan_on_any};
use skyfresh_sim::picture::overlay_map;
use skyfresh_sky::catalog::NetworkTier;
use skyfresh_sky::{Region, parse_delay};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(super) struct OverlayArgs {
    #[command(flatten)]
    asked: Asked,
    /// The cheapest plan that ends within this time
    #[arg(long, value_name = "DELAY", value_parser = parse_delay, group = "goal")]
    deadline: Option<Duration>,
    /// The cheapest plan at which every destination receives this much
    #[arg(long, value_name = "GBPS", value_parser = parse_gbps, group = "goal")]
    throughput: Option<f64>,
    /// The fastest plan for at most this many dollars
    #[arg(long, value_name = "USD", value_parser = parse_usd, group = "goal")]
    budget: Option<f64>,
    /// The fastest plan, whatever it costs
    #[arg(long, group = "goal")]
    fastest: bool,
    /// Who plans: best, milp, iterative, direct, gridftp, ron, spanning-tree, steiner, spider, cloudmpcast or cloudmpcast:ALPHA, skyplane, deadline-aware, bullet, bittorrent, s3-replication
    #[arg(long, value_name = "ENGINE", default_value = "best")]
    engine: Engine,
    /// Draw the plan on a map
    #[arg(long, value_name = "FILE.svg")]
    map: Option<PathBuf>,
    /// Write the paper's programme for this request in MPS, for a solver of your own
    #[arg(long, value_name = "FILE.mps")]
    write_mps: Option<PathBuf>,
}

/// What `--json` prints of a plan.
#[derive(Serialize)]
struct Printed<'a> {
    engine: &'a str,
    feasible: bool,
    source: &'a Region,
    destinations: &'a [Region],
    volume_gb: f64,
    cost_usd: f64,
    egress_usd: f64,
    vm_usd: f64,
    requests_usd: f64,
    part_bytes: Option<u64>,
    fee_usd: f64,
    time_s: f64,
    start_s: f64,
    throughput_gbps: f64,
    lower_bound_usd: Option<f64>,
    lower_bound_s: Option<f64>,
    solve_ms: f64,
    vms: &'a BTreeMap<Region, u32>,
    stripes: u32,
    trees: &'a [skyfresh_plan::overlay::StripeTree],
    edges: &'a [skyfresh_plan::overlay::EdgeVolume],
}

#[derive(Serialize)]
struct PrintedInfeasible<'a> {
    feasible: bool,
    solve_ms: f64,
    #[serde(flatten)]
    why: &'a Infeasible,
}

pub(super) fn run(args: &OverlayArgs, context: &Context) -> anyhow::Result<Exit> {
    let networks = match args.write_mps {
        Some(_) => vec![args.asked.network()?],
        None => args.asked.networks()?,
    };
    // The tiers differ in their links alone.
    let network = &networks[0];
    let goal = match (args.deadline, args.throughput, args.budget) {
        (Some(deadline), ..) => Goal::Deadline(deadline.as_secs_f64()),
        (_, Some(gbps), _) => Goal::Throughput(gbps),
        (.., Some(usd)) => Goal::Budget(usd),
        _ if args.fastest => Goal::Fastest,
        _ => Goal::Cheapest,
    };
    let request = args.asked.request(network, goal)?;
    if let Some(path) = &args.write_mps {
        let model = reference_model(network, &request).map_err(usage)?;
        write(path, &model.to_mps())?;
    }
    let began = context.clock.monotonic_ns();
    let (_, outcome) = plan_on_any(&networks, &request, args.engine).map_err(usage)?;
    let solve_ms = (context.clock.monotonic_ns() - began) as f64 / 1e6;
    let output = &context.output;
    match &outcome {
        Outcome::Plan(plan) => {
            if let Some(path) = &args.map {
                write(path, &overlay_map(plan, &places(network)))?;
            }
            match output.json {
                true => output.json_line(&printed(plan, request.part_bytes, solve_ms))?,
                false => show(plan, solve_ms, context),
            }
            Ok(Exit::Ok)
        }
        Outcome::Infeasible(why) => {
            match output.json {
                true => output.json_line(&PrintedInfeasible {
                    feasible: false,
                    solve_ms,
                    why,
                })?,
                false => show_infeasible(why, context),
            }
            Ok(Exit::Failed)
        }
    }
}

fn printed(plan: &OverlayPlan, part_bytes: Option<u64>, solve_ms: f64) -> Printed<'_> {
    Printed {
        engine: &plan.engine,
        feasible: true,
        source: &plan.source,
        destinations: &plan.destinations,
        volume_gb: plan.volume_gb,
        cost_usd: plan.cost_usd,
        egress_usd: plan.egress_usd,
        vm_usd: plan.vm_usd,
        requests_usd: plan.requests_usd,
        part_bytes,
        fee_usd: plan.fee_usd,
        time_s: plan.time_s,
        start_s: plan.start_s,
        throughput_gbps: plan.throughput_gbps,
        lower_bound_usd: plan.lower_bound_usd,
        lower_bound_s: plan.lower_bound_s,
        solve_ms,
        vms: &plan.vms,
        stripes: plan.stripes,
        trees: &plan.trees,
        edges: &plan.edges,
    }
}

fn show(plan: &OverlayPlan, solve_ms: f64, context: &Context) {
    let output = &context.output;
    let to: Vec<String> = plan.destinations.iter().map(ToString::to_string).collect();
    output.line(output.paint(
        Style::Bold,
        format!(
            "{} GB from {} to {}",
            plan.volume_gb,
            plan.source,
            to.join(", ")
        ),
    ));
    let start = match plan.start_s > 0.0 {
        true => format!(
            ", of which {:.0} s until machines have started",
            plan.start_s
        ),
        false => String::new(),
    };
    output.line(format!(
        "  {:.2} s{start}, {:.3} Gbit/s to every destination",
        plan.time_s, plan.throughput_gbps
    ));
    let fee = match plan.fee_usd > 0.0 {
        true => format!(", the service ${:.4}", plan.fee_usd),
        false => String::new(),
    };
    let requests = match plan.requests_usd > 0.0 {
        true => format!(", requests ${:.4}", plan.requests_usd),
        false => String::new(),
    };
    output.line(format!(
        "  ${:.4}: egress ${:.4}, machines ${:.4}{requests}{fee}",
        plan.cost_usd, plan.egress_usd, plan.vm_usd
    ));
    match (plan.lower_bound_usd, plan.lower_bound_s) {
        (_, Some(bound)) => output.line(format!("  no plan is faster than {bound:.2} s")),
        (Some(bound), None) => {
            let above = (plan.cost_usd / bound - 1.0).max(0.0) * 100.0;
            output.line(format!(
                "  no plan costs less than ${bound:.4} ({above:.3}% below this)"
            ));
        }
        (None, None) => {}
    }
    let machines: Vec<String> = plan
        .vms
        .iter()
        .map(|(region, count)| format!("{count} in {region}"))
        .collect();
    output.line(format!("  machines: {}", machines.join(", ")));
    output.line("");
    output.line(links(plan).render(output, 2));
    for tree in plan.trees.iter().filter(|tree| tree.stripes > 0) {
        let share = 100.0 * f64::from(tree.stripes) / f64::from(plan.stripes);
        let ways = branches(plan, &tree.edges);
        output.line(format!(
            "  {} of {} stripes ({share:.1}%): {ways}",
            tree.stripes, plan.stripes
        ));
    }
    let by = format!("planned by {} in {solve_ms:.1} ms", plan.engine);
    output.note(output.paint(Style::Dim, by));
}

/// What goes over each link; with its network tier, where one has any.
fn links(plan: &OverlayPlan) -> Table {
    let tiered = plan.edges.iter().any(|edge| edge.tier.is_some());
    let mut heads = vec!["FROM", "TO", "GB", "GBIT/S", "$/GB", "$"];
    heads.extend(tiered.then_some("TIER"));
    let mut table = Table::new(&heads);
    for edge in &plan.edges {
        let mut row = vec![
            (Style::Plain, edge.src.to_string()),
            (Style::Plain, edge.dst.to_string()),
            (Style::Plain, format!("{:.3}", edge.gb)),
            (Style::Plain, format!("{:.3}", edge.gbps)),
            (Style::Plain, format!("{:.4}", edge.usd_per_gb)),
            (Style::Plain, format!("{:.4}", edge.usd_per_gb * edge.gb)),
        ];
        let tier = edge.tier.map_or("-", NetworkTier::as_str);
        row.extend(tiered.then(|| (Style::Plain, tier.to_owned())));
        table.row(row);
    }
    table
}

/// A tree in a line: `a > b > {c, d}`.
fn branches(plan: &OverlayPlan, edges: &[(Region, Region)]) -> String {
    fn below(from: &Region, edges: &[(Region, Region)]) -> String {
        let children: Vec<String> = edges
            .iter()
            .filter(|(parent, _)| parent == from)
            .map(|(_, child)| format!("{child}{}", below(child, edges)))
            .collect();
        match &children[..] {
            [] => String::new(),
            [one] => format!(" > {one}"),
            several => format!(" > {{{}}}", several.join(", ")),
        }
    }
    format!("{}{}", plan.source, below(&plan.source, edges))
}

fn show_infeasible(why: &Infeasible, context: &Context) {
    let output = &context.output;
    output.line(output.paint(Style::Yellow, "no plan does what was asked"));
    for limit in &why.binding {
        output.line(format!("  in the way: {limit}"));
    }
    output.line(format!("  nearest: {}", why.nearest));
}
