//! Notices that a lane's stores answer again after they had not, so that keys do not sit out the delays that the outage has
//! given them: after a long one these are minutes, and the store would take everything at once.
//!
//! In: how attempts end. Out: whether this end is the end of an outage. Never: IO; a word about a single failing key, whose
//! failures come between other keys' successes.

use skyfresh_sky::{Kind, Timestamp};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Failures without any success for so long are an outage. Shorter ones are over before their keys' delays are.
const SHORTEST: Duration = Duration::from_secs(5);

/// An attempt that failed while the outage ended is recorded a little later, and would be left behind: after so long, what
/// failed is looked after once more.
const STRAGGLERS_AFTER: Duration = Duration::from_secs(10);

/// Whether the stores answer.
#[derive(Debug, Default)]
pub(crate) struct Outage(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Since when nothing but passing failures was seen.
    failing_since: Option<Timestamp>,
    /// When to look after stragglers of the last outage.
    again_at: Option<Timestamp>,
}

impl Outage {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An attempt failed. Only failures that pass by themselves tell of an outage.
    pub(crate) fn failed(&self, kind: Kind, now: Timestamp) {
        if kind == Kind::RetryAfter {
            self.state().failing_since.get_or_insert(now);
        }
    }

    /// An attempt succeeded. True where this ends an outage, and once more soon after: what waits for its next attempt should
    /// not wait any longer.
    pub(crate) fn succeeded(&self, now: Timestamp) -> bool {
        let mut state = self.state();
        let since = state.failing_since.take();
        if since.is_some_and(|since| now.since(since) >= SHORTEST) {
            state.again_at = Some(now.after(STRAGGLERS_AFTER));
            return true;
        }
        let stragglers = state.again_at.is_some_and(|at| now >= at);
        if stragglers {
            state.again_at = None;
        }
        stragglers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_success_after_a_long_silence_ends_an_outage() {
        let outage = Outage::default();
        let at = |s: u64| Timestamp::ZERO.after(Duration::from_secs(s));
        assert!(!outage.succeeded(at(100)), "nothing had failed");
        outage.failed(Kind::RetryAfter, at(100));
        assert!(!outage.succeeded(at(104)), "too short");
        outage.failed(Kind::RetryAfter, at(110));
        outage.failed(Kind::RetryAfter, at(114));
        assert!(outage.succeeded(at(115)));
        assert!(!outage.succeeded(at(116)), "it has ended already");
        assert!(outage.succeeded(at(126)), "what failed meanwhile");
        assert!(!outage.succeeded(at(127)), "once");
        outage.failed(Kind::Denied, at(200));
        outage.failed(Kind::Precondition, at(200));
        assert!(!outage.succeeded(at(900)), "waiting does not mend these");
    }
}
