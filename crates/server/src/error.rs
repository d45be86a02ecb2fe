//! Errors as clients see them: the engine's four fields and a hint, under the status its kind stands for.

use crate::redact;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use skyfresh_engine::Error;
use skyfresh_sky::{Invalid, Kind};
use std::borrow::Cow;

/// What `Retry-After` says, seconds: long enough for a ledger to come back, short against any SLO worth having.
const RETRY_AFTER_S: &str = "2";

/// The body of every answer that is no success.
#[derive(Debug, Serialize)]
struct Body<'a> {
    error: Fields<'a>,
}

#[derive(Debug, Serialize)]
struct Fields<'a> {
    kind: Kind,
    operation: &'a str,
    target: &'a str,
    message: &'a str,
    hint: Option<&'a str>,
}

/// A request that did not succeed. Boxed, for it is the rare arm of every handler's result.
#[derive(Debug)]
pub(crate) struct ApiError(Box<Answer>);

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    kind: Kind,
    operation: &'static str,
    target: String,
    message: String,
    hint: Option<Cow<'static, str>>,
    header: Option<(HeaderName, HeaderValue)>,
}

const RETRY_AFTER: (HeaderName, HeaderValue) =
    (header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));

impl ApiError {
    /// An error of this kind.
    pub(crate) fn new(
        kind: Kind,
        operation: &'static str,
        target: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        ApiError(Box::new(Answer {
            status: status(kind),
            kind,
            operation,
            target: target.into(),
            message: message.into(),
            hint: None,
            header: (kind == Kind::RetryAfter).then_some(RETRY_AFTER),
        }))
    }

    /// The request is wrong.
    pub(crate) fn invalid(
        operation: &'static str,
        target: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self::new(Kind::Invalid, operation, target, message)
    }

    /// Under this status instead of its kind's.
    pub(crate) fn status(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self
    }

    /// With what the caller can do.
    pub(crate) fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// 503: trouble of ours, whatever its kind; the same request may succeed later.
    pub(crate) fn retry_later(mut self) -> Self {
        self.0.header = Some(RETRY_AFTER);
        self.status(StatusCode::SERVICE_UNAVAILABLE)
    }

    /// 401, asking for a bearer token.
    pub(crate) fn unauthorized(mut self) -> Self {
        self.0.header = Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
        self.status(StatusCode::UNAUTHORIZED)
    }
}

/// The status a kind stands for.
fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Missing => StatusCode::NOT_FOUND,
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::Denied => StatusCode::FORBIDDEN,
        Kind::Precondition => StatusCode::CONFLICT,
        Kind::RetryAfter => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        Kind::Corrupt | Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let answer = ApiError::new(error.kind, error.operation, error.target, error.context);
        match (error.kind, error.operation) {
            (Kind::Missing, "find rule") => answer.hint("GET /v1/rules lists the rules"),
            (Kind::RetryAfter, _) => {
                answer.hint("the same request may succeed later; see Retry-After")
            }
            (Kind::Internal | Kind::Corrupt, _) => {
                answer.hint("the daemon's log has the whole chain of causes")
            }
            _ => answer,
        }
    }
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        ApiError::invalid(
            "read request",
            format!("{} {:?}", invalid.what, invalid.given),
            invalid.why,
        )
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Answer {
            status,
            kind,
            operation,
            target,
            message,
            hint,
            header,
        } = *self.0;
        let (target, message) = (redact::text(&target), redact::text(&message));
        if status.is_server_error() {
            tracing::warn!(%kind, operation, on = %target, %message, "request failed");
        }
        let error = Fields {
            kind,
            operation,
            target: &target,
            message: &message,
            hint: hint.as_deref(),
        };
        let mut response = (status, axum::Json(Body { error })).into_response();
        response.headers_mut().extend(header);
        response
    }
}
