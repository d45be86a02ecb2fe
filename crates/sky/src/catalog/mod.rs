//! The catalogue: what links, requests, functions, state services, storage and machines cost, how fast they are, and
//! what limits them.
//!
//! **In:** CSV text compiled into the binary (or given by the caller).
//! **Out:** prices and figures, each as the source states it; what is from memory is named as `unverified`.
//! **Never:** invents a figure. What is not listed is `None`, and the caller says so.

mod estimate;
mod functions;
pub mod import;
mod link;
pub mod measured;
mod names;
mod notifications;
mod places;
mod region_prices;
mod standard_tier;
mod state;
mod storage;
mod table;
mod tables;
#[cfg(test)]
mod tests;
mod vms;

pub use functions::{FunctionPlatform, function_platform, function_platforms};
pub use link::{Estimates, Figure, Figures, Link, Origin};
pub use notifications::{NotificationPath, notification_path, notification_paths};
pub use places::{Coordinates, Place, PlaceSource};
pub use region_prices::{PriceScope, RegionPrices};
pub use standard_tier::{NetworkTier, StandardTier};
pub use state::{StateService, state_service, state_services};
pub use storage::{StoragePrice, storage_price};
pub use vms::{Vm, relay_vm, vm, vms};

use crate::{Invalid, Provider, Region, Usd};
use std::sync::{Arc, LazyLock};
use tables::Tables;

/// Prices of requests to one provider's object store, per request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestPrices {
    /// PUT, COPY, POST, LIST.
    pub write: Usd,
    /// GET, HEAD and everything else. DELETE and abort are free.
    pub read: Usd,
}

/// Regions, and the prices and links between them. A clone shares the tables.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    tables: Arc<Tables>,
}

const EMBEDDED_REGIONS: &str = include_str!("../../catalog/regions.csv");
const EMBEDDED_LINKS: &str = include_str!("../../catalog/links.csv");
const EMBEDDED_PRICES: &str = include_str!("../../catalog/region_prices.csv");
const EMBEDDED_STANDARD: &str = include_str!("../../catalog/standard_tier.csv");
const EMBEDDED_FITS: &str = include_str!("../../catalog/link_fits.csv");

// Checked by a test; an empty catalogue would only make every price unknown.
static EMBEDDED: LazyLock<Catalog> = LazyLock::new(|| Catalog::read_embedded().unwrap_or_default());

impl Catalog {
    /// The catalogue compiled into this binary, read once. Sources and dates stand in the tables of `crates/sky/catalog`.
    pub fn embedded() -> Self {
        EMBEDDED.clone()
    }

    fn read_embedded() -> Result<Self, Invalid> {
        let tables = Tables::read(
            EMBEDDED_REGIONS,
            EMBEDDED_LINKS,
            EMBEDDED_PRICES,
            EMBEDDED_STANDARD,
            EMBEDDED_FITS,
        )?;
        Ok(Catalog {
            tables: Arc::new(tables),
        })
    }

    /// This catalogue with the user's own figures in place of its own. `text` holds one table or several, each below its header:
    /// `src,dst,usd_per_gb,throughput_gbps,rtt_ms`, `src,dst,standard_usd_per_gb,standard_throughput_gbps` (Google Cloud's STANDARD
    /// tier) and `region,e10_usd_per_gb_month,e10_usd_per_write,e10_usd_per_read`. An empty figure of a link keeps what is known; a
    /// region that is not known is added; `#` starts a comment line.
    ///
    /// # Errors
    /// Names the first line that cannot be read, by its number.
    pub fn with_overrides(&self, text: &str) -> Result<Self, Invalid> {
        let mut tables = Tables::clone(&self.tables);
        tables.take(text, Origin::Override)?;
        Ok(Catalog {
            tables: Arc::new(tables),
        })
    }

    /// What is known of the way between two different regions, figure by figure. `None` where a region is not listed.
    pub fn figures(&self, from: &Region, to: &Region) -> Option<Figures> {
        let (from, to) = (self.tables.number(from)?, self.tables.number(to)?);
        (from != to).then(|| *self.tables.cell(from, to))
    }

    /// The link between two different regions, where all its figures are known. Some may be estimates, and say so.
    pub fn link(&self, from: &Region, to: &Region) -> Option<Link> {
        self.figures(from, to)?.link()
    }

    /// Egress price per GB: zero within a region and from local stores, `None` where nothing is known.
    pub fn egress_usd_per_gb(&self, from: &Region, to: &Region) -> Option<Usd> {
        if from == to || from.provider == Provider::Local {
            return Some(Usd::ZERO);
        }
        let price = self.figures(from, to)?.egress_usd_per_gb?;
        Some(price.value)
    }

    /// What is known of the way from a region of Google Cloud to another provider's over the STANDARD tier. `None` where it is not
    /// listed: there may be none.
    pub fn standard_tier(&self, from: &Region, to: &Region) -> Option<StandardTier> {
        let way = (self.tables.number(from)?, self.tables.number(to)?);
        self.tables.standard(way)
    }

    /// What the object store of a region costs: the region's own prices, else its provider's.
    pub fn region_prices(&self, region: &Region) -> Option<RegionPrices> {
        let own = self.tables.prices(region);
        own.or_else(|| region_prices::of_provider(region))
    }

    /// Every region, sorted.
    pub fn regions(&self) -> Vec<Region> {
        let places = self.tables.places.iter();
        let mut regions: Vec<Region> = places.map(|place| place.region.clone()).collect();
        regions.sort();
        regions
    }

    /// Where regions are, in the table's order, those of the user's own table behind.
    pub fn places(&self) -> &[Place] {
        &self.tables.places
    }

    /// Where a region is, where it is listed.
    pub fn place(&self, region: &Region) -> Option<&Place> {
        Some(&self.tables.places[self.tables.number(region)?])
    }

    /// The great circle between two regions, in km, where both are in one place.
    pub fn distance_km(&self, from: &Region, to: &Region) -> Option<f64> {
        self.place(from)?.distance_km(self.place(to)?)
    }

    /// Regions whose names are most like `text`, the likest first: for whoever mistyped one.
    pub fn nearest_names(&self, text: &str, count: usize) -> Vec<String> {
        names::nearest(text, self.regions().iter().map(ToString::to_string), count)
    }
}

/// Request prices of the standard class: S3, Azure Hot and Google Cloud Storage $5 per million writes, $0.40 per million reads (the
/// providers' price pages, 2026-11: they agree to these two figures); R2 $4.50 and $0.36 (Cloudflare, R2 pricing, read 2026-11; its
/// monthly allowance is not counted). Local stores cost nothing.
pub fn request_prices(provider: Provider) -> RequestPrices {
    let (write, read) = match provider {
        Provider::Aws | Provider::Gcp | Provider::Azure => (5e-6, 4e-7),
        Provider::Cloudflare => (4.5e-6, 3.6e-7),
        Provider::Local => (0.0, 0.0),
    };
    RequestPrices {
        write: Usd::from_usd(write),
        read: Usd::from_usd(read),
    }
}
