//! What is timed: requests, and streams of bytes. Everything ends early, and quietly, once the command is told to stop; a write
//! that is under way is waited for, so that what it leaves can be removed.

use super::probes::Probes;
use anyhow::Context as _;
use futures::StreamExt;
use serde::Serialize;
use skyfresh_sky::{Clock, ObjectKey};
use skyfresh_store::{GetOptions, ObjectStore};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How many streams are tried.
const STREAMS: [u64; 5] = [1, 2, 4, 8, 16];
/// Most bytes of one request: as much as a part of the engine's.
const REQUEST_BYTES: u64 = 8 << 20;
/// Most requests of one measure: small objects would otherwise be read for ever.
const MOST_REQUESTS: u64 = 512;
/// No request of a measure begins later than this: slow ways are measured with fewer bytes.
const LIMIT_NS: u64 = 20_000_000_000;

/// Delays of requests, in ms.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Latency {
    pub(super) requests: usize,
    pub(super) least_ms: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

impl Latency {
    /// Of these delays, of which there is at least one.
    fn of(mut delays_ms: Vec<f64>) -> Option<Self> {
        delays_ms.sort_by(f64::total_cmp);
        // Nearest rank: a delay that was measured.
        let at = |share: f64| {
            let rank = (share * delays_ms.len() as f64).ceil() as usize;
            delays_ms.get(rank.max(1) - 1).copied()
        };
        Some(Latency {
            requests: delays_ms.len(),
            least_ms: at(0.0)?,
            p50_ms: at(0.5)?,
            p99_ms: at(0.99)?,
        })
    }
}

/// How fast so many streams were together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Rate {
    pub(super) streams: u64,
    pub(super) bytes: u64,
    pub(super) seconds: f64,
    /// 10⁶ bytes a second.
    pub(super) mb_per_s: f64,
}

/// How it is measured.
#[derive(Clone, Debug)]
pub(super) struct Measure {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) stop: CancellationToken,
    /// Most bytes of each measure of throughput.
    pub(super) bytes: u64,
    /// Requests at each side.
    pub(super) requests: u32,
}

impl Measure {
    /// How long HEAD requests of an object take, one after the other. The first one, which connects, does not count.
    pub(super) async fn heads(
        &self,
        store: &dyn ObjectStore,
        key: &ObjectKey,
    ) -> anyhow::Result<Latency> {
        let mut delays_ms = Vec::new();
        for request in 0..=self.requests {
            let began_ns = self.clock.monotonic_ns();
            store
                .head(key)
                .await
                .with_context(|| format!("cannot read {key}"))?;
            let took_ns = self.clock.monotonic_ns().saturating_sub(began_ns);
            if request > 0 {
                delays_ms.push(took_ns as f64 / 1e6);
            }
            if self.stop.is_cancelled() && request > 0 {
                break;
            }
        }
        Latency::of(delays_ms).context("no request was sent")
    }

    /// How fast an object is read by more and more streams.
    pub(super) async fn reads(
        &self,
        store: &Arc<dyn ObjectStore>,
        key: &ObjectKey,
        size: u64,
    ) -> anyhow::Result<Vec<Rate>> {
        let mut rates = Vec::new();
        for streams in STREAMS {
            let request_bytes = self.request_bytes(streams).min(size.max(1));
            let (from, wanted, stop) = (Arc::clone(store), key.clone(), self.stop.clone());
            let read = move |index: u64| {
                let (store, key, stop) = (Arc::clone(&from), wanted.clone(), stop.clone());
                // From one place to the next, from the beginning again where the object ends.
                let begins = (index * request_bytes) % (size.max(1) - request_bytes + 1);
                let range = begins..begins + request_bytes.min(size);
                async move {
                    tokio::select! {
                        bytes = read(store.as_ref(), &key, range) => bytes,
                        () = stop.cancelled() => Ok(0),
                    }
                }
            };
            self.connect(store.as_ref(), key, streams).await;
            rates.push(self.rate(streams, request_bytes, read).await?);
        }
        Ok(rates)
    }

    /// How fast objects are written by more and more streams.
    pub(super) async fn writes(&self, probes: &Probes) -> anyhow::Result<Vec<Rate>> {
        let mut rates = Vec::new();
        for streams in STREAMS {
            let request_bytes = self.request_bytes(streams);
            let before = probes.named();
            let written = probes.clone();
            let write = move |_| {
                let probes = written.clone();
                async move {
                    probes.write(request_bytes).await?;
                    Ok(request_bytes)
                }
            };
            let key = probes.next_key()?;
            self.connect(probes.store().as_ref(), &key, streams).await;
            rates.push(self.rate(streams, request_bytes, write).await?);
            // No more than one measure's bytes are kept at a time.
            probes.remove(before..probes.named()).await?;
        }
        Ok(rates)
    }

    /// Every stream has two requests to make at least, so that a slow one does not decide alone when all are done.
    fn request_bytes(&self, streams: u64) -> u64 {
        self.bytes.div_ceil(2 * streams).clamp(1, REQUEST_BYTES)
    }

    /// Opens as many connections as there will be streams: workers reuse theirs, so opening them is no part of a rate.
    async fn connect(&self, store: &dyn ObjectStore, key: &ObjectKey, streams: u64) {
        let heads = (0..streams).map(|_| store.head(key));
        // Whether there is such an object does not matter; trouble will show when bytes are to move.
        futures::future::join_all(heads).await;
    }

    /// Streams that take the next request until the bytes are used up.
    async fn rate<F>(
        &self,
        streams: u64,
        request_bytes: u64,
        request: impl Fn(u64) -> F + Clone + Send + 'static,
    ) -> anyhow::Result<Rate>
    where
        F: Future<Output = anyhow::Result<u64>> + Send + 'static,
    {
        let requests = (self.bytes / request_bytes).clamp(streams, MOST_REQUESTS);
        let (next, moved) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let began_ns = self.clock.monotonic_ns();
        let mut running = JoinSet::new();
        for _ in 0..streams {
            let (next, moved, request) = (Arc::clone(&next), Arc::clone(&moved), request.clone());
            let (clock, stop) = (Arc::clone(&self.clock), self.stop.clone());
            running.spawn(async move {
                loop {
                    let index = next.fetch_add(1, Ordering::SeqCst);
                    let late = clock.monotonic_ns().saturating_sub(began_ns) > LIMIT_NS;
                    if index >= requests || late || stop.is_cancelled() {
                        return anyhow::Ok(());
                    }
                    moved.fetch_add(request(index).await?, Ordering::SeqCst);
                }
            });
        }
        let mut ended = Ok(());
        // All are waited for: what is under way would otherwise go on after the failure of another.
        while let Some(joined) = running.join_next().await {
            ended = ended.and(joined.context("a stream ended unexpectedly")?);
        }
        ended?;
        let took_ns = self.clock.monotonic_ns().saturating_sub(began_ns).max(1);
        let (bytes, seconds) = (moved.load(Ordering::SeqCst), took_ns as f64 / 1e9);
        Ok(Rate {
            streams,
            bytes,
            seconds,
            mb_per_s: bytes as f64 / seconds / 1e6,
        })
    }
}

async fn read(
    store: &dyn ObjectStore,
    key: &ObjectKey,
    range: std::ops::Range<u64>,
) -> anyhow::Result<u64> {
    let options = GetOptions {
        range: Some(range),
        version: None,
    };
    let mut body = store.get(key, options).await?.body;
    let mut bytes = 0;
    while let Some(chunk) = body.next().await {
        bytes += chunk?.len() as u64;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_delays_that_were_measured() {
        let latency = Latency::of((1..=20).rev().map(f64::from).collect()).unwrap();
        assert_eq!((latency.requests, latency.least_ms), (20, 1.0));
        assert_eq!((latency.p50_ms, latency.p99_ms), (10.0, 20.0));
        assert_eq!(Latency::of(vec![3.0]).unwrap().p99_ms, 3.0);
        assert_eq!(Latency::of(Vec::new()), None);
    }
}
