//! Google Cloud's network tiers: which one a link goes by, and the same network with traffic to other providers on STANDARD.

use super::Network;
use skyfresh_sky::Invalid;
use skyfresh_sky::catalog::{Catalog, NetworkTier};
use std::collections::{BTreeMap, BTreeSet};

/// Links over the STANDARD tier, by the numbers of their regions.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tiers {
    /// Dollars a GB, and Gbit/s where that is known.
    offered: BTreeMap<(usize, usize), (f64, Option<f64>)>,
    /// Those that go by it in this network.
    taken: BTreeSet<(usize, usize)>,
    /// Whether links without a tier stated here go by PREMIUM: else nobody knows.
    known: bool,
}

impl Tiers {
    /// What the catalogue lists; everything goes by PREMIUM.
    pub(super) fn of(catalog: &Catalog, network: &Network) -> Self {
        let regions = || network.regions.iter().zip(0..);
        let mut offered = BTreeMap::new();
        for (from, at) in regions() {
            for (to, other) in regions().filter(|(to, _)| NetworkTier::applies(from, to)) {
                let listed = catalog.standard_tier(from, to);
                if let Some(listed) = listed
                    && let Some(price) = listed.egress_usd_per_gb
                {
                    let gbps = listed.throughput_gbps.map(|gbps| gbps.value);
                    offered.insert((at, other), (price.value.usd(), gbps));
                }
            }
        }
        Tiers {
            offered,
            taken: BTreeSet::new(),
            known: true,
        }
    }

    /// The same with regions numbered anew.
    pub(super) fn renumbered(&self, number: impl Fn(usize) -> usize) -> Self {
        let anew = |(from, to): (usize, usize)| (number(from), number(to));
        Tiers {
            offered: self
                .offered
                .iter()
                .map(|(way, figures)| (anew(*way), *figures))
                .collect(),
            taken: self.taken.iter().map(|way| anew(*way)).collect(),
            known: self.known,
        }
    }
}

impl Network {
    /// The tier that a link goes by: between a region of Google Cloud and another provider's. `None` for other links, and where the
    /// network's tables do not say.
    pub fn tier(&self, from: usize, to: usize) -> Option<NetworkTier> {
        let applies = NetworkTier::applies(&self.regions[from], &self.regions[to]);
        if !applies || !self.tiers.known {
            return None;
        }
        Some(match self.tiers.taken.contains(&(from, to)) {
            true => NetworkTier::Standard,
            false => NetworkTier::Premium,
        })
    }

    /// This network with every link that can go by the STANDARD tier on it, at that tier's price and throughput. Where nobody
    /// measured it, it carries `share_of_premium` of what PREMIUM does, if that is stated; else the link stays on PREMIUM, as it
    /// does where a region has no STANDARD tier.
    ///
    /// # Errors
    /// A share that is not above zero, or no link that could go by it.
    pub fn on_standard_tier(&self, share_of_premium: Option<f64>) -> Result<Self, Invalid> {
        if let Some(share) = share_of_premium
            && !(share.is_finite() && share > 0.0 && share <= 10.0)
        {
            let why = "must be above zero, and no more than 10";
            return Err(Invalid::new("standard share", share.to_string(), why));
        }
        let mut network = self.clone();
        let count = self.len();
        for ((from, to), (usd_per_gb, measured)) in &self.tiers.offered {
            let premium = self.gbps(*from, *to);
            let gbps = measured.or(share_of_premium.map(|share| share * premium));
            if let Some(gbps) = gbps.filter(|gbps| *gbps > 0.0) {
                network.usd_per_gb[from * count + to] = *usd_per_gb;
                network.gbps[from * count + to] = gbps;
                network.tiers.taken.insert((*from, *to));
            }
        }
        if network.tiers.taken.is_empty() {
            let why = "the network has no link of Google Cloud over it: the catalogue has, and your own figures can have some";
            return Err(Invalid::new("tier", "standard", why));
        }
        Ok(network)
    }
}
