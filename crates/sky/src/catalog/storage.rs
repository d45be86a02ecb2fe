//! Object stores: what keeping bytes costs, and how many requests a second they take.

use super::table::rows;
use crate::{Invalid, Provider, Usd};
use std::sync::LazyLock;

/// A provider's object store, as `crates/sky/catalog/storage.csv` has it. Request prices are [`super::request_prices`].
#[derive(Clone, Debug, PartialEq)]
pub struct StoragePrice {
    /// The provider.
    pub provider: Provider,
    /// Price of keeping a GB (10⁹ bytes) for a month in the standard class.
    pub usd_per_gb_month: Usd,
    /// Writes a second under one prefix; `None` where no limit is stated.
    pub prefix_writes_per_s: Option<f64>,
    /// Reads a second under one prefix; `None` where no limit is stated.
    pub prefix_reads_per_s: Option<f64>,
    /// Writes a second to one object name; `None` where no limit is stated.
    pub object_writes_per_s: Option<f64>,
    /// Columns of the table that are from memory.
    pub unverified: Vec<String>,
}

const EMBEDDED: &str = include_str!("../../catalog/storage.csv");

static PRICES: LazyLock<Vec<StoragePrice>> = LazyLock::new(|| parse(EMBEDDED).unwrap_or_default());

/// The object store of a provider, where it is listed.
pub fn storage_price(provider: Provider) -> Option<&'static StoragePrice> {
    PRICES.iter().find(|row| row.provider == provider)
}

impl StoragePrice {
    /// What this many GB-months cost, rounded to 1e-12 $.
    pub fn price(&self, gb_months: f64) -> Usd {
        Usd::from_usd(self.usd_per_gb_month.usd() * gb_months)
    }
}

fn parse(csv: &str) -> Result<Vec<StoragePrice>, Invalid> {
    let table = rows("storage price", csv)?;
    table
        .iter()
        .map(|row| {
            Ok(StoragePrice {
                provider: row.parse("provider")?,
                usd_per_gb_month: row.usd("usd_per_gb_month")?,
                prefix_writes_per_s: row.optional("prefix_writes_per_s")?,
                prefix_reads_per_s: row.optional("prefix_reads_per_s")?,
                object_writes_per_s: row.optional("object_writes_per_s")?,
                unverified: row.unverified()?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_table_is_read_whole_and_prices_are_as_by_hand() {
        assert_eq!(parse(EMBEDDED).unwrap().len(), 5);
        let row = |provider| storage_price(provider).unwrap();
        assert_eq!(row(Provider::Aws).price(1000.0), Usd::from_usd(23.0));
        assert_eq!(row(Provider::Azure).price(0.5), Usd::from_usd(0.0104));
        assert_eq!(row(Provider::Cloudflare).price(100.0), Usd::from_usd(1.5));
        assert_eq!(row(Provider::Local).price(1e6), Usd::ZERO);
        assert_eq!(row(Provider::Gcp).object_writes_per_s, Some(1.0));
        assert_eq!(row(Provider::Aws).prefix_writes_per_s, Some(3500.0));
        assert!(parse(&EMBEDDED.replace("gcp,", "gpc,")).is_err());
    }
}
