//! How distributions are written in files: what is read has been checked.

use super::{Distribution, Quantiles, Weighted};
use crate::Invalid;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Form {
    Constant(f64),
    Uniform {
        low: f64,
        high: f64,
    },
    Empirical(Quantiles),
    Lognormal {
        median: f64,
        sigma: f64,
    },
    #[serde(rename = "p50_p99")]
    P50P99(f64, f64),
    Normal {
        mean: f64,
        sd: f64,
    },
    Gumbel {
        location: f64,
        scale: f64,
    },
    Mixture(Vec<Weighted>),
}

impl TryFrom<Form> for Distribution {
    type Error = Invalid;

    fn try_from(form: Form) -> Result<Self, Invalid> {
        let distribution = match form {
            Form::Constant(value) => Distribution::Constant(value),
            Form::Uniform { low, high } => Distribution::Uniform { low, high },
            Form::Empirical(quantiles) => Distribution::Empirical(quantiles),
            Form::Lognormal { median, sigma } => Distribution::Lognormal { median, sigma },
            // The sigma that would be refused further down is none that the person wrote.
            Form::P50P99(p50, p99) if !(p50 > 0.0 && p99 >= p50) => {
                let why = "needs p50 greater than 0 and p99 no less than p50";
                return Err(Invalid::new("p50_p99", format!("[{p50}, {p99}]"), why));
            }
            Form::P50P99(p50, p99) => Distribution::from_p50_p99(p50, p99),
            Form::Normal { mean, sd } => Distribution::Normal { mean, sd },
            Form::Gumbel { location, scale } => Distribution::Gumbel { location, scale },
            Form::Mixture(parts) => Distribution::Mixture(parts),
        };
        distribution.check()?;
        Ok(distribution)
    }
}
