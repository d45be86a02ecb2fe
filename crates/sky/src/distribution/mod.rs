//! Distributions of delays, rates and sizes: drawn from by the simulator, asked for quantiles by planners.
//!
//! A distribution has no unit of its own; whoever holds one names the unit. Everything is computed with `libm` and basic
//! arithmetic, so that one seed gives the same draws on every machine.

mod form;
mod normal;
mod quantiles;

pub use quantiles::Quantiles;

use crate::{Invalid, Rng};
use serde::{Deserialize, Serialize};

/// A distribution over real numbers.
///
/// In TOML and JSON: `{ constant = 3.0 }`, `{ uniform = { low = 1, high = 2 } }`, `{ empirical = [[0.01, 74.8], [0.5, 99.8]] }`,
/// `{ lognormal = { median = 1.3, sigma = 0.2 } }`, `{ normal = { mean = 1, sd = 0.1 } }`,
/// `{ gumbel = { location = 1, scale = 0.2 } }`, `{ mixture = [{ weight = 0.6, of = { constant = 1 } }] }`, and
/// `{ p50_p99 = [1.345, 2.216] }`, which becomes the lognormal through these two quantiles. What is read has been checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", try_from = "form::Form")]
pub enum Distribution {
    /// Always this value.
    Constant(f64),
    /// Evenly over `low..high`.
    Uniform {
        /// The smallest value.
        low: f64,
        /// The greatest value.
        high: f64,
    },
    /// As measured.
    Empirical(Quantiles),
    /// The logarithm is normal.
    Lognormal {
        /// Half of the values are below. Greater than 0.
        median: f64,
        /// Standard deviation of the natural logarithm, 0 to [`MAX_SIGMA`].
        sigma: f64,
    },
    /// Normal. Reaches below zero: who draws a delay from it clamps.
    Normal {
        /// The mean.
        mean: f64,
        /// The standard deviation, 0 or more.
        sd: f64,
    },
    /// Gumbel, for maxima.
    Gumbel {
        /// The mode.
        location: f64,
        /// The scale, 0 or more.
        scale: f64,
    },
    /// One of several, chosen by weight.
    Mixture(Vec<Weighted>),
}

/// A part of a mixture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weighted {
    /// Its share of the sum of all weights; 0 or more.
    pub weight: f64,
    /// What is drawn from where this part is chosen.
    pub of: Distribution,
}

/// The greatest `sigma` of a lognormal: at 10 one standard deviation is a factor of 22,000, beyond any delay or size, and
/// no draw of 64 bits of randomness overflows.
pub const MAX_SIGMA: f64 = 10.0;

/// Parts of one mixture. Measured distributions have two or three modes.
const MAX_PARTS: usize = 64;

/// The smallest probability that is drawn: half of the step of [`Rng::unit`], so that no draw is infinite.
const MIN_DRAWN_P: f64 = f64::EPSILON / 4.0;

impl Distribution {
    /// The lognormal with these two quantiles. `p50` must be positive and `p99` no less; [`Distribution::check`] refuses others.
    pub fn from_p50_p99(p50: f64, p99: f64) -> Self {
        Distribution::Lognormal {
            median: p50,
            sigma: libm::log(p99 / p50) / normal::quantile(0.99),
        }
    }

    /// One draw, decided by the state of `rng`. A mixture draws twice or more: the part, then the value.
    pub fn sample(&self, rng: &Rng) -> f64 {
        match self {
            Distribution::Constant(value) => *value,
            Distribution::Mixture(parts) => {
                let mut left = rng.unit() * total_weight(parts);
                let mut chosen = None;
                for part in parts.iter().filter(|part| part.weight > 0.0) {
                    chosen = Some(part);
                    left -= part.weight;
                    if left < 0.0 {
                        break;
                    }
                }
                chosen.map_or(f64::NAN, |part| part.of.sample(rng))
            }
            _ => self.quantile(rng.unit().max(MIN_DRAWN_P)),
        }
    }

    /// The smallest value that at least a share `p` of the draws does not exceed. `p` is clamped to `0.0..=1.0`; at the ends
    /// it is infinite where the distribution has no bound.
    pub fn quantile(&self, p: f64) -> f64 {
        let p = p.clamp(0.0, 1.0);
        match self {
            Distribution::Constant(value) => *value,
            Distribution::Uniform { low, high } => low + (high - low) * p,
            Distribution::Empirical(quantiles) => quantiles.quantile(p),
            Distribution::Lognormal { median, sigma } => {
                median * libm::exp(spread(*sigma, normal::quantile(p)))
            }
            Distribution::Normal { mean, sd } => mean + spread(*sd, normal::quantile(p)),
            Distribution::Gumbel { location, scale } => {
                location + spread(*scale, -libm::log(-libm::log(p)))
            }
            Distribution::Mixture(parts) => mixture_quantile(parts, p),
        }
    }

    /// The share of the draws that does not exceed `x`.
    pub fn cdf(&self, x: f64) -> f64 {
        match self {
            Distribution::Constant(value) => step(x, *value),
            Distribution::Uniform { low, high } if low == high => step(x, *low),
            Distribution::Uniform { low, high } => ((x - low) / (high - low)).clamp(0.0, 1.0),
            Distribution::Empirical(quantiles) => quantiles.cdf(x),
            Distribution::Lognormal { median, .. } if x <= 0.0 => step(x, *median),
            Distribution::Lognormal { median, sigma } if *sigma == 0.0 => step(x, *median),
            Distribution::Lognormal { median, sigma } => normal::cdf(libm::log(x / median) / sigma),
            Distribution::Normal { mean, sd } if *sd == 0.0 => step(x, *mean),
            Distribution::Normal { mean, sd } => normal::cdf((x - mean) / sd),
            Distribution::Gumbel { location, scale } if *scale == 0.0 => step(x, *location),
            Distribution::Gumbel { location, scale } => {
                libm::exp(-libm::exp(-(x - location) / scale))
            }
            Distribution::Mixture(parts) => mean_over(parts, |of| of.cdf(x)),
        }
    }

    /// The mean.
    pub fn mean(&self) -> f64 {
        match self {
            Distribution::Constant(value) => *value,
            Distribution::Uniform { low, high } => f64::midpoint(*low, *high),
            Distribution::Empirical(quantiles) => quantiles.mean(),
            Distribution::Lognormal { median, sigma } => median * libm::exp(sigma * sigma / 2.0),
            Distribution::Normal { mean, .. } => *mean,
            Distribution::Gumbel { location, scale } => {
                location + scale * std::f64::consts::EULER_GAMMA
            }
            Distribution::Mixture(parts) => mean_over(parts, Distribution::mean),
        }
    }

    /// Whether the parameters describe a distribution.
    ///
    /// # Errors
    /// Says which parameter cannot be used, and what would be accepted.
    pub fn check(&self) -> Result<(), Invalid> {
        let finite = |name: &'static str, value: f64| {
            refuse(!value.is_finite(), name, value, "must be a finite number")
        };
        let no_less = |name: &'static str, value: f64| {
            finite(name, value)?;
            refuse(value < 0.0, name, value, "must be 0 or more")
        };
        match self {
            Distribution::Constant(value) => finite("constant", *value),
            Distribution::Uniform { low, high } => {
                finite("uniform low", *low)?;
                finite("uniform high", *high)?;
                refuse(
                    high < low,
                    "uniform high",
                    *high,
                    "must be no less than low",
                )
            }
            // Checked when it was made.
            Distribution::Empirical(_) => Ok(()),
            Distribution::Lognormal { median, sigma } => {
                finite("lognormal median", *median)?;
                let why = "must be greater than 0: a logarithm is taken of it";
                refuse(*median <= 0.0, "lognormal median", *median, why)?;
                no_less("lognormal sigma", *sigma)?;
                let why = "must be 10 or less: it is the spread of the natural logarithm";
                refuse(*sigma > MAX_SIGMA, "lognormal sigma", *sigma, why)
            }
            Distribution::Normal { mean, sd } => {
                finite("normal mean", *mean)?;
                no_less("normal sd", *sd)
            }
            Distribution::Gumbel { location, scale } => {
                finite("gumbel location", *location)?;
                no_less("gumbel scale", *scale)
            }
            Distribution::Mixture(parts) => {
                for part in parts {
                    no_less("weight of a mixture", part.weight)?;
                    part.of.check()?;
                }
                let given = || format!("{} parts", parts.len());
                if parts.len() > MAX_PARTS {
                    let why = format!("at most {MAX_PARTS} parts");
                    return Err(Invalid::new("mixture", given(), why));
                }
                let total = total_weight(parts);
                if total > 0.0 && total.is_finite() {
                    return Ok(());
                }
                let why = "the weights must have a finite sum greater than 0";
                Err(Invalid::new("mixture", given(), why))
            }
        }
    }
}

/// All of the probability at one value.
fn step(x: f64, value: f64) -> f64 {
    if x >= value { 1.0 } else { 0.0 }
}

/// `scale * deviates`, and 0 where there is no spread: 0 × ∞ would not be a number.
fn spread(scale: f64, deviates: f64) -> f64 {
    if scale == 0.0 { 0.0 } else { scale * deviates }
}

fn refuse(bad: bool, what: &'static str, given: f64, why: &str) -> Result<(), Invalid> {
    if bad {
        return Err(Invalid::new(what, given.to_string(), why));
    }
    Ok(())
}

fn total_weight(parts: &[Weighted]) -> f64 {
    parts.iter().map(|part| part.weight).sum()
}

fn mean_over(parts: &[Weighted], of: impl Fn(&Distribution) -> f64) -> f64 {
    let weighted = parts.iter().filter(|part| part.weight > 0.0);
    let sum: f64 = weighted.map(|part| part.weight * of(&part.of)).sum();
    sum / total_weight(parts)
}

/// By bisection between the parts' own quantiles, which enclose it.
fn mixture_quantile(parts: &[Weighted], p: f64) -> f64 {
    let of_parts = || {
        let weighted = parts.iter().filter(|part| part.weight > 0.0);
        weighted.map(|part| part.of.quantile(p))
    };
    let mut below = of_parts().fold(f64::INFINITY, f64::min);
    let mut above = of_parts().fold(f64::NEG_INFINITY, f64::max);
    let reached = |x: f64| mean_over(parts, |of| of.cdf(x)) >= p;
    if p == 0.0 || reached(below) {
        return below;
    }
    if p == 1.0 {
        return above;
    }
    // Until no number lies between: 64 halvings of the distance, and as many again as the magnitudes differ by.
    loop {
        let middle = f64::midpoint(below, above);
        if !(below..above).contains(&middle) || middle == below {
            return above;
        }
        if reached(middle) {
            above = middle;
        } else {
            below = middle;
        }
    }
}

#[cfg(test)]
mod tests;
