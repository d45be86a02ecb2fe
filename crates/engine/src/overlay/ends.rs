//! From where to where relays carry, as values.

use serde::{Deserialize, Serialize};
use skyfresh_sky::{Location, Region};
use std::time::Duration;

/// One end: what stores are opened by, and what hops are planned by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RelayEnd {
    /// Where the data is, or must be.
    pub location: Location,
    /// In which region.
    pub region: Region,
}

/// From one place to one or several.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RelayEnds {
    /// What is read.
    pub source: RelayEnd,
    /// What is written.
    pub targets: Vec<RelayEnd>,
}

impl RelayEnds {
    /// To one of the targets alone. `None` where there are not so many.
    pub(crate) fn alone(&self, target: usize) -> Option<RelayEnds> {
        Some(RelayEnds {
            source: self.source.clone(),
            targets: vec![self.targets.get(target)?.clone()],
        })
    }
}

/// What a worker must know so that relays may carry its parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayOrder {
    /// The object's source, and all destinations of the rule that may have it by the same relays.
    pub ends: RelayEnds,
    /// Which of these the worker copies to.
    pub target: usize,
    /// Those that lack the same object: their workers may ask for the same parts.
    pub mates: Vec<usize>,
    /// How much sooner than it must the object would be fresh: what waiting may cost.
    pub spare: Duration,
}
