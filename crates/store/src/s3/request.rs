//! One call: build, sign, send, judge; then again where that is safe and may help.

use super::error::{ERROR_BODY_LIMIT_BYTES, Refusal};
use super::signing::Generation;
use super::{Route, S3Store, xml};
use crate::http::{BodyEnd, Permit, RequestBody, Sums, UploadBody, Watch, collect};
use crate::{Error, Result};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use hyper::body::Incoming;
use skyfresh_sky::Kind;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// Tries of a request that may be repeated.
pub(super) const MAX_TRIES: u32 = 3;
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// A store that asks for a longer wait gets it from the caller, who can do something else meanwhile.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Joining ten thousand parts or copying 5 GiB moves no byte for minutes.
const SLOW_OPERATION_FACTOR: u32 = 10;
const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("skyfresh/", env!("CARGO_PKG_VERSION")));

/// A request before it is addressed and signed.
pub(super) struct Call<'a> {
    operation: &'static str,
    method: Method,
    full_key: Option<&'a str>,
    query: String,
    pub(super) headers: HeaderMap,
    body: CallBody,
    slow: bool,
    once: bool,
}

enum CallBody {
    Empty,
    Whole(Bytes),
    /// Taken by the first try: a stream is never sent twice.
    Upload(Option<Box<UploadBody>>, Watch),
}

impl<'a> Call<'a> {
    /// `full_key` is `None` for the bucket itself; `query` is encoded already.
    pub(super) fn new(
        operation: &'static str,
        method: Method,
        full_key: Option<&'a str>,
        query: impl Into<String>,
    ) -> Self {
        Call {
            operation,
            method,
            full_key,
            query: query.into(),
            headers: HeaderMap::new(),
            body: CallBody::Empty,
            slow: false,
            once: false,
        }
    }

    pub(super) fn body(mut self, bytes: impl Into<Bytes>) -> Self {
        self.body = CallBody::Whole(bytes.into());
        self
    }

    pub(super) fn upload(mut self, (body, watch): (UploadBody, Watch)) -> Self {
        self.body = CallBody::Upload(Some(Box::new(body)), watch);
        self
    }

    /// The store works long on this before it answers.
    pub(super) fn slow(mut self) -> Self {
        self.slow = true;
        self
    }

    /// Doing this twice is not the same as doing it once: when no answer comes, the caller must know that it may be done.
    pub(super) fn once(mut self) -> Self {
        self.once = true;
        self
    }

    fn watch(&self) -> Option<Watch> {
        match &self.body {
            CallBody::Upload(_, watch) => Some(watch.clone()),
            CallBody::Empty | CallBody::Whole(_) => None,
        }
    }

    /// `None` where it has been taken and cannot be had again.
    fn take_body(&mut self) -> Option<RequestBody> {
        match &mut self.body {
            CallBody::Empty => Some(RequestBody::Empty),
            CallBody::Whole(bytes) => Some(RequestBody::Whole(Some(bytes.clone()))),
            CallBody::Upload(upload, _) => upload.take().map(RequestBody::Upload),
        }
    }

    fn repeatable_after(&self, failed: &Failed) -> bool {
        match self.body {
            CallBody::Upload(..) => false,
            CallBody::Empty | CallBody::Whole(_) => !self.once || failed.refused(),
        }
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

/// A try that failed, with what could be done about it here.
struct Failed {
    error: Error,
    moved_to: Option<String>,
    signed: Option<Generation>,
}

impl Failed {
    /// The store has said that it did nothing.
    fn refused(&self) -> bool {
        self.signed.is_some() && (self.error.kind != Kind::RetryAfter || self.error.is_throttled())
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed {
            error,
            moved_to: None,
            signed: None,
        }
    }
}

impl S3Store {
    /// Sends a call and collects the answer's body.
    pub(super) async fn call(&self, mut call: Call<'_>) -> Result<Answer<Bytes>> {
        let mut tries = Tries::default();
        loop {
            match self.attempt_whole(&mut call).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => {
                    self.before_next_try(call.repeatable_after(&failed), &mut tries, failed)
                        .await?;
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
                    self.before_next_try(call.repeatable_after(&failed), &mut tries, failed)
                        .await?;
                }
            }
        }
    }

    async fn attempt_whole(&self, call: &mut Call<'_>) -> Result<Answer<Bytes>, Failed> {
        let (operation, target, stall) =
            (call.operation, self.target(call.full_key), self.stall(call));
        let (answer, _permit) = self.attempt(call).await?;
        let limit = xml::DOCUMENT_LIMIT_BYTES;
        let body = collect(answer.body, limit, &*self.clock, stall, operation, &target).await?;
        if xml::is_error(&body) {
            let refusal = Refusal::new(answer.status, &answer.headers, &body);
            return Err(refusal
                .into_error(operation, target, self.clock.now())
                .into());
        }
        Ok(Answer {
            headers: answer.headers,
            status: answer.status,
            body,
            sums: answer.sums,
        })
    }

    /// One try. The permit covers the exchange up to the head of the answer; a stream read at the caller's pace must not
    /// keep others of the same store out, or a copy within one store could wait for itself.
    async fn attempt(&self, call: &mut Call<'_>) -> Result<(Answer<Incoming>, Permit), Failed> {
        let (operation, full_key, stall) = (call.operation, call.full_key, self.stall(call));
        let fail =
            |kind, context: String| Error::new(kind, operation, self.target(full_key), context);
        let permit = self.limiter.acquire().await;
        let route = self.route();
        let (mut parts, ()) = Request::builder()
            .method(call.method.clone())
            .uri(route.endpoint.url(full_key, &call.query))
            .body(())
            .map_err(|error| {
                fail(Kind::Invalid, "the request cannot be formed".into()).with_source(error)
            })?
            .into_parts();
        parts.headers.clone_from(&call.headers);
        let signed = self
            .signer
            .sign_unhashed(&route.scope, &mut parts)
            .await
            .map_err(|unsigned| {
                let error = fail(unsigned.kind, unsigned.context.into());
                match unsigned.source {
                    Some(source) => error.with_source(source),
                    None => error,
                }
            })?;
        parts.headers.insert(header::USER_AGENT, USER_AGENT);

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
                let context = "the store answered before it had the whole body";
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
        let moved_to = refusal
            .moved_to()
            .filter(|region| *region != route.endpoint.region)
            .map(str::to_owned);
        let error = refusal.into_error(operation, self.target(full_key), self.clock.now());
        if error.is_throttled() {
            permit.throttled(self.clock.monotonic_ns());
        } else if error.kind != Kind::RetryAfter {
            permit.answered();
        }
        Err(Failed {
            error,
            moved_to,
            signed: Some(signed),
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
        let Failed {
            error,
            moved_to,
            signed,
        } = failed;
        if let Some(region) = moved_to
            && !std::mem::replace(&mut tries.moved, true)
        {
            tracing::info!(
                bucket = self.bucket,
                region,
                "the bucket is in another region than configured"
            );
            self.move_to(&region);
            return repeat_or(
                repeatable,
                error,
                "requests go to the bucket's own region from now on",
            );
        }
        if error.kind == Kind::Denied
            && !tries.renewed
            && let Some(signed) = signed
            && self.signer.renew(signed).await
        {
            tries.renewed = true;
            return repeat_or(repeatable, error, "the credentials have been reread");
        }
        tries.made += 1;
        if error.kind != Kind::RetryAfter || !repeatable || tries.made >= MAX_TRIES {
            return Err(error);
        }
        let wait = error.retry_after.unwrap_or_default() + self.backoff(tries.made);
        if wait > LONGEST_WAIT {
            return Err(error);
        }
        tracing::debug!(%error, tries = tries.made, "will try again");
        self.clock.sleep(wait).await;
        Ok(())
    }

    /// How long to wait after so many tries, on top of what the store asks for: full jitter (AWS architecture blog, "Exponential
    /// backoff and jitter").
    pub(super) fn backoff(&self, tries: u32) -> Duration {
        let backoff = FIRST_BACKOFF * 2u32.pow(tries.saturating_sub(1));
        backoff.mul_f64(self.rng.unit())
    }

    fn move_to(&self, region: &str) {
        let endpoint = self.route().endpoint.in_region(region, &self.bucket);
        *self.route.write().unwrap_or_else(PoisonError::into_inner) =
            Arc::new(Route::new(endpoint));
    }
}

/// Repeats a call that may be repeated at once; tells the owner of a stream to.
fn repeat_or(repeatable: bool, mut error: Error, change: &str) -> Result<()> {
    if repeatable {
        return Ok(());
    }
    error.kind = Kind::RetryAfter;
    error.context = format!("{}; {change}, try again", error.context);
    Err(error)
}

#[derive(Default)]
struct Tries {
    made: u32,
    moved: bool,
    renewed: bool,
}
