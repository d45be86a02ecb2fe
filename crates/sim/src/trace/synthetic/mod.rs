//! A made trace, labelled "synthetic, IBM-like".
//!
//! Arrivals are a Poisson process whose rate moves between three levels (a Markov-modulated one), scaled so that the trace as
//! drawn has the mean rate asked for. A PUT is of a new key or of one written before; how long before is drawn from the
//! overwrite gap, and which of the keys written about then by Zipf weights. A DELETE is of any key that exists; a later
//! PUT may bring it back, unless it is a key that is written once.
//!
//! Memory: [`Synthetic::tracked_keys`] keys at most. Beyond that the key written longest ago is forgotten: it stays as it is for
//! the rest of the trace. Everything else is a few numbers.

mod arrivals;
mod keys;

use super::{Trace, TraceError, TraceEvent, TraceOperation};
use arrivals::Arrivals;
use keys::Keys;
use serde::{Deserialize, Serialize};
use skyfresh_sky::{Distribution, Invalid, Rng, Weighted};

/// What the synthetic trace is called wherever results of it are shown: it is like IBM's, and is not IBM's.
pub const SYNTHETIC_LABEL: &str = "synthetic, IBM-like";

/// Parameters of a synthetic trace. The defaults stand for the hour of IBM Cloud Object Storage that λReplica (EuroSys '26)
/// replays: the number of events is published, sizes are anchored on a published mean of 186 KB a request and 48% keys
/// accessed once and 9 accesses a key on two published traces; the rest is assumed, to be varied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Synthetic {
    /// Mean events a second.
    pub events_per_s: f64,
    /// Length in seconds.
    pub duration_s: f64,
    /// The three levels of the rate, relative to each other.
    pub rate_factors: [f64; 3],
    /// Mean stay at each level in seconds, exponentially distributed; the levels follow each other in turn.
    pub dwell_s: [f64; 3],
    /// Share of events that are DELETE; the others are PUT. Where no key exists, a PUT takes the DELETE's place.
    pub delete_share: f64,
    /// Share of keys that are written once.
    pub one_shot_share: f64,
    /// Mean PUTs of a key that is written more than once.
    pub writes_per_key: f64,
    /// How unequal keys written more than once are: the key of rank r weighs r^-s. 0 is flat.
    pub zipf_exponent: f64,
    /// Sizes of objects, in bytes.
    pub size_bytes: Distribution,
    /// Sizes are cut to this, in bytes.
    pub size_cap_bytes: u64,
    /// Time between two PUTs of one key, in seconds, where the trace is old enough for it. In a burst the keys written as
    /// long ago as wanted run out, and younger ones are taken.
    pub overwrite_gap_s: Distribution,
    /// Keys that are remembered at most: the bound of the generator's memory, about 100 bytes each.
    pub tracked_keys: usize,
}

impl Default for Synthetic {
    fn default() -> Self {
        let size = |weight, median| Weighted {
            weight,
            of: Distribution::Lognormal { median, sigma: 0.8 },
        };
        Synthetic {
            events_per_s: 275.0,
            duration_s: 3600.0,
            rate_factors: [0.6, 2.0, 10.0],
            dwell_s: [60.0, 20.0, 5.0],
            delete_share: 0.15,
            one_shot_share: 0.48,
            writes_per_key: 9.0,
            zipf_exponent: 0.9,
            size_bytes: Distribution::Mixture(vec![
                size(0.6, 4e3),
                size(0.3, 100e3),
                size(0.095, 1e6),
                size(0.005, 64e6),
            ]),
            size_cap_bytes: 5_000_000_000,
            // 95% between 1 s and 1 h: the median is their geometric mean, and ln(60) is 1.96 standard deviations.
            overwrite_gap_s: Distribution::Lognormal {
                median: 60.0,
                sigma: 2.09,
            },
            tracked_keys: 1 << 18,
        }
    }
}

impl Synthetic {
    /// Whether the parameters describe a trace.
    ///
    /// # Errors
    /// Says which does not, and what would be accepted.
    pub fn check(&self) -> Result<(), Invalid> {
        let within = |what, value: f64, low: f64, high: f64| {
            if (low..=high).contains(&value) {
                return Ok(());
            }
            Err(Invalid::new(
                what,
                value.to_string(),
                format!("must be {low} to {high}"),
            ))
        };
        within("events_per_s", self.events_per_s, 0.001, 1e6)?;
        // A year bounds the rehearsal that finds the mean rate (arrivals.rs).
        within("duration_s", self.duration_s, 0.001, 366.0 * 86_400.0)?;
        for factor in self.rate_factors {
            within("rate_factors", factor, 0.0, 1e6)?;
        }
        within(
            "the greatest of rate_factors",
            self.rate_factors.iter().copied().fold(0.0, f64::max),
            1e-6,
            1e6,
        )?;
        for dwell_s in self.dwell_s {
            within("dwell_s", dwell_s, 0.1, 1e6)?;
        }
        within("delete_share", self.delete_share, 0.0, 0.5)?;
        within("one_shot_share", self.one_shot_share, 0.0, 1.0)?;
        within("writes_per_key", self.writes_per_key, 1.0, 1e6)?;
        within("zipf_exponent", self.zipf_exponent, 0.0, 5.0)?;
        within(
            "size_cap_bytes",
            self.size_cap_bytes as f64,
            1.0,
            super::MAX_OBJECT_BYTES as f64,
        )?;
        within("tracked_keys", self.tracked_keys as f64, 16.0, 1e8)?;
        self.size_bytes.check()?;
        self.overwrite_gap_s.check()
    }

    /// Share of PUTs that make a new key: one in the mean number of PUTs of a key.
    fn new_key_share(&self) -> f64 {
        1.0 / (self.one_shot_share + (1.0 - self.one_shot_share) * self.writes_per_key)
    }
}

/// The trace that these parameters and this seed decide. Each kind of draw has a stream of its own, so that e.g. another
/// distribution of sizes moves no arrival.
///
/// Parameters that [`Synthetic::check`] refuses give a trace of that one error.
pub fn synthetic(config: &Synthetic, seed: u64) -> Trace {
    if let Err(invalid) = config.check() {
        return Box::new(std::iter::once(Err(TraceError::from(invalid))));
    }
    let mut made = Made {
        arrivals: Arrivals::new(config, seed),
        operations: Rng::named(seed, "trace.operations"),
        sizes: Rng::named(seed, "trace.sizes"),
        keys: Keys::new(config, seed),
        config: config.clone(),
        first_s: None,
    };
    Box::new(std::iter::from_fn(move || made.event().map(Ok)))
}

struct Made {
    config: Synthetic,
    arrivals: Arrivals,
    operations: Rng,
    sizes: Rng,
    keys: Keys,
    first_s: Option<f64>,
}

impl Made {
    fn event(&mut self) -> Option<TraceEvent> {
        let now_s = self.arrivals.next()?;
        let first_s = *self.first_s.get_or_insert(now_s);
        let delete = self.operations.chance(self.config.delete_share);
        let deleted = if delete { self.keys.delete() } else { None };
        let (operation, key, size) = match deleted {
            Some(key) => (TraceOperation::Delete, key, 0),
            None => (TraceOperation::Put, self.keys.put(now_s), self.size()),
        };
        Some(TraceEvent {
            at_ms: ((now_s - first_s) * 1e3) as u64,
            late_ms: 0,
            operation,
            // Spread like a hash's digits, so that prefixes are as even as IBM's ids.
            key: format!(
                "{:016x}",
                key.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ),
            size,
        })
    }

    fn size(&self) -> u64 {
        let size = self.config.size_bytes.sample(&self.sizes);
        (size.round().max(0.0) as u64).min(self.config.size_cap_bytes)
    }
}

#[cfg(test)]
mod tests;
