//! Means over seeds and quantiles of objects, with their intervals.

use skyfresh_sky::Rng;

/// The mean of the seeds' figures, and half of its 95% interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Mean {
    pub(super) value: f64,
    pub(super) error: f64,
}

impl Mean {
    /// Of at least two figures, one a seed.
    pub(super) fn of(values: &[f64]) -> Self {
        Mean {
            value: average(values),
            error: half_interval(values),
        }
    }

    /// Of the differences between what two runs with the same seed gave: what both have in common (the load, the delays of
    /// notifications) cancels out.
    pub(super) fn of_differences(ours: &[f64], theirs: &[f64]) -> Self {
        let pairs = ours.iter().zip(theirs);
        Mean::of(&pairs.map(|(a, b)| a - b).collect::<Vec<_>>())
    }

    /// `5.74 (±0.10)`, seconds or whatever it is.
    pub(super) fn text(&self) -> String {
        format!("{:.2} (±{:.2})", self.value, self.error)
    }

    /// Whether zero is not within the interval, and on which side of it the mean lies.
    pub(super) fn sign(&self) -> Sign {
        match self.value {
            value if value + self.error < 0.0 => Sign::Below,
            value if value - self.error > 0.0 => Sign::Above,
            _ => Sign::Undecided,
        }
    }
}

/// See [`Mean::sign`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Below,
    Undecided,
    Above,
}

pub(super) fn average(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Student's t at 97.5% for 1 to 9 degrees of freedom (any table of it); beyond, that of 10 is wide enough.
const T: [f64; 9] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262,
];

/// Half of the 95% interval of the mean of these values; infinite for fewer than two of them.
fn half_interval(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return f64::INFINITY;
    }
    let (count, mean) = (values.len() as f64, average(values));
    let variance = values
        .iter()
        .map(|value| (value - mean) * (value - mean))
        .sum::<f64>()
        / (count - 1.0);
    let t = T.get(values.len() - 2).copied().unwrap_or(2.228);
    t * (variance / count).sqrt()
}

/// The smallest value that at least a share `p` of these does not exceed; they are put in order. 0 of none.
pub(super) fn quantile(values: &mut [f64], p: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (p * values.len() as f64).ceil() as usize;
    let last = values.len().saturating_sub(1);
    values
        .get(rank.saturating_sub(1).min(last))
        .copied()
        .unwrap_or(0.0)
}

/// What the same objects took in two ways.
#[derive(Clone, Debug)]
pub(super) struct Paired(Vec<(f64, f64)>);

/// Draws of a bootstrap.
const DRAWS: usize = 1_000;

impl Paired {
    /// Of runs with the same seeds, whose figures are in the order of the objects.
    pub(super) fn of(ours: &[Vec<f64>], theirs: &[Vec<f64>]) -> Self {
        let seeds = ours.iter().zip(theirs);
        let pairs = seeds.flat_map(|(ours, theirs)| ours.iter().zip(theirs));
        Paired(pairs.map(|(a, b)| (*a, *b)).collect())
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn ours(&self, p: f64) -> f64 {
        quantile(&mut self.0.iter().map(|pair| pair.0).collect::<Vec<_>>(), p)
    }

    pub(super) fn theirs(&self, p: f64) -> f64 {
        quantile(&mut self.0.iter().map(|pair| pair.1).collect::<Vec<_>>(), p)
    }

    /// Where the difference of the quantiles, ours less theirs, lies with 95% confidence: by drawing as many pairs again and
    /// again from these (B. Efron, "Bootstrap Methods", Annals of Statistics 7 (1979) 1-26).
    pub(super) fn interval_of_difference(&self, p: f64) -> (f64, f64) {
        let rng = Rng::named(1, "bootstrap");
        let mut differences: Vec<f64> = (0..DRAWS)
            .map(|_| {
                let draw = |_| self.0[rng.below(self.0.len() as u64) as usize];
                let drawn = Paired((0..self.0.len()).map(draw).collect());
                drawn.ours(p) - drawn.theirs(p)
            })
            .collect();
        let low = quantile(&mut differences, 0.025);
        (low, quantile(&mut differences, 0.975))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_students() {
        // Standard deviation √2, of a mean of two 1: t is 12.706.
        let two = Mean::of(&[2.0, 4.0]);
        assert!((two.value - 3.0).abs() < 1e-12 && (two.error - 12.706).abs() < 1e-9);
        assert_eq!(two.text(), "3.00 (±12.71)");
        assert_eq!(two.sign(), Sign::Undecided);
        assert_eq!(Mean::of(&[1.0]).error, f64::INFINITY);
    }

    #[test]
    fn differences_are_taken_seed_by_seed() {
        let difference = Mean::of_differences(&[1.0, 2.0, 3.0], &[1.5, 2.5, 3.5]);
        assert_eq!(difference.sign(), Sign::Below);
        assert_eq!(difference.error, 0.0);
        let none = Mean::of_differences(&[1.0, 2.0], &[2.0, 1.0]);
        assert_eq!(none.sign(), Sign::Undecided);
    }

    #[test]
    fn a_bootstrap_tells_a_difference_from_none() {
        let rng = Rng::seeded(1);
        let draws: Vec<f64> = (0..400).map(|_| rng.unit()).collect();
        let later: Vec<f64> = draws.iter().map(|value| value + 0.1).collect();
        let shifted = Paired::of(std::slice::from_ref(&draws), &[later]);
        let (low, high) = shifted.interval_of_difference(0.9);
        assert!((low + 0.1).abs() < 1e-9 && (high + 0.1).abs() < 1e-9);
        let other: Vec<f64> = (0..400).map(|_| rng.unit()).collect();
        let (low, high) = Paired::of(&[draws], &[other]).interval_of_difference(0.5);
        assert!(low < 0.0 && high > 0.0, "{low} to {high}");
    }

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let mut values = [3.0, 1.0, 2.0, 4.0];
        assert_eq!(quantile(&mut values, 0.5), 2.0);
        assert_eq!(quantile(&mut values, 0.99), 4.0);
        assert_eq!(quantile(&mut values, 0.0), 1.0);
        assert_eq!(quantile(&mut [], 0.5), 0.0);
    }
}
