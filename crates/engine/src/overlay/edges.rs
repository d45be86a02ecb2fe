//! The ends of the overlay: ranges of objects that are read, parts of uploads that are written.
//!
//! In: what a relay's program says of a store (a location). Out: bytes of one version; a part's receipt. Never: bytes of another
//! version than was asked for; a receipt of bytes that the store does not confirm.

use crate::stores::OpenStore;
use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use skyfresh_relay::{
    Chunk, ChunkSink, ChunkSource, Edges, Error as RelayError, Receipt, Result as RelayResult,
};
use skyfresh_sky::{Kind, Location, ObjectKey, ObjectVersion};
use skyfresh_store::checksum::{Crc32c, Crc64};
use skyfresh_store::{Error as StoreError, GetOptions, ObjectStore, single_chunk, whole_body};
use std::sync::Arc;

/// Edges over object stores, for relays wherever they run. Credentials are those of the relay's own process.
#[derive(Clone, Debug)]
pub struct StoreEdges {
    open: Arc<dyn OpenStore>,
}

impl StoreEdges {
    /// Opens stores by `open`.
    pub fn new(open: Arc<dyn OpenStore>) -> Self {
        StoreEdges { open }
    }

    fn store(&self, spec: &serde_json::Value) -> RelayResult<Arc<dyn ObjectStore>> {
        let spec: Spec = serde_json::from_value(spec.clone()).map_err(|error| {
            let why = format!("a store is {{\"location\": \"s3://…\"}}: {error}");
            RelayError::new(Kind::Invalid, "open store", why)
        })?;
        self.open.open(&spec.location).map_err(relayed)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    location: Location,
}

/// What a topology says of a store.
pub fn spec(location: &Location) -> serde_json::Value {
    serde_json::json!({ "location": location })
}

/// What a sink must know of a part. As short as it can be: every relay on the way carries it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PartNote {
    /// The object's name at the destination, where it is not the source's.
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<String>,
    #[serde(rename = "u")]
    pub(super) upload: String,
    #[serde(rename = "p")]
    pub(super) part: u32,
    /// Whether the bytes' CRC32C is wanted: the source states one of the whole object.
    #[serde(rename = "c", default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) crc32c: bool,
}

/// What a sink answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PartAnswer {
    pub(super) etag: String,
    /// Of the bytes written, which the store has confirmed where it states any.
    pub(super) crc64: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) crc32c: Option<u32>,
}

#[async_trait]
impl Edges for StoreEdges {
    async fn source(&self, spec: &serde_json::Value) -> RelayResult<Arc<dyn ChunkSource>> {
        Ok(Arc::new(End(self.store(spec)?)))
    }

    async fn sink(
        &self,
        _destination: &str,
        spec: &serde_json::Value,
    ) -> RelayResult<Arc<dyn ChunkSink>> {
        Ok(Arc::new(End(self.store(spec)?)))
    }
}

struct End(Arc<dyn ObjectStore>);

#[async_trait]
impl ChunkSource for End {
    async fn read(&self, chunk: &Chunk) -> RelayResult<Bytes> {
        let version: ObjectVersion = serde_json::from_str(&chunk.version)
            .map_err(|error| invalid(format!("the version of {:?}: {error}", chunk.key)))?;
        let length = u64::from(chunk.length);
        let options = GetOptions {
            range: Some(chunk.offset..chunk.offset + length),
            version: Some(version),
        };
        let key = key(&chunk.key)?;
        let body = self.0.get(&key, options).await.map_err(relayed)?.body;
        let bytes = whole_body(body, length).await.map_err(relayed)?;
        bytes.map_err(|why| RelayError::new(Kind::RetryAfter, "read part", why))
    }
}

#[async_trait]
impl ChunkSink for End {
    async fn write(&self, chunk: &Chunk, bytes: Bytes) -> RelayResult<Receipt> {
        let note: PartNote = serde_json::from_str(chunk.note())
            .map_err(|error| invalid(format!("the note of a part of {:?}: {error}", chunk.key)))?;
        let name = key(note.key.as_deref().unwrap_or(&chunk.key))?;
        // Proved by the relay that calls this.
        let crc64 = match chunk.checksum {
            Some(checksum) => Crc64(checksum),
            None => Crc64::of(&bytes),
        };
        let crc32c = note.crc32c.then(|| Crc32c::of(&bytes).0);
        let size = bytes.len() as u64;
        let upload = self
            .0
            .upload_part(&name, &note.upload, note.part, size, single_chunk(bytes));
        let receipt = upload.await.map_err(relayed)?;
        if let Some(stored) = receipt.crc64.filter(|stored| *stored != crc64) {
            let why = format!(
                "part {} of {name} was sent with CRC64NVME {crc64}, the store states {stored}",
                note.part
            );
            return Err(RelayError::new(Kind::Corrupt, "verify part", why));
        }
        let answer = PartAnswer {
            etag: receipt.etag,
            crc64: crc64.0,
            crc32c,
        };
        let answer = serde_json::to_string(&answer).map_err(|error| invalid(error.to_string()))?;
        Ok(Receipt(answer))
    }
}

fn key(text: &str) -> RelayResult<ObjectKey> {
    ObjectKey::new(text).map_err(|error| invalid(error.to_string()))
}

fn invalid(why: String) -> RelayError {
    RelayError::new(Kind::Invalid, "carry part", why)
}

/// A store's error as a relay's. What the caller does next is the same.
fn relayed(error: StoreError) -> RelayError {
    RelayError::new(error.kind, error.operation, error.to_string()).with_source(error)
}
