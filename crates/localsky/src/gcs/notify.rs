//! Changes of objects as Pub/Sub messages.
//!
//! Source: <https://cloud.google.com/storage/docs/pubsub-notifications>.

use super::pubsub::NewMessage;
use super::request::ObjectName;
use super::resource;
use super::{Context, Frontend};
use crate::store::{Generation, NotificationConfig};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::collections::BTreeMap;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventType {
    Finalize,
    MetadataUpdate,
    /// For good, also by an overwrite where versioning is off.
    Delete,
    /// Became noncurrent.
    Archive,
}

impl EventType {
    pub(crate) const ALL: [EventType; 4] = [
        EventType::Finalize,
        EventType::MetadataUpdate,
        EventType::Delete,
        EventType::Archive,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            EventType::Finalize => "OBJECT_FINALIZE",
            EventType::MetadataUpdate => "OBJECT_METADATA_UPDATE",
            EventType::Delete => "OBJECT_DELETE",
            EventType::Archive => "OBJECT_ARCHIVE",
        }
    }
}

/// A change of one version.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) event: EventType,
    pub(crate) generation: Generation,
    /// Of an archived or deleted version: the one that took its place.
    pub(crate) overwritten_by: Option<u64>,
    /// Of a new version: the one whose place it took.
    pub(crate) overwrote: Option<u64>,
}

impl Change {
    pub(crate) fn new(event: EventType, generation: Generation) -> Self {
        Change {
            event,
            generation,
            overwritten_by: None,
            overwrote: None,
        }
    }

    fn wanted_by(&self, config: &NotificationConfig, key: &str) -> bool {
        key.starts_with(&config.object_name_prefix)
            && (config.event_types.is_empty()
                || config
                    .event_types
                    .iter()
                    .any(|name| name == self.event.as_str()))
    }

    fn message(
        &self,
        name: &ObjectName,
        id: u64,
        config: &NotificationConfig,
        time: String,
        base: &str,
    ) -> NewMessage {
        let mut attributes: BTreeMap<String, String> = config.custom_attributes.clone();
        let generation = self.generation.number.to_string();
        let config_name = format!(
            "projects/_/buckets/{}/notificationConfigs/{id}",
            name.bucket
        );
        let set = [
            ("notificationConfig", config_name),
            ("eventType", self.event.as_str().to_owned()),
            ("payloadFormat", config.payload_format.clone()),
            ("bucketId", name.bucket.clone()),
            ("objectId", name.key.clone()),
            ("objectGeneration", generation),
            ("eventTime", time),
        ];
        attributes.extend(set.map(|(name, value)| (name.to_owned(), value)));
        let others = [
            ("overwrittenByGeneration", self.overwritten_by),
            ("overwroteGeneration", self.overwrote),
        ];
        for (name, number) in others {
            if let Some(number) = number {
                attributes.insert(name.to_owned(), number.to_string());
            }
        }
        let data = if config.payload_format == "JSON_API_V1" {
            let resource = resource::object(base, &name.bucket, &name.key, &self.generation);
            BASE64.encode(resource.to_string())
        } else {
            String::new()
        };
        NewMessage {
            data,
            attributes,
            ordering_key: String::new(),
        }
    }
}

impl Frontend {
    /// Publishes a change to whoever wants it, as faithfully as the sky is told to.
    pub(crate) fn notify(&self, context: &Context, name: &ObjectName, change: Change) {
        let Some(bucket) = self.store.find(&name.bucket) else {
            return;
        };
        let configs = bucket.lock().google.notifications.clone();
        let time = self.google.clock.now().to_string();
        for (id, config) in configs {
            if !change.wanted_by(&config, &name.key) {
                continue;
            }
            let message = change.message(name, id, &config, time.clone(), &context.base);
            for delay in self.google.notifications.draw_deliveries() {
                let (google, topic, message) =
                    (self.google.clone(), config.topic.clone(), message.clone());
                let deliver = move || {
                    // A topic that was deleted loses its messages, as on Google.
                    if google.publish(&topic, vec![message]).is_some() {
                        google.notifications.count_delivered(1);
                    }
                };
                if delay.is_zero() {
                    deliver();
                    continue;
                }
                let google = self.google.clone();
                self.google.tasks.spawn(async move {
                    let wait = google.clock.sleep(delay);
                    if google.stop.run_until_cancelled(wait).await.is_some() {
                        deliver();
                    }
                });
            }
        }
    }
}
