//! What copying used: requests and bytes, counted as they go, and what they cost.

use crate::changelog::Savings;
use skyfresh_sky::catalog::{Catalog, request_prices};
use skyfresh_sky::{Region, Usd};
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};

/// What an attempt used, counted as it goes.
#[derive(Debug, Default)]
pub struct Usage {
    source_reads: AtomicU32,
    target_reads: AtomicU32,
    target_writes: AtomicU32,
    target_deletes: AtomicU32,
    source_lists: AtomicU32,
    target_lists: AtomicU32,
    bytes_moved: AtomicU64,
    bytes_copied: AtomicU64,
    bytes_relayed: AtomicU64,
    /// Egress of relays' hops, in 1e-12 $.
    relayed_units: AtomicI64,
    /// What the destination's store did instead.
    pub(crate) savings: Savings,
}

impl Usage {
    /// Counts a request to the source.
    pub fn source_read(&self) {
        self.source_reads.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that reads from the destination.
    pub fn target_read(&self) {
        self.target_reads.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that writes to the destination.
    pub fn target_write(&self) {
        self.target_writes.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a delete at the destination: a request, but one that providers do not charge for.
    pub fn target_delete(&self) {
        self.target_deletes.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts pages listed at the source, which providers charge as they charge writes.
    pub(crate) fn source_listed(&self, pages: u64) {
        let pages = u32::try_from(pages).unwrap_or(u32::MAX);
        self.source_lists.fetch_add(pages, Ordering::Relaxed);
    }

    /// Counts pages listed at the destination.
    pub(crate) fn listed(&self, pages: u64) {
        let pages = u32::try_from(pages).unwrap_or(u32::MAX);
        self.target_lists.fetch_add(pages, Ordering::Relaxed);
    }

    /// Counts bytes read from the source.
    pub fn moved(&self, bytes: u64) {
        self.bytes_moved.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes that the destination's store has read from the source by itself.
    pub(crate) fn copied(&self, bytes: u64) {
        self.bytes_copied.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes that relays have carried, at the price of a GB over all their hops.
    pub(crate) fn relayed(&self, bytes: u64, egress_per_gb: Usd) {
        self.bytes_relayed.fetch_add(bytes, Ordering::Relaxed);
        let units = egress_per_gb.per_gb(bytes).units();
        self.relayed_units.fetch_add(units, Ordering::Relaxed);
    }

    /// Bytes that relays have carried.
    pub(crate) fn relayed_bytes(&self) -> u64 {
        self.bytes_relayed.load(Ordering::Relaxed)
    }

    pub(crate) fn requests(&self) -> u32 {
        [
            &self.source_reads,
            &self.target_reads,
            &self.target_writes,
            &self.target_deletes,
            &self.source_lists,
            &self.target_lists,
        ]
        .iter()
        .map(|count| count.load(Ordering::Relaxed))
        .sum()
    }

    /// Bytes that came to the destination, through this process or by relays.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes_moved.load(Ordering::Relaxed) + self.relayed_bytes()
    }

    /// Dollars by the catalogue: requests at each side's provider, egress from the source's region to the destination's,
    /// and of relays' hops.
    /// A pair the catalogue does not list counts no egress (`status` names it).
    pub fn price(&self, catalog: &Catalog, source: &Region, target: &Region) -> Usd {
        let (at_source, at_target) = (
            request_prices(source.provider),
            request_prices(target.provider),
        );
        let count = |counter: &AtomicU32| u64::from(counter.load(Ordering::Relaxed));
        let egress = catalog
            .egress_usd_per_gb(source, target)
            .unwrap_or_default();
        at_source.read.times(count(&self.source_reads))
            + at_target.read.times(count(&self.target_reads))
            + at_target.write.times(count(&self.target_writes))
            + at_source.write.times(count(&self.source_lists))
            + at_target.write.times(count(&self.target_lists))
            + egress.per_gb(
                self.bytes_moved.load(Ordering::Relaxed)
                    + self.bytes_copied.load(Ordering::Relaxed),
            )
            + Usd::from_units(self.relayed_units.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_follow_the_catalogue() {
        let usage = Usage::default();
        usage.source_read();
        usage.target_read();
        usage.target_write();
        usage.target_delete();
        usage.moved(1_000_000_000);
        let (catalog, us, eu) = (
            Catalog::embedded(),
            "aws:us-east-1".parse().unwrap(),
            "aws:eu-west-1".parse().unwrap(),
        );
        let expected = Usd::from_usd(0.02 + 0.0000004 * 2.0 + 0.000005);
        assert_eq!(usage.price(&catalog, &us, &eu), expected);
        usage.relayed(500_000_000, Usd::from_usd(0.03));
        let relayed = expected + Usd::from_usd(0.015);
        assert_eq!(usage.price(&catalog, &us, &eu), relayed);
        assert_eq!(usage.bytes(), 1_500_000_000);
        assert_eq!(
            usage.price(&catalog, &Region::local(), &Region::local()),
            Usd::from_usd(0.015)
        );
    }
}
