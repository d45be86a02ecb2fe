//! Whether predictions kept their word: how often what happened was within the quantile that was predicted.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The predicted quantiles that are watched.
pub const LEVELS: [f64; 10] = [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999];

/// Standard deviations of a 99% interval. Not 95%: of ten levels one would be off by chance every other time.
const DEVIATES: f64 = 2.576;

/// Below this many outcomes that are expected on the rarer side of a level, agreement tells nothing.
const EXPECTED: f64 = 5.0;

/// Counts of outcomes by where they fell in the distribution that was predicted for them.
///
/// A predicted distribution's cumulative share at what happened is uniform over 0 to 1 where predictions are right (A. P.
/// Dawid, "The Prequential Approach", JRSS A 147 (1984) 278-292). This holds for distributions without steps: of a prediction
/// that has all of its probability at few values, give a share drawn evenly from the step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calibration {
    /// By the first level that is not below; the last are beyond all levels.
    counts: [u64; LEVELS.len() + 1],
    left_out: u64,
}

/// What is to be thought of a predicted quantile of a delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As often within it as was said, as far as so many outcomes tell.
    Calibrated,
    /// Less often within it: the delays are longer than that.
    TooOptimistic,
    /// More often within it: the delays are shorter than that.
    TooPessimistic,
    /// No difference, but there would be none to be seen: fewer than five outcomes are expected on the rarer side.
    Undecided,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Calibrated => "calibrated",
            Verdict::TooOptimistic => "too optimistic",
            Verdict::TooPessimistic => "too pessimistic",
            Verdict::Undecided => "undecided",
        })
    }
}

/// One level of the report.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// The share of outcomes that was said to be within this quantile.
    pub predicted: f64,
    /// The share that was. 0 where there are no outcomes.
    pub observed: f64,
    /// Where the true share lies with 99% confidence.
    pub interval: (f64, f64),
    /// What follows.
    pub verdict: Verdict,
}

impl Calibration {
    /// No outcomes yet.
    pub fn new() -> Self {
        Calibration::default()
    }

    /// Takes up one outcome: the predicted distribution's cumulative share at it, 0 to 1. What is no such number is left out
    /// and counted.
    pub fn observe(&mut self, share: f64) {
        if (0.0..=1.0).contains(&share) {
            self.counts[LEVELS.partition_point(|level| *level < share)] += 1;
        } else {
            self.left_out += 1;
        }
    }

    /// Outcomes taken up.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Outcomes left out because their share was no number of 0 to 1.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Every level, ascending.
    pub fn levels(&self) -> Vec<Level> {
        let count = self.count();
        let within = self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        let level = |(&predicted, within): (&f64, u64)| {
            let interval = wilson(within, count);
            let told = count as f64 * predicted.min(1.0 - predicted) >= EXPECTED;
            let verdict = if interval.1 < predicted {
                Verdict::TooOptimistic
            } else if interval.0 > predicted {
                Verdict::TooPessimistic
            } else if told {
                Verdict::Calibrated
            } else {
                Verdict::Undecided
            };
            let observed = within as f64 / count.max(1) as f64;
            Level {
                predicted,
                observed,
                interval,
                verdict,
            }
        };
        LEVELS.iter().zip(within).map(level).collect()
    }
}

/// The interval of a binomial share. E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference",
/// JASA 22 (1927) 209-212: unlike the usual one it holds near 0 and 1, which is where the levels are that matter.
fn wilson(within: u64, count: u64) -> (f64, f64) {
    if count == 0 {
        return (0.0, 1.0);
    }
    let (count, share) = (count as f64, within as f64 / count as f64);
    let squared = DEVIATES * DEVIATES / count;
    let centre = (share + squared / 2.0) / (1.0 + squared);
    let spread = (share * (1.0 - share) * squared + squared * squared / 4.0).sqrt();
    let half = spread / (1.0 + squared);
    // At the ends the interval reaches exactly to them, but for rounding.
    let low = if within == 0 { 0.0 } else { centre - half };
    let high = if share == 1.0 { 1.0 } else { centre + half };
    (low, high)
}

impl fmt::Display for Calibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "predicted  observed  99% interval      verdict")?;
        for level in self.levels() {
            let (low, high) = level.interval;
            let (predicted, observed, verdict) = (level.predicted, level.observed, level.verdict);
            writeln!(
                f,
                "{predicted:>9.3}  {observed:>8.4}  {low:.4} to {high:.4}  {verdict}"
            )?;
        }
        write!(f, "{} outcomes", self.count())?;
        match self.left_out {
            0 => Ok(()),
            left_out => write!(f, ", {left_out} left out"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop, prop_assert, proptest};
    use skyfresh_sky::{Distribution, Rng};

    /// Delays of a lognormal with sigma 0.5, predicted as one of `sigma` whose median is `median` times the true one.
    fn judged(seed: u64, outcomes: usize, sigma: f64, median: f64) -> Calibration {
        let rng = Rng::seeded(seed);
        let lognormal = |median, sigma| Distribution::Lognormal { median, sigma };
        let (truth, predicted) = (lognormal(3.0, 0.5), lognormal(3.0 * median, sigma));
        let mut calibration = Calibration::new();
        (0..outcomes).for_each(|_| calibration.observe(predicted.cdf(truth.sample(&rng))));
        calibration
    }

    fn verdict(of: &Calibration, predicted: f64) -> Verdict {
        let levels = of.levels();
        let level = levels.iter().find(|level| level.predicted == predicted);
        level.unwrap().verdict
    }

    #[test]
    fn right_predictions_are_called_calibrated() {
        let mut called = 0;
        for seed in 0..200 {
            let levels = judged(seed, 10_000, 0.5, 1.0).levels();
            let calibrated = |level: &&Level| level.verdict == Verdict::Calibrated;
            called += levels.iter().filter(calibrated).count();
        }
        // 99 of 100, of 2,000 that are not independent within a seed.
        assert!((1_950..2_000).contains(&called), "{called}");
    }

    #[test]
    fn wrong_predictions_are_called_by_name() {
        for seed in 0..20 {
            let narrow = judged(seed, 2_000, 0.35, 1.0);
            assert_eq!(verdict(&narrow, 0.01), Verdict::TooPessimistic);
            assert_eq!(verdict(&narrow, 0.5), Verdict::Calibrated, "{narrow}");
            assert_eq!(verdict(&narrow, 0.99), Verdict::TooOptimistic);
            let wide = judged(seed, 2_000, 0.8, 1.0);
            assert_eq!(verdict(&wide, 0.1), Verdict::TooOptimistic);
            assert_eq!(verdict(&wide, 0.9), Verdict::TooPessimistic);
            let early = judged(seed, 2_000, 0.5, 0.7);
            let late = judged(seed, 2_000, 0.5, 1.4);
            for level in [0.25, 0.5, 0.9] {
                assert_eq!(verdict(&early, level), Verdict::TooOptimistic);
                assert_eq!(verdict(&late, level), Verdict::TooPessimistic);
            }
        }
    }

    #[test]
    fn few_outcomes_decide_little() {
        let nothing = Calibration::new();
        assert!(
            nothing
                .levels()
                .iter()
                .all(|level| level.verdict == Verdict::Undecided)
        );
        let few = judged(1, 50, 0.5, 1.0);
        assert_eq!(verdict(&few, 0.999), Verdict::Undecided);
        assert_eq!(verdict(&few, 0.5), Verdict::Calibrated);
        // Twenty of twenty beyond the p99 decide, however few they are.
        let mut late = Calibration::new();
        (0..20).for_each(|_| late.observe(0.9995));
        assert_eq!(verdict(&late, 0.99), Verdict::TooOptimistic);
    }

    #[test]
    fn wilson_by_hand() {
        // 8 of 10: z²/n = 0.663578; centre (0.8 + 0.331789) / 1.663578 = 0.680334; half of the width
        // √(0.16 × 0.663578 + 0.663578²/4) / 1.663578 = √0.216256 / 1.663578 = 0.279538.
        let (low, high) = wilson(8, 10);
        assert!((low - 0.400796).abs() < 1e-5, "{low}");
        assert!((high - 0.959872).abs() < 1e-5, "{high}");
        assert_eq!(wilson(0, 10).0, 0.0);
        assert_eq!(wilson(10, 10).1, 1.0);
    }

    #[test]
    fn it_is_printed_as_a_table_and_kept() {
        let mut calibration = Calibration::new();
        for i in 0..1_000 {
            calibration.observe((f64::from(i) + 0.5) / 1_000.0);
        }
        calibration.observe(f64::NAN);
        let table = "\
predicted  observed  99% interval      verdict
    0.010    0.0100  0.0045 to 0.0219  calibrated
    0.050    0.0500  0.0350 to 0.0709  calibrated
    0.100    0.1000  0.0781 to 0.1271  calibrated
    0.250    0.2500  0.2165 to 0.2868  calibrated
    0.500    0.5000  0.4594 to 0.5406  calibrated
    0.750    0.7500  0.7132 to 0.7835  calibrated
    0.900    0.9000  0.8729 to 0.9219  calibrated
    0.950    0.9500  0.9291 to 0.9650  calibrated
    0.990    0.9900  0.9781 to 0.9955  calibrated
    0.999    0.9990  0.9915 to 0.9999  undecided
1000 outcomes, 1 left out";
        assert_eq!(calibration.to_string(), table);
        let kept = serde_json::to_string(&calibration).unwrap();
        assert_eq!(
            serde_json::from_str::<Calibration>(&kept).unwrap(),
            calibration
        );
    }

    proptest! {
        #[test]
        fn every_outcome_is_counted_once(shares in prop::collection::vec(-0.2f64..1.2, 0..200)) {
            let mut calibration = Calibration::new();
            shares.iter().for_each(|share| calibration.observe(*share));
            prop_assert!(calibration.count() + calibration.left_out() == shares.len() as u64);
            let kept: Vec<f64> = shares.into_iter().filter(|share| (0.0..=1.0).contains(share)).collect();
            for level in calibration.levels() {
                let within = kept.iter().filter(|share| **share <= level.predicted).count();
                prop_assert!((level.observed * kept.len() as f64 - within as f64).abs() < 1e-9);
                prop_assert!(level.interval.0 <= level.observed && level.observed <= level.interval.1);
            }
        }
    }
}
