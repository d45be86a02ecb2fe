//! Random quantities beyond the uniform ones of [`Rng`].

use serde::{Deserialize, Serialize};
use skyfresh_sky::Rng;

/// The 99th percentile of the standard normal distribution.
const NORMAL_P99: f64 = 2.326_347_874;

/// A standard normal deviate (Box and Muller).
pub(crate) fn standard_normal(rng: &Rng) -> f64 {
    // 1 - u lies in (0, 1]: its logarithm is finite.
    let radius = (-2.0 * (1.0 - rng.unit()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.unit()).cos()
}

/// A delay with a lognormal distribution, given by two of its percentiles. All zero: no delay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DelayDistribution {
    /// Median in milliseconds.
    pub p50_ms: f64,
    /// 99th percentile in milliseconds; below the median it counts as the median (a constant delay).
    pub p99_ms: f64,
}

impl DelayDistribution {
    /// Draws a delay in milliseconds.
    pub(crate) fn draw_ms(&self, rng: &Rng) -> f64 {
        if self.p50_ms <= 0.0 {
            return 0.0;
        }
        let sigma = (self.p99_ms.max(self.p50_ms) / self.p50_ms).ln() / NORMAL_P99;
        self.p50_ms * (sigma * standard_normal(rng)).exp()
    }
}

/// How much slower than the median single connections are: lognormal, given by its first percentile, cut off above.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StragglerDistribution {
    /// The first percentile of the rate as a share of the median, in (0, 1]; 1 means no stragglers.
    pub p1_share: f64,
    /// No connection is faster than this share of the median.
    pub max_share: f64,
}

impl Default for StragglerDistribution {
    /// Writes of 1,000 AWS Lambda functions (lithops applications data, 2022): p1 41.9, p50 94.1, p99 105.5 MB/s, so a
    /// first percentile of about 0.4 and a best of about 1.12 of the median.
    fn default() -> Self {
        StragglerDistribution {
            p1_share: 0.4,
            max_share: 1.12,
        }
    }
}

impl StragglerDistribution {
    /// Every connection alike.
    pub const NONE: StragglerDistribution = StragglerDistribution {
        p1_share: 1.0,
        max_share: 1.0,
    };

    /// Draws a connection's rate as a share of the median.
    pub(crate) fn draw_share(&self, rng: &Rng) -> f64 {
        let sigma = -self.p1_share.clamp(0.001, 1.0).ln() / NORMAL_P99;
        (sigma * standard_normal(rng))
            .exp()
            .min(self.max_share)
            .max(0.001)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn percentiles(mut draw: impl FnMut() -> f64) -> (f64, f64, f64) {
        let mut values: Vec<f64> = (0..20_000).map(|_| draw()).collect();
        values.sort_by(f64::total_cmp);
        (values[200], values[10_000], values[19_800])
    }

    #[test]
    fn percentiles_are_as_stated() {
        let rng = Rng::seeded(1);
        let delay = DelayDistribution {
            p50_ms: 100.0,
            p99_ms: 250.0,
        };
        let (_, p50, p99) = percentiles(|| delay.draw_ms(&rng));
        assert!(
            (95.0..105.0).contains(&p50) && (235.0..265.0).contains(&p99),
            "{p50} {p99}"
        );
        let straggler = StragglerDistribution::default();
        let (p1, p50, p99) = percentiles(|| straggler.draw_share(&rng));
        assert!(
            (0.37..0.43).contains(&p1) && (0.98..1.02).contains(&p50) && p99 <= 1.12,
            "{p1} {p50} {p99}"
        );
        assert_eq!(DelayDistribution::default().draw_ms(&rng), 0.0);
        assert_eq!(StragglerDistribution::NONE.draw_share(&rng), 1.0);
    }
}
