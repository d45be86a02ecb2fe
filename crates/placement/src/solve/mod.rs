//! The cheapest set of stores for one object, found directly: no oracle, nothing precomputed.
//!
//! In: a [`Scenario`] and a [`Workload`]. Out: a [`Placement`] whose gap is 0 unless a limit stopped the search, or why there is
//! none. Never: a comparison decided by rounding.
//!
//! Which store a region reads from separates by region once the stores W are chosen (SkyPIE, section 3.1), so that
//! cost(W) = Σ_{o∈W} a_o + Σ_r min_{o∈W} b_{r,o}: facility location with a bound on how many. `instance.rs` makes a and b whole
//! numbers that floating point holds exactly, rounded down where they are too large for it, and leaves out sets of more stores than
//! can be of use; `greedy.rs` finds a good set; `dual.rs` bounds all others from below by Lagrangian relaxation of "each region reads from one store" and strikes stores that
//! no better set can have; `search.rs` goes through the sets that are left. Sets that the rounded numbers cannot tell apart are
//! compared exactly, by `exact.rs`.

mod best;
mod brute;
mod dual;
mod exact;
mod greedy;
mod instance;
mod search;

pub use brute::brute_force;
pub use exact::cost_of;

use crate::exact::Cost;
use crate::model::Scenario;
use crate::workload::Workload;
use best::Best;
pub(crate) use instance::Instance;

/// Sets after which a better bound is looked for, and the search begun anew: about as long as looking for it takes.
const NODES_BEFORE_SHARPENING: u64 = 4000;

/// When to stop early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sets of stores looked at before the best so far is returned with its gap. A number rather than a time, so that an answer
    /// depends on nothing but the question.
    pub max_nodes: u64,
}

impl Default for Limits {
    /// A hundred million sets: tens of seconds.
    fn default() -> Self {
        Limits {
            max_nodes: 100_000_000,
        }
    }
}

/// A set of stores, with what it costs.
#[derive(Clone, Debug)]
pub struct Placement {
    /// Indices into [`Scenario::stores`], ascending.
    pub stores: Vec<u32>,
    /// For each region that reads, the store it reads from: indices of region and store, ascending by region.
    pub reads: Vec<(usize, u32)>,
    /// What it costs, exactly.
    pub cost: Cost,
    /// Whether every other set costs more.
    pub unique: bool,
    /// (cost − proven lower bound) / cost: 0 unless a limit stopped the search. `unique` is not known then, and false.
    pub gap: f64,
    /// Sets of stores looked at.
    pub nodes: u64,
}

/// No set of stores keeps to the requirements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Infeasible {
    /// This region reads, and may read from none of the stores that may be chosen.
    Region(usize),
    /// Each region has a store in reach, but no set of the size allowed reaches all of them (and meets the requirements).
    Replicas,
}

impl Infeasible {
    /// Which constraint binds, in words.
    pub fn describe(&self, scenario: &Scenario) -> String {
        let slo = scenario
            .slo_seconds
            .map_or(String::new(), |slo| format!(" within {slo} s"));
        match self {
            Infeasible::Region(region) => format!(
                "infeasible: region {} reads, and none of the stores that are chosen and not forbidden is in reach{slo}: raise the latency SLO or allow more stores",
                scenario.regions[*region]
            ),
            Infeasible::Replicas => format!(
                "infeasible: no {} stores that meet the requirements reach every region that reads{slo}: allow more replicas or raise the latency SLO",
                scenario.replicas.1
            ),
        }
    }
}

/// A region that reads and has no store to read from.
pub(crate) fn cut_off(scenario: &Scenario, workload: &Workload) -> Option<usize> {
    if scenario.admissible.is_empty() {
        return None;
    }
    let reached = |region: usize| {
        (0..scenario.stores.len())
            .any(|store| scenario.stores[store].allowed && scenario.is_admissible(region, store))
    };
    workload
        .reads
        .iter()
        .map(|(region, ..)| *region)
        .find(|region| !reached(*region))
}

/// What the cheapest set costs at most, in the instance's units.
pub(crate) fn upper_bound(scenario: &Scenario, workload: &Workload, instance: &Instance) -> f64 {
    let mut best = Best::new(scenario, workload, instance);
    greedy::improve(instance, &mut best);
    best.upper
}

/// The cheapest set of stores for `workload`, among equals the one of fewest stores, among these the first by the stores' order.
///
/// Errors: no set keeps to the scenario's requirements.
pub fn solve(
    scenario: &Scenario,
    workload: &Workload,
    limits: Limits,
) -> Result<Placement, Infeasible> {
    solve_while(scenario, workload, limits, &|| true)
}

/// As [`solve`], for as long as `go_on` says so: it is asked once in a few thousand sets. Where it says no, the best so far is
/// returned with its gap.
pub fn solve_while(
    scenario: &Scenario,
    workload: &Workload,
    limits: Limits,
    go_on: &dyn Fn() -> bool,
) -> Result<Placement, Infeasible> {
    if let Some(region) = cut_off(scenario, workload) {
        return Err(Infeasible::Region(region));
    }
    let mut instance = Instance::new(scenario, workload);
    let mut best = Best::new(scenario, workload, &instance);
    let nearest = greedy::improve(&instance, &mut best);
    let mut dual = dual::bound(&mut instance, &nearest, &mut best);
    let soon = limits.max_nodes.min(NODES_BEFORE_SHARPENING);
    let mut ended = search::run(&instance, &dual, &mut best, (soon, go_on));
    if !ended.complete && limits.max_nodes > soon && go_on() {
        // Many sets are near the bound: a better one leaves fewer of them.
        dual = dual::sharpen(&mut instance, dual, &mut best);
        let before = ended.nodes;
        ended = search::run(
            &instance,
            &dual,
            &mut best,
            (limits.max_nodes - before, go_on),
        );
        ended.nodes += before;
    }
    let lower = if ended.complete {
        f64::INFINITY
    } else {
        dual.lower
    };
    best.placement(lower, ended.nodes)
}

#[cfg(test)]
mod tests;
