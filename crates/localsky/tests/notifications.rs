//! Notifications as a webhook hears them.

mod support;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use skyfresh_localsky::{LocalSky, Secret, WebhookTarget};
use skyfresh_sky::{Clock, SystemClock, timeout};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{Client, config, east, start};

#[derive(Default)]
struct Heard {
    records: Vec<Value>,
    /// Answers 503 this many times first.
    refusals: u32,
    batches: usize,
}

type Shared = Arc<Mutex<Heard>>;

async fn hear(
    State(heard): State<Shared>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> StatusCode {
    let mut heard = heard.lock().unwrap();
    if headers
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        != Some("Bearer secret-token")
    {
        return StatusCode::UNAUTHORIZED;
    }
    if heard.refusals > 0 {
        heard.refusals -= 1;
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    heard.batches += 1;
    heard
        .records
        .extend(body["Records"].as_array().unwrap().iter().cloned());
    StatusCode::OK
}

async fn webhook() -> (String, Shared) {
    let heard = Shared::default();
    let router = axum::Router::new()
        .route("/events", post(hear))
        .with_state(heard.clone());
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/events", socket.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(socket, router).await.unwrap() });
    (url, heard)
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            SystemClock.sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(
        timeout(&SystemClock, Duration::from_secs(20), met)
            .await
            .is_some(),
        "timed out: {what}"
    );
}

async fn listening() -> (LocalSky, Client, Shared) {
    let (url, heard) = webhook().await;
    let sky = start(config()).await;
    let target = WebhookTarget::new(url, Some(Secret::new("secret-token")));
    sky.notifications()
        .update(|settings| settings.targets.push(target))
        .unwrap();
    let client = Client::new(sky.endpoint(None, &east()));
    (sky, client, heard)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_is_heard_in_s3_format() {
    let (sky, client, heard) = listening().await;
    heard.lock().unwrap().refusals = 2;
    let put = client.put("/data/a%20b%2B%C3%A9", "12345").await;
    client
        .send(
            http::Method::PUT,
            "/data/copy",
            &[("x-amz-copy-source", "data/a%20b%2B%C3%A9")],
            "",
        )
        .await
        .unwrap();
    let begun = client.post("/data/m?uploads=", "").await;
    let id = begun.element("UploadId");
    let part = client
        .put(&format!("/data/m?partNumber=1&uploadId={id}"), "part")
        .await;
    let complete = format!(
        "<CompleteMultipartUpload><Part><ETag>{}</ETag><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>",
        part.header("etag")
    );
    let completed = client
        .post(&format!("/data/m?uploadId={id}"), complete)
        .await;
    assert_eq!(completed.status, StatusCode::OK, "{}", completed.text());
    client
        .send(http::Method::DELETE, "/data/copy", &[], "")
        .await
        .unwrap();
    until("four events", || heard.lock().unwrap().records.len() == 4).await;
    let records = heard.lock().unwrap().records.clone();
    let names: Vec<&str> = records
        .iter()
        .map(|record| record["eventName"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "ObjectCreated:Put",
            "ObjectCreated:Copy",
            "ObjectCreated:CompleteMultipartUpload",
            "ObjectRemoved:Delete"
        ]
    );
    let object = &records[0]["s3"]["object"];
    assert_eq!(object["key"], "a+b%2B%C3%A9");
    assert_eq!(object["size"], 5);
    assert_eq!(
        format!("\"{}\"", object["eTag"].as_str().unwrap()),
        put.header("etag")
    );
    let sequencers: Vec<&str> = records
        .iter()
        .map(|record| record["s3"]["object"]["sequencer"].as_str().unwrap())
        .collect();
    assert!(sequencers.is_sorted_by(|a, b| a < b), "{sequencers:?}");
    // Counted once the answer is there, which is after the receiver has heard.
    until("four deliveries", || {
        sky.notifications().counts().delivered == 4
    })
    .await;
    let counts = sky.notifications().counts();
    assert_eq!(
        (counts.emitted, counts.delivered, counts.failed_posts),
        (4, 4, 2)
    );
    sky.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_is_batched_and_knobs_lose_and_repeat() {
    let (sky, client, heard) = listening().await;
    futures::future::join_all((0..300).map(|key| {
        let client = client.clone();
        async move { client.put(&format!("/data/k{key}"), "x").await }
    }))
    .await;
    until("300 events", || heard.lock().unwrap().records.len() == 300).await;
    assert!(heard.lock().unwrap().batches < 300, "nothing was batched");
    sky.notifications()
        .update(|settings| {
            settings.drop_probability = 0.3;
            settings.duplicate_probability = 0.5;
            settings.reorder_probability = 0.5;
            settings.reorder_window_ms = 30;
        })
        .unwrap();
    heard.lock().unwrap().records.clear();
    for _ in 0..200 {
        client.put("/data/hot", "x").await;
    }
    until("all that is due", || {
        let counts = sky.notifications().counts();
        counts.delivered == counts.emitted - counts.dropped + counts.duplicated
    })
    .await;
    let counts = sky.notifications().counts();
    assert!((30..90).contains(&counts.dropped), "{counts:?}");
    assert!((40..110).contains(&counts.duplicated), "{counts:?}");
    let records = heard.lock().unwrap().records.clone();
    let sequencers: Vec<&str> = records
        .iter()
        .map(|record| record["s3"]["object"]["sequencer"].as_str().unwrap())
        .collect();
    assert!(!sequencers.is_sorted(), "nothing was reordered");
    sky.shutdown().await;
}
