//! When events happen: a Poisson process whose rate moves between three levels.

use super::Synthetic;
use skyfresh_sky::Rng;

pub(super) struct Arrivals {
    levels: Levels,
    gaps: Rng,
    duration_s: f64,
    /// Events a second at a factor of 1.
    events_per_s: f64,
    now_s: f64,
    /// Of the stay at the current level.
    until_s: f64,
    factor: f64,
}

/// The stays at the levels, in turn.
struct Levels {
    draws: Rng,
    factors: [f64; 3],
    dwell_s: [f64; 3],
    next: usize,
}

impl Levels {
    fn new(config: &Synthetic, seed: u64) -> Self {
        Levels {
            draws: Rng::named(seed, "trace.levels"),
            factors: config.rate_factors,
            dwell_s: config.dwell_s,
            next: 0,
        }
    }

    /// The factor and the length in seconds of the next stay.
    fn stay(&mut self) -> (f64, f64) {
        let level = self.next;
        self.next = (level + 1) % self.factors.len();
        (
            self.factors[level],
            exponential(&self.draws) * self.dwell_s[level],
        )
    }
}

/// An exponential draw of mean 1. `libm`, as everywhere that a seed must give the same on every machine.
fn exponential(rng: &Rng) -> f64 {
    -libm::log(1.0 - rng.unit())
}

impl Arrivals {
    pub(super) fn new(config: &Synthetic, seed: u64) -> Self {
        // The few stays of an hour are far from their mean: they are drawn once to learn the factor's mean over this very
        // trace, and again as it goes. Nothing is kept.
        let mut rehearsed = Levels::new(config, seed);
        let (mut at_s, mut weight_s) = (0.0, 0.0);
        while at_s < config.duration_s {
            let (factor, stay_s) = rehearsed.stay();
            weight_s += factor * stay_s.min(config.duration_s - at_s);
            at_s += stay_s;
        }
        // A short trace may lie within a stay at factor 0, and has no events then.
        let events_per_s = if weight_s > 0.0 {
            config.events_per_s * config.duration_s / weight_s
        } else {
            0.0
        };
        let mut levels = Levels::new(config, seed);
        let (factor, until_s) = levels.stay();
        Arrivals {
            levels,
            gaps: Rng::named(seed, "trace.arrivals"),
            duration_s: config.duration_s,
            events_per_s,
            now_s: 0.0,
            until_s,
            factor,
        }
    }
}

impl Iterator for Arrivals {
    /// Seconds from the beginning; never descends.
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        let mut wait = exponential(&self.gaps);
        while self.now_s < self.duration_s {
            let rate = self.events_per_s * self.factor;
            let at_s = self.now_s + wait / rate;
            if at_s < self.until_s.min(self.duration_s) {
                self.now_s = at_s;
                return Some(at_s);
            }
            // What is left of the wait goes on at the next level's rate.
            wait -= (self.until_s - self.now_s) * rate;
            self.now_s = self.until_s;
            let (factor, stay_s) = self.levels.stay();
            self.factor = factor;
            self.until_s += stay_s;
        }
        None
    }
}
