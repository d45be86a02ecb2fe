//! The network that overlay plans are made on: what a GB costs and how fast it goes between every two regions, and the machines
//! that can stand in them.
//!
//! In: the catalogue, or the three tables that Skyplane's and Cloudcast's planners read. Out: dense tables by region number.
//! Never: a link that nobody measured or estimated; a price rounded to cents.

mod read;
mod requests;
#[cfg(test)]
mod tests;
mod tiers;

pub use read::read_grid;
pub use requests::RequestUsd;

use skyfresh_sky::catalog::{Catalog, relay_vm};
use skyfresh_sky::{Provider, Region};
use std::collections::BTreeMap;

/// A machine that relays, of the kind that stands in a region.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Machine {
    /// What it can send in all, Gbit/s.
    pub egress_gbps: f64,
    /// What of that it can send over the internet, to regions of other providers, Gbit/s. The same where there is one limit.
    pub internet_egress_gbps: f64,
    /// What it can receive, Gbit/s.
    pub ingress_gbps: f64,
    /// Dollars an hour; billed by the second.
    pub usd_per_hour: f64,
    /// Seconds from the request until it answers.
    pub start_s: f64,
}

/// Regions and the ways between them; a region is known by its number below.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    regions: Vec<Region>,
    numbers: BTreeMap<Region, usize>,
    usd_per_gb: Vec<f64>,
    gbps: Vec<f64>,
    machines: Vec<Option<Machine>>,
    requests: Vec<Option<RequestUsd>>,
    tiers: tiers::Tiers,
}

/// By which addresses machines of one provider reach one another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Addresses {
    /// Public ones: what a machine sends to them is limited alike, wherever they are.
    #[default]
    Public,
    /// Internal ones, in joined networks: what Google Cloud's limit on public addresses does not count. Other providers are
    /// reached by public ones all the same.
    Internal,
}

/// Which price of machines a plan is made with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MachinePrices {
    /// The providers' on-demand prices.
    #[default]
    OnDemand,
    /// The one flat price of the reference planners, $0.54 an hour: for comparisons with them alone.
    Reference,
}

/// What a region without machines can pass on through its object store, Gbit/s: far above what any machine sends.
const STORE_GBPS: f64 = 10_000.0;

impl Network {
    /// Every region of the catalogue, with its prices and links, measured or estimated. Pairs without both figures have no link.
    /// Machines reach one another by public addresses, Google Cloud's over the PREMIUM tier.
    pub fn from_catalog(catalog: &Catalog, prices: MachinePrices) -> Self {
        let regions = catalog.regions();
        let machines = regions.iter().map(|region| {
            let vm = relay_vm(region.provider)?;
            let price = match prices {
                MachinePrices::OnDemand => vm.usd_per_hour,
                MachinePrices::Reference => vm.reference_usd_per_hour,
            };
            Some(Machine {
                egress_gbps: vm.egress_gbps,
                internet_egress_gbps: vm.egress_gbps,
                ingress_gbps: vm.ingress_gbps,
                usd_per_hour: price.usd(),
                start_s: vm.provisioning_s,
            })
        });
        let machines = machines.collect();
        let mut network = Network::empty(regions, machines);
        let count = network.len();
        for from in 0..count {
            for to in (0..count).filter(|to| *to != from) {
                let figures = catalog.figures(&network.regions[from], &network.regions[to]);
                let figures = figures.unwrap_or_default();
                if let (Some(price), Some(gbps)) =
                    (figures.egress_usd_per_gb, figures.throughput_gbps)
                {
                    network.usd_per_gb[from * count + to] = price.value.usd();
                    network.gbps[from * count + to] = gbps.value;
                }
            }
        }
        network.tiers = tiers::Tiers::of(catalog, &network);
        network.with_request_prices(catalog)
    }

    /// This network with the catalogue's machines reaching those of their own provider by such addresses.
    #[must_use]
    pub fn reached_by(mut self, addresses: Addresses) -> Self {
        for (machine, region) in self.machines.iter_mut().zip(&self.regions) {
            if let (Some(machine), Some(vm)) = (machine, relay_vm(region.provider)) {
                machine.egress_gbps = match addresses {
                    Addresses::Public => vm.egress_gbps,
                    Addresses::Internal => vm.internal_egress_gbps,
                };
            }
        }
        self
    }

    fn empty(regions: Vec<Region>, machines: Vec<Option<Machine>>) -> Self {
        let count = regions.len();
        let numbers = regions.iter().cloned().zip(0..).collect();
        Network {
            regions,
            numbers,
            usd_per_gb: vec![0.0; count * count],
            gbps: vec![0.0; count * count],
            machines,
            requests: vec![None; count],
            tiers: tiers::Tiers::default(),
        }
    }

    /// Number of regions.
    pub fn len(&self) -> usize {
        self.regions.len()
    }

    /// Whether it has no region.
    pub fn is_empty(&self) -> bool {
        self.regions.is_empty()
    }

    /// The regions, sorted; their places in it are their numbers.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// A region's number.
    pub fn number(&self, region: &Region) -> Option<usize> {
        self.numbers.get(region).copied()
    }

    /// Dollars a GB (10⁹ bytes) from one region to another.
    pub fn usd_per_gb(&self, from: usize, to: usize) -> f64 {
        self.usd_per_gb[from * self.len() + to]
    }

    /// Gbit/s that one machine of `from` sends one of `to` over 64 connections; 0 where there is no way.
    pub fn gbps(&self, from: usize, to: usize) -> f64 {
        self.gbps[from * self.len() + to]
    }

    /// The machine that stands in a region; a region that has only an object store (R2) passes data on for nothing.
    pub fn machine(&self, region: usize) -> Machine {
        self.machines[region].unwrap_or(Machine {
            egress_gbps: STORE_GBPS,
            internet_egress_gbps: STORE_GBPS,
            ingress_gbps: STORE_GBPS,
            usd_per_hour: 0.0,
            start_s: 0.0,
        })
    }

    /// Whether machines can be had in a region.
    pub fn has_machines(&self, region: usize) -> bool {
        self.machines[region].is_some()
    }

    /// This network with another region in it that sends for `usd_per_gb` and receives at the senders' dearest price, at `gbps`
    /// each way: a cloud with free egress, say, as in Cloudcast's figure 18.
    #[must_use]
    pub fn with_store(&self, region: Region, usd_per_gb: f64, gbps: f64) -> Self {
        let mut regions = self.regions.clone();
        regions.push(region.clone());
        regions.sort();
        regions.dedup();
        let machines = regions.iter().map(|one| {
            let number = self.number(one)?;
            self.machines[number]
        });
        let machines = machines.collect();
        let mut network = Network::empty(regions, machines);
        let requests = network.regions.iter().map(|one| {
            let number = self.number(one)?;
            self.requests[number]
        });
        network.requests = requests.collect();
        let anew = |number: usize| network.numbers[&self.regions[number]];
        network.tiers = self.tiers.renumbered(anew);
        let count = network.len();
        for from in 0..count {
            for to in (0..count).filter(|to| *to != from) {
                let numbers = (
                    self.number(&network.regions[from]),
                    self.number(&network.regions[to]),
                );
                let at = from * count + to;
                (network.usd_per_gb[at], network.gbps[at]) = match numbers {
                    (Some(from), Some(to)) => (self.usd_per_gb(from, to), self.gbps(from, to)),
                    (Some(from), None) => {
                        let prices = (0..self.len()).map(|to| self.usd_per_gb(from, to));
                        (prices.fold(0.0, f64::max), gbps)
                    }
                    _ => (usd_per_gb, gbps),
                };
            }
        }
        network
    }

    /// The regions of one provider, by number.
    pub fn of_provider(&self, provider: Provider) -> Vec<usize> {
        (0..self.len())
            .filter(|number| self.regions[*number].provider == provider)
            .collect()
    }
}
