//! Google Cloud Storage in the sky: who speaks it, what it costs, how it fails, what survives a restart.

mod support;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use skyfresh_localsky::{Fault, FaultRule, LocalSky, OperationClass, Protocol, SkyConfig};
use skyfresh_sky::{Clock, ManualClock, Rng, SystemClock, Timestamp, timeout};
use std::sync::Arc;
use std::time::Duration;
use support::google::{GoogleClient, belgium, google_config, iowa, json};
use support::start;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn running() -> (LocalSky, GoogleClient) {
    let sky = start(google_config()).await;
    let client = GoogleClient::new(sky.endpoint(None, &iowa()));
    (sky, client)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_speaks_its_providers_protocol_or_the_one_it_is_told() {
    let mut config = google_config();
    config.regions[1].protocol = Some(Protocol::S3);
    let sky = start(config).await;
    let spoken = |region| {
        let endpoints = sky.endpoints();
        let found = endpoints.iter().find(|endpoint| endpoint.to == region);
        found.unwrap().protocol
    };
    assert_eq!(
        (spoken(iowa()), spoken(belgium())),
        (Protocol::Gcs, Protocol::S3)
    );
    let google = GoogleClient::new(sky.endpoint(None, &iowa()));
    assert_eq!(google.put("data", "k", "x").await.status, 200);
    let s3 = support::Client::new(sky.endpoint(None, &belgium()));
    assert_eq!(s3.put("/far/k", "x").await.status, 200);
    sky.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_are_billed_by_class_and_bytes_to_who_sends() {
    let sky = start(google_config()).await;
    let far = GoogleClient::new(sky.endpoint(Some(&iowa()), &belgium()));
    far.put("far", "k", vec![1u8; 100_000]).await;
    far.get("far", "k").await;
    far.send(Method::GET, "/storage/v1/b/far/o", "").await;
    // One upload in two chunks is one operation.
    let begun = far
        .send(
            Method::POST,
            "/upload/storage/v1/b/far/o?uploadType=resumable&name=r",
            "",
        )
        .await;
    let session = begun.header("location").replace(&far.endpoint, "");
    let chunk = vec![2u8; 256 * 1024];
    let headers = [("content-range", "bytes 0-262143/262145")];
    let first = far.try_send(Method::PUT, &session, &headers, chunk).await;
    assert_eq!(first.unwrap().status, StatusCode::PERMANENT_REDIRECT);
    let headers = [("content-range", "bytes 262144-262144/262145")];
    let last = far.try_send(Method::PUT, &session, &headers, "x").await;
    assert_eq!(last.unwrap().status, 200);
    far.send(Method::DELETE, "/storage/v1/b/far/o/k", "").await;
    let meter = sky.meter();
    let requests = &meter.requests[&belgium()];
    assert_eq!(
        (requests.writes, requests.reads, requests.deletes),
        (3, 1, 1)
    );
    let bytes = |from, to| {
        let lines = meter.traffic.iter();
        lines
            .filter(|line| line.from == from && line.to == to)
            .map(|line| line.bytes)
            .sum::<u64>()
    };
    assert_eq!(bytes(iowa(), belgium()), 100_000 + 262_145);
    assert!(bytes(belgium(), iowa()) > 100_000);
    sky.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_are_stated_as_google_states_them() {
    let (sky, client) = running().await;
    for key in ["a", "b", "c"] {
        client.put("data", key, vec![7u8; 1000]).await;
    }
    let once = |fault, operations| FaultRule {
        operations,
        next: Some(1),
        ..FaultRule::new(fault)
    };
    sky.faults()
        .add(once(Fault::SlowDown, OperationClass::Write));
    let refused = client.put("data", "k", "x").await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        json(&refused)["error"]["errors"][0]["reason"],
        "rateLimitExceeded"
    );
    sky.faults()
        .add(once(Fault::InternalError, OperationClass::Read));
    let failed = client.get("data", "a").await;
    assert_eq!(failed.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        json(&failed)["error"]["errors"][0]["reason"],
        "backendError"
    );
    let cut = Fault::TruncatedBody { after_bytes: 10 };
    sky.faults().add(once(cut, OperationClass::Read));
    // Metadata has no object's bytes to cut.
    let shown = client.send(Method::GET, "/storage/v1/b/data/o/a", "").await;
    assert_eq!(shown.status, 200);
    let target = "/storage/v1/b/data/o/a?alt=media";
    let read = client.try_send(Method::GET, target, &[], "").await;
    assert!(read.is_err(), "the body was not cut");
    sky.faults()
        .add(once(Fault::ListPageFails { page: 2 }, OperationClass::List));
    let list = "/storage/v1/b/data/o?maxResults=2";
    let first = client.call(Method::GET, list, &Value::Null).await;
    let second = format!(
        "{list}&pageToken={}",
        first["nextPageToken"].as_str().unwrap()
    );
    let failed = client.send(Method::GET, &second, "").await;
    assert_eq!(failed.status, StatusCode::SERVICE_UNAVAILABLE);
    let found = client.call(Method::GET, &second, &Value::Null).await;
    assert_eq!(found["items"][0]["name"], "c");
    sky.faults()
        .add(once(Fault::ResetAfterDone, OperationClass::Write));
    let target = "/upload/storage/v1/b/data/o?uploadType=media&name=d";
    assert!(
        client
            .try_send(Method::POST, target, &[], "x")
            .await
            .is_err()
    );
    assert_eq!(client.get("data", "d").await.text(), "x");
    sky.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_can_be_written_once_a_second_where_the_sky_is_told_so() {
    let mut config = google_config();
    config.google.one_write_per_second = true;
    let clock = ManualClock::at(Timestamp::from_unix_ms(1_700_000_000_000));
    let sky = LocalSky::start(config, Arc::new(clock.clone()), Rng::seeded(7))
        .await
        .unwrap();
    let client = GoogleClient::new(sky.endpoint(None, &iowa()));
    assert_eq!(client.put("data", "k", "1").await.status, 200);
    let refused = client.put("data", "k", "2").await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        json(&refused)["error"]["errors"][0]["reason"],
        "rateLimitExceeded"
    );
    assert_eq!(client.put("data", "other", "1").await.status, 200);
    clock.advance(Duration::from_secs(1));
    assert_eq!(client.put("data", "k", "3").await.status, 200);
    assert_eq!(client.get("data", "k").await.text(), "3");
    sky.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_are_needed_unless_the_sky_is_open() {
    let (sky, mut client) = running().await;
    client.token = None;
    assert_eq!(
        client.get("data", "k").await.status,
        StatusCode::UNAUTHORIZED
    );
    client.token = Some("wrong".into());
    assert_eq!(
        client.get("data", "k").await.status,
        StatusCode::UNAUTHORIZED
    );
    sky.shutdown().await;
    let mut config = google_config();
    config.google.anonymous = true;
    let sky = start(config).await;
    client.endpoint = sky.endpoint(None, &iowa());
    assert_eq!(
        client.get("data", "k").await.status,
        StatusCode::UNAUTHORIZED
    );
    client.token = None;
    assert_eq!(client.get("data", "k").await.status, StatusCode::NOT_FOUND);
    sky.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rewrite_between_regions_is_billed_between_them() {
    let (sky, client) = running().await;
    let body: Vec<u8> = (0..2_500_000u32).map(|i| (i % 251) as u8).collect();
    client.put("data", "k", body.clone()).await;
    let there = GoogleClient::new(sky.endpoint(None, &belgium()));
    let target = "/storage/v1/b/data/o/k/rewriteTo/b/far/o/k";
    let (mut calls, mut token) = (0, String::new());
    loop {
        let call = format!("{target}?rewriteToken={token}");
        let call = if token.is_empty() { target } else { &call };
        let answer = there.call(Method::POST, call, &Value::Null).await;
        calls += 1;
        if answer["done"] == true {
            assert_eq!(answer["resource"]["size"], "2500000");
            break;
        }
        assert_eq!(there.get("far", "k").await.status, StatusCode::NOT_FOUND);
        token = answer["rewriteToken"].as_str().unwrap().to_owned();
    }
    assert_eq!(calls, 3);
    assert_eq!(there.get("far", "k").await.body, body);
    let meter = sky.meter();
    let sent = meter
        .traffic
        .iter()
        .find(|line| line.from == iowa() && line.to == belgium());
    assert_eq!(sent.unwrap().bytes, 2_500_000);
    sky.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_arrived_of_a_chunk_that_broke_off_is_kept() {
    let (sky, client) = running().await;
    let begun = client
        .send(
            Method::POST,
            "/upload/storage/v1/b/data/o?uploadType=resumable&name=k",
            "",
        )
        .await;
    let session = begun.header("location").replace(&client.endpoint, "");
    let host = client.endpoint.trim_start_matches("http://").to_owned();
    let mut socket = tokio::net::TcpStream::connect(&host).await.unwrap();
    let head = format!(
        "PUT {session} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {}\r\ncontent-length: 600000\r\n\
         content-range: bytes 0-599999/600000\r\n\r\n",
        support::google::TOKEN
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&vec![1u8; 300_000]).await.unwrap();
    socket.shutdown().await.unwrap();
    // Until the server is done with it.
    let _ = socket.read_to_end(&mut Vec::new()).await;
    let asked = async {
        loop {
            let headers = [("content-range", "bytes */600000")];
            let answer = client
                .try_send(Method::PUT, &session, &headers, "")
                .await
                .unwrap();
            assert_eq!(answer.status, StatusCode::PERMANENT_REDIRECT);
            if !answer.header("range").is_empty() {
                break answer.header("range").to_owned();
            }
            SystemClock.sleep(Duration::from_millis(5)).await;
        }
    };
    let kept = timeout(&SystemClock, Duration::from_secs(30), asked).await;
    assert_eq!(kept.as_deref(), Some("bytes=0-262143"));
    let headers = [("content-range", "bytes 262144-599999/600000")];
    let rest = vec![1u8; 600_000 - 262_144];
    let done = client.try_send(Method::PUT, &session, &headers, rest).await;
    assert_eq!(done.unwrap().status, 200);
    assert_eq!(client.get("data", "k").await.body, vec![1u8; 600_000]);
    sky.shutdown().await;
}

fn on_disk(root: &std::path::Path) -> SkyConfig {
    let mut config = google_config();
    for region in &mut config.regions {
        region.directory = Some(root.join(&region.region.name));
    }
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_survives_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let sky = start(on_disk(root.path())).await;
    let client = GoogleClient::new(sky.endpoint(None, &iowa()));
    client
        .call(Method::PUT, "/v1/projects/skyfresh/topics/t", &json!({}))
        .await;
    let config = json!({ "topic": "//pubsub.googleapis.com/projects/skyfresh/topics/t", "payload_format": "NONE" });
    client
        .call(
            Method::POST,
            "/storage/v1/b/data/notificationConfigs",
            &config,
        )
        .await;
    let gone = json(&client.put("data", "gone", "x").await);
    client
        .send(Method::DELETE, "/storage/v1/b/data/o/gone", "")
        .await;
    client.put("data", "over", "old").await;
    client.put("data", "over", "new").await;
    let versioning = json!({ "versioning": { "enabled": true }, "labels": { "a": "b" } });
    client
        .call(Method::PATCH, "/storage/v1/b/data", &versioning)
        .await;
    let first = json(&client.put("data", "k", "1").await);
    client.put("data", "k", "2").await;
    let patch = json!({ "metadata": { "m": "1" } });
    client
        .call(Method::PATCH, "/storage/v1/b/data/o/k", &patch)
        .await;
    client.put("data", "deleted", "x").await;
    client
        .send(Method::DELETE, "/storage/v1/b/data/o/deleted", "")
        .await;
    let compose = json!({ "sourceObjects": [{ "name": "k" }, { "name": "over" }] });
    client
        .call(Method::POST, "/storage/v1/b/data/o/whole/compose", &compose)
        .await;
    let begun = client.send(Method::POST, "/data/m?uploads", "").await;
    let upload = begun.element("UploadId");
    let part = client
        .send(
            Method::PUT,
            &format!("/data/m?partNumber=1&uploadId={upload}"),
            "part",
        )
        .await;
    sky.shutdown().await;

    let sky = start(on_disk(root.path())).await;
    let client = GoogleClient::new(sky.endpoint(None, &iowa()));
    assert_eq!(client.get("data", "over").await.text(), "new");
    assert_eq!(client.get("data", "k").await.text(), "2");
    assert_eq!(client.get("data", "whole").await.text(), "2new");
    assert_eq!(
        client.get("data", "deleted").await.status,
        StatusCode::NOT_FOUND
    );
    let shown = client
        .call(Method::GET, "/storage/v1/b/data/o/k", &Value::Null)
        .await;
    assert_eq!(
        (&shown["metageneration"], &shown["metadata"]["m"]),
        (&json!("2"), &json!("1"))
    );
    let generation = first["generation"].as_str().unwrap();
    let old = format!("/storage/v1/b/data/o/k?alt=media&generation={generation}");
    assert_eq!(client.send(Method::GET, &old, "").await.text(), "1");
    let bucket = client
        .call(Method::GET, "/storage/v1/b/data", &Value::Null)
        .await;
    assert_eq!(
        (&bucket["versioning"]["enabled"], &bucket["labels"]["a"]),
        (&json!(true), &json!("b"))
    );
    let configs = client
        .call(
            Method::GET,
            "/storage/v1/b/data/notificationConfigs",
            &Value::Null,
        )
        .await;
    assert_eq!(configs["items"][0]["id"], "1");
    // A generation never comes again.
    let again = json(&client.put("data", "gone", "x").await);
    let number = |shown: &Value| {
        shown["generation"]
            .as_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    assert!(number(&again) > number(&gone));
    let body = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{}</ETag></Part></CompleteMultipartUpload>",
        part.header("etag")
    );
    let completed = client
        .send(Method::POST, &format!("/data/m?uploadId={upload}"), body)
        .await;
    assert_eq!(completed.status, 200, "{}", completed.text());
    assert_eq!(client.get("data", "m").await.text(), "part");
    sky.shutdown().await;
}
