//! What goes first when there are not enough workers or dollars for everything.
//!
//! Earliest deadline first, which meets every deadline whenever any order can (Jackson 1955, for one machine); among
//! those whose deadline has passed, or cannot be met any more, what is regretted most per dollar: nothing is gained by
//! keeping them in the order in which they became late.

use skyfresh_sky::{Regretted, Timestamp, Usd};
use std::cmp::Ordering;

/// A change that waits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pending {
    /// When its oldest change must be at the destination.
    pub deadline: Timestamp,
    /// What it takes, in seconds, as planned.
    pub takes_s: f64,
    /// Regret for each second that it is late: the application's weight of a stale read times reads a second; 1 where the
    /// application says nothing.
    pub regret_per_s: f64,
    /// What it costs.
    pub cost: Usd,
}

impl Pending {
    /// The last moment at which to begin it in time; `None` where there was none.
    pub(super) fn last_start(&self) -> Option<Timestamp> {
        let takes_ms = (self.takes_s.max(0.0) * 1e3).ceil();
        // What takes nobody knows how long is in time never.
        if self.takes_s.is_nan() || takes_ms > self.deadline.unix_ms() as f64 {
            return None;
        }
        let last_ms = self.deadline.unix_ms().checked_sub(takes_ms as u64)?;
        Some(Timestamp::from_unix_ms(last_ms))
    }

    fn can_be_in_time(&self, now: Timestamp) -> bool {
        self.last_start().is_some_and(|last| now <= last)
    }
}

impl Regretted for Pending {
    /// For each second that it waits.
    fn regret(&self) -> f64 {
        match self.regret_per_s.is_finite() && self.regret_per_s > 0.0 {
            true => self.regret_per_s,
            false => 0.0,
        }
    }

    /// Dollars. What is free goes by its regret alone: a picodollar, the smallest sum there is.
    fn takes(&self) -> f64 {
        self.cost.usd().max(1e-12)
    }
}

/// The order in which to begin, as indices. [`Queue`](super::Queue) gives the same one at a time. Late ones come after those that can be in time: beginning a late one first makes
/// another one late.
pub fn in_order(pending: &[Pending], now: Timestamp) -> Vec<usize> {
    let mut order: Vec<usize> = (0..pending.len()).collect();
    let compare = |a: &Pending, b: &Pending| match (a.can_be_in_time(now), b.can_be_in_time(now)) {
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (true, true) => a.deadline.cmp(&b.deadline),
        (false, false) => b.score().total_cmp(&a.score()),
    };
    order.sort_by(|a, b| compare(&pending[*a], &pending[*b]).then(a.cmp(b)));
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Strategy, prop, prop_assert_eq, proptest};
    use std::time::Duration;

    fn at(s: f64) -> Timestamp {
        Timestamp::ZERO.after(Duration::from_secs_f64(s))
    }

    fn pending(deadline_s: f64, takes_s: f64, regret_per_s: f64, usd: f64) -> Pending {
        Pending {
            deadline: at(deadline_s),
            takes_s,
            regret_per_s,
            cost: Usd::from_usd(usd),
        }
    }

    #[test]
    fn deadlines_first_then_regret_per_dollar() {
        let waiting = [
            pending(10.0, 20.0, 1.0, 0.01),
            pending(30.0, 5.0, 1.0, 0.01),
            pending(12.0, 5.0, 0.0, 0.01),
            pending(1.0, 5.0, 9.0, 0.01),
            pending(1.0, 5.0, f64::NAN, 0.0),
        ];
        assert_eq!(in_order(&waiting, at(0.0)), [2, 1, 3, 0, 4]);
        assert_eq!(in_order(&waiting[..3], at(1_000.0)), [0, 1, 2]);
    }

    #[test]
    fn what_takes_no_time_is_late_after_its_deadline_all_the_same() {
        let waiting = [pending(1.0, 0.0, 1.0, 0.0), pending(2.0, 0.0, 5.0, 0.0)];
        assert_eq!(in_order(&waiting, at(1.0)), [0, 1]);
        assert_eq!(in_order(&waiting, at(1.5)), [1, 0]);
        assert_eq!(in_order(&waiting, at(3.0)), [1, 0]);
    }

    /// How many are in time when they are worked on one by one in this order.
    fn met(waiting: &[Pending], order: &[usize]) -> usize {
        let mut now_s = 0.0;
        let ends = order.iter().filter(|index| {
            now_s += waiting[**index].takes_s;
            at(now_s) <= waiting[**index].deadline
        });
        ends.count()
    }

    fn permutations(of: usize) -> Vec<Vec<usize>> {
        if of == 0 {
            return vec![Vec::new()];
        }
        let mut all = Vec::new();
        for shorter in permutations(of - 1) {
            for place in 0..of {
                let mut longer = shorter.clone();
                longer.insert(place, of - 1);
                all.push(longer);
            }
        }
        all
    }

    proptest! {
        /// Wherever any order meets every deadline, this one does.
        #[test]
        fn all_are_in_time_if_they_can_be(
            waiting in prop::collection::vec((1.0f64..40.0, 1.0f64..8.0).prop_map(|(d, t)| pending(d, t, 1.0, 0.1)), 1..6)
        ) {
            let best = permutations(waiting.len()).iter().map(|order| met(&waiting, order)).max();
            if best == Some(waiting.len()) {
                prop_assert_eq!(met(&waiting, &in_order(&waiting, at(0.0))), waiting.len());
            }
        }
    }
}
