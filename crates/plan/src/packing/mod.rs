//! Trees packed into a network's capacity: the engine below both planners of overlays.
//!
//! In: an instance (links, machines, a source, its terminals) and an aim. Out: trees, the share of the volume that each carries,
//! whole machines, and a bound that proves how good that is. Never: a share on a link or machine that has no room for it.
//!
//! Cloudcast formulates multicast by a binary variable for every stripe on every edge. Here a column is a whole tree and its
//! multiplicity a variable: column generation finds the few trees that matter, the Steiner tree problem prices them exactly,
//! and one path instead of a tree makes it Skyplane's unicast.

mod ascent;
mod branch;
mod edmonds;
mod heuristic;
mod instance;
mod master;
mod paths;
mod price;
mod steiner;
mod tree;

pub(crate) use branch::{Effort, Packed, machine_usd, pack, relax};
pub(crate) use edmonds::spanning;
pub use instance::LinkSharing;
pub(crate) use instance::{GBIT_PER_GB, Instance, Load};
pub use master::Work;
pub(crate) use master::{Aim, Pool, Relaxed};
pub(crate) use price::{Pricing, price};
pub(crate) use tree::{Edges, arborescence};

#[cfg(test)]
mod tests;
