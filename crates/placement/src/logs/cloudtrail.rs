//! Data events of AWS CloudTrail for S3, as JSON
//! (<https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html>).
//!
//! The log has no sizes of objects: a read without a range is of a whole one, and so is a write with one request.

use super::{Access, Operation, Origin, Record};
use serde::Deserialize;
use skyfresh_sky::Timestamp;
use std::borrow::Cow;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    #[serde(borrow)]
    event_time: Cow<'a, str>,
    #[serde(borrow)]
    event_source: Cow<'a, str>,
    #[serde(borrow)]
    event_name: Cow<'a, str>,
    #[serde(borrow, rename = "sourceIPAddress", default)]
    address: Option<&'a str>,
    #[serde(default)]
    error_code: Option<serde::de::IgnoredAny>,
    #[serde(borrow, default)]
    request_parameters: Option<Parameters<'a>>,
    #[serde(default)]
    additional_event_data: Option<Additional>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parameters<'a> {
    #[serde(borrow, default)]
    bucket_name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    key: Option<Cow<'a, str>>,
    #[serde(default, rename = "Range", alias = "range")]
    range: Option<serde::de::IgnoredAny>,
}

/// Numbers are written with a point, e.g. `12.0`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Additional {
    #[serde(default)]
    bytes_transferred_in: f64,
    #[serde(default)]
    bytes_transferred_out: f64,
}

/// What S3's API calls it, and whether the store copies by itself; `None`: nothing that is counted.
fn operation(name: &str) -> Option<(Operation, bool)> {
    Some(match name {
        "GetObject" | "HeadObject" => (Operation::Get, false),
        "PutObject" | "PostObject" => (Operation::Put, false),
        "CopyObject" => (Operation::Put, true),
        "CreateMultipartUpload" | "UploadPart" => (Operation::Part, false),
        "UploadPartCopy" => (Operation::Part, true),
        "CompleteMultipartUpload" => (Operation::Complete, false),
        "DeleteObject" => (Operation::Delete, false),
        _ => return None,
    })
}

pub(super) fn parse(record: &str) -> Result<Record<'_>, &'static str> {
    let event: Event<'_> =
        serde_json::from_str(record).map_err(|_| "not an event of CloudTrail in JSON")?;
    let named = operation(&event.event_name).filter(|_| event.event_source == "s3.amazonaws.com");
    let Some((operation, by_store)) = named else {
        return Ok(Record::Other);
    };
    if event.error_code.is_some() {
        return Ok(Record::Failed);
    }
    let Some(parameters) = event.request_parameters else {
        return Ok(Record::Other);
    };
    let Some(key) = parameters.key else {
        return Ok(Record::Other);
    };
    let time = Timestamp::parse(&event.event_time).map_err(|_| "the time is none")?;
    // A whole number below 2⁵³, or less than a byte too few.
    let (received, sent) = event.additional_event_data.map_or((0, 0), |more| {
        (
            more.bytes_transferred_in.max(0.0) as u64,
            more.bytes_transferred_out.max(0.0) as u64,
        )
    });
    let (bytes, whole) = match operation {
        Operation::Get => (
            sent,
            parameters.range.is_none() && event.event_name == "GetObject",
        ),
        Operation::Put => (received, !by_store),
        Operation::Part => (received, false),
        _ => (0, false),
    };
    let address = event.address.unwrap_or_default();
    Ok(Record::Access(Access {
        time_ms: time.unix_ms(),
        operation,
        bucket: parameters.bucket_name.unwrap_or_default(),
        key,
        bytes,
        object_bytes: whole.then_some(bytes),
        // Services of AWS are named in place of an address.
        origin: match by_store || address.ends_with(".amazonaws.com") {
            true => Origin::Store,
            false => Origin::Address(address),
        },
    }))
}
