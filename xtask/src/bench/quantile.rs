//! Exact quantiles of a few thousand measurements.

use std::time::Duration;

/// Measurements in ascending order.
pub(super) struct Sorted(Vec<Duration>);

impl Sorted {
    /// Sorts the measurements.
    pub(super) fn new(mut values: Vec<Duration>) -> Sorted {
        values.sort_unstable();
        Sorted(values)
    }

    /// The smallest measurement that at least this share (0 to 1) does not exceed (nearest rank, nothing interpolated);
    /// `None` where there are none.
    pub(super) fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.max(1) - 1).or(self.0.last()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_measurements() {
        let sorted = Sorted::new((1..=100).rev().map(Duration::from_millis).collect());
        assert_eq!(sorted.quantile(0.0), Some(Duration::from_millis(1)));
        assert_eq!(sorted.quantile(0.5), Some(Duration::from_millis(50)));
        assert_eq!(sorted.quantile(0.99), Some(Duration::from_millis(99)));
        assert_eq!(sorted.quantile(1.0), Some(Duration::from_millis(100)));
        assert_eq!(
            Sorted::new(vec![Duration::from_millis(7)]).quantile(0.99),
            Some(Duration::from_millis(7))
        );
        assert_eq!(Sorted::new(Vec::new()).quantile(0.5), None);
    }
}
