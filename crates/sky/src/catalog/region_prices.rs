//! What keeping and asking for objects costs in one region.

use super::{RequestPrices, request_prices, storage_price};
use crate::{Region, Usd};
use serde::Serialize;

/// Prices of the standard class in one region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RegionPrices {
    /// A GB (10⁹ bytes) for a month, first bracket.
    pub usd_per_gb_month: Usd,
    /// One PUT, COPY, POST or LIST.
    pub usd_per_write: Usd,
    /// One GET or HEAD. Deletes are free.
    pub usd_per_read: Usd,
    /// Whether these are the region's own, or those of the provider's first region.
    pub scope: PriceScope,
}

/// Whose prices they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceScope {
    /// The region's own, of `crates/sky/catalog/region_prices.csv`.
    Region,
    /// The provider's, of `storage.csv`: the region has none listed.
    Provider,
    /// The user's own table's.
    Override,
}

pub(super) const HEADER: &str = "region,e10_usd_per_gb_month,e10_usd_per_write,e10_usd_per_read";
/// 1e-10 $ in units of [`Usd`], 1e-12 $.
const UNITS_PER_E10: i64 = 100;
/// No price is above $1,000.
const MOST_E10: i64 = 1_000 * 10_000_000_000;

/// Reads the fields below [`HEADER`].
pub(super) fn read<'a>(
    fields: &[&'a str],
    scope: PriceScope,
) -> Result<(&'a str, RegionPrices), String> {
    let [region, storage, write, read] = fields[..] else {
        return Err(format!("expected {HEADER}"));
    };
    let price = |text: &str| {
        let e10 = text.parse::<i64>().ok();
        let e10 = e10.filter(|e10| (0..=MOST_E10).contains(e10));
        let e10 = e10.ok_or("expected integers of 1e-10 $, 0 or more, at most $1,000")?;
        Ok::<_, &str>(Usd::from_units(e10 * UNITS_PER_E10))
    };
    let prices = RegionPrices {
        usd_per_gb_month: price(storage)?,
        usd_per_write: price(write)?,
        usd_per_read: price(read)?,
        scope,
    };
    Ok((region, prices))
}

/// The provider's own prices.
pub(super) fn of_provider(region: &Region) -> Option<RegionPrices> {
    let RequestPrices { write, read } = request_prices(region.provider);
    Some(RegionPrices {
        usd_per_gb_month: storage_price(region.provider)?.usd_per_gb_month,
        usd_per_write: write,
        usd_per_read: read,
        scope: PriceScope::Provider,
    })
}
