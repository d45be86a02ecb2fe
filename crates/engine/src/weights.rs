//! What staleness of a key costs, as the application that reads it says.
//!
//! In: weights by prefix, posted by whoever reads the copies. Out: the weight of a key. Never: takes a weight that has no place
//! in an order, or more of them than are read in passing.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use skyfresh_sky::{Kind, ObjectKey};
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

/// Most weights of a rule: each is looked at for each order.
pub(crate) const WEIGHTS_LIMIT: usize = 1_000;
/// Most bytes of their prefixes together: with their numbers, and whatever JSON makes of them, they fit a document of every
/// ledger (300 KiB).
pub(crate) const PREFIXES_LIMIT_BYTES: usize = 32 << 10;
/// No key is longer (S3).
const PREFIX_LIMIT_BYTES: usize = 1_024;

/// The weight where nobody says otherwise: one stale read a second that counts as one.
const DEFAULT: f64 = 1.0;

/// What staleness of keys with a prefix costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weight {
    /// Of which keys: those that begin so; of several weights that of the longest prefix counts. Empty is all.
    pub prefix: String,
    /// Regret for each second that such a key is stale: weight of a stale read times reads a second; 0 or more.
    pub regret_per_s: f64,
}

/// The weights of a rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Weight>", into = "Vec<Weight>")]
pub struct Weights {
    /// Longest prefix first.
    sorted: Vec<Weight>,
}

impl Weights {
    /// Checks weights.
    ///
    /// # Errors
    /// [`Kind::Invalid`], naming what is wrong: a number below 0 or not finite, a prefix twice or too long, too many.
    pub fn new(mut weights: Vec<Weight>) -> Result<Self> {
        let bad =
            |prefix: &str, why: String| Error::new(Kind::Invalid, "check weights", prefix, why);
        if weights.len() > WEIGHTS_LIMIT {
            let why = format!(
                "{} weights are more than the {WEIGHTS_LIMIT} that a rule may have",
                weights.len()
            );
            return Err(bad("all", why));
        }
        let bytes: usize = weights.iter().map(|weight| weight.prefix.len()).sum();
        if bytes > PREFIXES_LIMIT_BYTES {
            let why =
                format!("{bytes} bytes of prefixes are more than {PREFIXES_LIMIT_BYTES} in all");
            return Err(bad("all", why));
        }
        let mut prefixes = BTreeSet::new();
        for Weight {
            prefix,
            regret_per_s,
        } in &weights
        {
            if !regret_per_s.is_finite() || *regret_per_s < 0.0 {
                let why = format!("regret_per_s must be a number of 0 or more, not {regret_per_s}");
                return Err(bad(prefix, why));
            }
            if prefix.len() > PREFIX_LIMIT_BYTES {
                let why = format!("a prefix of more than {PREFIX_LIMIT_BYTES} bytes fits no key");
                return Err(bad(&prefix.chars().take(100).collect::<String>(), why));
            }
            if !prefixes.insert(prefix.as_str()) {
                return Err(bad(prefix, "the prefix is given twice".into()));
            }
        }
        weights.sort_by(|a, b| {
            let longest = b.prefix.len().cmp(&a.prefix.len());
            longest.then_with(|| a.prefix.cmp(&b.prefix))
        });
        Ok(Weights { sorted: weights })
    }

    /// The weight of a key: that of the longest prefix it begins with, else 1.
    pub fn of(&self, key: &ObjectKey) -> f64 {
        let fits = |weight: &&Weight| key.as_str().starts_with(&weight.prefix);
        let found = self.sorted.iter().find(fits);
        found.map_or(DEFAULT, |weight| weight.regret_per_s)
    }

    /// Whether there are none: every key weighs 1.
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// By prefix.
    pub fn into_list(self) -> Vec<Weight> {
        let mut list = self.sorted;
        list.sort_by(|a, b| a.prefix.cmp(&b.prefix));
        list
    }
}

impl TryFrom<Vec<Weight>> for Weights {
    type Error = Error;
    fn try_from(weights: Vec<Weight>) -> Result<Self> {
        Weights::new(weights)
    }
}

impl From<Weights> for Vec<Weight> {
    fn from(weights: Weights) -> Self {
        weights.into_list()
    }
}

/// The weights that count now.
#[derive(Debug, Default)]
pub(crate) struct Standing(RwLock<Arc<Weights>>);

impl Standing {
    /// From now on these.
    pub(crate) fn set(&self, weights: &Arc<Weights>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(weights);
    }

    /// The weight of a key.
    pub(crate) fn of(&self, key: &ObjectKey) -> f64 {
        let weights = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        weights.of(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(prefix: &str, regret_per_s: f64) -> Weight {
        Weight {
            prefix: prefix.into(),
            regret_per_s,
        }
    }

    #[test]
    fn the_longest_prefix_counts_and_1_where_there_is_none() {
        let all = vec![weight("a/", 2.0), weight("a/b", 0.0), weight("a/bc/", 7.5)];
        let weights = Weights::new(all.clone()).unwrap();
        for (key, expected) in [
            ("a/x", 2.0),
            ("a/b", 0.0),
            ("a/bcd", 0.0),
            ("a/bc/d", 7.5),
            ("b", 1.0),
        ] {
            assert_eq!(weights.of(&ObjectKey::new(key).unwrap()), expected, "{key}");
        }
        assert_eq!(weights.into_list(), all);
        let everywhere = Weights::new(vec![weight("", 3.0)]).unwrap();
        assert_eq!(everywhere.of(&ObjectKey::new("b").unwrap()), 3.0);
    }

    #[test]
    fn what_has_no_place_in_an_order_is_refused_by_name() {
        let many = (0..=WEIGHTS_LIMIT).map(|n| weight(&n.to_string(), 1.0));
        let long = (0..200).map(|n| weight(&format!("{n:01000}"), 1.0));
        for (weights, says) in [
            (vec![weight("a", f64::NAN)], "a: regret_per_s"),
            (vec![weight("a", f64::INFINITY)], "0 or more"),
            (vec![weight("a", -0.5)], "not -0.5"),
            (vec![weight("a", 1.0), weight("a", 2.0)], "twice"),
            (vec![weight(&"x".repeat(1_025), 1.0)], "1024 bytes"),
            (many.collect(), "1001 weights"),
            (long.collect(), "200000 bytes"),
        ] {
            let error = Weights::new(weights).unwrap_err();
            assert_eq!(error.kind, Kind::Invalid);
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
