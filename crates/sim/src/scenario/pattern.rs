//! Contents for loads of terabytes: slices of one short pattern, so that an object costs no memory and hardly any time, and two
//! contents still differ.

use bytes::Bytes;
use skyfresh_sky::Rng;

/// Bytes of the pattern. Small enough for a core's cache, where summing it is fastest.
const PATTERN_BYTES: usize = 1 << 20;
/// Bytes of a slice: what a timer is set for at most.
const SLICE_BYTES: usize = 256 << 10;

/// The pattern of one run.
#[derive(Debug)]
pub(crate) struct Pattern(Bytes);

impl Pattern {
    /// Random bytes, decided by the seed.
    pub(crate) fn new(seed: u64) -> Self {
        let draws = Rng::named(seed, "load.pattern");
        let bytes: Vec<u8> = (0..PATTERN_BYTES / 8)
            .flat_map(|_| draws.u64().to_le_bytes())
            .collect();
        Pattern(bytes.into())
    }

    /// The content of number `number`: slices of the pattern that begin at a place of their own.
    pub(crate) fn content(&self, number: u64, bytes: u64) -> Vec<Bytes> {
        // An odd step visits every place before it comes back to the first.
        let mut from = (number.wrapping_mul(7_919) % PATTERN_BYTES as u64) as usize;
        let mut left = bytes;
        let mut slices = Vec::with_capacity((bytes as usize / SLICE_BYTES) + 2);
        while left > 0 {
            let most = SLICE_BYTES.min(PATTERN_BYTES - from) as u64;
            let length = most.min(left) as usize;
            slices.push(self.0.slice(from..from + length));
            from = (from + length) % PATTERN_BYTES;
            left -= length as u64;
        }
        slices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_have_their_size_and_differ() {
        let pattern = Pattern::new(1);
        let joined = |number, bytes| pattern.content(number, bytes).concat();
        for bytes in [0, 1, 1_000, 3_000_000] {
            assert_eq!(joined(1, bytes).len() as u64, bytes);
        }
        assert_ne!(joined(1, 1_000), joined(2, 1_000));
        assert_eq!(joined(5, 1_000), joined(5, 1_000));
    }
}
