//! A job's shape: who reads, who writes, and over which trees chunks go. Values and pure functions only.
//!
//! A planner thinks in regions; relays are machines. [`spread`] turns trees of regions into trees of nodes, [`Topology::validate`]
//! says what is wrong with a shape, [`around`] gives the shape that remains when nodes or links are gone.

mod around;
mod shape;
mod spread;
mod width;

pub use around::{Losses, around};
pub(crate) use shape::Shape;
pub use spread::{RegionTree, spread};

use crate::chunk::MAX_CHUNK_BYTES;
use crate::{DestinationSet, Error, NodeId, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashSet;

/// Most nodes of a job.
pub const MAX_NODES: usize = 1024;
/// Most trees of a job: what a node buffers is bounded by trees.
pub const MAX_TREES: usize = 256;
/// Most connections of one hop of one tree.
pub const MAX_CONNECTIONS: u16 = 256;

/// One relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its name.
    pub id: NodeId,
    /// Where it stands, e.g. `aws:us-east-1`. Free text here; planners and executors read it.
    pub region: String,
    /// Where its executor should start it (a host for SSH); most executors choose themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// A place that must get every chunk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    /// Its name in reports.
    pub name: String,
    /// Nodes that may write there. In each tree one of them does: the one nearest to the root.
    pub nodes: Vec<NodeId>,
    /// What [`Edges::sink`](crate::Edges::sink) is given.
    #[serde(default)]
    pub sink: Value,
}

/// One distribution tree.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tree {
    /// How many of the job's stripes it carries: its share of the bytes is this over the sum of all trees.
    pub stripes: u32,
    /// Hops, from and to. A job within one node has none, and then the first source is meant.
    pub edges: Vec<(NodeId, NodeId)>,
}

impl Tree {
    /// Where its chunks are read: the node that no hop leads to. `None` where there is no such node.
    pub fn root<'a>(&'a self, topology: &'a Topology) -> Option<&'a NodeId> {
        if self.edges.is_empty() {
            return topology.sources.first();
        }
        let mut froms = self.edges.iter().map(|(from, _)| from);
        froms.find(|from| self.edges.iter().all(|(_, to)| to != *from))
    }
}

/// How bytes are protected on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Security {
    /// TLS 1.3 with the job's own certificates on every connection, and payloads sealed end to end.
    #[default]
    Sealed,
    /// Nothing but the job's token in every greeting: for one trusted machine or wire, and for measuring.
    Plain,
}

/// A job's whole shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topology {
    /// All relays.
    pub nodes: Vec<Node>,
    /// Nodes that may read: the root of every tree is one of them.
    pub sources: Vec<NodeId>,
    /// What [`Edges::source`](crate::Edges::source) is given.
    #[serde(default)]
    pub source: Value,
    /// Who must get the bytes.
    pub destinations: Vec<Destination>,
    /// Over which ways.
    pub trees: Vec<Tree>,
    /// Most bytes of a chunk.
    pub chunk_bytes: u32,
    /// Chunks of this size that a node buffers for one tree: its memory is at most trees × this × `chunk_bytes`, and twice that
    /// where it reads or writes (the plain and the sealed form of a chunk, for the moment of turning one into the other).
    #[serde(default = "default_queue_chunks")]
    pub queue_chunks: u16,
    /// Most parallel connections of a hop of a tree: as many as a pair of nodes needs to carry all that it can.
    #[serde(default = "default_connections")]
    pub connections: u16,
    /// What a plan counts with, where there is one.
    #[serde(default)]
    pub rates: Option<Rates>,
    /// Protection.
    #[serde(default)]
    pub security: Security,
    /// Whether chunks may be compressed where that is measured to pay.
    #[serde(default)]
    pub compress: bool,
}

/// The rates that a plan counts with. Only their ratios matter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// All trees together, Gbit/s.
    pub total_gbps: f64,
    /// What a pair of nodes carries at most, by their regions, from and to: Gbit/s.
    pub pair_gbps: Vec<(String, String, f64)>,
}

fn default_queue_chunks() -> u16 {
    16
}

fn default_connections() -> u16 {
    8
}

impl Topology {
    /// A node by name.
    pub fn node(&self, id: &NodeId) -> Option<&Node> {
        self.nodes.iter().find(|node| &node.id == id)
    }

    /// All destinations.
    pub fn all(&self) -> DestinationSet {
        DestinationSet::first(self.destinations.len())
    }

    /// Says what is wrong with a shape: every name is known, every number within its limit, every tree an arborescence from a
    /// source that reaches a node of every destination.
    ///
    /// # Errors
    /// `Invalid`, naming the part that is wrong and what would do.
    pub fn validate(&self) -> Result<()> {
        let wrong = |context: String| Err(Error::invalid("check topology", context));
        let between = |what: &str, given: usize, most: usize| {
            if given == 0 || given > most {
                return Err(Error::invalid(
                    "check topology",
                    format!("{given} {what}: use 1 to {most}"),
                ));
            }
            Ok(())
        };
        between("nodes", self.nodes.len(), MAX_NODES)?;
        between("destinations", self.destinations.len(), DestinationSet::MAX)?;
        between("trees", self.trees.len(), MAX_TREES)?;
        between(
            "bytes a chunk",
            self.chunk_bytes as usize,
            MAX_CHUNK_BYTES as usize,
        )?;
        between(
            "connections a hop",
            self.connections.into(),
            MAX_CONNECTIONS.into(),
        )?;
        between("chunks a queue", self.queue_chunks.into(), 4096)?;
        between("sources", self.sources.len(), MAX_NODES)?;
        let mut known = HashSet::new();
        for node in &self.nodes {
            if !known.insert(&node.id) {
                return wrong(format!("node {} is there twice: rename one", node.id));
            }
        }
        let writers = self.destinations.iter().flat_map(|d| &d.nodes);
        if let Some(id) = self
            .sources
            .iter()
            .chain(writers)
            .find(|id| !known.contains(id))
        {
            return wrong(format!(
                "{id} reads or writes, and is not among the nodes: add it"
            ));
        }
        let mut names = HashSet::new();
        for destination in &self.destinations {
            if !names.insert(&destination.name) {
                return wrong(format!("destination {:?} is there twice", destination.name));
            }
            between("nodes at a destination", destination.nodes.len(), MAX_NODES)?;
        }
        for (at, tree) in self.trees.iter().enumerate() {
            if tree.stripes == 0 {
                return wrong(format!("tree {at} carries no stripe: leave it out"));
            }
            if let Some(id) = tree
                .edges
                .iter()
                .flat_map(|(from, to)| [from, to])
                .find(|id| !known.contains(id))
            {
                return wrong(format!(
                    "tree {at} goes over {id}, which is not among the nodes"
                ));
            }
            Shape::of(self, tree, self.all()).map_err(|error| {
                Error::invalid("check topology", format!("tree {at}: {}", error.context))
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
