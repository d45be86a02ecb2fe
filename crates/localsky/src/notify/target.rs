//! One receiver: events wait for their due time, leave in batches, and are sent again until they are accepted.

use super::format::{Handshake, Outgoing};
use super::{Counters, Event, EventFormat, QUEUE_EVENTS, WebhookTarget};
use crate::config::Secret;
use crate::{Error, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use skyfresh_sky::{Clock, Kind, Rng, timeout};
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
/// What is read of an answer at most.
const ANSWER_LIMIT_BYTES: usize = 64 * 1024;
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
    format: EventFormat,
    handshake_due: bool,
    topic: String,
    rng: Rng,
    clock: Arc<dyn Clock>,
    counters: Arc<Counters>,
    client: Client<HttpConnector, Full<Bytes>>,
    waiting: BinaryHeap<Reverse<Waiting>>,
    arrivals: u64,
}

impl Target {
    pub(crate) fn new(
        url: http::Uri,
        target: &WebhookTarget,
        topic: String,
        rng: Rng,
        clock: Arc<dyn Clock>,
        counters: Arc<Counters>,
    ) -> Self {
        Target {
            url,
            token: target.token.clone(),
            format: target.format,
            handshake_due: !target.validated,
            topic,
            rng,
            clock,
            counters,
            client: new_client(),
            waiting: BinaryHeap::new(),
            arrivals: 0,
        }
    }

    /// Sends until the queue is closed and everything has gone out.
    pub(crate) async fn run(mut self, mut queue: mpsc::Receiver<(u64, Arc<Event>)>) {
        if self.handshake_due {
            self.until_validated().await;
        }
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

    /// Repeats the handshake until it succeeds; events wait meanwhile.
    async fn until_validated(&self) {
        let mut retry = RETRY_FIRST;
        while let Some(handshake) = handshake(self.format, &self.topic, &self.rng, &*self.clock) {
            let asked = shake(&self.client, &self.url, self.token.as_ref(), &handshake);
            match timeout(&*self.clock, POST_TIMEOUT, asked).await {
                Some(Ok(())) => return,
                Some(Err(reason)) => {
                    tracing::debug!(url = %self.url, reason, "a handshake was not accepted")
                }
                None => tracing::debug!(url = %self.url, "a handshake was not answered in time"),
            }
            self.clock.sleep(retry).await;
            retry = (retry * 2).min(RETRY_MOST);
        }
    }

    /// Sends a batch until it is accepted.
    async fn deliver(&self, batch: &[Arc<Event>]) {
        let batch: Vec<&Event> = batch.iter().map(AsRef::as_ref).collect();
        for (request, events) in self.format.requests(&batch) {
            let mut retry = RETRY_FIRST;
            loop {
                let sent = send(&self.client, &self.url, self.token.as_ref(), &request);
                match timeout(&*self.clock, POST_TIMEOUT, sent).await {
                    Some(Ok(_)) => break,
                    Some(Err(reason)) => {
                        tracing::debug!(url = %self.url, reason, "a notification was not accepted")
                    }
                    None => {
                        tracing::debug!(url = %self.url, "a notification was not answered in time")
                    }
                }
                self.counters.failed_posts.fetch_add(1, Ordering::Relaxed);
                self.clock.sleep(retry).await;
                retry = (retry * 2).min(RETRY_MOST);
            }
            self.counters.delivered.fetch_add(events, Ordering::Relaxed);
        }
    }
}

fn new_client() -> Client<HttpConnector, Full<Bytes>> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).build(connector)
}

fn handshake(format: EventFormat, topic: &str, rng: &Rng, clock: &dyn Clock) -> Option<Handshake> {
    let code = format!("{}{}", rng.token(), rng.token());
    format.handshake(topic, &code, clock.now())
}

/// Performs a receiver's handshake once, where its format has one.
///
/// # Errors
/// What the receiver did instead.
pub(crate) async fn validate(
    target: &WebhookTarget,
    topic: &str,
    rng: &Rng,
    clock: &dyn Clock,
) -> Result<(), String> {
    let url = parse_url(&target.url).map_err(|error| error.to_string())?;
    let Some(handshake) = handshake(target.format, topic, rng, clock) else {
        return Ok(());
    };
    let client = new_client();
    let asked = shake(&client, &url, target.token.as_ref(), &handshake);
    timeout(clock, POST_TIMEOUT, asked)
        .await
        .unwrap_or_else(|| Err("no answer in time".to_owned()))
}

async fn shake(
    client: &Client<HttpConnector, Full<Bytes>>,
    url: &http::Uri,
    token: Option<&Secret>,
    handshake: &Handshake,
) -> Result<(), String> {
    let (head, body) = send(client, url, token, handshake.request()).await?;
    let allowed = head
        .headers
        .get("webhook-allowed-origin")
        .and_then(|value| value.to_str().ok());
    if handshake.accepts(allowed, &body) {
        Ok(())
    } else {
        Err("the answer does not validate the subscription".to_owned())
    }
}

/// Sends one request; anything but 2xx is a failure.
async fn send(
    client: &Client<HttpConnector, Full<Bytes>>,
    url: &http::Uri,
    token: Option<&Secret>,
    outgoing: &Outgoing,
) -> Result<(http::response::Parts, Bytes), String> {
    let uri = below(url, outgoing.below);
    let mut request = http::Request::builder()
        .method(outgoing.method.clone())
        .uri(uri)
        .header(http::header::USER_AGENT, "skyfresh-localsky");
    for (name, value) in &outgoing.headers {
        request = request.header(*name, value);
    }
    if let Some(token) = token {
        request = request.header(
            http::header::AUTHORIZATION,
            format!("Bearer {}", token.expose()),
        );
    }
    let request = request
        .body(Full::new(outgoing.body.clone()))
        .map_err(|error| error.to_string())?;
    let response = client
        .request(request)
        .await
        .map_err(|error| error.to_string())?;
    let (head, body) = response.into_parts();
    // Read to the end, so that the connection can be used again.
    let body = Limited::new(body, ANSWER_LIMIT_BYTES).collect().await;
    if head.status.is_success() {
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        Ok((head, body))
    } else {
        Err(format!("HTTP {}", head.status))
    }
}

/// `url` with more path, before its query.
fn below(url: &http::Uri, path: &str) -> String {
    let text = url.to_string();
    match text.split_once('?') {
        _ if path.is_empty() => text,
        Some((base, query)) => format!("{}{path}?{query}", base.trim_end_matches('/')),
        None => format!("{}{path}", text.trim_end_matches('/')),
    }
}
