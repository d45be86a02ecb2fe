//! Measured latencies between regions, for placements that must be read in time.

use super::csv::{read, rows};
use skyfresh_sky::Invalid;
use std::collections::BTreeMap;
use std::path::Path;

/// Latency of reading an object of one size, by the store's region and the reader's, in seconds.
#[derive(Clone, Debug, Default)]
pub struct Latency(BTreeMap<(String, String), f64>);

impl Latency {
    /// Reads a table `src_vendor,src_region,dest_vendor,dest_region,latency` in seconds, e.g. SkyPIE's `latency_10485760.csv` for
    /// objects of 10 MiB. An error names the line and what was expected.
    pub fn read(path: &Path) -> Result<Self, Invalid> {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Self::parse(&name, &read(path)?)
    }

    /// From the text of such a table, called `name` in errors. The source is where the object is stored, as it is the source of
    /// the bytes; of two rows for a pair the slower counts.
    pub fn parse(name: &str, text: &str) -> Result<Self, Invalid> {
        let columns = [
            "src_vendor",
            "src_region",
            "dest_vendor",
            "dest_region",
            "latency",
        ];
        let mut table = BTreeMap::new();
        for row in rows(name, text, columns)? {
            let [from_vendor, from, to_vendor, to, text] = row.fields;
            let seconds: f64 = text
                .parse()
                .map_err(|_| row.invalid(text, "no number of seconds"))?;
            if !(seconds.is_finite() && seconds >= 0.0) {
                return Err(row.invalid(text, "a latency is 0 seconds or more"));
            }
            let pair = (format!("{from_vendor}-{from}"), format!("{to_vendor}-{to}"));
            let entry = table.entry(pair).or_insert(seconds);
            *entry = seconds.max(*entry);
        }
        Ok(Latency(table))
    }

    /// Whether reading in `reader` from a store in `store` (regions) takes at most `slo_seconds`. A pair that was not measured is
    /// not known to meet it, and does not.
    pub fn meets(&self, store: &str, reader: &str, slo_seconds: f64) -> bool {
        self.0
            .get(&(store.to_string(), reader.to_string()))
            .is_some_and(|seconds| *seconds <= slo_seconds)
    }
}
