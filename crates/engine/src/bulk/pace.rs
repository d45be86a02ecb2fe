//! How many transfers go on at once: enough for the best rate, and no more.
//!
//! In: when transfers began and ended, and how much they moved. Out: slots. Never: a figure that the user has to know.
//!
//! The number begins modest and doubles while that pays (as TCP's slow start does); then it climbs the hill of the measured
//! rate in small steps: in the direction that last paid, and downwards where the rate does not change, since what brings nothing
//! only costs memory and the stores' patience. A refusal for going too fast takes a third off.

use skyfresh_sky::Clock;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a request costs beside its bytes, in bytes: about what a connection moves in a millisecond or two.
const REQUEST_WORTH_BYTES: u64 = 64 << 10;
/// Rounds shorter than this are told apart by chance only.
const SHORTEST_ROUND_NS: u64 = 50_000_000;
/// Doubling must bring this much to go on.
const DOUBLING_PAYS: f64 = 1.2;
/// A change of the rate below this is no change.
const NOISE: f64 = 0.04;

/// A round: as many transfers as there were slots.
#[derive(Clone, Copy, Debug)]
struct Round {
    /// Work done, in bytes a second.
    rate: f64,
    /// A store said that it was asked too much.
    refused: bool,
}

/// The search for the best number. Pure; every decision follows from the rounds seen.
#[derive(Clone, Debug)]
struct Search {
    limit: usize,
    least: usize,
    most: usize,
    doubling: bool,
    /// The last doubling has not paid yet: its transfers may have waited for connections to be made.
    in_doubt: bool,
    upwards: bool,
    last_rate: f64,
}

impl Search {
    fn new(first: usize, least: usize, most: usize) -> Self {
        Search {
            limit: first.clamp(least, most),
            least,
            most,
            doubling: least < most,
            in_doubt: false,
            upwards: true,
            last_rate: 0.0,
        }
    }

    /// Takes a round in, which decides the next round's number.
    fn after(&mut self, round: Round) {
        if self.least == self.most {
            return;
        }
        let step = (self.limit / 8).max(1);
        if round.refused {
            self.doubling = false;
            self.upwards = false;
            self.limit -= self.limit / 3;
        } else if self.doubling {
            if round.rate >= self.last_rate * DOUBLING_PAYS {
                self.limit *= 2;
                self.in_doubt = false;
            } else if !self.in_doubt {
                self.in_doubt = true;
                return;
            } else {
                self.doubling = false;
                self.upwards = false;
                // The last doubling brought nothing: most of it is taken back.
                self.limit -= self.limit * 3 / 8;
            }
        } else {
            let change = round.rate / self.last_rate.max(1.0) - 1.0;
            if change < -NOISE {
                self.upwards = !self.upwards;
            } else if change <= NOISE {
                self.upwards = false;
            }
            match self.upwards {
                true => self.limit += step,
                false => self.limit -= step.min(self.limit - 1),
            }
        }
        self.limit = self.limit.clamp(self.least, self.most);
        self.last_rate = round.rate;
    }
}

/// Gives out slots, as many as the search allows.
#[derive(Debug)]
pub(super) struct Pace {
    slots: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    search: Search,
    /// Slots there are, held or free; more than the limit until some are given back.
    issued: usize,
    began_ns: u64,
    done: usize,
    work: u64,
    /// Transfers that ended while others could have begun: the number was not what held things up.
    unneeded: usize,
    refused: bool,
}

/// The right to one transfer.
#[derive(Debug)]
pub(super) struct Slot {
    permit: Option<OwnedSemaphorePermit>,
    pace: Arc<Pace>,
}

impl Pace {
    /// Begins with `first` slots and stays within `least` and `most`; equal ones fix the number.
    pub(super) fn new(first: usize, least: usize, most: usize, clock: Arc<dyn Clock>) -> Arc<Self> {
        let search = Search::new(first, least.max(1), most.max(1));
        Arc::new(Pace {
            slots: Arc::new(Semaphore::new(search.limit)),
            state: Mutex::new(State {
                issued: search.limit,
                search,
                began_ns: clock.monotonic_ns(),
                done: 0,
                work: 0,
                unneeded: 0,
                refused: false,
            }),
            clock,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a slot, in order of arrival.
    pub(super) async fn enter(self: &Arc<Self>) -> Slot {
        let permit = Arc::clone(&self.slots).acquire_owned().await;
        Slot {
            // The semaphore is never closed.
            permit: permit.ok(),
            pace: Arc::clone(self),
        }
    }

    /// Begins again with more slots, where nothing was learnt yet.
    pub(super) fn begin_with(&self, first: usize) {
        let mut state = self.lock();
        let fixed = state.search.least == state.search.most;
        if fixed || !state.search.doubling || state.search.limit >= first {
            return;
        }
        state.search.limit = first.min(state.search.most);
        let more = state.search.limit.saturating_sub(state.issued);
        state.issued += more;
        self.slots.add_permits(more);
    }

    /// How many transfers may go on at once now.
    pub(super) fn limit(&self) -> usize {
        self.lock().search.limit
    }

    fn ended(&self, bytes: u64, refused: bool) {
        let free = self.slots.available_permits();
        let mut state = self.lock();
        state.done += 1;
        state.work += bytes + REQUEST_WORTH_BYTES;
        state.unneeded += usize::from(free > 0);
        state.refused |= refused;
        let now_ns = self.clock.monotonic_ns();
        let elapsed_ns = now_ns.saturating_sub(state.began_ns);
        if state.done < state.search.limit || elapsed_ns < SHORTEST_ROUND_NS {
            return;
        }
        let round = Round {
            rate: state.work as f64 * 1e9 / elapsed_ns as f64,
            refused: state.refused,
        };
        if state.unneeded * 4 <= state.done || round.refused {
            state.search.after(round);
            tracing::debug!(limit = state.search.limit, rate = round.rate, "pace");
        }
        (state.done, state.work, state.unneeded) = (0, 0, 0);
        (state.refused, state.began_ns) = (false, now_ns);
        let more = state.search.limit.saturating_sub(state.issued);
        if more > 0 {
            state.issued += more;
            self.slots.add_permits(more);
        }
    }
}

impl Slot {
    /// A transfer of so many bytes has ended, and the slot is free for the next one.
    pub(super) fn done(self, bytes: u64) {
        self.pace.ended(bytes, false);
    }

    /// A transfer failed because a store was asked too much.
    pub(super) fn refused(self) {
        self.pace.ended(0, true);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.pace.lock();
        if state.issued > state.search.limit
            && let Some(permit) = self.permit.take()
        {
            permit.forget();
            state.issued -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use skyfresh_sky::SystemClock;

    /// Where the search ends up on a link whose rate is `rate(limit)`.
    fn settles(first: usize, rate: impl Fn(usize) -> f64) -> (usize, usize) {
        let mut search = Search::new(first, 1, 1024);
        let mut seen = Vec::new();
        for _ in 0..60 {
            search.after(Round {
                rate: rate(search.limit),
                refused: false,
            });
            seen.push(search.limit);
        }
        let last = &seen[40..];
        (
            *last.iter().min().unwrap_or(&0),
            *last.iter().max().unwrap_or(&0),
        )
    }

    #[test]
    fn it_finds_the_knee_of_a_link() {
        // Each transfer gets 50 MB/s until the link's 400 MB/s are shared.
        let (least, most) = settles(4, |limit| (limit as f64 * 50e6).min(400e6));
        assert!(
            least >= 6 && most <= 16,
            "the knee is at 8: {least} to {most}"
        );
        // Small objects at 80 ms each: nothing is ever saturated.
        let (least, _) = settles(64, |limit| limit as f64 / 0.08);
        assert!(least >= 800, "{least}");
    }

    #[test]
    fn it_leaves_a_slope_that_goes_down() {
        // A machine that thrashes beyond 16.
        let (_, most) = settles(64, |limit| {
            let limit = limit as f64;
            limit.min(16.0) * 1e6 / (1.0 + (limit - 16.0).max(0.0) / 20.0)
        });
        assert!(most <= 32, "{most}");
    }

    #[test]
    fn doubling_takes_as_many_rounds_as_there_are_doublings() {
        let mut search = Search::new(64, 1, 1024);
        for expected in [128, 256, 512, 1024] {
            search.after(Round {
                rate: search.limit as f64,
                refused: false,
            });
            assert_eq!(search.limit, expected);
        }
    }

    #[test]
    fn a_round_that_waited_for_new_connections_ends_nothing() {
        // Of 128 transfers 64 connect first, and take twice as long.
        let mut search = Search::new(64, 1, 1024);
        let mut limits = Vec::new();
        for rate in [64.0, 70.0, 128.0, 140.0, 256.0] {
            search.after(Round {
                rate,
                refused: false,
            });
            limits.push(search.limit);
        }
        assert_eq!(limits, [128, 128, 256, 256, 512]);
    }

    proptest! {
        #[test]
        fn it_stays_within_its_bounds(
            least in 1usize..8, more in 0usize..100, first in 0usize..200,
            rounds in proptest::collection::vec((0.0f64..1e12, any::<bool>()), 0..100),
        ) {
            let most = least + more;
            let mut search = Search::new(first, least, most);
            for (rate, refused) in rounds {
                search.after(Round { rate, refused });
                prop_assert!((least..=most).contains(&search.limit));
            }
        }
    }

    #[tokio::test]
    async fn there_are_never_more_slots_than_the_limit_once_given_back() {
        let pace = Pace::new(4, 4, 4, Arc::new(SystemClock));
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(pace.enter().await);
        }
        assert_eq!(pace.slots.available_permits(), 0);
        pace.lock().search.limit = 2;
        held.into_iter().for_each(|slot| slot.done(1));
        assert_eq!(pace.slots.available_permits(), 2);
    }
}
