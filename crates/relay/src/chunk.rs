//! A chunk, and the two edges of the overlay: where chunks are read and where they are written.

use crate::Result;
use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Most bytes of a chunk: Cloudcast's limit too (§4.1).
pub const MAX_CHUNK_BYTES: u32 = 64 << 20;
/// Most bytes of an object's key: S3's and Google's limit.
pub const MAX_KEY_BYTES: usize = 1024;
/// Most bytes of a version's name.
pub const MAX_VERSION_BYTES: usize = 1024;
/// Most bytes of a chunk's notes, over all destinations.
pub const MAX_NOTES_BYTES: usize = 12 << 10;
/// Most bytes of what a sink answers.
pub const MAX_RECEIPT_BYTES: usize = 1024;

/// A range of one version of one object: what is read, sent, written and acknowledged as one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Its number in the job, from 0 without gaps.
    pub id: u64,
    /// The object's number in the job.
    pub object: u64,
    /// The object's key. Relays in the middle never see it.
    pub key: String,
    /// The version that must be read, in the source's own words.
    pub version: String,
    /// First byte in the object.
    pub offset: u64,
    /// Bytes, at most [`MAX_CHUNK_BYTES`].
    pub length: u32,
    /// CRC-64/NVME of the bytes where the owner knows it: a source that gives other bytes is read again.
    pub checksum: Option<u64>,
    /// What each destination's sink must know of it (an upload's name, say), by the destination's place in the topology; none
    /// where nothing. Relays in the middle never see them. A sink is given its own alone.
    pub notes: Vec<String>,
}

impl Chunk {
    /// What a sink must know beside the place; empty where nothing.
    pub fn note(&self) -> &str {
        self.notes.first().map_or("", String::as_str)
    }
}

/// What a sink says of a chunk that it holds now, e.g. a part's entity tag. At most [`MAX_RECEIPT_BYTES`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Receipt(pub String);

/// Where chunks come from.
#[async_trait]
pub trait ChunkSource: Send + Sync {
    /// Exactly the chunk's bytes, of exactly its version. Bytes that nobody else holds are sealed in place; shared ones are
    /// copied first.
    ///
    /// # Errors
    /// `RetryAfter` and `Corrupt` are tried again; anything else ends the job (`Precondition`: the source has changed).
    async fn read(&self, chunk: &Chunk) -> Result<Bytes>;
}

/// Where chunks go.
#[async_trait]
pub trait ChunkSink: Send + Sync {
    /// Writes a chunk whose bytes were proved, and returns when the sink holds them. Idempotent: the same chunk may come again,
    /// after a restart or over another way, always with the same bytes.
    ///
    /// # Errors
    /// `RetryAfter` and `Corrupt` are tried again; anything else ends this destination, and no other.
    async fn write(&self, chunk: &Chunk, bytes: Bytes) -> Result<Receipt>;
}

/// Makes a node's edges from what its program says of them. The product's engine implements it over object stores.
#[async_trait]
pub trait Edges: Send + Sync {
    /// The source that `spec` describes.
    ///
    /// # Errors
    /// `Invalid` where the spec is not understood; the store's own kind where it cannot be opened.
    async fn source(&self, spec: &serde_json::Value) -> Result<Arc<dyn ChunkSource>>;

    /// The sink of `destination` that `spec` describes.
    ///
    /// # Errors
    /// As for [`Edges::source`].
    async fn sink(&self, destination: &str, spec: &serde_json::Value)
    -> Result<Arc<dyn ChunkSink>>;
}
