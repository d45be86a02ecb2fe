//! Tables of derived features, kept fresh by what their staleness costs (RALF; chapter 2 of S. Wooders' thesis, Berkeley 2024).
//!
//! **In:** data for keys, queries of their features, errors of the predictions made from them. **Out:** which key to recompute
//! next, the recomputed features, and what the order was worth. **Never:** forgets data that came while a key was worked on,
//! lets a key wait for ever, draws randomness or reads a clock but through their seams.

pub mod function;
pub mod scheduler;
pub mod service;
pub mod simulate;

mod error;

pub use error::{Error, Result};
