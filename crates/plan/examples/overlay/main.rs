//! What `cargo xtask eval overlay` measures, as JSON, a value a line: plans, how long they took to make, and the papers' programmes
//! written out for another solver.
//!
//! Arguments: a part (`cases`, `unicast`, `random`, `papers`) and a folder for the programmes.

mod cases;
mod papers;
mod random;
mod unicast;

use serde_json::{Value, json};
use skyfresh_plan::network::{Network, read_grid};
use skyfresh_plan::overlay::{Engine, Goal, Outcome, OverlayPlan, Request, plan};
use skyfresh_sky::{Invalid, Region};
use std::error::Error;
use std::io::Write;
use std::path::Path;

type Done = Result<(), Box<dyn Error>>;

fn main() -> Done {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, part, folder] = &arguments[..] else {
        return Err("expected a part and a folder".into());
    };
    let folder = Path::new(folder);
    match part.as_str() {
        "cases" => cases::run(folder),
        "unicast" => unicast::run(folder),
        "random" => random::run(folder),
        "papers" => papers::run(),
        other => Err(format!("no part {other}").into()),
    }
}

fn grid_2022_01() -> Result<Network, Invalid> {
    read_grid(include_str!("../../grids/2022-01.csv"))
}

fn grid_2022_11() -> Result<Network, Invalid> {
    read_grid(include_str!("../../grids/2022-11.csv"))
}

/// Tells the evaluation.
fn tell(value: &Value) -> Done {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{value}")?;
    Ok(())
}

/// A request for `volume_gb`, with so many machines a region.
fn request(
    source: &str,
    destinations: &[&str],
    volume_gb: f64,
    goal: Goal,
    machines: u32,
) -> Result<Request, Invalid> {
    let regions: Result<Vec<Region>, Invalid> =
        destinations.iter().map(|name| name.parse()).collect();
    let mut request = Request::new(source.parse()?, regions?, volume_gb, goal);
    request.vms_per_region = machines;
    Ok(request)
}

/// The plan and the milliseconds of processor time that it took: the median of `times`.
fn timed(
    network: &Network,
    request: &Request,
    engine: Engine,
    times: usize,
) -> Result<(Outcome, f64), Invalid> {
    let mut all = Vec::new();
    loop {
        let began = processor_ms();
        let outcome = plan(network, request, engine)?;
        all.push(processor_ms() - began);
        if all.len() >= times {
            all.sort_by(f64::total_cmp);
            return Ok((outcome, all[all.len() / 2]));
        }
    }
}

/// What this process, of one thread, has had of processors: what other processes do does not count.
fn processor_ms() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

fn row(part: &str, name: &str, plan: &OverlayPlan, ms: f64) -> Value {
    let machines: u32 = plan.vms.values().sum();
    json!({
        "part": part,
        "name": name,
        "engine": plan.engine,
        "cost_usd": plan.cost_usd,
        "egress_usd": plan.egress_usd,
        "time_s": plan.time_s,
        "gbps": plan.throughput_gbps,
        "bound_usd": plan.lower_bound_usd,
        "machines": machines,
        "trees": plan.trees.len(),
        "ms": ms,
    })
}

/// The quantile of sorted values, by nearest rank.
fn quantile(sorted: &[f64], quantile: f64) -> f64 {
    let rank = (quantile * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

fn geometric_mean(values: &[f64]) -> f64 {
    let sum: f64 = values.iter().map(|value| value.ln()).sum();
    (sum / values.len().max(1) as f64).exp()
}
