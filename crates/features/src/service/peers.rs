//! Requests to the processes that have the other shards.
//!
//! **In:** the address of a peer, a path, a body. **Out:** its answer, or why there is none. **Never:** waits longer than the configuration
//! says; repeats a request; follows a redirect.

use super::sharding::Shards;
use crate::{Error, Result};
use axum::http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use skyfresh_sky::{Clock, Kind, timeout};
use std::sync::Arc;

/// Answers larger than this are refused.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// Bytes of a peer's own words that an error repeats.
const MAX_WORDS: usize = 300;

/// Where the other processes are, and connections to them.
#[derive(Debug)]
pub(super) struct Peers {
    shards: Arc<Shards>,
    clock: Arc<dyn Clock>,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Peers {
    pub(super) fn new(shards: Arc<Shards>, clock: Arc<dyn Clock>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Peers {
            shards,
            clock,
            client: Client::builder(TokioExecutor::new()).build(connector),
        }
    }

    /// Posts JSON to a peer, by its place among them.
    ///
    /// # Errors
    /// [`Kind::RetryAfter`] where it is away or in trouble, [`Kind::Precondition`] where it says that it is not the owner,
    /// [`Kind::Invalid`] where it refuses what is asked.
    pub(super) async fn post(&self, peer: usize, path: &str, body: Vec<u8>) -> Result<Bytes> {
        let address = self.shards.peer(peer);
        let away = |why: String| {
            let why = format!(
                "{why}; it has the key's shard: start it, or give its shards to others in all processes' [sharding]"
            );
            Error::new(Kind::RetryAfter, "ask the peer", address, why)
        };
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{address}{path}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)));
        let request = request.map_err(|error| {
            Error::invalid("ask the peer", address, error.to_string()).with_source(error)
        })?;
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| {
                away(format!("no answer ({})", causes(&error))).with_source(error)
            })?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES);
            let body = body
                .collect()
                .await
                .map_err(|error| away(format!("its answer broke off ({error})")))?;
            Ok::<_, Error>((status, body.to_bytes()))
        };
        let limit = self.shards.timeout;
        let answered = timeout(self.clock.as_ref(), limit, exchange).await;
        let late = || away(format!("no answer within {} s", limit.as_secs_f64()));
        let (status, body) = answered.ok_or_else(late)??;
        if status.is_success() {
            return Ok(body);
        }
        let said = words(&body);
        Err(match status {
            StatusCode::MISDIRECTED_REQUEST => Error::new(
                Kind::Precondition,
                "ask the peer",
                address,
                format!("{said}: give all processes the same views and [sharding]"),
            ),
            status if status.is_client_error() => Error::invalid("ask the peer", address, said),
            status => Error::new(
                Kind::RetryAfter,
                "ask the peer",
                address,
                format!("it answered {status}: {said}"),
            ),
        })
    }
}

/// What lies below an error of the client, which by itself says little.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(below) = cause {
        text = below.to_string();
        cause = below.source();
    }
    text
}

/// A peer's own words, shortened.
fn words(body: &[u8]) -> String {
    let told = serde_json::from_slice::<Value>(body).ok();
    let detail = told.as_ref().and_then(|told| told["detail"].as_str());
    let text = detail.map_or_else(|| String::from_utf8_lossy(body), Into::into);
    text.chars().take(MAX_WORDS).collect()
}
