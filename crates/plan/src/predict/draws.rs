//! Draws from a distribution at the price of a table look-up.

use skyfresh_sky::Distribution;

/// Points of the table. What lies beyond the outermost middle, 1 in 32,768 at either end, is never drawn: the tail beyond
/// p99.99 of a single worker is not told apart from p99.997.
const POINTS: usize = 16_384;

/// Equally likely values of a distribution, ascending.
#[derive(Clone, Debug)]
pub(super) struct Draws(pub(super) Vec<f64>);

impl Draws {
    /// From its quantiles in the middle of each share. Nothing below `least` is drawn.
    pub(super) fn of(distribution: &Distribution, least: f64) -> Self {
        if let Distribution::Constant(value) = distribution {
            return Draws(vec![value.max(least)]);
        }
        let at = |point: usize| distribution.quantile((point as f64 + 0.5) / POINTS as f64);
        Draws((0..POINTS).map(|point| at(point).max(least)).collect())
    }

    /// The value that these random bits decide.
    pub(super) fn pick(&self, bits: u64) -> f64 {
        self.0[((u128::from(bits) * self.0.len() as u128) >> 64) as usize]
    }

    /// The mean.
    pub(super) fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skyfresh_sky::Rng;

    #[test]
    fn they_are_the_distribution() {
        let of = Distribution::from_p50_p99(1.0, 4.0);
        let (draws, rng) = (Draws::of(&of, 0.0), Rng::seeded(3));
        let mut values: Vec<f64> = (0..200_000).map(|_| draws.pick(rng.u64())).collect();
        values.sort_by(f64::total_cmp);
        for p in [0.001, 0.5, 0.99, 0.999] {
            let got = values[(p * values.len() as f64) as usize];
            assert!((got / of.quantile(p) - 1.0).abs() < 0.05, "{p}: {got}");
        }
        assert!((draws.mean() / of.mean() - 1.0).abs() < 0.01);
        assert_eq!(
            Draws::of(&Distribution::Constant(-2.0), 0.5).pick(u64::MAX),
            0.5
        );
    }
}
