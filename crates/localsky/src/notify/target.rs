//! One webhook: events wait for their due time, leave in batches, and are sent again until they are accepted.

use super::{Counters, Event, QUEUE_EVENTS};
use crate::config::Secret;
use crate::{Error, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use skyfresh_sky::{Clock, Kind, timeout};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;

/// Most records of one POST.
const BATCH_RECORDS: usize = 100;
/// How long a due record waits for company.
const LINGER: Duration = Duration::from_millis(20);
/// A POST that takes longer has failed.
const POST_TIMEOUT: Duration = Duration::from_secs(30);
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MOST: Duration = Duration::from_secs(5);

pub(crate) fn parse_url(url: &str) -> Result<http::Uri> {
    let bad = |why: String| {
        Error::new(
            Kind::Invalid,
            "set notifications",
            format!("target {url:?}: {why}"),
        )
    };
    let uri: http::Uri = url.parse().map_err(|error| bad(format!("{error}")))?;
    if uri.scheme_str() != Some("http") || uri.host().is_none() {
        return Err(bad("expected http://host:port/path".into()));
    }
    Ok(uri)
}

/// Ordered by due time, then by arrival.
struct Waiting {
    due_ns: u64,
    arrival: u64,
    event: Arc<Event>,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        (self.due_ns, self.arrival) == (other.due_ns, other.arrival)
    }
}
impl Eq for Waiting {}
impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due_ns, self.arrival).cmp(&(other.due_ns, other.arrival))
    }
}

pub(crate) struct Target {
    url: http::Uri,
    token: Option<Secret>,
    clock: Arc<dyn Clock>,
    counters: Arc<Counters>,
    client: Client<HttpConnector, Full<Bytes>>,
    waiting: BinaryHeap<Reverse<Waiting>>,
    arrivals: u64,
}

impl Target {
    pub(crate) fn new(
        url: http::Uri,
        token: Option<Secret>,
        clock: Arc<dyn Clock>,
        counters: Arc<Counters>,
    ) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Target {
            url,
            token,
            clock,
            counters,
            client,
            waiting: BinaryHeap::new(),
            arrivals: 0,
        }
    }

    /// Sends until the queue is closed and everything has gone out.
    pub(crate) async fn run(mut self, mut queue: mpsc::Receiver<(u64, Arc<Event>)>) {
        let mut open = true;
        while open || !self.waiting.is_empty() {
            let batch = self.take_due();
            if !batch.is_empty() {
                self.deliver(&batch).await;
                // Without waiting: what came meanwhile.
                while let Ok(next) = queue.try_recv() {
                    self.accept(next);
                }
                continue;
            }
            let clock = self.clock.clone();
            let wait = self.waiting.peek().map(|Reverse(first)| {
                Duration::from_nanos(first.due_ns.saturating_sub(clock.monotonic_ns()))
            });
            tokio::select! {
                next = queue.recv(), if open => match next {
                    None => open = false,
                    Some(next) => {
                        let was_idle = self.waiting.is_empty();
                        self.accept(next);
                        if was_idle {
                            open = self.linger(&mut queue).await;
                        }
                    }
                },
                () = async { clock.sleep(wait.unwrap_or_default()).await }, if wait.is_some() => {}
            }
        }
    }

    /// Gathers what comes within the linger time, or a whole batch. False once the queue is closed.
    async fn linger(&mut self, queue: &mut mpsc::Receiver<(u64, Arc<Event>)>) -> bool {
        let clock = self.clock.clone();
        let mut over = clock.sleep(LINGER);
        while self.waiting.len() < BATCH_RECORDS {
            tokio::select! {
                () = &mut over => return true,
                next = queue.recv() => match next {
                    None => return false,
                    Some(next) => self.accept(next),
                },
            }
        }
        true
    }

    fn accept(&mut self, (due_ns, event): (u64, Arc<Event>)) {
        if self.waiting.len() >= QUEUE_EVENTS {
            self.counters.overflowed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.arrivals += 1;
        self.waiting.push(Reverse(Waiting {
            due_ns,
            arrival: self.arrivals,
            event,
        }));
    }

    fn take_due(&mut self) -> Vec<Arc<Event>> {
        let now_ns = self.clock.monotonic_ns();
        let mut batch = Vec::new();
        while batch.len() < BATCH_RECORDS
            && self
                .waiting
                .peek()
                .is_some_and(|Reverse(first)| first.due_ns <= now_ns)
            && let Some(Reverse(first)) = self.waiting.pop()
        {
            batch.push(first.event);
        }
        batch
    }

    /// Posts a batch until it is accepted.
    async fn deliver(&self, batch: &[Arc<Event>]) {
        let records: Vec<_> = batch.iter().map(|event| event.record()).collect();
        // MinIO adds the first record's name and path beside S3's `Records`; consumers of either find what they expect.
        let first = batch.first();
        let body = serde_json::json!({
            "EventName": first.map(|event| format!("s3:{}", event.name.as_str())),
            "Key": first.map(|event| format!("{}/{}", event.bucket, event.key)),
            "Records": records,
        });
        let body = Bytes::from(body.to_string());
        let mut retry = RETRY_FIRST;
        loop {
            match timeout(&*self.clock, POST_TIMEOUT, self.post(body.clone())).await {
                Some(Ok(())) => break,
                Some(Err(reason)) => {
                    tracing::debug!(url = %self.url, reason, "a notification was not accepted")
                }
                None => tracing::debug!(url = %self.url, "a notification was not answered in time"),
            }
            self.counters.failed_posts.fetch_add(1, Ordering::Relaxed);
            self.clock.sleep(retry).await;
            retry = (retry * 2).min(RETRY_MOST);
        }
        self.counters
            .delivered
            .fetch_add(batch.len() as u64, Ordering::Relaxed);
    }

    async fn post(&self, body: Bytes) -> Result<(), String> {
        let mut request = http::Request::post(self.url.clone())
            .header(http::header::CONTENT_TYPE, "application/json")
            .header(http::header::USER_AGENT, "skyfresh-localsky");
        if let Some(token) = &self.token {
            request = request.header(
                http::header::AUTHORIZATION,
                format!("Bearer {}", token.expose()),
            );
        }
        let request = request
            .body(Full::new(body))
            .map_err(|error| error.to_string())?;
        let response = self
            .client
            .request(request)
            .await
            .map_err(|error| error.to_string())?;
        let status = response.status();
        // Read to the end, so that the connection can be used again.
        let _ = http_body_util::BodyExt::collect(http_body_util::Limited::new(
            response.into_body(),
            64 * 1024,
        ))
        .await;
        if status.is_success() {
            Ok(())
        } else {
            Err(format!("HTTP {status}"))
        }
    }
}
