//! What is to be there for a rule, as a value.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Everything that carries one rule's events, in the order in which it must be created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The rule.
    pub rule: String,
    /// What is to be there.
    pub resources: Vec<Resource>,
}

/// One thing at a provider: how it is named and all that matters about it. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Resource {
    /// An SQS queue that one sender may write to.
    SqsQueue {
        /// ARN.
        arn: String,
        /// The rule it is tagged with.
        rule: String,
        /// Its access policy, JSON.
        policy: String,
    },
    /// One notification configuration of an S3 bucket.
    S3Notification {
        /// Bucket.
        bucket: String,
        /// The configuration's id in the bucket's document.
        id: String,
        /// Where events go.
        queue_arn: String,
        /// Keys begin with this.
        prefix: String,
        /// Event types.
        events: Vec<String>,
    },
    /// An S3 bucket's events going to EventBridge: on or off, for everybody.
    S3EventBridge {
        /// Bucket.
        bucket: String,
    },
    /// An EventBridge rule on the default bus.
    EventBridgeRule {
        /// ARN.
        arn: String,
        /// The rule it is tagged with.
        rule: String,
        /// Its event pattern, JSON.
        pattern: String,
    },
    /// Where an EventBridge rule sends its events.
    EventBridgeTarget {
        /// The rule's name.
        event_rule: String,
        /// The target's id in the rule.
        id: String,
        /// Where events go.
        queue_arn: String,
    },
    /// A Pub/Sub topic.
    PubsubTopic {
        /// `projects/PROJECT/topics/TOPIC`.
        name: String,
        /// Its label.
        label: String,
    },
    /// The right to publish to a topic.
    PubsubPublisher {
        /// `projects/PROJECT/topics/TOPIC`.
        topic: String,
        /// `serviceAccount:…`.
        member: String,
    },
    /// A Pub/Sub subscription.
    PubsubSubscription {
        /// `projects/PROJECT/subscriptions/SUBSCRIPTION`.
        name: String,
        /// `projects/PROJECT/topics/TOPIC`.
        topic: String,
        /// Its label.
        label: String,
        /// Sent to an address instead of being pulled.
        push: Option<Push>,
    },
    /// A notification configuration of a GCS bucket.
    GcsNotification {
        /// Bucket.
        bucket: String,
        /// `projects/PROJECT/topics/TOPIC`.
        topic: String,
        /// The rule it carries as an attribute of every message.
        rule: String,
        /// Names begin with this.
        prefix: String,
        /// Event types.
        events: Vec<String>,
    },
    /// A queue of an Azure storage account.
    StorageQueue {
        /// Resource id of the storage account.
        account_id: String,
        /// The queue's name.
        name: String,
        /// The rule in its metadata.
        rule: String,
    },
    /// An Event Grid subscription to a storage account's events.
    EventSubscription {
        /// Resource id of the storage account.
        account_id: String,
        /// The subscription's name.
        name: String,
        /// The rule in its labels.
        rule: String,
        /// Where events go: a queue of the same account, or an address.
        destination: EventDestination,
        /// Subjects begin with this.
        subject_begins_with: String,
        /// Event types.
        events: Vec<String>,
    },
}

/// How a push subscription delivers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// `https://…`.
    pub url: String,
    /// The service account whose OpenID Connect token comes along.
    pub service_account: String,
    /// The audience of that token.
    pub audience: String,
}

/// Where an Event Grid subscription delivers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventDestination {
    /// A queue of the same storage account, by name.
    Queue(String),
    /// An address that answers the validation handshake, without the secret after its `?`.
    Webhook(String),
}

impl Resource {
    /// What it is, in a few words.
    pub fn kind(&self) -> &'static str {
        match self {
            Resource::SqsQueue { .. } => "SQS queue",
            Resource::S3Notification { .. } => "S3 notification configuration",
            Resource::S3EventBridge { .. } => "S3 events to EventBridge",
            Resource::EventBridgeRule { .. } => "EventBridge rule",
            Resource::EventBridgeTarget { .. } => "EventBridge target",
            Resource::PubsubTopic { .. } => "Pub/Sub topic",
            Resource::PubsubPublisher { .. } => "Pub/Sub publisher",
            Resource::PubsubSubscription { .. } => "Pub/Sub subscription",
            Resource::GcsNotification { .. } => "GCS notification configuration",
            Resource::StorageQueue { .. } => "Azure Storage queue",
            Resource::EventSubscription { .. } => "Event Grid subscription",
        }
    }

    /// Its name at the provider, as far as it is known before it is created.
    pub fn name(&self) -> String {
        match self {
            Resource::SqsQueue { arn, .. } | Resource::EventBridgeRule { arn, .. } => arn.clone(),
            Resource::S3Notification { bucket, id, .. } => format!("{id} of {bucket}"),
            Resource::S3EventBridge { bucket } => bucket.clone(),
            Resource::EventBridgeTarget { event_rule, id, .. } => format!("{id} of {event_rule}"),
            Resource::PubsubTopic { name, .. } | Resource::PubsubSubscription { name, .. } => {
                name.clone()
            }
            Resource::PubsubPublisher { topic, member } => format!("{member} on {topic}"),
            Resource::GcsNotification { bucket, topic, .. } => {
                format!("projects/_/buckets/{bucket}/notificationConfigs for {topic}")
            }
            Resource::StorageQueue {
                account_id, name, ..
            } => format!("{account_id}/queueServices/default/queues/{name}"),
            Resource::EventSubscription {
                account_id, name, ..
            } => format!("{account_id}/providers/Microsoft.EventGrid/eventSubscriptions/{name}"),
        }
    }

    /// What matters about it beside its name: a label and a value each.
    fn details(&self) -> Vec<(&'static str, String)> {
        let from = |prefix: &String| match prefix.is_empty() {
            true => ("keys", "all".to_owned()),
            false => ("keys", format!("{prefix}*")),
        };
        match self {
            Resource::SqsQueue { policy, rule, .. } => {
                vec![
                    ("tag", format!("{}={rule}", super::names::TAG)),
                    ("policy", policy.clone()),
                ]
            }
            Resource::S3Notification {
                queue_arn,
                prefix,
                events,
                ..
            } => vec![
                from(prefix),
                ("events", events.join(", ")),
                ("to", queue_arn.clone()),
            ],
            Resource::S3EventBridge { .. } => vec![("sets", "EventBridgeConfiguration".into())],
            Resource::EventBridgeRule { pattern, rule, .. } => vec![
                ("tag", format!("{}={rule}", super::names::TAG)),
                ("pattern", pattern.clone()),
            ],
            Resource::EventBridgeTarget { queue_arn, .. } => vec![("to", queue_arn.clone())],
            Resource::PubsubTopic { label, .. } => {
                vec![("label", format!("{}={label}", super::names::TAG))]
            }
            Resource::PubsubPublisher { .. } => vec![("role", "roles/pubsub.publisher".into())],
            Resource::PubsubSubscription {
                topic, label, push, ..
            } => {
                let mut details = vec![
                    ("label", format!("{}={label}", super::names::TAG)),
                    ("topic", topic.clone()),
                ];
                if let Some(push) = push {
                    details.extend([
                        ("push to", push.url.clone()),
                        ("signed by", push.service_account.clone()),
                        ("audience", push.audience.clone()),
                    ]);
                }
                details
            }
            Resource::GcsNotification { prefix, events, .. } => {
                vec![from(prefix), ("events", events.join(", "))]
            }
            Resource::StorageQueue { rule, .. } => {
                vec![("metadata", format!("skyfresh_rule={rule}"))]
            }
            Resource::EventSubscription {
                destination,
                subject_begins_with,
                events,
                rule,
                ..
            } => vec![
                ("label", format!("{}={rule}", super::names::TAG)),
                ("subjects", format!("{subject_begins_with}*")),
                ("events", events.join(", ")),
                match destination {
                    EventDestination::Queue(queue) => ("to queue", queue.clone()),
                    EventDestination::Webhook(url) => ("to", url.clone()),
                },
            ],
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.name())?;
        for (label, value) in self.details() {
            write!(f, "\n  {label}: {value}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, resource) in self.resources.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{resource}")?;
        }
        Ok(())
    }
}
