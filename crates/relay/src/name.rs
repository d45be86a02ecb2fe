//! How jobs, nodes and trees are told apart.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use skyfresh_sky::Rng;
use std::fmt;

/// One job: one set of chunks, one certificate authority, one payload key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub u64);

impl JobId {
    /// A name that no other job has.
    pub fn draw(rng: &Rng) -> Self {
        JobId(rng.u64())
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// One relay of a job: lower-case letters, digits and inner hyphens, at most 63, because it is a label of the DNS name in the
/// node's certificate (RFC 1035 §2.3.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId(String);

impl NodeId {
    /// Most characters of a name.
    pub const MAX_CHARS: usize = 63;

    /// Checks a name.
    ///
    /// # Errors
    /// `Invalid` where it could not stand in a certificate.
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty()
            || name.len() > Self::MAX_CHARS
            || !name.chars().all(inner)
            || name.starts_with('-')
            || name.ends_with('-')
        {
            return Err(Error::invalid(
                "name a node",
                format!(
                    "{:?}: use 1 to {} lower-case letters, digits and inner hyphens",
                    name.chars().take(80).collect::<String>(),
                    Self::MAX_CHARS
                ),
            ));
        }
        Ok(NodeId(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for NodeId {
    type Error = Error;
    fn try_from(name: String) -> Result<Self> {
        NodeId::new(name)
    }
}

impl From<NodeId> for String {
    fn from(id: NodeId) -> String {
        id.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One tree as it is carried out. A tree that is routed round a failure gets a new number: numbers are never used twice in a
/// job, so that a late frame of the old shape cannot be taken for one of the new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TreeId(pub u32);

impl fmt::Display for TreeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tree {}", self.0)
    }
}

/// A set of a job's destinations, by their place in [`Topology::destinations`](crate::topology::Topology).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DestinationSet(pub u64);

impl DestinationSet {
    /// Most destinations of a job: a set is one machine word in every chunk's header.
    pub const MAX: usize = 64;

    /// The set of the first `count` destinations.
    pub fn first(count: usize) -> Self {
        DestinationSet((0..count.min(Self::MAX)).fold(0, |bits, at| bits | 1 << at))
    }

    /// The set of one.
    pub fn one(destination: u8) -> Self {
        DestinationSet(1u64.checked_shl(destination.into()).unwrap_or(0))
    }

    /// Whether `destination` is in the set.
    pub fn contains(self, destination: u8) -> bool {
        self.0 & Self::one(destination).0 != 0
    }

    /// What is in either.
    pub fn union(self, other: Self) -> Self {
        DestinationSet(self.0 | other.0)
    }

    /// What is in both.
    pub fn intersection(self, other: Self) -> Self {
        DestinationSet(self.0 & other.0)
    }

    /// What is here and not there.
    pub fn without(self, other: Self) -> Self {
        DestinationSet(self.0 & !other.0)
    }

    /// Whether nothing is in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The members, in order.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..Self::MAX as u8).filter(move |at| self.contains(*at))
    }
}

impl FromIterator<u8> for DestinationSet {
    fn from_iter<I: IntoIterator<Item = u8>>(members: I) -> Self {
        let with = |set: Self, at| set.union(Self::one(at));
        members.into_iter().fold(Self::default(), with)
    }
}
