//! Which seed catches which mutant: one JSON value a line, then the smallest schedule that shows it. `cargo xtask eval mutants`
//! makes a table of them.

#![allow(clippy::print_stdout, reason = "a program of its own")]

use skyfresh_sim::storm::mutants::{catch, smallest};
use skyfresh_sky::Mutant;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Seeds that a mutant may live through.
const SEEDS: u64 = 1_000;
const THREADS: usize = 2;

fn main() {
    // All of them, or those named on the command line.
    let named: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |mutant: &Mutant| named.is_empty() || named.contains(&format!("{mutant:?}"));
    let mutants: Vec<Mutant> = Mutant::ALL.into_iter().filter(wanted).collect();
    let (next, printing) = (AtomicUsize::new(0), Mutex::new(()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let line = line(*mutant);
                    let _one = printing.lock().unwrap_or_else(PoisonError::into_inner);
                    println!("{line}");
                }
            });
        }
    });
}

fn line(mutant: Mutant) -> serde_json::Value {
    match catch(mutant, SEEDS) {
        None => serde_json::json!({ "mutant": format!("{mutant:?}"), "seeds": SEEDS }),
        Some(caught) => {
            let small = smallest(mutant, caught.seed);
            serde_json::json!({
                "mutant": format!("{mutant:?}"),
                "seed": caught.seed,
                "guarantee": caught.outcome.violations[0].guarantee,
                "what": caught.outcome.violations[0].what,
                "steps": skyfresh_sim::fault::generate(caught.seed).steps.len(),
                "smallest": small.schedule.steps.len(),
                "schedule": small.schedule,
            })
        }
    }
}
