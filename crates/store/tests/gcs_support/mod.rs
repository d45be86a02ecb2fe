//! Google Cloud Storage as tests meet it: a server that the test command started, or one that answers as a test says.

#![allow(dead_code, reason = "every test file uses a part of it")]

use crate::s3_support::scripted::{Reply, Scripted};
use serde_json::{Value, json};
use skyfresh_localsky::{LocalSky, RegionConfig, ShapingProfile, SkyConfig};
use skyfresh_sky::{Location, Region, Rng, SystemClock};
use skyfresh_store::gcs::{GcsConfig, GcsStore, GoogleCredentialSource};
use std::sync::{Arc, LazyLock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A server that speaks Google's protocol and takes [`TOKEN`]: the one that `SKYFRESH_TEST_GCS` names, or a local sky of this
/// process (no server for it is to be had in the registries).
pub(crate) fn address() -> String {
    #[allow(
        clippy::disallowed_methods,
        reason = "tests learn from the environment where the servers are"
    )]
    let given = std::env::var("SKYFRESH_TEST_GCS").ok();
    given
        .filter(|address| !address.is_empty())
        .unwrap_or_else(|| SKY.clone())
}

/// Runs on a thread of its own until the process ends: every test has a runtime that ends before.
static SKY: LazyLock<String> = LazyLock::new(|| {
    let (told, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a runtime").block_on(async move {
            let region: Region = "gcp:us-central1".parse().expect("a region");
            let config = SkyConfig {
                regions: vec![RegionConfig::in_memory(region.clone())],
                shaping: ShapingProfile::unshaped(),
                ..SkyConfig::default()
            };
            let sky = LocalSky::start(config, Arc::new(SystemClock), Rng::from_entropy())
                .await
                .expect("a sky");
            told.send(sky.endpoint(None, &region))
                .expect("a test waits");
            std::future::pending::<()>().await;
        });
    });
    address.recv().expect("the sky starts")
});

/// The token that local servers take.
pub(crate) const TOKEN: &str = "skyfresh-local-token";

/// The bucket that tests use there.
pub(crate) const BUCKET: &str = "conformance";
/// A bucket that keeps versions.
pub(crate) const VERSIONED_BUCKET: &str = "conformance-versioned";

/// Settings with that token.
pub(crate) fn config() -> GcsConfig {
    GcsConfig {
        credentials: GoogleCredentialSource::Token(TOKEN.into()),
        ..GcsConfig::default()
    }
}

/// A place in a bucket of the server at `address`.
pub(crate) fn place(address: &str, bucket: &str, prefix: &str) -> Location {
    format!("gs://{bucket}/{prefix}?endpoint={address}")
        .parse()
        .expect("a location")
}

/// A store at a place.
pub(crate) fn store_at(location: &Location) -> GcsStore {
    GcsStore::new(
        location.clone(),
        config(),
        Arc::new(SystemClock),
        Rng::from_entropy(),
    )
    .expect("a store")
}

/// A store of the bucket `b` on a scripted server.
pub(crate) fn store(server: &Scripted) -> GcsStore {
    let location = place(&server.address, "b", "");
    GcsStore::new(location, config(), Arc::new(SystemClock), Rng::seeded(1)).expect("a store")
}

/// An object as Google describes it.
pub(crate) fn object(name: &str, generation: u64, bytes: &[u8]) -> Value {
    use base64::Engine;
    let crc32c = skyfresh_store::checksum::Crc32c::of(bytes);
    let crc32c = base64::engine::general_purpose::STANDARD.encode(crc32c.0.to_be_bytes());
    json!({"kind": "storage#object", "name": name, "generation": generation.to_string(),
        "metageneration": "1", "size": bytes.len().to_string(), "crc32c": crc32c,
        "updated": "2023-11-14T22:13:20.000Z", "timeCreated": "2023-11-14T22:13:20.000Z",
        "contentType": "application/octet-stream", "storageClass": "STANDARD"})
}

/// A JSON answer.
pub(crate) fn answer(body: &Value) -> Reply {
    Reply::new(
        "200 OK",
        "Content-Type: application/json\r\n",
        &body.to_string(),
    )
}

/// A refusal in the JSON API's form.
pub(crate) fn refusal(status: &str, reason: &str, message: &str) -> Reply {
    let body = json!({"error": {"code": 0, "message": message,
        "errors": [{"message": message, "domain": "global", "reason": reason}]}});
    Reply::new(
        status,
        "Content-Type: application/json\r\n",
        &body.to_string(),
    )
}

/// The bytes of an object, as a download brings them.
pub(crate) fn media(generation: u64, bytes: &str) -> Reply {
    let headers = format!("x-goog-generation: {generation}\r\nx-goog-metageneration: 1\r\n");
    Reply::new("200 OK", &headers, bytes)
}

/// There is no such object.
pub(crate) fn missing() -> Reply {
    refusal("404 Not Found", "notFound", "No such object: b/k")
}

/// Sends a request that the store has no operation for; returns the answer with its head.
pub(crate) async fn raw(address: &str, method: &str, path: &str, body: &str) -> String {
    let host = address.strip_prefix("http://").expect("http://host:port");
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let mut connection = tokio::net::TcpStream::connect(host)
        .await
        .expect("the server answers");
    connection
        .write_all(request.as_bytes())
        .await
        .expect("the server reads");
    let mut answer = String::new();
    connection
        .read_to_string(&mut answer)
        .await
        .expect("the server answers in text");
    answer
}

/// Makes a bucket, where it is not there yet.
pub(crate) async fn create_bucket(address: &str, name: &str, versioned: bool) {
    let body = json!({"name": name, "versioning": {"enabled": versioned}}).to_string();
    let answer = raw(address, "POST", "/storage/v1/b?project=skyfresh", &body).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.1 409"),
        "creating {name}: {answer}"
    );
}
