//! One call: authorised, sent, judged; then again where that is safe and may help.

use super::GcsStore;
use super::credentials::BearerToken;
use super::error::{ERROR_BODY_LIMIT_BYTES, ONE_OBJECT_TOO_OFTEN, Refusal};
use crate::http::{BodyEnd, Permit, RequestBody, Sums, UploadBody, Watch, collect};
use crate::{Error, Result};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use hyper::body::Incoming;
use skyfresh_sky::Kind;
use std::time::Duration;

/// Tries of a request that may be repeated.
const MAX_TRIES: u32 = 3;
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// One object takes about one write a second (Cloud Storage documentation, "Quotas and limits"): such a write is tried for
/// about as long as it takes a few others to pass.
const MAX_TRIES_OF_ONE_OBJECT: u32 = 6;
const FIRST_BACKOFF_OF_ONE_OBJECT: Duration = Duration::from_millis(500);
/// A store that asks for a longer wait gets it from the caller, who can do something else meanwhile.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// A rewrite or composing moves no byte of ours, and should be given at least 30 s
/// (<https://cloud.google.com/storage/docs/json_api/v1/objects/rewrite>).
const SLOW_OPERATION_FACTOR: u32 = 4;
/// Longest document that is read. A page of 1,000 objects with 8 KiB of metadata each has some 10 MB.
const DOCUMENT_LIMIT_BYTES: usize = 32 << 20;
const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("skyfresh/", env!("CARGO_PKG_VERSION")));
/// An upload session has taken what was sent and waits for more (`308 Resume Incomplete`).
pub(super) const INCOMPLETE: StatusCode = StatusCode::PERMANENT_REDIRECT;

/// A request before it is authorised.
pub(super) struct Call<'a> {
    operation: &'static str,
    method: Method,
    /// How errors name what it is about.
    full_key: &'a str,
    url: String,
    headers: HeaderMap,
    body: CallBody,
    slow: bool,
    once: bool,
    session: bool,
}

enum CallBody {
    Empty,
    Whole(Bytes),
    /// Taken by the first try: a stream is never sent twice.
    Upload(Option<Box<UploadBody>>, Watch),
}

impl<'a> Call<'a> {
    /// `full_key` names the object in errors; it is empty for the bucket.
    pub(super) fn new(
        operation: &'static str,
        method: Method,
        full_key: &'a str,
        url: String,
    ) -> Self {
        Call {
            operation,
            method,
            full_key,
            url,
            headers: HeaderMap::new(),
            body: CallBody::Empty,
            slow: false,
            once: false,
            session: false,
        }
    }

    /// A header of ours.
    pub(super) fn header(mut self, name: &'static str, value: HeaderValue) -> Self {
        self.headers.insert(HeaderName::from_static(name), value);
        self
    }

    /// All headers of an XML request.
    pub(super) fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    pub(super) fn body(mut self, bytes: impl Into<Bytes>) -> Self {
        self.body = CallBody::Whole(bytes.into());
        self
    }

    pub(super) fn json(self, value: &serde_json::Value) -> Self {
        self.header(
            "content-type",
            HeaderValue::from_static("application/json; charset=UTF-8"),
        )
        .body(value.to_string())
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

    /// Goes to an upload session, which may answer that it waits for more.
    pub(super) fn session(mut self) -> Self {
        self.session = true;
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
            // Google wants a length on every POST and PUT (411 otherwise).
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
    pub(super) status: StatusCode,
    pub(super) body: B,
    /// The checksums of a streamed body, whole.
    pub(super) sums: Option<Sums>,
}

impl<B> Answer<B> {
    /// A header's value.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A try that failed, with what could be done about it here.
struct Failed {
    error: Error,
    /// The store answered; with what token it was asked.
    answered: bool,
    unauthorised: Option<BearerToken>,
}

impl Failed {
    /// The store has said that it did nothing.
    fn refused(&self) -> bool {
        self.answered
            && (self.error.kind != Kind::RetryAfter
                || self.error.is_throttled()
                || is_one_object(&self.error))
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed {
            error,
            answered: false,
            unauthorised: None,
        }
    }
}

fn is_one_object(error: &Error) -> bool {
    error.code.as_deref() == Some(ONE_OBJECT_TOO_OFTEN)
}

impl GcsStore {
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
        let limit = DOCUMENT_LIMIT_BYTES;
        let body = collect(answer.body, limit, &*self.clock, stall, operation, &target).await?;
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
        let token = self.credentials.bearer().await?;
        let permit = self.limiter.acquire().await;
        let (mut parts, ()) = Request::builder()
            .method(call.method.clone())
            .uri(&call.url)
            .body(())
            .map_err(|error| {
                fail(Kind::Invalid, "the request cannot be formed".into()).with_source(error)
            })?
            .into_parts();
        parts.headers.clone_from(&call.headers);
        parts.headers.insert(header::USER_AGENT, USER_AGENT);
        if let Some(token) = &token {
            parts.headers.insert(header::AUTHORIZATION, token.header()?);
        }
        if matches!(call.body, CallBody::Empty) && matches!(call.method, Method::POST | Method::PUT)
        {
            parts
                .headers
                .insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }

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
        if head.status.is_success() || (call.session && head.status == INCOMPLETE) {
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
        let error = refusal.into_error(operation, self.target(full_key));
        if error.is_throttled() {
            permit.throttled(self.clock.monotonic_ns());
        } else if error.kind != Kind::RetryAfter {
            permit.answered();
        }
        Err(Failed {
            error,
            answered: true,
            unauthorised: token.filter(|_| head.status == StatusCode::UNAUTHORIZED),
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
        let mut error = failed.error;
        if let Some(token) = failed.unauthorised
            && !tries.renewed
            && self.credentials.renew(&token).await
        {
            tries.renewed = true;
            if repeatable {
                return Ok(());
            }
            error.kind = Kind::RetryAfter;
            error.context = format!("{}; there is another token now, try again", error.context);
            return Err(error);
        }
        tries.made += 1;
        let (most, first) = if is_one_object(&error) {
            (MAX_TRIES_OF_ONE_OBJECT, FIRST_BACKOFF_OF_ONE_OBJECT)
        } else {
            (MAX_TRIES, FIRST_BACKOFF)
        };
        if error.kind != Kind::RetryAfter || !repeatable || tries.made >= most {
            return Err(error);
        }
        let backoff = first * 2u32.pow(tries.made - 1);
        // Full jitter (AWS architecture blog, "Exponential backoff and jitter"), on top of what the store asks for.
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
