//! The four cases of Cloudcast's evaluation (footnotes 2 to 5): 100 GB, two machines a region, the 2022-11 grid.

use super::{Done, grid_2022_11, request, row, tell, timed};
use serde_json::{Value, json};
use skyfresh_plan::multicast::{reference_model, standing_for_clusters};
use skyfresh_plan::network::Network;
use skyfresh_plan::overlay::{ENGINES, Engine, Goal, Request};
use std::error::Error;
use std::path::Path;

/// Name, source, destinations, deadline in seconds.
pub(crate) const CASES: [(&str, &str, [&str; 6], f64); 4] = [
    (
        "aws",
        "aws:ap-east-1",
        [
            "aws:us-west-1",
            "aws:ap-northeast-3",
            "aws:eu-north-1",
            "aws:ap-south-1",
            "aws:ca-central-1",
            "aws:ap-northeast-1",
        ],
        80.0,
    ),
    (
        "azure",
        "azure:brazilsouth",
        [
            "azure:westeurope",
            "azure:westus",
            "azure:koreacentral",
            "azure:australiaeast",
            "azure:uaenorth",
            "azure:centralindia",
        ],
        58.0,
    ),
    (
        "gcp",
        "gcp:asia-southeast2-a",
        [
            "gcp:australia-southeast1-a",
            "gcp:southamerica-east1-a",
            "gcp:europe-west4-a",
            "gcp:europe-west6-a",
            "gcp:asia-east1-a",
            "gcp:europe-west2-a",
        ],
        72.0,
    ),
    (
        "inter",
        "gcp:asia-southeast1-a",
        [
            "azure:australiaeast",
            "azure:eastasia",
            "aws:ap-southeast-2",
            "azure:brazilsouth",
            "aws:sa-east-1",
            "gcp:australia-southeast1-a",
        ],
        72.0,
    ),
];

pub(crate) fn run(folder: &Path) -> Done {
    let network = grid_2022_11()?;
    for (name, source, destinations, deadline_s) in CASES {
        let mut asked = request(source, &destinations, 100.0, Goal::Deadline(deadline_s), 2)?;
        let (outcome, ms) = timed(&network, &asked, Engine::Best, 9)?;
        if let Some(plan) = outcome.plan() {
            tell(&row("packed", name, plan, ms))?;
        }
        for stripes in [8, 10, 16] {
            asked.stripes = Some(stripes);
            for engine in [Engine::Best, Engine::Iterative] {
                let (outcome, ms) = timed(&network, &asked, engine, 3)?;
                let told = match outcome.plan() {
                    Some(plan) => {
                        let mut told = row("stripes", name, plan, ms);
                        told["stripes"] = json!(stripes);
                        told
                    }
                    None => {
                        json!({"part": "stripes", "name": name, "engine": engine.to_string(), "stripes": stripes, "ms": ms})
                    }
                };
                tell(&told)?;
            }
        }
        // The instance, for the approximation that solves a programme a stripe.
        let path = folder.join(format!("{name}.json"));
        std::fs::write(&path, instance(&network, &asked, deadline_s)?.to_string())?;
        tell(&json!({"part": "instance", "name": name, "path": path, "volume_gb": 100.0}))?;
        // The joint programme of ten stripes, for the reference solver.
        asked.stripes = Some(10);
        let programme = folder.join(format!("{name}.mps"));
        std::fs::write(&programme, reference_model(&network, &asked)?.to_mps())?;
        tell(&json!({"part": "programme", "name": name, "path": programme, "volume_gb": 100.0}))?;
        asked.stripes = None;
        asked.goal = Goal::Cheapest;
        for (_, engine) in ENGINES {
            if matches!(engine, Engine::Best | Engine::Milp | Engine::Iterative) {
                continue;
            }
            if engine == Engine::DeadlineAware {
                asked.goal = Goal::Deadline(deadline_s);
            }
            let (outcome, ms) = timed(&network, &asked, engine, 1)?;
            if let Some(plan) = outcome.plan() {
                tell(&row("baseline", name, plan, ms))?;
            }
            asked.goal = Goal::Cheapest;
        }
    }
    Ok(())
}

/// What a solver of its own needs: figures by region number, time in seconds a Gbit.
fn instance(
    network: &Network,
    request: &Request,
    deadline_s: f64,
) -> Result<Value, Box<dyn Error>> {
    let count = network.len();
    let number = |region| {
        network
            .number(region)
            .ok_or("a region is not in the network")
    };
    let table = |figure: &dyn Fn(usize, usize) -> f64| -> Vec<Vec<f64>> {
        (0..count)
            .map(|a| (0..count).map(|b| figure(a, b)).collect())
            .collect()
    };
    let standing = standing_for_clusters(network, request)?;
    let standing: Result<Vec<usize>, _> = standing.iter().map(number).collect();
    let terminals: Result<Vec<usize>, _> = request.destinations.iter().map(number).collect();
    let machines: Vec<_> = (0..count).map(|node| network.machine(node)).collect();
    Ok(json!({
        "source": number(&request.source)?,
        "terminals": terminals?,
        "standing": standing?,
        "usd_per_gb": table(&|a, b| network.usd_per_gb(a, b)),
        "gbps": table(&|a, b| network.gbps(a, b)),
        "egress_gbps": machines.iter().map(|machine| machine.egress_gbps).collect::<Vec<_>>(),
        "ingress_gbps": machines.iter().map(|machine| machine.ingress_gbps).collect::<Vec<_>>(),
        "machine_usd": machines.iter().map(|machine| 8.0 * machine.usd_per_hour / 3600.0).collect::<Vec<_>>(),
        "limit": request.vms_per_region,
        "longest": deadline_s / (8.0 * request.volume_gb),
    }))
}
