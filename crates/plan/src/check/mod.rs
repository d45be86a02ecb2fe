//! Checks plans by other means than made them: nothing here calls the code that enumerates, prices or compares.
//!
//! In: what was asked and what was chosen. Out: everything that is wrong with it, in words; nothing where all is right.
//! Never: a judgement that only the planner could confirm.

mod overlay;
mod replicate;

pub use overlay::check_overlay;
pub use replicate::{check_choice, check_fan_out};
