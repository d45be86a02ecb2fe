//! Lines in, lines out: one object a line of JSON, one answer a line, in the same order.

use crate::model::Scenario;
use crate::solve::{Limits, Placement, solve};
use crate::workload::{Fault, Usage};
use serde::{Deserialize, Serialize};
use skyfresh_sky::Clock;
use std::collections::BTreeMap;

/// Longer lines are refused.
pub const MAX_LINE_BYTES: usize = 1 << 20;
/// A thread is worth starting for this many lines.
const LINES_PER_THREAD: usize = 64;

#[derive(Serialize)]
struct Answer<'a> {
    id: &'a str,
    cost_usd: String,
    stores: Vec<&'a str>,
    reads: BTreeMap<&'a str, &'a str>,
    unique: bool,
    gap: Gap,
    micros: u64,
}

/// A gap that is 0 is shown as the whole number.
#[derive(Serialize)]
#[serde(untagged)]
enum Gap {
    None(u8),
    Some(f64),
}

#[derive(Serialize)]
struct Refusal<'a> {
    id: Option<&'a str>,
    error: &'a str,
    kind: &'static str,
}

/// The id alone, of a line whose rest may be wrong.
#[derive(Deserialize)]
struct Identified {
    id: Option<String>,
}

fn json<T: Serialize>(value: &T) -> String {
    // Strings, numbers and maps of strings: there is nothing in them that JSON cannot hold.
    serde_json::to_string(value).unwrap_or_default()
}

fn one(
    scenario: &Scenario,
    line: &str,
    limits: Limits,
    clock: &dyn Clock,
) -> Result<String, (Option<String>, Fault)> {
    if line.len() > MAX_LINE_BYTES {
        return Err((None, Fault::Invalid("a line longer than 1 MiB".into())));
    }
    let usage: Usage = serde_json::from_str(line).map_err(|error| {
        let id = serde_json::from_str::<Identified>(line)
            .ok()
            .and_then(|found| found.id);
        (
            id,
            Fault::Invalid(format!("not an object's usage: {error}")),
        )
    })?;
    let found = usage.resolve(scenario).and_then(|workload| {
        let start_ns = clock.monotonic_ns();
        let placement = solve(scenario, &workload, limits)
            .map_err(|infeasible| Fault::Infeasible(infeasible.describe(scenario)))?;
        Ok((placement, clock.monotonic_ns().saturating_sub(start_ns)))
    });
    match found {
        Ok((placement, took_ns)) => Ok(answer(scenario, &usage.id, &placement, took_ns)),
        Err(fault) => Err((Some(usage.id), fault)),
    }
}

fn answer(scenario: &Scenario, id: &str, placement: &Placement, took_ns: u64) -> String {
    let name = |store: u32| scenario.stores()[store as usize].name.as_str();
    json(&Answer {
        id,
        cost_usd: placement.cost.to_string(),
        stores: placement.stores.iter().map(|store| name(*store)).collect(),
        reads: placement
            .reads
            .iter()
            .map(|(region, store)| (scenario.regions()[*region].as_str(), name(*store)))
            .collect(),
        unique: placement.unique,
        gap: if placement.gap == 0.0 {
            Gap::None(0)
        } else {
            Gap::Some(placement.gap)
        },
        micros: took_ns.div_ceil(1000),
    })
}

/// The line that answers one line of usage, and whether it is an answer rather than an error.
fn reply(scenario: &Scenario, line: &str, limits: Limits, clock: &dyn Clock) -> (String, bool) {
    match one(scenario, line, limits, clock) {
        Ok(answer) => (answer, true),
        Err((id, fault)) => {
            let refusal = Refusal {
                id: id.as_deref(),
                error: &fault.to_string(),
                kind: fault.kind(),
            };
            (json(&refusal), false)
        }
    }
}

/// Answers each of `lines` (a [`Usage`] as JSON) by one line, in the same order, on up to `threads` threads: what the cheapest stores
/// cost in dollars, their names, which region reads from which, whether they are the only cheapest, the gap, and the microseconds
/// the search took. A line that cannot be answered is answered by `{"id", "error", "kind"}`, `kind` being `invalid`, `overflow`
/// or `infeasible`; the others are answered all the same. Each answer comes with whether it is one.
pub fn query(
    scenario: &Scenario,
    lines: &[&str],
    limits: Limits,
    threads: usize,
    clock: &dyn Clock,
) -> Vec<(String, bool)> {
    let threads = threads.min(lines.len().div_ceil(LINES_PER_THREAD)).max(1);
    let work = |lines: &[&str]| -> Vec<(String, bool)> {
        lines
            .iter()
            .map(|line| reply(scenario, line, limits, clock))
            .collect()
    };
    if threads == 1 {
        return work(lines);
    }
    std::thread::scope(|scope| {
        let running: Vec<_> = lines
            .chunks(lines.len().div_ceil(threads))
            .map(|lines| scope.spawn(move || work(lines)))
            .collect();
        running
            .into_iter()
            .flat_map(|thread| match thread.join() {
                Ok(answers) => answers,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    })
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;
