//! What a job tells while it runs, and at its end.

use super::coordinator::Coordinator;
use crate::{Chunk, Error, NodeId, Receipt, Result};
use serde::Serialize;
use skyfresh_sky::Kind;

/// Something happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// A destination holds a chunk; told once for each.
    Written {
        /// The chunk.
        chunk: &'a Chunk,
        /// The destination's place in the topology.
        destination: u8,
        /// What the sink said.
        receipt: &'a Receipt,
    },
    /// How far it is.
    Progress(&'a Progress),
    /// A node is dead; trees were led round it.
    NodeLost {
        /// Which.
        node: &'a NodeId,
        /// Why it is taken for dead.
        why: &'a str,
    },
    /// Nothing comes through between two nodes; trees were led round it.
    LinkLost {
        /// Sender.
        from: &'a NodeId,
        /// Receiver.
        to: &'a NodeId,
        /// Why it is taken for cut.
        why: &'a str,
    },
    /// A node was started in a dead one's place.
    NodeReplaced {
        /// The dead one.
        dead: &'a NodeId,
        /// Its successor.
        by: &'a NodeId,
    },
    /// A destination was given up.
    DestinationFailed {
        /// Its place in the topology.
        destination: u8,
        /// Why.
        failed: &'a Failed,
    },
}

/// How far a job is.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Progress {
    /// Since the job began.
    pub elapsed_ms: u64,
    /// Bytes that every destination should hold at the end.
    pub total_bytes: u64,
    /// Bytes that each destination holds.
    pub written_bytes: Vec<u64>,
    /// Bytes written a second, over all destinations, since the last progress.
    pub bytes_per_second: f64,
}

/// Why a destination was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// What the caller does next.
    pub kind: Kind,
    /// Why, for people.
    pub why: String,
}

/// One destination at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DestinationReport {
    /// Its name.
    pub name: String,
    /// Chunks that it holds.
    pub written_chunks: u64,
    /// Bytes that it holds.
    pub written_bytes: u64,
    /// `None`: it holds everything.
    pub failed: Option<Failed>,
}

/// Payload that one hop carried, what was sent again included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EdgeBytes {
    /// Sender.
    pub from: NodeId,
    /// Receiver.
    pub to: NodeId,
    /// Payload in bytes, compressed where it was.
    pub bytes: u64,
}

/// One node at the end, as it was last heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeReport {
    /// Which.
    pub node: NodeId,
    /// Whether it was lost on the way.
    pub lost: bool,
    /// Most bytes of payload that it ever held.
    pub peak_bytes: u64,
    /// Chunks that arrived and were already there.
    pub duplicates: u64,
}

/// What a job did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JobReport {
    /// How long it took, with the start of its nodes.
    pub took_ms: u64,
    /// Of which starting the nodes.
    pub start_ms: u64,
    /// Bytes that every destination should hold.
    pub total_bytes: u64,
    /// Bytes read at the source, what was read again included.
    pub read_bytes: u64,
    /// Chunks assigned again, end to end.
    pub resent_chunks: u64,
    /// Chunks sent again over one hop.
    pub hop_resends: u64,
    /// Times that trees were led round something.
    pub reroutes: u64,
    /// Every hop that carried something.
    pub edges: Vec<EdgeBytes>,
    /// Every node.
    pub nodes: Vec<NodeReport>,
    /// Every destination, in the topology's order.
    pub destinations: Vec<DestinationReport>,
}

impl JobReport {
    /// Whether every destination holds everything.
    pub fn is_complete(&self) -> bool {
        self.destinations
            .iter()
            .all(|destination| destination.failed.is_none())
    }
}

impl Coordinator {
    /// What the job did; an error where no destination holds everything.
    pub(super) fn report(&self) -> Result<JobReport> {
        let now_ns = self.seams.clock.monotonic_ns();
        let mut destinations = Vec::new();
        for (at, destination) in self.job.topology.destinations.iter().enumerate() {
            let (written_chunks, written_bytes) = self.tracker.held(at as u8);
            destinations.push(DestinationReport {
                name: destination.name.clone(),
                written_chunks,
                written_bytes,
                failed: self.failed.get(&(at as u8)).cloned(),
            });
        }
        if self.failed.len() == destinations.len()
            && let Some((at, failed)) = self.failed.iter().next()
        {
            let name = &destinations[usize::from(*at)].name;
            let more = match self.failed.len() {
                1 => String::new(),
                count => format!(" (and {} more destinations failed)", count - 1),
            };
            return Err(Error::new(
                failed.kind,
                "carry job",
                format!("destination {name:?}: {}{more}", failed.why),
            ));
        }
        let mut edges = Vec::new();
        for (from, node) in &self.nodes {
            let carried = node.usage.sent_bytes.iter().filter(|(_, bytes)| *bytes > 0);
            edges.extend(carried.map(|(to, bytes)| EdgeBytes {
                from: from.clone(),
                to: to.clone(),
                bytes: *bytes,
            }));
        }
        let nodes = self.nodes.iter().map(|(id, node)| NodeReport {
            node: id.clone(),
            lost: node.lost,
            peak_bytes: node.usage.peak_bytes,
            duplicates: node.usage.duplicates,
        });
        let sum = |of: fn(&crate::node::Usage) -> u64| {
            self.nodes.values().map(|node| of(&node.usage)).sum()
        };
        Ok(JobReport {
            took_ms: now_ns.saturating_sub(self.began_ns) / 1_000_000,
            start_ms: self.started_ns.saturating_sub(self.began_ns) / 1_000_000,
            total_bytes: self.tracker.total_bytes,
            read_bytes: sum(|usage| usage.read_bytes),
            resent_chunks: self.tracker.resent,
            hop_resends: sum(|usage| usage.hop_resends),
            reroutes: self.reroutes,
            edges,
            nodes: nodes.collect(),
            destinations,
        })
    }
}
