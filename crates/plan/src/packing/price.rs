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

/// With this many terminals an exact tree takes no longer than a good one.
pub(super) const FEW_TERMINALS: usize = 6;

/// Whether pricing proves that there is nothing better, or only looks for something good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pricing {
    /// The cheapest tree and a bound: a shortest path for one terminal, the exact Steiner tree for up to [`MOST_TERMINALS`], a
    /// local optimum and a dual bound for more.
    Proven,
    /// A local optimum where there are many terminals; its bound proves nothing.
    Good,
}

/// A cheap tree by `weights` (nodes × nodes). `None` where a terminal cannot be reached.
pub(crate) fn price(instance: &Instance, weights: &[f64], pricing: Pricing) -> Option<Priced> {
    let proven = |(weight, tree)| Priced {
        tree,
        weight,
        bound: weight,
    };
    let terminals = instance.terminals.len();
    if let [terminal] = instance.terminals[..] {
        let (weight, mut tree) = shortest(instance.nodes, weights, instance.source, terminal)?;
        tree.sort_unstable();
        return Some(proven((weight, tree)));
    }
    let paths = AllPairs::new(instance.nodes, weights);
    let exact =
        terminals <= FEW_TERMINALS || (terminals <= MOST_TERMINALS && pricing == Pricing::Proven);
    if exact {
        return cheapest_tree(instance, weights, &paths).map(proven);
    }
    let (weight, tree) = good_tree(instance, weights, &paths)?;
    let bound = match pricing {
        Pricing::Proven => lower_bound(instance, weights).min(weight),
        Pricing::Good => f64::NEG_INFINITY,
    };
    Some(Priced {
        tree,
        weight,
        bound,
    })
}
