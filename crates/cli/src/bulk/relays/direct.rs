//! What a job costs and takes without relays. Pure.
//!
//! In: the regions, the bytes, the catalogue. Out: what relays are judged against. Never: an unknown price taken for zero.

use skyfresh_plan::overlay::Direct;
use skyfresh_sky::catalog::Catalog;
use skyfresh_sky::{Region, Usd};
use std::collections::BTreeMap;

/// What the same costs and takes through this machine, in parts of `part_bytes`.
pub(super) fn direct(
    source: &Region,
    targets: &[Region],
    bytes: &[u64],
    part_bytes: u64,
    catalog: &Catalog,
) -> Direct {
    let mut cost_usd = requests_usd(source, targets, bytes, part_bytes, catalog);
    let mut time_s = Some(0.0f64);
    for (target, bytes) in targets.iter().zip(bytes) {
        let egress = match target == source {
            true => Some(Usd::default()),
            false => catalog.egress_usd_per_gb(source, target),
        };
        let usd = egress.map(|egress| egress.per_gb(*bytes).usd());
        cost_usd = cost_usd.zip(usd).map(|(sum, usd)| sum + usd);
        let link = catalog.link(source, target);
        let seconds = link
            .filter(|link| link.throughput_gbps > 0.0)
            .map(|link| *bytes as f64 * 8.0 / (link.throughput_gbps * 1e9));
        if target != source {
            time_s = time_s.zip(seconds).map(|(most, s)| most.max(s));
        }
    }
    Direct { cost_usd, time_s }
}

/// What requests to the stores cost: each part is read once, as one read serves all destinations, and written once in each region. What
/// is written besides, within the source's region or twice into one, is written with relays as well, and left out of both.
fn requests_usd(
    source: &Region,
    targets: &[Region],
    bytes: &[u64],
    part_bytes: u64,
    catalog: &Catalog,
) -> Option<f64> {
    let mut written: BTreeMap<&Region, u64> = BTreeMap::new();
    for (target, bytes) in targets.iter().zip(bytes) {
        if target != source {
            let most = written.entry(target).or_default();
            *most = (*most).max(*bytes);
        }
    }
    let parts = |bytes: u64| bytes as f64 / part_bytes.max(1) as f64;
    let read = written.values().copied().max().unwrap_or(0);
    let mut usd = parts(read) * catalog.region_prices(source)?.usd_per_read.usd();
    for (region, bytes) in written {
        usd += parts(bytes) * catalog.region_prices(region)?.usd_per_write.usd();
    }
    Some(usd)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(name: &str) -> Region {
        name.parse().unwrap()
    }

    /// 10 GB in parts of 10 MB: a thousand of them.
    fn usd(source: &str, targets: &[&str]) -> Option<f64> {
        let targets: Vec<Region> = targets.iter().map(|name| region(name)).collect();
        let bytes = vec![10_000_000_000; targets.len()];
        requests_usd(
            &region(source),
            &targets,
            &bytes,
            10_000_000,
            &Catalog::embedded(),
        )
    }

    #[test]
    fn a_part_is_read_once_and_written_once_in_every_region() {
        let near = |usd: Option<f64>, expected: f64| {
            assert!((usd.unwrap() - expected).abs() < 1e-12, "{usd:?}");
        };
        // S3 in us-east-1 and Google's: $0.40 a million reads, $5 a million writes.
        near(usd("aws:us-east-1", &["gcp:us-east1"]), 0.0004 + 0.005);
        let two = ["gcp:us-east1", "gcp:us-central1"];
        near(usd("aws:us-east-1", &two), 0.0004 + 0.010);
        // What both ways write alike is left out.
        let alike = ["gcp:us-east1", "gcp:us-east1", "aws:us-east-1"];
        near(usd("aws:us-east-1", &alike), 0.0004 + 0.005);
        // R2: $0.36 a million of class B.
        near(usd("cloudflare:auto", &["aws:us-east-1"]), 0.00036 + 0.005);
    }

    #[test]
    fn requests_are_part_of_the_price() {
        let (from, to) = (region("aws:us-east-1"), region("gcp:us-east1"));
        let bytes = [10_000_000_000];
        let targets = std::slice::from_ref(&to);
        let direct = direct(&from, targets, &bytes, 10_000_000, &Catalog::embedded());
        // Egress at $0.09.
        assert!((direct.cost_usd.unwrap() - 0.9054).abs() < 1e-9);
        assert!(direct.time_s.is_some());
    }
}
