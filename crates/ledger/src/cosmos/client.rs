//! Signed requests over kept connections.

use super::CosmosKey;
use super::signing::{Resource, authorization};
use crate::remote::{Attempted, Failure, chain};
use crate::{Error, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, ETAG, HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Uri};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use skyfresh_sky::{Clock, Kind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

/// The version of the REST protocol (<https://learn.microsoft.com/rest/api/cosmos-db/#supported-rest-api-versions>).
const API_VERSION: &str = "2018-12-31";

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Idle connections are closed before a load balancer forgets them.
const IDLE_LIMIT: Duration = Duration::from_secs(60);

/// The service answers at most 4 MB (<https://learn.microsoft.com/azure/cosmos-db/concepts-limits>).
const ANSWER_LIMIT_BYTES: usize = 8 * 1024 * 1024;

/// Request units are counted in hundredths, as the service states them.
const PER_UNIT: f64 = 100.0;

/// A request, but for what all have in common.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    /// Of the error, if any.
    pub(super) operation: &'static str,
    /// Of the error, if any.
    pub(super) target: &'a str,
    pub(super) method: Method,
    pub(super) resource: Resource<'a>,
    /// Without the leading `/`.
    pub(super) path: &'a str,
    pub(super) headers: Vec<(&'static str, HeaderValue)>,
    pub(super) body: Bytes,
}

/// An answer, of whatever status.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) substatus: Option<u32>,
    pub(super) retry_after_ms: Option<u64>,
    pub(super) etag: Option<String>,
    pub(super) continuation: Option<String>,
    pub(super) body: Bytes,
}

/// Sends signed requests to one account.
#[derive(Debug)]
pub(super) struct Client {
    http: hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// `https://ACCOUNT.documents.azure.com`, without a `/` at the end.
    endpoint: String,
    host: HeaderValue,
    key: CosmosKey,
    clock: Arc<dyn Clock>,
    charged_hundredths: AtomicU64,
}

impl Client {
    /// A client of the account at this address.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: it is no address; [`Kind::Internal`]: the system's root certificates cannot be read.
    pub(super) fn new(endpoint: &str, key: CosmosKey, clock: Arc<dyn Clock>) -> Result<Self> {
        let invalid = || {
            let why = "expected https://ACCOUNT.documents.azure.com";
            Error::new(Kind::Invalid, "open", endpoint, why)
        };
        let uri: Uri = endpoint.parse().map_err(|_| invalid())?;
        let host = match (uri.scheme_str(), uri.authority(), uri.path(), uri.query()) {
            (Some("http" | "https"), Some(authority), "" | "/", None) => authority.as_str(),
            _ => return Err(invalid()),
        };
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls().map_err(|why| {
                Error::new(Kind::Internal, "open", endpoint, format!("no TLS: {why}"))
            })?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_LIMIT)
            .build(connector);
        Ok(Client {
            http,
            host: HeaderValue::from_str(host).map_err(|_| invalid())?,
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            key,
            clock,
            charged_hundredths: AtomicU64::new(0),
        })
    }

    /// Whether this can only be an emulator: Azure answers over TLS alone.
    pub(super) fn is_emulator(&self) -> bool {
        self.endpoint.starts_with("http://")
    }

    /// The account's address.
    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Request units charged so far.
    pub(super) fn charged_units(&self) -> f64 {
        self.charged_hundredths.load(Ordering::Relaxed) as f64 / PER_UNIT
    }

    /// Sends a request once and reads the whole answer.
    pub(super) async fn send(&self, ask: Ask<'_>) -> Attempted<Answer> {
        let error = |kind, why: String| Error::new(kind, ask.operation, ask.target, why);
        let uri = format!("{}/{}", self.endpoint, ask.path);
        let now = UNIX_EPOCH + Duration::from_millis(self.clock.now().unix_ms());
        let date = httpdate::fmt_http_date(now);
        let signature = authorization(&self.key, ask.method.as_str(), ask.resource, &date);
        let mut request = Request::builder()
            .method(ask.method)
            .uri(uri)
            .header(HOST, &self.host)
            .header(USER_AGENT, "skyfresh")
            .header("authorization", signature)
            .header("x-ms-date", date)
            .header("x-ms-version", API_VERSION)
            .header(CONTENT_TYPE, "application/json");
        for (name, value) in ask.headers {
            request = match request.headers_mut() {
                // A header of its own replaces the one that all have.
                Some(headers) => {
                    headers.insert(name, value);
                    request
                }
                None => break,
            };
        }
        let request = request
            .body(Full::new(ask.body))
            .map_err(|problem| Failure::Final(error(Kind::Internal, problem.to_string())))?;
        let answer = self.http.request(request).await.map_err(|problem| {
            let why = chain(&problem);
            if problem.is_connect() {
                // Never sent.
                Failure::NotDone {
                    error: error(Kind::RetryAfter, why),
                    wait: None,
                }
            } else {
                Failure::Lost(error(Kind::RetryAfter, why))
            }
        })?;
        let status = answer.status().as_u16();
        let headers = answer.headers().clone();
        self.count(&headers);
        let body = Limited::new(answer.into_body(), ANSWER_LIMIT_BYTES)
            .collect()
            .await
            .map_err(|problem| {
                let why = format!("the answer broke off: {problem}");
                Failure::Lost(error(Kind::RetryAfter, why))
            })?
            .to_bytes();
        Ok(Answer {
            status,
            substatus: number(&headers, "x-ms-substatus"),
            retry_after_ms: number(&headers, "x-ms-retry-after-ms"),
            etag: text(&headers, ETAG.as_str()).map(str::to_owned),
            continuation: text(&headers, "x-ms-continuation")
                .filter(|continuation| !continuation.is_empty())
                .map(str::to_owned),
            body,
        })
    }

    fn count(&self, headers: &HeaderMap) {
        if let Some(charge) = number::<f64>(headers, "x-ms-request-charge") {
            let hundredths = (charge * PER_UNIT).round().max(0.0) as u64;
            self.charged_hundredths
                .fetch_add(hundredths, Ordering::Relaxed);
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn number<T: std::str::FromStr>(headers: &HeaderMap, name: &str) -> Option<T> {
    text(headers, name)?.trim().parse().ok()
}

/// Verified against the system's root certificates; there is no switch.
fn tls() -> Result<rustls::ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_native_roots()
        .map_err(|error| error.to_string())?
        .with_no_client_auth();
    Ok(config)
}
