//! The catalogue: what links, requests, functions, state services, storage and machines cost, how fast they are, and
//! what limits them.
//!
//! **In:** CSV text compiled into the binary (or given by the caller).
//! **Out:** prices and figures, each as the source states it; what is from memory is named as `unverified`.
//! **Never:** invents a figure. What is not listed is `None`, and the caller says so.

mod functions;
mod notifications;
mod state;
mod storage;
mod table;
mod vms;

pub use functions::{FunctionPlatform, function_platform, function_platforms};
pub use notifications::{NotificationPath, notification_path, notification_paths};
pub use state::{StateService, state_service, state_services};
pub use storage::{StoragePrice, storage_price};
pub use vms::{Vm, relay_vm, vm, vms};

use crate::{Invalid, Provider, Region, Usd};
use std::collections::HashMap;

/// What is known of the way from one region to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// Egress price per GB (10⁹ bytes), list price of the first 10 TB a month.
    pub egress_usd_per_gb: Usd,
    /// Goodput of one VM pair over 64 connections, in Gbit/s.
    pub throughput_gbps: f64,
    /// Mean round-trip time in milliseconds.
    pub rtt_ms: f64,
}

/// Prices of requests to one provider's object store, per request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestPrices {
    /// PUT, COPY, POST, LIST.
    pub write: Usd,
    /// GET, HEAD and everything else. DELETE and abort are free.
    pub read: Usd,
}

/// The prices and links of the regions it lists.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    links: HashMap<(Region, Region), Link>,
}

const EMBEDDED_LINKS: &str = include_str!("../../catalog/links.csv");

impl Catalog {
    /// The catalogue compiled into this binary. Sources and dates stand in `crates/sky/catalog/links.csv`.
    pub fn embedded() -> Self {
        // Checked by a test below; an empty catalogue would only make every price unknown.
        Self::parse(EMBEDDED_LINKS).unwrap_or_default()
    }

    /// Reads `src,dst,usd_per_gb,throughput_gbps,rtt_ms` lines; `#` starts a comment.
    ///
    /// # Errors
    /// Names the first line that cannot be read.
    pub fn parse(csv: &str) -> Result<Self, Invalid> {
        let mut links = HashMap::new();
        let lines = csv
            .lines()
            .filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        for line in lines.skip(1) {
            let bad = || {
                Invalid::new(
                    "catalogue line",
                    line,
                    "expected src,dst,usd_per_gb,throughput_gbps,rtt_ms",
                )
            };
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            let [src, dst, price, gbps, rtt] = fields[..] else {
                return Err(bad());
            };
            let number = |text: &str| {
                text.parse::<f64>()
                    .ok()
                    .filter(|n| n.is_finite() && *n >= 0.0)
                    .ok_or_else(bad)
            };
            let link = Link {
                egress_usd_per_gb: Usd::from_usd(number(price)?),
                throughput_gbps: number(gbps)?,
                rtt_ms: number(rtt)?,
            };
            links.insert((src.parse()?, dst.parse()?), link);
        }
        Ok(Catalog { links })
    }

    /// The link between two different regions, where it is listed.
    pub fn link(&self, from: &Region, to: &Region) -> Option<Link> {
        self.links.get(&(from.clone(), to.clone())).copied()
    }

    /// Egress price per GB: zero within a region and from local stores, `None` where the pair is not listed.
    pub fn egress_usd_per_gb(&self, from: &Region, to: &Region) -> Option<Usd> {
        if from == to || from.provider == Provider::Local {
            return Some(Usd::ZERO);
        }
        self.link(from, to).map(|link| link.egress_usd_per_gb)
    }

    /// Every region that some link names, sorted.
    pub fn regions(&self) -> Vec<Region> {
        let mut regions: Vec<Region> = self
            .links
            .keys()
            .flat_map(|(src, dst)| [src.clone(), dst.clone()])
            .collect();
        regions.sort();
        regions.dedup();
        regions
    }
}

/// Request prices of S3 Standard, Azure Hot and Google Cloud Storage: $5 per million writes, $0.40 per million reads
/// (the providers' price pages, 2026-11: they agree to these two figures). Local stores cost nothing.
pub fn request_prices(provider: Provider) -> RequestPrices {
    match provider {
        Provider::Aws | Provider::Gcp | Provider::Azure => RequestPrices {
            write: Usd::from_usd(5e-6),
            read: Usd::from_usd(4e-7),
        },
        Provider::Local => RequestPrices {
            write: Usd::ZERO,
            read: Usd::ZERO,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(name: &str) -> Region {
        name.parse().unwrap()
    }

    #[test]
    fn the_embedded_catalogue_is_complete_for_its_regions() {
        let catalog = Catalog::parse(EMBEDDED_LINKS).unwrap();
        let regions = catalog.regions();
        assert_eq!(regions.len(), 9);
        for from in &regions {
            for to in regions.iter().filter(|to| *to != from) {
                let link = catalog
                    .link(from, to)
                    .unwrap_or_else(|| panic!("{from} -> {to}"));
                assert!(
                    link.throughput_gbps > 0.1 && link.rtt_ms > 0.1,
                    "{from} -> {to}: {link:?}"
                );
            }
        }
        assert_eq!(
            catalog.egress_usd_per_gb(&region("aws:us-east-1"), &region("azure:eastus")),
            Some(Usd::from_usd(0.09))
        );
        assert_eq!(
            catalog.egress_usd_per_gb(&region("aws:us-east-1"), &region("aws:us-east-1")),
            Some(Usd::ZERO)
        );
        assert_eq!(
            catalog.egress_usd_per_gb(&region("aws:us-east-1"), &region("aws:mars-1")),
            None
        );
    }

    #[test]
    fn a_bad_line_is_named() {
        let error = Catalog::parse("src,dst,usd_per_gb,throughput_gbps,rtt_ms\naws:a,aws:b,1,2\n")
            .unwrap_err();
        assert!(error.to_string().contains("aws:a,aws:b,1,2"), "{error}");
    }
}
