//! Checksums of streams: CRC64NVME for ourselves, others only where a store demands them or states nothing better.

use crate::{ByteStream, Result};
use bytes::Bytes;
use futures::StreamExt;
use md5::Digest as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
        Md5(md5::Md5::digest(bytes).into())
    }
}

impl std::fmt::Display for Md5 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Which checksums to compute beside the CRC64NVME that is always computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// CRC-32C.
    pub crc32c: bool,
    /// MD5.
    pub md5: bool,
}

/// Checksums of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sums {
    /// CRC-64/NVME.
    pub crc64: Crc64,
    /// CRC-32C, where wanted.
    pub crc32c: Option<u32>,
    /// MD5, where wanted.
    pub md5: Option<[u8; 16]>,
}

impl Sums {
    /// Of a payload in memory.
    pub fn of(payload: &[u8], wanted: Wanted) -> Self {
        let mut running = Running::new(wanted);
        running.update(payload);
        running.finish()
    }
}

/// Sums under way, of a payload that comes in chunks.
pub struct Running {
    crc64: crc_fast::Digest,
    crc32c: Option<crc_fast::Digest>,
    md5: Option<md5::Md5>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Running").field(&self.finish()).finish()
    }
}

impl Running {
    /// Of nothing yet.
    pub fn new(wanted: Wanted) -> Self {
        Running {
            crc64: crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme),
            crc32c: wanted
                .crc32c
                .then(|| crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi)),
            md5: wanted.md5.then(md5::Md5::new),
        }
    }

    /// Goes on with these bytes.
    pub fn update(&mut self, payload: &[u8]) {
        self.crc64.update(payload);
        if let Some(crc32c) = &mut self.crc32c {
            crc32c.update(payload);
        }
        if let Some(md5) = &mut self.md5 {
            md5.update(payload);
        }
    }

    /// Of what has come so far.
    pub fn finish(&self) -> Sums {
        Sums {
            crc64: Crc64(self.crc64.finalize()),
            crc32c: self.crc32c.as_ref().map(|crc| crc.finalize() as u32),
            md5: self.md5.clone().map(|md5| md5.finalize().into()),
        }
    }
}

/// Reads the checksums of a stream that [`tee`] passes on, once the stream has ended.
#[derive(Clone)]
pub struct Tally(Arc<Mutex<(Running, u64)>>);

impl std::fmt::Debug for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tally").field(&self.read()).finish()
    }
}

impl Tally {
    fn new(wanted: Wanted) -> Self {
        Tally(Arc::new(Mutex::new((Running::new(wanted), 0))))
    }

    fn state(&self) -> MutexGuard<'_, (Running, u64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, chunk: &Bytes) {
        let mut state = self.state();
        state.0.update(chunk);
        state.1 += chunk.len() as u64;
    }

    /// Checksum and length of what has passed so far.
    pub fn read(&self) -> (Crc64, u64) {
        let state = self.state();
        (state.0.finish().crc64, state.1)
    }

    /// All checksums of what has passed so far.
    pub fn sums(&self) -> Sums {
        self.state().0.finish()
    }
}

/// Passes `body` on unchanged while its CRC64NVME and length are tallied.
pub fn tee(body: ByteStream) -> (ByteStream, Tally) {
    tee_wanting(body, Wanted::default())
}

/// The same with more checksums.
pub fn tee_wanting(body: ByteStream, wanted: Wanted) -> (ByteStream, Tally) {
    let tally = Tally::new(wanted);
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
