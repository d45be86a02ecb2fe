//! S3 event messages, and the same in an SNS envelope.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html> (also what MinIO, Ceph and others
//! post to webhooks), <https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html>

use super::{BucketEvent, Refused, time};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use skyfresh_sky::Scheme;

#[derive(Deserialize)]
struct Body {
    #[serde(rename = "Records")]
    records: Vec<Record>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    event_name: String,
    #[serde(default)]
    event_time: Option<String>,
    s3: S3,
}

#[derive(Deserialize)]
struct S3 {
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

/// The records of an event message.
pub(super) fn records(body: &[u8]) -> Result<Vec<BucketEvent>, Refused> {
    let body: Body = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    body.records
        .into_iter()
        .filter(|record| changes_content(&record.event_name))
        .map(event)
        .collect()
}

#[derive(Deserialize)]
struct Test {
    #[serde(rename = "Event")]
    event: String,
}

/// S3 sends `{"Event": "s3:TestEvent", …}` once when a notification is configured.
pub(super) fn test_event(body: &[u8]) -> Result<Vec<BucketEvent>, Refused> {
    match serde_json::from_slice::<Test>(body) {
        Ok(test) if test.event == "s3:TestEvent" => Ok(Vec::new()),
        Ok(_) => Err("neither Records nor a test event".into()),
        Err(error) => Err(error.to_string()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Sns {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(default)]
    message: String,
}

/// The message in an SNS envelope; `None` where the topic only tells of itself.
///
/// The signature of the envelope is not checked: it came out of a queue that only its policy lets others fill, or with a
/// secret; and a forged one can only make the source be looked at.
pub(super) fn in_sns(body: &[u8]) -> Result<Option<String>, Refused> {
    let envelope: Sns = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    match envelope.kind.as_str() {
        "Notification" => Ok(Some(envelope.message)),
        // Whoever subscribed this endpoint must confirm it in SNS: visiting an address that a message names is not for us.
        "SubscriptionConfirmation" | "UnsubscribeConfirmation" => Ok(None),
        _ => Err("an SNS message of an unknown type".into()),
    }
}

fn changes_content(event_name: &str) -> bool {
    let name = event_name.strip_prefix("s3:").unwrap_or(event_name);
    [
        "ObjectCreated:",
        "ObjectRemoved:",
        "LifecycleExpiration:",
        "ObjectTagging:",
        "ObjectMetadata:",
    ]
    .iter()
    .any(|kind| name.starts_with(kind))
}

fn event(record: Record) -> Result<BucketEvent, Refused> {
    // Keys are form-encoded: a space is a plus sign.
    let with_spaces = record.s3.object.key.replace('+', " ");
    let full_key = percent_decode_str(&with_spaces)
        .decode_utf8()
        .map_err(|_| "a key is not UTF-8".to_owned())?
        .into_owned();
    Ok(BucketEvent {
        scheme: Scheme::S3,
        bucket: record.s3.bucket.name,
        full_key,
        changed: time(record.event_time.as_deref()),
        size: record.s3.object.size,
    })
}
