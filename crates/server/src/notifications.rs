//! `POST /v1/notifications`: S3-format notifications from the outside world, durable before they are acknowledged.

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
struct Refused {
    reason: &'static str,
    answer: ApiError,
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
    match take(api, rule, request).await {
        Ok(accepted) => {
            api.counters.notification_accepted();
            Ok(Json(accepted))
        }
        Err(Refused { reason, answer }) => {
            api.counters.notification_refused(reason);
            tracing::debug!(reason, "notification refused");
            Err(answer)
        }
    }
}

async fn take(api: &Api, rule: Option<&str>, request: Request) -> Result<Accepted, Refused> {
    let (head, body) = request.into_parts();
    // What needs no body is refused without reading one.
    let secret = match &api.options.webhook_secret {
        Some(secret) => Some(secret),
        None if api.options.allow_unauthenticated_notifications => None,
        None => return Err(not_configured()),
    };
    let credentials = credentials(&head.headers);
    if secret.is_some() && credentials.authorization.is_none() && credentials.signature.is_none() {
        return Err(refused(Refusal::Missing));
    }
    if declared_length(&head.headers).is_some_and(|length| length > LIMIT_BYTES as u64) {
        return Err(too_large());
    }
    let body = match timeout(api.clock.as_ref(), BODY_LIMIT, read(body)).await {
        Some(body) => body?,
        None => return Err(too_slow()),
    };
    if let Some(secret) = secret {
        authenticate::check(secret, credentials, &body, api.clock.now()).map_err(refused)?;
    }
    api.engine.notify(rule, &body).await.map_err(not_taken)
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

async fn read(body: Body) -> Result<bytes::Bytes, Refused> {
    match Limited::new(body, LIMIT_BYTES).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(error) => Err(Refused {
            reason: "incomplete",
            answer: ApiError::invalid(
                OPERATION,
                "body",
                format!("the body did not arrive whole: {error}"),
            ),
        }),
    }
}

fn not_configured() -> Refused {
    Refused {
        reason: "not_configured",
        answer: ApiError::new(
            Kind::Denied,
            OPERATION,
            "sender",
            "no webhook_secret is configured, so no sender can be trusted",
        )
        .hint("set webhook_secret in [server], or allow_unauthenticated_notifications = true"),
    }
}

fn refused(refusal: Refusal) -> Refused {
    let message = match refusal {
        Refusal::Missing => "neither Authorization nor X-Skyfresh-Signature was sent",
        Refusal::Wrong => "the secret or the signature is wrong",
        Refusal::Replayed => "the signature is right, but too old or from the future",
    };
    let hint = match refusal {
        Refusal::Replayed => "compare the clocks of both machines; a signature holds for 5 minutes",
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

fn too_large() -> Refused {
    Refused {
        reason: "too_large",
        answer: ApiError::invalid(
            OPERATION,
            "body",
            format!("larger than {LIMIT_BYTES} bytes"),
        )
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
fn not_taken(error: Error) -> Refused {
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
pub(crate) const REASONS: [&str; 10] = [
    "not_configured",
    "missing_credentials",
    "wrong_credentials",
    "replayed",
    "too_large",
    "too_slow",
    "incomplete",
    "malformed",
    "unknown_rule",
    "ledger",
];
