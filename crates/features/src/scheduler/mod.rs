//! Which key to recompute next.
//!
//! **In:** what happens to each key: data arrives, the feature is queried, an error is reported. **Out:** the key to work on,
//! under a lease. **Never:** two leases on a key at once; data that arrived while its key was worked on, forgotten; a pending
//! key that waits for ever (where a reserve is set); a clock read: times are given, in any unit, and do not go back.
//!
//! ```text
//!            data                 select                  complete
//!   idle ───────────► pending ─────────────► processing ─────────────► idle
//!                        ▲                     │     │                 (pending, where data arrived meanwhile)
//!                        └─────────────────────┘     └─ data: counted, seen at completion
//!                          abandon, lease run out:
//!                          what was cleared is restored
//! ```
//!
//! Source: "pending" and "processing" are §2.4.3 of S. Wooders' thesis on RALF (Berkeley, 2024); leases are ours.

mod guard;
mod heap;
mod keyed;
mod median;
mod policy;
mod state;
mod waiting;

#[cfg(test)]
mod keyed_tests;

pub use heap::IndexedHeap;
pub use keyed::KeyScheduler;
pub use policy::{
    Literal, MaxPending, MinimumPast, Policy, PolicyName, QueryProportional, Random, Regret,
    RoundRobin,
};
pub use state::{KeyState, Phase};

use serde::{Deserialize, Serialize};

/// A key as a small dense integer: tables are arrays indexed by it. Whoever has names for keys keeps the mapping.
pub type Key = u32;

/// The right to recompute one key's feature, for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lease {
    /// The key.
    pub key: Key,
    /// Tells this lease from earlier ones on the key.
    pub token: u64,
    /// The version that the feature will have once the lease is completed.
    pub version: u32,
    /// Records of data that were pending.
    pub records: u32,
    /// When it began. Data up to then is the lease's to use.
    pub since: f64,
    /// When the key returns to pending unless the lease was completed.
    pub until: f64,
}

/// The error of one prediction that used a feature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Feedback {
    /// The version of the feature that was used.
    pub version: u32,
    /// How wrong the prediction was, ≥ 0, in the same unit for every key. What is negative or no number counts as 0.
    pub error: f64,
    /// When the feature was queried.
    pub queried_at: f64,
}

/// Chooses which key to work on next.
pub trait Scheduler: std::fmt::Debug + Send {
    /// `records` of new data arrived for the key: it is pending from now on, or again after its present lease.
    fn data(&mut self, key: Key, records: u32, now: f64);

    /// The key's feature was read.
    fn query(&mut self, key: Key, now: f64);

    /// A prediction's error became known.
    fn feedback(&mut self, key: Key, feedback: Feedback, now: f64);

    /// The next key to work on; `None` where none is pending. The key's reported errors and data are cleared.
    fn select(&mut self, now: f64) -> Option<Lease>;

    /// The feature was recomputed. False where the lease had run out: the result must be thrown away.
    fn complete(&mut self, lease: &Lease, now: f64) -> bool;

    /// The feature could not be recomputed: the key is pending again, with what was cleared restored. False where the lease
    /// had run out already.
    fn abandon(&mut self, lease: &Lease, now: f64) -> bool;

    /// Abandons the leases that have run out, and tells how many.
    fn expire(&mut self, now: f64) -> usize;

    /// The key, as far as it is known.
    fn key(&self, key: Key) -> Option<&KeyState>;

    /// Counters.
    fn stats(&self) -> Stats;
}

/// What a [`Scheduler`] has done and sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Keys that wait.
    pub pending: u64,
    /// Keys under a lease.
    pub processing: u64,
    /// Leases given.
    pub selected: u64,
    /// Of those, given to the key that had waited longest, by the reserve or a fallback.
    pub selected_round_robin: u64,
    /// Leases that ran out.
    pub expired: u64,
    /// Queries seen.
    pub queries: u64,
    /// Errors reported.
    pub feedback: u64,
    /// Of those, for a version that had been replaced.
    pub late: u64,
    /// From query to feedback, smoothed, in the unit of the times given.
    pub delay: f64,
    /// From one update of a key to its next, smoothed over keys.
    pub refresh_interval: f64,
    /// What the present order cost against a round-robin shadow over the last full window, as a share of all error; negative
    /// is better than round-robin. An estimate (see `guard.rs`).
    pub shadow_excess: f64,
    /// Whether keys are at present taken in turn, because feedback comes too late.
    pub delay_fallback: bool,
    /// Whether keys are at present taken in turn, because the shadow did better.
    pub shadow_fallback: bool,
}

/// How a [`KeyScheduler`] goes about it, whatever its policy. Times in the unit of the times given.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Share of selections, 0 to 1, that go to the key that has waited longest: with `n` keys pending, none waits for more than
    /// `n / reserve` selections.
    pub reserve: f64,
    /// Errors count `1/e` as much after this time; `None`: they count in full until the next update.
    pub decay_time: Option<f64>,
    /// ε: what a key's regret grows by in a unit of time though nobody reports an error (thesis §2.3.3, "default regret").
    pub default_regret: f64,
    /// R_max: one error counts for at most this many medians of recent errors; `None`: no limit.
    pub cap_medians: Option<f64>,
    /// What an error counts whose feature has been replaced since, 0 to 1.
    pub late_weight: f64,
    /// Keys without a feature first.
    pub cold_start_first: bool,
    /// Takes keys in turn while feedback comes later than this many refresh intervals; `None`: never.
    pub delay_fallback: Option<f64>,
    /// Takes keys in turn while a round-robin shadow is estimated to do better by this share of all error; `None`: never.
    pub shadow_guard: Option<f64>,
    /// How long a lease lasts.
    pub lease_time: f64,
}

impl Default for Options {
    /// What is shipped: errors summed, 10 % reserve, cold keys first, R_max 10 medians, both fallbacks.
    fn default() -> Self {
        Options {
            reserve: 0.1,
            decay_time: None,
            default_regret: 0.0,
            cap_medians: Some(10.0),
            late_weight: 0.25,
            cold_start_first: true,
            delay_fallback: Some(1.0),
            shadow_guard: Some(0.05),
            lease_time: 60.0,
        }
    }
}

impl Options {
    /// Nothing but the policy's own order.
    pub fn plain() -> Self {
        Options {
            reserve: 0.0,
            decay_time: None,
            default_regret: 0.0,
            cap_medians: None,
            late_weight: 0.0,
            cold_start_first: false,
            delay_fallback: None,
            shadow_guard: None,
            lease_time: 60.0,
        }
    }

    /// What is wrong with them, if anything.
    ///
    /// # Errors
    /// A share is outside 0 to 1, or a time is not positive.
    pub fn check(&self) -> Result<(), skyfresh_sky::Invalid> {
        let share = |name, value: f64| match (0.0..=1.0).contains(&value) {
            true => Ok(()),
            false => Err(invalid(name, value, "a share from 0 to 1")),
        };
        let positive = |name, value: Option<f64>| match value {
            Some(value) if !(value > 0.0 && value.is_finite()) => {
                Err(invalid(name, value, "a number above 0"))
            }
            _ => Ok(()),
        };
        share("reserve", self.reserve)?;
        share("late_weight", self.late_weight)?;
        positive("decay_time", self.decay_time)?;
        positive("cap_medians", self.cap_medians)?;
        positive("delay_fallback", self.delay_fallback)?;
        positive("shadow_guard", self.shadow_guard)?;
        positive("lease_time", Some(self.lease_time))?;
        match self.default_regret >= 0.0 && self.default_regret.is_finite() {
            true => Ok(()),
            false => Err(invalid(
                "default_regret",
                self.default_regret,
                "0 or a number above it",
            )),
        }
    }
}

fn invalid(what: &'static str, value: f64, expected: &str) -> skyfresh_sky::Invalid {
    skyfresh_sky::Invalid::new(what, value.to_string(), format!("give {expected}"))
}
