//! The checksums S3 knows, of streams, of parts combined, and of parts listed.
//!
//! Source of names and rules: Amazon S3 user guide, "Checking object integrity in Amazon S3".

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use crc_fast::CrcAlgorithm;
use md5::Digest;
use serde::{Deserialize, Serialize};

/// A checksum algorithm a client can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

/// What a multipart object's checksum covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Scope {
    /// The object's bytes.
    FullObject,
    /// The parts' digests, one after another.
    Composite,
}

impl Scope {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Scope::FullObject => "FULL_OBJECT",
            Scope::Composite => "COMPOSITE",
        }
    }
}

impl Algorithm {
    pub(crate) const ALL: [Algorithm; 5] = [
        Algorithm::Crc32,
        Algorithm::Crc32c,
        Algorithm::Crc64Nvme,
        Algorithm::Sha1,
        Algorithm::Sha256,
    ];

    /// The name in `x-amz-checksum-algorithm`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Algorithm::Crc32 => "CRC32",
            Algorithm::Crc32c => "CRC32C",
            Algorithm::Crc64Nvme => "CRC64NVME",
            Algorithm::Sha1 => "SHA1",
            Algorithm::Sha256 => "SHA256",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// The header (or trailer) that carries its value.
    pub(crate) fn header(self) -> &'static str {
        match self {
            Algorithm::Crc32 => "x-amz-checksum-crc32",
            Algorithm::Crc32c => "x-amz-checksum-crc32c",
            Algorithm::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Algorithm::Sha1 => "x-amz-checksum-sha1",
            Algorithm::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// Digest length in bytes.
    pub(crate) fn digest_len(self) -> usize {
        match self {
            Algorithm::Crc32 | Algorithm::Crc32c => 4,
            Algorithm::Crc64Nvme => 8,
            Algorithm::Sha1 => 20,
            Algorithm::Sha256 => 32,
        }
    }

    fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Algorithm::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Algorithm::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Algorithm::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Algorithm::Sha1 | Algorithm::Sha256 => None,
        }
    }

    /// The scope of a multipart upload's checksum where the client names none.
    pub(crate) fn default_scope(self) -> Scope {
        if self == Algorithm::Crc64Nvme {
            Scope::FullObject
        } else {
            Scope::Composite
        }
    }

    /// CRC64NVME has no composite form and the SHA family no full-object form (they cannot be combined).
    pub(crate) fn supports(self, scope: Scope) -> bool {
        match scope {
            Scope::FullObject => self.crc().is_some(),
            Scope::Composite => self != Algorithm::Crc64Nvme,
        }
    }

    /// The digest of `first ‖ second` from the digests of both; `None` where the algorithm cannot be combined.
    pub(crate) fn combine(self, first: &[u8], second: &[u8], second_len: u64) -> Option<Vec<u8>> {
        let combined = crc_fast::checksum_combine(
            self.crc()?,
            big_endian(first),
            big_endian(second),
            second_len,
        );
        Some(self.crc_bytes(combined))
    }

    fn crc_bytes(self, value: u64) -> Vec<u8> {
        value.to_be_bytes()[8 - self.digest_len()..].to_vec()
    }
}

fn big_endian(digest: &[u8]) -> u64 {
    digest
        .iter()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// An object's stored checksum, as S3 returns it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ObjectChecksum {
    pub(crate) algorithm: Algorithm,
    pub(crate) scope: Scope,
    /// Base64; a composite one ends in `-N`, the number of parts.
    pub(crate) value: String,
}

impl ObjectChecksum {
    pub(crate) fn full_object(algorithm: Algorithm, digest: &[u8]) -> Self {
        ObjectChecksum {
            algorithm,
            scope: Scope::FullObject,
            value: BASE64.encode(digest),
        }
    }

    /// Of a multipart upload's parts, each given by digest and length.
    pub(crate) fn of_parts(
        algorithm: Algorithm,
        scope: Scope,
        parts: &[(&[u8], u64)],
    ) -> Option<ObjectChecksum> {
        match scope {
            Scope::FullObject => {
                let (first, rest) = parts.split_first()?;
                let mut digest = first.0.to_vec();
                for (next, len) in rest {
                    digest = algorithm.combine(&digest, next, *len)?;
                }
                Some(Self::full_object(algorithm, &digest))
            }
            Scope::Composite => {
                let mut hasher = Hasher::new(&[algorithm]);
                for (digest, _) in parts {
                    hasher.update(digest);
                }
                let digest = hasher.finish().checksum(algorithm)?.to_vec();
                let value = format!("{}-{}", BASE64.encode(digest), parts.len());
                Some(ObjectChecksum {
                    algorithm,
                    scope,
                    value,
                })
            }
        }
    }
}

enum State {
    Crc(crc_fast::Digest),
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
}

/// MD5 (for the ETag) and any other checksums of one stream, in one pass.
pub(crate) struct Hasher {
    md5: Option<md5::Md5>,
    states: Vec<(Algorithm, State)>,
}

impl Hasher {
    pub(crate) fn new(algorithms: &[Algorithm]) -> Self {
        let state = |algorithm: &Algorithm| {
            let state = match (algorithm.crc(), algorithm) {
                (Some(crc), _) => State::Crc(crc_fast::Digest::new(crc)),
                (None, Algorithm::Sha1) => State::Sha1(sha1::Sha1::new()),
                (None, _) => State::Sha256(sha2::Sha256::new()),
            };
            (*algorithm, state)
        };
        Hasher {
            md5: Some(md5::Md5::new()),
            states: algorithms.iter().map(state).collect(),
        }
    }

    /// Leaves MD5 out, which costs more than everything else a store does with a byte; its digest is then all zeros.
    pub(crate) fn without_md5(mut self) -> Self {
        self.md5 = None;
        self
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        for (_, state) in &mut self.states {
            match state {
                State::Crc(digest) => digest.update(bytes),
                State::Sha1(hasher) => hasher.update(bytes),
                State::Sha256(hasher) => hasher.update(bytes),
            }
        }
    }

    pub(crate) fn finish(self) -> Digests {
        let checksums = self
            .states
            .into_iter()
            .map(|(algorithm, state)| {
                let digest = match state {
                    State::Crc(digest) => algorithm.crc_bytes(digest.finalize()),
                    State::Sha1(hasher) => hasher.finalize().to_vec(),
                    State::Sha256(hasher) => hasher.finalize().to_vec(),
                };
                (algorithm, digest)
            })
            .collect();
        Digests {
            md5: self.md5.map_or([0; 16], |hasher| hasher.finalize().into()),
            checksums,
        }
    }
}

/// What a [`Hasher`] found.
#[derive(Clone, Debug)]
pub(crate) struct Digests {
    pub(crate) md5: [u8; 16],
    checksums: Vec<(Algorithm, Vec<u8>)>,
}

impl Digests {
    pub(crate) fn checksum(&self, algorithm: Algorithm) -> Option<&[u8]> {
        self.checksums
            .iter()
            .find(|(found, _)| *found == algorithm)
            .map(|(_, digest)| digest.as_slice())
    }
}

/// The ETag of a multipart object: MD5 of the parts' MD5s, then `-N`.
pub(crate) fn multipart_etag(parts: impl ExactSizeIterator<Item = [u8; 16]>) -> String {
    let count = parts.len();
    let mut hasher = md5::Md5::new();
    for part in parts {
        hasher.update(part);
    }
    format!("{}-{count}", hex::encode(hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(algorithm: Algorithm, bytes: &[u8]) -> Vec<u8> {
        let mut hasher = Hasher::new(&[algorithm]);
        hasher.update(bytes);
        hasher.finish().checksum(algorithm).unwrap().to_vec()
    }

    #[test]
    fn known_answers() {
        // Check values of "123456789" from the CRC catalogue (reveng) and FIPS 180.
        for (algorithm, expected) in [
            (Algorithm::Crc32, "cbf43926"),
            (Algorithm::Crc32c, "e3069283"),
            (Algorithm::Crc64Nvme, "ae8b14860a799888"),
            (Algorithm::Sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
            (
                Algorithm::Sha256,
                "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
            ),
        ] {
            assert_eq!(
                hex::encode(digest(algorithm, b"123456789")),
                expected,
                "{algorithm:?}"
            );
        }
    }

    #[test]
    fn parts_combine_to_the_whole() {
        let whole: Vec<u8> = (0..10_000u32).map(|i| (i * 31 % 251) as u8).collect();
        let (a, b) = whole.split_at(1234);
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
            let (first, second) = (digest(algorithm, a), digest(algorithm, b));
            let parts = [
                (first.as_slice(), a.len() as u64),
                (second.as_slice(), b.len() as u64),
            ];
            let combined = ObjectChecksum::of_parts(algorithm, Scope::FullObject, &parts).unwrap();
            assert_eq!(
                combined,
                ObjectChecksum::full_object(algorithm, &digest(algorithm, &whole))
            );
        }
        assert_eq!(Algorithm::Sha256.combine(&[0; 32], &[0; 32], 1), None);
    }

    #[test]
    fn a_composite_is_the_digest_of_digests() {
        let (a, b) = (
            digest(Algorithm::Sha256, b"a"),
            digest(Algorithm::Sha256, b"b"),
        );
        let checksum =
            ObjectChecksum::of_parts(Algorithm::Sha256, Scope::Composite, &[(&a, 1), (&b, 1)])
                .unwrap();
        let expected = BASE64.encode(digest(Algorithm::Sha256, &[a, b].concat()));
        assert_eq!(checksum.value, format!("{expected}-2"));
    }
}
