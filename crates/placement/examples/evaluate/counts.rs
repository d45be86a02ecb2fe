//! How many candidates there are, and how long going through them takes on one thread.

use skyfresh_placement::{Oracle, Plan, Prices};
use std::time::Instant;

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
            println!(
                r#"{{"part":"counts","scenario":"{scenario}","replicas":{replicas},"write_choices":{},"candidates":{},"distinct":{},"after_filter":{},"seconds":{seconds}}}"#,
                counts.write_choices, counts.candidates, counts.distinct, counts.after_filter
            );
        }
    }
}
