//! What was observed, forgotten exponentially: quantiles of the recent past in constant memory.

/// Half of the width of a bucket, relative: a quantile is told to within 1% of its value.
const ACCURACY: f64 = 0.01;
/// What is smaller is counted as this.
const SMALLEST: f64 = 1e-6;
/// What is greater is counted as this.
const GREATEST: f64 = 1e6;

/// A histogram over logarithmic buckets whose older observations count less and less.
///
/// Buckets as in DDSketch (Masson, Rim, Lee, VLDB 2019): bucket `i` holds what lies in `(γ^(i−1), γ^i]` with
/// `γ = (1 + a) / (1 − a)`. Values from 10⁻⁶ to 10⁶; one of 10 kB.
#[derive(Clone, Debug)]
pub struct Sketch {
    weights: Vec<f64>,
    total: f64,
    /// Weight of the next observation: grows instead of all others shrinking.
    next: f64,
    /// By what it grows.
    growth: f64,
    count: u64,
}

fn gamma_ln() -> f64 {
    libm::log((1.0 + ACCURACY) / (1.0 - ACCURACY))
}

fn bucket(value: f64) -> usize {
    let value = value.clamp(SMALLEST, GREATEST);
    libm::ceil((libm::log(value) - libm::log(SMALLEST)) / gamma_ln()) as usize
}

impl Sketch {
    /// Nothing observed yet. After `half_life` more observations an observation counts half.
    pub fn new(half_life: f64) -> Self {
        Sketch {
            weights: vec![0.0; bucket(GREATEST) + 1],
            total: 0.0,
            next: 1.0,
            growth: libm::exp2(1.0 / half_life.max(1.0)),
            count: 0,
        }
    }

    /// Takes up one observation. What is no number is left out.
    pub fn observe(&mut self, value: f64) {
        if value.is_nan() {
            return;
        }
        self.weights[bucket(value)] += self.next;
        self.total += self.next;
        self.next *= self.growth;
        self.count += 1;
        if self.next > 1e200 {
            let shrink = 1.0 / self.next;
            self.weights.iter_mut().for_each(|weight| *weight *= shrink);
            self.total *= shrink;
            self.next = 1.0;
        }
    }

    /// How many observations there were in all.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How many fresh observations what is remembered amounts to; never more than `half_life / ln 2`, about 1.44 times it.
    pub fn weight(&self) -> f64 {
        self.total / self.next * self.growth
    }

    /// The value that a share `p` of the weight does not exceed, to within 1%; `None` before the first observation.
    pub fn quantile(&self, p: f64) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        let wanted = p.clamp(0.0, 1.0) * self.total;
        let mut below = 0.0;
        let filled = self
            .weights
            .iter()
            .enumerate()
            .filter(|(_, weight)| **weight > 0.0);
        let mut value = SMALLEST;
        for (index, weight) in filled {
            value = middle(index);
            below += weight;
            // Sums of many weights end a little short of the whole.
            if below >= wanted * (1.0 - 1e-12) {
                break;
            }
        }
        Some(value)
    }

    /// Each filled bucket's value and its share of the whole, ascending.
    pub fn shares(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let filled = self
            .weights
            .iter()
            .enumerate()
            .filter(|(_, weight)| **weight > 0.0);
        filled.map(|(index, weight)| (middle(index), weight / self.total))
    }
}

/// The value in the middle of a bucket, no further than the accuracy from any in it.
fn middle(index: usize) -> f64 {
    let upper = libm::exp(libm::log(SMALLEST) + index as f64 * gamma_ln());
    upper * (1.0 - ACCURACY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_forgets_at_the_rate_it_says() {
        let mut sketch = Sketch::new(50.0);
        (0..1_000).for_each(|_| sketch.observe(1.0));
        assert!((sketch.weight() - 72.6).abs() < 0.2, "{}", sketch.weight());
        // After 50 observations of another value, half of the weight is theirs; a few more tip the median.
        (0..48).for_each(|_| sketch.observe(5.0));
        assert!((sketch.quantile(0.5).unwrap() - 1.0).abs() < 0.02);
        (0..5).for_each(|_| sketch.observe(5.0));
        assert!((sketch.quantile(0.5).unwrap() - 5.0).abs() < 0.06);
        // Far beyond what a double could count up to without being scaled down.
        (0..100_000).for_each(|_| sketch.observe(2.0));
        assert!((sketch.quantile(0.0001).unwrap() - 2.0).abs() < 0.03);
        assert_eq!(sketch.count(), 101_053);
    }

    #[test]
    fn odd_values() {
        let mut sketch = Sketch::new(10.0);
        assert_eq!(sketch.quantile(0.5), None);
        sketch.observe(f64::NAN);
        assert_eq!(sketch.count(), 0);
        for value in [0.0, -3.0] {
            sketch.observe(value);
        }
        assert!(sketch.quantile(1.0).unwrap() <= SMALLEST * 1.02);
        sketch.observe(f64::INFINITY);
        assert!((sketch.quantile(1.0).unwrap() / GREATEST - 1.0).abs() < 0.02);
    }

    proptest! {
        #[test]
        fn quantiles_are_within_one_percent(mut values in prop::collection::vec(1e-5f64..1e5, 1..200), p in 0.0f64..1.0) {
            // So long a half-life that every observation counts the same.
            let mut sketch = Sketch::new(1e12);
            values.iter().for_each(|value| sketch.observe(*value));
            values.sort_by(f64::total_cmp);
            let rank = (p * values.len() as f64).ceil().max(1.0) as usize - 1;
            let (got, near) = (sketch.quantile(p).unwrap(), |at: usize| values[at.min(values.len() - 1)]);
            // Rounding may move a rank that is exactly a whole number by one.
            let close = |exact: f64| (got / exact - 1.0).abs() <= ACCURACY + 1e-9;
            prop_assert!(close(near(rank)) || close(near(rank + 1)) || close(near(rank.saturating_sub(1))));
        }
    }
}
