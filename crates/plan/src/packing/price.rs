//! Pricing: the tree that the master would like best at its present duals, and a bound on how much better any tree could be.

use super::ascent::lower_bound;
use super::heuristic::good_tree;
use super::instance::Instance;
use super::paths::{AllPairs, shortest};
use super::steiner::{MOST_TERMINALS, cheapest_tree};
use super::tree::Edges;

/// What pricing found.
#[derive(Clone, Debug)]
pub(crate) struct Priced {
    /// A tree, the cheapest where `bound` says so.
    pub(crate) tree: Edges,
    /// What it weighs.
    pub(crate) weight: f64,
    /// No tree weighs less.
    pub(crate) bound: f64,
}

/// A cheap tree by `weights` (nodes × nodes): a shortest path for one terminal, the exact Steiner tree for up to
/// [`MOST_TERMINALS`], a local optimum and a dual bound for more. `None` where a terminal cannot be reached.
pub(crate) fn price(instance: &Instance, weights: &[f64]) -> Option<Priced> {
    if let [terminal] = instance.terminals[..] {
        let (weight, tree) = shortest(instance.nodes, weights, instance.source, terminal)?;
        let mut tree = tree;
        tree.sort_unstable();
        return Some(Priced {
            tree,
            weight,
            bound: weight,
        });
    }
    let paths = AllPairs::new(instance.nodes, weights);
    if instance.terminals.len() <= MOST_TERMINALS {
        let (weight, tree) = cheapest_tree(instance, weights, &paths)?;
        return Some(Priced {
            tree,
            weight,
            bound: weight,
        });
    }
    let (weight, tree) = good_tree(instance, weights, &paths)?;
    let bound = lower_bound(instance, weights).min(weight);
    Some(Priced {
        tree,
        weight,
        bound,
    })
}
