//! The measured rates, or where they are absent what the catalogue has kept of them.

use crate::workspace;
use anyhow::{Context, Result, bail};
use skyfresh_sky::Distribution;
use skyfresh_sky::catalog::function_platforms;
use std::fs;

/// Functions of one platform, transferring one way.
pub(super) struct Set {
    /// `aws-lambda read`.
    pub(super) name: String,
    /// What each function measured, in 10⁶ bytes a second, ascending.
    pub(super) rates_mb_per_s: Vec<f64>,
    /// From the call to the first line of a reused function, in seconds; and of a new one.
    pub(super) starts_s: [Distribution; 2],
}

const PATH: &str = "../shared/data/functions/function_bandwidth.csv";

/// Six sets, and where they are from.
pub(super) fn sets() -> Result<(Vec<Set>, String)> {
    let path = workspace::root().join(PATH);
    let text = match fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("cannot read {PATH}")),
    };
    let mut sets = Vec::new();
    for platform in function_platforms() {
        let ways = [
            ("read", &platform.read_mb_per_s),
            ("write", &platform.write_mb_per_s),
        ];
        for (way, kept) in ways {
            let mut rates_mb_per_s = match &text {
                Some(text) => rates(text, &platform.platform, way)?,
                None => (0..1_000)
                    .map(|index| kept.quantile((f64::from(index) + 0.5) / 1_000.0))
                    .collect(),
            };
            rates_mb_per_s.sort_by(f64::total_cmp);
            sets.push(Set {
                name: format!("{} {way}", platform.platform),
                rates_mb_per_s,
                starts_s: [platform.start_warm_s.clone(), platform.start_cold_s.clone()],
            });
        }
    }
    let origin = match text {
        Some(_) => {
            "Rates: 985 to 1,000 concurrent functions a set, each measured once over 512 MB (June 2022; lithops-cloud/applications, Apache-2.0)."
        }
        None => {
            "**Rates: the measurements are absent; 1,000 values between the 33 quantiles that the catalogue has kept of each set. Distances D are those of a smoothed set.**"
        }
    };
    Ok((sets, origin.into()))
}

fn rates(text: &str, platform: &str, way: &str) -> Result<Vec<f64>> {
    let mut rates = Vec::new();
    for line in text.lines().skip(1) {
        let mut cells = line.split(',');
        if cells.next() != Some(platform) || cells.next() != Some(way) {
            continue;
        }
        let rate: Option<f64> = cells.next().and_then(|cell| cell.parse().ok());
        match rate.filter(|rate| *rate > 0.0) {
            Some(rate) => rates.push(rate),
            None => bail!("no rate in {PATH}: {line}"),
        }
    }
    if rates.is_empty() {
        bail!("{PATH} has no rates of {platform} {way}");
    }
    Ok(rates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_wrong_ones_refused() {
        let text = "platform,op,mb_per_s,start_delay_s,cold\na,read,2.5,0,0\na,write,1,0,0\na,read,0.5,0,1\n";
        assert_eq!(rates(text, "a", "read").unwrap(), [2.5, 0.5]);
        assert!(rates(text, "b", "read").is_err());
        assert!(rates("head\na,read,fast,0,0\n", "a", "read").is_err());
        assert!(rates("head\na,read,0,0,0\n", "a", "read").is_err());
    }
}
