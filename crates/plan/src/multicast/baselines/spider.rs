//! SPIDER: tree after tree over what bandwidth is left, until the source has none; no prices, no relays.
//!
//! Each tree grows from the source: the next destination is the one that can be reached fastest from any region already in the
//! tree, by what is left of the link and of the sender; the tree's rate is its slowest link's.

use super::{Baseline, all_machines};
use crate::overlay::{Draft, Limits};
use crate::packing::{Edges, Instance, LinkSharing, Work};
use crate::transfer::apportion;

pub(super) struct Spider;

/// Below this, in Gbit/s, a tree is not worth another.
const LEAST_GBPS: f64 = 0.01;
const MOST_TREES: usize = 200;

impl Baseline for Spider {
    fn draft(&self, limits: &Limits, _work: &mut Work) -> Option<Draft> {
        let instance = &limits.instance;
        let mut left = Left::new(instance);
        let mut trees: Vec<(Edges, f64)> = Vec::new();
        while trees.len() < MOST_TREES {
            let Some(tree) = left.grow(instance) else {
                break;
            };
            let rate = left.take(instance, &tree);
            if rate < LEAST_GBPS {
                break;
            }
            match trees.iter_mut().find(|(known, _)| *known == tree) {
                Some((_, sum)) => *sum += rate,
                None => trees.push((tree, rate)),
            }
        }
        let all: f64 = trees.iter().map(|(_, rate)| rate).sum();
        if all <= 0.0 {
            return None;
        }
        let shares: Vec<f64> = trees.iter().map(|(_, rate)| rate / all).collect();
        let stripes = apportion(&shares, limits.stripes);
        let trees = trees.into_iter().zip(stripes);
        let trees = trees.map(|((tree, _), stripes)| (tree, stripes));
        Some(all_machines(limits, trees.collect(), None))
    }
}

/// Gbit/s that are left.
struct Left {
    egress: Vec<f64>,
    ingress: Vec<f64>,
    links: Vec<f64>,
}

impl Left {
    fn new(instance: &Instance) -> Self {
        let times = |caps: &[f64]| -> Vec<f64> {
            let all = caps.iter().zip(&instance.limit);
            all.map(|(cap, limit)| cap * f64::from(*limit)).collect()
        };
        let nodes = instance.nodes;
        let links = (0..nodes * nodes).map(|at| {
            let machines = f64::from(instance.limit[at / nodes]);
            instance.gbps[at] * machines
        });
        Left {
            egress: times(&instance.egress_gbps),
            ingress: times(&instance.ingress_gbps),
            links: links.collect(),
        }
    }

    fn grow(&self, instance: &Instance) -> Option<Edges> {
        let mut inside = vec![instance.source];
        let mut outside = instance.terminals.clone();
        let mut children = vec![0_u32; instance.nodes];
        let mut tree = Edges::new();
        while !outside.is_empty() {
            // Whoever sends to one more child shares what is left of it among them all.
            let rate = |from: usize, to: usize| {
                let share = self.egress[from] / f64::from(children[from] + 1);
                self.links[from * instance.nodes + to]
                    .min(share)
                    .min(self.ingress[to])
            };
            let ways = outside
                .iter()
                .flat_map(|to| inside.iter().map(move |from| (*from, *to)));
            let (from, to) =
                ways.max_by(|a, b| rate(a.0, a.1).total_cmp(&rate(b.0, b.1)).then(b.cmp(a)))?;
            if rate(from, to) < LEAST_GBPS {
                return None;
            }
            children[from] += 1;
            tree.push((from, to));
            inside.push(to);
            outside.retain(|node| *node != to);
        }
        tree.sort_unstable();
        Some(tree)
    }

    /// Takes what the tree's slowest link carries off everything that it uses.
    fn take(&mut self, instance: &Instance, tree: &Edges) -> f64 {
        let nodes = instance.nodes;
        let children = |node: usize| tree.iter().filter(|(from, _)| *from == node).count() as f64;
        let rates = tree.iter().map(|(from, to)| {
            let link = self.links[from * nodes + to];
            link.min(self.egress[*from] / children(*from))
                .min(self.ingress[*to])
        });
        let rate = rates.fold(f64::INFINITY, f64::min);
        for (from, to) in tree {
            self.egress[*from] -= rate;
            self.ingress[*to] -= rate;
            if instance.sharing == LinkSharing::Pairs {
                self.links[from * nodes + to] -= rate;
            }
        }
        rate
    }
}
