//! Virtual time: the real engine in a simulated sky, with faults, traces and seeds.
//!
//! **In:** a scenario (regions, stores, links, functions, state, faults, load), a seed. **Out:** what happened: delays,
//! dollars, broken guarantees with the smallest schedule that breaks them. **Never:** waits in real time, draws ambient
//! randomness, opens a socket; two runs of one scenario and seed never differ.

pub mod fault;
mod observer;
pub mod picture;
pub mod scenario;
pub mod storm;
pub mod trace;
mod world;

pub use observer::{Guarantee, Missed, Misses, Timed, Violation};
pub use world::{Bill, Dispatch, FunctionSettings};
