//! The orders in which pending keys can be taken.
//!
//! A policy is a function from what is known of a key to its priority. As priorities change only when something happens to the
//! key itself, one heap serves all policies.

use super::{KeyState, Options};
use serde::{Deserialize, Serialize};
use skyfresh_sky::{Invalid, Regretted, Rng};

/// Gives pending keys their priority; the largest is taken first, of equals the one that became pending first.
pub trait Policy: std::fmt::Debug + Send {
    /// Its name on the command line.
    fn name(&self) -> PolicyName;

    /// The key's priority. Must depend on nothing that changes while nothing happens to the key.
    ///
    /// `scale` is what an error reported now is multiplied with in [`KeyState::errors`]; `scale_at` gives that of another time.
    fn priority(&mut self, key: &KeyState, scale_at: &dyn Fn(f64) -> f64) -> f64;
}

/// The built-in policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyName {
    /// The sum of reported errors (thesis §2.3.3, "Regret-Proportional", without its second term), with the guards of
    /// [`Options::default`].
    Regret,
    /// Eq. 2.11 literally: errors beyond the mean of the first ones after the update. No guards.
    Literal,
    /// Most queries since the last update.
    QueryProportional,
    /// The stalest.
    RoundRobin,
    /// Any.
    Random,
    /// Least data in the feature.
    MinimumPast,
    /// Most data waiting.
    MaxPending,
}

impl PolicyName {
    /// All of them.
    pub const ALL: [PolicyName; 7] = [
        PolicyName::Regret,
        PolicyName::Literal,
        PolicyName::QueryProportional,
        PolicyName::RoundRobin,
        PolicyName::Random,
        PolicyName::MinimumPast,
        PolicyName::MaxPending,
    ];

    /// As on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            PolicyName::Regret => "regret",
            PolicyName::Literal => "literal",
            PolicyName::QueryProportional => "query-proportional",
            PolicyName::RoundRobin => "round-robin",
            PolicyName::Random => "random",
            PolicyName::MinimumPast => "minimum-past",
            PolicyName::MaxPending => "max-pending",
        }
    }

    /// The policy; `rng` is drawn from by [`PolicyName::Random`] alone.
    pub fn policy(self, options: &Options, rng: &Rng) -> Box<dyn Policy> {
        match self {
            PolicyName::Regret => Box::new(Regret::new(options)),
            PolicyName::Literal => Box::new(Literal),
            PolicyName::QueryProportional => Box::new(QueryProportional),
            PolicyName::RoundRobin => Box::new(RoundRobin),
            PolicyName::Random => Box::new(Random(rng.clone())),
            PolicyName::MinimumPast => Box::new(MinimumPast),
            PolicyName::MaxPending => Box::new(MaxPending),
        }
    }

    /// The options it runs with where none are given: guards belong to [`PolicyName::Regret`] alone.
    pub fn default_options(self) -> Options {
        match self {
            PolicyName::Regret => Options::default(),
            _ => Options::plain(),
        }
    }
}

impl std::fmt::Display for PolicyName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for PolicyName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let found = PolicyName::ALL
            .into_iter()
            .find(|name| name.as_str() == text);
        found.ok_or_else(|| {
            let all = PolicyName::ALL.map(PolicyName::as_str).join(", ");
            Invalid::new("policy", text, format!("policies are {all}"))
        })
    }
}

/// See [`PolicyName::Regret`].
#[derive(Clone, Copy, Debug)]
pub struct Regret {
    default_regret: f64,
    decay_time: Option<f64>,
    cold_start_first: bool,
}

impl Regret {
    /// With the decay, the default regret and the cold start of these options.
    pub fn new(options: &Options) -> Self {
        Regret {
            default_regret: options.default_regret,
            decay_time: options.decay_time,
            cold_start_first: options.cold_start_first,
        }
    }
}

/// A key whose update is regretted so much; each takes one update of the budget.
struct Overdue(f64);

impl Regretted for Overdue {
    fn regret(&self) -> f64 {
        self.0
    }

    fn takes(&self) -> f64 {
        1.0
    }
}

impl Policy for Regret {
    fn name(&self) -> PolicyName {
        PolicyName::Regret
    }

    /// The default regret grows alike for all keys, so that only when it began to grow makes a difference: without decay
    /// `ε (now − updated)`, with it `ε τ (1 − exp(−(now − updated)/τ))`. What is common to all keys is left out.
    fn priority(&mut self, key: &KeyState, scale_at: &dyn Fn(f64) -> f64) -> f64 {
        let Some(updated_at) = key.updated_at else {
            return match self.cold_start_first {
                true => f64::INFINITY,
                false => key.errors,
            };
        };
        let default = match (self.default_regret, self.decay_time) {
            (0.0, _) => 0.0,
            (epsilon, None) => epsilon * updated_at,
            (epsilon, Some(decay_time)) => epsilon * decay_time * scale_at(updated_at),
        };
        Overdue(key.errors - default).score()
    }
}

/// See [`PolicyName::Literal`].
#[derive(Clone, Copy, Debug)]
pub struct Literal;

impl Policy for Literal {
    fn name(&self) -> PolicyName {
        PolicyName::Literal
    }

    fn priority(&mut self, key: &KeyState, _: &dyn Fn(f64) -> f64) -> f64 {
        // Without a feature there is nothing to predict with, and no error to report.
        match key.updated_at {
            None => f64::INFINITY,
            Some(_) => key.excess,
        }
    }
}

/// See [`PolicyName::QueryProportional`].
#[derive(Clone, Copy, Debug)]
pub struct QueryProportional;

impl Policy for QueryProportional {
    fn name(&self) -> PolicyName {
        PolicyName::QueryProportional
    }

    fn priority(&mut self, key: &KeyState, _: &dyn Fn(f64) -> f64) -> f64 {
        f64::from(key.queries)
    }
}

/// See [`PolicyName::RoundRobin`].
#[derive(Clone, Copy, Debug)]
pub struct RoundRobin;

impl Policy for RoundRobin {
    fn name(&self) -> PolicyName {
        PolicyName::RoundRobin
    }

    fn priority(&mut self, key: &KeyState, _: &dyn Fn(f64) -> f64) -> f64 {
        -(key.selected_order as f64)
    }
}

/// See [`PolicyName::Random`].
#[derive(Clone, Debug)]
pub struct Random(pub Rng);

impl Policy for Random {
    fn name(&self) -> PolicyName {
        PolicyName::Random
    }

    fn priority(&mut self, _: &KeyState, _: &dyn Fn(f64) -> f64) -> f64 {
        self.0.unit()
    }
}

/// See [`PolicyName::MinimumPast`].
#[derive(Clone, Copy, Debug)]
pub struct MinimumPast;

impl Policy for MinimumPast {
    fn name(&self) -> PolicyName {
        PolicyName::MinimumPast
    }

    fn priority(&mut self, key: &KeyState, _: &dyn Fn(f64) -> f64) -> f64 {
        -(key.feature_records as f64)
    }
}

/// See [`PolicyName::MaxPending`].
#[derive(Clone, Copy, Debug)]
pub struct MaxPending;

impl Policy for MaxPending {
    fn name(&self) -> PolicyName {
        PolicyName::MaxPending
    }

    fn priority(&mut self, key: &KeyState, _: &dyn Fn(f64) -> f64) -> f64 {
        f64::from(key.pending_records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in PolicyName::ALL {
            assert_eq!(name.as_str().parse::<PolicyName>().unwrap(), name);
            let policy = name.policy(&name.default_options(), &Rng::seeded(1));
            assert_eq!(policy.name(), name);
            assert_eq!(serde_json::to_value(name).unwrap(), name.as_str());
        }
        let error = "best".parse::<PolicyName>().unwrap_err();
        assert!(error.to_string().contains("round-robin"), "{error}");
    }
}
