//! Bytes that come from nowhere and stay in memory.

use crate::chunk::{Chunk, ChunkSink, ChunkSource, Edges, Receipt};
use crate::{Error, Result};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A source of bytes that follow from the chunk's place: cheap, and different everywhere.
#[derive(Debug, Default)]
pub struct Generated {
    read_bytes: AtomicU64,
}

impl Generated {
    /// The bytes of a chunk.
    pub fn bytes(chunk: &Chunk) -> BytesMut {
        let mut bytes = BytesMut::with_capacity(chunk.length as usize);
        // A multiplicative sequence (Knuth's constant): incompressible enough, and four gigabytes a second.
        let mut word = chunk.object ^ chunk.offset.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        while bytes.len() + 8 <= chunk.length as usize {
            word = word
                .wrapping_mul(0x5851_F42D_4C95_7F2D)
                .wrapping_add(0x1405_7B7E_F767_814F);
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.resize(chunk.length as usize, 7);
        bytes
    }

    /// Bytes given out so far.
    pub fn read_bytes(&self) -> u64 {
        self.read_bytes.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl ChunkSource for Generated {
    async fn read(&self, chunk: &Chunk) -> Result<Bytes> {
        self.read_bytes
            .fetch_add(chunk.length.into(), Ordering::Relaxed);
        Ok(Self::bytes(chunk).freeze())
    }
}

/// A sink that remembers every chunk, and how often it was written.
#[derive(Debug, Default)]
pub struct Memory {
    chunks: Mutex<BTreeMap<(u64, u64), (Bytes, u64)>>,
}

impl Memory {
    /// An object's bytes, in order of their offsets.
    pub fn object(&self, object: u64) -> Vec<u8> {
        let chunks = self.chunks.lock().unwrap_or_else(PoisonError::into_inner);
        let parts = chunks.range((object, 0)..=(object, u64::MAX));
        parts.flat_map(|(_, (bytes, _))| bytes.to_vec()).collect()
    }

    /// Writes of the chunk that was written most often.
    pub fn most_writes(&self) -> u64 {
        let chunks = self.chunks.lock().unwrap_or_else(PoisonError::into_inner);
        chunks
            .values()
            .map(|(_, writes)| *writes)
            .max()
            .unwrap_or(0)
    }
}

#[async_trait]
impl ChunkSink for Memory {
    async fn write(&self, chunk: &Chunk, bytes: Bytes) -> Result<Receipt> {
        let mut chunks = self.chunks.lock().unwrap_or_else(PoisonError::into_inner);
        let row = chunks.entry((chunk.object, chunk.offset)).or_default();
        *row = (bytes, row.1 + 1);
        Ok(Receipt(format!("{}-{}", chunk.object, chunk.offset)))
    }
}

/// One source, and a sink for each destination by name.
#[derive(Clone, Default)]
pub struct MemoryEdges {
    /// Where every chunk comes from.
    pub source: Option<Arc<dyn ChunkSource>>,
    /// Where chunks go.
    pub sinks: HashMap<String, Arc<dyn ChunkSink>>,
}

impl std::fmt::Debug for MemoryEdges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryEdges").finish_non_exhaustive()
    }
}

#[async_trait]
impl Edges for MemoryEdges {
    async fn source(&self, _: &Value) -> Result<Arc<dyn ChunkSource>> {
        let source = self.source.clone();
        source.ok_or_else(|| Error::invalid("open source", "there is none here"))
    }

    async fn sink(&self, destination: &str, _: &Value) -> Result<Arc<dyn ChunkSink>> {
        let sink = self.sinks.get(destination).cloned();
        sink.ok_or_else(|| {
            Error::invalid("open sink", format!("{destination:?} is not known here"))
        })
    }
}
