//! Google Pub/Sub: a subscription of the topic that Cloud Storage tells of changes.
//!
//! <https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions>

use crate::plumbing::{Address, Refusal, json, limits, request};
use crate::{Channel, Delivery};
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use skyfresh_sky::{Clock, Invalid, Kind, Timestamp, timeout};
use skyfresh_store::service::ServiceClient;
use skyfresh_store::{Error, Result};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Google's own address.
const SERVICE: &str = "https://pubsub.googleapis.com";
/// Most handles in one call: with handles of some 200 bytes far below the request limit of 512 KiB
/// (<https://cloud.google.com/pubsub/quotas>, "Resource limits").
const BATCH: usize = 1_000;
/// How long a pull that should not wait may take.
const SHORTEST_WAIT: Duration = Duration::from_secs(5);
/// Longest a message can be hidden (`modifyAckDeadline`).
const LONGEST_HIDING: Duration = Duration::from_secs(600);

/// Where the tokens of requests come from.
#[async_trait]
pub trait BearerTokens: Send + Sync + std::fmt::Debug {
    /// The value of `Authorization`, marked sensitive; `None` where requests go without one (local servers).
    ///
    /// # Errors
    /// [`Kind::Denied`] where a person must act, [`Kind::RetryAfter`] where the token service may answer later.
    async fn authorization(&self) -> Result<Option<HeaderValue>>;
}

/// A subscription that is pulled.
#[derive(Debug)]
pub struct PubsubSubscription {
    /// `projects/PROJECT/subscriptions/SUBSCRIPTION`.
    name: String,
    base: String,
    client: ServiceClient,
    tokens: Arc<dyn BearerTokens>,
    clock: Arc<dyn Clock>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pulled {
    #[serde(default)]
    received_messages: Vec<Received>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Received {
    ack_id: String,
    #[serde(default)]
    message: Message,
    /// Only with a dead-letter policy.
    #[serde(default)]
    delivery_attempt: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    #[serde(default)]
    data: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default)]
    message_id: String,
    #[serde(default)]
    publish_time: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Handles<'a> {
    ack_ids: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    ack_deadline_seconds: Option<u64>,
}

#[derive(Default, Deserialize)]
struct Problem {
    #[serde(default)]
    error: Details,
}

#[derive(Default, Deserialize)]
struct Details {
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    message: String,
}

impl PubsubSubscription {
    /// Opens `projects/PROJECT/subscriptions/SUBSCRIPTION`; `endpoint` is another server than Google's. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: the name or the endpoint cannot be used.
    pub fn new(
        subscription: &str,
        endpoint: Option<&str>,
        tokens: Arc<dyn BearerTokens>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let invalid =
            |error: Invalid| Error::new(Kind::Invalid, "open", subscription, error.to_string());
        let parts: Vec<&str> = subscription.split('/').collect();
        // Names of resources: letters, digits and -._~+% (Pub/Sub documentation, "Guidelines to name a topic or a subscription").
        let is_name = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-._~+%:".contains(&b))
        };
        match parts[..] {
            ["projects", project, "subscriptions", name] if is_name(project) && is_name(name) => {}
            _ => {
                let why = "expected projects/PROJECT/subscriptions/SUBSCRIPTION";
                return Err(invalid(Invalid::new("subscription", subscription, why)));
            }
        }
        let address = Address::parse("endpoint", endpoint.unwrap_or(SERVICE)).map_err(invalid)?;
        Ok(PubsubSubscription {
            name: subscription.to_owned(),
            base: format!("{}/v1/{subscription}", address.url()),
            client: ServiceClient::new(address.https, Arc::clone(&clock))?,
            tokens,
            clock,
        })
    }

    async fn call(
        &self,
        action: &str,
        operation: &'static str,
        arguments: &impl Serialize,
        wait: Duration,
    ) -> Result<Bytes> {
        let body = serde_json::to_vec(arguments).map_err(|error| {
            Error::new(Kind::Internal, operation, &self.name, error.to_string())
        })?;
        let url = format!("{}:{action}", self.base);
        let headers = [("content-type", "application/json")];
        let mut request = request(
            operation,
            &self.name,
            Method::POST,
            &url,
            &headers,
            body.into(),
        )?;
        if let Some(value) = self.tokens.authorization().await? {
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        let answer = self
            .client
            .send(operation, &self.name, request, limits(wait))
            .await?;
        if answer.status() == StatusCode::OK {
            return Ok(answer.into_body());
        }
        let problem: Problem = serde_json::from_slice(answer.body()).unwrap_or_default();
        let mut refusal = Refusal::new(answer.status(), answer.headers());
        refusal.code = problem.error.status;
        refusal.message = problem.error.message;
        Err(refusal.into_error(None, operation, &self.name))
    }
}

/// A message as it was published. Data that is not base64 is handed on as it came: whoever reads it will refuse it and say so.
fn delivery(received: Received) -> Delivery {
    let message = received.message;
    Delivery {
        body: STANDARD
            .decode(&message.data)
            .map_or_else(|_| Bytes::from(message.data.clone()), Bytes::from),
        id: message.message_id,
        handle: received.ack_id,
        attributes: message.attributes,
        attempts: received.delivery_attempt.unwrap_or(1).max(1),
        sent: message
            .publish_time
            .and_then(|time| Timestamp::parse(&time).ok()),
    }
}

#[async_trait]
impl Channel for PubsubSubscription {
    fn name(&self) -> &str {
        &self.name
    }

    /// The service waits by itself, for as long as it likes; that nothing came within `wait` is no failure. What it was about to
    /// hand out then comes again after the subscription's acknowledgement deadline.
    async fn receive(&self, limit: usize, wait: Duration) -> Result<Vec<Delivery>> {
        let mut arguments = serde_json::json!({ "maxMessages": limit.clamp(1, BATCH) });
        if wait.is_zero() {
            arguments["returnImmediately"] = true.into();
        }
        // Asked not to wait, the service still needs the time of a request.
        let wait = wait.max(SHORTEST_WAIT);
        let pulling = self.call("pull", "receive", &arguments, wait);
        let Some(answer) = timeout(&*self.clock, wait, pulling).await else {
            return Ok(Vec::new());
        };
        let pulled: Pulled = json("receive", &self.name, &answer?)?;
        Ok(pulled.received_messages.into_iter().map(delivery).collect())
    }

    /// The service tells of no single handle: those that had run out are delivered again.
    async fn acknowledge(&self, handles: &[String]) -> Result<Vec<String>> {
        for ack_ids in handles.chunks(BATCH) {
            let arguments = Handles {
                ack_ids,
                ack_deadline_seconds: None,
            };
            self.call("acknowledge", "acknowledge", &arguments, Duration::ZERO)
                .await?;
        }
        Ok(Vec::new())
    }

    async fn give_back(&self, handles: &[String], delay: Duration) -> Result<()> {
        for ack_ids in handles.chunks(BATCH) {
            let arguments = Handles {
                ack_ids,
                ack_deadline_seconds: Some(delay.min(LONGEST_HIDING).as_secs()),
            };
            self.call("modifyAckDeadline", "give back", &arguments, Duration::ZERO)
                .await?;
        }
        Ok(())
    }
}
