//! Prices of stores and of the network between regions, exactly.

use super::csv::{Row, read, rows};
use skyfresh_sky::Invalid;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Price units in a dollar: every list price is a whole number of 1e-10 $.
pub const UNITS_PER_USD: u64 = 10_000_000_000;

/// Dearer is a mistake in the table, in dollars.
const MAX_USD: f64 = 1e6;
/// How far from a whole number of units binary fractions of list prices lie at most (0.09 + 0.01 and the like).
const MAX_NOISE_UNITS: f64 = 1e-3;

/// What one store charges, in units of 1e-10 $. `None`: the table has no such row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StorePrices {
    /// A GB for a month.
    pub(crate) storage: Option<i64>,
    /// A put request.
    pub(crate) put: Option<i64>,
    /// A get request.
    pub(crate) get: Option<i64>,
    /// A GB written, beside the network; 0 where the table has no such row.
    pub(crate) put_transfer: i64,
    /// A GB read, beside the network; 0 where the table has no such row.
    pub(crate) get_transfer: i64,
}

/// A price list: stores by name (`Vendor-Region-Name-Tier`) and the network between regions (`Vendor-Region`).
#[derive(Clone, Debug, Default)]
pub struct Prices {
    /// Region and vendor with each store's prices, by the store's name.
    pub(crate) stores: BTreeMap<String, (String, String, StorePrices)>,
    /// A GB from the first region to the second.
    pub(crate) network: BTreeMap<(String, String), i64>,
    /// Regions that the network table has as a source and as a destination, with their vendors.
    pub(crate) regions: BTreeMap<String, String>,
}

/// A price in dollars as whole units of 1e-10 $.
fn units<const N: usize>(row: &Row<'_, N>, text: &str) -> Result<i64, Invalid> {
    let usd: f64 = text
        .parse()
        .map_err(|_| row.invalid(text, "no number of dollars"))?;
    if !(0.0..=MAX_USD).contains(&usd) {
        return Err(row.invalid(text, "a price is between 0 and 1,000,000 $"));
    }
    let units = usd * UNITS_PER_USD as f64;
    // What a binary fraction of this size can hold grows with it; beyond that the table is finer than prices are.
    if (units - units.round()).abs() > MAX_NOISE_UNITS.max(units * f64::EPSILON) {
        return Err(row.invalid(text, "finer than 1e-10 $, the unit of prices"));
    }
    Ok(units.round() as i64)
}

impl Prices {
    /// Reads `storage_pricing.csv` and `network_cost_v2.csv` of a directory, as published with SkyPIE. An error names the file,
    /// the line and what was expected.
    pub fn read(directory: &Path) -> Result<Self, Invalid> {
        let storage = read(&directory.join("storage_pricing.csv"))?;
        let network = read(&directory.join("network_cost_v2.csv"))?;
        Self::parse(&storage, &network)
    }

    /// From the text of the two tables. Rows of one store and group (volume brackets, variants of a tier) merge by maximum; a
    /// pair of regions by maximum too. Errors as for [`Prices::read`].
    pub fn parse(storage_csv: &str, network_csv: &str) -> Result<Self, Invalid> {
        let mut prices = Prices::default();
        prices.add_network(network_csv)?;
        prices.add_stores(storage_csv)?;
        Ok(prices)
    }

    fn add_network(&mut self, text: &str) -> Result<(), Invalid> {
        let columns = [
            "src_vendor",
            "src_region",
            "dest_vendor",
            "dest_region",
            "cost",
        ];
        let mut sources = BTreeMap::new();
        let mut destinations = BTreeSet::new();
        for row in rows("network_cost_v2.csv", text, columns)? {
            let [from_vendor, from, to_vendor, to, cost] = row.fields;
            let (from, to) = (format!("{from_vendor}-{from}"), format!("{to_vendor}-{to}"));
            let price = units(&row, cost)?;
            sources.insert(from.clone(), from_vendor.to_string());
            destinations.insert(to.clone());
            let entry = self.network.entry((from, to)).or_default();
            *entry = price.max(*entry);
        }
        sources.retain(|region, _| destinations.contains(region));
        self.regions = sources;
        Ok(())
    }

    fn add_stores(&mut self, text: &str) -> Result<(), Invalid> {
        let columns = ["Vendor", "Region", "Name", "Group", "Tier", "PricePerUnit"];
        for row in rows("storage_pricing.csv", text, columns)? {
            let [vendor, region, name, group, tier, price] = row.fields;
            let price = units(&row, price)?;
            let region = format!("{vendor}-{region}");
            let store = format!("{region}-{name}-{tier}");
            let (known, _, prices) = match self.stores.entry(store) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    entry.insert((region.clone(), vendor.to_string(), StorePrices::default()))
                }
            };
            if *known != region {
                return Err(
                    row.invalid(&region, "a store of the same name stands in another region")
                );
            }
            let merged = |old: Option<i64>| Some(old.unwrap_or(0).max(price));
            match group {
                "storage" => prices.storage = merged(prices.storage),
                "put request" => prices.put = merged(prices.put),
                "get request" => prices.get = merged(prices.get),
                "put transfer" => prices.put_transfer = price.max(prices.put_transfer),
                "get transfer" => prices.get_transfer = price.max(prices.get_transfer),
                other => {
                    return Err(row.invalid(
                        other,
                        "groups are storage, put request, get request, put transfer, get transfer",
                    ));
                }
            }
        }
        Ok(())
    }

    /// A GB from one region to another, in 1e-10 $; 0 within a region. `None`: the table has no such pair.
    pub(crate) fn network_units_per_gb(&self, from: &str, to: &str) -> Option<i64> {
        match self.network.get(&(from.to_string(), to.to_string())) {
            None if from == to => Some(0),
            found => found.copied(),
        }
    }
}
