//! Event Grid's deliveries as receivers hear them.

use crate::client::{AzureClient, SECRET, config, europe, until, us};
use crate::support::start;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde_json::{Value, json};
use skyfresh_localsky::{EventFormat, LocalSky, Secret, WebhookTarget};
use std::sync::{Arc, Mutex};

/// A receiver, and what it does.
#[derive(Default)]
pub struct Heard {
    /// Handshakes that are answered wrongly first.
    pub refusals: u32,
    pub handshakes: u32,
    pub events: Vec<Value>,
    pub authorized: bool,
}

pub type Shared = Arc<Mutex<Heard>>;

async fn hear(
    State(heard): State<Shared>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut heard = heard.lock().unwrap();
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    heard.authorized |= header("authorization") == Some("Bearer secret-token");
    if method == Method::OPTIONS {
        heard.handshakes += 1;
        assert_eq!(
            header("webhook-request-origin"),
            Some("eventgrid.azure.net")
        );
        if heard.refusals > 0 {
            heard.refusals -= 1;
            return StatusCode::OK.into_response();
        }
        return [("webhook-allowed-origin", "eventgrid.azure.net")].into_response();
    }
    let given: Value = serde_json::from_slice(&body).unwrap();
    if header("aeg-event-type") == Some("SubscriptionValidation") {
        heard.handshakes += 1;
        if heard.refusals > 0 {
            heard.refusals -= 1;
            return axum::Json(json!({ "validationResponse": "wrong" })).into_response();
        }
        let code = given[0]["data"]["validationCode"].clone();
        return axum::Json(json!({ "validationResponse": code })).into_response();
    }
    match given {
        Value::Array(events) => heard.events.extend(events),
        event => heard.events.push(event),
    }
    StatusCode::OK.into_response()
}

pub async fn receiver() -> (String, Shared) {
    let heard = Shared::default();
    let router = axum::Router::new()
        .route("/events", any(hear))
        .with_state(heard.clone());
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/events?code=abc", socket.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(socket, router).await.unwrap() });
    (url, heard)
}

fn listen(sky: &LocalSky, target: WebhookTarget) {
    sky.notifications()
        .update(|settings| settings.targets.push(target))
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_grid_validates_then_tells() {
    let sky = start(config()).await;
    let (url, heard) = receiver().await;
    heard.lock().unwrap().refusals = 1;
    let token = Some(Secret::new("secret-token"));
    listen(
        &sky,
        WebhookTarget::new(url, token).speaking(EventFormat::EventGrid),
    );
    let client = AzureClient::of(&sky, &us());
    let etag = client
        .put("a/b%20c", "12345")
        .await
        .header("etag")
        .trim_matches('"')
        .to_owned();
    client.put_blocks("blocks", &["one", "two"]).await;
    // No change of the bytes, no event.
    client
        .put_empty("data/blocks?comp=metadata", &[("x-ms-meta-a", "1")])
        .await;
    client.delete("data/blocks").await;
    until("three events", async || {
        heard.lock().unwrap().events.len() == 3
    })
    .await;
    let heard = std::mem::take(&mut *heard.lock().unwrap());
    assert_eq!((heard.handshakes, heard.authorized), (2, true));
    let kinds: Vec<_> = heard
        .events
        .iter()
        .map(|event| {
            (
                event["eventType"].as_str().unwrap(),
                event["data"]["api"].as_str().unwrap(),
            )
        })
        .collect();
    let created = "Microsoft.Storage.BlobCreated";
    let expected = [
        (created, "PutBlob"),
        (created, "PutBlockList"),
        ("Microsoft.Storage.BlobDeleted", "DeleteBlob"),
    ];
    assert_eq!(kinds, expected);
    let first = &heard.events[0];
    assert_eq!(
        first["subject"],
        "/blobServices/default/containers/data/blobs/a/b c"
    );
    assert!(
        first["topic"]
            .as_str()
            .unwrap()
            .ends_with("/storageAccounts/skyfresh")
    );
    assert_eq!(first["data"]["eTag"], etag);
    assert_eq!(first["data"]["contentLength"], 5);
    assert_eq!(first["data"]["blobType"], "BlockBlob");
    assert_eq!(first["data"]["url"], client.url("a/b c"));
    let sequencers: Vec<_> = heard
        .events
        .iter()
        .map(|event| event["data"]["sequencer"].as_str().unwrap())
        .collect();
    assert!(
        sequencers.is_sorted_by(|a, b| a < b && a.len() == b.len()),
        "{sequencers:?}"
    );
    sky.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cloud_events_ask_for_leave_first() {
    let sky = start(config()).await;
    let (url, heard) = receiver().await;
    heard.lock().unwrap().refusals = 1;
    let mut target = WebhookTarget::new(url, None).speaking(EventFormat::CloudEvents);
    target.filter.event_types = vec!["Microsoft.Storage.BlobDeleted".into()];
    listen(&sky, target);
    let client = AzureClient::of(&sky, &us());
    client.put("a", "x").await;
    client.delete("data/a").await;
    until("an event", async || {
        !heard.lock().unwrap().events.is_empty()
    })
    .await;
    let heard = std::mem::take(&mut *heard.lock().unwrap());
    assert_eq!(heard.handshakes, 2);
    let event = &heard.events[0];
    assert_eq!(
        (&event["specversion"], &event["type"]),
        (&json!("1.0"), &json!("Microsoft.Storage.BlobDeleted"))
    );
    assert!(
        event["source"]
            .as_str()
            .unwrap()
            .ends_with("/storageAccounts/skyfresh")
    );
    assert_eq!(event["data"]["api"], "DeleteBlob");
    sky.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storage_queue_is_filled_with_base64_events() {
    let sky = start(config()).await;
    let queues = AzureClient::new(sky.find_queue_endpoint(None, &us()).unwrap());
    assert_eq!(queues.put_empty("work", &[]).await.status, 201);
    let url = format!("{}/skyfresh/work", queues.endpoint);
    let mut target =
        WebhookTarget::new(url, Some(Secret::new(SECRET))).speaking(EventFormat::StorageQueue);
    target.region = Some(us());
    listen(&sky, target);
    AzureClient::of(&sky, &europe()).put("elsewhere", "x").await;
    let client = AzureClient::of(&sky, &us());
    for number in 0..3 {
        client.put(&format!("k{number}"), "x").await;
    }
    until("three messages", async || {
        let answer = queues.head("work?comp=metadata").await;
        answer.header("x-ms-approximate-messages-count") == "3"
    })
    .await;
    let taken = queues.get("work/messages?numofmessages=32").await.text();
    let mut subjects: Vec<String> = taken
        .split("<MessageText>")
        .skip(1)
        .map(|rest| {
            let text = rest.split_once("</").unwrap().0;
            let event: Value = serde_json::from_slice(&BASE64.decode(text).unwrap()).unwrap();
            event["subject"]
                .as_str()
                .unwrap()
                .rsplit('/')
                .next()
                .unwrap()
                .to_owned()
        })
        .collect();
    subjects.sort();
    assert_eq!(subjects, ["k0", "k1", "k2"]);
    sky.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn knobs_lose_and_repeat() {
    let sky = start(config()).await;
    let (url, heard) = receiver().await;
    listen(
        &sky,
        WebhookTarget::new(url, None).speaking(EventFormat::EventGrid),
    );
    sky.notifications()
        .update(|settings| {
            settings.drop_probability = 0.3;
            settings.duplicate_probability = 0.5;
        })
        .unwrap();
    let client = AzureClient::of(&sky, &us());
    for _ in 0..100 {
        client.put("hot", "x").await;
    }
    until("all that is due", async || {
        let counts = sky.notifications().counts();
        counts.delivered == counts.emitted - counts.dropped + counts.duplicated
    })
    .await;
    let counts = sky.notifications().counts();
    assert_eq!(counts.emitted, 100);
    assert!((10..50).contains(&counts.dropped), "{counts:?}");
    assert!((15..60).contains(&counts.duplicated), "{counts:?}");
    assert_eq!(heard.lock().unwrap().events.len() as u64, counts.delivered);
    sky.shutdown().await;
}
