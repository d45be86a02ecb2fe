#![allow(clippy::print_stdout, clippy::disallowed_methods, missing_docs)]
use skyfresh_sim::{fault, storm};
fn main() {
    let args: Vec<u64> = std::env::args()
        .skip(1)
        .filter_map(|a| a.parse().ok())
        .collect();
    let (from, to) = (args[0], args[1]);
    if to - from == 1 {
        let schedule = fault::generate(from);
        let outcome = storm::run(&schedule, true);
        println!("{schedule:#?}");
        for line in &outcome.log {
            println!("{line}");
        }
        println!(
            "{:?} {:x} {} {}",
            outcome.violations, outcome.hash, outcome.events, outcome.took_ms
        );
        let again = storm::run(&schedule, true);
        println!("again {:x}", again.hash);
        if again.hash != outcome.hash {
            for (a, b) in outcome.log.iter().zip(&again.log) {
                if a != b {
                    println!("< {a}\n> {b}");
                    break;
                }
            }
        }
        return;
    }
    let start = std::time::Instant::now();
    let failures = storm::sweep_seeds(from..to, 2, |_| true);
    println!("{} seeds {:?}", to - from, start.elapsed());
    for f in failures.iter().take(20) {
        println!("{} {}", f.seed, f.outcome.violations[0]);
    }
    println!("{} failed", failures.len());
}
