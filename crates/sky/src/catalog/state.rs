//! Services that keep shared state: prices, limits and latencies.

use super::table::rows;
use crate::{Distribution, Invalid, Usd};
use std::sync::LazyLock;

/// A state service, as `crates/sky/catalog/state.csv` has it.
#[derive(Clone, Debug, PartialEq)]
pub struct StateService {
    /// `dynamodb`, `firestore`, `cosmos`, `azure-table` or `postgres`.
    pub service: String,
    /// Price of a million write units.
    pub usd_per_million_writes: Usd,
    /// Price of a million read units, strongly consistent.
    pub usd_per_million_reads: Usd,
    /// Bytes that one write unit covers.
    pub write_unit_bytes: u64,
    /// Bytes that one read unit covers.
    pub read_unit_bytes: u64,
    /// Write units a second of one partition; `None` where no limit is stated.
    pub partition_writes_per_s: Option<f64>,
    /// Read units a second of one partition; `None` where no limit is stated.
    pub partition_reads_per_s: Option<f64>,
    /// Of one operation within the region, in milliseconds; `None` where nothing is known.
    pub latency_ms: Option<Distribution>,
    /// Columns of the table that are from memory.
    pub unverified: Vec<String>,
}

const EMBEDDED: &str = include_str!("../../catalog/state.csv");

static SERVICES: LazyLock<Vec<StateService>> =
    LazyLock::new(|| parse(EMBEDDED).unwrap_or_default());

/// The state services of the catalogue.
pub fn state_services() -> &'static [StateService] {
    &SERVICES
}

/// A state service by its name, where it is listed.
pub fn state_service(service: &str) -> Option<&'static StateService> {
    SERVICES.iter().find(|row| row.service == service)
}

impl StateService {
    /// What this many write and read units cost.
    pub fn price(&self, write_units: u64, read_units: u64) -> Usd {
        self.usd_per_million_writes
            .per(1_000_000, u128::from(write_units))
            + self
                .usd_per_million_reads
                .per(1_000_000, u128::from(read_units))
    }

    /// Units that writing one item of this size takes.
    pub fn write_units(&self, item_bytes: u64) -> u64 {
        item_bytes.div_ceil(self.write_unit_bytes.max(1)).max(1)
    }

    /// Units that reading one item of this size takes.
    pub fn read_units(&self, item_bytes: u64) -> u64 {
        item_bytes.div_ceil(self.read_unit_bytes.max(1)).max(1)
    }
}

fn parse(csv: &str) -> Result<Vec<StateService>, Invalid> {
    let table = rows("state service", csv)?;
    table
        .iter()
        .map(|row| {
            Ok(StateService {
                service: row.text("service")?.to_owned(),
                usd_per_million_writes: row.usd("usd_per_million_writes")?,
                usd_per_million_reads: row.usd("usd_per_million_reads")?,
                write_unit_bytes: row.count("write_unit_bytes")?,
                read_unit_bytes: row.count("read_unit_bytes")?,
                partition_writes_per_s: row.optional("partition_writes_per_s")?,
                partition_reads_per_s: row.optional("partition_reads_per_s")?,
                latency_ms: row.p50_p99("latency_p50_ms", "latency_p99_ms")?,
                unverified: row.unverified()?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_table_is_read_whole() {
        assert_eq!(parse(EMBEDDED).unwrap().len(), 5);
        let dynamo = state_service("dynamodb").unwrap();
        assert_eq!(dynamo.partition_writes_per_s, Some(1000.0));
        let latency = dynamo.latency_ms.as_ref().unwrap();
        assert!((latency.quantile(0.99) - 10.0).abs() < 1e-9);
        assert_eq!(state_service("firestore").unwrap().latency_ms, None);
        assert!(state_service("clay-tablet").is_none());
    }

    #[test]
    fn prices_by_hand() {
        let dynamo = state_service("dynamodb").unwrap();
        // $0.625 per million writes and $0.125 per million reads: 6.25e-7 and 1.25e-7 each.
        assert_eq!(dynamo.price(3, 2).units(), 3 * 625_000 + 2 * 125_000);
        assert_eq!(dynamo.price(1_000_000, 0), Usd::from_usd(0.625));
        let sizes = [0, 1, 1024, 1025, 4097];
        assert_eq!(
            sizes.map(|bytes| dynamo.write_units(bytes)),
            [1, 1, 1, 2, 5]
        );
        assert_eq!(sizes.map(|bytes| dynamo.read_units(bytes)), [1, 1, 1, 1, 2]);
        // $0.09 per 100,000 writes, $0.03 per 100,000 reads.
        let firestore = state_service("firestore").unwrap();
        assert_eq!(firestore.price(100_000, 100_000), Usd::from_usd(0.12));
    }
}
