//! SQS over real sockets: the suite on two independent servers, and refusals.

use async_trait::async_trait;
use skyfresh_channel::Channel;
use skyfresh_channel::conformance::{self, Subject};
use skyfresh_channel::sqs::{SqsConfig, SqsQueue};
use skyfresh_sky::{Clock, Kind, SystemClock};
use skyfresh_store::s3::Credentials;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

/// The server's address, or a note of the skip.
#[expect(
    clippy::disallowed_methods,
    reason = "where test servers are is told by the environment"
)]
fn server(variable: &str, test: &str) -> Option<String> {
    if let Ok(url) = std::env::var(variable) {
        return Some(url);
    }
    let line = format!("skipped: {test}: {variable} is not set\n");
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

fn queue(server: &str, name: &str) -> SqsQueue {
    let config = SqsConfig {
        queue_url: format!("{server}/000000000000/{name}"),
        region: Some("us-east-1".into()),
        credentials: Credentials::Static {
            access_key_id: "000000000000".into(),
            secret_access_key: "test".into(),
            session_token: None,
        },
    };
    SqsQueue::new(config, Arc::new(SystemClock)).expect("the settings are right")
}

struct Queue(SqsQueue);

#[async_trait]
impl Subject for Queue {
    fn channel(&self) -> &dyn Channel {
        &self.0
    }

    async fn send(&self, body: &str) {
        self.0.send(body).await.expect("is sent");
    }
}

async fn suite(server: &str) {
    let queue = queue(
        server,
        &format!("conformance-{}", SystemClock.now().unix_ms()),
    );
    let error = queue
        .receive(1, Duration::ZERO)
        .await
        .expect_err("it is not there");
    assert_eq!(error.kind, Kind::Missing, "{error}");
    queue.create().await.expect("is created");
    conformance::run(&Queue(queue), &SystemClock).await;
}

#[tokio::test]
async fn ministack() {
    if let Some(server) = server("SKYFRESH_TEST_MINISTACK", "sqs::ministack") {
        suite(&server).await;
    }
}

#[tokio::test]
async fn moto() {
    if let Some(server) = server("SKYFRESH_TEST_MOTO", "sqs::moto") {
        suite(&server).await;
    }
}
