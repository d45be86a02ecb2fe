//! Events as each kind of receiver takes them, and the handshakes that come first. Pure: from values to requests.
//!
//! Sources: learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema,
//! …/end-point-validation-cloud-events-schema, …/handler-storage-queues.

use super::Event;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use skyfresh_sky::Timestamp;

/// Who Event Grid says it is when it asks whether it may deliver CloudEvents.
pub(crate) const CLOUD_EVENTS_ORIGIN: &str = "eventgrid.azure.net";

/// How a receiver wants to hear of changes, and thereby of whose: S3's format tells of regions that speak S3, the others
/// of regions that speak Azure's protocols.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventFormat {
    /// S3's event records, many in a POST.
    #[default]
    S3,
    /// An array of events in the Event Grid schema; the receiver has to answer a validation event first.
    EventGrid,
    /// One CloudEvents 1.0 event a POST; the receiver has to allow the origin first (OPTIONS).
    CloudEvents,
    /// One event in the Event Grid schema a message, Base64, put into the Storage queue at `http://host:port/ACCOUNT/QUEUE`.
    StorageQueue,
}

/// A request to a receiver.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    /// Added to the receiver's path.
    pub(crate) below: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
}

impl Outgoing {
    fn post(content_type: &str, body: String) -> Self {
        Outgoing {
            method: Method::POST,
            below: "",
            headers: vec![("content-type", content_type.to_owned())],
            body: Bytes::from(body),
        }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// What a receiver is asked before it is sent anything, and what it must answer.
#[derive(Clone, Debug)]
pub(crate) enum Handshake {
    /// The body must be `{"validationResponse": code}`.
    Code(Outgoing, String),
    /// `WebHook-Allowed-Origin` must be the origin, or `*`.
    Origin(Outgoing),
}

impl Handshake {
    pub(crate) fn request(&self) -> &Outgoing {
        match self {
            Handshake::Code(request, _) | Handshake::Origin(request) => request,
        }
    }

    /// Whether a 2xx answer lets events through.
    pub(crate) fn accepts(&self, allowed_origin: Option<&str>, body: &[u8]) -> bool {
        match self {
            Handshake::Code(_, code) => serde_json::from_slice::<Value>(body)
                .is_ok_and(|answer| answer["validationResponse"] == json!(code)),
            Handshake::Origin(_) => allowed_origin.is_some_and(|allowed| {
                allowed == "*" || allowed.eq_ignore_ascii_case(CLOUD_EVENTS_ORIGIN)
            }),
        }
    }
}

impl EventFormat {
    /// Whether such a receiver hears of this event.
    pub(crate) fn tells_of(self, event: &Event) -> bool {
        (self == EventFormat::S3) == event.azure.is_none()
    }

    /// What has to be asked first; `code` is hard to guess.
    pub(crate) fn handshake(self, topic: &str, code: &str, now: Timestamp) -> Option<Handshake> {
        match self {
            EventFormat::S3 | EventFormat::StorageQueue => None,
            EventFormat::EventGrid => {
                let event = json!([{
                    "id": code,
                    "topic": topic,
                    "subject": "",
                    "data": { "validationCode": code },
                    "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
                    "eventTime": now.to_string(),
                    "metadataVersion": "1",
                    "dataVersion": "2",
                }]);
                let request = Outgoing::post("application/json; charset=utf-8", event.to_string())
                    .with("aeg-event-type", "SubscriptionValidation");
                Some(Handshake::Code(request, code.to_owned()))
            }
            EventFormat::CloudEvents => Some(Handshake::Origin(Outgoing {
                method: Method::OPTIONS,
                below: "",
                headers: vec![
                    ("webhook-request-origin", CLOUD_EVENTS_ORIGIN.to_owned()),
                    ("webhook-request-rate", "120".to_owned()),
                ],
                body: Bytes::new(),
            })),
        }
    }

    /// The requests that carry these events, with how many each carries.
    pub(crate) fn requests(self, batch: &[&Event]) -> Vec<(Outgoing, u64)> {
        let azure = || {
            batch
                .iter()
                .filter_map(|event| Some((event, event.azure.as_ref()?)))
        };
        match self {
            EventFormat::S3 => {
                let records: Vec<Value> = batch.iter().map(|event| event.record()).collect();
                // MinIO adds the first record's name and path beside S3's `Records`; consumers of either find what they
                // expect.
                let first = batch.first();
                let body = json!({
                    "EventName": first.map(|event| format!("s3:{}", event.name.as_str())),
                    "Key": first.map(|event| format!("{}/{}", event.bucket, event.key)),
                    "Records": records,
                });
                let request = Outgoing::post("application/json", body.to_string());
                vec![(request, batch.len() as u64)]
            }
            EventFormat::EventGrid => {
                let events: Vec<Value> = azure()
                    .map(|(event, azure)| azure.event_grid(event))
                    .collect();
                let count = events.len() as u64;
                let body = Value::Array(events).to_string();
                let request = Outgoing::post("application/json; charset=utf-8", body)
                    .with("aeg-event-type", "Notification")
                    .with("aeg-data-version", "")
                    .with("aeg-metadata-version", "1");
                vec![(request, count)]
            }
            EventFormat::CloudEvents => azure()
                .map(|(event, azure)| {
                    let body = azure.cloud_event(event).to_string();
                    let content_type = "application/cloudevents+json; charset=utf-8";
                    (Outgoing::post(content_type, body), 1)
                })
                .collect(),
            EventFormat::StorageQueue => azure()
                .map(|(event, azure)| {
                    let text = BASE64.encode(azure.event_grid(event).to_string());
                    let body = format!(
                        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\
                         <QueueMessage><MessageText>{text}</MessageText></QueueMessage>"
                    );
                    let request = Outgoing {
                        below: "/messages",
                        ..Outgoing::post("application/xml", body)
                    };
                    (request.with("x-ms-version", "2021-12-02"), 1)
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handshakes_are_accepted_by_their_own_answer_only() {
        let now = Timestamp::from_unix_ms(0);
        let code = EventFormat::EventGrid
            .handshake("t", "secret", now)
            .unwrap();
        assert!(code.accepts(None, br#"{"validationResponse":"secret"}"#));
        assert!(!code.accepts(Some("*"), br#"{"validationResponse":"other"}"#));
        assert!(!code.accepts(None, b""));
        let origin = EventFormat::CloudEvents
            .handshake("t", "secret", now)
            .unwrap();
        assert!(origin.accepts(Some("*"), b"") && origin.accepts(Some(CLOUD_EVENTS_ORIGIN), b""));
        assert!(!origin.accepts(None, b"") && !origin.accepts(Some("example.org"), b""));
        assert!(EventFormat::S3.handshake("t", "secret", now).is_none());
    }
}
