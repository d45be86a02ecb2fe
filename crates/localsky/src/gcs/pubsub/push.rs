//! Pushing a subscription's messages to its endpoint until they are taken.
//!
//! Source: <https://cloud.google.com/pubsub/docs/push>: 102, 200, 201, 202 and 204 acknowledge; anything else is tried again
//! with a growing delay. The token is by <https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions>.

use super::model::{Delivery, PushConfig};
use super::rest::shown_message;
use crate::gcs::Google;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use skyfresh_sky::timeout;
use std::sync::Arc;
use std::time::Duration;

/// Messages in flight to one endpoint.
const IN_FLIGHT: usize = 16;
const RETRY_FIRST: Duration = Duration::from_millis(100);
/// Google's default for the longest delay is 60 s; a demo should not wait that long.
const RETRY_MOST: Duration = Duration::from_secs(5);
/// How long an identity token is good, in seconds.
const TOKEN_LIFETIME_S: u64 = 3600;

type HttpClient = Client<HttpConnector, Full<Bytes>>;

/// Pushes until the subscription is gone, is another one of the same name, or pulls again.
pub(super) async fn run(google: Arc<Google>, name: String, incarnation: u64) {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: HttpClient = Client::builder(TokioExecutor::new()).build(connector);
    loop {
        // Made before looking, so that nothing that changes meanwhile is missed.
        let changed = google.pubsub.changed.notified();
        let mut changed = std::pin::pin!(changed);
        changed.as_mut().enable();
        let (now_ns, now) = (google.clock.monotonic_ns(), google.clock.now());
        let (push, deadline, batch, due_ns) = {
            let mut state = google.pubsub.lock();
            let Some(subscription) = state.subscriptions.get(&name) else {
                return;
            };
            let Some(push) = subscription.push.clone() else {
                return;
            };
            if subscription.incarnation != incarnation {
                return;
            }
            let deadline = Duration::from_secs(subscription.ack_deadline_s);
            let batch = state.take(&name, IN_FLIGHT, now_ns, now);
            (push, deadline, batch, state.next_due_ns(&name))
        };
        if !batch.is_empty() {
            let posts = batch
                .iter()
                .map(|delivery| deliver(&google, &client, &name, &push, deadline, delivery));
            futures::future::join_all(posts).await;
            continue;
        }
        let wait = due_ns.map(|due_ns| Duration::from_nanos(due_ns.saturating_sub(now_ns)));
        tokio::select! {
            () = changed => {}
            () = google.clock.sleep(wait.unwrap_or_default()), if wait.is_some() => {}
        }
    }
}

async fn deliver(
    google: &Arc<Google>,
    client: &HttpClient,
    name: &str,
    push: &PushConfig,
    deadline: Duration,
    delivery: &Delivery,
) {
    let posted = post(google, client, name, push, delivery);
    let outcome = match timeout(&*google.clock, deadline, posted).await {
        Some(outcome) => outcome,
        None => Err("it was not answered within the deadline".to_owned()),
    };
    let ack_id = delivery.ack_id.clone();
    let mut state = google.pubsub.lock();
    match outcome {
        Ok(()) => state.acknowledge(name, &[ack_id]),
        Err(why) => {
            tracing::debug!(endpoint = push.endpoint, why, "a push was not taken");
            let doublings = delivery.attempt.saturating_sub(1).min(16);
            let delay = RETRY_FIRST.saturating_mul(1 << doublings).min(RETRY_MOST);
            let not_before_ns = google.clock.monotonic_ns() + delay.as_nanos() as u64;
            state.give_back(name, &ack_id, not_before_ns, google.clock.now());
            drop(state);
            // Whoever waits on the dead-letter topic.
            google.pubsub.changed.notify_waiters();
        }
    }
}

async fn post(
    google: &Arc<Google>,
    client: &HttpClient,
    name: &str,
    push: &PushConfig,
    delivery: &Delivery,
) -> Result<(), String> {
    let mut envelope = json!({
        "message": shown_message(&delivery.message, true),
        "subscription": name,
    });
    if has_dead_letters(google, name) {
        envelope["deliveryAttempt"] = json!(delivery.attempt);
    }
    let mut request = http::Request::post(&push.endpoint)
        .header(http::header::CONTENT_TYPE, "application/json")
        .header(http::header::USER_AGENT, "APIs-Google; skyfresh-localsky");
    if let Some((email, audience)) = &push.token {
        let token = identity_token(google, email, audience).await?;
        request = request.header(http::header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let request = request
        .body(Full::new(Bytes::from(envelope.to_string())))
        .map_err(|error| error.to_string())?;
    let response = client
        .request(request)
        .await
        .map_err(|error| error.to_string())?;
    let status = response.status().as_u16();
    // Read to the end, so that the connection can be used again.
    let _ = Limited::new(response.into_body(), 64 * 1024)
        .collect()
        .await;
    if [102, 200, 201, 202, 204].contains(&status) {
        Ok(())
    } else {
        Err(format!("HTTP {status}"))
    }
}

fn has_dead_letters(google: &Google, name: &str) -> bool {
    google
        .pubsub
        .lock()
        .subscriptions
        .get(name)
        .is_some_and(|subscription| subscription.dead_letter.is_some())
}

/// Who pushes, signed so that the endpoint can tell.
async fn identity_token(google: &Google, email: &str, audience: &str) -> Result<String, String> {
    let keys = google
        .identity
        .signer()
        .await
        .map_err(|failure| failure.message)?;
    let now_s = google.clock.now().unix_ms() / 1000;
    let claims = json!({
        "iss": "https://accounts.google.com",
        "aud": audience,
        "azp": "100000000000000000002",
        "sub": "100000000000000000002",
        "email": email,
        "email_verified": true,
        "iat": now_s,
        "exp": now_s + TOKEN_LIFETIME_S,
    });
    keys.sign(&claims).map_err(|failure| failure.message)
}
