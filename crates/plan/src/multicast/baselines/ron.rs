//! RON's choice of paths (SOSP 2001) as Skyplane compares with it: for each destination the one relay whose slower half is the
//! fastest; no prices, no machines' limits.

use super::{Baseline, all_machines};
use crate::overlay::{Draft, Limits};
use crate::packing::{Edges, Work, arborescence};

pub(super) struct Ron;

impl Baseline for Ron {
    fn draft(&self, limits: &Limits, _work: &mut Work) -> Option<Draft> {
        let instance = &limits.instance;
        let mut edges = Edges::new();
        for terminal in &instance.terminals {
            let direct = instance.rate(instance.source, *terminal);
            let through = |relay: usize| {
                let first = instance.rate(instance.source, relay);
                first.min(instance.rate(relay, *terminal))
            };
            let relay = (0..instance.nodes)
                .max_by(|a, b| through(*a).total_cmp(&through(*b)).then(b.cmp(a)))
                .filter(|relay| through(*relay) > direct);
            match relay {
                Some(relay) => edges.extend([(instance.source, relay), (relay, *terminal)]),
                None if direct > 0.0 => edges.push((instance.source, *terminal)),
                None => return None,
            }
        }
        edges.sort_unstable();
        edges.dedup();
        let tree = arborescence(instance, &edges, &instance.usd_per_gb)?;
        Some(all_machines(limits, vec![(tree, limits.stripes)], None))
    }
}
