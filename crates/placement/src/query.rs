//! Lines in, lines out: one object a line of JSON, one answer a line, in the same order.

use crate::model::Scenario;
use crate::solve::{Limits, Placement, solve_while};
use crate::workload::{Fault, Usage, Workload};
use serde::{Deserialize, Serialize};
use skyfresh_sky::Clock;
use std::collections::BTreeMap;

/// Longer lines are refused.
pub const MAX_LINE_BYTES: usize = 1 << 20;
/// A thread is worth starting for this many lines.
const LINES_PER_THREAD: usize = 64;

/// A placement, and how long finding it took, in nanoseconds.
pub type Timed = (Placement, u64);

/// Who finds placements.
pub trait Engine: Sync {
    /// What they are found in.
    fn scenario(&self) -> &Scenario;

    /// One placement for each workload, in the same order.
    fn place(&self, workloads: &[Workload], clock: &dyn Clock) -> Vec<Result<Timed, Fault>>;
}

/// The direct method: [`crate::solve`], one workload after the other.
#[derive(Clone, Copy, Debug)]
pub struct Direct<'a> {
    /// What placements are found in.
    pub scenario: &'a Scenario,
    /// When to stop early.
    pub limits: Limits,
    /// How long one object may take, in nanoseconds; `None`: any time. What is best by then depends on the machine.
    pub limit_ns: Option<u64>,
}

impl<'a> Direct<'a> {
    /// In a scenario, with the default limits.
    pub fn new(scenario: &'a Scenario) -> Self {
        Direct {
            scenario,
            limits: Limits::default(),
            limit_ns: None,
        }
    }
}

impl Engine for Direct<'_> {
    fn scenario(&self) -> &Scenario {
        self.scenario
    }

    fn place(&self, workloads: &[Workload], clock: &dyn Clock) -> Vec<Result<Timed, Fault>> {
        let one = |workload: &Workload| {
            let start_ns = clock.monotonic_ns();
            let took_ns = || clock.monotonic_ns().saturating_sub(start_ns);
            let go_on = || self.limit_ns.is_none_or(|limit_ns| took_ns() < limit_ns);
            let placement = solve_while(self.scenario, workload, self.limits, &go_on)
                .map_err(|infeasible| Fault::Infeasible(infeasible.describe(self.scenario)))?;
            Ok((placement, took_ns()))
        };
        workloads.iter().map(one).collect()
    }
}

/// What one object's cheapest stores are, by name.
#[derive(Clone, Debug, Serialize)]
pub struct Answer<'a> {
    /// The object's.
    pub id: String,
    /// What a month costs in dollars, in decimal ([`crate::exact::Cost`]).
    pub cost_usd: String,
    /// The stores, in the order of their names.
    pub stores: Vec<&'a str>,
    /// Which store each region that reads reads from.
    pub reads: BTreeMap<&'a str, &'a str>,
    /// Whether every other set of stores costs more.
    pub unique: bool,
    /// (cost − proven lower bound) / cost.
    #[serde(serialize_with = "gap")]
    pub gap: f64,
    /// How long finding it took, in microseconds, rounded up.
    pub micros: u64,
}

/// A gap that is 0 is shown as the whole number.
fn gap<S: serde::Serializer>(gap: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if *gap == 0.0 {
        serializer.serialize_u8(0)
    } else {
        serializer.serialize_f64(*gap)
    }
}

/// Why one object has no answer.
#[derive(Clone, Debug, Serialize)]
pub struct Refusal {
    /// The object's, where it could be read.
    pub id: Option<String>,
    /// Why.
    pub error: String,
    /// [`Fault::kind`].
    pub kind: &'static str,
}

/// What answers one line.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Reply<'a> {
    /// A placement.
    Answer(Answer<'a>),
    /// None, and why.
    Refusal(Refusal),
}

impl Reply<'_> {
    /// As one line of JSON.
    pub fn json(&self) -> String {
        // Strings, numbers and maps of strings: there is nothing in them that JSON cannot hold.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The id alone, of a line whose rest may be wrong.
#[derive(Deserialize)]
struct Identified {
    id: Option<String>,
}

/// The usage that a line describes. A fault comes with the line's id where that can be read.
pub fn read_usage(line: &str) -> Result<Usage, (Option<String>, Fault)> {
    if line.len() > MAX_LINE_BYTES {
        return Err((None, Fault::Invalid("a line longer than 1 MiB".into())));
    }
    serde_json::from_str(line).map_err(|error| {
        let id = serde_json::from_str::<Identified>(line)
            .ok()
            .and_then(|found| found.id);
        let fault = Fault::Invalid(format!("not an object's usage: {error}"));
        (id, fault)
    })
}

/// A placement by names.
pub fn answer<'a>(scenario: &'a Scenario, id: String, (placement, took_ns): &Timed) -> Answer<'a> {
    let name = |store: u32| scenario.stores()[store as usize].name.as_str();
    Answer {
        id,
        cost_usd: placement.cost.to_string(),
        stores: placement.stores.iter().map(|store| name(*store)).collect(),
        reads: placement
            .reads
            .iter()
            .map(|(region, store)| (scenario.regions()[*region].as_str(), name(*store)))
            .collect(),
        unique: placement.unique,
        gap: placement.gap,
        micros: took_ns.div_ceil(1000),
    }
}

fn refusal<'a>(id: Option<String>, fault: &Fault) -> Reply<'a> {
    Reply::Refusal(Refusal {
        id,
        error: fault.to_string(),
        kind: fault.kind(),
    })
}

/// Answers of one thread.
fn replies<'a>(engine: &'a dyn Engine, lines: &[&str], clock: &dyn Clock) -> Vec<Reply<'a>> {
    let scenario = engine.scenario();
    let mut workloads = Vec::with_capacity(lines.len());
    // The id of each line, with a fault or else one of the workloads, in order.
    let read: Vec<(Option<String>, Option<Fault>)> = lines
        .iter()
        .map(|line| match read_usage(line) {
            Err((id, fault)) => (id, Some(fault)),
            Ok(usage) => match usage.resolve(scenario) {
                Err(fault) => (Some(usage.id), Some(fault)),
                Ok(workload) => {
                    workloads.push(workload);
                    (Some(usage.id), None)
                }
            },
        })
        .collect();
    let mut placed = engine.place(&workloads, clock).into_iter();
    read.into_iter()
        .map(|(id, fault)| match (fault, &mut placed) {
            (Some(fault), _) => refusal(id, &fault),
            (None, placed) => match placed.next() {
                Some(Ok(timed)) => Reply::Answer(answer(scenario, id.unwrap_or_default(), &timed)),
                Some(Err(fault)) => refusal(id, &fault),
                None => refusal(id, &Fault::Invalid("the engine gave no answer".into())),
            },
        })
        .collect()
}

/// Answers each of `lines` (a [`Usage`] as JSON) by one line, in the same order, on up to `threads` threads. A line that cannot
/// be answered is answered by a [`Refusal`], `kind` being `invalid`, `overflow` or `infeasible`; the others are answered all the
/// same.
pub fn query<'a>(
    engine: &'a dyn Engine,
    lines: &[&str],
    threads: usize,
    clock: &dyn Clock,
) -> Vec<Reply<'a>> {
    let threads = threads.min(lines.len().div_ceil(LINES_PER_THREAD)).max(1);
    let work = |lines: &[&str]| replies(engine, lines, clock);
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
