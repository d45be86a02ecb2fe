//! Checksums of streams: CRC64NVME for ourselves, others only where a store demands them or states nothing better.

use crate::{ByteStream, Result};
use bytes::Bytes;
use futures::StreamExt;
use std::sync::{Arc, Mutex};

/// CRC-64/NVME of some bytes. Combinable: the checksum of a whole follows from those of its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Crc64(pub u64);

impl Crc64 {
    /// Of no bytes.
    pub const EMPTY: Crc64 = Crc64(0);

    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Crc64(crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, bytes))
    }

    /// The checksum of `self`'s bytes followed by `len` bytes whose checksum is `next`.
    pub fn then(self, next: Crc64, len: u64) -> Self {
        Crc64(crc_fast::checksum_combine(
            crc_fast::CrcAlgorithm::Crc64Nvme,
            self.0,
            next.0,
            len,
        ))
    }
}

impl std::fmt::Display for Crc64 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// CRC-32C (Castagnoli) of some bytes, as GCS keeps for every object. Combinable, like [`Crc64`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Crc32c(pub u32);

impl Crc32c {
    /// Of no bytes.
    pub const EMPTY: Crc32c = Crc32c(0);

    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self::narrow(crc_fast::checksum(
            crc_fast::CrcAlgorithm::Crc32Iscsi,
            bytes,
        ))
    }

    /// The checksum of `self`'s bytes followed by `len` bytes whose checksum is `next`.
    pub fn then(self, next: Crc32c, len: u64) -> Self {
        Self::narrow(crc_fast::checksum_combine(
            crc_fast::CrcAlgorithm::Crc32Iscsi,
            u64::from(self.0),
            u64::from(next.0),
            len,
        ))
    }

    /// `crc_fast` gives every checksum in 64 bits.
    fn narrow(wide: u64) -> Self {
        Crc32c(wide as u32)
    }
}

impl std::fmt::Display for Crc32c {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// MD5 of some bytes: not proof against malice, but what some stores state about whole objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Md5(pub [u8; 16]);

impl Md5 {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use md5::Digest;
        Md5(md5::Md5::digest(bytes).into())
    }
}

impl std::fmt::Display for Md5 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Reads the checksum of a stream that [`tee`] passes on, once the stream has ended.
#[derive(Clone, Debug)]
pub struct Tally(Arc<Mutex<(crc_fast::Digest, u64)>>);

impl Tally {
    fn new() -> Self {
        Tally(Arc::new(Mutex::new((
            crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme),
            0,
        ))))
    }

    fn update(&self, chunk: &Bytes) {
        let mut state = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        state.0.update(chunk);
        state.1 += chunk.len() as u64;
    }

    /// Checksum and length of what has passed so far.
    pub fn read(&self) -> (Crc64, u64) {
        let state = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        (Crc64(state.0.finalize()), state.1)
    }
}

/// Passes `body` on unchanged while its CRC64NVME and length are tallied.
pub fn tee(body: ByteStream) -> (ByteStream, Tally) {
    let tally = Tally::new();
    let inner = tally.clone();
    let stream = body
        .map(move |chunk: Result<Bytes>| chunk.inspect(|chunk| inner.update(chunk)))
        .boxed();
    (stream, tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answer() {
        // The check value of CRC-64/NVME ("123456789"), CRC catalogue.
        assert_eq!(Crc64::of(b"123456789"), Crc64(0xae8b_1486_0a79_9888));
        // The same catalogue's check value of CRC-32/ISCSI, and RFC 1321, A.5.
        assert_eq!(Crc32c::of(b"123456789"), Crc32c(0xe306_9283));
        assert_eq!(
            Md5::of(b"abc").to_string(),
            "900150983cd24fb0d6963f7d28e17f72"
        );
    }

    #[test]
    fn parts_combine_to_the_whole() {
        let whole: Vec<u8> = (0..100_000u32).map(|i| (i * 31 % 251) as u8).collect();
        for cut in [0, 1, 4096, 99_999, 100_000] {
            let (a, b) = whole.split_at(cut);
            assert_eq!(
                Crc64::of(a).then(Crc64::of(b), b.len() as u64),
                Crc64::of(&whole)
            );
            assert_eq!(
                Crc32c::of(a).then(Crc32c::of(b), b.len() as u64),
                Crc32c::of(&whole)
            );
        }
    }

    #[tokio::test]
    async fn a_tee_changes_nothing_and_tallies_all() {
        let (stream, tally) = tee(crate::single_chunk("hello"));
        let chunks: Vec<_> = stream.collect().await;
        assert_eq!(chunks.len(), 1);
        assert_eq!(tally.read(), (Crc64::of(b"hello"), 5));
    }
}
