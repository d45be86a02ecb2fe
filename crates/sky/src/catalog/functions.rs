//! Function platforms: prices, limits, and how fast one function starts, reads and writes.

use super::table::rows;
use crate::{Distribution, Invalid, Quantiles, Usd};
use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

/// A function platform, as `crates/sky/catalog/functions.csv` and `function_quantiles.csv` have it.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionPlatform {
    /// `aws-lambda`, `azure-functions` or `gcp-functions`.
    pub platform: String,
    /// Price of one GB (1024 MB) of memory for one second.
    pub usd_per_gb_second: Usd,
    /// Price of one vCPU for one second; zero where memory pays for it.
    pub usd_per_vcpu_second: Usd,
    /// Price of a million invocations.
    pub usd_per_million_requests: Usd,
    /// Durations are billed in multiples of this, in milliseconds.
    pub granularity_ms: u64,
    /// The least that one invocation is billed, in milliseconds.
    pub minimum_ms: u64,
    /// The memory the rates were measured or published with, in MB of 2²⁰ bytes.
    pub memory_mb: u64,
    /// vCPUs that are billed beside the memory.
    pub vcpus: u64,
    /// Functions that run at a time, by default.
    pub max_concurrency: u64,
    /// New instances in 10 s; `None` where the start delays contain the wait for them.
    pub instances_per_10_s: Option<f64>,
    /// An invocation is ended after this many seconds.
    pub max_duration_s: u64,
    /// From the call to the first line of a reused instance, in seconds.
    pub start_warm_s: Distribution,
    /// From the call to the first line of a new instance, in seconds.
    pub start_cold_s: Distribution,
    /// One stream from the region's object store, in 10⁶ bytes a second.
    pub read_mb_per_s: Distribution,
    /// One stream to the region's object store, in 10⁶ bytes a second.
    pub write_mb_per_s: Distribution,
    /// Columns of the table that are from memory or derived.
    pub unverified: Vec<String>,
}

const EMBEDDED: &str = include_str!("../../catalog/functions.csv");
const EMBEDDED_QUANTILES: &str = include_str!("../../catalog/function_quantiles.csv");

// A test reads the embedded tables whole; an empty one would only make every platform unknown.
static PLATFORMS: LazyLock<Vec<FunctionPlatform>> =
    LazyLock::new(|| parse(EMBEDDED, EMBEDDED_QUANTILES).unwrap_or_default());

/// The function platforms of the catalogue.
pub fn function_platforms() -> &'static [FunctionPlatform] {
    &PLATFORMS
}

/// A function platform by its name, where it is listed.
pub fn function_platform(platform: &str) -> Option<&'static FunctionPlatform> {
    PLATFORMS.iter().find(|row| row.platform == platform)
}

impl FunctionPlatform {
    /// What `invocations` of `duration` each cost with `memory_mb` of memory, requests included.
    pub fn price(&self, memory_mb: u64, duration: Duration, invocations: u64) -> Usd {
        let started_ms = duration.as_nanos().div_ceil(1_000_000);
        let granularity_ms = u128::from(self.granularity_ms.max(1));
        let billed_ms = (started_ms.div_ceil(granularity_ms) * granularity_ms)
            .max(u128::from(self.minimum_ms))
            .saturating_mul(u128::from(invocations));
        let memory_mb_ms = billed_ms.saturating_mul(u128::from(memory_mb));
        let vcpu_ms = billed_ms.saturating_mul(u128::from(self.vcpus));
        self.usd_per_gb_second.per(1024 * 1000, memory_mb_ms)
            + self.usd_per_vcpu_second.per(1000, vcpu_ms)
            + self
                .usd_per_million_requests
                .per(1_000_000, u128::from(invocations))
    }
}

type Measured = HashMap<(String, String), Vec<(f64, f64)>>;

fn parse_quantiles(csv: &str) -> Result<Measured, Invalid> {
    let mut measured = Measured::new();
    for row in rows("function quantile", csv)? {
        let key = (
            row.text("platform")?.to_owned(),
            row.text("measure")?.to_owned(),
        );
        let point = (row.number("p")?, row.number("value")?);
        measured.entry(key).or_default().push(point);
    }
    Ok(measured)
}

fn parse(csv: &str, quantiles: &str) -> Result<Vec<FunctionPlatform>, Invalid> {
    let measured = parse_quantiles(quantiles)?;
    let mut platforms = Vec::new();
    for row in rows("function platform", csv)? {
        let platform = row.text("platform")?.to_owned();
        let measure = |measure: &str| {
            let points = measured.get(&(platform.clone(), measure.to_owned()));
            let points = points.cloned().unwrap_or_default();
            Quantiles::new(points).map(Distribution::Empirical)
        };
        // What the table states goes before what was measured in a burst.
        let start =
            |stated: Option<Distribution>, name: &str| stated.map_or_else(|| measure(name), Ok);
        let warm = row.p50_p99("start_warm_p50_s", "start_warm_p99_s")?;
        let cold = row.p50_p99("start_cold_p50_s", "start_cold_p99_s")?;
        platforms.push(FunctionPlatform {
            usd_per_gb_second: row.usd("usd_per_gb_second")?,
            usd_per_vcpu_second: row.usd("usd_per_vcpu_second")?,
            usd_per_million_requests: row.usd("usd_per_million_requests")?,
            granularity_ms: row.count("granularity_ms")?,
            minimum_ms: row.count("minimum_ms")?,
            memory_mb: row.count("memory_mb")?,
            vcpus: row.number("vcpus")? as u64,
            max_concurrency: row.count("max_concurrency")?,
            instances_per_10_s: row.optional("instances_per_10_s")?,
            max_duration_s: row.count("max_duration_s")?,
            start_warm_s: start(warm, "start_warm_s")?,
            start_cold_s: start(cold, "start_cold_s")?,
            read_mb_per_s: measure("read_mb_per_s")?,
            write_mb_per_s: measure("write_mb_per_s")?,
            unverified: row.unverified()?,
            platform,
        });
    }
    Ok(platforms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_tables_are_read_whole() {
        let names: Vec<&str> = function_platforms()
            .iter()
            .map(|row| row.platform.as_str())
            .collect();
        assert_eq!(names, ["aws-lambda", "azure-functions", "gcp-functions"]);
        assert_eq!(parse(EMBEDDED, EMBEDDED_QUANTILES).unwrap().len(), 3);
        let measured = parse_quantiles(EMBEDDED_QUANTILES).unwrap();
        // Two rates each; starts of two platforms, warm and cold; Azure's burst.
        assert_eq!(measured.len(), 3 * 2 + 2 * 2 + 1);
        for (name, points) in measured {
            let (first, last) = (points[0].0, points[points.len() - 1].0);
            assert_eq!((points.len(), first, last), (33, 0.0, 1.0), "{name:?}");
            Quantiles::new(points).unwrap();
        }
        assert!(function_platform("mars-functions").is_none());
    }

    #[test]
    fn quantiles_are_those_of_the_measurement() {
        // p1, p50, p99, smallest and mean, as the research notes summarise the 1,000 transfers of each set.
        for (platform, write, [p1, p50, p99, min, mean]) in [
            ("aws-lambda", false, [74.8, 99.8, 99.8, 41.0, 99.1]),
            ("aws-lambda", true, [41.9, 94.1, 105.5, 24.0, 91.1]),
            ("azure-functions", false, [18.9, 24.0, 30.1, 18.0, 24.1]),
            ("azure-functions", true, [12.0, 25.2, 34.8, 10.0, 25.1]),
            ("gcp-functions", false, [11.6, 14.6, 36.6, 9.5, 15.2]),
            ("gcp-functions", true, [6.8, 8.2, 14.3, 4.8, 8.4]),
        ] {
            let row = function_platform(platform).unwrap();
            let rate = if write {
                &row.write_mb_per_s
            } else {
                &row.read_mb_per_s
            };
            for (p, stated) in [(0.01, p1), (0.5, p50), (0.99, p99), (0.0, min)] {
                let got = rate.quantile(p);
                assert!(
                    (got / stated - 1.0).abs() < 0.05,
                    "{platform} {write} {p}: {got}"
                );
            }
            assert!(
                (rate.mean() / mean - 1.0).abs() < 0.01,
                "{platform}: {}",
                rate.mean()
            );
        }
        let lambda = function_platform("aws-lambda").unwrap();
        assert!((1.8..2.3).contains(&lambda.start_cold_s.quantile(0.5)));
        assert!((0.21..0.34).contains(&lambda.start_warm_s.quantile(0.5)));
        let azure = function_platform("azure-functions").unwrap();
        assert!((azure.start_cold_s.quantile(0.99) - 5.0).abs() < 1e-9);
    }

    #[test]
    fn prices_by_hand() {
        let ms = Duration::from_millis;
        let lambda = function_platform("aws-lambda").unwrap();
        // 512 MB for 2 s is 1 GB-s: $1.66667e-5, and a request: $2e-7.
        assert_eq!(lambda.price(512, ms(2000), 1).units(), 16_666_700 + 200_000);
        // A nanosecond is billed as a millisecond.
        let tiny = lambda.price(1024, Duration::from_nanos(1), 1);
        assert_eq!(tiny.units(), 16_667 + 200_000);
        // A million of 100 ms at 1 GB: 100,000 GB-s and $0.20.
        assert_eq!(
            lambda.price(1024, ms(100), 1_000_000),
            Usd::from_usd(1.66667 + 0.2)
        );
        // Azure bills 1 s at least, in steps of 100 ms: 2 GB × 1 s × $2.6e-5 + $4e-7, then 2 GB × 1.3 s.
        let azure = function_platform("azure-functions").unwrap();
        assert_eq!(azure.price(2048, ms(10), 1), Usd::from_usd(5.24e-5));
        assert_eq!(
            azure.price(2048, ms(1201), 1),
            Usd::from_usd(6.76e-5 + 4e-7)
        );
        // Cloud Run: 0.2 s of 1 GB and 1 vCPU: 0.2 × ($2.5e-6 + $2.4e-5) + $4e-7.
        let run = function_platform("gcp-functions").unwrap();
        assert_eq!(run.price(1024, ms(101), 1), Usd::from_usd(5.7e-6));
        assert_eq!(run.price(1024, ms(101), 0), Usd::ZERO);
    }
}
