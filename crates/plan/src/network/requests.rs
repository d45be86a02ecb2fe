//! What requests to the regions' object stores cost.

use super::Network;
use skyfresh_sky::catalog::Catalog;
use skyfresh_sky::{Provider, Region};

/// What one request to an object store costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RequestUsd {
    /// A GET (R2: class B), in dollars.
    pub read: f64,
    /// A PUT or UploadPart (R2 and Google Cloud: class A), in dollars.
    pub write: f64,
}

impl Network {
    /// What requests cost in a region, where that is known.
    pub fn request_usd(&self, region: usize) -> Option<RequestUsd> {
        self.requests[region]
    }

    /// This network with the catalogue's prices of requests: for tables that have none.
    #[must_use]
    pub fn with_request_prices(mut self, catalog: &Catalog) -> Self {
        let of = |region: &Region| {
            let prices = catalog.region_prices(&without_zone(region))?;
            Some(RequestUsd {
                read: prices.usd_per_read.usd(),
                write: prices.usd_per_write.usd(),
            })
        };
        self.requests = self.regions.iter().map(of).collect();
        self
    }
}

/// The region of a zone: measured tables name a zone of Google Cloud, such as `us-east1-b`, where the catalogue names its region.
fn without_zone(region: &Region) -> Region {
    let stem = match region.name.rsplit_once('-') {
        Some((stem, zone)) if region.provider == Provider::Gcp && zone.len() == 1 => stem,
        _ => &region.name,
    };
    Region {
        name: stem.to_owned(),
        ..region.clone()
    }
}
