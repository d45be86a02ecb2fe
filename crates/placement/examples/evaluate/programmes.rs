//! Objects as integer programmes, with the direct method's answers, for another solver to check.

use crate::objects::{Kind, usage};
use skyfresh_placement::{Limits, Prices, cost_of, solve};
use skyfresh_sky::Rng;
use std::time::Instant;

/// Scenario, least and most replicas, objects, kind.
const ROWS: [(&str, usize, usize, usize, Kind); 9] = [
    ("C1", 1, 1, 150, Kind::Uniform),
    ("C1", 2, 2, 150, Kind::Uniform),
    ("C1", 1, 8, 150, Kind::Dense),
    ("C2", 3, 3, 100, Kind::Uniform),
    ("C2", 1, 5, 100, Kind::Dense),
    ("C3", 2, 4, 20, Kind::Dense),
    ("C4", 2, 2, 20, Kind::Uniform),
    ("C5", 2, 2, 10, Kind::Sparse),
    ("C5", 3, 3, 10, Kind::Uniform),
];

pub(crate) fn run(prices: &Prices) {
    for (name, least, most, objects, kind) in ROWS {
        let scenario = crate::scenario(prices, name, (least, Some(most)));
        let rng = Rng::named(2, &format!("{name} {least} {most}"));
        for _ in 0..objects {
            let usage = usage(&rng, scenario.regions(), kind);
            let workload = usage.resolve(&scenario).expect("known regions");
            let start = Instant::now();
            let best = solve(&scenario, &workload, Limits::default()).expect("feasible");
            let micros = start.elapsed().as_secs_f64() * 1e6;
            // What a copy in each store alone costs, and what each region's reads from it do: by pricing the object in parts.
            let alone = |workload: &skyfresh_placement::Workload| -> Vec<f64> {
                (0..scenario.stores().len() as u32)
                    .map(|store| {
                        cost_of(&scenario, workload, &[store])
                            .expect("in reach")
                            .0
                            .usd()
                    })
                    .collect()
            };
            let keep = alone(&workload.without_reads());
            let reads: Vec<Vec<f64>> = workload.reads_alone().iter().map(alone).collect();
            println!(
                "{}",
                serde_json::json!({
                    "part": "programmes", "scenario": name, "least": least, "most": most, "micros": micros,
                    "usd": best.cost.usd(), "keep": keep, "reads": reads,
                })
            );
        }
    }
}
