//! Edges without a store: generated or remembered bytes, and directories. For tests, benchmarks and copies between disks; the
//! product's engine brings edges over object stores.

mod directory;
mod memory;

pub use directory::Directories;
pub use memory::{Generated, Memory, MemoryEdges};

use crate::Chunk;

/// Cuts one object into chunks, numbered on from `first`.
pub fn cut(
    first: u64,
    object: u64,
    key: &str,
    version: &str,
    size_bytes: u64,
    chunk_bytes: u32,
) -> Vec<Chunk> {
    let step = u64::from(chunk_bytes.max(1));
    let count = size_bytes.div_ceil(step).max(1);
    (0..count)
        .map(|at| Chunk {
            id: first + at,
            object,
            key: key.into(),
            version: version.into(),
            offset: at * step,
            length: (size_bytes - at * step).min(step) as u32,
            checksum: None,
            notes: Vec::new(),
        })
        .collect()
}
