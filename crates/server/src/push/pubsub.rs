//! `POST /v1/notify/pubsub`: what a Pub/Sub push subscription sends, with the token that Google signs for it.
//!
//! <https://cloud.google.com/pubsub/docs/push>, <https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions>

use super::{PUSH_LIMIT_BYTES, bearer, check_token};
use crate::api::Api;
use crate::error::ApiError;
use crate::notifications::{self, Refused};
use axum::Json;
use axum::extract::{Request, State};
use skyfresh_engine::Accepted;
use skyfresh_engine::intake::authenticate::Refusal;
use skyfresh_engine::intake::notification::gcs;
use std::sync::Arc;

/// Takes a message in.
pub(crate) async fn notify(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Json<Accepted>, ApiError> {
    let taken = take(&api, request).await;
    notifications::count(&api, taken).map(Json)
}

async fn take(api: &Api, request: Request) -> Result<Accepted, Refused> {
    let (head, body) = request.into_parts();
    let Some((rules, keys)) = api.options.pubsub.as_ref().zip(api.pubsub_keys.as_ref()) else {
        return Err(notifications::not_configured(
            "[server.pubsub] is not configured, so no token can be trusted",
        ));
    };
    let token = bearer(&head.headers).ok_or(Refused::from(Refusal::Missing))?;
    check_token(keys, rules, token, api.clock.now()).await?;
    let body = notifications::read(api, &head.headers, body, PUSH_LIMIT_BYTES).await?;
    let pushed = gcs::parse_push(&body).map_err(notifications::not_taken)?;
    // Ids are unique within a topic.
    let id = format!("pubsub {} {}", pushed.message_id, pushed.subscription);
    if !api.seen.is_new(&id) {
        // Answered as taken, for it is: any other answer would bring it again and again.
        api.counters.notification_refused("duplicate");
        return Ok(Accepted::default());
    }
    let taken = api.engine.notify_events(&[], &pushed.events).await;
    taken.map_err(|error| {
        api.seen.forget(&id);
        notifications::not_taken(error)
    })
}
