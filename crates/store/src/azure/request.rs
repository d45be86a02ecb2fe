//! One call: build, authorise, send, judge; then again where that is safe and may help.

use super::AzureStore;
use super::credentials::Generation;
use super::error::{ERROR_BODY_LIMIT_BYTES, Refusal};
use super::xml;
use crate::http::{BodyEnd, Permit, RequestBody, Sums, UploadBody, Watch, collect};
use crate::{Error, Result};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use hyper::body::Incoming;
use skyfresh_sky::Kind;
use std::time::Duration;

/// The version of the protocol that is spoken: the first in which a listing can start from a name.
const VERSION: HeaderValue = HeaderValue::from_static("2026-02-06");
const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("skyfresh/", env!("CARGO_PKG_VERSION")));
/// Tries of a request that may be repeated.
const MAX_TRIES: u32 = 3;
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// A service that asks for a longer wait gets it from the caller, who can do something else meanwhile.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Joining fifty thousand blocks or copying gigabytes moves no byte for minutes.
const SLOW_OPERATION_FACTOR: u32 = 10;

/// A request before it is addressed and authorised.
pub(super) struct Call<'a> {
    operation: &'static str,
    method: Method,
    container: Option<&'a str>,
    full_key: Option<&'a str>,
    query: String,
    pub(super) headers: HeaderMap,
    body: CallBody,
    slow: bool,
}

enum CallBody {
    Empty,
    Whole(Bytes),
    /// Taken by the first try: a stream is never sent twice.
    Upload(Option<Box<UploadBody>>, u64, Watch),
}

impl<'a> Call<'a> {
    /// `full_key` is `None` for the container itself; `query` is encoded already.
    pub(super) fn new(
        operation: &'static str,
        method: Method,
        full_key: Option<&'a str>,
        query: impl Into<String>,
    ) -> Self {
        Call {
            operation,
            method,
            container: None,
            full_key,
            query: query.into(),
            headers: HeaderMap::new(),
            body: CallBody::Empty,
            slow: false,
        }
    }

    /// In another container of the account than the store's own.
    pub(super) fn within(mut self, container: &'a str) -> Self {
        self.container = Some(container);
        self
    }

    pub(super) fn body(mut self, bytes: impl Into<Bytes>) -> Self {
        self.body = CallBody::Whole(bytes.into());
        self
    }

    /// A stream of `size` bytes.
    pub(super) fn upload(mut self, (body, watch): (UploadBody, Watch), size: u64) -> Self {
        self.body = CallBody::Upload(Some(Box::new(body)), size, watch);
        self
    }

    /// The service works long on this before it answers.
    pub(super) fn slow(mut self) -> Self {
        self.slow = true;
        self
    }

    fn watch(&self) -> Option<Watch> {
        match &self.body {
            CallBody::Upload(_, _, watch) => Some(watch.clone()),
            CallBody::Empty | CallBody::Whole(_) => None,
        }
    }

    fn length(&self) -> Option<u64> {
        match &self.body {
            CallBody::Empty => (self.method == Method::PUT).then_some(0),
            CallBody::Whole(bytes) => Some(bytes.len() as u64),
            CallBody::Upload(_, size, _) => Some(*size),
        }
    }

    /// `None` where it has been taken and cannot be had again.
    fn take_body(&mut self) -> Option<RequestBody> {
        match &mut self.body {
            CallBody::Empty => Some(RequestBody::Empty),
            CallBody::Whole(bytes) => Some(RequestBody::Whole(Some(bytes.clone()))),
            CallBody::Upload(upload, ..) => upload.take().map(RequestBody::Upload),
        }
    }

    fn repeatable(&self) -> bool {
        !matches!(self.body, CallBody::Upload(..))
    }
}

/// An answer of success.
pub(super) struct Answer<B> {
    pub(super) headers: HeaderMap,
    pub(super) status: http::StatusCode,
    pub(super) body: B,
    /// The checksums of a streamed body, whole.
    pub(super) sums: Option<Sums>,
}

/// A try that failed, and what it was authorised with, where the service answered.
struct Failed {
    error: Error,
    refused: Option<Generation>,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed {
            error,
            refused: None,
        }
    }
}

impl AzureStore {
    /// Sends a call and collects the answer's body.
    pub(super) async fn call(&self, mut call: Call<'_>) -> Result<Answer<Bytes>> {
        let mut tries = Tries::default();
        loop {
            match self.attempt_whole(&mut call).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => {
                    self.before_next_try(call.repeatable(), &mut tries, failed)
                        .await?
                }
            }
        }
    }

    /// Sends a call and leaves the answer's body to be streamed.
    pub(super) async fn open(&self, mut call: Call<'_>) -> Result<Answer<Incoming>> {
        let mut tries = Tries::default();
        loop {
            match self.attempt(&mut call).await {
                Ok((answer, _permit)) => return Ok(answer),
                Err(failed) => {
                    self.before_next_try(call.repeatable(), &mut tries, failed)
                        .await?
                }
            }
        }
    }

    /// Parses an answer's document.
    pub(super) fn document(
        &self,
        operation: &'static str,
        full_key: &str,
        body: &[u8],
    ) -> Result<xml::Element> {
        xml::parse(body).map_err(|why| {
            let context = format!(
                "the service's answer cannot be read ({} bytes): {why}",
                body.len()
            );
            self.failed(Kind::RetryAfter, operation, full_key, context)
        })
    }

    async fn attempt_whole(&self, call: &mut Call<'_>) -> Result<Answer<Bytes>, Failed> {
        let (operation, target, stall) =
            (call.operation, self.target(call.full_key), self.stall(call));
        let (answer, _permit) = self.attempt(call).await?;
        let limit = xml::DOCUMENT_LIMIT_BYTES;
        let body = collect(answer.body, limit, &*self.clock, stall, operation, &target).await?;
        Ok(Answer {
            headers: answer.headers,
            status: answer.status,
            body,
            sums: answer.sums,
        })
    }

    /// One try. The permit covers the exchange up to the head of the answer; a stream read at the caller's pace must not keep
    /// others of the same store out, or a copy within one store could wait for itself.
    async fn attempt(&self, call: &mut Call<'_>) -> Result<(Answer<Incoming>, Permit), Failed> {
        let (operation, full_key, stall) = (call.operation, call.full_key, self.stall(call));
        let fail =
            |kind, context: String| Error::new(kind, operation, self.target(full_key), context);
        let permit = self.limiter.acquire().await;
        let (mut parts, ()) = Request::builder()
            .method(call.method.clone())
            .uri(self.endpoint.url(
                call.container.unwrap_or(&self.container),
                full_key,
                &call.query,
            ))
            .body(())
            .map_err(|error| {
                fail(Kind::Invalid, "the request cannot be formed".into()).with_source(error)
            })?
            .into_parts();
        parts.headers.clone_from(&call.headers);
        parts.headers.insert("x-ms-version", VERSION);
        parts.headers.insert(header::USER_AGENT, USER_AGENT);
        if let Some(length) = call.length() {
            parts.headers.insert(header::CONTENT_LENGTH, length.into());
        }
        let signed = self
            .credentials
            .sign(&mut parts)
            .await
            .map_err(|unsigned| Error {
                operation,
                target: self.target(full_key),
                ..unsigned
            })?;

        let watch = call.watch();
        let body = call
            .take_body()
            .ok_or_else(|| fail(Kind::Internal, "a stream was to be sent twice".into()))?;
        let outcome = self
            .http
            .send(Request::from_parts(parts, body), watch.as_ref(), stall)
            .await;
        // An error in the body says more than what the connection makes of it.
        let sums = match watch.as_ref().and_then(Watch::take_end) {
            Some(Ok(sums)) => Some(sums),
            Some(Err(BodyEnd::WrongLength(why))) => return Err(fail(Kind::Invalid, why).into()),
            Some(Err(BodyEnd::Failed(error))) => return Err(error.into()),
            None => None,
        };
        let response = outcome.map_err(|failure| fail(Kind::RetryAfter, failure.to_string()))?;
        let (head, body) = response.into_parts();
        if head.status.is_success() {
            if watch.is_some() && sums.is_none() {
                let context = "the service answered before it had the whole body";
                return Err(fail(Kind::RetryAfter, context.into()).into());
            }
            permit.answered();
            let answer = Answer {
                headers: head.headers,
                status: head.status,
                body,
                sums,
            };
            return Ok((answer, permit));
        }
        let limit = ERROR_BODY_LIMIT_BYTES;
        let body = collect(body, limit, &*self.clock, stall, operation, "")
            .await
            .unwrap_or_default();
        let refusal = Refusal::new(head.status, &head.headers, &body);
        let error = refusal.into_error(operation, self.target(full_key), self.clock.now());
        if error.is_throttled() {
            permit.throttled(self.clock.monotonic_ns());
        } else if error.kind != Kind::RetryAfter {
            permit.answered();
        }
        Err(Failed {
            error,
            refused: Some(signed),
        })
    }

    fn stall(&self, call: &Call<'_>) -> Duration {
        if call.slow {
            self.stall * SLOW_OPERATION_FACTOR
        } else {
            self.stall
        }
    }

    /// Prepares the next try, or gives the error up to the caller.
    async fn before_next_try(
        &self,
        repeatable: bool,
        tries: &mut Tries,
        failed: Failed,
    ) -> Result<()> {
        let Failed { mut error, refused } = failed;
        if error.kind == Kind::Denied
            && !tries.renewed
            && let Some(used) = refused
            && self.credentials.renew(used).await
        {
            tries.renewed = true;
            if repeatable {
                return Ok(());
            }
            error.kind = Kind::RetryAfter;
            error
                .context
                .push_str("; the credentials have been renewed, try again");
            return Err(error);
        }
        tries.made += 1;
        if error.kind != Kind::RetryAfter || !repeatable || tries.made >= MAX_TRIES {
            return Err(error);
        }
        let backoff = FIRST_BACKOFF * 2u32.pow(tries.made - 1);
        // Full jitter (AWS architecture blog, "Exponential backoff and jitter"), on top of what the service asks for.
        let wait = error.retry_after.unwrap_or_default() + backoff.mul_f64(self.rng.unit());
        if wait > LONGEST_WAIT {
            return Err(error);
        }
        tracing::debug!(%error, tries = tries.made, "will try again");
        self.clock.sleep(wait).await;
        Ok(())
    }
}

#[derive(Default)]
struct Tries {
    made: u32,
    renewed: bool,
}
