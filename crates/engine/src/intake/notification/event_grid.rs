//! Blob Storage events of Azure Event Grid, in its own schema and as CloudEvents 1.0, one or many at once.
//!
//! <https://learn.microsoft.com/azure/event-grid/event-schema-blob-storage>,
//! <https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema>

use super::{BucketEvent, Refused, check_length, refuse, time};
use crate::Result;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use skyfresh_sky::Scheme;

/// Event types are `Microsoft.Storage.` and what happened.
const STORAGE: &str = "Microsoft.Storage.";
const VALIDATION: &str = "Microsoft.EventGrid.SubscriptionValidationEvent";
const OTHER_GRID_EVENTS: &str = "Microsoft.EventGrid.";
/// What stands in a subject before the container.
const CONTAINERS: &str = "/blobServices/default/containers/";
const BLOBS: &str = "/blobs/";

/// What Event Grid delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// What must be sent back where it only asks whether this endpoint wants events (Event Grid schema).
    pub validation_code: Option<String>,
    /// The events' names (ids are unique within a topic) with what each says: one whose name is known is a repetition.
    pub events: Vec<(String, Vec<BucketEvent>)>,
}

/// One event: in its own schema with `eventType`, `eventTime` and `topic`, as a CloudEvent with `type`, `time` and `source`.
#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    id: String,
    #[serde(default)]
    subject: String,
    #[serde(rename = "eventType", alias = "type")]
    kind: String,
    #[serde(rename = "eventTime", alias = "time", default)]
    time: Option<String>,
    #[serde(alias = "source", default)]
    topic: String,
    #[serde(default)]
    data: Data,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    #[serde(default)]
    url: String,
    #[serde(default)]
    source_url: String,
    #[serde(default)]
    destination_url: String,
    #[serde(default)]
    content_length: Option<u64>,
    #[serde(default)]
    validation_code: Option<String>,
}

/// Parses what Event Grid posts to a webhook.
///
/// # Errors
/// [`Kind::Invalid`](skyfresh_sky::Kind::Invalid): too large, neither of the two schemas, or of another service than Blob
/// Storage.
pub fn parse_delivery(body: &[u8]) -> Result<Delivered> {
    check_length(body)
        .and_then(|()| delivered(body))
        .map_err(refuse)
}

/// The events alone: a handshake that lies in a queue asks for nothing.
pub(super) fn events(body: &[u8]) -> Result<Vec<BucketEvent>, Refused> {
    let delivered = delivered(body)?;
    Ok(delivered
        .events
        .into_iter()
        .flat_map(|(_, events)| events)
        .collect())
}

fn delivered(body: &[u8]) -> Result<Delivered, Refused> {
    let malformed = |error: serde_json::Error| error.to_string();
    let events: Vec<Event> = match body.trim_ascii_start().first() {
        Some(b'[') => serde_json::from_slice(body).map_err(malformed)?,
        _ => vec![serde_json::from_slice(body).map_err(malformed)?],
    };
    let mut delivered = Delivered::default();
    for event in events {
        if event.kind == VALIDATION {
            let code = event.data.validation_code;
            delivered.validation_code = Some(code.ok_or("a validation without a code")?);
        } else if let Some(what) = event.kind.strip_prefix(STORAGE) {
            let what = what.to_owned();
            delivered.events.push((
                format!("{} {}", event.id, event.topic),
                changes(&event, &what)?,
            ));
        } else if !event.kind.starts_with(OTHER_GRID_EVENTS) {
            return Err("an event of another service than Blob Storage".into());
        }
    }
    Ok(delivered)
}

fn changes(event: &Event, what: &str) -> Result<Vec<BucketEvent>, Refused> {
    match what {
        "BlobCreated" | "BlobDeleted" | "BlobTierChanged" => {}
        // Names in a renamed directory change too; only a comparison of listings can tell which.
        "BlobRenamed" => {
            let (from, to) = (&event.data.source_url, &event.data.destination_url);
            let moved = [located(from), located(to)];
            return moved
                .into_iter()
                .map(|place| place.map(|place| bucket_event(event, place)))
                .collect();
        }
        _ => return Ok(Vec::new()),
    }
    let by_url = located(&event.data.url);
    // The subject is not encoded, the URL is; either has been seen to be wrong (characters outside the basic plane are lost in
    // subjects), and looking at one key too many harms nothing.
    let account = in_topic(&event.topic)
        .or_else(|| by_url.as_ref().ok()?.0.split('/').next())
        .map(str::to_owned);
    let by_subject = in_subject(&event.subject)
        .zip(account)
        .map(|((container, key), account)| (format!("{account}/{container}"), key.to_owned()));
    let places = match (by_url, by_subject) {
        (Ok(url), Some(subject)) if url != subject => vec![url, subject],
        (Ok(place), _) | (Err(_), Some(place)) => vec![place],
        (Err(refused), None) => return Err(refused),
    };
    Ok(places
        .into_iter()
        .map(|place| bucket_event(event, place))
        .collect())
}

fn bucket_event(event: &Event, (bucket, full_key): (String, String)) -> BucketEvent {
    BucketEvent {
        scheme: Scheme::Azure,
        bucket,
        full_key,
        changed: time(event.time.as_deref()),
        size: event.data.content_length,
    }
}

/// `account/container` and key of a blob's URL: `https://ACCOUNT.blob.core.windows.net/CONTAINER/KEY` (or `.dfs.`), and
/// `http://HOST:PORT/ACCOUNT/CONTAINER/KEY` where the host is no account's (emulators).
fn located(url: &str) -> Result<(String, String), Refused> {
    let bad = || "the blob's URL is not one of Blob Storage".to_owned();
    let (_, rest) = url.split_once("://").ok_or_else(bad)?;
    let (host, path) = rest.split_once('/').ok_or_else(bad)?;
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let account = match host.split_once('.') {
        Some((account, suffix)) if suffix.starts_with("blob.") || suffix.starts_with("dfs.") => {
            Some(account)
        }
        _ => None,
    };
    let (account, path) = match account {
        Some(account) => (account, path),
        None => path.split_once('/').ok_or_else(bad)?,
    };
    // A container `$root` is left out of the URLs of its blobs; its names have no slash.
    let (container, key) = path.split_once('/').unwrap_or(("$root", path));
    let decode = |text: &str| {
        percent_decode_str(text)
            .decode_utf8()
            .map(|text| text.into_owned())
            .map_err(|_| "a key is not UTF-8".to_owned())
    };
    let (container, key) = (decode(container)?, decode(key)?);
    if account.is_empty() || container.is_empty() || key.is_empty() {
        return Err(bad());
    }
    Ok((format!("{account}/{container}"), key))
}

/// Container and key of `/blobServices/default/containers/CONTAINER/blobs/KEY`.
fn in_subject(subject: &str) -> Option<(&str, &str)> {
    let (container, key) = subject.strip_prefix(CONTAINERS)?.split_once(BLOBS)?;
    (!container.is_empty() && !key.is_empty()).then_some((container, key))
}

/// The account in `/subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.Storage/storageAccounts/ACCOUNT`.
fn in_topic(topic: &str) -> Option<&str> {
    let (_, account) = topic.rsplit_once("/storageAccounts/")?;
    (!account.is_empty() && !account.contains('/')).then_some(account)
}
