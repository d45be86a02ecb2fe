//! Which distribution measurements follow: families fitted, tested against the measurements, and the simplest that holds.
//!
//! Orientation: [`Family::Gumbel`] is the law of *maxima*, skewed to the right. What delays a copy is the smallest rate, which
//! lies at the other end; a caller for whom the slow end counts gives the time per part and not the rate.

mod mixture;

use serde::{Deserialize, Serialize};
use skyfresh_sky::{Distribution, Quantiles};
use std::f64::consts::PI;
use std::fmt;

/// A kind of distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Mean, and standard deviation with n − 1 in the denominator.
    Normal,
    /// Gumbel for maxima, by maximum likelihood.
    Gumbel,
    /// The logarithm is normal: mean and standard deviation of the logarithms. Only of positive measurements.
    Lognormal,
    /// One of two lognormals, by expectation maximisation. Only of 20 positive measurements or more.
    LognormalMixture,
    /// The measurements' own quantiles.
    Empirical,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Family::Normal => "normal",
            Family::Gumbel => "gumbel",
            Family::Lognormal => "lognormal",
            Family::LognormalMixture => "two lognormals",
            Family::Empirical => "empirical",
        })
    }
}

/// One family, fitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// What was fitted.
    pub family: Family,
    /// The result, in the unit of the measurements.
    pub distribution: Distribution,
    /// Numbers that were chosen to fit; of the empirical family the points that are kept.
    pub parameters: usize,
    /// Kolmogorov-Smirnov distance: the greatest difference between the fitted and the measured cumulative share, 0 to 1.
    pub distance: f64,
    /// [`critical_distance`] of this family and as many measurements.
    pub critical: f64,
    /// Natural logarithm of the density of the measurements under the fit; `None` for the empirical family, which has none.
    pub log_likelihood: Option<f64>,
}

impl Fit {
    /// Whether measurements that do follow the fitted family would be as far from their fit in fewer than one case in 100.
    pub fn rejected(&self) -> bool {
        self.distance > self.critical
    }

    /// Akaike's information criterion (1974), 2k − 2 ln L: smaller is better. `None` where there is no likelihood.
    pub fn aic(&self) -> Option<f64> {
        Some(2.0 * self.parameters as f64 - 2.0 * self.log_likelihood?)
    }
}

/// All families that could be fitted to some measurements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fits {
    fits: Vec<Fit>,
    observations: usize,
    left_out: usize,
}

/// Below this many measurements nothing but the empirical family is fitted: two parameters would pass through almost any.
pub const FEWEST: usize = 5;
/// Below this many measurements there is no mixture: four for each of its five parameters.
const FEWEST_FOR_MIXTURE: usize = 20;
/// More measurements than these are thinned. At so many a deviation of 1% of probability is rejected; smaller ones change no
/// plan, and with ever more measurements every simple family would be rejected for one of them.
pub const MOST: usize = 10_000;
/// Empirical families of no more measurements keep them all.
const KEPT_WHOLE: usize = 256;

/// Fits every family to measurements in any order. What is infinite or no number is left out and counted: where an infinite
/// delay means "never", the share of those is the caller's to add. Decided by the values alone, not by their order.
///
/// Above [`MOST`], families other than the empirical one see that many measurements, evenly spaced by rank.
pub fn fit(observations: &[f64]) -> Fits {
    let finite = observations.iter().copied().filter(|x| x.is_finite());
    let mut sorted: Vec<f64> = finite.collect();
    sorted.sort_by(f64::total_cmp);
    let mut fits = Fits {
        fits: Vec::new(),
        observations: sorted.len(),
        left_out: observations.len() - sorted.len(),
    };
    let (Some(&least), Some(&greatest)) = (sorted.first(), sorted.last()) else {
        return fits;
    };
    let used = thinned(&sorted);
    // Of constant measurements every family would be the same step.
    if used.len() >= FEWEST && least < greatest {
        fits.add(Family::Normal, normal(&used), 2, &used);
        fits.add(Family::Gumbel, gumbel(&used), 2, &used);
        if least > 0.0 {
            let logarithms: Vec<f64> = used.iter().map(|x| libm::log(*x)).collect();
            // The density of x is that of its logarithm, divided by x.
            let per_logarithm: f64 = logarithms.iter().sum();
            let lognormal = normal(&logarithms).and_then(|(of, likelihood)| match of {
                Distribution::Normal { mean, sd } => {
                    let median = libm::exp(mean);
                    let of = Distribution::Lognormal { median, sigma: sd };
                    Some((of, likelihood - per_logarithm))
                }
                _ => None,
            });
            fits.add(Family::Lognormal, lognormal, 2, &used);
            if used.len() >= FEWEST_FOR_MIXTURE {
                let mixture = mixture::fit(&logarithms)
                    .map(|(of, likelihood)| (of, likelihood - per_logarithm));
                fits.add(Family::LognormalMixture, mixture, 5, &used);
            }
        }
    }
    if let Some((quantiles, points)) = empirical(&sorted) {
        let distribution = Distribution::Empirical(quantiles);
        fits.fits.push(Fit {
            family: Family::Empirical,
            distance: distance(&distribution, &sorted),
            distribution,
            parameters: points,
            critical: critical_distance(Family::Empirical, used.len()),
            log_likelihood: None,
        });
    }
    fits
}

impl Fits {
    /// Families in the order of [`Family`]; those that could not be fitted are missing.
    pub fn all(&self) -> &[Fit] {
        &self.fits
    }

    /// A family's fit, where it could be fitted.
    pub fn of(&self, family: Family) -> Option<&Fit> {
        self.fits.iter().find(|fit| fit.family == family)
    }

    /// The family with the fewest parameters among those that are not rejected, of several the nearest; where all are
    /// rejected, the empirical one. `None` only where nothing finite was measured.
    pub fn best(&self) -> Option<&Fit> {
        let order = |a: &&Fit, b: &&Fit| {
            let fewer = a.parameters.cmp(&b.parameters);
            fewer.then(a.distance.total_cmp(&b.distance))
        };
        let standing = self.fits.iter().filter(|fit| !fit.rejected());
        standing
            .min_by(order)
            .or_else(|| self.of(Family::Empirical))
    }

    /// Measurements that were fitted to, before thinning.
    pub fn observations(&self) -> usize {
        self.observations
    }

    /// Measurements that were infinite or no number.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    fn add(
        &mut self,
        family: Family,
        fitted: Option<(Distribution, f64)>,
        parameters: usize,
        sorted: &[f64],
    ) {
        // Measurements at the ends of what a double holds overflow on the way: there the empirical family remains.
        let Some((distribution, log_likelihood)) = fitted.filter(|(of, _)| of.check().is_ok())
        else {
            return;
        };
        let distance = distance(&distribution, sorted);
        if distance.is_finite() && log_likelihood.is_finite() {
            self.fits.push(Fit {
                family,
                distribution,
                parameters,
                distance,
                critical: critical_distance(family, sorted.len()),
                log_likelihood: Some(log_likelihood),
            });
        }
    }
}

/// The Kolmogorov-Smirnov distance that one in 100 samples of `count` measurements exceeds although they follow the fitted
/// family.
///
/// - Normal, lognormal: Lilliefors' test, for both parameters estimated from the same sample. M. A. Stephens, "EDF Statistics
///   for Goodness of Fit and Some Comparisons", JASA 69 (1974) 730-737: 1.035 / (√n − 0.01 + 0.85/√n).
/// - Gumbel: both parameters estimated by maximum likelihood; 1.007 / √n for many measurements. M. Chandra, N. D.
///   Singpurwalla, M. A. Stephens, "Kolmogorov Statistics for Tests of Fit for the Extreme-Value and Weibull Distributions",
///   JASA 76 (1981) 729-731. The term for few measurements is ours; a test simulates the rate of rejections.
/// - Two lognormals: none is published. The smaller of the two above: right for fewer parameters than it has, so that it
///   rejects too seldom rather than too often.
/// - Empirical: nothing was estimated; the plain test, 1.628 / (√n + 0.12 + 0.11/√n) (Stephens, as above). With estimated
///   parameters this one would reject far too seldom.
pub fn critical_distance(family: Family, count: usize) -> f64 {
    let root = (count.max(1) as f64).sqrt();
    let normal = 1.035 / (root - 0.01 + 0.85 / root);
    let gumbel = 1.007 / (root + 0.02 + 0.6 / root);
    match family {
        Family::Normal | Family::Lognormal => normal,
        Family::Gumbel => gumbel,
        Family::LognormalMixture => normal.min(gumbel),
        Family::Empirical => 1.628 / (root + 0.12 + 0.11 / root),
    }
}

fn thinned(sorted: &[f64]) -> Vec<f64> {
    if sorted.len() <= MOST {
        return sorted.to_vec();
    }
    let step = sorted.len() as f64 / MOST as f64;
    let ranks = (0..MOST).map(|index| ((index as f64 + 0.5) * step) as usize);
    ranks.map(|rank| sorted[rank]).collect()
}

/// The greatest difference between the two cumulative shares, on both sides of every step.
fn distance(of: &Distribution, sorted: &[f64]) -> f64 {
    let count = sorted.len() as f64;
    let (mut seen, mut greatest) = (0, 0.0f64);
    for equal in sorted.chunk_by(|a, b| a == b) {
        let before = seen as f64 / count;
        seen += equal.len();
        let after = seen as f64 / count;
        let (below, at) = (of.cdf(equal[0].next_down()), of.cdf(equal[0]));
        for difference in [below - before, after - at] {
            // No number is not swallowed, as `max` would.
            if difference.is_nan() {
                return f64::NAN;
            }
            greatest = greatest.max(difference.abs());
        }
    }
    greatest
}

/// Mean, and standard deviation with n − 1 in the denominator.
fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|x| (x - mean) * (x - mean)).sum();
    (mean, (squares / (count - 1.0)).sqrt())
}

fn normal_log_density(x: f64, mean: f64, sd: f64) -> f64 {
    let z = (x - mean) / sd;
    -0.5 * (z * z + libm::log(2.0 * PI)) - libm::log(sd)
}

fn normal(values: &[f64]) -> Option<(Distribution, f64)> {
    let (mean, sd) = moments(values);
    let density = values.iter().map(|x| normal_log_density(*x, mean, sd));
    (sd > 0.0).then(|| (Distribution::Normal { mean, sd }, density.sum()))
}

/// By Newton's method on the likelihood's equation for the scale s, `s = mean − Σ x·w / Σ w` with `w = exp(−x/s)`, from the
/// scale that the standard deviation gives (π s/√6). The difference of the two sides grows by 1 or more per unit of s, so that
/// there is one root and Newton finds it. Source: N. L. Johnson, S. Kotz, N. Balakrishnan, Continuous Univariate
/// Distributions 2 (1995), chapter 22.
fn gumbel(sorted: &[f64]) -> Option<(Distribution, f64)> {
    let count = sorted.len() as f64;
    let (mean, sd) = moments(sorted);
    // From the smallest, so that no weight overflows.
    let least = *sorted.first()?;
    let sums = |scale: f64| {
        sorted.iter().fold((0.0, 0.0, 0.0), |(w, wx, wxx), x| {
            let x = x - least;
            let weight = libm::exp(-x / scale);
            (w + weight, wx + weight * x, wxx + weight * x * x)
        })
    };
    let mut scale = sd * 6f64.sqrt() / PI;
    if !(scale > 0.0 && scale.is_finite()) {
        return None;
    }
    for _ in 0..200 {
        let (weights, first, second) = sums(scale);
        let weighted = first / weights;
        let excess = scale - (mean - least) + weighted;
        let growth = 1.0 + (second / weights - weighted * weighted) / (scale * scale);
        // A step below zero would leave where the equation is defined.
        let next = (scale - excess / growth).max(scale / 4.0);
        let settled = (next / scale - 1.0).abs() < 1e-12;
        scale = next;
        if settled {
            break;
        }
    }
    let location = least - scale * libm::log(sums(scale).0 / count);
    let density = sorted.iter().map(|x| {
        let z = (x - location) / scale;
        -z - libm::exp(-z) - libm::log(scale)
    });
    Some((Distribution::Gumbel { location, scale }, density.sum()))
}

/// The smallest and every measurement, or of many every 200th and a few in both tails: the shape of a delay is in its tail.
fn empirical(sorted: &[f64]) -> Option<(Quantiles, usize)> {
    const TAIL: [f64; 6] = [0.0, 0.0001, 0.0002, 0.0005, 0.001, 0.002];
    let count = sorted.len();
    let shares: Vec<f64> = if count <= KEPT_WHOLE {
        (0..=count).map(|i| i as f64 / count as f64).collect()
    } else {
        let middle = (1..200).map(|i| f64::from(i) / 200.0);
        let upper = TAIL.iter().rev().map(|p| 1.0 - p);
        TAIL.into_iter().chain(middle).chain(upper).collect()
    };
    let value = |p: f64| sorted[((p * count as f64).ceil() as usize).clamp(1, count) - 1];
    let points: Vec<(f64, f64)> = shares.into_iter().map(|p| (p, value(p))).collect();
    let kept = points.len();
    Some((Quantiles::new(points).ok()?, kept))
}

#[cfg(test)]
#[path = "fit_tests.rs"]
mod tests;
