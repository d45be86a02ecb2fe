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

    /// Reads a table that has percentiles: `src_vendor,src_region,dest_vendor,dest_region,percentile,latency`, with several lines for a
    /// pair. What counts is how long the share `percentile` (above 0, at most 100) of a region's reads takes at most.
    pub fn read_at(path: &Path, percentile: f64) -> Result<Self, Invalid> {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Self::parse_at(&name, &read(path)?, percentile)
    }

    /// From the text of such a table. Where a pair has no line for the very percentile, the next higher one stands for it, which is
    /// no faster; where it has none that is higher it is not known to be in time.
    pub fn parse_at(name: &str, text: &str, percentile: f64) -> Result<Self, Invalid> {
        let fits = |percentile: f64| percentile > 0.0 && percentile <= 100.0;
        if !fits(percentile) {
            let given = percentile.to_string();
            return Err(Invalid::new("percentile", given, "above 0 and at most 100"));
        }
        let columns = [
            "src_vendor",
            "src_region",
            "dest_vendor",
            "dest_region",
            "percentile",
            "latency",
        ];
        // Of each pair the lowest percentile that is high enough, and its seconds.
        let mut table: BTreeMap<(String, String), (f64, f64)> = BTreeMap::new();
        for row in rows(name, text, columns)? {
            let [from_vendor, from, to_vendor, to, at, text] = row.fields;
            let at: f64 = at
                .parse()
                .ok()
                .filter(|at| fits(*at))
                .ok_or_else(|| row.invalid(at, "a percentile is above 0 and at most 100"))?;
            let seconds: f64 = text
                .parse()
                .ok()
                .filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0)
                .ok_or_else(|| row.invalid(text, "a latency is 0 seconds or more"))?;
            if at < percentile {
                continue;
            }
            let pair = (format!("{from_vendor}-{from}"), format!("{to_vendor}-{to}"));
            let entry = table.entry(pair).or_insert((at, seconds));
            if at < entry.0 {
                *entry = (at, seconds);
            } else if at == entry.0 {
                entry.1 = entry.1.max(seconds);
            }
        }
        let table = table.into_iter();
        Ok(Latency(
            table.map(|(pair, (_, seconds))| (pair, seconds)).collect(),
        ))
    }

    /// Whether reading in `reader` from a store in `store` (regions) takes at most `slo_seconds`. A pair that was not measured is
    /// not known to meet it, and does not.
    pub fn meets(&self, store: &str, reader: &str, slo_seconds: f64) -> bool {
        self.0
            .get(&(store.to_string(), reader.to_string()))
            .is_some_and(|seconds| *seconds <= slo_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "src_vendor,src_region,dest_vendor,dest_region,percentile,latency\n\
        aws,a,aws,b,50,0.1\naws,a,aws,b,99,0.4\naws,a,aws,b,99.9,2\naws,b,aws,b,50,0.01\n";

    #[test]
    fn the_share_that_is_asked_for_is_in_time() {
        let within = |percentile: f64, seconds: f64| {
            let latency = Latency::parse_at("latency.csv", TABLE, percentile).unwrap();
            latency.meets("aws-a", "aws-b", seconds)
        };
        assert!(within(50.0, 0.1) && !within(50.0, 0.09));
        // Between two percentiles the higher one stands.
        assert!(within(90.0, 0.4) && !within(90.0, 0.39));
        assert!(within(99.5, 2.0) && !within(99.5, 1.0));
        assert!(!within(99.99, 1000.0));
        // A pair of which no percentile is high enough is not known to be in time.
        let latency = Latency::parse_at("latency.csv", TABLE, 99.0).unwrap();
        assert!(!latency.meets("aws-b", "aws-b", 1000.0));
        for bad in [0.0, -1.0, 100.1, f64::NAN] {
            assert!(Latency::parse_at("latency.csv", TABLE, bad).is_err());
        }
        let bad = TABLE.replace(",99,", ",p99,");
        let refused = Latency::parse_at("latency.csv", &bad, 50.0).unwrap_err();
        assert!(refused.why.contains("line 3"), "{refused}");
        let without = "src_vendor,src_region,dest_vendor,dest_region,latency\n";
        let refused = Latency::parse_at("latency.csv", without, 50.0).unwrap_err();
        assert!(refused.why.contains("percentile"), "{refused}");
    }
}
