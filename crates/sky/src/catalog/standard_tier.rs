//! Google Cloud's STANDARD network tier: another way, at another price, from its regions to the internet.

use super::link::{Figure, Origin};
use super::tables::figure;
use crate::{Provider, Region, Usd};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// By which of Google Cloud's network tiers traffic leaves for the internet. Within Google's network there are no tiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkTier {
    /// Over Google's own network to near its destination. What an address has unless another tier was asked for.
    Premium,
    /// Over the internet from near its source. Not offered in every region.
    Standard,
}

impl NetworkTier {
    /// The name in JSON, on a terminal and in options.
    pub fn as_str(self) -> &'static str {
        match self {
            NetworkTier::Premium => "premium",
            NetworkTier::Standard => "standard",
        }
    }

    /// Whether traffic from one region to another goes by a tier: from Google Cloud to anybody else.
    pub fn applies(from: &Region, to: &Region) -> bool {
        from.provider == Provider::Gcp && to.provider != Provider::Gcp
    }
}

impl fmt::Display for NetworkTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for NetworkTier {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "premium" => Ok(NetworkTier::Premium),
            "standard" => Ok(NetworkTier::Standard),
            _ => Err("expected premium or standard"),
        }
    }
}

/// What is known of a way over the STANDARD tier; `None` where nothing is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct StandardTier {
    /// Egress price per GB, list price of the first 10 TB a month.
    pub egress_usd_per_gb: Option<Figure<Usd>>,
    /// Goodput of one VM pair over 64 connections, in Gbit/s.
    pub throughput_gbps: Option<Figure<f64>>,
}

impl StandardTier {
    /// New figures over these.
    pub(super) fn under(self, new: StandardTier) -> Self {
        StandardTier {
            egress_usd_per_gb: new.egress_usd_per_gb.or(self.egress_usd_per_gb),
            throughput_gbps: new.throughput_gbps.or(self.throughput_gbps),
        }
    }
}

pub(super) const HEADER: &str = "src,dst,standard_usd_per_gb,standard_throughput_gbps";

/// Reads the fields below [`HEADER`]: the two regions' names, and the figures.
pub(super) fn read<'a>(
    fields: &[&'a str],
    origin: Origin,
) -> Result<(&'a str, &'a str, StandardTier), String> {
    let [from, to, price, gbps] = fields[..] else {
        return Err(format!("expected {HEADER}"));
    };
    // The catalogue's own throughput is estimated from what was sent.
    let measured = match origin {
        Origin::Listed => Origin::Estimated,
        other => other,
    };
    let figures = StandardTier {
        egress_usd_per_gb: figure(price, "standard_usd_per_gb", 0.0..=1_000.0, origin)?
            .map(|price| Figure::new(Usd::from_usd(price.value), price.origin)),
        throughput_gbps: figure(gbps, "standard_throughput_gbps", 1e-6..=1e5, measured)?,
    };
    Ok((from, to, figures))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    fn region(name: &str) -> Region {
        name.parse().unwrap()
    }

    #[test]
    fn the_table_has_ways_out_of_google_alone_and_says_what_is_estimated() {
        let catalog = Catalog::embedded();
        let (mut priced, mut fast) = (0, 0);
        for from in catalog.regions() {
            for to in catalog.regions() {
                let Some(tier) = catalog.standard_tier(&from, &to) else {
                    continue;
                };
                assert!(NetworkTier::applies(&from, &to), "{from} -> {to}");
                let usd = tier.egress_usd_per_gb.unwrap();
                assert_eq!(usd.origin, Origin::Listed);
                priced += 1;
                if let Some(gbps) = tier.throughput_gbps {
                    assert_eq!(gbps.origin, Origin::Estimated, "{from} -> {to}");
                    // A short measurement is a little above the 7 Gbit/s that a machine may send to public addresses.
                    assert!(gbps.value < 8.0, "{from} -> {to}: {}", gbps.value);
                    fast += 1;
                }
            }
        }
        // 22 of the catalogue's regions, to 57 of other providers; the run of 2022-01 had 21 of AWS and 15 of Azure.
        assert_eq!((priced, fast), (22 * 57, 21 * 36));
        let usd = |from, to| {
            let tier = catalog.standard_tier(&region(from), &region(to))?;
            Some(tier.egress_usd_per_gb?.value)
        };
        assert_eq!(
            usd("gcp:us-central1", "aws:eu-west-1"),
            Some(Usd::from_usd(0.085))
        );
        assert_eq!(
            usd("gcp:asia-northeast3", "cloudflare:apac"),
            Some(Usd::from_usd(0.119))
        );
        assert_eq!(usd("gcp:me-west1", "aws:eu-west-1"), None, "not offered");
    }

    #[test]
    fn the_users_own_figures_come_first_and_other_ways_are_refused() {
        let catalog = Catalog::embedded();
        let given = format!(
            "{HEADER}\ngcp:us-east1,aws:us-east-1,,5.5\ngcp:me-west1,aws:eu-west-1,0.1,2\n"
        );
        let own = catalog.with_overrides(&given).unwrap();
        let tier = own
            .standard_tier(&region("gcp:us-east1"), &region("aws:us-east-1"))
            .unwrap();
        let gbps = tier.throughput_gbps.unwrap();
        assert_eq!((gbps.value, gbps.origin), (5.5, Origin::Override));
        let usd = tier.egress_usd_per_gb.unwrap();
        assert_eq!(usd.value, Usd::from_usd(0.085), "an empty figure keeps it");
        let new = own.standard_tier(&region("gcp:me-west1"), &region("aws:eu-west-1"));
        assert!(new.is_some_and(|tier| tier.throughput_gbps.is_some()));
        for line in [
            "gcp:us-east1,gcp:us-west1,0.01,5",
            "aws:us-east-1,gcp:us-east1,0.09,5",
            "gcp:us-east1,aws:us-east-1,cheap,5",
            "gcp:us-east1,aws:us-east-1,0.1",
        ] {
            let error = catalog.with_overrides(&format!("{HEADER}\n{line}\n"));
            assert!(error.unwrap_err().to_string().contains("line 2"), "{line}");
        }
    }
}
