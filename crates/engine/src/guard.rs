//! The cap on deletes: guarantee 7.

use skyfresh_sky::{Mutant, Timestamp};
use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(3_600);
const MINUTE: Duration = Duration::from_secs(60);

/// Counts deletes of the last hour at one destination, by minute, and refuses those past the cap.
#[derive(Debug)]
pub(crate) struct DeleteGuard {
    cap: u64,
    minutes: Mutex<VecDeque<(Timestamp, u64)>>,
}

impl DeleteGuard {
    pub(crate) fn new(cap: u64) -> Self {
        DeleteGuard {
            cap,
            minutes: Mutex::new(VecDeque::new()),
        }
    }

    /// Counts a delete that was made at `at` by another process, or by an earlier one.
    pub(crate) fn remember(&self, at: Timestamp) {
        let mut minutes = self
            .minutes
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let place = minutes.partition_point(|(minute, _)| *minute <= at);
        match place
            .checked_sub(1)
            .and_then(|before| minutes.get_mut(before))
        {
            Some((minute, count)) if at.since(*minute) < MINUTE => *count += 1,
            _ => minutes.insert(place, (at, 1)),
        }
    }

    /// Takes one delete from the budget; false where it is spent.
    pub(crate) fn allow(&self, now: Timestamp) -> bool {
        let mut minutes = self
            .minutes
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        while minutes
            .front()
            .is_some_and(|(minute, _)| now.since(*minute) >= WINDOW)
        {
            minutes.pop_front();
        }
        let made = minutes.iter().map(|(_, count)| count).sum::<u64>();
        if made >= self.cap && !Mutant::DeletesUncapped.is_on() {
            return false;
        }
        match minutes.back_mut() {
            Some((minute, count)) if now.since(*minute) < MINUTE => *count += 1,
            _ => minutes.push_back((now, 1)),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cap_holds_for_any_hour() {
        let guard = DeleteGuard::new(3);
        let at = |minute: u64| Timestamp::from_unix_ms(minute * 60_000);
        assert!(guard.allow(at(0)) && guard.allow(at(0)) && guard.allow(at(30)));
        assert!(!guard.allow(at(59)));
        assert!(guard.allow(at(60)) && guard.allow(at(61)));
        assert!(!guard.allow(at(61)));
        let restarted = DeleteGuard::new(3);
        for minute in [50, 20, 30] {
            restarted.remember(at(minute));
        }
        assert!(!restarted.allow(at(79)) && restarted.allow(at(80)) && !restarted.allow(at(89)));
    }
}
