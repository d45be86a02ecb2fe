//! How long a placement takes: `cargo run --release -p skyfresh-placement --example speed -- DIRECTORY [OBJECTS]`, where DIRECTORY
//! holds SkyPIE's price tables.
//!
//! Prints one line for each kind of object: mean and quantiles of microseconds on one thread (of each object the fastest of three), sets of stores looked at, and how many
//! answers have a gap. Uniform: 0 to 1 GB in steps of 1 MB; puts of every fifth and gets of every region uniform up to 1,000.
//! Sparse: the same in at most ten regions. Dense: every region gets, log-uniform from 1 to 10⁶, of an object log-uniform from
//! 1 KB to 10 GB, put by one region in five.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "measures real time, and tells it"
)]

use skyfresh_placement::{Limits, Prices, Requirements, Scenario, Usage, Workload, solve};
use skyfresh_sky::Rng;
use std::fmt::Write as _;
use std::time::Instant;

const ROWS: [(&str, &str, usize, Kind); 6] = [
    ("C3 f=3 uniform", "aws", 3, Kind::Uniform),
    ("C5 f=3 uniform", "azure|aws", 3, Kind::Uniform),
    ("C5 f=3 sparse", "azure|aws", 3, Kind::Sparse),
    ("C5 f=3 dense", "azure|aws", 3, Kind::Dense),
    ("C5 f=5 uniform", "azure|aws", 5, Kind::Uniform),
    ("C5 f=5 dense", "azure|aws", 5, Kind::Dense),
];

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Uniform,
    Sparse,
    Dense,
}

fn log_uniform(rng: &Rng, decades: f64) -> u64 {
    10f64.powf(rng.unit() * decades) as u64
}

fn usage(rng: &Rng, regions: &[String], kind: Kind) -> Usage {
    let count = || match kind {
        Kind::Dense => log_uniform(rng, 6.0),
        _ => rng.below(1001),
    };
    let mut regions: Vec<&String> = regions.iter().collect();
    if kind == Kind::Sparse {
        let wanted = 1 + rng.below(10) as usize;
        while regions.len() > wanted {
            regions.swap_remove(rng.below(regions.len() as u64) as usize);
        }
    }
    let (mut puts, mut gets) = (String::new(), String::new());
    for region in regions {
        if rng.below(5) == 0 {
            write!(puts, ",{region:?}:{}", count()).expect("a string grows");
        }
        write!(gets, ",{region:?}:{}", count()).expect("a string grows");
    }
    let size = match kind {
        Kind::Dense => format!("{}/1000000", log_uniform(rng, 7.0)),
        _ => format!("{}/1000", rng.below(1001)),
    };
    let line = format!(
        r#"{{"id":"o","size_gb":"{size}","puts":{{{}}},"gets":{{{}}}}}"#,
        puts.trim_start_matches(','),
        gets.trim_start_matches(',')
    );
    serde_json::from_str(&line).expect("a usage")
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().expect("a directory of price tables");
    let objects = arguments
        .next()
        .map_or(2000, |text| text.parse().expect("a number of objects"));
    let prices = Prices::read(directory.as_ref()).expect("price tables");
    println!("row,mean_us,p50_us,p99_us,p99.9_us,max_us,mean_nodes,with_gap");
    for (name, regions, replicas, kind) in ROWS {
        let asked = Requirements {
            regions: regions.into(),
            min_replicas: replicas,
            max_replicas: Some(replicas),
            ..Requirements::default()
        };
        let scenario = Scenario::new(&prices, &asked).expect("a scenario");
        let rng = Rng::named(1, name);
        let workloads: Vec<Workload> = (0..objects)
            .map(|_| {
                usage(&rng, scenario.regions(), kind)
                    .resolve(&scenario)
                    .expect("known regions")
            })
            .collect();
        let mut took_us = Vec::with_capacity(objects);
        let (mut nodes, mut with_gap) = (0, 0);
        for workload in &workloads {
            // The fastest of three, so that what else the machine does is not measured.
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
        let mean = took_us.iter().sum::<f64>() / objects as f64;
        took_us.sort_by(f64::total_cmp);
        let at = |share: f64| took_us[((objects - 1) as f64 * share) as usize];
        println!(
            "{name},{mean:.1},{:.1},{:.1},{:.1},{:.1},{},{with_gap}",
            at(0.5),
            at(0.99),
            at(0.999),
            at(1.0),
            nodes / objects as u64
        );
    }
}
