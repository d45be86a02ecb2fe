//! What one relay does: a small graph of operators for each tree that goes over it. Programs hold no secret: they can be
//! printed, stored and compared.

mod compile;

pub use compile::{Addresses, Carried, compile};

use crate::topology::{MAX_CONNECTIONS, MAX_TREES, Security};
use crate::{DestinationSet, Error, JobId, MAX_CHUNK_BYTES, NodeId, Result, TreeId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// Most operators of one route: a read, compress, seal, tee, open, decompress, and a send or write for each destination.
pub const MAX_OPERATORS: usize = 256;

/// One step of a chunk's way through a node. `Read` and `Receive` begin a route; `Send` and `Write` end it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "operator", rename_all = "snake_case", deny_unknown_fields)]
pub enum Operator {
    /// Reads the chunks that the owner assigns.
    Read {
        /// What [`Edges::source`](crate::Edges::source) is given.
        source: Json,
    },
    /// Takes chunks from one previous hop.
    Receive {
        /// Who sends; anybody else is refused.
        from: NodeId,
    },
    /// Compresses where that is measured to pay.
    Compress,
    /// Seals payload and key for the destinations.
    Seal,
    /// Hands the same bytes to several operators, without copying.
    Tee,
    /// Sends to one next hop.
    Send {
        /// Who receives.
        to: NodeId,
        /// Where it listens, `host:port`.
        address: String,
        /// Parallel connections.
        connections: u16,
        /// Destinations at or below the next hop: a chunk that none of them wants is not sent there.
        reaches: DestinationSet,
    },
    /// Opens what was sealed.
    Open,
    /// Decompresses what was compressed.
    Decompress,
    /// Writes, and acknowledges.
    Write {
        /// The destination's place in the topology.
        destination: u8,
        /// Its name.
        name: String,
        /// What [`Edges::sink`](crate::Edges::sink) is given.
        sink: Json,
    },
}

/// What an edge is opened with: any JSON.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(pub Value);

/// One tree's way through a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Which tree.
    pub tree: TreeId,
    /// Where the tree begins here, and keeps step with others that do: what it carries.
    #[serde(default)]
    pub share: Option<Share>,
    /// The operators; the first one begins.
    pub operators: Vec<Operator>,
    /// What goes from which operator to which, by place: always from a lower to a higher one, so there is no circle.
    pub wires: Vec<(u16, u16)>,
}

/// What a tree carries of the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// Trees of one group take whatever chunk is next.
    pub group: u32,
    /// Of the job's stripes.
    pub stripes: u32,
}

/// Everything one node does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// The job.
    pub job: JobId,
    /// Whose program this is.
    pub node: NodeId,
    /// Protection of every connection.
    pub security: Security,
    /// Most bytes of a chunk.
    pub chunk_bytes: u32,
    /// Chunks of this size that are buffered for each route.
    pub queue_chunks: u16,
    /// One a tree.
    pub routes: Vec<Route>,
}

impl Route {
    /// The operators that `at` feeds.
    pub fn outputs(&self, at: u16) -> impl Iterator<Item = u16> {
        self.wires
            .iter()
            .filter(move |(from, _)| *from == at)
            .map(|(_, to)| *to)
    }

    /// Checks a route that came from outside.
    fn validate(&self) -> Result<()> {
        let wrong = |why: &str| {
            Err(Error::invalid(
                "check program",
                format!("{}: {why}", self.tree),
            ))
        };
        let count = self.operators.len();
        if !(2..=MAX_OPERATORS).contains(&count) || self.wires.len() != count - 1 {
            return wrong("a route has 2 to 256 operators, and one wire to each but the first");
        }
        let mut fed = vec![false; count];
        for (from, to) in &self.wires {
            let (from, to) = (usize::from(*from), usize::from(*to));
            if from >= to || to >= count || std::mem::replace(&mut fed[to], true) {
                return wrong("wires go from lower to higher operators, one into each");
            }
        }
        for (at, operator) in self.operators.iter().enumerate() {
            let begins = matches!(operator, Operator::Read { .. } | Operator::Receive { .. });
            let ends = matches!(operator, Operator::Send { .. } | Operator::Write { .. });
            let feeds = self.outputs(at as u16).count();
            if begins != (at == 0) || ends != (feeds == 0) {
                return wrong("a route begins with read or receive, and ends with send or write");
            }
            if feeds > 1 && !matches!(operator, Operator::Tee) {
                return wrong("only a tee feeds several operators");
            }
            if let Operator::Send { connections, .. } = operator
                && !(1..=MAX_CONNECTIONS).contains(connections)
            {
                return wrong("a hop has 1 to 256 connections");
            }
        }
        Ok(())
    }
}

impl Program {
    /// Checks a program that came from outside.
    ///
    /// # Errors
    /// `Invalid`, naming the rule that it breaks.
    pub fn validate(&self) -> Result<()> {
        if self.routes.len() > MAX_TREES
            || self.chunk_bytes == 0
            || self.chunk_bytes > MAX_CHUNK_BYTES
            || self.queue_chunks == 0
        {
            return Err(Error::invalid(
                "check program",
                "a program has at most 256 routes, chunks of 1 byte to 64 MiB, queues of at least one chunk",
            ));
        }
        self.routes.iter().try_for_each(Route::validate)
    }

    /// Whether it cannot be carried out without the job's payload key.
    pub fn needs_key(&self) -> bool {
        let mut operators = self.routes.iter().flat_map(|route| &route.operators);
        operators.any(|operator| matches!(operator, Operator::Seal | Operator::Open))
    }

    /// Most bytes of payload that this node holds at once for what it has queued.
    pub fn buffer_bytes(&self) -> u64 {
        self.routes.len() as u64 * u64::from(self.queue_chunks) * u64::from(self.chunk_bytes)
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operator::Read { .. } => f.write_str("read"),
            Operator::Receive { from } => write!(f, "receive from {from}"),
            Operator::Compress => f.write_str("compress"),
            Operator::Seal => f.write_str("seal"),
            Operator::Tee => f.write_str("tee"),
            Operator::Send {
                to,
                address,
                connections,
                reaches,
            } => {
                let reached: Vec<String> = reaches.iter().map(|at| at.to_string()).collect();
                let reached = reached.join(",");
                write!(
                    f,
                    "send to {to} at {address}, {connections} connections, for destinations {reached}"
                )
            }
            Operator::Open => f.write_str("open"),
            Operator::Decompress => f.write_str("decompress"),
            Operator::Write {
                destination, name, ..
            } => write!(f, "write {name} (destination {destination})"),
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "node {} of job {}", self.node, self.job)?;
        for route in &self.routes {
            writeln!(f, "  {}", route.tree)?;
            for (at, operator) in route.operators.iter().enumerate() {
                let from = route.wires.iter().find(|(_, to)| usize::from(*to) == at);
                match from {
                    Some((from, _)) => writeln!(f, "    {at}: {operator} <- {from}")?,
                    None => writeln!(f, "    {at}: {operator}")?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
