//! Cloud Storage events through Pub/Sub: attributes that say what happened, a payload that may hold the object's metadata.
//!
//! <https://cloud.google.com/storage/docs/pubsub-notifications>, <https://cloud.google.com/pubsub/docs/push>

use super::{BucketEvent, Refused, check_length, refuse, time};
use crate::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use skyfresh_sky::Scheme;
use std::collections::BTreeMap;

/// What Pub/Sub pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The message's id, the same at every delivery.
    pub message_id: String,
    /// The subscription that pushed it.
    pub subscription: String,
    /// What it says.
    pub events: Vec<BucketEvent>,
}

#[derive(Deserialize)]
struct Envelope {
    message: Message,
    #[serde(default)]
    subscription: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    #[serde(default)]
    data: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    message_id: String,
}

/// The object resource of the JSON API, as far as it concerns us. 64-bit numbers are text there.
#[derive(Default, Deserialize)]
struct Resource {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    bucket: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    size: Option<String>,
    #[serde(default)]
    updated: Option<String>,
}

/// Whether these are attributes that Cloud Storage gives its messages.
pub(super) fn is_storage_message(attributes: &BTreeMap<String, String>) -> bool {
    ["eventType", "bucketId", "objectId"]
        .iter()
        .all(|name| attributes.contains_key(*name))
}

/// Parses what a push subscription posts.
///
/// # Errors
/// [`Kind::Invalid`](skyfresh_sky::Kind::Invalid): too large, not the envelope, or what is in it is no event of Cloud Storage.
pub fn parse_push(body: &[u8]) -> Result<Pushed> {
    check_length(body)
        .and_then(|()| pushed(body))
        .map_err(refuse)
}

pub(super) fn pushed(body: &[u8]) -> Result<Pushed, Refused> {
    let envelope: Envelope = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let data = STANDARD
        .decode(&envelope.message.data)
        .map_err(|_| "the message's data is not base64".to_owned())?;
    let attributes = &envelope.message.attributes;
    let events = match is_storage_message(attributes) {
        true => message(&data, attributes)?,
        false => object(&data)?,
    };
    Ok(Pushed {
        message_id: envelope.message.message_id,
        subscription: envelope.subscription,
        events,
    })
}

/// A message with Cloud Storage's attributes. They alone say which object it is; the payload only adds its size, and may be
/// absent (payload format `NONE`).
pub(super) fn message(
    data: &[u8],
    attributes: &BTreeMap<String, String>,
) -> Result<Vec<BucketEvent>, Refused> {
    let attribute = |name: &str| attributes.get(name).map(String::as_str);
    let (bucket, key) = match (attribute("bucketId"), attribute("objectId")) {
        (Some(bucket), Some(key)) if !bucket.is_empty() && !key.is_empty() => (bucket, key),
        _ => return Err("bucketId or objectId is empty".into()),
    };
    // OBJECT_ARCHIVE: the live version became noncurrent. Only a new version or a delete does that, but each says so itself
    // in a message that may be lost.
    match attribute("eventType") {
        Some("OBJECT_FINALIZE" | "OBJECT_DELETE" | "OBJECT_METADATA_UPDATE" | "OBJECT_ARCHIVE") => {
        }
        _ => return Ok(Vec::new()),
    }
    let resource: Resource = match attribute("payloadFormat") {
        Some("JSON_API_V1") => serde_json::from_slice(data).map_err(|error| error.to_string())?,
        _ => Resource::default(),
    };
    Ok(vec![BucketEvent {
        scheme: Scheme::Gcs,
        bucket: bucket.to_owned(),
        full_key: key.to_owned(),
        changed: time(attribute("eventTime").or(resource.updated.as_deref())),
        size: resource.size.and_then(|size| size.parse().ok()),
    }])
}

/// An object resource alone: where something between Cloud Storage and us left the attributes out.
pub(super) fn object(body: &[u8]) -> Result<Vec<BucketEvent>, Refused> {
    let resource: Resource = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if resource.kind != "storage#object" || resource.bucket.is_empty() || resource.name.is_empty() {
        return Err("neither Cloud Storage's attributes nor an object's metadata".into());
    }
    Ok(vec![BucketEvent {
        scheme: Scheme::Gcs,
        bucket: resource.bucket,
        full_key: resource.name,
        changed: time(resource.updated.as_deref()),
        size: resource.size.and_then(|size| size.parse().ok()),
    }])
}
