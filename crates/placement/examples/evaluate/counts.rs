//! How many candidates there are, and how long going through them takes on one thread; and how many are left by the reduction, on all threads.

use skyfresh_placement::{Oracle, Plan, Prices, Scenario};
use std::time::Instant;

/// Candidates that are reduced: more take hours.
const MOST_REDUCED: u64 = 20_000;

/// What is left, as members of a JSON object.
fn reduced(built: &Scenario) -> String {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let plan = Plan {
        keep: false,
        reduce: true,
        threads,
        ..Plan::default()
    };
    let start = Instant::now();
    let (_, counts) = Oracle::build(built, plan).expect("within bounds");
    format!(
        r#","after_reduction":{},"unproven":{},"reduction_seconds":{}"#,
        counts.after_reduction,
        counts.unproven,
        start.elapsed().as_secs_f64()
    )
}

pub(crate) fn run(prices: &Prices) {
    for (scenario, most) in [("C1", 3), ("C2", 3), ("C3", 3), ("C5", 3)] {
        for replicas in 1..=most {
            let built = crate::scenario(prices, scenario, (replicas, Some(replicas)));
            let plan = Plan {
                keep: false,
                count_distinct: true,
                ..Plan::default()
            };
            let (_, counts) = Oracle::build(&built, plan).expect("within bounds");
            let plan = Plan {
                keep: false,
                ..Plan::default()
            };
            let start = Instant::now();
            let _ = std::hint::black_box(Oracle::build(&built, plan));
            let seconds = start.elapsed().as_secs_f64();
            let reduced = match counts.after_filter <= MOST_REDUCED {
                true => reduced(&built),
                false => String::new(),
            };
            println!(
                r#"{{"part":"counts","scenario":"{scenario}","replicas":{replicas},"write_choices":{},"candidates":{},"distinct":{},"after_filter":{},"seconds":{seconds}{reduced}}}"#,
                counts.write_choices, counts.candidates, counts.distinct, counts.after_filter
            );
        }
    }
}
