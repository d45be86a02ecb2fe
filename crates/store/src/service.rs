//! Small requests to the services beside a store: queues, subscriptions, key sets. The same client as the stores', so the same
//! promises: TLS is verified and cannot be turned off, no redirect is followed, nothing is waited for without a limit.

use crate::http::{HttpClient, RequestBody, collect, describe};
use crate::{Error, Result};
use bytes::Bytes;
use skyfresh_sky::{Clock, Kind, timeout};
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for a TCP connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends small requests over kept connections and collects small answers.
#[derive(Clone, Debug)]
pub struct ServiceClient {
    http: HttpClient,
    clock: Arc<dyn Clock>,
}

/// What one exchange may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest the whole exchange may take.
    pub wait: Duration,
    /// Longest answer, bytes; a longer one is refused unread.
    pub answer_bytes: usize,
}

impl ServiceClient {
    /// A client with its own connections. `https` says whether TLS will be needed; it is then verified against the system's
    /// root certificates.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: TLS is needed and the system's root certificates cannot be read.
    pub fn new(https: bool, clock: Arc<dyn Clock>) -> Result<Self> {
        let http = HttpClient::new(https, CONNECT_TIMEOUT, Arc::clone(&clock)).map_err(|why| {
            let why = format!(
                "TLS needs the system's root certificates: {why} (install ca-certificates)"
            );
            Error::new(Kind::Invalid, "open", "https client", why)
        })?;
        Ok(ServiceClient { http, clock })
    }

    pub(crate) fn over(http: HttpClient, clock: Arc<dyn Clock>) -> Self {
        ServiceClient { http, clock }
    }

    /// Sends a request and collects the answer, whatever its status. `operation` and `target` name it in errors.
    ///
    /// # Errors
    /// [`Kind::RetryAfter`]: no answer within the limit, or the connection broke. [`Kind::Invalid`]: the answer is too long.
    pub async fn send(
        &self,
        operation: &'static str,
        target: &str,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> Result<http::Response<Bytes>> {
        let failed = |why: String| Error::new(Kind::RetryAfter, operation, target, why);
        let (parts, body) = request.into_parts();
        let body = match body.is_empty() {
            true => RequestBody::Empty,
            false => RequestBody::Whole(Some(body)),
        };
        let exchange = async {
            let response = self
                .http
                .send(http::Request::from_parts(parts, body), None, limits.wait)
                .await
                .map_err(|failure| failed(failure.to_string()))?;
            let (head, body) = response.into_parts();
            let body = collect(
                body,
                limits.answer_bytes,
                &*self.clock,
                limits.wait,
                operation,
                target,
            )
            .await
            .map_err(|error| Error::new(error.kind, operation, target, describe(&error)))?;
            Ok(http::Response::from_parts(head, body))
        };
        timeout(&*self.clock, limits.wait, exchange)
            .await
            .unwrap_or_else(|| {
                Err(failed(format!(
                    "no answer within {} s",
                    limits.wait.as_secs_f32()
                )))
            })
    }
}

/// The kind of trouble that a status stands for, where a service's own error code says no more.
pub fn kind_of_status(status: http::StatusCode) -> Kind {
    match status.as_u16() {
        401 | 403 => Kind::Denied,
        404 | 410 => Kind::Missing,
        409 | 412 => Kind::Precondition,
        408 | 429 => Kind::RetryAfter,
        400..=499 => Kind::Invalid,
        501 => Kind::Unsupported,
        _ => Kind::RetryAfter,
    }
}
