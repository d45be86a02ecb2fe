//! Which changes of a bucket go to which topic: insert, list, get, delete.
//!
//! Source: <https://cloud.google.com/storage/docs/json_api/v1/notifications>.

use super::answer::{self, Answer};
use super::error::{Failure, Result};
use super::notify::EventType;
use super::resource::{fields, segment, text};
use super::{Context, Frontend, read_json};
use crate::store::NotificationConfig;
use http::{Method, StatusCode};
use s3s::Body;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Most configurations of a bucket, and most for one type of event
/// (<https://cloud.google.com/storage/docs/pubsub-notifications>).
const MOST_CONFIGS: usize = 100;
const MOST_CONFIGS_PER_EVENT: usize = 10;
/// How the JSON API names topics, before `projects/…`.
const TOPIC_HOST: &str = "//pubsub.googleapis.com/";

fn shown(context: &Context, bucket: &str, id: u64, config: &NotificationConfig) -> Value {
    let path = format!("storage/v1/b/{}/notificationConfigs/{id}", segment(bucket));
    let mut shown = json!({
        "kind": "storage#notification",
        "id": id.to_string(),
        "selfLink": format!("{}/{path}", context.base),
        "topic": format!("{TOPIC_HOST}{}", config.topic),
        "etag": id.to_string(),
        "payload_format": config.payload_format,
    });
    if !config.event_types.is_empty() {
        shown["event_types"] = json!(config.event_types);
    }
    if !config.custom_attributes.is_empty() {
        shown["custom_attributes"] = json!(config.custom_attributes);
    }
    if !config.object_name_prefix.is_empty() {
        shown["object_name_prefix"] = json!(config.object_name_prefix);
    }
    shown
}

fn parse(resource: &Value) -> Result<NotificationConfig> {
    let map = fields(resource)?;
    let topic = text(map, "topic")?.ok_or_else(|| Failure::required("Required: topic"))?;
    let topic = topic
        .trim_start_matches(TOPIC_HOST)
        .trim_start_matches("pubsub.googleapis.com/")
        .to_owned();
    let payload_format = text(map, "payload_format")?
        .ok_or_else(|| Failure::required("Required: payload_format"))?;
    if !["JSON_API_V1", "NONE"].contains(&payload_format.as_str()) {
        return Err(Failure::invalid(format!(
            "Invalid payload_format: {payload_format:?}"
        )));
    }
    let strings = |value: &Value| -> Option<Vec<String>> {
        let list = value.as_array()?.iter();
        list.map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let event_types = match map.get("event_types") {
        None | Some(Value::Null) => Vec::new(),
        Some(value) => {
            let known = |name: &String| EventType::ALL.iter().any(|event| event.as_str() == name);
            strings(value)
                .filter(|names| names.iter().all(known))
                .ok_or_else(|| Failure::invalid("Invalid event_types"))?
        }
    };
    let mut custom_attributes = BTreeMap::new();
    if let Some(Value::Object(given)) = map.get("custom_attributes") {
        for (name, value) in given {
            let value = value
                .as_str()
                .ok_or_else(|| Failure::invalid("Invalid custom_attributes"))?;
            custom_attributes.insert(name.clone(), value.to_owned());
        }
    }
    Ok(NotificationConfig {
        topic,
        event_types,
        custom_attributes,
        object_name_prefix: text(map, "object_name_prefix")?.unwrap_or_default(),
        payload_format,
    })
}

/// Whether a bucket may have one more configuration.
fn has_room<'a>(
    existing: impl Iterator<Item = &'a NotificationConfig> + Clone,
    added: &NotificationConfig,
) -> bool {
    let hears = |config: &NotificationConfig, event: EventType| {
        let names = &config.event_types;
        names.is_empty() || names.iter().any(|name| name == event.as_str())
    };
    let crowded = |event: EventType| {
        let others = existing.clone().filter(|config| hears(config, event));
        hears(added, event) && others.count() >= MOST_CONFIGS_PER_EVENT
    };
    existing.clone().count() < MOST_CONFIGS && !EventType::ALL.into_iter().any(crowded)
}

impl Frontend {
    pub(crate) async fn notification_configs(
        &self,
        context: &Context,
        name: &str,
        body: Body,
    ) -> Result<Answer> {
        let bucket = self.bucket(name)?;
        match context.method {
            Method::GET => {
                let state = bucket.lock();
                let configs = state.google.notifications.iter();
                let items: Vec<Value> = configs
                    .map(|(id, config)| shown(context, name, *id, config))
                    .collect();
                let mut list = json!({ "kind": "storage#notifications" });
                if !items.is_empty() {
                    list["items"] = Value::Array(items);
                }
                Ok(answer::json(&list))
            }
            Method::POST => {
                let config = parse(&read_json(body).await?)?;
                if !self.google.has_topic(&config.topic) {
                    return Err(Failure::invalid(format!(
                        "Topic does not exist: {}",
                        config.topic
                    )));
                }
                let added = config.clone();
                let id = self
                    .blocking(move || {
                        let mut state = bucket.lock();
                        let google = &mut state.google;
                        if !has_room(google.notifications.values(), &added) {
                            return Err(Failure::invalid("Too many notification configurations."));
                        }
                        google.last_notification_id += 1;
                        let id = google.last_notification_id;
                        google.notifications.insert(id, added);
                        bucket.save_google(&state)?;
                        Ok(id)
                    })
                    .await?;
                Ok(answer::json(&shown(context, name, id, &config)))
            }
            _ => Err(Failure::method_not_allowed()),
        }
    }

    pub(crate) async fn notification_config(
        &self,
        context: &Context,
        name: &str,
        id: &str,
    ) -> Result<Answer> {
        let bucket = self.bucket(name)?;
        let missing = || Failure::not_found(format!("Notification configuration {id} not found."));
        let id: u64 = id.parse().map_err(|_| missing())?;
        let found = bucket.lock().google.notifications.get(&id).cloned();
        let config = found.ok_or_else(missing)?;
        match context.method {
            Method::GET => Ok(answer::json(&shown(context, name, id, &config))),
            Method::DELETE => {
                self.blocking(move || {
                    let mut state = bucket.lock();
                    state.google.notifications.remove(&id);
                    Ok(bucket.save_google(&state)?)
                })
                .await?;
                Ok(answer::empty(StatusCode::NO_CONTENT))
            }
            _ => Err(Failure::method_not_allowed()),
        }
    }
}
