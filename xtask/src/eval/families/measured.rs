//! The measured rates.

use anyhow::{Result, bail};
use skyfresh_sky::Distribution;
use skyfresh_sky::catalog::function_platforms;

/// Functions of one platform, transferring one way.
pub(super) struct Set {
    /// `aws-lambda read`.
    pub(super) name: String,
    /// What each function measured, in 10⁶ bytes a second, ascending.
    pub(super) rates_mb_per_s: Vec<f64>,
    /// From the call to the first line of a reused function, in seconds; and of a new one.
    pub(super) starts_s: [Distribution; 2],
}

/// Every function's rate, where the catalogue keeps quantiles.
const MEASURED: &str = include_str!("../../../../crates/plan/measured/function_rates.csv");

/// Six sets, and where they are from.
pub(super) fn sets() -> Result<(Vec<Set>, String)> {
    let mut sets = Vec::new();
    for platform in function_platforms() {
        for way in ["read", "write"] {
            let mut rates_mb_per_s = rates(MEASURED, &platform.platform, way)?;
            rates_mb_per_s.sort_by(f64::total_cmp);
            sets.push(Set {
                name: format!("{} {way}", platform.platform),
                rates_mb_per_s,
                starts_s: [platform.start_warm_s.clone(), platform.start_cold_s.clone()],
            });
        }
    }
    let origin = "Rates: 985 to 1,000 concurrent functions a set, each measured once over 512 MB (June 2022; lithops-cloud/applications, Apache-2.0).";
    Ok((sets, origin.into()))
}

fn rates(text: &str, platform: &str, way: &str) -> Result<Vec<f64>> {
    let mut rates = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')).skip(1) {
        let mut cells = line.split(',');
        if cells.next() != Some(platform) || cells.next() != Some(way) {
            continue;
        }
        let rate: Option<f64> = cells.next().and_then(|cell| cell.parse().ok());
        match rate.filter(|rate| *rate > 0.0) {
            Some(rate) => rates.push(rate),
            None => bail!("no rate: {line}"),
        }
    }
    if rates.is_empty() {
        bail!("no rates of {platform} {way} were measured");
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
