//! Where to keep an object: the cheapest stores for the way it is written and read, exactly (SkyPIE, SIGMOD 2024).
//!
//! **In:** prices of stores and of the network between regions ([`Prices`]), what a placement must keep to ([`Requirements`]), and
//! how objects are used ([`Usage`]: size, puts and gets by region). **Out:** for each object the set of stores of least cost,
//! which region reads from which store, whether another set costs the same, and how far from the optimum it can be (0 unless
//! a limit stopped the search).
//! **Never:** adds an answer's money in floating point, answers approximately without saying so, draws randomness, does IO but reading a
//! directory of prices.
//!
//! ```text
//! Prices ─┐                      Usage ── resolve ─┐
//!         ├─ Scenario::new ── Scenario ────────────┼─ solve ─────────── Placement
//! Requirements ─┘             (integer tables)     │  (bounds in floating point that are exact integers; money in 256 bits)
//!                                └─ Oracle::build ─┴─ Oracle::place ── Placement
//! ```

pub mod advise;
pub mod baselines;
pub mod exact;
mod explain;
mod ilp;
pub mod logs;
mod model;
mod oracle;
mod query;
#[cfg(test)]
mod random;
mod solve;
mod workload;

pub use explain::{CostLine, Item, explain};
pub use ilp::Ilp;
pub use model::{Latency, Prices, Requirements, Scenario, Store, UNITS_PER_USD};
pub use oracle::{Change, Counts, Drift, Oracle, Plan, Quantity, Shard};

pub use query::{
    Answer, Direct, Engine, MAX_LINE_BYTES, Refusal, Reply, Timed, answer, query, read_usage,
};
pub use solve::{Infeasible, Limits, Placement, brute_force, cost_of, solve, solve_while};
pub use workload::{Fault, Usage, Workload};
