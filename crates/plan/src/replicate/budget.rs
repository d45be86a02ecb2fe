//! Dollars an hour or a month for one rule: what is left, and what happens when nothing is.

use serde::{Deserialize, Serialize};
use skyfresh_sky::Usd;
use std::time::Duration;

/// A budget of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Dollars in each period.
    pub usd: Usd,
    /// How long a period is.
    #[serde(default)]
    pub per: Period,
    /// What happens when they are spent.
    #[serde(default)]
    pub on_cap: OnCap,
}

/// How long a budget lasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// An hour.
    Hour,
    /// 30 days.
    #[default]
    Month,
}

impl Period {
    /// Its length.
    pub fn length(self) -> Duration {
        match self {
            Period::Hour => Duration::from_secs(3_600),
            Period::Month => Duration::from_secs(30 * 86_400),
        }
    }
}

/// What happens when a budget is spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnCap {
    /// The cheapest plans, late or not.
    #[default]
    Degrade,
    /// Nothing until the period is over.
    Pause,
}

/// What the budget allows now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spending {
    /// Plans by the SLO.
    Normal,
    /// At this rate the budget ends before its period does: say so. Plans by the SLO still.
    Fast,
    /// Spent: the cheapest plans.
    Degraded,
    /// Spent: nothing.
    Paused,
}

/// Below this part of a period a rate says little: one large object would look like a trend.
const LEAST_PART: f64 = 0.02;

impl Budget {
    /// What may be spent, `elapsed` into a period in which `spent` is gone already, of which the next transfer takes at
    /// least `next`: the cheapest way there is. A transfer is not begun that the budget cannot pay for.
    pub fn spending(&self, spent: Usd, next: Usd, elapsed: Duration) -> Spending {
        if spent + next > self.usd {
            return match self.on_cap {
                OnCap::Degrade => Spending::Degraded,
                OnCap::Pause => Spending::Paused,
            };
        }
        let part = elapsed.as_secs_f64() / self.per.length().as_secs_f64();
        if part >= LEAST_PART && self.burn(spent, elapsed) > 1.0 {
            return Spending::Fast;
        }
        Spending::Normal
    }

    /// Spending per time as a multiple of what the budget lasts for: 2 means gone in half the period.
    pub fn burn(&self, spent: Usd, elapsed: Duration) -> f64 {
        let part = elapsed.as_secs_f64() / self.per.length().as_secs_f64();
        if part <= 0.0 || self.usd <= Usd::ZERO {
            return 0.0;
        }
        spent.usd() / self.usd.usd() / part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_decides() {
        let usd = Usd::from_usd;
        let budget = |on_cap| Budget {
            usd: usd(10.0),
            per: Period::Hour,
            on_cap,
        };
        let minutes = |count: u64| Duration::from_secs(60 * count);
        let pause = budget(OnCap::Pause);
        assert_eq!(
            pause.spending(usd(4.0), usd(0.1), minutes(30)),
            Spending::Normal
        );
        assert!((pause.burn(usd(4.0), minutes(30)) - 0.8).abs() < 1e-9);
        assert_eq!(
            pause.spending(usd(6.0), usd(0.1), minutes(30)),
            Spending::Fast
        );
        assert_eq!(
            pause.spending(usd(6.0), usd(4.0), minutes(59)),
            Spending::Normal
        );
        assert_eq!(
            pause.spending(usd(6.0), usd(4.01), minutes(30)),
            Spending::Paused
        );
        assert_eq!(
            budget(OnCap::Degrade).spending(usd(10.0), usd(0.01), minutes(1)),
            Spending::Degraded
        );
        // In the first minute one object is no trend.
        assert_eq!(
            pause.spending(usd(1.0), usd(0.1), minutes(1)),
            Spending::Normal
        );
        assert_eq!(pause.burn(usd(1.0), Duration::ZERO), 0.0);
    }

    #[test]
    fn it_is_written_as_a_table() {
        let budget: Budget =
            serde_json::from_str(r#"{"usd": 25.0, "per": "hour", "on_cap": "pause"}"#).unwrap();
        assert_eq!((budget.per, budget.on_cap), (Period::Hour, OnCap::Pause));
        assert!(serde_json::from_str::<Budget>(r#"{"usd": 25.0, "a": 1}"#).is_err());
    }
}
