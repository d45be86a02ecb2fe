//! How long a change will take to be readable at its destination, as distributions and not as means.
//!
//! Delay = notify + claim + invoke + finish(n) + publish (DESIGN, "decide"). `finish(n)` is list scheduling: parts pulled by
//! n workers, each of which begins at a random moment and has a random rate of its own ([`finish`]). It is evaluated by
//! seeded Monte Carlo, with the error that so many draws leave ([`Samples::interval`]).

pub mod calibration;
pub mod finish;
pub mod fit;
mod samples;
mod sketch;

pub use calibration::Calibration;
pub use samples::Samples;
pub use sketch::Sketch;
