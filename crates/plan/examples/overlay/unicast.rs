//! One destination: the table of routes, every pair of regions, frontiers; and programmes for the reference solver.

use super::{Done, grid_2022_01, grid_2022_11, processor_ms, quantile, request, row, tell, timed};
use serde_json::json;
use skyfresh_plan::Work;
use skyfresh_plan::overlay::{Engine, Goal};
use skyfresh_plan::transfer::{frontier, reference_model};
use skyfresh_sky::Rng;
use std::path::Path;

const ROUTES: [(&str, &str); 6] = [
    ("azure:canadacentral", "gcp:asia-northeast1-a"),
    ("azure:eastus", "aws:ap-northeast-1"),
    ("aws:us-west-2", "azure:uksouth"),
    ("azure:westus", "aws:eu-west-1"),
    ("gcp:asia-east1-a", "aws:sa-east-1"),
    ("aws:af-south-1", "aws:ap-southeast-2"),
];
const VOLUME_GB: f64 = 50.0;
const SAMPLED: usize = 95;

pub(crate) fn run(folder: &Path) -> Done {
    routes()?;
    frontiers()?;
    every_pair()?;
    programmes(folder)
}

fn routes() -> Done {
    let network = grid_2022_01()?;
    for (source, destination) in ROUTES {
        let name = format!("{source} to {destination}");
        let with = |goal| request(source, &[destination], VOLUME_GB, goal, 1);
        let (outcome, ms) = timed(&network, &with(Goal::Fastest)?, Engine::Best, 9)?;
        let Some(fastest) = outcome.plan() else {
            continue;
        };
        tell(&row("fastest", &name, fastest, ms))?;
        let goal = Goal::Throughput(fastest.throughput_gbps * 0.75);
        let (outcome, ms) = timed(&network, &with(goal)?, Engine::Best, 9)?;
        if let Some(plan) = outcome.plan() {
            tell(&row("three quarters", &name, plan, ms))?;
        }
        for engine in [Engine::Direct, Engine::Ron] {
            let (outcome, ms) = timed(&network, &with(Goal::Cheapest)?, engine, 1)?;
            if let Some(plan) = outcome.plan() {
                tell(&row("baseline", &name, plan, ms))?;
            }
        }
    }
    Ok(())
}

fn frontiers() -> Done {
    let network = grid_2022_01()?;
    for (source, destination) in ROUTES {
        let asked = request(source, &[destination], VOLUME_GB, Goal::Fastest, 1)?;
        let mut work = Work::default();
        let began = processor_ms();
        let points = frontier(&network, &asked, 100, &mut work)?;
        let ms = processor_ms() - began;
        let name = format!("{source} to {destination}");
        let breakpoints = points.iter().filter(|point| point.breakpoint).count();
        tell(
            &json!({"part": "frontier", "name": name, "points": points.len() - breakpoints, "breakpoints": breakpoints, "ms": ms}),
        )?;
    }
    // Skyplane's example of the sweep: the fastest for 1.05 times the direct way's price.
    let direct = request(
        "azure:westus",
        &["aws:eu-west-1"],
        VOLUME_GB,
        Goal::Cheapest,
        1,
    )?;
    let (outcome, _) = timed(&network, &direct, Engine::Direct, 1)?;
    if let Some(direct) = outcome.plan() {
        let budget = Goal::Budget(direct.cost_usd * 1.05);
        let asked = request("azure:westus", &["aws:eu-west-1"], VOLUME_GB, budget, 1)?;
        let (outcome, ms) = timed(&network, &asked, Engine::Best, 9)?;
        if let Some(plan) = outcome.plan() {
            tell(&row(
                "ceiling",
                "azure:westus to aws:eu-west-1 at 1.05 times direct",
                plan,
                ms,
            ))?;
        }
    }
    Ok(())
}

/// All ordered pairs: the cheapest at three quarters of the fastest, so two plans a pair.
fn every_pair() -> Done {
    let network = grid_2022_11()?;
    let regions = network.regions().to_vec();
    for machines in [1, 8] {
        let mut all = Vec::new();
        for source in &regions {
            for destination in regions.iter().filter(|region| *region != source) {
                let (source, destination) = (source.to_string(), destination.to_string());
                let with = |goal| request(&source, &[&destination], VOLUME_GB, goal, machines);
                let (outcome, ms) = timed(&network, &with(Goal::Fastest)?, Engine::Best, 1)?;
                all.push(ms);
                if let Some(fastest) = outcome.plan() {
                    let goal = Goal::Throughput(fastest.throughput_gbps * 0.75);
                    all.push(timed(&network, &with(goal)?, Engine::Best, 1)?.1);
                }
            }
        }
        all.sort_by(f64::total_cmp);
        tell(&json!({
            "part": "pairs", "machines": machines, "plans": all.len(), "sum_s": all.iter().sum::<f64>() / 1e3,
            "median_ms": quantile(&all, 0.5), "p99_ms": quantile(&all, 0.99), "max_ms": quantile(&all, 1.0),
        }))?;
    }
    Ok(())
}

fn programmes(folder: &Path) -> Done {
    let network = grid_2022_01()?;
    let regions = network.regions().to_vec();
    let rng = Rng::seeded(95);
    let pick = || regions[rng.below(regions.len() as u64) as usize].to_string();
    for at in 0..SAMPLED {
        let (source, mut destination) = (pick(), pick());
        while destination == source {
            destination = pick();
        }
        let machines = 1 + (at % 4) as u32;
        let with = |goal| request(&source, &[&destination], VOLUME_GB, goal, machines);
        let (outcome, _) = timed(&network, &with(Goal::Fastest)?, Engine::Best, 1)?;
        let Some(fastest) = outcome.plan() else {
            continue;
        };
        let asked = with(Goal::Throughput(fastest.throughput_gbps * 0.8))?;
        let (outcome, ms) = timed(&network, &asked, Engine::Best, 5)?;
        let Some(plan) = outcome.plan() else { continue };
        let path = folder.join(format!("unicast-{at}.mps"));
        std::fs::write(&path, reference_model(&network, &asked)?.to_mps())?;
        let mut told = row("sampled", &format!("{source} to {destination}"), plan, ms);
        told["path"] = json!(path);
        told["volume_gb"] = json!(VOLUME_GB);
        told["goal_gbps"] = json!(fastest.throughput_gbps * 0.8);
        tell(&told)?;
    }
    Ok(())
}
