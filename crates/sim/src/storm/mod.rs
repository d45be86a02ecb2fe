//! Storms: one schedule of writes and faults against the real engine, watched by the observer, until everything is quiet.
//!
//! **In:** a [`Schedule`](crate::fault::Schedule), or the seed that generates one. **Out:** an [`Outcome`]: broken guarantees, and the hash of all that
//! happened. **Never:** depends on anything but the schedule: two runs of one schedule have the same hash.

mod apply;
mod contents;
mod copies;
mod run;
mod seeds;
mod settle;
mod shrink;

pub(crate) use apply::apply;
pub(crate) use contents::Contents;
pub use run::{Outcome, run};
pub use seeds::{Failure, Progress, sweep_seeds};
pub use shrink::{Shrunk, shrink};

#[cfg(feature = "mutants")]
pub mod mutants;
