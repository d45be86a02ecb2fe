//! Pub/Sub's REST API.
//!
//! Source: <https://cloud.google.com/pubsub/docs/reference/rest>.

use super::model::{
    DeadLetterPolicy, Delivery, Message, NewMessage, PushConfig, Subscription, Topic,
};
use super::push;
use crate::gcs::answer::{self, Answer};
use crate::gcs::{Context, Frontend, error, read_json};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{Method, StatusCode};
use s3s::Body;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a pull waits for a message.
const PULL_WAIT: Duration = Duration::from_secs(5);
/// Most messages of one pull or publish.
const MOST_MESSAGES: usize = 1_000;
/// Bounds of an acknowledgement deadline, in seconds.
const DEADLINE_S: std::ops::RangeInclusive<u64> = 10..=600;

/// What Pub/Sub answers instead of a result.
pub(super) struct Refused(StatusCode, &'static str, String);

type Result<T, E = Refused> = std::result::Result<T, E>;

impl From<error::Failure> for Refused {
    fn from(failure: error::Failure) -> Self {
        Refused(failure.status, "INVALID_ARGUMENT", failure.message)
    }
}

fn invalid(why: impl Into<String>) -> Refused {
    Refused(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", why.into())
}

fn missing(name: &str) -> Refused {
    let why = format!("Resource not found (resource={name}).");
    Refused(StatusCode::NOT_FOUND, "NOT_FOUND", why)
}

fn exists(name: &str) -> Refused {
    let why = format!("Resource already exists in the project (resource={name}).");
    Refused(StatusCode::CONFLICT, "ALREADY_EXISTS", why)
}

fn unsupported(what: &str) -> Refused {
    invalid(format!("This sky's Pub/Sub has no {what}."))
}

impl Refused {
    fn answer(self) -> Answer {
        let body =
            json!({ "error": { "code": self.0.as_u16(), "message": self.2, "status": self.1 } });
        answer::json_with(self.0, &body)
    }
}

/// A message as subscribers see it; `push` adds the names that push has had from its beginning.
pub(super) fn shown_message(message: &Message, push: bool) -> Value {
    let content = &message.content;
    let time = message.published.to_string();
    let mut shown = json!({ "messageId": message.id, "publishTime": time });
    if push {
        shown["message_id"] = json!(message.id);
        shown["publish_time"] = json!(time);
    }
    if !content.data.is_empty() {
        shown["data"] = json!(content.data);
    }
    if !content.attributes.is_empty() {
        shown["attributes"] = json!(content.attributes);
    }
    if !content.ordering_key.is_empty() {
        shown["orderingKey"] = json!(content.ordering_key);
    }
    shown
}

fn shown_topic(name: &str, topic: &Topic) -> Value {
    let mut shown = json!({ "name": name });
    if topic.labels.is_object() {
        shown["labels"] = topic.labels.clone();
    }
    shown
}

fn shown_subscription(name: &str, subscription: &Subscription) -> Value {
    let mut push = json!({});
    if let Some(config) = &subscription.push {
        push["pushEndpoint"] = json!(config.endpoint);
        if let Some((email, audience)) = &config.token {
            push["oidcToken"] = json!({ "serviceAccountEmail": email, "audience": audience });
        }
    }
    let mut shown = json!({
        "name": name,
        "topic": subscription.topic,
        "pushConfig": push,
        "ackDeadlineSeconds": subscription.ack_deadline_s,
        "messageRetentionDuration": "604800s",
        "state": "ACTIVE",
    });
    if let Some(policy) = &subscription.dead_letter {
        shown["deadLetterPolicy"] = json!({
            "deadLetterTopic": policy.topic,
            "maxDeliveryAttempts": policy.max_attempts,
        });
    }
    if subscription.labels.is_object() {
        shown["labels"] = subscription.labels.clone();
    }
    shown
}

fn push_config(value: &Value) -> Result<Option<PushConfig>> {
    let Some(endpoint) = value["pushEndpoint"].as_str().filter(|url| !url.is_empty()) else {
        return Ok(None);
    };
    let url: http::Uri = endpoint
        .parse()
        .map_err(|_| invalid("Invalid push endpoint"))?;
    if url.scheme_str() != Some("http") || url.host().is_none() {
        return Err(invalid(
            "Invalid push endpoint: this sky pushes to http://host:port/path only.",
        ));
    }
    let token = value["oidcToken"]["serviceAccountEmail"]
        .as_str()
        .map(|email| {
            let audience = value["oidcToken"]["audience"].as_str();
            // The documented default: the endpoint itself.
            (email.to_owned(), audience.unwrap_or(endpoint).to_owned())
        });
    Ok(Some(PushConfig {
        endpoint: endpoint.to_owned(),
        token,
    }))
}

fn dead_letter_policy(value: &Value) -> Result<Option<DeadLetterPolicy>> {
    let Some(topic) = value["deadLetterTopic"].as_str() else {
        return Ok(None);
    };
    let attempts = value["maxDeliveryAttempts"].as_u64().unwrap_or(5);
    if !(5..=100).contains(&attempts) {
        return Err(invalid("maxDeliveryAttempts must be between 5 and 100"));
    }
    Ok(Some(DeadLetterPolicy {
        topic: topic.to_owned(),
        max_attempts: attempts as u32,
    }))
}

fn new_message(value: &Value) -> Result<NewMessage> {
    let data = value["data"].as_str().unwrap_or_default();
    if BASE64.decode(data).is_err() {
        return Err(invalid("A message's data is not base64."));
    }
    let mut attributes = BTreeMap::new();
    if let Value::Object(given) = &value["attributes"] {
        for (name, value) in given {
            let value = value
                .as_str()
                .ok_or_else(|| invalid("A message's attributes are strings."))?;
            attributes.insert(name.clone(), value.to_owned());
        }
    }
    if data.is_empty() && attributes.is_empty() {
        return Err(invalid(
            "Some messages in the batch are empty: a message must have data or attributes.",
        ));
    }
    Ok(NewMessage {
        data: data.to_owned(),
        attributes,
        ordering_key: value["orderingKey"].as_str().unwrap_or_default().to_owned(),
    })
}

fn ack_ids(request: &Value) -> Vec<String> {
    let ids = request["ackIds"].as_array().map_or(&[][..], Vec::as_slice);
    ids.iter()
        .filter_map(|id| id.as_str().map(str::to_owned))
        .collect()
}

impl Frontend {
    pub(crate) async fn pubsub(
        &self,
        context: &Context,
        path: &[String],
        body: Body,
    ) -> error::Result<Answer> {
        let request = read_json(body).await?;
        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        let answered = match parts.as_slice() {
            [project, "topics"] => self.list_topics(project),
            [project, "topics", rest] => {
                let (name, verb) = rest.split_once(':').unwrap_or((rest, ""));
                let name = format!("projects/{project}/topics/{name}");
                self.topic(context, &name, verb, &request)
            }
            [project, "topics", topic, "subscriptions"] => {
                let topic = format!("projects/{project}/topics/{topic}");
                self.topic_subscriptions(&topic)
            }
            [project, "subscriptions"] => self.list_subscriptions(project),
            [project, "subscriptions", rest] => {
                let (name, verb) = rest.split_once(':').unwrap_or((rest, ""));
                let name = format!("projects/{project}/subscriptions/{name}");
                match (&context.method, verb) {
                    (&Method::POST, "pull") => self.pull(&name, &request).await,
                    _ => self.subscription(context, &name, verb, &request),
                }
            }
            _ => Err(missing("")),
        };
        Ok(answered.unwrap_or_else(Refused::answer))
    }

    fn list_topics(&self, project: &str) -> Result<Answer> {
        let state = self.google.pubsub.lock();
        let prefix = format!("projects/{project}/topics/");
        let topics: Vec<Value> = state
            .topics
            .iter()
            .filter(|(name, _)| name.starts_with(&prefix))
            .map(|(name, topic)| shown_topic(name, topic))
            .collect();
        Ok(answer::json(&json!({ "topics": topics })))
    }

    fn topic_subscriptions(&self, topic: &str) -> Result<Answer> {
        let state = self.google.pubsub.lock();
        if !state.topics.contains_key(topic) {
            return Err(missing(topic));
        }
        let names: Vec<&String> = state
            .subscriptions
            .iter()
            .filter(|(_, subscription)| subscription.topic == topic)
            .map(|(name, _)| name)
            .collect();
        Ok(answer::json(&json!({ "subscriptions": names })))
    }

    fn topic(&self, context: &Context, name: &str, verb: &str, request: &Value) -> Result<Answer> {
        let google = &self.google;
        if (&context.method, verb) == (&Method::PUT, "") {
            let mut state = google.pubsub.lock();
            if state.topics.contains_key(name) {
                return Err(exists(name));
            }
            let topic = Topic {
                labels: request["labels"].clone(),
                policy: None,
            };
            let shown = shown_topic(name, &topic);
            state.topics.insert(name.to_owned(), topic);
            return Ok(answer::json(&shown));
        }
        if (&context.method, verb) == (&Method::POST, "publish") {
            let messages = request["messages"]
                .as_array()
                .filter(|messages| (1..=MOST_MESSAGES).contains(&messages.len()))
                .ok_or_else(|| invalid("A publish has 1 to 1000 messages."))?;
            let messages = messages
                .iter()
                .map(new_message)
                .collect::<Result<Vec<_>>>()?;
            let ids = google
                .publish(name, messages)
                .ok_or_else(|| missing(name))?;
            return Ok(answer::json(&json!({ "messageIds": ids })));
        }
        let mut state = google.pubsub.lock();
        let topic = state.topics.get_mut(name).ok_or_else(|| missing(name))?;
        let empty_policy = || json!({ "etag": "ACAB" });
        match (&context.method, verb) {
            (&Method::GET, "") => Ok(answer::json(&shown_topic(name, topic))),
            (&Method::DELETE, "") => {
                state.topics.remove(name);
                for subscription in state.subscriptions.values_mut() {
                    if subscription.topic == name {
                        subscription.topic = "_deleted-topic_".into();
                    }
                }
                Ok(answer::json(&json!({})))
            }
            (&Method::GET, "getIamPolicy") => Ok(answer::json(
                &topic.policy.clone().unwrap_or_else(empty_policy),
            )),
            (&Method::POST, "setIamPolicy") => {
                let mut policy = request["policy"].clone();
                if !policy.is_object() {
                    return Err(invalid("Required: policy"));
                }
                policy["etag"] = json!(BASE64.encode(google.rng.token()));
                topic.policy = Some(policy.clone());
                Ok(answer::json(&policy))
            }
            (&Method::POST, "testIamPermissions") => Ok(answer::json(
                &json!({ "permissions": request["permissions"] }),
            )),
            _ => Err(missing(name)),
        }
    }

    fn list_subscriptions(&self, project: &str) -> Result<Answer> {
        let state = self.google.pubsub.lock();
        let prefix = format!("projects/{project}/subscriptions/");
        let found: Vec<Value> = state
            .subscriptions
            .iter()
            .filter(|(name, _)| name.starts_with(&prefix))
            .map(|(name, subscription)| shown_subscription(name, subscription))
            .collect();
        Ok(answer::json(&json!({ "subscriptions": found })))
    }

    fn create_subscription(&self, name: &str, request: &Value) -> Result<Answer> {
        let topic = request["topic"]
            .as_str()
            .ok_or_else(|| invalid("Required: topic"))?;
        if request["filter"]
            .as_str()
            .is_some_and(|filter| !filter.is_empty())
        {
            return Err(unsupported("filters"));
        }
        for field in ["enableMessageOrdering", "enableExactlyOnceDelivery"] {
            if request[field] == true {
                return Err(unsupported(field));
            }
        }
        let mut subscription = Subscription::new(topic.to_owned());
        if let Some(deadline) = request["ackDeadlineSeconds"].as_u64().filter(|s| *s > 0) {
            if !DEADLINE_S.contains(&deadline) {
                return Err(invalid("ackDeadlineSeconds must be between 10 and 600"));
            }
            subscription.ack_deadline_s = deadline;
        }
        subscription.push = push_config(&request["pushConfig"])?;
        subscription.dead_letter = dead_letter_policy(&request["deadLetterPolicy"])?;
        subscription.labels = request["labels"].clone();
        let shown = shown_subscription(name, &subscription);
        let pushes = subscription.push.is_some();
        let mut state = self.google.pubsub.lock();
        if !state.topics.contains_key(topic) {
            return Err(missing(topic));
        }
        if state.subscriptions.contains_key(name) {
            return Err(exists(name));
        }
        let incarnation = state.subscribe(name, subscription);
        drop(state);
        if pushes {
            self.start_pushing(name, incarnation);
        }
        Ok(answer::json(&shown))
    }

    fn start_pushing(&self, name: &str, incarnation: u64) {
        let (google, stop) = (self.google.clone(), self.google.stop.clone());
        let pushing = push::run(google, name.to_owned(), incarnation);
        self.google.tasks.spawn(async move {
            stop.run_until_cancelled(pushing).await;
        });
    }

    fn subscription(
        &self,
        context: &Context,
        name: &str,
        verb: &str,
        request: &Value,
    ) -> Result<Answer> {
        let google = &self.google;
        if (&context.method, verb) == (&Method::PUT, "") {
            return self.create_subscription(name, request);
        }
        let (now_ns, now) = (google.clock.monotonic_ns(), google.clock.now());
        let mut state = google.pubsub.lock();
        let subscription = state
            .subscriptions
            .get_mut(name)
            .ok_or_else(|| missing(name))?;
        let mut pushing = None;
        let shown = match (&context.method, verb) {
            (&Method::GET, "") => shown_subscription(name, subscription),
            (&Method::DELETE, "") => {
                state.subscriptions.remove(name);
                json!({})
            }
            (&Method::POST, "acknowledge") => {
                state.acknowledge(name, &ack_ids(request));
                json!({})
            }
            (&Method::POST, "modifyAckDeadline") => {
                let deadline = request["ackDeadlineSeconds"].as_u64().unwrap_or(0);
                if deadline > *DEADLINE_S.end() {
                    return Err(invalid("ackDeadlineSeconds must be between 0 and 600"));
                }
                state.modify_deadline(name, &ack_ids(request), deadline, now_ns, now);
                json!({})
            }
            (&Method::POST, "modifyPushConfig") => {
                let before = subscription.push.is_some();
                subscription.push = push_config(&request["pushConfig"])?;
                if !before && subscription.push.is_some() {
                    pushing = Some(subscription.incarnation);
                }
                json!({})
            }
            _ => return Err(missing(name)),
        };
        drop(state);
        google.pubsub.changed.notify_waiters();
        if let Some(incarnation) = pushing {
            self.start_pushing(name, incarnation);
        }
        Ok(answer::json(&shown))
    }

    /// Lends what waits; where nothing does, waits a little for it.
    async fn pull(&self, name: &str, request: &Value) -> Result<Answer> {
        let google = &self.google;
        let most = request["maxMessages"]
            .as_u64()
            .filter(|most| *most > 0)
            .ok_or_else(|| invalid("maxMessages must be positive"))?;
        let most = (most as usize).min(MOST_MESSAGES);
        let end_ns = google.clock.monotonic_ns() + PULL_WAIT.as_nanos() as u64;
        let (deliveries, counted) = loop {
            let changed = google.pubsub.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            let (now_ns, now) = (google.clock.monotonic_ns(), google.clock.now());
            let (deliveries, counted, due_ns) = {
                let mut state = google.pubsub.lock();
                let subscription = state.subscriptions.get(name).ok_or_else(|| missing(name))?;
                let counted = subscription.dead_letter.is_some();
                let deliveries = state.take(name, most, now_ns, now);
                (deliveries, counted, state.next_due_ns(name))
            };
            if !deliveries.is_empty()
                || request["returnImmediately"] == true
                || now_ns >= end_ns
                || google.stop.is_cancelled()
            {
                break (deliveries, counted);
            }
            let until_ns = due_ns.map_or(end_ns, |due_ns| due_ns.clamp(now_ns + 1, end_ns));
            tokio::select! {
                () = changed => {}
                () = google.stop.cancelled() => {}
                () = google.clock.sleep(Duration::from_nanos(until_ns - now_ns)) => {}
            }
        };
        let shown = |delivery: &Delivery| {
            let mut shown = json!({
                "ackId": delivery.ack_id,
                "message": shown_message(&delivery.message, false),
            });
            if counted {
                shown["deliveryAttempt"] = json!(delivery.attempt);
            }
            shown
        };
        let received: Vec<Value> = deliveries.iter().map(shown).collect();
        if received.is_empty() {
            return Ok(answer::json(&json!({})));
        }
        Ok(answer::json(&json!({ "receivedMessages": received })))
    }
}
