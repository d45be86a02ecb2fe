//! How long a change will take to be readable at its destination, as distributions and not as means.
//!
//! Delay = invoke + finish(n) + publish, from the decision on; notification and claim have passed by then. `finish(n)` is list scheduling: parts pulled by
//! n workers, each of which begins at a random moment and has a random rate of its own ([`finish`]). It is evaluated by
//! seeded Monte Carlo, with the error that so many draws leave ([`Samples::interval`]), once for every shape and about every
//! fifth of a size ([`Warm`]). What receipts tell is learnt on top of it ([`Residuals`]).
//!
//! The system this follows predicts with Normal and Gumbel distributions (λReplica, slides, "The Brain"); that is kept as
//! [`Family::NormalGumbel`], to show what it costs.

pub mod calibration;
mod draws;
pub mod finish;
pub mod fit;
mod ladder;
mod learn;
mod rounds;
#[cfg(test)]
mod rounds_tests;
mod route;
mod samples;
mod sketch;
mod transfer;
mod warm;
#[cfg(test)]
mod warm_tests;

pub use calibration::Calibration;
pub use learn::Residuals;
pub use rounds::Rounds;
pub use route::{Family, Host, Leg, Route, Site};
pub use samples::Samples;
pub use sketch::{KeptSketch, Sketch};
pub use transfer::{Shape, Transfer};
pub use warm::{Predicted, Warm};
