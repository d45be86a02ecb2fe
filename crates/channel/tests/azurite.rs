//! Azure queues on Azurite, which others wrote: the suite, and refusals.

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use ring::hmac;
use skyfresh_channel::Channel;
use skyfresh_channel::azure_queue::{AuthorizeAzure, AzureQueue};
use skyfresh_channel::conformance::{self, Subject};
use skyfresh_sky::{Clock, Kind, SystemClock};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

/// The account that every Azurite has, and its key
/// (<https://learn.microsoft.com/azure/storage/common/storage-use-azurite>, "Well-known storage account and key").
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Shared key (<https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>), as far as these requests need it.
#[derive(Debug)]
struct SharedKey(&'static str);

#[async_trait]
impl AuthorizeAzure for SharedKey {
    async fn authorize(&self, request: &mut Parts) -> skyfresh_store::Result<()> {
        let header = |name: &str| {
            let value = request
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let length = Some(header("content-length"))
            .filter(|length| length != "0")
            .unwrap_or_default();
        let mut query: Vec<String> = request
            .uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter_map(|pair| {
                let (name, value) = pair.split_once('=')?;
                let value = percent_encoding::percent_decode_str(value)
                    .decode_utf8()
                    .ok()?;
                Some(format!("\n{name}:{value}"))
            })
            .collect();
        query.sort();
        let text = format!(
            "{}\n\n\n{length}\n\n{}\n\n\n\n\n\n\nx-ms-date:{}\nx-ms-version:{}\n/{ACCOUNT}{}{}",
            request.method,
            header("content-type"),
            header("x-ms-date"),
            header("x-ms-version"),
            request.uri.path(),
            query.concat()
        );
        let key = STANDARD.decode(self.0).expect("base64");
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), text.as_bytes());
        let value = format!("SharedKey {ACCOUNT}:{}", STANDARD.encode(tag));
        request
            .headers
            .insert("authorization", value.parse().expect("a header"));
        Ok(())
    }
}

struct Queue(AzureQueue);

#[async_trait]
impl Subject for Queue {
    fn channel(&self) -> &dyn Channel {
        &self.0
    }

    async fn send(&self, body: &str) {
        self.0.send(body.as_bytes()).await.expect("is sent");
    }
}

/// The address of Azurite's queue service, or a note of the skip.
#[expect(
    clippy::disallowed_methods,
    reason = "where test servers are is told by the environment"
)]
fn server() -> Option<String> {
    const VARIABLE: &str = "SKYFRESH_TEST_AZURITE_QUEUE";
    if let Ok(url) = std::env::var(VARIABLE) {
        return Some(url);
    }
    let line = format!("skipped: azurite::conformance: {VARIABLE} is not set\n");
    if let Ok(path) = std::env::var("SKYFRESH_TEST_SKIP_LOG") {
        let log = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path);
        log.expect("the skip log opens")
            .write_all(line.as_bytes())
            .expect("is written");
    }
    std::io::stderr()
        .write_all(line.as_bytes())
        .expect("is told");
    None
}

#[tokio::test]
async fn conformance() {
    let Some(server) = server() else { return };
    let server = server.trim_end_matches('/');
    let base = match server.ends_with(ACCOUNT) {
        true => server.to_owned(),
        false => format!("{server}/{ACCOUNT}"),
    };
    let url = format!("{base}/conformance-{}", SystemClock.now().unix_ms());
    let queue = |key| {
        AzureQueue::new(&url, Arc::new(SharedKey(key)), Arc::new(SystemClock)).expect("a queue")
    };
    let ours = queue(KEY);
    let error = ours
        .receive(1, Duration::ZERO)
        .await
        .expect_err("it is not there");
    assert_eq!(error.kind, Kind::Missing, "{error}");
    ours.create().await.expect("is created");
    let error = queue("d3Jvbmc=")
        .receive(1, Duration::ZERO)
        .await
        .expect_err("a wrong key");
    assert_eq!(error.kind, Kind::Denied, "{error}");
    conformance::run(&Queue(ours), &SystemClock).await;
}
