//! A server that speaks S3, SQS, SNS and EventBridge, and what is wired on it. No SDK: our own stores and signed requests.

use bytes::Bytes;
use http::{Method, Request};
use skyfresh_channel::Channel;
use skyfresh_channel::sqs::{SqsConfig, SqsQueue};
use skyfresh_sky::{Attributes, Clock, ObjectKey, Rng, SystemClock};
use skyfresh_store::s3::{AwsService, Credentials, S3Config, S3Store};
use skyfresh_store::service::Limits;
use skyfresh_store::{ObjectStore, Precondition, PutOptions, single_chunk};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

pub(crate) struct Cloud {
    pub(crate) url: String,
    /// Sets this run's names apart from those of earlier runs on the same server.
    run: u64,
}

fn config() -> S3Config {
    S3Config {
        credentials: Credentials::Static {
            access_key_id: "test".into(),
            secret_access_key: "test".into(),
            session_token: None,
        },
        ..S3Config::default()
    }
}

impl Cloud {
    /// The server, or a note of the skip.
    pub(crate) fn find(test: &str) -> Option<Self> {
        const VARIABLE: &str = "SKYFRESH_TEST_MINISTACK";
        if let Ok(url) = std::env::var(VARIABLE) {
            let run = SystemClock.now().unix_ms();
            return Some(Cloud { url, run });
        }
        let line = format!("skipped: {test}: {VARIABLE} is not set\n");
        if let Ok(path) = std::env::var("SKYFRESH_TEST_SKIP_LOG") {
            let log = std::fs::OpenOptions::new()
                .append(true)
                .create(true)
                .open(path);
            log.unwrap().write_all(line.as_bytes()).unwrap();
        }
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        None
    }

    async fn send(
        &self,
        service: &str,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> String {
        let aws = AwsService::new(
            service,
            "us-east-1",
            false,
            &config(),
            Arc::new(SystemClock),
        );
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Bytes::from(body)).unwrap();
        let limits = Limits {
            wait: Duration::from_secs(60),
            answer_bytes: 1 << 20,
        };
        let answer = aws
            .unwrap()
            .send("wire", service, request, limits)
            .await
            .unwrap();
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        assert!(
            answer.status().is_success(),
            "{service} {path}: {} {text}",
            answer.status()
        );
        text
    }

    pub(crate) async fn bucket(&self, name: &str) -> String {
        let name = format!("{name}-{}", self.run);
        self.send("s3", Method::PUT, &format!("/{name}"), &[], String::new())
            .await;
        name
    }

    pub(crate) async fn queue(&self, name: &str) -> SqsQueue {
        let config = SqsConfig {
            queue_url: format!("{}/000000000000/{name}-{}", self.url, self.run),
            region: Some("us-east-1".into()),
            credentials: config().credentials,
        };
        let queue = SqsQueue::new(config, Arc::new(SystemClock)).unwrap();
        queue.create().await.unwrap();
        queue
    }

    /// The queue's bare name.
    pub(crate) fn name_of<'a>(&self, queue: &'a SqsQueue) -> &'a str {
        queue.name().rsplit('/').next().unwrap()
    }

    fn arn(&self, queue: &SqsQueue) -> String {
        format!("arn:aws:sqs:us-east-1:000000000000:{}", self.name_of(queue))
    }

    async fn configure(&self, bucket: &str, configuration: &str) {
        let xml = format!("<NotificationConfiguration>{configuration}</NotificationConfiguration>");
        let path = format!("/{bucket}?notification=");
        self.send("s3", Method::PUT, &path, &[], xml).await;
    }

    /// The bucket tells the queue.
    pub(crate) async fn notify_queue(&self, bucket: &str, queue: &SqsQueue) {
        let arn = self.arn(queue);
        let events = "<Event>s3:ObjectCreated:*</Event><Event>s3:ObjectRemoved:*</Event>";
        self.configure(
            bucket,
            &format!("<QueueConfiguration><Queue>{arn}</Queue>{events}</QueueConfiguration>"),
        )
        .await;
    }

    /// The bucket tells a topic, and that the queue.
    pub(crate) async fn notify_topic(&self, bucket: &str, queue: &SqsQueue) {
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let topic = format!("arn:aws:sns:us-east-1:000000000000:t-{}", self.run);
        let create = format!("Action=CreateTopic&Version=2010-03-31&Name=t-{}", self.run);
        self.send("sns", Method::POST, "/", &form, create).await;
        let subscribe = format!(
            "Action=Subscribe&Version=2010-03-31&Protocol=sqs&TopicArn={topic}&Endpoint={}",
            self.arn(queue)
        );
        self.send("sns", Method::POST, "/", &form, subscribe).await;
        let events = "<Event>s3:ObjectCreated:*</Event><Event>s3:ObjectRemoved:*</Event>";
        self.configure(
            bucket,
            &format!("<TopicConfiguration><Topic>{topic}</Topic>{events}</TopicConfiguration>"),
        )
        .await;
    }

    /// The bucket tells the event bus, and that the queue.
    pub(crate) async fn notify_bus(&self, bucket: &str, queue: &SqsQueue) {
        let call = |action: &'static str, body: serde_json::Value| async move {
            let target = format!("AWSEvents.{action}");
            let headers = [
                ("content-type", "application/x-amz-json-1.1"),
                ("x-amz-target", target.as_str()),
            ];
            self.send("events", Method::POST, "/", &headers, body.to_string())
                .await
        };
        let rule = format!("rule-{}", self.run);
        let pattern = serde_json::json!({ "source": ["aws.s3"], "detail": { "bucket": { "name": [bucket] } } });
        let body = serde_json::json!({ "Name": rule, "EventPattern": pattern.to_string() });
        call("PutRule", body).await;
        let body = serde_json::json!({ "Rule": rule, "Targets": [{ "Id": "queue", "Arn": self.arn(queue) }] });
        call("PutTargets", body).await;
        self.configure(bucket, "<EventBridgeConfiguration/>").await;
    }

    pub(crate) fn location(&self, bucket: &str) -> String {
        format!("s3://{bucket}/?endpoint={}&region=us-east-1", self.url)
    }

    pub(crate) fn store(&self, bucket: &str) -> S3Store {
        let location = self.location(bucket).parse().unwrap();
        S3Store::new(location, config(), Arc::new(SystemClock), Rng::seeded(1)).unwrap()
    }
}

pub(crate) async fn put(store: &S3Store, key: &str, content: String) {
    let options = PutOptions {
        size: content.len() as u64,
        attributes: Attributes::default(),
        precondition: Precondition::None,
    };
    let key = ObjectKey::new(key).unwrap();
    store
        .put(&key, options, single_chunk(content))
        .await
        .unwrap();
}

pub(crate) async fn delete(store: &S3Store, key: &str) {
    let key = ObjectKey::new(key).unwrap();
    store.delete(&key, &Precondition::None).await.unwrap();
}
