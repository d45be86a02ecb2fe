//! Deadline-aware transfer between datacentres: few trees that together carry the volume in time, the least of links used; no
//! prices, no regions besides source and destinations.

use super::{Baseline, all_machines};
use crate::overlay::{Draft, Limits};
use crate::packing::{Aim, Effort, Pool, Work, pack};
use crate::transfer::apportion;

pub(super) struct DeadlineAware;

impl Baseline for DeadlineAware {
    fn draft(&self, limits: &Limits, work: &mut Work) -> Option<Draft> {
        // The same programme with every link at one dollar and machines for nothing is `min Σ x·links, Σ x ≥ volume/time`.
        let mut blind = limits.instance.clone();
        for node in 0..blind.nodes {
            if node != blind.source && !blind.is_terminal(node) {
                blind.forbid_node(node);
            }
        }
        for usd in blind.usd_per_gb.iter_mut().filter(|usd| usd.is_finite()) {
            *usd = 1.0;
        }
        // Not quite nothing: of two packings alike the one that ends sooner.
        blind.machine_usd.iter_mut().for_each(|usd| *usd = 1e-6);
        let effort = Effort {
            most_nodes: 1,
            gap: 1e-3,
        };
        let aim = Aim::Cost {
            longest: limits.longest,
        };
        let packed = pack(&blind, aim, effort, &mut Pool::new(), work)?;
        let shares: Vec<f64> = packed.trees.iter().map(|(_, share)| *share).collect();
        let stripes = apportion(&shares, limits.stripes);
        let trees = packed.trees.into_iter().zip(stripes);
        let trees = trees.map(|((tree, _), stripes)| (tree, stripes)).collect();
        Some(all_machines(limits, trees, Some(shares)))
    }
}
