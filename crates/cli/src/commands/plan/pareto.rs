//! `skyfresh plan pareto`: what more throughput costs.

use super::ask::{Asked, usage, write};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Style, Table};
use skyfresh_plan::Work;
use skyfresh_plan::overlay::Goal;
use skyfresh_plan::transfer::frontier;
use skyfresh_sim::picture::frontier_picture;
use std::path::PathBuf;

/// Show what more throughput costs, to one destination: every plan that no other is both faster and cheaper than
///
/// Plans are made for throughputs spread evenly, and for each at which the price bends: where a link or a machine is full and another route begins. Those are found exactly, for machines that need not be whole.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[command(after_help = "\
Examples:
  skyfresh plan pareto azure:westus aws:eu-west-1 --size 50GB
  skyfresh plan pareto gcp:asia-east1 aws:sa-east-1 --size 1TB --vms 4 --samples 40 --svg frontier.svg")]
pub(super) struct Args {
    #[command(flatten)]
    asked: Asked,
    /// Throughputs spread evenly
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(2..=1000))]
    samples: u16,
    /// Draw the frontier
    #[arg(long, value_name = "FILE.svg")]
    svg: Option<PathBuf>,
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let network = args.asked.network()?;
    let request = args.asked.request(&network, Goal::Fastest)?;
    let mut work = Work::default();
    let began = context.clock.monotonic_ns();
    let points =
        frontier(&network, &request, usize::from(args.samples), &mut work).map_err(usage)?;
    let solve_ms = (context.clock.monotonic_ns() - began) as f64 / 1e6;
    let output = &context.output;
    if points.is_empty() {
        output.line("no way leads there");
        return Ok(Exit::Failed);
    }
    if let Some(path) = &args.svg {
        let title = format!("{} to {}", request.source, request.destinations[0]);
        write(
            path,
            &frontier_picture(&title, args.asked.volume_gb(), &points),
        )?;
    }
    if output.json {
        for point in &points {
            output.json_line(point)?;
        }
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(&["GBIT/S", "S", "$", "$/GB", "MACHINES", "RELAYS"]);
    for point in &points {
        let volume = request.volume_gb;
        let (time, machines, relays) = match &point.plan {
            Some(plan) => {
                let ends = |region: &skyfresh_sky::Region| {
                    *region == plan.source || plan.destinations.contains(region)
                };
                let relays: Vec<String> = plan
                    .vms
                    .keys()
                    .filter(|region| !ends(region))
                    .map(ToString::to_string)
                    .collect();
                let machines: u32 = plan.vms.values().sum();
                (
                    format!("{:.2}", plan.time_s),
                    machines.to_string(),
                    relays.join(" "),
                )
            }
            None => ("-".into(), "-".into(), "(the price bends here)".into()),
        };
        let style = if point.breakpoint {
            Style::Dim
        } else {
            Style::Plain
        };
        table.row(vec![
            (style, format!("{:.3}", point.throughput_gbps)),
            (style, time),
            (style, format!("{:.4}", point.cost_usd)),
            (style, format!("{:.5}", point.cost_usd / volume)),
            (style, machines),
            (style, relays),
        ]);
    }
    output.line(table.render(output, 0));
    output.note(output.paint(
        Style::Dim,
        format!("{} points in {solve_ms:.0} ms", points.len()),
    ));
    Ok(Exit::Ok)
}
