//! Sizes of objects that are too many to be held: a sample by the hash of their names.
//!
//! Every object is remembered by 64 bits of its name as long as there is room. When there is none, those whose hash does not end in a
//! 0 bit are forgotten, then those that do not end in two, and so on: what is left are all objects whose hash ends in n 0 bits, whose
//! sizes times 2ⁿ estimate the whole without bias (distinct sampling: Gibbons, VLDB 2001). While n is 0 the sum is exact.

use std::collections::HashMap;

/// By hash: which prefix, how large.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    sizes: HashMap<u64, (u32, u64)>,
    /// Entries at most.
    most: usize,
    /// Hashes end in so many 0 bits.
    zeros: u32,
}

impl Sample {
    /// Of at most so many objects, at least 1.
    pub(super) fn new(most: usize) -> Self {
        Sample {
            sizes: HashMap::new(),
            most: most.max(1),
            zeros: 0,
        }
    }

    /// Each object in it stands for 2 to the power of this many.
    pub(super) fn zeros(&self) -> u32 {
        self.zeros
    }

    /// The size of an object of a prefix; `None`: it is not told.
    pub(super) fn note(&mut self, hash: u64, prefix: u32, bytes: Option<u64>) {
        if hash.trailing_zeros() < self.zeros {
            return;
        }
        let entry = self.sizes.entry(hash).or_insert((prefix, 0));
        if let Some(bytes) = bytes {
            entry.1 = bytes;
        }
        while self.sizes.len() > self.most && self.zeros < 63 {
            self.zeros += 1;
            let zeros = self.zeros;
            self.sizes.retain(|hash, _| hash.trailing_zeros() >= zeros);
        }
    }

    /// Objects and bytes of each of so many prefixes, estimated where [`Sample::zeros`] is not 0.
    pub(super) fn totals(&self, prefixes: usize) -> Vec<(u64, u128)> {
        let mut totals = vec![(0u64, 0u128); prefixes];
        for (prefix, bytes) in self.sizes.values() {
            let total = &mut totals[*prefix as usize];
            total.0 = total.0.saturating_add(1 << self.zeros);
            total.1 += u128::from(*bytes) << self.zeros;
        }
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skyfresh_sky::Rng;

    #[test]
    fn sums_are_exact_while_there_is_room_and_near_beyond() {
        let rng = Rng::seeded(8);
        let objects: Vec<(u64, u32, u64)> = (0..40_000)
            .map(|_| (rng.u64(), rng.below(2) as u32, rng.below(1_000_000)))
            .collect();
        let exact = |prefix: u32| -> u128 {
            let of = objects.iter().filter(|(_, other, _)| *other == prefix);
            of.map(|(.., bytes)| u128::from(*bytes)).sum()
        };
        for (most, off) in [(50_000, 0.0), (4_000, 0.1)] {
            let mut sample = Sample::new(most);
            // Seen twice, they count once.
            for (hash, prefix, bytes) in objects.iter().chain(&objects) {
                sample.note(*hash, *prefix, Some(*bytes));
            }
            assert!(sample.sizes.len() <= most);
            assert_eq!(sample.zeros() == 0, off == 0.0);
            for (prefix, (count, bytes)) in sample.totals(2).iter().enumerate() {
                let ratio = *bytes as f64 / exact(prefix as u32) as f64;
                assert!((ratio - 1.0).abs() <= off, "{most}: {ratio}");
                assert!((*count as f64 / 20_000.0 - 1.0).abs() < 0.1, "{count}");
            }
        }
    }
}
