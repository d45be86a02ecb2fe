//! A predicted delay, kept as its quantiles at fixed shares: what planning asks for, in a kilobyte.

use super::Samples;

/// Shares at which quantiles are kept: every percent, every permille in the last tenth, and 20 a decade from there to 1 in
/// 10⁵. A quantile between two of them is interpolated.
fn rungs() -> impl Iterator<Item = f64> {
    let percents = (0..90).map(|n| f64::from(n) / 100.0);
    let permilles = (0..90).map(|n| 0.9 + f64::from(n) / 1_000.0);
    let beyond = (0..=60).map(|n| 1.0 - 0.01 * libm::exp10(-f64::from(n) / 20.0));
    percents.chain(permilles).chain(beyond)
}

/// Values at every rung, ascending.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ladder(Vec<f32>);

/// The rungs, once for all ladders.
pub(super) static RUNGS: std::sync::LazyLock<Vec<f64>> =
    std::sync::LazyLock::new(|| rungs().collect());

impl Ladder {
    pub(super) fn of(samples: &Samples) -> Self {
        Ladder(RUNGS.iter().map(|p| samples.quantile(*p) as f32).collect())
    }

    /// The value at a rung.
    pub(super) fn value(&self, rung: usize) -> f64 {
        f64::from(self.0[rung])
    }
}

/// The quantile at `p`, of values at the rungs.
pub(super) fn quantile(p: f64, value: impl Fn(usize) -> f64) -> f64 {
    let above = RUNGS.partition_point(|rung| *rung < p);
    let last = RUNGS.len() - 1;
    if above == 0 || above > last {
        return value(above.min(last));
    }
    let (low, high) = (value(above - 1), value(above));
    if !high.is_finite() {
        return high;
    }
    low + (high - low) * (p - RUNGS[above - 1]) / (RUNGS[above] - RUNGS[above - 1])
}

/// The share at or below `x`, of values at the rungs.
pub(super) fn cdf(x: f64, value: impl Fn(usize) -> f64) -> f64 {
    let (mut low, mut high) = (0, RUNGS.len());
    while low < high {
        let middle = usize::midpoint(low, high);
        if value(middle) <= x {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let Some(below) = low.checked_sub(1) else {
        return 0.0;
    };
    if low == RUNGS.len() {
        return 1.0;
    }
    let (from, to) = (value(below), value(low));
    let part = if to.is_finite() {
        (x - from) / (to - from)
    } else {
        0.0
    };
    RUNGS[below] + (RUNGS[low] - RUNGS[below]) * part
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};

    proptest! {
        /// What the ladder says lies between the samples' own quantiles a rung apart.
        #[test]
        fn it_says_what_the_samples_say(draws in prop::collection::vec(0.001f64..1e4, 1..3_000), p in 0.0f64..0.99999) {
            let samples = Samples::new(draws);
            let ladder = Ladder::of(&samples);
            let value = |rung| ladder.value(rung);
            let at = RUNGS.partition_point(|rung| *rung < p).clamp(1, RUNGS.len() - 1);
            let (low, high) = (samples.quantile(RUNGS[at - 1]), samples.quantile(RUNGS[at]));
            let got = quantile(p, value);
            prop_assert!(got >= low * (1.0 - 1e-6) && got <= high * (1.0 + 1e-6), "{low} {got} {high}");
            prop_assert!(cdf(got, value) >= p - 1e-4);
            prop_assert_eq!(cdf(0.0, value), 0.0);
            prop_assert_eq!(cdf(1e9, value), 1.0);
        }
    }
}
