//! When to repeat a request, and how long to wait before.

use crate::{Error, Result};
use skyfresh_sky::{Clock, Kind, Rng, timeout};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// How long one attempt may take. Document services answer within milliseconds; what takes this long is lost.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// No attempt begins later than this after the first: a caller's lease (30 s unless configured) must not run out meanwhile.
const BUDGET: Duration = Duration::from_secs(10);

/// Most attempts at one request.
const ATTEMPTS: u32 = 8;

/// The longest first pause; each further one may be twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Why one attempt came to nothing.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Surely not done: refused for the moment (throttled), or never sent.
    NotDone {
        /// What the service said.
        error: Error,
        /// How long the service asks to wait.
        wait: Option<Duration>,
    },
    /// Nobody knows whether it was done: the answer is lost.
    Lost(Error),
    /// Repeating cannot help.
    Final(Error),
}

impl Failure {
    /// What the caller is told where nothing more is tried.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Failure::NotDone { error, .. } | Failure::Lost(error) | Failure::Final(error) => error,
        }
    }
}

/// The result of one attempt, or of several.
pub(crate) type Attempted<T> = Result<T, Failure>;

/// Requests of one process under way at once, where the service sets no lower bound: what a service that answers within 5 ms
/// serves 6,000 times a second, and one that is slow is not buried under.
#[cfg(any(feature = "cosmos", feature = "dynamodb"))]
pub(crate) const IN_FLIGHT: usize = 32;

/// Sends requests, a bounded number at once, and repeats them with growing pauses.
#[derive(Debug)]
pub(crate) struct Repeater {
    clock: Arc<dyn Clock>,
    rng: Rng,
    in_flight: Semaphore,
}

impl Repeater {
    /// Waits on this clock, with pauses drawn from this stream.
    pub(crate) fn new(clock: Arc<dyn Clock>, rng: Rng, in_flight: usize) -> Self {
        Repeater {
            clock,
            rng,
            in_flight: Semaphore::new(in_flight.max(1)),
        }
    }

    /// Repeats a request that may be done any number of times.
    ///
    /// # Errors
    /// The last attempt's.
    pub(crate) async fn harmless<T, F>(
        &self,
        operation: &'static str,
        target: &str,
        attempt: impl FnMut() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Attempted<T>>,
    {
        self.run(operation, target, true, attempt)
            .await
            .map_err(Failure::into_error)
    }

    /// Repeats a request as long as it is surely not done. [`Failure::Lost`] comes out at once.
    pub(crate) async fn once<T, F>(
        &self,
        operation: &'static str,
        target: &str,
        attempt: impl FnMut() -> F,
    ) -> Attempted<T>
    where
        F: Future<Output = Attempted<T>>,
    {
        self.run(operation, target, false, attempt).await
    }

    async fn run<T, F>(
        &self,
        operation: &'static str,
        target: &str,
        repeat_lost: bool,
        mut attempt: impl FnMut() -> F,
    ) -> Attempted<T>
    where
        F: Future<Output = Attempted<T>>,
    {
        let mut start_ns = None;
        let mut made = 0;
        loop {
            // Waiting here is not waiting for the service. The semaphore is never closed.
            let turn = self.in_flight.acquire().await;
            let start_ns = *start_ns.get_or_insert_with(|| self.clock.monotonic_ns());
            let outcome = timeout(&*self.clock, ATTEMPT_TIMEOUT, attempt())
                .await
                .unwrap_or_else(|| Err(Failure::Lost(unanswered(operation, target))));
            drop(turn);
            made += 1;
            let wait = match &outcome {
                Err(Failure::NotDone { wait, .. }) => *wait,
                Err(Failure::Lost(_)) if repeat_lost => None,
                _ => return outcome,
            };
            let pause = self.pause(made).max(wait.unwrap_or_default());
            let elapsed = Duration::from_nanos(self.clock.monotonic_ns().saturating_sub(start_ns));
            if made >= ATTEMPTS || elapsed + pause > BUDGET {
                return outcome;
            }
            tracing::debug!(operation, target, attempt = made, ?pause, "repeating");
            self.clock.sleep(pause).await;
        }
    }

    /// Uniform between nothing and a bound that doubles, so that clients which were refused together do not come back
    /// together (AWS Architecture Blog, "Exponential Backoff And Jitter", "full jitter").
    fn pause(&self, made: u32) -> Duration {
        let doublings = made.saturating_sub(1).min(10);
        let longest = (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE);
        longest.mul_f64(self.rng.unit())
    }
}

fn unanswered(operation: &'static str, target: &str) -> Error {
    let why = format!(
        "no answer within {} s; whether it was done is not known",
        ATTEMPT_TIMEOUT.as_secs()
    );
    Error::new(Kind::RetryAfter, operation, target, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use skyfresh_sky::{ManualClock, Timestamp};
    use std::cell::Cell;

    fn repeater() -> (Repeater, ManualClock) {
        let clock = ManualClock::at(Timestamp::ZERO);
        (
            Repeater::new(Arc::new(clock.clone()), Rng::seeded(3), 1),
            clock,
        )
    }

    fn error() -> Error {
        Error::new(Kind::RetryAfter, "put", "p/s", "busy")
    }

    fn throttled(wait: Option<Duration>) -> Failure {
        Failure::NotDone {
            error: error(),
            wait,
        }
    }

    #[tokio::test]
    async fn throttling_is_waited_out() {
        let (repeater, clock) = repeater();
        let made = Cell::new(0);
        let wait = Duration::from_millis(700);
        let done = repeater
            .once("put", "p/s", || async {
                made.set(made.get() + 1);
                if made.get() < 3 {
                    Err(throttled(Some(wait)))
                } else {
                    Ok(made.get())
                }
            })
            .await;
        assert!(matches!(done, Ok(3)));
        assert!(clock.now().since(Timestamp::ZERO) >= 2 * wait);
    }

    #[tokio::test]
    async fn repeats_are_bounded_in_number_and_in_time() {
        let (repeater, clock) = repeater();
        let made = Cell::new(0);
        let count = async || made.set(made.get() + 1);
        let attempt = || async {
            count().await;
            Err::<(), _>(throttled(None))
        };
        let failed = repeater.once("put", "p/s", attempt).await;
        assert!(matches!(failed, Err(Failure::NotDone { .. })));
        assert_eq!(made.get(), ATTEMPTS);

        made.set(0);
        let start = clock.now();
        let long = || async {
            count().await;
            Err::<(), _>(throttled(Some(Duration::from_secs(4))))
        };
        let failed = repeater.harmless("get", "p/s", long).await;
        assert_eq!(failed.unwrap_err().kind, Kind::RetryAfter);
        assert!(clock.now().since(start) <= BUDGET);
        assert_eq!(made.get(), 3);
    }

    #[tokio::test]
    async fn a_lost_answer_is_repeated_only_where_that_is_harmless() {
        let (repeater, _clock) = repeater();
        let made = Cell::new(0);
        let attempt = || async {
            made.set(made.get() + 1);
            if made.get() == 1 {
                Err(Failure::Lost(error()))
            } else {
                Ok(())
            }
        };
        let outcome = repeater.once("put", "p/s", attempt).await;
        assert!(matches!(outcome, Err(Failure::Lost(_))));
        assert_eq!(made.get(), 1);
        made.set(0);
        repeater.harmless("get", "p/s", attempt).await.unwrap();
        assert_eq!(made.get(), 2);
    }

    #[tokio::test]
    async fn an_attempt_without_an_answer_is_lost() {
        let (repeater, _clock) = repeater();
        let outcome = repeater
            .once("put", "p/s", std::future::pending::<Attempted<()>>)
            .await;
        assert!(matches!(outcome, Err(Failure::Lost(error)) if error.kind == Kind::RetryAfter));
    }

    #[tokio::test]
    async fn final_failures_are_not_repeated() {
        let (repeater, _clock) = repeater();
        let made = Cell::new(0);
        let attempt = || async {
            made.set(made.get() + 1);
            Err::<(), _>(Failure::Final(Error::new(Kind::Denied, "get", "p/s", "no")))
        };
        let error = repeater.harmless("get", "p/s", attempt).await.unwrap_err();
        assert_eq!((error.kind, made.get()), (Kind::Denied, 1));
    }
}
