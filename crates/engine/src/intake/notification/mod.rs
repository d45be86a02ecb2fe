//! Notifications of every cloud: untrusted bytes to events.
//!
//! In: the body of a webhook or of a queue's message, with the attributes it came with. Out: [`BucketEvent`]s; none for what
//! changes no content and for test messages. Never: panics, takes half of a message, believes that a key exists.
//!
//! | file | formats |
//! |---|---|
//! | `s3` | S3 event messages (also of MinIO, Ceph and others), and the same through SNS |
//! | `eventbridge` | S3 events of Amazon EventBridge |
//! | `gcs` | Cloud Storage through Pub/Sub: pulled, and pushed in their envelope |
//! | `event_grid` | Blob Storage events in the Event Grid schema and as CloudEvents 1.0, and its handshakes |

pub mod event_grid;
mod eventbridge;
pub mod gcs;
mod s3;
#[cfg(test)]
mod tests;

use crate::event::ObjectEvent;
use crate::{Error, Result};
use serde::Deserialize;
use serde::de::IgnoredAny;
use skyfresh_sky::{Kind, Location, Scheme, Timestamp};
use std::collections::BTreeMap;

/// Largest notification body accepted, bytes. S3 sends one record a message; MinIO-likes batch some hundred; Event Grid sends
/// at most 1 MB at once.
pub const LIMIT_BYTES: usize = 4 << 20;
/// How often an envelope may lie in an envelope: SNS in EventBridge is as deep as the clouds go.
const DEPTH_LIMIT: usize = 2;

/// "This key may have changed", as a cloud says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketEvent {
    /// Whose event it is. S3 stands for everything that speaks S3's format.
    pub scheme: Scheme,
    /// The bucket; for Azure `account/container`.
    pub bucket: String,
    /// The full key, decoded.
    pub full_key: String,
    /// When, by the sender.
    pub changed: Option<Timestamp>,
    /// Size, where given.
    pub size: Option<u64>,
}

/// Why a body was refused, in words; [`parse`] names what.
type Refused = String;

/// What tells the formats apart, without building anything of what is not looked at.
#[derive(Deserialize)]
struct Shape {
    #[serde(rename = "Records", default)]
    records: Option<IgnoredAny>,
    #[serde(rename = "Event", default)]
    event: Option<IgnoredAny>,
    #[serde(rename = "TopicArn", default)]
    topic: Option<IgnoredAny>,
    #[serde(rename = "detail-type", default)]
    detail_type: Option<IgnoredAny>,
    #[serde(default)]
    message: Option<IgnoredAny>,
    #[serde(default)]
    subscription: Option<IgnoredAny>,
    #[serde(rename = "eventType", default)]
    event_type: Option<IgnoredAny>,
    #[serde(default)]
    specversion: Option<IgnoredAny>,
    #[serde(default)]
    kind: Option<IgnoredAny>,
}

/// Parses a notification of any format. Records that do not change content (restore, lifecycle transition, …) and test messages
/// give no events.
///
/// # Errors
/// [`Kind::Invalid`]: too large, of no known format, or with a key that is no UTF-8. The whole body is refused, so that the
/// sender keeps it and someone looks.
pub fn parse(body: &[u8]) -> Result<Vec<BucketEvent>> {
    parse_with(body, &BTreeMap::new())
}

/// The same, for a message that came with attributes (Pub/Sub).
///
/// # Errors
/// As [`parse`].
pub fn parse_with(body: &[u8], attributes: &BTreeMap<String, String>) -> Result<Vec<BucketEvent>> {
    check_length(body)
        .and_then(|()| match gcs::is_storage_message(attributes) {
            true => gcs::message(body, attributes),
            false => of_any_format(body, DEPTH_LIMIT),
        })
        .map_err(refuse)
}

fn refuse(why: Refused) -> Error {
    Error::new(Kind::Invalid, "parse notification", "notification", why)
}

fn check_length(body: &[u8]) -> Result<(), Refused> {
    match body.len() {
        length if length > LIMIT_BYTES => {
            Err(format!("{length} bytes; the limit is {LIMIT_BYTES}"))
        }
        _ => Ok(()),
    }
}

fn of_any_format(body: &[u8], depth: usize) -> Result<Vec<BucketEvent>, Refused> {
    if body.trim_ascii_start().first() == Some(&b'[') {
        return event_grid::events(body);
    }
    let shape: Shape = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if shape.records.is_some() {
        s3::records(body)
    } else if shape.topic.is_some() {
        let inner = s3::in_sns(body)?;
        match inner {
            Some(inner) if depth > 0 => of_any_format(inner.as_bytes(), depth - 1),
            Some(_) => Err("envelopes lie too deep in each other".into()),
            None => Ok(Vec::new()),
        }
    } else if shape.detail_type.is_some() {
        eventbridge::event(body)
    } else if shape.message.is_some() && shape.subscription.is_some() {
        gcs::pushed(body).map(|pushed| pushed.events)
    } else if shape.event_type.is_some() || shape.specversion.is_some() {
        event_grid::events(body)
    } else if shape.event.is_some() {
        s3::test_event(body)
    } else if shape.kind.is_some() {
        gcs::object(body)
    } else {
        Err(
            "of no known format: not an event of S3, SNS, EventBridge, Pub/Sub or Event Grid"
                .into(),
        )
    }
}

/// The event for a rule whose source this is, if it lies inside. A store in memory stands for any cloud, whatever the account.
pub fn for_source(source: &Location, event: &BucketEvent) -> Option<ObjectEvent> {
    let concerned = match source.scheme {
        Scheme::Memory => event.bucket.rsplit('/').next() == Some(source.bucket.as_str()),
        scheme => scheme == event.scheme && source.bucket == event.bucket,
    };
    if !concerned {
        return None;
    }
    let key = source.relative_key(&event.full_key)?;
    Some(ObjectEvent {
        key,
        changed: event.changed,
        size: event.size,
    })
}

/// A time in RFC 3339; one that is none is as good as none.
fn time(text: Option<&str>) -> Option<Timestamp> {
    text.and_then(|text| Timestamp::parse(text).ok())
}
