//! Which group of trees gets which chunks: shares of the bytes, as the planner's stripes say. Pure.

use crate::topology::{Topology, Tree};
use crate::{Chunk, NodeId};
use std::collections::BTreeSet;

/// The group of each tree. Trees over the same regions differ only in machines: they cost the same, so they share one queue and
/// whichever is ready takes the next chunk. Between other trees the plan's shares are kept, because its price depends on them.
pub(super) fn groups(topology: &Topology) -> Vec<usize> {
    let region = |id: &NodeId| {
        topology
            .node(id)
            .map_or("", |node| node.region.as_str())
            .to_owned()
    };
    let regions = |tree: &Tree| -> BTreeSet<(String, String)> {
        let edges = tree.edges.iter();
        edges.map(|(from, to)| (region(from), region(to))).collect()
    };
    let mut known = Vec::new();
    let mut groups = Vec::new();
    for tree in &topology.trees {
        let regions = regions(tree);
        let at = known
            .iter()
            .position(|other| *other == regions)
            .unwrap_or_else(|| {
                known.push(regions);
                known.len() - 1
            });
        groups.push(at);
    }
    groups
}

/// Deals chunks out to groups, so that at every moment each has had its share of the bytes to within a chunk.
#[derive(Clone, Debug)]
pub(super) struct Shares {
    /// Each group's stripes.
    weights: Vec<u64>,
    given: Vec<u128>,
    sent: u128,
}

impl Shares {
    /// `weights`: each group's stripes.
    pub(super) fn new(weights: Vec<u64>) -> Self {
        Shares {
            given: vec![0; weights.len()],
            weights,
            sent: 0,
        }
    }

    /// The group of the next chunk, which has `length` bytes.
    pub(super) fn next(&mut self, length: u32) -> usize {
        let (weights, given) = (&self.weights, &mut self.given);
        let total = weights.iter().map(|weight| u128::from(*weight));
        let total = total.sum::<u128>().max(1);
        let length = u128::from(length.max(1));
        self.sent += length;
        // Whoever is furthest behind its share of what will have been given, in units of bytes × total weight.
        let behind = |at: &usize| {
            (self.sent * u128::from(weights[*at])) as i128 - (given[*at] * total) as i128
        };
        let at = (0..weights.len())
            .filter(|at| weights[*at] > 0)
            .max_by_key(|at| (behind(at), std::cmp::Reverse(*at)))
            .unwrap_or(0);
        if let Some(given) = given.get_mut(at) {
            *given += length;
        }
        at
    }
}

/// The group that each chunk belongs to. `weights`: each group's stripes.
pub fn shares(chunks: &[Chunk], weights: &[u64]) -> Vec<usize> {
    let mut shares = Shares::new(weights.to_vec());
    let lengths = chunks.iter().map(|chunk| chunk.length);
    lengths.map(|length| shares.next(length)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(count: u64) -> Vec<Chunk> {
        (0..count)
            .map(|id| Chunk {
                id,
                object: 0,
                key: "k".into(),
                version: "v".into(),
                offset: id * 10,
                length: 10,
                checksum: None,
                notes: Vec::new(),
            })
            .collect()
    }

    #[test]
    fn every_prefix_has_its_shares_to_within_a_chunk() {
        let given = shares(&chunks(1_000), &[1, 2, 5]);
        let mut counts = [0f64; 3];
        for (at, group) in given.iter().enumerate() {
            counts[*group] += 1.0;
            for (count, weight) in counts.iter().zip([1.0, 2.0, 5.0]) {
                let due = (at + 1) as f64 * weight / 8.0;
                assert!((count - due).abs() <= 1.0, "{counts:?} after {}", at + 1);
            }
        }
    }

    #[test]
    fn one_group_gets_everything() {
        assert_eq!(shares(&chunks(3), &[4]), [0, 0, 0]);
    }
}
