//! What was not spent, because the destination's store did the work.
//!
//! In: the transfer that was planned, and what was spent instead. Out: bytes and dollars for the receipt. Never: a negative
//! saving: where the shortcut cost more, nothing was saved.

use crate::decide::{Plan, Strategy};
use crate::lane::Lane;
use crate::usage::Usage;
use skyfresh_sky::Usd;
use skyfresh_sky::catalog::request_prices;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};

/// Counted as it comes, like all usage of a claim.
#[derive(Debug, Default)]
pub(crate) struct Savings {
    bytes: AtomicU64,
    usd_units: AtomicI64,
    unchanged_parts: AtomicU32,
}

impl Savings {
    /// Bytes that no worker had to carry.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// What they would have cost, less what was spent instead.
    pub(crate) fn usd(&self) -> Usd {
        Usd::from_units(self.usd_units.load(Ordering::Relaxed))
    }

    pub(crate) fn add(&self, bytes: u64, usd: Usd, unchanged_parts: u32) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.usd_units.fetch_add(usd.units(), Ordering::Relaxed);
        self.unchanged_parts
            .fetch_add(unchanged_parts, Ordering::Relaxed);
    }
}

/// How a plan was carried out, for the receipt.
pub(crate) fn strategy(plan: &Plan, usage: &Usage) -> String {
    let unchanged = usage.savings.unchanged_parts.load(Ordering::Relaxed);
    match plan.strategy {
        Strategy::Multipart { parts, .. } if unchanged > 0 => {
            format!("{}, {unchanged} of {parts} parts unchanged", plan.strategy)
        }
        plain => plain.to_string(),
    }
}

/// Requests and bytes of a transfer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Transfer {
    /// Reads from the source.
    pub(super) reads: u64,
    /// Writes to the destination.
    pub(super) writes: u64,
    /// Bytes from one to the other.
    pub(super) bytes: u64,
}

impl Transfer {
    /// Of a whole object.
    pub(crate) fn of(strategy: Strategy, size: u64) -> Self {
        let (reads, writes) = match strategy {
            Strategy::Inline => (1, 1),
            // Every part is read and written, the upload begun and completed.
            Strategy::Multipart { parts, .. } => (u64::from(parts), u64::from(parts) + 2),
        };
        Transfer {
            reads,
            writes,
            bytes: size,
        }
    }

    /// Its price by the catalogue; a pair of regions that it does not list counts no egress.
    fn price(self, lane: &Lane) -> Usd {
        let (source, target) = (&lane.source_region, &lane.target_region);
        let egress = lane.shared.catalog.egress_usd_per_gb(source, target);
        request_prices(source.provider).read.times(self.reads)
            + request_prices(target.provider).write.times(self.writes)
            + egress.unwrap_or_default().per_gb(self.bytes)
    }

    /// What it would have cost, less what was spent instead.
    pub(crate) fn saved(self, lane: &Lane, spent: Usd) -> Usd {
        let saved = self.price(lane).units().saturating_sub(spent.units());
        Usd::from_units(saved.max(0))
    }
}
