//! The test of the tests: which seed catches which mutant.
//!
//! A mutant that lives through a thousand seeds means that a guarantee is not watched, or that a fault is not drawn.

use super::run::{Outcome, run};
use super::shrink::{Shrunk, shrink};
use crate::fault::generate;
use skyfresh_sky::Mutant;

/// How a mutant was caught.
#[derive(Clone, Debug)]
pub struct Caught {
    /// The first seed that shows it.
    pub seed: u64,
    /// What it showed.
    pub outcome: Outcome,
}

/// Runs seeds from 0 with a mutant on, until one breaks a guarantee or `seeds` were run.
pub fn catch(mutant: Mutant, seeds: u64) -> Option<Caught> {
    mutant.run(|| {
        (0..seeds).find_map(|seed| {
            let outcome = run(&generate(seed), false);
            (!outcome.violations.is_empty()).then_some(Caught { seed, outcome })
        })
    })
}

/// The smallest schedule found that shows a mutant.
pub fn smallest(mutant: Mutant, seed: u64) -> Shrunk {
    mutant.run(|| shrink(&generate(seed)))
}
