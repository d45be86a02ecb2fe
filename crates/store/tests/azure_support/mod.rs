//! Azurite, which Microsoft wrote: where the test command started it, and what a test does without it.

#![allow(dead_code, reason = "every test file uses a part of it")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests learn from the environment where the server is"
)]
#![allow(
    clippy::print_stdout,
    reason = "a skip and a report are for the person who runs the tests"
)]

#[path = "../s3_support/scripted.rs"]
pub(crate) mod scripted;

use skyfresh_sky::{Location, Rng, SystemClock};
use skyfresh_store::azure::{AzureConfig, AzureCredentialSource, AzureCredentials, AzureStore};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const VARIABLE: &str = "SKYFRESH_TEST_AZURITE";
/// The account that every Azurite has, and its key
/// (<https://learn.microsoft.com/azure/storage/common/storage-connect-azurite>).
pub(crate) const ACCOUNT: &str = "devstoreaccount1";
/// Goes with [`ACCOUNT`]; not a secret.
pub(crate) const ACCOUNT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Azurite's address with its account, `http://127.0.0.1:port/devstoreaccount1`; without it the skip is put on record.
pub(crate) fn address(test: &str) -> Option<String> {
    let address = std::env::var(VARIABLE)
        .ok()
        .filter(|address| !address.is_empty());
    if address.is_none() {
        let line = format!("skipped: {test}: Azurite is not running ({VARIABLE} is not set)");
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

/// The key of [`ACCOUNT`].
pub(crate) fn config() -> AzureConfig {
    AzureConfig {
        credentials: AzureCredentialSource::AccountKey(ACCOUNT_KEY.into()),
        ..AzureConfig::default()
    }
}

/// A name that no other container has, on a server that outlives a test run.
pub(crate) fn container_name(purpose: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!(
        "{purpose}-{}-{count}-{}",
        std::process::id(),
        Rng::from_entropy().token()
    )
}

/// A place in a container of the server at `address`.
pub(crate) fn place(address: &str, container: &str, prefix: &str) -> Location {
    format!("az://{ACCOUNT}/{container}/{prefix}?endpoint={address}")
        .parse()
        .expect("a location")
}

/// A store at a place.
pub(crate) fn store(location: &Location) -> AzureStore {
    store_with(location, config())
}

/// A store with these settings.
pub(crate) fn store_with(location: &Location, config: AzureConfig) -> AzureStore {
    AzureStore::new(
        location.clone(),
        config,
        Arc::new(SystemClock),
        Rng::from_entropy(),
    )
    .expect("a store")
}

/// A container that exists.
pub(crate) async fn new_container(address: &str, purpose: &str) -> String {
    let container = container_name(purpose);
    let answer = request(
        address,
        "PUT",
        &format!("/{container}?restype=container"),
        &[],
        "",
    )
    .await;
    assert!(
        answer.starts_with("HTTP/1.1 201"),
        "creating {container}: {answer}"
    );
    container
}

/// Sends a request that [`AzureStore`] has no operation for. `path` begins behind the account.
pub(crate) async fn request(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> String {
    let credentials = AzureCredentials::new(ACCOUNT, config().credentials, Arc::new(SystemClock))
        .expect("credentials");
    let mut parts = http::Request::builder()
        .method(method)
        .uri(format!("{address}{path}"))
        .header("content-length", body.len())
        .header("x-ms-version", "2026-02-06");
    for (name, value) in headers {
        parts = parts.header(*name, *value);
    }
    let mut parts = parts.body(()).expect("a request").into_parts().0;
    credentials.authorize(&mut parts).await.expect("signed");
    let host = parts.uri.authority().expect("an address").to_string();
    let target = parts.uri.path_and_query().expect("an address");
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for (name, value) in &parts.headers {
        text.push_str(&format!("{name}: {}\r\n", value.to_str().expect("text")));
    }
    text.push_str(&format!("\r\n{body}"));
    let mut connection = TcpStream::connect(&host).await.expect("the server answers");
    connection
        .write_all(text.as_bytes())
        .await
        .expect("the server reads");
    let mut answer = String::new();
    connection
        .read_to_string(&mut answer)
        .await
        .expect("the server answers in text");
    answer
}
