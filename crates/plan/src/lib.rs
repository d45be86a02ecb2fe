//! Pure decisions: how long work will take, what it will cost, and the cheapest way that is in time.
//!
//! **In:** what is known of the sky (the catalogue, and what receipts have taught), what is asked (size, SLO, budget), what
//! is in flight. **Out:** predictions as distributions, and plans: immutable values that can be printed, compared, stored and
//! checked. A plan that cannot meet its SLO is an outcome, not an error.
//! **Never:** does IO, reads a clock, draws randomness that no seed decides.

pub mod check;
pub mod multicast;
pub mod network;
pub mod overlay;
mod packing;
pub mod predict;
pub mod replicate;
pub mod solve;
pub mod transfer;

pub use packing::{LinkSharing, Work};
