//! `POST /v1/notifications`: notifications from the outside world, durable before they are acknowledged.

use crate::api::Api;
use crate::error::ApiError;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use skyfresh_engine::intake::authenticate::{self, Credentials, Refusal};
use skyfresh_engine::intake::notification::LIMIT_BYTES;
use skyfresh_engine::{Accepted, Error};
use skyfresh_sky::{Kind, timeout};
use std::sync::Arc;
use std::time::Duration;

/// How long a sender may take to send the body.
const BODY_LIMIT: Duration = Duration::from_secs(30);
const OPERATION: &str = "take notification";

/// A notification that was not taken, and the reason it is counted under.
pub(crate) struct Refused {
    pub(crate) reason: &'static str,
    pub(crate) answer: ApiError,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        refused(refusal)
    }
}

/// For every rule whose source it concerns.
pub(crate) async fn for_all(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Json<Accepted>, ApiError> {
    counted(&api, None, request).await
}

/// For one rule.
pub(crate) async fn for_rule(
    State(api): State<Arc<Api>>,
    Path(rule): Path<String>,
    request: Request,
) -> Result<Json<Accepted>, ApiError> {
    counted(&api, Some(&rule), request).await
}

async fn counted(
    api: &Api,
    rule: Option<&str>,
    request: Request,
) -> Result<Json<Accepted>, ApiError> {
    count(api, take(api, rule, request).await).map(Json)
}

/// Counts what became of a notification.
pub(crate) fn count(api: &Api, taken: Result<Accepted, Refused>) -> Result<Accepted, ApiError> {
    match taken {
        Ok(accepted) => {
            api.counters.notification_accepted();
            Ok(accepted)
        }
        Err(refused) => Err(refuse(api, refused)),
    }
}

/// Counts a refusal; the answer to it.
pub(crate) fn refuse(api: &Api, refused: Refused) -> ApiError {
    let Refused { reason, answer } = refused;
    api.counters.notification_refused(reason);
    tracing::debug!(reason, "notification refused");
    answer
}

async fn take(api: &Api, rule: Option<&str>, request: Request) -> Result<Accepted, Refused> {
    let (head, body) = request.into_parts();
    // What needs no body is refused without reading one.
    let secret = match &api.options.webhook_secret {
        Some(secret) => Some(secret),
        None if api.options.allow_unauthenticated_notifications => None,
        None => {
            return Err(not_configured(
                "no webhook_secret is configured, so no sender can be trusted",
            )
            .hinted());
        }
    };
    let credentials = credentials(&head.headers);
    if secret.is_some() && credentials.authorization.is_none() && credentials.signature.is_none() {
        return Err(refused(Refusal::Missing));
    }
    let body = read(api, &head.headers, body, LIMIT_BYTES).await?;
    let Some(secret) = secret else {
        return api.engine.notify(rule, &body).await.map_err(not_taken);
    };
    authenticate::check(secret, credentials, &body, api.clock.now()).map_err(refused)?;
    // A signature is good for one notification: whoever has read one on its way cannot use it again.
    let signature = credentials.signature.unwrap_or_default();
    if !api.seen.is_new(signature) {
        return Err(refused(Refusal::Replayed));
    }
    api.engine.notify(rule, &body).await.map_err(|error| {
        api.seen.forget(signature);
        not_taken(error)
    })
}

fn credentials(headers: &HeaderMap) -> Credentials<'_> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    Credentials {
        authorization: text("authorization"),
        signature: text("x-skyfresh-signature"),
    }
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// Reads a body of at most `limit` bytes; one that says it is longer is refused unread.
pub(crate) async fn read(
    api: &Api,
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<bytes::Bytes, Refused> {
    if declared_length(headers).is_some_and(|length| length > limit as u64) {
        return Err(too_large(limit));
    }
    let reading = Limited::new(body, limit).collect();
    match timeout(api.clock.as_ref(), BODY_LIMIT, reading).await {
        None => Err(too_slow()),
        Some(Ok(collected)) => Ok(collected.to_bytes()),
        Some(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(limit)),
        Some(Err(error)) => Err(Refused {
            reason: "incomplete",
            answer: ApiError::invalid(
                OPERATION,
                "body",
                format!("the body did not arrive whole: {error}"),
            ),
        }),
    }
}

pub(crate) fn not_configured(why: &'static str) -> Refused {
    Refused {
        reason: "not_configured",
        answer: ApiError::new(Kind::Denied, OPERATION, "sender", why),
    }
}

impl Refused {
    /// With what the owner of the webhook can do.
    fn hinted(self) -> Self {
        let hint = "set webhook_secret in [server], or allow_unauthenticated_notifications = true";
        Refused {
            answer: self.answer.hint(hint),
            ..self
        }
    }
}

fn refused(refusal: Refusal) -> Refused {
    let message = match refusal {
        Refusal::Missing => "neither Authorization nor X-Skyfresh-Signature was sent",
        Refusal::Wrong => "the secret or the signature is wrong",
        Refusal::Replayed => "the signature is right, but used already, too old or from the future",
    };
    let hint = match refusal {
        Refusal::Replayed => {
            "compare the clocks of both machines; a signature holds for 5 minutes, and once"
        }
        _ => {
            "send Authorization: Bearer WEBHOOK_SECRET, or X-Skyfresh-Signature: t=UNIX_SECONDS,v1=HEX"
        }
    };
    Refused {
        reason: refusal.as_str(),
        answer: ApiError::new(Kind::Denied, OPERATION, "sender", message)
            .hint(hint)
            .unauthorized(),
    }
}

fn too_large(limit: usize) -> Refused {
    Refused {
        reason: "too_large",
        answer: ApiError::invalid(OPERATION, "body", format!("larger than {limit} bytes"))
            .status(StatusCode::PAYLOAD_TOO_LARGE)
            .hint("send fewer records at once"),
    }
}

fn too_slow() -> Refused {
    let message = format!("the body did not arrive within {} s", BODY_LIMIT.as_secs());
    Refused {
        reason: "too_slow",
        answer: ApiError::new(Kind::RetryAfter, OPERATION, "body", message)
            .status(StatusCode::REQUEST_TIMEOUT),
    }
}

/// What the sender sent is its own fault; everything else is ours, and it must keep the notification.
pub(crate) fn not_taken(error: Error) -> Refused {
    let reason = match (error.kind, error.operation) {
        (Kind::Invalid, "parse notification") => "malformed",
        (Kind::Missing, "find rule") => "unknown_rule",
        _ => "ledger",
    };
    let mut answer = ApiError::from(error);
    if reason == "ledger" {
        answer = answer
            .retry_later()
            .hint("nothing was recorded: keep the notification and send it again");
    }
    Refused { reason, answer }
}

/// Every reason a notification is refused for, so that each is a series from the start.
pub(crate) const REASONS: [&str; 14] = [
    "not_configured",
    "missing_credentials",
    "wrong_credentials",
    "wrong_audience",
    "expired",
    "keys_unavailable",
    "replayed",
    "duplicate",
    "too_large",
    "too_slow",
    "incomplete",
    "malformed",
    "unknown_rule",
    "ledger",
];
