//! What a placement must keep to, and how many more stores it needs for that.

use super::Latency;
use serde::{Deserialize, Serialize};

/// What a placement must keep to. Patterns are regular expressions that match anywhere in a name.
#[derive(Clone, Debug)]
pub struct Requirements {
    /// Which regions take part, as readers, writers and places of stores: a pattern over `Vendor-Region`.
    pub regions: String,
    /// Which stores of these regions may be chosen: a pattern over `Vendor-Region-Name-Tier`.
    pub stores: String,
    /// The least number of stores, at least 1.
    pub min_replicas: usize,
    /// The greatest number of stores; `None`: any.
    pub max_replicas: Option<usize>,
    /// Latencies, and the seconds within which every region that reads must be able to.
    pub latency: Option<(Latency, f64)>,
    /// Regions (by name) each of which must hold a copy.
    pub required_regions: Vec<String>,
    /// Regions (by name) that must hold none. They may still read and write.
    pub forbidden_regions: Vec<String>,
    /// Vendors each of which must hold a copy.
    pub required_providers: Vec<String>,
    /// Vendors that must hold none.
    pub forbidden_providers: Vec<String>,
    /// The least number of vendors that hold copies.
    pub min_providers: usize,
}

impl Default for Requirements {
    /// All regions and stores, one copy or more, nothing required or forbidden.
    fn default() -> Self {
        Requirements {
            regions: String::new(),
            stores: String::new(),
            min_replicas: 1,
            max_replicas: None,
            latency: None,
            required_regions: Vec::new(),
            forbidden_regions: Vec::new(),
            required_providers: Vec::new(),
            forbidden_providers: Vec::new(),
            min_providers: 1,
        }
    }
}

/// The requirements that a set of stores meets or not, resolved to indices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Groups {
    /// Regions that must hold a copy, with their providers, without repetition.
    pub(crate) regions: Vec<(usize, usize)>,
    /// Providers that must hold a copy, without repetition.
    pub(crate) providers: Vec<usize>,
    /// The least number of providers.
    pub(crate) min_providers: usize,
    /// How many providers there are.
    pub(crate) provider_count: usize,
}

impl Groups {
    /// Whether any set of stores meets them.
    pub(crate) fn is_trivial(&self) -> bool {
        self.regions.is_empty() && self.providers.is_empty() && self.min_providers <= 1
    }

    /// So many stores of any set that meets them are enough to meet them.
    pub(crate) fn witnesses(&self) -> usize {
        match self.is_trivial() {
            true => 0,
            false => self.regions.len() + self.providers.len() + self.min_providers,
        }
    }

    /// The least number of stores that must join `chosen` (regions and providers of stores) to meet all. Exact, as a region has one
    /// provider: each missing region takes a store, which may bring a missing provider; each provider still missing takes one;
    /// then each provider that is short of the least number.
    pub(crate) fn missing(&self, chosen: impl Iterator<Item = (usize, usize)> + Clone) -> usize {
        if self.is_trivial() {
            return 0;
        }
        let mut has = vec![false; self.provider_count];
        chosen
            .clone()
            .for_each(|(_, provider)| has[provider] = true);
        let mut count = 0;
        for &(region, provider) in &self.regions {
            if !chosen.clone().any(|(other, _)| other == region) {
                count += 1;
                has[provider] = true;
            }
        }
        for &provider in &self.providers {
            if !std::mem::replace(&mut has[provider], true) {
                count += 1;
            }
        }
        let providers = has.iter().filter(|has| **has).count();
        count + self.min_providers.saturating_sub(providers)
    }
}
