//! One tree for everything: the cheapest that spans source and destinations, or the cheapest with relays; CloudMPCast's takes only
//! links that are at least α times as fast as the direct way to where they lead.

use super::{Baseline, all_machines};
use crate::overlay::{Draft, Limits};
use crate::packing::{Pricing, Work, price, spanning};

/// Edmonds' arborescence on source and destinations.
pub(super) struct SpanningTree;

impl Baseline for SpanningTree {
    fn draft(&self, limits: &Limits, _work: &mut Work) -> Option<Draft> {
        let instance = &limits.instance;
        let mut members = instance.terminals.clone();
        members.push(instance.source);
        let weights = &instance.usd_per_gb;
        let (_, tree) = spanning(instance.nodes, weights, instance.source, &members)?;
        Some(all_machines(limits, vec![(tree, limits.stripes)], None))
    }
}

/// The Steiner tree over links of a speed.
pub(super) struct Steiner {
    /// A link counts where it is at least this share of the slowest direct link, 0 for all links.
    pub(super) alpha: f64,
}

impl Baseline for Steiner {
    fn draft(&self, limits: &Limits, work: &mut Work) -> Option<Draft> {
        let mut instance = limits.instance.clone();
        let direct = instance.terminals.iter();
        let direct = direct.map(|terminal| instance.rate(instance.source, *terminal));
        let least = self.alpha * direct.fold(f64::INFINITY, f64::min);
        for from in 0..instance.nodes {
            for to in 0..instance.nodes {
                if instance.rate(from, to) < least {
                    instance.forbid(from, to);
                }
            }
        }
        work.priced += 1;
        let tree = price(&instance, &instance.usd_per_gb, Pricing::Proven)?.tree;
        Some(all_machines(limits, vec![(tree, limits.stripes)], None))
    }
}
