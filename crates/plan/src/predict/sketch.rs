//! What was observed, forgotten exponentially: quantiles of the recent past in constant memory.

use serde::{Deserialize, Serialize};
use skyfresh_sky::Invalid;

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

/// What a sketch remembers, to be kept elsewhere: a few hundred bytes, 20 kB at most.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptSketch {
    /// Observations there were in all.
    pub count: u64,
    /// How many fresh ones they amount to.
    pub weight: f64,
    /// Buckets that are filled, ascending, each with its share of the whole in millionths; smaller shares are left out.
    pub buckets: Vec<(u16, u32)>,
}

/// The whole, in the shares that are kept.
const WHOLE: f64 = 1e6;

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

    /// What it remembers; `None` before the first observation.
    pub fn keep(&self) -> Option<KeptSketch> {
        let share = |weight: f64| (weight / self.total * WHOLE).round() as u32;
        let filled = (0..).zip(&self.weights);
        (self.count > 0).then(|| KeptSketch {
            count: self.count,
            weight: self.weight(),
            buckets: filled
                .map(|(index, weight)| (index, share(*weight)))
                .filter(|(_, share)| *share > 0)
                .collect(),
        })
    }

    /// A sketch of this half-life that remembers what another one did.
    ///
    /// # Errors
    /// No sketch can have remembered this.
    pub fn restore(half_life: f64, kept: &KeptSketch) -> Result<Self, Invalid> {
        let no_sketch =
            |what: &str, why: &str| Err(Invalid::new("kept sketch", what.to_owned(), why));
        let mut sketch = Sketch::new(half_life);
        let shares: f64 = kept
            .buckets
            .iter()
            .map(|(_, share)| f64::from(*share))
            .sum();
        // Of as many buckets as there are, each may be rounded by half a millionth.
        if (shares / WHOLE - 1.0).abs() > 0.01 {
            return no_sketch(
                &format!("{shares} millionths"),
                "shares must add up to a million",
            );
        }
        let ascending = kept.buckets.is_sorted_by(|a, b| a.0 < b.0);
        let last = kept
            .buckets
            .last()
            .map_or(0, |(index, _)| usize::from(*index));
        if !ascending || last >= sketch.weights.len() {
            return no_sketch(
                &format!("buckets up to {last}"),
                "must ascend and be ones there are",
            );
        }
        // The weight that it comes near to and never has, and that of the first observation, with room for rounding.
        let most = sketch.growth / (sketch.growth - 1.0);
        if !(0.99..=most * 1.01).contains(&kept.weight) || kept.count == 0 {
            let what = format!("weight {} of {} observations", kept.weight, kept.count);
            return no_sketch(
                &what,
                "must be at least that of one, and no more than is ever remembered",
            );
        }
        sketch.total = kept.weight / sketch.growth;
        for (index, share) in &kept.buckets {
            sketch.weights[usize::from(*index)] = f64::from(*share) / shares * sketch.total;
        }
        sketch.count = kept.count;
        Ok(sketch)
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
    fn what_it_remembers_can_be_kept() {
        let mut sketch = Sketch::new(50.0);
        assert_eq!(sketch.keep(), None);
        for n in 0..1_000 {
            sketch.observe(1.0 + f64::from(n % 37) / 10.0);
        }
        let kept = sketch.keep().unwrap();
        let text = serde_json::to_string(&kept).unwrap();
        assert!(text.len() < 1_000, "{text}");
        let mut again = Sketch::restore(50.0, &serde_json::from_str(&text).unwrap()).unwrap();
        assert_eq!(again.count(), 1_000);
        assert!((again.weight() / sketch.weight() - 1.0).abs() < 1e-9);
        // And goes on as if it had never been away.
        for value in [None, Some(3.3), Some(0.2)] {
            if let Some(value) = value {
                (0..20).for_each(|_| sketch.observe(value));
                (0..20).for_each(|_| again.observe(value));
            }
            for p in [0.01, 0.25, 0.5, 0.9, 0.99] {
                assert_eq!(again.quantile(p), sketch.quantile(p), "p{p}, {value:?}");
            }
        }
    }

    #[test]
    fn what_no_sketch_remembers_is_refused() {
        let good = KeptSketch {
            count: 3,
            weight: 2.9,
            buckets: vec![(600, 400_000), (700, 600_000)],
        };
        assert!(Sketch::restore(50.0, &good).is_ok());
        let bad = |change: fn(&mut KeptSketch)| {
            let mut kept = good.clone();
            change(&mut kept);
            let told = Sketch::restore(50.0, &kept);
            assert!(told.is_err(), "{kept:?}");
        };
        bad(|kept| kept.count = 0);
        bad(|kept| kept.weight = 0.0);
        bad(|kept| kept.weight = f64::NAN);
        bad(|kept| kept.weight = 1e9);
        bad(|kept| kept.buckets.clear());
        bad(|kept| kept.buckets.reverse());
        bad(|kept| kept.buckets[1].0 = 600);
        bad(|kept| kept.buckets[1].0 = u16::MAX);
        bad(|kept| kept.buckets[1].1 = 1);
        bad(|kept| kept.buckets[1].1 = u32::MAX);
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
