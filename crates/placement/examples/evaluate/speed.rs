//! How long one placement takes on one thread: of each object the fastest of three, so that what else the machine does is not
//! measured.

use crate::objects::{Kind, usage};
use skyfresh_placement::{Direct, Engine, Limits, Oracle, Plan, Prices, Scenario, Workload, solve};
use skyfresh_sky::{Rng, SystemClock};
use std::time::Instant;

const OBJECTS: usize = 2000;
/// Objects that an oracle is asked for.
const ORACLE_OBJECTS: usize = 256;

const ROWS: [(&str, &str, usize, Kind); 6] = [
    ("C3 f=3 uniform", "C3", 3, Kind::Uniform),
    ("C5 f=3 uniform", "C5", 3, Kind::Uniform),
    ("C5 f=3 sparse", "C5", 3, Kind::Sparse),
    ("C5 f=3 dense", "C5", 3, Kind::Dense),
    ("C5 f=5 uniform", "C5", 5, Kind::Uniform),
    ("C5 f=5 dense", "C5", 5, Kind::Dense),
];

fn workloads(scenario: &Scenario, name: &str, kind: Kind, count: usize) -> Vec<Workload> {
    let rng = Rng::named(1, name);
    let one = |_| {
        usage(&rng, scenario.regions(), kind)
            .resolve(scenario)
            .expect("known regions")
    };
    (0..count).map(one).collect()
}

pub(crate) fn run(prices: &Prices) {
    for (name, scenario, replicas, kind) in ROWS {
        let scenario = crate::scenario(prices, scenario, (replicas, Some(replicas)));
        let mut took_us = Vec::with_capacity(OBJECTS);
        let (mut nodes, mut with_gap) = (0, 0);
        for workload in &workloads(&scenario, name, kind, OBJECTS) {
            let mut fastest_us = f64::INFINITY;
            for _ in 0..3 {
                let start = Instant::now();
                let placement = solve(&scenario, workload, Limits::default()).expect("feasible");
                fastest_us = fastest_us.min(start.elapsed().as_secs_f64() * 1e6);
                std::hint::black_box(placement);
            }
            took_us.push(fastest_us);
            let placement = solve(&scenario, workload, Limits::default()).expect("feasible");
            nodes += placement.nodes;
            with_gap += usize::from(placement.gap > 0.0);
        }
        print_row(
            name,
            "direct",
            &mut took_us,
            nodes / OBJECTS as u64,
            with_gap,
        );
    }
    for (name, scenario, replicas, kind) in &ROWS[..3] {
        let scenario = crate::scenario(prices, scenario, (*replicas, Some(*replicas)));
        let plan = Plan {
            threads: 2,
            ..Plan::default()
        };
        let (oracle, _) = Oracle::build(&scenario, plan).expect("within bounds");
        let asked = workloads(&scenario, name, *kind, ORACLE_OBJECTS);
        let mut took_us = Vec::new();
        let mut different = 0;
        let direct = Direct::new(&scenario).place(&asked, &SystemClock);
        for (answer, direct) in oracle.place(&asked, &SystemClock).iter().zip(direct) {
            let (placement, took_ns) = answer.as_ref().expect("feasible");
            took_us.push(*took_ns as f64 / 1e3);
            let (direct, _) = direct.expect("feasible");
            different += usize::from(placement.cost.numerator != direct.cost.numerator);
        }
        print_row(
            name,
            "oracle",
            &mut took_us,
            oracle.candidates() as u64,
            different,
        );
    }
}

fn print_row(name: &str, engine: &str, took_us: &mut [f64], nodes: u64, wrong: usize) {
    let mean = took_us.iter().sum::<f64>() / took_us.len() as f64;
    took_us.sort_by(f64::total_cmp);
    let at = |share: f64| took_us[((took_us.len() - 1) as f64 * share) as usize];
    println!(
        r#"{{"part":"speed","name":"{name}","engine":"{engine}","mean_us":{mean},"p50_us":{},"p99_us":{},"p999_us":{},"max_us":{},"nodes":{nodes},"wrong":{wrong}}}"#,
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
    );
}
