//! `/v1/notify/eventgrid`: what an Event Grid subscription delivers to a webhook, and both of its handshakes.
//!
//! <https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema>,
//! <https://learn.microsoft.com/azure/event-grid/end-point-validation-cloud-events-schema>. Both are answered only to those who
//! may post: Event Grid sends the secret, which is part of the address, or the token with them.

use super::{EventGridRules, PUSH_LIMIT_BYTES, bearer, check_token};
use crate::api::Api;
use crate::error::ApiError;
use crate::notifications::{self, Refused};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use serde_json::json;
use skyfresh_engine::Accepted;
use skyfresh_engine::intake::authenticate::{self, Credentials, Refusal};
use skyfresh_engine::intake::notification::event_grid;
use std::sync::Arc;

/// Events a minute that are welcome, as the CloudEvents handshake wants to know (CloudEvents "HTTP 1.1 Web Hooks", 4.2).
const ALLOWED_RATE: HeaderValue = HeaderValue::from_static("100000");
/// Longest origin that is repeated.
const ORIGIN_LIMIT: usize = 255;

/// What a delivery gave.
enum Taken {
    Accepted(Accepted),
    Validation(String),
}

/// `POST`: takes events in, or answers the handshake of the Event Grid schema.
pub(crate) async fn notify(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, ApiError> {
    match take(&api, request).await {
        Ok(Taken::Validation(code)) => {
            tracing::info!("an Event Grid subscription was validated");
            Ok(Json(json!({ "validationResponse": code })).into_response())
        }
        Ok(Taken::Accepted(accepted)) => {
            notifications::count(&api, Ok(accepted)).map(|accepted| Json(accepted).into_response())
        }
        Err(refused) => Err(notifications::refuse(&api, refused)),
    }
}

/// `OPTIONS`: the handshake of CloudEvents.
pub(crate) async fn handshake(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (head, _) = request.into_parts();
    match allowed_origin(&api, &head).await {
        Ok(origin) => {
            tracing::info!("an Event Grid subscription was validated");
            let headers = [
                ("webhook-allowed-origin", origin),
                ("webhook-allowed-rate", ALLOWED_RATE),
            ];
            Ok((StatusCode::OK, headers).into_response())
        }
        Err(refused) => Err(notifications::refuse(&api, refused)),
    }
}

async fn allowed_origin(api: &Api, head: &Parts) -> Result<HeaderValue, Refused> {
    authorise(api, head).await?;
    let origin = head.headers.get("webhook-request-origin").filter(|origin| {
        let is_host = |b: &u8| b.is_ascii_alphanumeric() || b".-:*".contains(b);
        !origin.is_empty() && origin.len() <= ORIGIN_LIMIT && origin.as_bytes().iter().all(is_host)
    });
    origin.cloned().ok_or_else(|| {
        let what = "the handshake names no host in WebHook-Request-Origin";
        Refused {
            reason: "malformed",
            answer: ApiError::invalid("answer handshake", "WebHook-Request-Origin", what),
        }
    })
}

async fn take(api: &Api, request: Request) -> Result<Taken, Refused> {
    let (head, body) = request.into_parts();
    authorise(api, &head).await?;
    let body = notifications::read(api, &head.headers, body, PUSH_LIMIT_BYTES).await?;
    let delivered = event_grid::parse_delivery(&body).map_err(notifications::not_taken)?;
    if let Some(code) = delivered.validation_code {
        return Ok(Taken::Validation(code));
    }
    let (mut ids, mut events) = (Vec::new(), Vec::new());
    for (id, said) in delivered.events {
        let id = format!("event grid {id}");
        if api.seen.is_new(&id) {
            ids.push(id);
            events.extend(said);
        } else {
            api.counters.notification_refused("duplicate");
        }
    }
    match api.engine.notify_events(&[], &events).await {
        Ok(accepted) => Ok(Taken::Accepted(accepted)),
        Err(error) => {
            ids.iter().for_each(|id| api.seen.forget(id));
            Err(notifications::not_taken(error))
        }
    }
}

async fn authorise(api: &Api, head: &Parts) -> Result<(), Refused> {
    let Some(rules) = &api.options.event_grid else {
        return Err(notifications::not_configured(
            "[server.event_grid] is not configured, so no sender can be trusted",
        ));
    };
    let given = bearer(&head.headers);
    match (&rules.token, &api.event_grid_keys, given) {
        (Some(token_rules), Some(keys), Some(token)) if is_token(token) => {
            check_token(keys, token_rules, token, api.clock.now()).await
        }
        _ => check_secret(api, rules, &head.headers, head.uri.query()),
    }
}

fn is_token(bearer: &str) -> bool {
    bearer.bytes().filter(|byte| *byte == b'.').count() == 2
}

fn check_secret(
    api: &Api,
    rules: &EventGridRules,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Result<(), Refused> {
    let code = query
        .unwrap_or_default()
        .split('&')
        .find_map(|pair| pair.strip_prefix("code="))
        .map(|code| percent_decode_str(code).decode_utf8_lossy().into_owned());
    let given = code.as_deref().or_else(|| bearer(headers));
    let (Some(secret), Some(given)) = (&rules.secret, given) else {
        return Err(match given {
            None => Refusal::Missing.into(),
            Some(_) => Refusal::Wrong.into(),
        });
    };
    let credentials = Credentials {
        authorization: Some(given),
        signature: None,
    };
    // Compares in constant time.
    authenticate::check(secret, credentials, b"", api.clock.now()).map_err(Refused::from)
}
