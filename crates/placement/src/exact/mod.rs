//! Exact arithmetic: quantities as fractions, money as wide integers. Nothing here rounds, except where a cost is printed.

mod cost;
mod rational;
mod wide;

pub use cost::Cost;
pub use rational::Rational;
pub(crate) use rational::{gcd, lcm};
pub use wide::Wide;
