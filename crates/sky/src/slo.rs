//! Freshness objectives.

use crate::{Invalid, format_delay, parse_delay};
use serde::{Deserialize, Serialize};
use std::str::FromStr;
use std::time::Duration;

/// "This share of changes is readable at the destination within this delay", written `60s` (p99) or `10s@p99.9`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slo {
    /// From the change at the source to that version, or a newer one, readable at the destination.
    pub delay: Duration,
    /// Share of changes that must meet it, in percent, in (0, 100).
    pub percentile: f64,
}

impl Default for Slo {
    /// One minute at p99.
    fn default() -> Self {
        Slo {
            delay: Duration::from_secs(60),
            percentile: 99.0,
        }
    }
}

impl FromStr for Slo {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = |why: &str| Invalid::new("SLO", text, why);
        let (delay, percentile) = match text.split_once('@') {
            None => (text, 99.0),
            Some((delay, percentile)) => {
                let number = percentile
                    .strip_prefix('p')
                    .ok_or_else(|| bad("the percentile is written p99"))?;
                (
                    delay,
                    number
                        .parse()
                        .map_err(|_| bad("the percentile is written p99"))?,
                )
            }
        };
        let delay = parse_delay(delay)
            .map_err(|_| bad("expected DELAY or DELAY@pN, e.g. 60s or 10s@p99.9"))?;
        if delay.is_zero() || !(percentile > 0.0 && percentile < 100.0) {
            return Err(bad(
                "the delay must be above zero and the percentile between 0 and 100",
            ));
        }
        Ok(Slo { delay, percentile })
    }
}

impl std::fmt::Display for Slo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@p{}", format_delay(self.delay), self.percentile)
    }
}

impl TryFrom<String> for Slo {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Slo> for String {
    fn from(slo: Slo) -> String {
        slo.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_writes() {
        for text in ["60s", "10s@p99.9", "250ms@p50"] {
            let slo: Slo = text.parse().unwrap();
            assert_eq!(slo.to_string().parse::<Slo>().unwrap(), slo);
        }
        for bad in ["", "0s", "10s@99", "10s@p100", "10s@p0", "soon"] {
            assert!(bad.parse::<Slo>().is_err(), "{bad}");
        }
    }
}
