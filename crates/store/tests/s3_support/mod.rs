//! S3 servers that nobody here wrote: where the test command started them, and what a test does without one.

#![allow(dead_code, reason = "every test file uses a part of it")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests learn from the environment where the servers are"
)]
#![allow(
    clippy::print_stdout,
    reason = "a skip and a report are for the person who runs the tests"
)]

pub(crate) mod s3s_fs;
pub(crate) mod scripted;

use skyfresh_sky::{Location, Rng, SystemClock};
use skyfresh_store::s3::{Credentials, S3Config, S3Store};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// moto, if the test command started it.
pub(crate) const MOTO: (&str, &str) = ("moto", "SKYFRESH_TEST_MOTO");
/// MiniStack, if the test command started it.
pub(crate) const MINISTACK: (&str, &str) = ("MiniStack", "SKYFRESH_TEST_MINISTACK");

/// The server's address, `http://127.0.0.1:port`; without one the skip is put on record.
pub(crate) fn address((name, variable): (&str, &str), test: &str) -> Option<String> {
    let address = std::env::var(variable)
        .ok()
        .filter(|address| !address.is_empty());
    if address.is_none() {
        let line = format!("skipped: {test}: {name} is not running ({variable} is not set)");
        println!("{line}");
        if let Ok(path) = std::env::var("SKYFRESH_TEST_SKIP_LOG") {
            let log = std::fs::OpenOptions::new()
                .append(true)
                .create(true)
                .open(path);
            log.and_then(|mut log| writeln!(log, "{line}"))
                .expect("the skip log can be written");
        }
    }
    address
}

/// The credentials that tests use.
pub(crate) const ACCESS_KEY_ID: &str = "test";
/// Goes with [`ACCESS_KEY_ID`].
pub(crate) const SECRET_ACCESS_KEY: &str = "testtest";

/// Keys that any of the servers takes.
pub(crate) fn config() -> S3Config {
    S3Config {
        credentials: Credentials::Static {
            access_key_id: ACCESS_KEY_ID.into(),
            secret_access_key: SECRET_ACCESS_KEY.into(),
            session_token: None,
        },
        ..S3Config::default()
    }
}

/// A name that no other bucket has, on servers that outlive a test run.
pub(crate) fn bucket_name(purpose: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!(
        "skyfresh-{purpose}-{}-{count}-{}",
        std::process::id(),
        Rng::from_entropy().token()
    )
}

/// A place in a bucket of the server at `address`.
pub(crate) fn place(address: &str, bucket: &str, prefix: &str) -> Location {
    format!("s3://{bucket}/{prefix}?endpoint={address}&region=us-east-1")
        .parse()
        .expect("a location")
}

/// A store at a place.
pub(crate) fn store(location: &Location) -> S3Store {
    S3Store::new(
        location.clone(),
        config(),
        Arc::new(SystemClock),
        Rng::from_entropy(),
    )
    .expect("a store")
}

/// Sends a request that [`S3Store`] has no operation for, to a server that checks no signatures.
pub(crate) async fn unsigned(address: &str, method: &str, path: &str, body: &str) -> String {
    let host = address.strip_prefix("http://").expect("http://host:port");
    let mut connection = TcpStream::connect(host).await.expect("the server answers");
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
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

/// Creates a bucket.
pub(crate) async fn create_bucket(address: &str, bucket: &str) {
    let answer = unsigned(address, "PUT", &format!("/{bucket}"), "").await;
    assert!(
        answer.starts_with("HTTP/1.1 200"),
        "creating {bucket}: {answer}"
    );
}

/// Turns versioning on.
pub(crate) async fn version_bucket(address: &str, bucket: &str) {
    let body = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                <Status>Enabled</Status></VersioningConfiguration>";
    let answer = unsigned(address, "PUT", &format!("/{bucket}?versioning"), body).await;
    assert!(
        answer.starts_with("HTTP/1.1 200"),
        "versioning {bucket}: {answer}"
    );
}
