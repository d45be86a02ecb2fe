//! The seam through which time is read and waited for.

use crate::Timestamp;
use async_trait::async_trait;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Reads the time and waits. Production uses [`SystemClock`]; tests and the simulator bring their own.
#[async_trait]
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Wall-clock time. May jump: never use it for ordering where a version exists.
    fn now(&self) -> Timestamp;

    /// A monotonic reading in nanoseconds from an arbitrary start, for measuring durations.
    fn monotonic_ns(&self) -> u64;

    /// Waits at least this long.
    async fn sleep(&self, delay: Duration);
}

/// `future`'s result, or `None` once `limit` has passed first.
pub async fn timeout<F: Future>(
    clock: &dyn Clock,
    limit: Duration,
    future: F,
) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let mut sleep = clock.sleep(limit);
    std::future::poll_fn(move |context| {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(context) {
            return std::task::Poll::Ready(Some(output));
        }
        sleep.as_mut().poll(context).map(|()| None)
    })
    .await
}

/// The operating system's clock and Tokio's timer.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[async_trait]
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where ambient time is read"
)]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::ZERO.after(since_epoch)
    }

    fn monotonic_ns(&self) -> u64 {
        use std::sync::LazyLock;
        static START: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);
        START.elapsed().as_nanos() as u64
    }

    async fn sleep(&self, delay: Duration) {
        tokio::time::sleep(delay).await;
    }
}

/// Tokio's timer counted from a wall-clock time of its own. On a runtime whose time is paused it is virtual: when nothing can
/// go on, it jumps to the next timer, so that an hour of waiting takes no time.
#[derive(Clone, Debug)]
pub struct VirtualClock {
    epoch: Timestamp,
    start: tokio::time::Instant,
}

impl VirtualClock {
    /// A clock that shows `epoch` now. Must be made on the runtime whose time it tells.
    #[expect(clippy::disallowed_methods, reason = "this is a clock")]
    pub fn starting_at(epoch: Timestamp) -> Self {
        VirtualClock {
            epoch,
            start: tokio::time::Instant::now(),
        }
    }
}

#[async_trait]
#[expect(clippy::disallowed_methods, reason = "this is a clock")]
impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.epoch.after(self.start.elapsed())
    }

    fn monotonic_ns(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    async fn sleep(&self, delay: Duration) {
        tokio::time::sleep(delay).await;
    }
}

/// A clock that stands still until told otherwise, for unit tests. `sleep` advances it and returns at once.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// A clock that shows `start`.
    pub fn at(start: Timestamp) -> Self {
        ManualClock(Arc::new(AtomicU64::new(start.unix_ms())))
    }

    /// Moves the clock forward.
    pub fn advance(&self, delay: Duration) {
        self.0.fetch_add(delay.as_millis() as u64, Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.0.load(Ordering::SeqCst))
    }

    fn monotonic_ns(&self) -> u64 {
        self.0.load(Ordering::SeqCst) * 1_000_000
    }

    async fn sleep(&self, delay: Duration) {
        self.advance(delay);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn timeout_returns_the_result_or_gives_up() {
        let clock = SystemClock;
        assert_eq!(
            timeout(&clock, Duration::from_secs(5), async { 7 }).await,
            Some(7)
        );
        assert_eq!(
            timeout(
                &clock,
                Duration::from_millis(1),
                std::future::pending::<()>()
            )
            .await,
            None
        );
    }
}
