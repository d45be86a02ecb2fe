//! The catalogue's prices as a price list: one store, of the standard class, in each region.

use super::Prices;
use super::prices::StorePrices;
use skyfresh_sky::catalog::Catalog;
use skyfresh_sky::{Invalid, Provider, Region, Usd};

/// A unit of prices, 1e-10 $, in units of [`Usd`], 1e-12 $.
const USD_UNITS: i64 = 100;

/// What the provider calls its object store, and the class that the catalogue has prices of.
fn store_name(provider: Provider) -> &'static str {
    match provider {
        Provider::Aws => "s3-Standard",
        Provider::Azure => "blob-Hot",
        Provider::Gcp => "gcs-Standard",
        Provider::Cloudflare => "r2-Standard",
        Provider::Local => "disk-Local",
    }
}

/// `aws-eu-west-1`, as price tables name what the rest of Skyfresh calls `aws:eu-west-1`.
fn region_name(region: &Region) -> String {
    format!("{}-{}", region.provider.as_str(), region.name)
}

fn units(price: Usd, of: &str) -> Result<i64, Invalid> {
    if price.units() < 0 || price.units() % USD_UNITS != 0 {
        let why = "negative or finer than 1e-10 $, the unit of prices";
        return Err(Invalid::new("catalogue price", of, why));
    }
    Ok(price.units() / USD_UNITS)
}

impl Prices {
    /// The catalogue's prices: storage and requests of the standard class by region, transfer between regions. Regions without
    /// such prices, and this machine, are left out; so are pairs between which no price is known, which a scenario that needs
    /// one then says. Written GBs cost their way to the store, as list prices of internet traffic say: only the sender pays.
    ///
    /// # Errors
    /// A price is no whole number of 1e-10 $: an override can be that fine.
    pub fn from_catalog(catalog: &Catalog) -> Result<Self, Invalid> {
        let mut prices = Prices::default();
        let regions: Vec<Region> = catalog
            .regions()
            .into_iter()
            .filter(|region| region.provider != Provider::Local)
            .collect();
        for region in &regions {
            let Some(known) = catalog.region_prices(region) else {
                continue;
            };
            let name = region_name(region);
            let vendor = region.provider.as_str().to_string();
            let store = StorePrices {
                storage: Some(units(known.usd_per_gb_month, &name)?),
                put: Some(units(known.usd_per_write, &name)?),
                get: Some(units(known.usd_per_read, &name)?),
                ..StorePrices::default()
            };
            let store_name = format!("{name}-{}", store_name(region.provider));
            prices
                .stores
                .insert(store_name, (name.clone(), vendor.clone(), store));
            prices.regions.insert(name, vendor);
        }
        for from in &regions {
            for to in regions.iter().filter(|to| *to != from) {
                let Some(price) = catalog.egress_usd_per_gb(from, to) else {
                    continue;
                };
                let (from, to) = (region_name(from), region_name(to));
                if prices.regions.contains_key(&from) && prices.regions.contains_key(&to) {
                    let price = units(price, &format!("{from} to {to}"))?;
                    prices.network.insert((from, to), price);
                }
            }
        }
        Ok(prices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Requirements, Scenario};

    #[test]
    fn every_region_of_the_catalogue_takes_part_at_its_own_prices() {
        let catalog = Catalog::embedded();
        let prices = Prices::from_catalog(&catalog).expect("whole units");
        let scenario = Scenario::new(&prices, &Requirements::default()).expect("all pairs known");
        assert_eq!(scenario.regions().len(), catalog.regions().len());
        let virginia = scenario.region("aws-us-east-1").expect("listed");
        let ireland = scenario.region("aws-eu-west-1").expect("listed");
        let store = scenario
            .stores()
            .iter()
            .position(|store| store.name == "aws-us-east-1-s3-Standard")
            .expect("listed");
        let egress = scenario.egress[ireland * scenario.stride + store];
        let known = catalog
            .egress_usd_per_gb(
                &"aws:us-east-1".parse().expect("a region"),
                &"aws:eu-west-1".parse().expect("a region"),
            )
            .expect("a price");
        assert_eq!(egress * USD_UNITS, known.units());
        assert_eq!(scenario.egress[virginia * scenario.stride + store], 0);
    }

    #[test]
    fn an_override_finer_than_the_unit_is_refused_by_name() {
        let text = "src,dst,usd_per_gb,throughput_gbps,rtt_ms\naws:us-east-1,aws:eu-west-1,0.000000000001,,\n";
        let catalog = Catalog::embedded().with_overrides(text).expect("a table");
        let refused = Prices::from_catalog(&catalog).expect_err("too fine");
        assert!(refused.given.contains("aws-eu-west-1"), "{refused}");
    }
}
