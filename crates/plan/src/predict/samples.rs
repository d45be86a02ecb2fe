//! A predicted delay, kept as equally likely draws of it.

use skyfresh_sky::Rng;

/// Equally likely values in ascending order, at least one. Seconds, where they are delays.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// From draws in any order. Draws that are no numbers count as infinite; no draws at all are one infinite draw: what
    /// nothing is known of is never in time.
    pub fn new(mut draws: Vec<f64>) -> Self {
        for draw in draws.iter_mut().filter(|draw| draw.is_nan()) {
            *draw = f64::INFINITY;
        }
        if draws.is_empty() {
            draws.push(f64::INFINITY);
        }
        draws.sort_by(f64::total_cmp);
        Samples(draws)
    }

    /// Always this value.
    pub fn constant(value: f64) -> Self {
        Samples::new(vec![value])
    }

    /// The values, ascending.
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// The smallest value that at least a share `p` of the draws does not exceed.
    pub fn quantile(&self, p: f64) -> f64 {
        let rank = (p.clamp(0.0, 1.0) * self.0.len() as f64).ceil() as usize;
        self.0[rank.clamp(1, self.0.len()) - 1]
    }

    /// Where the true quantile lies with about 95% confidence, given that the draws are independent: the order statistics
    /// 1.96 standard deviations of a binomial to both sides (normal approximation, fair from about 10 draws beyond `p`).
    pub fn interval(&self, p: f64) -> (f64, f64) {
        let count = self.0.len() as f64;
        let spread = 1.96 * (count * p * (1.0 - p)).max(0.0).sqrt() / count;
        (self.quantile(p - spread), self.quantile(p + spread))
    }

    /// The share of the draws that does not exceed `x`.
    pub fn cdf(&self, x: f64) -> f64 {
        self.0.partition_point(|value| *value <= x) as f64 / self.0.len() as f64
    }

    /// The mean.
    pub fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len() as f64
    }

    /// Every value times `factor`, which is 0 or more.
    pub fn scaled(&self, factor: f64) -> Self {
        Samples(self.0.iter().map(|value| value * factor).collect())
    }

    /// Every value later by `offset`.
    pub fn shifted(&self, offset: f64) -> Self {
        Samples(self.0.iter().map(|value| value + offset).collect())
    }

    /// The sum of two independent delays: draws of one paired with draws of the other in an order that `rng` decides. As
    /// many draws as the longer of the two has.
    pub fn plus(&self, other: &Samples, rng: &Rng) -> Self {
        let (long, short) = if self.0.len() >= other.0.len() {
            (&self.0, &other.0)
        } else {
            (&other.0, &self.0)
        };
        let mut partners: Vec<f64> = short.iter().copied().cycle().take(long.len()).collect();
        for last in (1..partners.len()).rev() {
            partners.swap(last, rng.below(last as u64 + 1) as usize);
        }
        Samples::new(long.iter().zip(partners).map(|(a, b)| a + b).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::Samples;
    use proptest::prelude::{prop, prop_assert, proptest};
    use skyfresh_sky::{Distribution, Rng};

    #[test]
    fn what_is_unknown_is_never_in_time() {
        assert_eq!(Samples::new(Vec::new()).quantile(0.0), f64::INFINITY);
        let half = Samples::new(vec![f64::NAN, 1.0]);
        assert_eq!(
            (half.quantile(0.5), half.quantile(0.6)),
            (1.0, f64::INFINITY)
        );
        assert_eq!(half.cdf(1e9), 0.5);
    }

    #[test]
    fn the_sum_of_two_normals_is_the_normal_it_should_be() {
        let rng = Rng::seeded(5);
        let draws = |mean, sd| {
            let of = Distribution::Normal { mean, sd };
            Samples::new((0..20_000).map(|_| of.sample(&rng)).collect())
        };
        let sum = draws(3.0, 0.3).plus(&draws(5.0, 0.4), &rng);
        let expected = Distribution::Normal { mean: 8.0, sd: 0.5 };
        for p in [0.01, 0.5, 0.99] {
            let (low, high) = sum.interval(p);
            let exact = expected.quantile(p);
            assert!(high - low < 0.08, "{p}: {low}..{high}");
            // 95% of intervals hold it; 3 of 3 here, and a little room beside.
            assert!(
                (low - 0.02..high + 0.02).contains(&exact),
                "{p}: {exact} not in {low}..{high}"
            );
        }
        assert!((sum.mean() - 8.0).abs() < 0.02);
    }

    /// The interval is what it says: it holds the true quantile about 95 times in 100.
    #[test]
    fn the_stated_error_is_honest() {
        let of = Distribution::Lognormal {
            median: 1.0,
            sigma: 0.7,
        };
        for p in [0.5, 0.9, 0.99] {
            let held = (0..400).filter(|seed| {
                let rng = Rng::seeded(*seed);
                let drawn = Samples::new((0..2_000).map(|_| of.sample(&rng)).collect());
                let (low, high) = drawn.interval(p);
                (low..=high).contains(&of.quantile(p))
            });
            let held = held.count();
            assert!((368..=394).contains(&held), "{p}: {held} of 400");
        }
    }

    proptest! {
        #[test]
        fn quantile_and_cdf_are_inverse(draws in prop::collection::vec(0.0f64..1e6, 1..60), p in 0.0f64..1.0) {
            let samples = Samples::new(draws);
            let x = samples.quantile(p);
            prop_assert!(samples.cdf(x) >= p);
            let below = samples.values().iter().filter(|value| **value < x).count();
            prop_assert!(below as f64 / samples.values().len() as f64 <= p);
        }
    }
}
