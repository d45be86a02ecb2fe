//! Machines rented for a job's relays, and given back.
//!
//! ```text
//! relay::job ── Executor ── Rented ── Cloud::launch ──► a machine, tagged, that ends itself after its longest life
//!                              │        ├ Ec2, Gce, AzureVms
//!                              │        └ Clouds: several as one
//!                              └───── relay's own Ssh ──► `skyfresh relay` on it
//! ```
//!
//! **In:** what a machine is to be ([`Offer`], by region), a job that wants relays. **Out:** relays that listen
//! ([`Rented`]), and what is left of earlier jobs ([`Cloud::find`], [`Machine::is_expired`]).
//! **Never:** a machine without an end: it shuts down by itself after its longest life, whoever has died; its provider deletes it then
//! (EC2), or it asks its provider to (Google, Azure, where its role may), or it stands still until somebody gives it back, its disk paid.
//! No secret in tags, user data or logs: a relay's key goes over `ssh`'s standard input.

pub mod azure;
mod cloud;
mod clouds;
pub mod ec2;
mod executor;
pub mod gce;
mod give_back;
mod machine;
mod rest;
mod user_data;
mod zones;

pub use azure::{AzureVms, ResourceGroup};
pub use cloud::Cloud;
pub use clouds::Clouds;
pub use ec2::Ec2;
pub use executor::{Rented, Terms};
pub use gce::Gce;
pub use machine::{Machine, Offer, Reach, State, TAG, Tags};
pub use user_data::{Program, user_data};
