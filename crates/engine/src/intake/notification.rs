//! S3-format notifications: untrusted bytes to events.
//!
//! The format: Amazon S3 user guide, "Event message structure" (also what MinIO, Ceph and others post to webhooks).

use crate::event::ObjectEvent;
use crate::{Error, Result};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use skyfresh_sky::{Kind, Location, Scheme, Timestamp};

/// Largest notification body accepted, bytes. S3 sends one record a message; MinIO-likes batch some hundred.
pub const LIMIT_BYTES: usize = 4 << 20;

/// One record of a notification, as far as it concerns us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketEvent {
    /// The bucket.
    pub bucket: String,
    /// The full key, decoded.
    pub full_key: String,
    /// When, by the sender.
    pub changed: Option<Timestamp>,
    /// Size, where given.
    pub size: Option<u64>,
}

#[derive(Deserialize)]
struct Body {
    #[serde(rename = "Records", default)]
    records: Option<Vec<Record>>,
    /// S3 sends `{"Event": "s3:TestEvent", …}` once when a notification is configured.
    #[serde(rename = "Event", default)]
    event: Option<String>,
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

/// Parses a notification. Records that do not change content (restore, lifecycle transition, …) are left out.
///
/// # Errors
/// [`Kind::Invalid`]: too large, not the format, or a key that is no UTF-8. The whole body is refused, so that the sender
/// keeps it and someone looks.
pub fn parse(body: &[u8]) -> Result<Vec<BucketEvent>> {
    let bad = |why: String| Error::new(Kind::Invalid, "parse notification", "S3 notification", why);
    if body.len() > LIMIT_BYTES {
        return Err(bad(format!(
            "{} bytes; the limit is {LIMIT_BYTES}",
            body.len()
        )));
    }
    let body: Body = serde_json::from_slice(body).map_err(|error| bad(error.to_string()))?;
    let Some(records) = body.records else {
        return match body.event.as_deref() {
            Some("s3:TestEvent") => Ok(Vec::new()),
            _ => Err(bad("neither Records nor a test event".into())),
        };
    };
    records
        .into_iter()
        .filter(|record| changes_content(&record.event_name))
        .map(|record| event(record).map_err(bad))
        .collect()
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

fn event(record: Record) -> Result<BucketEvent, String> {
    // Keys are form-encoded: a space is a plus sign.
    let with_spaces = record.s3.object.key.replace('+', " ");
    let full_key = percent_decode_str(&with_spaces)
        .decode_utf8()
        .map_err(|_| "a key is not UTF-8".to_owned())?
        .into_owned();
    Ok(BucketEvent {
        bucket: record.s3.bucket.name,
        full_key,
        changed: record
            .event_time
            .as_deref()
            .and_then(|time| Timestamp::parse(time).ok()),
        size: record.s3.object.size,
    })
}

/// The event for a rule whose source this is, if it lies inside.
pub fn for_source(source: &Location, event: &BucketEvent) -> Option<ObjectEvent> {
    if source.scheme == Scheme::File || source.bucket != event.bucket {
        return None;
    }
    let key = source.relative_key(&event.full_key)?;
    Some(ObjectEvent {
        key,
        changed: event.changed,
        size: event.size,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(name: &str, key: &str) -> String {
        format!(
            r#"{{"Records":[{{"eventVersion":"2.1","eventName":"{name}","eventTime":"2026-01-02T03:04:05.678Z",
            "s3":{{"bucket":{{"name":"b"}},"object":{{"key":"{key}","size":12,"eTag":"x","sequencer":"00"}}}}}}]}}"#
        )
    }

    #[test]
    fn keys_are_decoded_as_s3_encodes_them() {
        for (encoded, key) in [
            ("a%2Fb+c", "a/b c"),
            ("%C3%BC%2B1", "ü+1"),
            ("a//b", "a//b"),
            ("..%2F..", "../.."),
        ] {
            let events = parse(body("ObjectCreated:Put", encoded).as_bytes()).unwrap();
            assert_eq!(events[0].full_key, key);
            assert_eq!(
                events[0].changed,
                Some(Timestamp::parse("2026-01-02T03:04:05.678Z").unwrap())
            );
            assert_eq!(events[0].size, Some(12));
        }
    }

    #[test]
    fn only_changes_of_content_count() {
        assert_eq!(
            parse(body("s3:ObjectRemoved:Delete", "k").as_bytes())
                .unwrap()
                .len(),
            1
        );
        assert_eq!(
            parse(body("ObjectRestore:Completed", "k").as_bytes())
                .unwrap()
                .len(),
            0
        );
        assert_eq!(
            parse(br#"{"Service":"Amazon S3","Event":"s3:TestEvent"}"#)
                .unwrap()
                .len(),
            0
        );
    }

    #[test]
    fn malformed_notifications_are_refused_whole() {
        for bad in [
            &b""[..],
            b"{}",
            b"[]",
            b"{\"Records\":[{}]}",
            b"\xff\xfe",
            body("ObjectCreated:Put", "%ff").as_bytes(),
        ] {
            assert_eq!(
                parse(bad).unwrap_err().kind,
                Kind::Invalid,
                "{:?}",
                String::from_utf8_lossy(bad)
            );
        }
        assert_eq!(
            parse(&vec![b' '; LIMIT_BYTES + 1]).unwrap_err().kind,
            Kind::Invalid
        );
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(parse(deep.as_bytes()).unwrap_err().kind, Kind::Invalid);
    }

    #[test]
    fn events_outside_the_source_are_not_for_the_rule() {
        let event = BucketEvent {
            bucket: "b".into(),
            full_key: "p/k".into(),
            changed: None,
            size: None,
        };
        let inside = for_source(&"s3://b/p/".parse().unwrap(), &event).unwrap();
        assert_eq!(inside.key.as_str(), "k");
        assert_eq!(for_source(&"s3://b/q/".parse().unwrap(), &event), None);
        assert_eq!(for_source(&"s3://c/".parse().unwrap(), &event), None);
    }
}
