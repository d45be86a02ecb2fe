//! What there is to choose from: prices, read or given, and the scenario a query is answered in.
//!
//! In: CSV text in the format of SkyPIE's price and latency tables, or the catalogue, and requirements. Out: integer tables over regions and stores,
//! both in the order of their names. Never: a price rounded, or a missing one guessed.

mod catalog;
mod columns;
mod csv;
mod latency;
mod prices;
mod requirements;
mod scenario;
mod tables;

pub use latency::Latency;
pub use prices::{Prices, UNITS_PER_USD};
pub use requirements::Requirements;
pub use scenario::{Scenario, Store};

pub(crate) use requirements::Groups;
pub(crate) use tables::Tables;

#[cfg(test)]
mod tests;
