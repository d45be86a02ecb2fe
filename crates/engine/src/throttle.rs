//! The configured rate at which a rule may read its source.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use skyfresh_sky::Clock;
use skyfresh_store::ByteStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A token bucket over bytes, shared by everything a rule reads. A burst of at most a quarter second is saved up.
#[derive(Debug)]
pub(crate) struct Throttle {
    bytes_per_second: AtomicU64,
    clock: Arc<dyn Clock>,
    /// The time, in monotonic ns, up to which the configured rate is already spent.
    spent_until_ns: Mutex<u64>,
}

const BURST_NS: u64 = 250_000_000;

impl Throttle {
    pub(crate) fn new(bytes_per_second: u64, clock: Arc<dyn Clock>) -> Self {
        Throttle {
            bytes_per_second: AtomicU64::new(bytes_per_second.max(1)),
            clock,
            spent_until_ns: Mutex::new(0),
        }
    }

    /// Changes the rate; what has been taken at the old one stays taken.
    pub(crate) fn set(&self, bytes_per_second: u64) {
        let rate = bytes_per_second.max(1);
        self.bytes_per_second.store(rate, Ordering::Relaxed);
    }

    /// Takes `bytes` from the budget and says how long to wait before using them.
    fn take(&self, bytes: u64) -> Duration {
        let now_ns = self.clock.monotonic_ns();
        let rate = self.bytes_per_second.load(Ordering::Relaxed);
        let cost_ns = (u128::from(bytes) * 1_000_000_000 / u128::from(rate)) as u64;
        let mut spent = self
            .spent_until_ns
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *spent = (*spent).max(now_ns.saturating_sub(BURST_NS)) + cost_ns;
        Duration::from_nanos(spent.saturating_sub(now_ns))
    }

    /// Waits until the budget allows `bytes` that others read.
    pub(crate) async fn wait(&self, bytes: u64) {
        let wait = self.take(bytes);
        if !wait.is_zero() {
            self.clock.sleep(wait).await;
        }
    }

    /// `body`, no faster than the budget allows.
    pub(crate) fn limit(self: &Arc<Self>, body: ByteStream) -> ByteStream {
        let throttle = Arc::clone(self);
        body.and_then(move |chunk: Bytes| {
            let throttle = Arc::clone(&throttle);
            async move {
                throttle.wait(chunk.len() as u64).await;
                Ok(chunk)
            }
        })
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skyfresh_sky::{ManualClock, Timestamp};

    #[tokio::test]
    async fn the_rate_holds_over_many_chunks() {
        let clock = ManualClock::at(Timestamp::from_unix_ms(10_000));
        let throttle = Arc::new(Throttle::new(1_000_000, Arc::new(clock.clone())));
        let chunks =
            futures::stream::iter((0..100).map(|_| Ok(Bytes::from(vec![0; 100_000])))).boxed();
        let read: Vec<_> = throttle.limit(chunks).collect().await;
        assert_eq!(read.len(), 100);
        let elapsed = clock
            .now()
            .since(Timestamp::from_unix_ms(10_000))
            .as_secs_f64();
        assert!(
            (9.5..=10.0).contains(&elapsed),
            "10 MB at 1 MB/s less a quarter second of burst took {elapsed} s"
        );
    }
}
