//! S3 events of Amazon EventBridge.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html>: unlike in S3's own messages, keys are not encoded.

use super::{BucketEvent, Refused, time};
use serde::Deserialize;
use skyfresh_sky::Scheme;

#[derive(Deserialize)]
struct Envelope {
    source: String,
    #[serde(rename = "detail-type")]
    detail_type: String,
    #[serde(default)]
    time: Option<String>,
    #[serde(default)]
    detail: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Detail {
    bucket: Bucket,
    object: Object,
}

#[derive(Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Deserialize)]
struct Object {
    key: String,
    #[serde(default)]
    size: Option<u64>,
}

/// The types after which the content, the metadata or the tags of an object may be different.
const CHANGES: [&str; 4] = [
    "Object Created",
    "Object Deleted",
    "Object Tags Added",
    "Object Tags Deleted",
];

/// The event of an envelope; none where it is of another kind than a change.
pub(super) fn event(body: &[u8]) -> Result<Vec<BucketEvent>, Refused> {
    let envelope: Envelope = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if envelope.source != "aws.s3" {
        return Err("an EventBridge event that S3 did not send".into());
    }
    if !CHANGES.contains(&envelope.detail_type.as_str()) {
        return Ok(Vec::new());
    }
    let detail = envelope.detail.unwrap_or_default();
    let detail: Detail = serde_json::from_value(detail).map_err(|error| error.to_string())?;
    Ok(vec![BucketEvent {
        scheme: Scheme::S3,
        bucket: detail.bucket.name,
        full_key: detail.object.key,
        changed: time(envelope.time.as_deref()),
        size: detail.object.size,
    }])
}
