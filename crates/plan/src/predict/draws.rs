//! Draws from a distribution at the price of a table look-up.

use skyfresh_sky::Distribution;

/// Random bits that a pick takes.
pub(super) const BITS: u32 = 12;
/// Points of the table. What lies beyond the outermost middle, 1 in 8,192 at either end, is never drawn: of a single worker
/// p99.99 is the last that is told apart. The tables of a route fit a core's cache.
const POINTS: usize = 1 << BITS;

/// So many points at either end are asked for one by one; between them every so manyth, the rest lie on lines between: the
/// quantile of a mixture is found by bisection, which thousands of points would make slow.
const TAIL: usize = 64;
const STEP: usize = 16;

/// Equally likely values of a distribution, ascending.
#[derive(Clone, Debug)]
pub(super) struct Draws(pub(super) Vec<f64>);

impl Draws {
    /// From its quantiles in the middle of each share. Nothing below `least` is drawn.
    pub(super) fn of(distribution: &Distribution, least: f64) -> Self {
        if let Distribution::Constant(value) = distribution {
            return Draws(vec![value.max(least)]);
        }
        let at = |point: usize| {
            let value = distribution.quantile((point as f64 + 0.5) / POINTS as f64);
            value.max(least)
        };
        let mut values = Vec::with_capacity(POINTS);
        while values.len() < POINTS {
            let from = values.len();
            let tail = !(TAIL..POINTS - TAIL).contains(&from);
            let (here, next) = (at(from), from + if tail { 1 } else { STEP });
            values.push(here);
            if !tail {
                let there = at(next);
                let step = |n: usize| here + (there - here) * n as f64 / STEP as f64;
                values.extend((1..STEP).map(step));
            }
        }
        Draws(values)
    }

    /// The value that the lowest [`BITS`] random bits decide.
    pub(super) fn pick(&self, bits: u64) -> f64 {
        // A constant is a table of one.
        self.0[bits as usize & (self.0.len() - 1)]
    }

    /// Whether there is nothing to decide.
    pub(super) fn is_constant(&self) -> bool {
        self.0.len() == 1
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
        // Beyond p99 a table of so many points is coarse.
        for (p, error) in [
            (0.001, 0.1),
            (0.1, 0.02),
            (0.5, 0.02),
            (0.99, 0.03),
            (0.999, 0.1),
        ] {
            let got = values[(p * values.len() as f64) as usize];
            assert!((got / of.quantile(p) - 1.0).abs() < error, "{p}: {got}");
        }
        assert!((draws.mean() / of.mean() - 1.0).abs() < 0.01);
        assert_eq!(
            Draws::of(&Distribution::Constant(-2.0), 0.5).pick(u64::MAX),
            0.5
        );
    }
}
