//! Sealing payloads from the source to the destinations: AES-256-GCM with one key a job.

use crate::frame::{ChunkHeader, Manifest, PAYLOAD_TAG_BYTES};
use crate::{Error, Result};
use bytes::{Bytes, BytesMut};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use skyfresh_sky::Kind;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Most tries of one chunk: what the nonce has room for.
pub(crate) const MAX_ATTEMPTS: u32 = 1 << 24;

/// A job's payload key. Travels only over the owner's authenticated connections, and only to nodes whose programs seal or open.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PayloadKey([u8; 32]);

impl fmt::Debug for PayloadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PayloadKey(..)")
    }
}

impl PayloadKey {
    /// A new key, from the system's secure generator.
    ///
    /// # Errors
    /// `Internal` where the system gives no randomness.
    pub fn generate() -> Result<Self> {
        let mut key = [0; 32];
        random(&mut key)?;
        Ok(PayloadKey(key))
    }
}

pub(super) fn random(bytes: &mut [u8]) -> Result<()> {
    SystemRandom::new().fill(bytes).map_err(|_| {
        Error::new(
            Kind::Internal,
            "draw key",
            "the system gives no secure randomness",
        )
    })
}

/// What a destination finds under a seal.
#[derive(Debug)]
pub struct Opened {
    /// What it is.
    pub manifest: Manifest,
    /// The payload, still compressed where the manifest says so.
    pub payload: Bytes,
}

/// Seals at the source and opens at the destinations.
///
/// A nonce is `what it seals, attempt, chunk`: 8, 24 and 64 bits. The owner numbers chunks and never gives one attempt of a
/// chunk out twice, whichever node reads it; and each sealer refuses to seal an attempt that is not above the chunk's last.
pub struct Sealer {
    key: LessSafeKey,
    last: Mutex<HashMap<u64, u32>>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(..)")
    }
}

const PAYLOAD: u8 = 0;
const MANIFEST: u8 = 1;

impl Sealer {
    /// A sealer with a job's key.
    ///
    /// # Errors
    /// `Internal` where the key is refused.
    pub fn new(key: &PayloadKey) -> Result<Self> {
        let key = UnboundKey::new(&AES_256_GCM, &key.0).map_err(|_| {
            Error::new(
                Kind::Internal,
                "take key",
                "a payload key of another length",
            )
        })?;
        Ok(Sealer {
            key: LessSafeKey::new(key),
            last: Mutex::new(HashMap::new()),
        })
    }

    /// Seals `payload` in place where nobody else holds it, and writes manifest and tag into the header. The payload's checksum
    /// and size are the caller's to fill in afterwards.
    ///
    /// # Errors
    /// `Internal` for an attempt that was sealed already: sealing again would use a nonce twice.
    pub fn seal(
        &self,
        header: &mut ChunkHeader,
        manifest: &Manifest,
        payload: Bytes,
    ) -> Result<Bytes> {
        self.claim(header.chunk, header.attempt)?;
        let identity = header.sealed_identity();
        let failed = |_| {
            Error::new(
                Kind::Internal,
                "seal chunk",
                "the payload is longer than the cipher allows",
            )
        };
        let mut sealed = manifest.encode()?;
        self.key
            .seal_in_place_append_tag(nonce(MANIFEST, header), Aad::from(&identity), &mut sealed)
            .map_err(failed)?;
        header.manifest = sealed;
        let mut payload = payload
            .try_into_mut()
            .unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        let proved = with_manifest(&identity, &header.manifest);
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce(PAYLOAD, header), Aad::from(proved), &mut payload)
            .map_err(failed)?;
        header.payload_tag.copy_from_slice(tag.as_ref());
        Ok(payload.freeze())
    }

    /// Opens in place where nobody else holds the payload.
    ///
    /// # Errors
    /// `Corrupt` where anything is not as it was sealed.
    pub fn open(&self, header: &ChunkHeader, payload: Bytes) -> Result<Opened> {
        let identity = header.sealed_identity();
        let corrupt = |what: &'static str| {
            move |_| {
                Error::new(
                    Kind::Corrupt,
                    "open chunk",
                    format!(
                        "{what} of chunk {} is not what the source sealed",
                        header.chunk
                    ),
                )
            }
        };
        let mut sealed = header.manifest.clone();
        let manifest = self
            .key
            .open_in_place(nonce(MANIFEST, header), Aad::from(&identity), &mut sealed)
            .map_err(corrupt("the manifest"))?;
        let manifest = Manifest::decode(manifest)?;
        let mut payload = payload
            .try_into_mut()
            .unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        let proved = with_manifest(&identity, &header.manifest);
        self.key
            .open_in_place_separate_tag(
                nonce(PAYLOAD, header),
                Aad::from(proved),
                header.payload_tag.into(),
                &mut payload,
                0..,
            )
            .map_err(corrupt("the payload"))?;
        Ok(Opened {
            manifest,
            payload: payload.freeze(),
        })
    }

    fn claim(&self, chunk: u64, attempt: u32) -> Result<()> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let used = last.get(&chunk).is_some_and(|last| attempt <= *last);
        if used || attempt >= MAX_ATTEMPTS {
            return Err(Error::new(
                Kind::Internal,
                "seal chunk",
                format!(
                    "attempt {attempt} of chunk {chunk} was sealed already, or is beyond the last"
                ),
            ));
        }
        last.insert(chunk, attempt);
        Ok(())
    }
}

fn nonce(what: u8, header: &ChunkHeader) -> Nonce {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&header.attempt.to_be_bytes());
    bytes[0] = what;
    bytes[4..].copy_from_slice(&header.chunk.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

/// The payload's seal also proves which manifest belongs to it.
fn with_manifest(identity: &[u8; 40], manifest: &[u8]) -> [u8; 40 + PAYLOAD_TAG_BYTES] {
    let mut proved = [0; 40 + PAYLOAD_TAG_BYTES];
    proved[..40].copy_from_slice(identity);
    let tag = &manifest[manifest.len().saturating_sub(PAYLOAD_TAG_BYTES)..];
    proved[40..40 + tag.len()].copy_from_slice(tag);
    proved
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DestinationSet, JobId, TreeId};

    fn header(attempt: u32) -> ChunkHeader {
        ChunkHeader {
            job: JobId(7),
            tree: TreeId(1),
            chunk: 5,
            attempt,
            object: 2,
            offset: 100,
            length: 5,
            wanted: DestinationSet(1),
            payload_bytes: 5,
            payload_checksum: 0,
            payload_tag: [0; PAYLOAD_TAG_BYTES],
            manifest: Vec::new(),
        }
    }

    fn manifest() -> Manifest {
        Manifest {
            key: "secret/name".into(),
            version: "v1".into(),
            checksum: 9,
            codec: Default::default(),
            notes: vec!["upload".into()],
        }
    }

    #[test]
    fn what_is_sealed_is_unreadable_and_opens_again() {
        let sealer = Sealer::new(&PayloadKey::generate().unwrap()).unwrap();
        let mut head = header(0);
        let sealed = sealer
            .seal(&mut head, &manifest(), Bytes::from_static(b"hello"))
            .unwrap();
        assert_ne!(&sealed[..], b"hello");
        assert!(!head.manifest.windows(6).any(|part| part == b"secret"));
        let opened = sealer.open(&head, sealed).unwrap();
        assert_eq!(
            (&opened.payload[..], opened.manifest),
            (&b"hello"[..], manifest())
        );
    }

    #[test]
    fn anything_changed_on_the_way_is_corrupt() {
        let sealer = Sealer::new(&PayloadKey::generate().unwrap()).unwrap();
        let mut good = header(0);
        let sealed = sealer
            .seal(&mut good, &manifest(), Bytes::from_static(b"hello"))
            .unwrap();
        let changes: [fn(&mut ChunkHeader); 8] = [
            |head| head.job.0 += 1,
            |head| head.chunk += 1,
            |head| head.attempt += 1,
            |head| head.object += 1,
            |head| head.offset += 1,
            |head| head.length += 1,
            |head| head.payload_tag[3] ^= 1,
            |head| head.manifest[0] ^= 1,
        ];
        for change in changes {
            let mut head = good.clone();
            change(&mut head);
            assert_eq!(
                sealer.open(&head, sealed.clone()).unwrap_err().kind,
                Kind::Corrupt
            );
        }
        let mut flipped = sealed.to_vec();
        flipped[2] ^= 4;
        assert_eq!(
            sealer.open(&good, flipped.into()).unwrap_err().kind,
            Kind::Corrupt
        );
        let other = Sealer::new(&PayloadKey::generate().unwrap()).unwrap();
        assert!(other.open(&good, sealed.clone()).is_err());
        assert!(sealer.open(&good, sealed).is_ok());
    }

    #[test]
    fn no_attempt_is_sealed_twice_and_no_two_have_one_nonce() {
        let sealer = Sealer::new(&PayloadKey::generate().unwrap()).unwrap();
        let seal = |attempt| {
            sealer.seal(
                &mut header(attempt),
                &manifest(),
                Bytes::from_static(b"hello"),
            )
        };
        let first = seal(0).unwrap();
        assert!(seal(0).is_err());
        assert_ne!(first, seal(1).unwrap());
        assert!(seal(0).is_err());
        assert!(seal(MAX_ATTEMPTS).is_err());
        assert_eq!(
            format!("{:?}", PayloadKey::generate().unwrap()),
            "PayloadKey(..)"
        );
    }
}
