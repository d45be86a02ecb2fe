//! How many requests may be under way at once: additive increase, multiplicative decrease.
//!
//! A store that answers `503 SlowDown` or `429` is telling every caller at once, so the limit belongs to the store and
//! is shared by all its operations. Like TCP's congestion window (RFC 5681), it halves when throttled (once per
//! [`DECREASE_INTERVAL_NS`], since requests sent before the first refusal will be refused too) and grows while it is in use: by
//! one for each answer before the first refusal, which doubles it in a round trip, and by one for each limit's worth of answers
//! after it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Refusals within this time of the last decrease say nothing new.
const DECREASE_INTERVAL_NS: u64 = 200_000_000;

/// A queue in front of the store that lets a varying number of requests through.
#[derive(Debug)]
pub(crate) struct ConcurrencyLimiter {
    state: Mutex<State>,
    max: f64,
}

#[derive(Debug)]
struct State {
    limit: f64,
    in_flight: usize,
    last_decrease_ns: Option<u64>,
    waiting: VecDeque<oneshot::Sender<Permit>>,
}

/// The right to have one request under way; gives it back when dropped.
#[derive(Debug)]
pub(crate) struct Permit(Option<Arc<ConcurrencyLimiter>>);

impl ConcurrencyLimiter {
    /// Starts at `start` requests and stays within 1 and `max`.
    pub(crate) fn new(start: usize, max: usize) -> Arc<Self> {
        let max = max.max(1);
        Arc::new(ConcurrencyLimiter {
            state: Mutex::new(State {
                limit: start.clamp(1, max) as f64,
                in_flight: 0,
                last_decrease_ns: None,
                waiting: VecDeque::new(),
            }),
            max: max as f64,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits, in order of arrival, until a request may be sent.
    pub(crate) async fn acquire(self: &Arc<Self>) -> Permit {
        let receiver = {
            let mut state = self.lock();
            if state.waiting.is_empty() && state.has_room() {
                state.in_flight += 1;
                return Permit(Some(self.clone()));
            }
            let (sender, receiver) = oneshot::channel();
            state.waiting.push_back(sender);
            receiver
        };
        match receiver.await {
            Ok(permit) => permit,
            // Senders are dropped only with the limiter, which `self` keeps alive: count this one in all the same.
            Err(_) => {
                self.lock().in_flight += 1;
                Permit(Some(self.clone()))
            }
        }
    }

    /// The number of requests that may be under way now.
    #[cfg(test)]
    pub(crate) fn limit(&self) -> usize {
        self.lock().limit as usize
    }

    /// Lets waiters through while there is room.
    fn admit(self: &Arc<Self>) {
        loop {
            let next = {
                let mut state = self.lock();
                if !state.has_room() {
                    return;
                }
                let Some(next) = state.waiting.pop_front() else {
                    return;
                };
                state.in_flight += 1;
                next
            };
            // The permit of a waiter that was cancelled is taken back here: dropping it would recurse once per waiter.
            if let Err(mut unclaimed) = next.send(Permit(Some(self.clone()))) {
                unclaimed.0 = None;
                self.lock().in_flight -= 1;
            }
        }
    }
}

impl State {
    fn has_room(&self) -> bool {
        self.in_flight < self.limit as usize
    }
}

impl Permit {
    /// The store answered without complaint: allow a little more, if the limit was in use.
    pub(crate) fn answered(&self) {
        let Some(limiter) = &self.0 else { return };
        let mut state = limiter.lock();
        if state.in_flight * 2 >= state.limit as usize {
            let step = match state.last_decrease_ns {
                None => 1.0,
                Some(_) => 1.0 / state.limit,
            };
            state.limit = (state.limit + step).min(limiter.max);
        }
    }

    /// The store said that it is called too fast: halve the limit.
    pub(crate) fn throttled(&self, now_ns: u64) {
        let Some(limiter) = &self.0 else { return };
        let mut state = limiter.lock();
        let recent = state
            .last_decrease_ns
            .is_some_and(|last| now_ns.saturating_sub(last) < DECREASE_INTERVAL_NS);
        if !recent {
            state.limit = (state.limit / 2.0).max(1.0);
            state.last_decrease_ns = Some(now_ns);
            tracing::debug!(limit = state.limit as usize, "throttled by the store");
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(limiter) = self.0.take() {
            limiter.lock().in_flight -= 1;
            limiter.admit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn never_more_than_the_limit_and_in_order() {
        let limiter = ConcurrencyLimiter::new(2, 8);
        let first = limiter.acquire().await;
        let _second = limiter.acquire().await;
        let mut third = Box::pin(limiter.acquire());
        let mut fourth = Box::pin(limiter.acquire());
        assert!(third.as_mut().now_or_never().is_none());
        assert!(fourth.as_mut().now_or_never().is_none());
        drop(first);
        assert!(
            fourth.as_mut().now_or_never().is_none(),
            "the third came first"
        );
        assert!(third.as_mut().now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_cancelled_waiter_leaks_nothing() {
        let limiter = ConcurrencyLimiter::new(1, 8);
        let held = limiter.acquire().await;
        for granted_first in [false, true] {
            let mut waiter = Box::pin(limiter.acquire());
            assert!(waiter.as_mut().now_or_never().is_none());
            if !granted_first {
                drop(waiter);
            }
        }
        drop(held);
        assert!(limiter.acquire().now_or_never().is_some());
        assert_eq!(limiter.lock().in_flight, 0);
    }

    #[tokio::test]
    async fn throttling_halves_once_per_interval_down_to_one() {
        let limiter = ConcurrencyLimiter::new(64, 256);
        let permit = limiter.acquire().await;
        permit.throttled(1);
        permit.throttled(2);
        assert_eq!(limiter.limit(), 32);
        for round in 1..10 {
            permit.throttled(1 + round * DECREASE_INTERVAL_NS);
        }
        assert_eq!(limiter.limit(), 1);
    }

    #[tokio::test]
    async fn answers_raise_it_only_while_it_is_in_use() {
        let limiter = ConcurrencyLimiter::new(4, 6);
        let one = limiter.acquire().await;
        for _ in 0..100 {
            one.answered();
        }
        assert_eq!(
            limiter.limit(),
            4,
            "one request under way does not use a limit of four"
        );
        let _two = limiter.acquire().await;
        let _three = limiter.acquire().await;
        for _ in 0..100 {
            one.answered();
        }
        assert_eq!(limiter.limit(), 6);
    }

    #[tokio::test]
    async fn it_doubles_in_a_round_until_the_first_refusal() {
        let limiter = ConcurrencyLimiter::new(8, 256);
        let mut permits = Vec::new();
        for _ in 0..8 {
            permits.push(limiter.acquire().await);
        }
        permits.iter().for_each(Permit::answered);
        assert_eq!(limiter.limit(), 16);
        permits[0].throttled(1);
        assert_eq!(limiter.limit(), 8);
        permits.iter().for_each(Permit::answered);
        assert_eq!(limiter.limit(), 8, "eight answers are one more at most");
    }
}
