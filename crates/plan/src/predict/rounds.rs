//! Rounds that are lost because the object changes while it is copied.
//!
//! A copy in parts is of one version. Where the source keeps no older versions, a change makes every read fail that has not
//! begun by then: what was copied is given up, and copied again from the newest version. Reads that have begun go on (S3, GCS
//! and Azure answer a read from the version it was begun on). So a round is exposed from the look at the source until its
//! last part's read has begun, and is lost if the key changes meanwhile.
//!
//! In: how often the key changes, for how long a round is exposed. Out: the delay with all rounds that may be lost before
//! one is not. Never: counts on a change that would be spared.

/// Beyond so small a probability lost rounds are not counted, and the last delay that was is taken for all of them.
const NEGLIGIBLE: f64 = 1e-6;
/// So many rounds in a row are looked at, at most: what is lost as often as that is no way to be in time.
const MOST_ROUNDS: u32 = 64;
/// To which a delay is told, in seconds. A fixed step, so that a higher percentile is never told to be sooner.
const STEP_S: f64 = 1e-4;

/// What may be lost before a copy is not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rounds {
    /// The probability that a round is lost, 0 to 1.
    lost: f64,
    /// What a lost round takes, in seconds.
    lost_s: f64,
}

impl Rounds {
    /// None is ever lost: the key does not change so often, or the source keeps what was overwritten.
    pub const NONE: Rounds = Rounds {
        lost: 0.0,
        lost_s: 0.0,
    };

    /// Of a key that changes so often (Poisson), copied in a way that is exposed for one of these times in seconds, each as
    /// likely as the others. A lost round is taken to last for as long as it would have been exposed, and then for
    /// `given_up_s`, until what was begun is given up and the next round begins.
    pub fn of(changes_per_s: f64, exposed_s: impl Iterator<Item = f64>, given_up_s: f64) -> Self {
        if changes_per_s.is_nan() || changes_per_s <= 0.0 {
            return Rounds::NONE;
        }
        let (mut all, mut lost, mut lost_s) = (0.0, 0.0, 0.0);
        for exposed_s in exposed_s {
            let probability = 1.0 - libm::exp(-changes_per_s * exposed_s.max(0.0));
            all += 1.0;
            lost += probability;
            lost_s += probability * exposed_s;
        }
        if lost <= 0.0 {
            return Rounds::NONE;
        }
        Rounds {
            lost: lost / all,
            lost_s: lost_s / lost + given_up_s.max(0.0),
        }
    }

    /// Whether any may be lost at all.
    pub fn any(&self) -> bool {
        self.lost > 0.0
    }

    /// Rounds that a copy takes, in the mean; no more than a million.
    pub fn mean(&self) -> f64 {
        1.0 / (1.0 - self.lost).max(NEGLIGIBLE)
    }

    /// The share of copies that take no longer than `delay_s` in all, where `once` is the same of a round that is not lost.
    pub fn cdf(&self, delay_s: f64, once: impl Fn(f64) -> f64) -> f64 {
        if !self.any() {
            return once(delay_s);
        }
        let (mut sum, mut reached) = (0.0, 1.0);
        for round in 0..MOST_ROUNDS {
            let left_s = delay_s - self.lost_s * f64::from(round);
            if left_s <= 0.0 || reached < NEGLIGIBLE {
                break;
            }
            sum += reached * (1.0 - self.lost) * once(left_s);
            reached *= self.lost;
        }
        sum
    }

    /// The delay in seconds that a share `p` of copies does not exceed in all; infinite where so many are never done.
    /// `quantile` and `cdf` are those of a round that is not lost.
    pub fn quantile(&self, p: f64, quantile: impl Fn(f64) -> f64, cdf: impl Fn(f64) -> f64) -> f64 {
        let least_s = quantile(p);
        if !self.any() || !least_s.is_finite() {
            return least_s;
        }
        // Of those that may be late, half lose more rounds than so many, and half are slow in the round that is not lost.
        let missing = (1.0 - p).max(NEGLIGIBLE);
        let rounds = libm::log(missing / 2.0) / libm::log(self.lost);
        let high_s = quantile(1.0 - missing / 2.0) + rounds.max(0.0).ceil() * self.lost_s;
        if !high_s.is_finite() || self.cdf(high_s, &cdf) < p {
            return f64::INFINITY;
        }
        let in_steps = |delay_s: f64| delay_s / STEP_S;
        let mut low = in_steps(least_s).floor() as u64;
        let mut high = in_steps(high_s).ceil() as u64;
        while high > low + 1 {
            let middle = u64::midpoint(low, high);
            if self.cdf(middle as f64 * STEP_S, &cdf) >= p {
                high = middle;
            } else {
                low = middle;
            }
        }
        high as f64 * STEP_S
    }
}
