//! What the table was asked for, as DynamoDB counts it.

use std::sync::atomic::{AtomicU64, Ordering};

/// Requests and capacity units since a start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Requests that were answered.
    pub requests: u64,
    /// Conditional writes among them whose condition did not hold. DynamoDB charges for them without saying how much: one
    /// write unit for each KiB of the item that was there
    /// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html>).
    pub refused_writes: u64,
    /// Write capacity units of the other writes, as DynamoDB states them.
    pub write_units: f64,
    /// Read capacity units, as DynamoDB states them.
    pub read_units: f64,
}

/// A unit is counted in halves: DynamoDB states no smaller share of one.
const PER_UNIT: f64 = 2.0;

/// The counters behind [`Usage`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    requests: AtomicU64,
    refused_writes: AtomicU64,
    write_halves: AtomicU64,
    read_halves: AtomicU64,
}

impl Counters {
    /// A write that was done.
    pub(super) fn wrote(&self, units: Option<f64>) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        add(&self.write_halves, units);
    }

    /// A write whose condition did not hold.
    pub(super) fn refused(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.refused_writes.fetch_add(1, Ordering::Relaxed);
    }

    /// A read.
    pub(super) fn read_done(&self, units: Option<f64>) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        add(&self.read_halves, units);
    }

    /// All of them.
    pub(super) fn read(&self) -> Usage {
        let units = |halves: &AtomicU64| halves.load(Ordering::Relaxed) as f64 / PER_UNIT;
        Usage {
            requests: self.requests.load(Ordering::Relaxed),
            refused_writes: self.refused_writes.load(Ordering::Relaxed),
            write_units: units(&self.write_halves),
            read_units: units(&self.read_halves),
        }
    }
}

fn add(halves: &AtomicU64, units: Option<f64>) {
    let count = (units.unwrap_or_default() * PER_UNIT).round();
    halves.fetch_add(count.max(0.0) as u64, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_units_add_up() {
        let counters = Counters::default();
        counters.wrote(Some(2.0));
        counters.refused();
        counters.read_done(Some(0.5));
        counters.read_done(Some(0.5));
        counters.read_done(None);
        let expected = Usage {
            requests: 5,
            refused_writes: 1,
            write_units: 2.0,
            read_units: 1.0,
        };
        assert_eq!(counters.read(), expected);
    }
}
