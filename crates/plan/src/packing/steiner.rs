//! The cheapest tree, exactly: Dreyfus and Wagner's dynamic programme over sets of terminals.
//!
//! In: weights ≥ 0. Out: the cheapest Steiner arborescence from the source to all terminals. Work: 3^k·n + 2^k·n² for k terminals
//! on n nodes, where the second term is mostly skipped: of the nodes at which two subtrees meet few are undominated.

use super::instance::Instance;
use super::paths::AllPairs;
use super::tree::{Edges, arborescence, weight};

/// As many terminals as this are priced exactly: 3^12·71 additions, some 15 ms.
pub(crate) const MOST_TERMINALS: usize = 12;

struct Programme<'a> {
    nodes: usize,
    paths: &'a AllPairs,
    /// By set and node: the cheapest tree from the node to the set.
    best: Vec<f64>,
    /// By set and node: the cheapest two trees that meet at the node.
    joined: Vec<f64>,
}

/// The cheapest tree by `weights` (nodes × nodes) and what it weighs. `None` where a terminal cannot be reached.
///
/// # Panics
/// Never with at most [`MOST_TERMINALS`] terminals; more need memory that doubles with each.
pub(crate) fn cheapest_tree(
    instance: &Instance,
    weights: &[f64],
    paths: &AllPairs,
) -> Option<(f64, Edges)> {
    let nodes = instance.nodes;
    let terminals = &instance.terminals;
    let sets = 1_usize << terminals.len();
    let mut programme = Programme {
        nodes,
        paths,
        best: vec![f64::INFINITY; sets * nodes],
        joined: vec![f64::INFINITY; sets * nodes],
    };
    for set in 1..sets {
        if set.is_power_of_two() {
            let terminal = terminals[set.trailing_zeros() as usize];
            programme.best[set * nodes..(set + 1) * nodes].copy_from_slice(paths.to(terminal));
        } else {
            programme.join(set);
            programme.close(set);
        }
    }
    let full = sets - 1;
    if !programme.best[full * nodes + instance.source].is_finite() {
        return None;
    }
    let mut edges = Vec::new();
    programme.trace(full, instance.source, terminals, &mut edges);
    let tree = arborescence(instance, &edges, weights)?;
    Some((weight(nodes, &tree, weights), tree))
}

impl Programme<'_> {
    /// Every split of the set into two, the lowest terminal in the first so that each is seen once.
    fn join(&mut self, set: usize) {
        let nodes = self.nodes;
        let lowest = set & set.wrapping_neg();
        let rest = set & !lowest;
        let mut line = vec![f64::INFINITY; nodes];
        // Proper subsets of the rest, the empty one included.
        let mut other = (rest - 1) & rest;
        loop {
            let first = lowest | other;
            let second = set & !first;
            let a = &self.best[first * nodes..(first + 1) * nodes];
            let b = &self.best[second * nodes..(second + 1) * nodes];
            for ((into, a), b) in line.iter_mut().zip(a).zip(b) {
                let sum = a + b;
                if sum < *into {
                    *into = sum;
                }
            }
            if other == 0 {
                break;
            }
            other = (other - 1) & rest;
        }
        self.joined[set * nodes..(set + 1) * nodes].copy_from_slice(&line);
    }

    /// Trees that reach the meeting node by a path first. Distances obey the triangle inequality, so a meeting node that is
    /// reached more cheaply from another than it joins by itself adds nothing.
    fn close(&mut self, set: usize) {
        let nodes = self.nodes;
        let joined = &self.joined[set * nodes..(set + 1) * nodes];
        let mut order: Vec<usize> = (0..nodes)
            .filter(|node| joined[*node].is_finite())
            .collect();
        order.sort_unstable_by(|a, b| joined[*a].total_cmp(&joined[*b]).then(a.cmp(b)));
        let best = &mut self.best[set * nodes..(set + 1) * nodes];
        for meeting in order {
            let at = joined[meeting];
            if best[meeting] <= at {
                continue;
            }
            for (into, way) in best.iter_mut().zip(self.paths.to(meeting)) {
                let sum = way + at;
                if sum < *into {
                    *into = sum;
                }
            }
        }
    }

    fn trace(&self, set: usize, from: usize, terminals: &[usize], edges: &mut Edges) {
        let nodes = self.nodes;
        if set.is_power_of_two() {
            let terminal = terminals[set.trailing_zeros() as usize];
            self.paths.path(from, terminal, edges);
            return;
        }
        let wanted = self.best[set * nodes + from];
        let meets =
            |node: &usize| self.paths.distance(from, *node) + self.joined[set * nodes + node];
        let Some(meeting) = (0..nodes).min_by(|a, b| meets(a).total_cmp(&meets(b))) else {
            return;
        };
        debug_assert!(meets(&meeting) <= wanted + 1e-9);
        self.paths.path(from, meeting, edges);
        let lowest = set & set.wrapping_neg();
        let rest = set & !lowest;
        let cost = |first: usize| {
            self.best[first * nodes + meeting] + self.best[(set & !first) * nodes + meeting]
        };
        let mut split = lowest;
        let mut other = (rest - 1) & rest;
        loop {
            let first = lowest | other;
            if cost(first) < cost(split) {
                split = first;
            }
            if other == 0 {
                break;
            }
            other = (other - 1) & rest;
        }
        self.trace(split, meeting, terminals, edges);
        self.trace(set & !split, meeting, terminals, edges);
    }
}
