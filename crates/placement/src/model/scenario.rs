//! The tables a query is answered from: regions and stores that take part, in the order of their names.

use super::columns::Columns;
use super::{Groups, Prices, Requirements};
use regex_lite::Regex;
use serde::{Deserialize, Serialize};
use skyfresh_sky::Invalid;
use std::collections::BTreeMap;

/// Rows of the tables are padded to a multiple of this many stores, so that loops over them need no remainder.
pub(super) const LANES: usize = 8;
/// More stores or regions are a mistake in a pattern or a table.
pub(super) const MAX_STORES: usize = 10_000;
pub(super) const MAX_REGIONS: usize = 1_000;

/// A store that takes part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    /// `Vendor-Region-Name-Tier`.
    pub name: String,
    /// Index of its region in [`Scenario::regions`].
    pub region: usize,
    /// Number of its vendor.
    pub(crate) provider: usize,
    /// Whether copies may be put there.
    pub(crate) allowed: bool,
    /// 1e-10 $ a GB and month, a put request, a get request.
    pub(crate) storage: i64,
    pub(crate) put: i64,
    pub(crate) get: i64,
}

/// Prices and requirements as tables. Region-major: row `r` holds one entry for each store, in the order of their names.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub(crate) regions: Vec<String>,
    pub(super) by_region: BTreeMap<String, usize>,
    pub(crate) stores: Vec<Store>,
    /// Entries in a row, padding included.
    pub(crate) stride: usize,
    /// A GB written by a region to a store, in 1e-10 $: [region][store].
    pub(crate) ingress: Vec<i64>,
    /// A GB read by a region from a store, in 1e-10 $: [region][store].
    pub(crate) egress: Vec<i64>,
    /// Whether a region may read from a store: [region][store]. Empty: always.
    pub(crate) admissible: Vec<bool>,
    /// Least and greatest number of stores, the latter at most how many are allowed.
    pub(crate) replicas: (usize, usize),
    pub(crate) groups: Groups,
    /// The prices of stores that are allowed, as the search reads them.
    pub(crate) columns: Columns,
    /// The SLO in seconds, for messages.
    pub(crate) slo_seconds: Option<f64>,
}

fn pattern(what: &'static str, text: &str) -> Result<Regex, Invalid> {
    Regex::new(text)
        .map_err(|error| Invalid::new(what, text, format!("no regular expression: {error}")))
}

impl Scenario {
    /// The tables of `prices` under `requirements`. An error names what cannot be met, or is not known, and by what.
    pub fn new(prices: &Prices, requirements: &Requirements) -> Result<Self, Invalid> {
        let region_pattern = pattern("pattern of regions", &requirements.regions)?;
        let store_pattern = pattern("pattern of stores", &requirements.stores)?;
        let chosen: Vec<(&String, &String)> = prices
            .regions
            .iter()
            .filter(|(region, _)| region_pattern.is_match(region))
            .collect();
        if chosen.is_empty() {
            return Err(Invalid::new(
                "pattern of regions",
                &requirements.regions,
                "matches no region of the price tables",
            ));
        }
        let by_region: BTreeMap<String, usize> = chosen
            .iter()
            .enumerate()
            .map(|(at, (region, _))| ((*region).clone(), at))
            .collect();
        let mut providers: Vec<&String> = chosen.iter().map(|(_, provider)| *provider).collect();
        providers.sort();
        providers.dedup();
        let vendors: Vec<usize> = chosen
            .iter()
            .map(|(_, vendor)| providers.partition_point(|other| *other < *vendor))
            .collect();
        let limits = Limited::new(requirements, &by_region, &providers, &vendors)?;
        let mut stores = Vec::new();
        let mut transfer = Vec::new();
        for (name, (region, vendor, price)) in &prices.stores {
            let (Some(&region), Ok(provider)) =
                (by_region.get(region), providers.binary_search(&vendor))
            else {
                continue;
            };
            if !store_pattern.is_match(name) {
                continue;
            }
            let known = |price: Option<i64>, group: &str| {
                price.ok_or_else(|| {
                    Invalid::new(
                        "store",
                        name,
                        format!("the price table has no row for its {group}"),
                    )
                })
            };
            stores.push(Store {
                name: name.clone(),
                region,
                provider,
                allowed: limits.allows(region, provider),
                storage: known(price.storage, "storage")?,
                put: known(price.put, "put request")?,
                get: known(price.get, "get request")?,
            });
            transfer.push((price.put_transfer, price.get_transfer));
        }
        if stores.is_empty() {
            return Err(Invalid::new(
                "pattern of stores",
                &requirements.stores,
                "matches no store of the regions chosen",
            ));
        }
        if stores.len() > MAX_STORES || by_region.len() > MAX_REGIONS {
            let given = format!("{} stores, {} regions", stores.len(), by_region.len());
            return Err(Invalid::new(
                "scenario",
                given,
                "at most 10,000 stores and 1,000 regions: narrow the patterns",
            ));
        }
        let regions: Vec<String> = by_region.keys().cloned().collect();
        let stride = stores.len().next_multiple_of(LANES);
        let mut scenario = Scenario {
            ingress: vec![0; regions.len() * stride],
            egress: vec![0; regions.len() * stride],
            admissible: Vec::new(),
            replicas: (
                requirements.min_replicas,
                requirements.max_replicas.unwrap_or(usize::MAX),
            ),
            groups: limits.groups,
            columns: Columns::default(),
            slo_seconds: requirements.latency.as_ref().map(|(_, slo)| *slo),
            regions,
            by_region,
            stores,
            stride,
        };
        scenario.fill(prices, &transfer)?;
        scenario.mark_admissible(requirements)?;
        scenario.check_replicas()?;
        scenario.columns = Columns::new(&scenario);
        Ok(scenario)
    }

    fn fill(&mut self, prices: &Prices, transfer: &[(i64, i64)]) -> Result<(), Invalid> {
        for (row, region) in self.regions.iter().enumerate() {
            for (column, store) in self.stores.iter().enumerate() {
                let home = &self.regions[store.region];
                let network = |from: &str, to: &str| {
                    prices.network_units_per_gb(from, to).ok_or_else(|| {
                        Invalid::new(
                            "network price",
                            format!("{from} to {to}"),
                            "the prices have no such pair (network_cost_v2.csv of price tables): add it, or narrow the regions",
                        )
                    })
                };
                let at = row * self.stride + column;
                self.ingress[at] = network(region, home)? + transfer[column].0;
                self.egress[at] = network(home, region)? + transfer[column].1;
            }
        }
        Ok(())
    }

    fn mark_admissible(&mut self, requirements: &Requirements) -> Result<(), Invalid> {
        let Some((latency, slo_seconds)) = &requirements.latency else {
            return Ok(());
        };
        if !(slo_seconds.is_finite() && *slo_seconds > 0.0) {
            return Err(Invalid::new(
                "latency SLO",
                slo_seconds.to_string(),
                "seconds above 0 are expected",
            ));
        }
        self.admissible = vec![false; self.regions.len() * self.stride];
        for (row, region) in self.regions.iter().enumerate() {
            for (column, store) in self.stores.iter().enumerate() {
                self.admissible[row * self.stride + column] =
                    latency.meets(&self.regions[store.region], region, *slo_seconds);
            }
        }
        Ok(())
    }

    /// That the number of replicas can be had at all, whatever the object.
    fn check_replicas(&mut self) -> Result<(), Invalid> {
        let allowed = || self.stores.iter().filter(|store| store.allowed);
        let (min, max) = self.replicas;
        let invalid = |why: String| {
            let max = if max == usize::MAX {
                String::new()
            } else {
                max.to_string()
            };
            Err(Invalid::new("replicas", format!("{min}..{max}"), why))
        };
        if min == 0 || min > max {
            return invalid("at least one replica, and no more at least than at most".into());
        }
        let count = allowed().count();
        if count < min {
            return invalid(format!("only {count} stores are chosen and not forbidden"));
        }
        for (region, _) in &self.groups.regions {
            if !allowed().any(|store| store.region == *region) {
                let name = &self.regions[*region];
                return Err(Invalid::new(
                    "required region",
                    name,
                    "none of its stores is chosen and not forbidden",
                ));
            }
        }
        let offered: std::collections::BTreeSet<usize> =
            allowed().map(|store| store.provider).collect();
        if self
            .groups
            .providers
            .iter()
            .any(|provider| !offered.contains(provider))
        {
            return invalid(
                "a required provider has no store that is chosen and not forbidden".into(),
            );
        }
        if offered.len() < self.groups.min_providers {
            return invalid(format!(
                "{} providers at least, but stores of {} are chosen and not forbidden",
                self.groups.min_providers,
                offered.len()
            ));
        }
        let needed = self.groups.missing(std::iter::empty());
        if needed > max.min(count) {
            return invalid(format!(
                "required regions and providers need {needed} stores"
            ));
        }
        self.replicas = (min, max.min(count));
        Ok(())
    }

    /// Names of the regions that take part, sorted.
    pub fn regions(&self) -> &[String] {
        &self.regions
    }

    /// Stores that take part, sorted by name.
    pub fn stores(&self) -> &[Store] {
        &self.stores
    }

    /// The index of a region's name.
    pub fn region(&self, name: &str) -> Option<usize> {
        self.by_region.get(name).copied()
    }

    /// Whether a region may read from a store.
    pub(crate) fn is_admissible(&self, region: usize, store: usize) -> bool {
        self.admissible
            .get(region * self.stride + store)
            .copied()
            .unwrap_or(true)
    }

    /// How many stores a set lacks to meet the requirements on regions and providers.
    pub(crate) fn missing(&self, chosen: &[u32]) -> usize {
        self.groups.missing(chosen.iter().map(|&store| {
            let store = &self.stores[store as usize];
            (store.region, store.provider)
        }))
    }
}

/// Requirements by name, as indices.
struct Limited {
    forbidden_regions: Vec<usize>,
    forbidden_providers: Vec<usize>,
    groups: Groups,
}

impl Limited {
    fn new(
        requirements: &Requirements,
        regions: &BTreeMap<String, usize>,
        providers: &[&String],
        vendors: &[usize],
    ) -> Result<Self, Invalid> {
        let find_regions = |names: &[String]| {
            let mut found = names
                .iter()
                .map(|name| regions.get(name).copied().ok_or_else(|| Invalid::new("region", name, "not among the regions chosen; names are Vendor-Region, e.g. aws-eu-west-1")))
                .collect::<Result<Vec<_>, _>>()?;
            found.sort_unstable();
            found.dedup();
            Ok::<_, Invalid>(found)
        };
        let find_providers = |names: &[String]| {
            let mut found = names
                .iter()
                .map(|name| {
                    providers.binary_search(&name).map_err(|_| {
                        Invalid::new(
                            "provider",
                            name,
                            "not among the vendors of the regions chosen",
                        )
                    })
                })
                .collect::<Result<Vec<_>, _>>()?;
            found.sort_unstable();
            found.dedup();
            Ok::<_, Invalid>(found)
        };
        Ok(Limited {
            forbidden_regions: find_regions(&requirements.forbidden_regions)?,
            forbidden_providers: find_providers(&requirements.forbidden_providers)?,
            groups: Groups {
                regions: find_regions(&requirements.required_regions)?
                    .into_iter()
                    .map(|region| (region, vendors[region]))
                    .collect(),
                providers: find_providers(&requirements.required_providers)?,
                min_providers: requirements.min_providers,
                provider_count: providers.len(),
            },
        })
    }

    fn allows(&self, region: usize, provider: usize) -> bool {
        !self.forbidden_regions.contains(&region) && !self.forbidden_providers.contains(&provider)
    }
}
