//! Solvers that the planners share.
//!
//! In: linear programs as values. Out: optima. Never: a number that a time limit decided.

mod model;
pub(crate) mod simplex;

pub use model::{Constraint, Model, Sense, Solved, Variable, VariableId};
