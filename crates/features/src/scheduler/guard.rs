//! When not to trust reported errors.
//!
//! Two watches, both of which make the scheduler take keys in turn for a while:
//! - **Delay.** Errors that come later than keys are refreshed speak of features that are no more. Prototype result
//!   (`docs/features.md`): with long delay, summed errors lose to round-robin.
//! - **Shadow.** A round-robin schedule is kept beside the real one, which costs a list entry a key and computes nothing. From
//!   what is reported, each key's growth of error with staleness is estimated by a line; its slope times the difference between
//!   real and shadow staleness is what the real order cost, or saved, on that query.

use super::waiting::WaitingList;
use super::{Key, KeyState, Stats};

/// Weight of a new value in smoothed times.
const SMOOTHING: f64 = 1.0 / 256.0;
/// The fallback for delay ends once the delay is below this share of what began it, so that it does not flicker.
const HYSTERESIS: f64 = 0.8;
/// Reports in a window of the shadow: at least this many, and [`WINDOW_PER_KEY`] a key.
const WINDOW_LEAST: u64 = 1_000;
const WINDOW_PER_KEY: u64 = 4;
/// Windows for which keys are taken in turn after the shadow did better: once, and twice as long every time it happens again
/// with no good window between, up to this many.
const HOLD_MOST: u32 = 16;

/// Compares when errors are reported with when keys are updated.
#[derive(Clone, Debug)]
pub(super) struct DelayWatch {
    /// In refresh intervals; `None`: only watches.
    limit: Option<f64>,
    delay: Smoothed,
    interval: Smoothed,
    on: bool,
}

impl DelayWatch {
    pub(super) fn new(limit: Option<f64>) -> Self {
        DelayWatch {
            limit,
            delay: Smoothed::default(),
            interval: Smoothed::default(),
            on: false,
        }
    }

    pub(super) fn reported(&mut self, delay: f64) {
        self.delay.add(delay.max(0.0));
        self.judge();
    }

    pub(super) fn selected(&mut self, since_last: f64) {
        self.interval.add(since_last.max(0.0));
        self.judge();
    }

    fn judge(&mut self) {
        let (Some(limit), Some(delay), Some(interval)) =
            (self.limit, self.delay.get(), self.interval.get())
        else {
            return;
        };
        let limit = limit * interval * if self.on { HYSTERESIS } else { 1.0 };
        self.on = delay > limit;
    }

    pub(super) fn falls_back(&self) -> bool {
        self.on
    }

    pub(super) fn tell(&self, stats: &mut Stats) {
        stats.delay = self.delay.get().unwrap_or(0.0);
        stats.refresh_interval = self.interval.get().unwrap_or(0.0);
        stats.delay_fallback = self.on;
    }
}

/// A mean that forgets: of all values at first, then with a fixed weight for the newest.
#[derive(Clone, Copy, Debug, Default)]
struct Smoothed {
    count: u32,
    mean: f64,
}

impl Smoothed {
    fn add(&mut self, value: f64) {
        self.count = self.count.saturating_add(1);
        self.mean += (value - self.mean) * SMOOTHING.max(1.0 / f64::from(self.count));
    }

    fn get(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean)
    }
}

/// The round-robin schedule beside the real one.
#[derive(Clone, Debug)]
pub(super) struct Shadow {
    /// As a share of all error.
    margin: f64,
    waiting: WaitingList,
    reports: u64,
    excess: f64,
    total: f64,
    last: f64,
    hold: u32,
    left: u32,
}

impl Shadow {
    pub(super) fn new(margin: f64) -> Self {
        Shadow {
            margin,
            waiting: WaitingList::default(),
            reports: 0,
            excess: 0.0,
            total: 0.0,
            last: 0.0,
            hold: 1,
            left: 0,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.waiting.bytes()
    }

    pub(super) fn data(&mut self, key: Key) {
        self.waiting.push(key);
    }

    /// The real schedule takes a key, so the shadow takes one, too.
    pub(super) fn selected(&mut self) -> Option<Key> {
        let key = self.waiting.first()?;
        self.waiting.remove(key);
        Some(key)
    }

    /// An error of the present feature. The query's own time cancels out of the difference in staleness.
    pub(super) fn reported(&mut self, key: &KeyState, error: f64, keys: usize) {
        let (Some(updated_at), Some(slope)) = (key.updated_at, key.slope.get()) else {
            return;
        };
        self.excess += slope * (key.shadow_at - updated_at);
        self.total += error;
        self.reports += 1;
        if self.reports >= WINDOW_LEAST.max(WINDOW_PER_KEY * keys as u64) {
            self.judge();
        }
    }

    fn judge(&mut self) {
        self.last = match self.total > 0.0 {
            true => self.excess / self.total,
            false => 0.0,
        };
        (self.reports, self.excess, self.total) = (0, 0.0, 0.0);
        if self.left > 0 {
            self.left -= 1;
        } else if self.last > self.margin {
            self.left = self.hold;
            self.hold = (self.hold * 2).min(HOLD_MOST);
        } else {
            self.hold = 1;
        }
    }

    pub(super) fn falls_back(&self) -> bool {
        self.left > 0
    }

    pub(super) fn tell(&self, stats: &mut Stats) {
        stats.shadow_excess = self.last;
        stats.shadow_fallback = self.falls_back();
    }
}
