//! Bullet: every destination gets a part of its own from the source, and the rest from the others.

use super::{Baseline, all_machines};
use crate::overlay::{Draft, Limits};
use crate::packing::{Edges, Work};
use crate::transfer::apportion;

pub(super) struct Bullet;

impl Baseline for Bullet {
    fn draft(&self, limits: &Limits, _work: &mut Work) -> Option<Draft> {
        let instance = &limits.instance;
        let terminals = &instance.terminals;
        let rate = |from: usize, to: usize| {
            instance
                .rate(from, to)
                .min(instance.egress_gbps[from])
                .min(instance.ingress_gbps[to])
        };
        // Parts in proportion to how fast the source reaches each.
        let rates: Vec<f64> = terminals
            .iter()
            .map(|to| rate(instance.source, *to))
            .collect();
        let all: f64 = rates.iter().sum();
        if all <= 0.0 {
            return None;
        }
        let shares: Vec<f64> = rates.iter().map(|rate| rate / all).collect();
        let stripes = apportion(&shares, limits.stripes);
        let mut trees = Vec::new();
        for (first, stripes) in terminals.iter().zip(stripes) {
            let mut tree: Edges = vec![(instance.source, *first)];
            for other in terminals.iter().filter(|other| *other != first) {
                if instance.rate(*first, *other) <= 0.0 {
                    return None;
                }
                tree.push((*first, *other));
            }
            tree.sort_unstable();
            if stripes > 0 {
                trees.push((tree, stripes));
            }
        }
        Some(all_machines(limits, trees, None))
    }
}
