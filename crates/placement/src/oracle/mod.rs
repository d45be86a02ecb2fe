//! The oracle: every placement that can be cheapest for an object whose reads are of one size (SkyPIE, section 4), made once
//! and asked by adding up prices.
//!
//! In: a [`Scenario`]. Out: its candidates (write choices with the read choices that can be best for some size), counted, kept,
//! saved and loaded; answers to many objects at once. Never: a candidate dropped that could alone be cheapest; an answer for an
//! object that the candidates were not made for (reads of different sizes in different regions), which is refused.
//!
//! ```text
//! choices.rs   sets of stores by number, so that ranges of them are shards
//! envelope.rs  one set → its read choices
//! dominance.rs read choices that another set makes better
//! reduce/      read choices that several others, together, make better
//! build.rs     all of it, on many threads → Oracle, Counts
//! file.rs      Oracle ⇄ bytes, with a checksum
//! matrix.rs    many objects × all candidates
//! drift.rs     how far an object can change before its cheapest candidate does
//! ```

mod build;
mod choices;
mod dominance;
mod drift;
mod envelope;
mod file;
mod matrix;
mod reduce;

pub use build::{Counts, Plan};
pub use drift::{Change, Drift, Quantity};

use crate::model::Scenario;
use skyfresh_sky::Invalid;

/// Read choices name a store by its place in the write choice, in a byte, and need one more number for "none".
const MAX_REPLICAS: usize = 254;
/// Stores are numbered in 16 bits.
const MAX_STORES: usize = 1 << 16;
/// More write choices than this are not gone through: months, and beyond any memory.
const MAX_WRITE_CHOICES: u128 = 1 << 40;

/// One part of the write choices, of several that are made apart and merged: `index` of `of`, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which.
    pub index: u32,
    /// Of how many.
    pub of: u32,
}

impl Shard {
    /// All of it.
    pub const WHOLE: Shard = Shard { index: 0, of: 1 };
}

/// Candidates with the same number of stores, in the order of write choices, within one by size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    /// Stores in each.
    pub(crate) replicas: usize,
    /// Indices into [`Scenario::stores`], `replicas` for each candidate, ascending.
    pub(crate) stores: Vec<u16>,
    /// For each candidate and region the place among its stores that is read from; `replicas` where none is admissible.
    pub(crate) reads: Vec<u8>,
}

impl Block {
    pub(crate) fn len(&self) -> usize {
        self.stores.len() / self.replicas.max(1)
    }
}

/// Candidates, with the scenario that they were made in.
#[derive(Clone, Debug)]
pub struct Oracle {
    pub(crate) scenario: Scenario,
    /// Which part of it this is.
    pub(crate) shard: Shard,
    /// Whether candidates that another makes better were dropped.
    pub(crate) filtered: bool,
    /// Whether candidates that others, together, make better were dropped too.
    pub(crate) reduced: bool,
    pub(crate) blocks: Vec<Block>,
}

impl Oracle {
    /// The scenario that it was made in.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// Candidates kept.
    pub fn candidates(&self) -> usize {
        self.blocks.iter().map(Block::len).sum()
    }

    /// Which part of the whole this is.
    pub fn shard(&self) -> Shard {
        self.shard
    }

    /// Whether candidates that another makes better were dropped. Costs are exact all the same; which of several sets of the same
    /// cost is named, and whether it is the only one, is known only where none were.
    pub fn is_filtered(&self) -> bool {
        self.filtered
    }

    /// Whether candidates that others, together, make better were dropped too.
    pub fn is_reduced(&self) -> bool {
        self.reduced
    }

    /// Least and greatest number of stores.
    pub fn replicas(&self) -> (usize, usize) {
        self.scenario.replicas
    }

    /// Whether it is what [`Oracle::build`] would make.
    pub fn is_made_by(&self, scenario: &Scenario, plan: &Plan) -> bool {
        self.shard == plan.shard
            && self.filtered == (plan.filter || plan.reduce)
            && self.reduced == plan.reduce
            && file::tables(&self.scenario) == file::tables(scenario)
    }

    /// The whole of all its shards, in any order.
    ///
    /// # Errors
    /// A shard is missing or given twice, or they were not made in one scenario.
    pub fn merge(mut parts: Vec<Oracle>) -> Result<Oracle, Invalid> {
        let invalid = |why: String| Invalid::new("shards", parts_named(&parts), why);
        let Some(first) = parts.first() else {
            return Err(invalid("none were given".into()));
        };
        let (of, made) = (first.shard.of, (first.filtered, first.reduced));
        let tables = file::tables(&first.scenario);
        for part in &parts {
            if part.shard.of != of || (part.filtered, part.reduced) != made {
                return Err(invalid("made as parts of different wholes".into()));
            }
            if file::tables(&part.scenario) != tables {
                return Err(invalid(
                    "made with different prices or requirements: build all with the same".into(),
                ));
            }
        }
        let mut given: Vec<u32> = parts.iter().map(|part| part.shard.index).collect();
        given.sort_unstable();
        if given != (0..of).collect::<Vec<_>>() {
            return Err(invalid(format!("each of the {of} shards is needed once")));
        }
        parts.sort_by_key(|part| part.shard.index);
        let mut parts = parts.into_iter();
        let Some(mut whole) = parts.next() else {
            return Err(Invalid::new("shards", "", "none were given"));
        };
        for part in parts {
            for (block, more) in whole.blocks.iter_mut().zip(part.blocks) {
                block.stores.extend(more.stores);
                block.reads.extend(more.reads);
            }
        }
        whole.shard = Shard::WHOLE;
        Ok(whole)
    }
}

fn parts_named(parts: &[Oracle]) -> String {
    let names: Vec<String> = parts
        .iter()
        .map(|part| format!("{}/{}", part.shard.index + 1, part.shard.of))
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests;
