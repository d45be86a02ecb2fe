//! A change, and its record in S3's format (user guide, "Event message structure", version 2.1).

use crate::azure::AzureEvent;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use skyfresh_sky::{Region, Timestamp};

/// Keys are form-encoded in notifications: these stay, a space becomes `+`, the rest is percent-encoded.
const KEY_ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'*')
    .remove(b'/')
    .remove(b' ');

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventName {
    CreatedPut,
    CreatedCopy,
    CreatedCompleteMultipartUpload,
    RemovedDelete,
    RemovedDeleteMarkerCreated,
}

impl EventName {
    /// As in a record: without the `s3:` of the configuration.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            EventName::CreatedPut => "ObjectCreated:Put",
            EventName::CreatedCopy => "ObjectCreated:Copy",
            EventName::CreatedCompleteMultipartUpload => "ObjectCreated:CompleteMultipartUpload",
            EventName::RemovedDelete => "ObjectRemoved:Delete",
            EventName::RemovedDeleteMarkerCreated => "ObjectRemoved:DeleteMarkerCreated",
        }
    }
}

/// A change of a key.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) region: Region,
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) name: EventName,
    pub(crate) time: Timestamp,
    pub(crate) sequence: u64,
    pub(crate) version_id: Option<String>,
    /// Of what was created.
    pub(crate) size: Option<u64>,
    pub(crate) etag: Option<String>,
    /// What an Azure region says beyond this.
    pub(crate) azure: Option<AzureEvent>,
}

impl Event {
    /// The record as S3 sends it.
    pub(crate) fn record(&self) -> Value {
        let mut object = json!({
            "key": encode_key(&self.key),
            // 18 hexadecimal digits, compared as text: the later event of a key has the greater one.
            "sequencer": format!("{:018X}", self.sequence),
        });
        if let (Some(size), Some(etag)) = (self.size, &self.etag) {
            object["size"] = json!(size);
            object["eTag"] = json!(etag);
        }
        if let Some(version_id) = self.version_id.as_ref().filter(|id| *id != "null") {
            object["versionId"] = json!(version_id);
        }
        json!({
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": self.region.name,
            "eventTime": self.time.to_string(),
            "eventName": self.name.as_str(),
            "userIdentity": { "principalId": "AWS:skyfresh" },
            "requestParameters": { "sourceIPAddress": "127.0.0.1" },
            "responseElements": {
                "x-amz-request-id": format!("{:016X}", self.sequence),
                "x-amz-id-2": format!("{:016X}", self.sequence),
            },
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": "skyfresh",
                "bucket": {
                    "name": self.bucket,
                    "ownerIdentity": { "principalId": "skyfresh" },
                    "arn": format!("arn:aws:s3:::{}", self.bucket),
                },
                "object": object,
            },
        })
    }
}

fn encode_key(key: &str) -> String {
    utf8_percent_encode(key, KEY_ENCODED)
        .to_string()
        .replace(' ', "+")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_the_documented_shape() {
        let event = Event {
            region: "aws:us-east-1".parse().unwrap(),
            bucket: "b".into(),
            key: "a b/+é//".into(),
            name: EventName::CreatedPut,
            time: Timestamp::from_unix_ms(1_700_000_000_123),
            sequence: 255,
            version_id: Some("v1".into()),
            size: Some(3),
            etag: Some("abc".into()),
            azure: None,
        };
        let record = event.record();
        assert_eq!(record["s3"]["object"]["key"], "a+b/%2B%C3%A9//");
        assert_eq!(record["s3"]["object"]["sequencer"], "0000000000000000FF");
        assert_eq!(record["s3"]["object"]["size"], 3);
        assert_eq!(record["s3"]["object"]["versionId"], "v1");
        assert_eq!(record["eventTime"], "2023-11-14T22:13:20.123Z");
        assert_eq!(record["awsRegion"], "us-east-1");
        assert_eq!(record["eventName"], "ObjectCreated:Put");
        let removed = Event {
            size: None,
            etag: None,
            version_id: Some("null".into()),
            ..event
        };
        let object = &removed.record()["s3"]["object"];
        assert!(object.get("size").is_none() && object.get("versionId").is_none());
    }
}
