//! The `aws-chunked` content coding with a trailing checksum, as bytes around a payload that is never copied.
//!
//! Layout (S3 user guide, "Checking object integrity: Using trailing checksums"; signature documentation of
//! `STREAMING-UNSIGNED-PAYLOAD-TRAILER`):
//! `hex(length) CRLF payload CRLF … 0 CRLF trailer-name:base64 CRLF CRLF`. S3 wants `Content-Length` to be the encoded
//! length, so chunks have a fixed size that does not depend on how the payload arrives.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use std::collections::VecDeque;

/// Payload bytes in every chunk but the last. S3's smallest is 8 KiB; servers that check chunk by chunk buffer one.
const CHUNK_BYTES: u64 = 256 << 10;
const FULL_CHUNK_FIRST: &[u8] = b"40000\r\n";
const FULL_CHUNK_NEXT: &[u8] = b"\r\n40000\r\n";

/// Which checksum goes with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TrailerChecksum {
    /// CRC-64/NVME, 8 bytes big-endian.
    Crc64Nvme,
    /// CRC-32C (Castagnoli), 4 bytes big-endian.
    Crc32c,
}

impl TrailerChecksum {
    /// Its value among a payload's sums; zero where it was not wanted.
    pub(crate) fn of(self, sums: &crate::checksum::Sums) -> u64 {
        match self {
            TrailerChecksum::Crc64Nvme => sums.crc64.0,
            TrailerChecksum::Crc32c => u64::from(sums.crc32c.unwrap_or_default()),
        }
    }

    /// The header or trailer that carries it (S3 API reference, `PutObject`).
    pub(crate) fn header(self) -> &'static str {
        match self {
            TrailerChecksum::Crc64Nvme => "x-amz-checksum-crc64nvme",
            TrailerChecksum::Crc32c => "x-amz-checksum-crc32c",
        }
    }

    fn value_len(self) -> u64 {
        match self {
            TrailerChecksum::Crc64Nvme => 12,
            TrailerChecksum::Crc32c => 8,
        }
    }

    /// The checksum as the header's value.
    pub(crate) fn encode(self, checksum: u64) -> String {
        match self {
            TrailerChecksum::Crc64Nvme => BASE64.encode(checksum.to_be_bytes()),
            TrailerChecksum::Crc32c => BASE64.encode((checksum as u32).to_be_bytes()),
        }
    }
}

/// Encodes one body.
#[derive(Debug)]
pub(crate) struct ChunkedFraming {
    checksum: TrailerChecksum,
    payload_left: u64,
    chunk_left: u64,
    started: bool,
}

impl ChunkedFraming {
    /// For a payload of exactly `size` bytes.
    pub(crate) fn new(checksum: TrailerChecksum, size: u64) -> Self {
        ChunkedFraming {
            checksum,
            payload_left: size,
            chunk_left: 0,
            started: false,
        }
    }

    /// The length of the encoded body: what `Content-Length` must say.
    pub(crate) fn encoded_len(checksum: TrailerChecksum, size: u64) -> u64 {
        let full = size / CHUNK_BYTES;
        let rest = size % CHUNK_BYTES;
        let full_bytes = full * (FULL_CHUNK_FIRST.len() as u64 + CHUNK_BYTES + 2);
        let rest_bytes = if rest == 0 {
            0
        } else {
            hex_digits(rest) + 2 + rest + 2
        };
        let trailer = checksum.header().len() as u64 + 1 + checksum.value_len() + 2;
        full_bytes + rest_bytes + 3 + trailer + 2
    }

    /// Appends `payload` and the framing around it to `out`. Never more in all than the size given at the start.
    pub(crate) fn push(&mut self, mut payload: Bytes, out: &mut VecDeque<Bytes>) {
        while !payload.is_empty() {
            if self.chunk_left == 0 {
                self.chunk_left = self.payload_left.min(CHUNK_BYTES);
                if self.chunk_left == 0 {
                    return;
                }
                out.push_back(self.chunk_head());
            }
            let take = self.chunk_left.min(payload.len() as u64);
            out.push_back(payload.split_to(take as usize));
            self.chunk_left -= take;
            self.payload_left -= take;
        }
    }

    fn chunk_head(&mut self) -> Bytes {
        let next = std::mem::replace(&mut self.started, true);
        match (next, self.chunk_left) {
            (false, CHUNK_BYTES) => Bytes::from_static(FULL_CHUNK_FIRST),
            (true, CHUNK_BYTES) => Bytes::from_static(FULL_CHUNK_NEXT),
            (false, len) => format!("{len:x}\r\n").into(),
            (true, len) => format!("\r\n{len:x}\r\n").into(),
        }
    }

    /// The end of the body with the trailer that proves it.
    pub(crate) fn finish(&self, checksum: u64) -> Bytes {
        let end_of_chunk = if self.started { "\r\n" } else { "" };
        format!(
            "{end_of_chunk}0\r\n{}:{}\r\n\r\n",
            self.checksum.header(),
            self.checksum.encode(checksum)
        )
        .into()
    }
}

fn hex_digits(value: u64) -> u64 {
    u64::from((64 - value.leading_zeros()).div_ceil(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(size: usize, slice: usize) -> Vec<u8> {
        let payload = Bytes::from(vec![b'x'; size]);
        let mut framing = ChunkedFraming::new(TrailerChecksum::Crc64Nvme, size as u64);
        let mut out = VecDeque::new();
        for start in (0..size).step_by(slice.max(1)) {
            framing.push(payload.slice(start..size.min(start + slice)), &mut out);
        }
        out.push_back(framing.finish(0xae8b_1486_0a79_9888));
        out.into_iter().flatten().collect()
    }

    #[test]
    fn small_bodies_byte_for_byte() {
        assert_eq!(
            encode(0, 1),
            b"0\r\nx-amz-checksum-crc64nvme:rosUhgp5mIg=\r\n\r\n"
        );
        assert_eq!(
            encode(11, 4),
            b"b\r\nxxxxxxxxxxx\r\n0\r\nx-amz-checksum-crc64nvme:rosUhgp5mIg=\r\n\r\n"
        );
    }

    #[test]
    fn the_length_is_exact_and_does_not_depend_on_how_the_payload_arrives() {
        let chunk = CHUNK_BYTES as usize;
        for size in [
            0,
            1,
            15,
            16,
            17,
            255,
            256,
            chunk - 1,
            chunk,
            chunk + 1,
            3 * chunk,
            3 * chunk + 4096,
        ] {
            let whole = encode(size, size);
            assert_eq!(
                whole.len() as u64,
                ChunkedFraming::encoded_len(TrailerChecksum::Crc64Nvme, size as u64),
                "{size}"
            );
            for slice in [chunk / 3 + 1, chunk, chunk + 7] {
                assert_eq!(encode(size, slice), whole, "{size} by {slice}");
            }
        }
    }

    #[test]
    fn payload_is_passed_on_not_copied() {
        let payload = Bytes::from(vec![7; 3 * CHUNK_BYTES as usize]);
        let range = payload.as_ptr_range();
        let mut framing = ChunkedFraming::new(TrailerChecksum::Crc32c, payload.len() as u64);
        let mut out = VecDeque::new();
        framing.push(payload.clone(), &mut out);
        let shared: usize = out
            .iter()
            .filter(|part| range.contains(&part.as_ptr()))
            .map(Bytes::len)
            .sum();
        assert_eq!(shared, payload.len());
    }
}
