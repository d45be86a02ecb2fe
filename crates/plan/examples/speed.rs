//! How long planning takes: `cargo run --release -p skyfresh-plan --example speed`. `cargo xtask bench plan` keeps the result.
//!
//! Prints one line for each question: what the first plan of its kind takes, which draws, and quantiles of all later ones.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "measures real time, and tells it"
)]

use skyfresh_plan::replicate::{Ask, Planner, Settings};
use skyfresh_sky::Rng;
use skyfresh_sky::catalog::Catalog;
use std::time::Instant;

const PLANS: usize = 20_000;

fn main() {
    println!("size_bytes,slo,candidates,first_ms,p50_us,p99_us,longest_us");
    for (size, slo) in [
        (10_000u64, "5s@p99"),
        (1_000_000, "5s@p99"),
        (128_000_000, "10s@p99"),
        (1_000_000_000, "30s@p99"),
        (1_000_000_000, "30s@p99.9"),
        (100_000_000_000, "2m@p99"),
    ] {
        let mut planner =
            Planner::new(Catalog::embedded(), Settings::default()).expect("the embedded ledger");
        let region = |name: &str| name.parse().expect("a region's name");
        let slo = slo.parse().expect("an SLO");
        let mut ask = Ask::new(
            region("aws:us-east-1"),
            region("gcp:us-central1"),
            size,
            slo,
        );
        let begun = Instant::now();
        let first = planner.choose(&ask).expect("platforms of the catalogue");
        let first_ms = begun.elapsed().as_secs_f64() * 1e3;
        let winner = first.winner().expect("an object that fits").way.clone();
        // A lane that has seen receipts, and sizes that differ a little.
        let rng = Rng::seeded(1);
        let mut took_us = Vec::with_capacity(PLANS);
        for index in 0..PLANS {
            ask.size_bytes = size + rng.below(size / 10);
            let begun = Instant::now();
            let choice = planner.choose(&ask).expect("platforms of the catalogue");
            took_us.push(begun.elapsed().as_secs_f64() * 1e6);
            if index < 500 {
                let took_s = choice.winner().map_or(1.0, |it| it.p50_s) * (0.5 + rng.unit());
                planner
                    .learn(&ask, &winner, took_s)
                    .expect("platforms of the catalogue");
            }
        }
        // The first hundreds may draw the neighbouring sizes.
        let mut warm = took_us.split_off(1_000);
        warm.sort_by(f64::total_cmp);
        let at = |p: f64| warm[((warm.len() - 1) as f64 * p) as usize];
        println!(
            "{size},{slo},{},{first_ms:.1},{:.1},{:.1},{:.1}",
            first.candidates.len(),
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
}
