//! What is said of a chunk on its way: the header, which every relay reads, and the manifest, which only the edges can.

use crate::chunk::{MAX_CHUNK_BYTES, MAX_KEY_BYTES, MAX_NOTES_BYTES, MAX_VERSION_BYTES};
use crate::{DestinationSet, Error, JobId, Result, TreeId};
use serde::{Deserialize, Serialize};
use skyfresh_sky::Kind;

/// Bytes of the proof that a payload is as it was sealed (AES-GCM's tag).
pub const PAYLOAD_TAG_BYTES: usize = 16;
/// A sealed manifest is its own length and a tag.
const MAX_MANIFEST_BYTES: usize =
    MAX_KEY_BYTES + MAX_VERSION_BYTES + MAX_NOTES_BYTES + 256 + PAYLOAD_TAG_BYTES;

/// What every relay on the way reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkHeader {
    /// The job.
    pub job: JobId,
    /// The tree that it goes over: which stripe it belongs to.
    pub tree: TreeId,
    /// The chunk's number in the job.
    pub chunk: u64,
    /// Which try this is, from 0. No two tries of a chunk are sealed with one nonce.
    pub attempt: u32,
    /// The object's number in the job.
    pub object: u64,
    /// First byte in the object.
    pub offset: u64,
    /// Bytes in the object.
    pub length: u32,
    /// Destinations that lack it.
    pub wanted: DestinationSet,
    /// Bytes of payload that follow: other than `length` where it is compressed.
    pub payload_bytes: u32,
    /// CRC-64/NVME of the payload as it is on the wire.
    pub payload_checksum: u64,
    /// The sealed payload's tag; zeros where nothing is sealed.
    pub payload_tag: [u8; PAYLOAD_TAG_BYTES],
    /// The [`Manifest`], sealed or, on plain jobs, as it is.
    #[serde(with = "serde_bytes_vec")]
    pub manifest: Vec<u8>,
}

impl ChunkHeader {
    /// Checks a header from outside.
    pub(super) fn validate(&self) -> Result<()> {
        if self.length > MAX_CHUNK_BYTES
            || self.payload_bytes > MAX_CHUNK_BYTES
            || self.manifest.len() > MAX_MANIFEST_BYTES
            || self.offset.checked_add(self.length.into()).is_none()
        {
            return Err(Error::new(
                Kind::Corrupt,
                "read frame",
                format!(
                    "a chunk's header beyond the limits: {} bytes",
                    self.payload_bytes
                ),
            ));
        }
        Ok(())
    }

    /// What the seal proves beside the payload: which bytes of what these are. Tree and destinations are left out, as they are
    /// nothing that a destination acts on.
    pub(crate) fn sealed_identity(&self) -> [u8; 40] {
        let mut identity = [0; 40];
        let numbers = [self.job.0, self.chunk, self.object, self.offset];
        for (at, number) in numbers.iter().enumerate() {
            identity[at * 8..at * 8 + 8].copy_from_slice(&number.to_be_bytes());
        }
        identity[32..36].copy_from_slice(&self.length.to_be_bytes());
        identity[36..].copy_from_slice(&self.attempt.to_be_bytes());
        identity
    }
}

/// How a payload was compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Codec {
    /// Not at all.
    #[default]
    None,
    /// LZ4, block format.
    Lz4,
    /// Zstandard, level 1.
    Zstd,
}

/// What only the source and the destinations know of a chunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The object's key.
    pub key: String,
    /// The version that was read.
    pub version: String,
    /// CRC-64/NVME of the plain bytes.
    pub checksum: u64,
    /// How they were compressed.
    pub codec: Codec,
    /// What each destination's sink must know, by the destination's place.
    pub notes: Vec<String>,
}

impl Manifest {
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        let bytes = postcard::to_extend(self, Vec::new()).map_err(|error| {
            Error::new(Kind::Internal, "write manifest", error.to_string()).with_source(error)
        })?;
        let notes_bytes: usize = self.notes.iter().map(String::len).sum();
        if self.key.len() > MAX_KEY_BYTES
            || self.version.len() > MAX_VERSION_BYTES
            || notes_bytes > MAX_NOTES_BYTES
        {
            return Err(Error::invalid(
                "write manifest",
                format!(
                    "key or version above {MAX_KEY_BYTES} bytes, or notes above {MAX_NOTES_BYTES}"
                ),
            ));
        }
        Ok(bytes)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Manifest> {
        postcard::from_bytes(bytes).map_err(|error| {
            Error::new(Kind::Corrupt, "read manifest", error.to_string()).with_source(error)
        })
    }
}

/// Bytes as one run: serde would write a list of numbers, element by element.
mod serde_bytes_vec {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        // Borrowed first: the length was checked against the body before anything is allocated.
        <&[u8]>::deserialize(deserializer).map(<[u8]>::to_vec)
    }
}
