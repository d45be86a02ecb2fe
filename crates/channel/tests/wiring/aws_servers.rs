//! The whole way on MiniStack and moto: wire, an object is written, its event arrives, unwire, others' settings are as before.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests learn from the environment where the servers are, and tell people what they skip"
)]

use crate::script::Notebook;
use skyfresh_channel::Channel;
use skyfresh_channel::sqs::{SqsConfig, SqsQueue};
use skyfresh_channel::wiring::aws::{Aws, Endpoints, Signed, Source, Via, plan};
use skyfresh_channel::wiring::{Cloud, Found, Outcome, Plan, Record, unwire, wire};
use skyfresh_sky::{Clock, Location, Rng, SystemClock};
use skyfresh_store::s3::{Credentials, S3Config, S3Store};
use skyfresh_store::{ObjectStore, Precondition, PutOptions, single_chunk};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const REGION: &str = "us-east-1";
/// Long enough for a busy machine.
const PATIENCE_S: u64 = 60;

fn address(variable: &str, test: &str) -> Option<String> {
    let address = std::env::var(variable)
        .ok()
        .filter(|address| !address.is_empty());
    if address.is_none() {
        let line = format!("skipped: {test}: {variable} is not set");
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

fn credentials() -> Credentials {
    Credentials::Static {
        access_key_id: "test".into(),
        secret_access_key: "testtest".into(),
        session_token: None,
    }
}

fn config() -> S3Config {
    S3Config {
        credentials: credentials(),
        ..S3Config::default()
    }
}

/// Sends a request to a server that checks no signatures, as somebody else would.
async fn others(address: &str, method: &str, path: &str, body: &str) -> String {
    let host = address.strip_prefix("http://").expect("http://host:port");
    let mut connection = TcpStream::connect(host).await.expect("the server answers");
    let scope =
        "Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: AWS4-HMAC-SHA256 {scope}\r\n\
         Content-Type: application/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
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
        .expect("the server answers");
    assert!(answer.contains("200"), "{method} {path}: {answer}");
    answer
}

struct Scene {
    address: String,
    bucket: String,
    aws: Aws<Signed>,
    plan: Plan,
    notes: Notebook,
}

impl Scene {
    /// A bucket with a notification configuration of somebody else.
    async fn new(address: String, via: Via) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let unique = Rng::from_entropy().token();
        let (bucket, rule) = (format!("wiring-{unique}"), format!("r-{unique}"));
        others(&address, "PUT", &format!("/{bucket}"), "").await;
        let signed = Signed::new(&config(), REGION, false, &clock).unwrap();
        let endpoints = Endpoints::at(format!("{address}/{bucket}"), &address);
        let aws = Aws::new(signed, endpoints, REGION);
        let caller = aws.caller().await.unwrap();
        // Somebody's queue, which S3 tells of another prefix.
        let foreign = plan(
            Source {
                rule: &format!("foreign-{unique}"),
                bucket: &bucket,
                prefix: "theirs/",
                tags: false,
                via: Via::Notification,
            },
            REGION,
            &caller,
        );
        aws.create(&foreign.resources[0]).await.unwrap();
        let theirs = format!(
            "<NotificationConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><QueueConfiguration><Id>theirs</Id>\
             <Queue>arn:aws:sqs:{REGION}:{}:skyfresh-foreign-{unique}</Queue><Event>s3:ObjectCreated:*</Event><Filter><S3Key>\
             <FilterRule><Name>prefix</Name><Value>theirs/</Value></FilterRule></S3Key></Filter></QueueConfiguration></NotificationConfiguration>",
            caller.account
        );
        others(&address, "PUT", &format!("/{bucket}?notification"), &theirs).await;
        let source = Source {
            rule: &rule,
            bucket: &bucket,
            prefix: "in/",
            tags: false,
            via,
        };
        let plan = plan(source, REGION, &caller);
        Scene {
            address,
            plan,
            aws,
            bucket,
            notes: Notebook::default(),
        }
    }

    async fn wire(&self) -> Vec<Outcome> {
        let record = match self.notes.record() {
            record if record.rule.is_empty() => {
                Record::new(&*self.plan.rule, format!("s3://{}/in/", self.bucket))
            }
            record => record,
        };
        wire(&self.aws, &self.plan, record, &self.notes, &SystemClock)
            .await
            .unwrap()
            .outcomes
    }

    async fn put(&self, key: &str) {
        let location: Location = format!(
            "s3://{}/?endpoint={}&region={REGION}",
            self.bucket, self.address
        )
        .parse()
        .unwrap();
        let store = S3Store::new(
            location,
            config(),
            Arc::new(SystemClock),
            Rng::from_entropy(),
        )
        .unwrap();
        let options = PutOptions {
            size: 1,
            attributes: Default::default(),
            precondition: Precondition::None,
        };
        store
            .put(
                &skyfresh_sky::ObjectKey::new(key).unwrap(),
                options,
                single_chunk("x"),
            )
            .await
            .unwrap();
    }

    /// Waits for an event of a key that ends so (slashes may come encoded), and for none of another one.
    async fn hears_of(&self, key: &str) {
        let caller = self.aws.caller().await.unwrap();
        let config = SqsConfig {
            queue_url: format!(
                "{}/{}/skyfresh-{}",
                self.address, caller.account, self.plan.rule
            ),
            region: Some(REGION.into()),
            credentials: credentials(),
        };
        let queue = SqsQueue::new(config, Arc::new(SystemClock)).unwrap();
        let start_ns = SystemClock.monotonic_ns();
        loop {
            for delivery in queue.receive(10, Duration::from_secs(1)).await.unwrap() {
                let body = String::from_utf8_lossy(&delivery.body).into_owned();
                assert!(!body.contains("not-ours"), "{body}");
                if body.contains(key) {
                    return;
                }
            }
            let waited_s = (SystemClock.monotonic_ns() - start_ns) / 1_000_000_000;
            assert!(waited_s < PATIENCE_S, "no event of {key}");
        }
    }

    async fn notifications(&self) -> String {
        others(
            &self.address,
            "GET",
            &format!("/{}?notification", self.bucket),
            "",
        )
        .await
    }

    async fn unwire(&self) {
        let (unwired, left) = unwire(&self.aws, self.notes.record(), &self.notes)
            .await
            .unwrap();
        assert_eq!(
            unwired.removed.len(),
            self.plan.resources.len(),
            "{unwired:?}"
        );
        assert!(left.entries.is_empty());
        for resource in &self.plan.resources {
            assert_eq!(
                self.aws.look(resource).await.unwrap(),
                Found::Absent,
                "{resource}"
            );
        }
        let after = self.notifications().await;
        assert!(
            after.contains("theirs") && !after.contains(&*self.plan.rule),
            "{after}"
        );
        assert!(!after.contains("EventBridge"), "{after}");
    }

    async fn whole_way(&self) {
        let all = |outcome| vec![outcome; self.plan.resources.len()];
        assert_eq!(self.wire().await, all(Outcome::Created));
        let wired = self.notifications().await;
        assert!(wired.contains("theirs"), "{wired}");
        assert_eq!(self.wire().await, all(Outcome::Unchanged));
        self.put("theirs/not-ours").await;
        self.put("in/ours").await;
        self.hears_of("ours").await;
        self.unwire().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ministack_wires_a_bucket_to_a_queue() {
    let Some(address) = address(
        "SKYFRESH_TEST_MINISTACK",
        "ministack_wires_a_bucket_to_a_queue",
    ) else {
        return;
    };
    Scene::new(address, Via::Notification)
        .await
        .whole_way()
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ministack_wires_through_event_bridge() {
    let Some(address) = address(
        "SKYFRESH_TEST_MINISTACK",
        "ministack_wires_through_event_bridge",
    ) else {
        return;
    };
    Scene::new(address, Via::EventBridge)
        .await
        .whole_way()
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moto_wires_a_bucket_to_a_queue() {
    let Some(address) = address("SKYFRESH_TEST_MOTO", "moto_wires_a_bucket_to_a_queue") else {
        return;
    };
    Scene::new(address, Via::Notification)
        .await
        .whole_way()
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_of_somebody_else_is_left_alone() {
    let Some(address) = address(
        "SKYFRESH_TEST_MINISTACK",
        "a_queue_of_somebody_else_is_left_alone",
    ) else {
        return;
    };
    let scene = Scene::new(address, Via::Notification).await;
    let mut theirs = scene.plan.resources[0].clone();
    if let skyfresh_channel::wiring::Resource::SqsQueue { rule, .. } = &mut theirs {
        *rule = "another".into();
    }
    scene.aws.create(&theirs).await.unwrap();
    let record = Record::new(&*scene.plan.rule, "s3://b/");
    let stopped = wire(&scene.aws, &scene.plan, record, &scene.notes, &SystemClock)
        .await
        .unwrap_err();
    assert!(
        stopped
            .error
            .to_string()
            .contains("its tag skyfresh-rule is another"),
        "{}",
        stopped.error
    );
    let (unwired, _) = unwire(&scene.aws, scene.notes.record(), &scene.notes)
        .await
        .unwrap();
    assert!(unwired.removed.is_empty());
    assert!(matches!(
        scene.aws.look(&theirs).await.unwrap(),
        Found::AsPlanned(_)
    ));
}
