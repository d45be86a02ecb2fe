//! The overlay: relays that carry bulk data from one source to many destinations over the trees of a plan.
//!
//! **In:** a [`Topology`](topology::Topology), a list of [`Chunk`]s, an [`Executor`](executor::Executor) that can start nodes, and
//! [`Edges`] that read and write. **Out:** a [`Receipt`] for every chunk and destination, and a [`JobReport`](job::JobReport).
//! **Never:** reads a chunk once for each destination; holds more payload than its queues are allowed; lets a relay in the middle
//! see what it carries; writes bytes that are not proved to be the source's; takes a chunk as written that its sink has not
//! confirmed; lets one destination's failure fail another; leaves a node running that nobody owns.
//!
//! A chunk's way:
//!
//! ```text
//!   source node                         relay (no key)                   destination node
//!  ┌──────────────────────────┐        ┌───────────────────────┐        ┌──────────────────────────────────┐
//!  │ read ► compress ► seal   │ chunk  │ receive ► tee ► send ─┼──────► │ receive ► open ► decompress      │
//!  │   ▲                 send ┼──────► │               │       │        │                     ► write once │
//!  │   │ room in the queue    │◄───────┼ taken, credit └ send ─┼──► …   │                          │       │
//!  └───┼──────────────────────┘◄───────┼───────────────────────┼◄───────┼─ written (receipt) ◄─────┘       │
//!      │         │ written, failed     └───────────────────────┘        └──────────────────────────────────┘
//!   assign       ▼
//!  ┌──────────────────────────┐   programs, keys, heartbeats to every node; leads trees round what fails;
//!  │ owner: job::run          │   sends again only what was not acknowledged, to whom it lacks
//!  └──────────────────────────┘
//! ```
//!
//! | queue | bound | when full |
//! |---|---|---|
//! | chunks in a node, each tree | `queue_chunks` × `chunk_bytes` of payload | no credit to the previous hop, no read at the source |
//! | one connection of a hop | its share of the receiver's queue, at least a chunk; 1,024 chunks | another connection takes the next chunk |
//! | chunks assigned and not acknowledged, each tree | `window_chunks` | they wait with the owner, as a row each |
//! | writes at once, each destination and tree in a node | 16 | chunks wait in the node's queue |
//! | acknowledgements while the previous hop is away | 65,536 a tree | lost; the chunk is sent again, and acknowledged again |
//! | frame, control message | 16 KiB, 8 MiB | the connection is refused |
//!
//! Deliberately absent: a chunk is stored and then forwarded, not cut through (chunks are small against a job); a relay keeps
//! nothing on disk; a tree's order of chunks is not kept; virtual machines are started elsewhere, behind the same two traits.

pub mod chunk;
pub mod compression;
pub mod crypto;
pub mod edges;
mod error;
pub mod executor;
pub mod frame;
pub mod job;
mod name;
pub mod node;
pub mod program;
pub mod topology;

pub use chunk::{Chunk, ChunkSink, ChunkSource, Edges, MAX_CHUNK_BYTES, Receipt};
pub use error::{Error, Result};
pub use name::{DestinationSet, JobId, NodeId, TreeId};
