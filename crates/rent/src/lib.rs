//! Machines rented for a job's relays, and given back.
//!
//! ```text
//! relay::job ── Executor ── Rented ── Cloud::launch ──► a machine, tagged, that ends itself after its longest life
//!                              └───── relay's own Ssh ──► `skyfresh relay` on it
//! ```
//!
//! **In:** what a machine is to be ([`Offer`], by region), a job that wants relays. **Out:** relays that listen
//! ([`Rented`]), and what is left of earlier jobs ([`Cloud::find`], [`Machine::is_expired`]).
//! **Never:** a machine without an end: it shuts down by itself after its longest life, whoever has died, and its provider deletes
//! it then. No secret in tags, user data or logs: a relay's key goes over `ssh`'s standard input.

mod cloud;
pub mod ec2;
mod executor;
mod machine;
mod user_data;

pub use cloud::Cloud;
pub use ec2::Ec2;
pub use executor::{Rented, Terms};
pub use machine::{Machine, Offer, Reach, State, TAG, Tags};
pub use user_data::{Program, user_data};
