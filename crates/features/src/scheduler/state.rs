//! What is known of one key.

use super::Key;

/// Where a key is in its life; see the picture in the module above.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Nothing new since the feature was computed.
    #[default]
    Idle,
    /// New data waits.
    Pending,
    /// Someone has a lease.
    Processing,
}

/// What is known of one key; at most 112 bytes.
#[derive(Clone, Copy, Debug)]
pub struct KeyState {
    /// Sum of the errors reported since the key was last selected; under decay, in the scheduler's running scale.
    pub errors: f64,
    /// Sum of the errors beyond the mean of those of the first moment after the update (eq. 2.11).
    pub excess: f64,
    /// When the data of the present feature was taken; `None` where there is no feature.
    pub updated_at: Option<f64>,
    /// The number of the selection in which the key was last taken; 0 where it never was.
    pub selected_order: u64,
    /// Records that went into the feature so far.
    pub feature_records: u64,
    /// When the first errors of the present feature were reported: those of that moment are the baseline of eq. 2.11.
    pub(super) baseline_at: f64,
    pub(super) baseline_sum: f32,
    pub(super) baseline_count: u32,
    /// When the round-robin shadow last updated the key.
    pub(super) shadow_at: f64,
    pub(super) slope: Slope,
    /// The version of the present feature; 0 where there is none.
    pub version: u32,
    /// Records that arrived since the key was last selected.
    pub pending_records: u32,
    /// Queries since the key was last selected.
    pub queries: u32,
    /// Where it is in its life.
    pub phase: Phase,
}

impl KeyState {
    pub(super) const NEW: KeyState = KeyState {
        errors: 0.0,
        excess: 0.0,
        updated_at: None,
        selected_order: 0,
        feature_records: 0,
        baseline_at: 0.0,
        baseline_sum: 0.0,
        baseline_count: 0,
        shadow_at: 0.0,
        slope: Slope::NONE,
        version: 0,
        pending_records: 0,
        queries: 0,
        phase: Phase::Idle,
    };

    /// How old the feature is; `None` where there is none.
    pub fn staleness(&self, now: f64) -> Option<f64> {
        self.updated_at.map(|at| (now - at).max(0.0))
    }

    /// Counts an error against the mean of the first moment's (eq. 2.11, literally): those of the first moment cancel out.
    pub(super) fn add_excess(&mut self, error: f64, now: f64) {
        if self.baseline_count == 0 || self.baseline_at == now {
            self.baseline_at = now;
            self.baseline_sum += error as f32;
            self.baseline_count += 1;
        } else {
            self.excess += error - f64::from(self.baseline_sum) / f64::from(self.baseline_count);
        }
    }

    pub(super) fn clear_baseline(&mut self) {
        self.baseline_count = 0;
        self.baseline_sum = 0.0;
    }
}

/// How fast a key's error grows with staleness: a least-squares line through what was reported, forgetting slowly.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slope {
    count: f32,
    mean_staleness: f32,
    mean_error: f32,
    variance: f32,
    covariance: f32,
}

/// Reports that a [`Slope`] remembers, about.
const MEMORY: f32 = 64.0;
/// Reports below which a slope says nothing.
const ENOUGH: f32 = 8.0;

impl Slope {
    const NONE: Slope = Slope {
        count: 0.0,
        mean_staleness: 0.0,
        mean_error: 0.0,
        variance: 0.0,
        covariance: 0.0,
    };

    pub(super) fn add(&mut self, staleness: f64, error: f64) {
        let (staleness, error) = (staleness as f32, error as f32);
        self.count = (self.count + 1.0).min(MEMORY);
        let share = 1.0 / self.count;
        let (x, y) = (staleness - self.mean_staleness, error - self.mean_error);
        self.mean_staleness += share * x;
        self.mean_error += share * y;
        self.variance += share * (x * (staleness - self.mean_staleness) - self.variance);
        self.covariance += share * (x * (error - self.mean_error) - self.covariance);
    }

    /// Error per unit of time; `None` before there is enough to tell.
    pub(super) fn get(&self) -> Option<f64> {
        (self.count >= ENOUGH && self.variance > 0.0)
            .then(|| f64::from(self.covariance / self.variance))
    }
}

/// What selecting a key cleared, kept for as long as the lease, to be restored should it fail.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) token: u64,
    pub(super) errors: f64,
    pub(super) excess: f64,
    pub(super) since: f64,
    pub(super) records: u32,
    pub(super) queries: u32,
}

/// A lease's end. As all leases last equally long and time does not go back, they end in the order in which they began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    pub(super) until: f64,
    pub(super) key: Key,
    pub(super) token: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slope_is_found_and_forgotten() {
        let mut slope = Slope::NONE;
        assert!(slope.get().is_none());
        for index in 0..64 {
            slope.add(f64::from(index % 8), 3.0 + 0.5 * f64::from(index % 8));
        }
        assert!((slope.get().unwrap() - 0.5).abs() < 0.01, "{slope:?}");
        for index in 0..600 {
            slope.add(f64::from(index % 8), 9.0);
        }
        assert!(slope.get().unwrap().abs() < 0.05, "{slope:?}");
    }

    #[test]
    fn the_first_moment_is_the_baseline() {
        let mut state = KeyState::NEW;
        state.add_excess(1.0, 5.0);
        state.add_excess(3.0, 5.0);
        assert_eq!(state.excess, 0.0);
        state.add_excess(5.0, 6.0);
        state.add_excess(1.0, 7.0);
        // (5 − 2) + (1 − 2)
        assert_eq!(state.excess, 2.0);
    }

    #[test]
    fn a_key_is_small() {
        assert!(size_of::<KeyState>() <= 112, "{}", size_of::<KeyState>());
    }
}
