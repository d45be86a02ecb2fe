//! Prices and what placements must keep to, as the command line says them.

use crate::catalog_file;
use crate::exit::{Exit, Told};
use skyfresh_placement::{Latency, Prices, Requirements, Scenario};
use skyfresh_sky::Invalid;
use std::path::PathBuf;

/// What there is to choose from.
#[derive(Debug, clap::Args)]
pub(super) struct Asked {
    /// Price tables in SkyPIE's format, storage_pricing.csv and network_cost_v2.csv, instead of the catalogue
    #[arg(long, value_name = "DIR")]
    prices: Option<PathBuf>,
    /// Your own figures, before the catalogue's
    #[arg(long, value_name = "FILE", conflicts_with = "prices")]
    overrides: Option<PathBuf>,
    /// Regions that read, write and may hold copies: all whose name (provider-region) this matches, anywhere in it
    #[arg(long, value_name = "REGEX", default_value = "")]
    regions: String,
    /// Stores that may hold copies: all of these regions whose name (provider-region-service-tier) this matches
    #[arg(long, value_name = "REGEX", default_value = "")]
    stores: String,
    /// How many copies: `2` exactly, `2..5` at least and at most, `2..` at least
    #[arg(long, value_name = "A..B", default_value = "1..", value_parser = parse_replicas)]
    replicas: (usize, Option<usize>),
    /// Measured seconds of a read, `src_vendor,src_region,dest_vendor,dest_region,latency`
    #[arg(long, value_name = "FILE", requires = "slo_seconds")]
    latency: Option<PathBuf>,
    /// Every region that reads must be able to within these seconds
    #[arg(long, value_name = "X", requires = "latency")]
    slo_seconds: Option<f64>,
    /// At least this share of each region's reads, in percent: the latency table then has a column `percentile` too
    #[arg(long, value_name = "P", requires = "slo_seconds")]
    slo_percentile: Option<f64>,
    /// A region that must hold a copy; may be given again
    #[arg(long, value_name = "REGION")]
    require_region: Vec<String>,
    /// A region that must hold none (it still reads and writes); may be given again
    #[arg(long, value_name = "REGION")]
    forbid_region: Vec<String>,
    /// A provider that must hold a copy; may be given again
    #[arg(long, value_name = "PROVIDER")]
    require_provider: Vec<String>,
    /// A provider that must hold none; may be given again
    #[arg(long, value_name = "PROVIDER")]
    forbid_provider: Vec<String>,
    /// The least number of providers that hold copies
    #[arg(long, value_name = "N", default_value_t = 1)]
    min_providers: usize,
}

impl Asked {
    /// The scenario that they describe.
    pub(super) fn scenario(&self) -> anyhow::Result<Scenario> {
        let prices = match &self.prices {
            Some(directory) => Prices::read(directory)?,
            None => {
                let catalog = catalog_file::overridden(self.overrides.as_deref())?;
                Prices::from_catalog(&catalog)?
            }
        };
        let latency = match (&self.latency, self.slo_seconds) {
            (Some(path), Some(slo_seconds)) => {
                let latency = match self.slo_percentile {
                    None => Latency::read(path)?,
                    Some(percentile) => Latency::read_at(path, percentile)?,
                };
                Some((latency, slo_seconds))
            }
            _ => None,
        };
        let requirements = Requirements {
            regions: self.regions.clone(),
            stores: self.stores.clone(),
            min_replicas: self.replicas.0,
            max_replicas: self.replicas.1,
            latency,
            required_regions: self.require_region.clone(),
            forbidden_regions: self.forbid_region.clone(),
            required_providers: self.require_provider.clone(),
            forbidden_providers: self.forbid_provider.clone(),
            min_providers: self.min_providers,
        };
        Ok(Scenario::new(&prices, &requirements)?)
    }
}

/// `2`, `2..5`, `2..`.
fn parse_replicas(text: &str) -> Result<(usize, Option<usize>), Invalid> {
    let invalid = || {
        Invalid::new(
            "replicas",
            text,
            "write 2 for exactly two, 2..5 for two to five, 2.. for two or more",
        )
    };
    let number = |text: &str| text.trim().parse::<usize>().map_err(|_| invalid());
    let (least, most) = match text.split_once("..") {
        None => (number(text)?, Some(number(text)?)),
        Some((least, "")) => (number(least)?, None),
        Some((least, most)) => (number(least)?, Some(number(most.trim_start_matches('='))?)),
    };
    if least == 0 || most.is_some_and(|most| most < least) {
        return Err(invalid());
    }
    Ok((least, most))
}

/// Threads to use: those asked for, or all that there are.
pub(super) fn threads(asked: Option<usize>) -> usize {
    let all = || std::thread::available_parallelism().map_or(1, usize::from);
    asked.unwrap_or_else(all).max(1)
}

/// An error that comes of what the user wrote.
pub(super) fn usage(message: impl Into<String>) -> Told {
    Told::new(Exit::Usage, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_replicas() {
        assert_eq!(parse_replicas("2").unwrap(), (2, Some(2)));
        assert_eq!(parse_replicas("2..5").unwrap(), (2, Some(5)));
        assert_eq!(parse_replicas("2..=5").unwrap(), (2, Some(5)));
        assert_eq!(parse_replicas("1..").unwrap(), (1, None));
        for bad in ["", "0", "0..2", "3..2", "..2", "two", "1..x", "-1"] {
            assert!(parse_replicas(bad).is_err(), "{bad}");
        }
    }
}
