//! What is examined.

use skyfresh_channel::wiring::Record;
use skyfresh_sky::Location;
use std::time::Duration;

/// What a location is to a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Role {
    /// Only read.
    Source,
    /// Read and written.
    Destination,
}

/// What a rule asks for beyond copying objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// Deletes.
    pub(super) delete: bool,
    /// Tags.
    pub(super) tags: bool,
}

impl Needs {
    /// What both ask for.
    pub(super) fn and(self, other: Needs) -> Needs {
        Needs {
            delete: self.delete || other.delete,
            tags: self.tags || other.tags,
        }
    }
}

/// A rule of the configuration, as far as its source is concerned.
#[derive(Clone, Debug)]
pub(super) struct RuleOfSide {
    /// Its name.
    pub(super) name: String,
    /// How often listings are compared.
    pub(super) sweep_every: Duration,
    /// The queues and subscriptions that the configuration has for it, by the last part of their address.
    pub(super) channels: Vec<String>,
    /// What `skyfresh wire` recorded.
    pub(super) wired: Option<Record>,
}

/// One location in one role.
#[derive(Clone, Debug)]
pub(super) struct Side {
    pub(super) role: Role,
    pub(super) location: Location,
    pub(super) needs: Needs,
    /// The rules whose source it is; none where the location was given on the command line.
    pub(super) rules: Vec<RuleOfSide>,
    /// Where the objects come from that a destination is to hold.
    pub(super) sources: Vec<Location>,
}

impl Side {
    /// The same, and what it holds comes from here.
    pub(super) fn holding(mut self, source: &Location) -> Self {
        self.sources.push(source.clone());
        self
    }

    /// A location that no rule names.
    pub(super) fn new(role: Role, location: Location, needs: Needs) -> Self {
        Side {
            role,
            location,
            needs,
            rules: Vec::new(),
            sources: Vec::new(),
        }
    }
}
