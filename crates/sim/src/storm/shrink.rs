//! Makes a failing schedule small: steps are taken away as long as the same guarantee still breaks.

use super::run::{Outcome, run};
use crate::fault::{Action, Schedule, Step};
use crate::observer::Guarantee;

/// A small schedule, and what it does.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The schedule.
    pub schedule: Schedule,
    /// What came of it.
    pub outcome: Outcome,
    /// Runs that it took.
    pub runs: u32,
}

/// Runs that a shrinking may take.
const MOST_RUNS: u32 = 2_000;

/// Delta debugging (Zeller, Hildebrandt: Simplifying and Isolating Failure-Inducing Input, 2002) over the steps, then simpler
/// steps. Gives the schedule back as it is where it breaks nothing.
pub fn shrink(schedule: &Schedule) -> Shrunk {
    let mut best = Shrunk {
        outcome: run(schedule, false),
        schedule: schedule.clone(),
        runs: 1,
    };
    let Some(guarantee) = best.outcome.violations.first().map(|first| first.guarantee) else {
        return best;
    };
    loop {
        let before = best.schedule.clone();
        take_away(&mut best, guarantee);
        simplify(&mut best, guarantee);
        if best.schedule == before || best.runs >= MOST_RUNS {
            return best;
        }
    }
}

/// Takes a candidate if it breaks the same guarantee.
fn attempt(best: &mut Shrunk, candidate: Schedule, guarantee: Guarantee) -> bool {
    if best.runs >= MOST_RUNS {
        return false;
    }
    best.runs += 1;
    let outcome = run(&candidate, false);
    let breaks = outcome
        .violations
        .first()
        .is_some_and(|first| first.guarantee == guarantee);
    if breaks {
        best.schedule = candidate;
        best.outcome = outcome;
    }
    breaks
}

fn take_away(best: &mut Shrunk, guarantee: Guarantee) {
    let mut length = best.schedule.steps.len().div_ceil(2);
    while length > 0 {
        let mut from = 0;
        while from < best.schedule.steps.len() {
            let mut candidate = best.schedule.clone();
            let to = (from + length).min(candidate.steps.len());
            candidate.steps.drain(from..to);
            if !attempt(best, candidate, guarantee) {
                from += length;
            }
        }
        length /= 2;
    }
}

fn simplify(best: &mut Shrunk, guarantee: Guarantee) {
    for index in 0..best.schedule.steps.len() {
        for simpler in simpler(&best.schedule.steps[index]) {
            let mut candidate = best.schedule.clone();
            candidate.steps[index] = simpler;
            attempt(best, candidate, guarantee);
        }
    }
    for change in [
        (|schedule| schedule.setup.destinations = 1) as fn(&mut Schedule),
        |schedule| schedule.setup.versioned_source = false,
        |schedule| schedule.setup.server_copy = false,
        |schedule| schedule.setup.opaque_tags = false,
        |schedule| schedule.setup.target_states_checksums = true,
        |schedule| schedule.setup.source_states_checksums = true,
    ] {
        let mut candidate = best.schedule.clone();
        change(&mut candidate);
        if candidate != best.schedule {
            attempt(best, candidate, guarantee);
        }
    }
}

/// Simpler forms of a step, the simplest last.
fn simpler(step: &Step) -> Vec<Step> {
    let with = |action: Action| Step {
        action,
        ..step.clone()
    };
    match &step.action {
        Action::Put {
            key,
            bytes,
            tell_ms,
        } if *tell_ms != [0] => vec![
            with(Action::Put {
                key: *key,
                bytes: *bytes,
                tell_ms: tell_ms.iter().take(1).copied().collect(),
            }),
            with(Action::Put {
                key: *key,
                bytes: *bytes,
                tell_ms: vec![0],
            }),
        ],
        Action::Delete { key, tell_ms } if *tell_ms != [0] => vec![with(Action::Delete {
            key: *key,
            tell_ms: vec![0],
        })],
        _ => Vec::new(),
    }
}
