//! The nouns and the facts of the sky.
//!
//! **In:** nothing but values (and the catalogue text compiled into the binary).
//! **Out:** the types every other crate speaks in: regions, object keys, versions and locations, times, delays, money,
//! bytes, SLOs, distributions, the catalogue of prices, links and services, and the [`Clock`] and [`Rng`] seams.
//! **Never:** talks to a network or a disk, reads the environment, prints.

pub mod catalog;
mod clock;
mod delay;
mod distribution;
mod error;
mod location;
mod money;
mod mutant;
mod object;
mod quantity;
mod region;
mod regret;
mod rng;
mod slo;
mod time;

pub use clock::{Clock, ManualClock, SystemClock, VirtualClock, timeout};
pub use delay::{format_delay, parse_delay};
pub use distribution::{Distribution, MAX_SIGMA, Quantiles, Weighted};
pub use error::{Invalid, Kind};
pub use location::{Location, Scheme};
pub use money::Usd;
pub use mutant::Mutant;
pub use object::{Attributes, ObjectKey, ObjectVersion, USER_METADATA_LIMIT_BYTES};
pub use quantity::{format_bytes, parse_bytes};
pub use region::{Provider, Region};
pub use regret::Regretted;
pub use rng::Rng;
pub use slo::Slo;
pub use time::Timestamp;
