//! What receipts teach: by which factor things take longer than predicted, and how that varies.
//!
//! A prediction is made of the catalogue's figures and of arithmetic; what it lacks is mostly a factor: a link that is slower
//! today, an instance size with another rate. So what is learnt is the distribution of *actual / predicted median*. While
//! few receipts are in, the prior's shape is kept and only moved to where they lie; as they come in, their own
//! distribution takes most of its place.

use super::{KeptSketch, Sketch};
use skyfresh_sky::Invalid;

/// As many receipts as the prior counts for, for its shape. Chosen: a p99 is not seen in fewer than about a hundred.
const PRIOR_RECEIPTS: f64 = 60.0;
/// As many as it counts for, for its location: a median is known after a few.
const PRIOR_LOCATION_RECEIPTS: f64 = 4.0;
/// After so many more receipts, one counts half: what changed an hour ago should not be averaged with what is now.
const HALF_LIFE_RECEIPTS: f64 = 150.0;

/// Ratios of what something took to its predicted median.
#[derive(Clone, Debug)]
pub struct Residuals {
    sketch: Sketch,
    /// Ratio and the share of all that lie at or below it, ascending.
    cumulative: Vec<(f64, f64)>,
    /// By which the prior is moved.
    location: f64,
    /// The share of the prior in the prediction, 0 to 1.
    prior: f64,
}

impl Default for Residuals {
    fn default() -> Self {
        Residuals {
            sketch: Sketch::new(HALF_LIFE_RECEIPTS),
            cumulative: Vec::new(),
            location: 1.0,
            prior: 1.0,
        }
    }
}

impl Residuals {
    /// Takes up what something took, in seconds, whose predicted median was `median_s` (before anything learnt).
    pub fn observe(&mut self, took_s: f64, median_s: f64) {
        let usable = took_s.is_finite() && took_s > 0.0 && median_s.is_finite() && median_s > 0.0;
        if !usable {
            return;
        }
        self.sketch.observe(took_s / median_s);
        self.settle();
    }

    /// What it knows, to be kept; `None` where there were no receipts.
    pub fn keep(&self) -> Option<KeptSketch> {
        self.sketch.keep()
    }

    /// Knows what was kept.
    ///
    /// # Errors
    /// Nothing that can have been kept.
    pub fn restore(kept: &KeptSketch) -> Result<Self, Invalid> {
        let mut restored = Residuals {
            sketch: Sketch::restore(HALF_LIFE_RECEIPTS, kept)?,
            ..Residuals::default()
        };
        restored.settle();
        Ok(restored)
    }

    /// What follows from the sketch.
    fn settle(&mut self) {
        let weight = self.sketch.weight();
        let middle = self.sketch.quantile(0.5).unwrap_or(1.0);
        let trust = weight / (weight + PRIOR_LOCATION_RECEIPTS);
        self.location = libm::exp(trust * libm::log(middle));
        self.prior = PRIOR_RECEIPTS / (PRIOR_RECEIPTS + weight);
        let mut share = 0.0;
        self.cumulative.clear();
        for (ratio, part) in self.sketch.shares() {
            share += part;
            self.cumulative.push((ratio, share));
        }
    }

    /// How many receipts there were.
    pub fn receipts(&self) -> u64 {
        self.sketch.count()
    }

    /// By which factor things took longer than predicted, in the middle.
    pub fn location(&self) -> f64 {
        self.location
    }

    /// The share of transfers that take no more than `ratio` predicted medians, where `prior` is the same of the prediction.
    pub fn cdf(&self, ratio: f64, prior: impl Fn(f64) -> f64) -> f64 {
        let moved = prior(ratio / self.location);
        if self.prior >= 1.0 {
            return moved;
        }
        let below = self
            .cumulative
            .partition_point(|(value, _)| *value <= ratio);
        let seen = below
            .checked_sub(1)
            .map_or(0.0, |last| self.cumulative[last].1);
        self.prior * moved + (1.0 - self.prior) * seen.min(1.0)
    }

    /// The ratio that a share `p` does not exceed. `prior_quantile` and `prior_cdf` are the prediction's, in ratios.
    pub fn quantile(
        &self,
        p: f64,
        prior_quantile: impl Fn(f64) -> f64,
        prior_cdf: impl Fn(f64) -> f64,
    ) -> f64 {
        let moved = prior_quantile(p) * self.location;
        let Some(seen) = self.sketch.quantile(p).filter(|_| self.prior < 1.0) else {
            return moved;
        };
        // A mixture's quantile lies between its parts'.
        let (mut low, mut high) = (moved.min(seen), moved.max(seen));
        if !high.is_finite() {
            return high;
        }
        // To an eight-thousandth of the distance, which is far below the sketch's accuracy of a percent.
        for _ in 0..13 {
            let middle = f64::midpoint(low, high);
            if self.cdf(middle, &prior_cdf) >= p {
                high = middle;
            } else {
                low = middle;
            }
        }
        high
    }
}
