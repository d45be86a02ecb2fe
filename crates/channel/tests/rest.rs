//! Pub/Sub and Azure queues against servers that speak their protocols over a queue in memory: the suite, the form of every
//! request, and refusals.

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use skyfresh_channel::Channel;
use skyfresh_channel::azure_queue::{AuthorizeAzure, AzureQueue};
use skyfresh_channel::conformance::{self, Subject};
use skyfresh_channel::memory::MemoryQueue;
use skyfresh_channel::pubsub::{BearerTokens, PubsubSubscription};
use skyfresh_sky::{Kind, Rng, SystemClock};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const SECRET: &str = "s3cret-token";

type Answer =
    fn(MemoryQueue, Parts, Bytes) -> futures::future::BoxFuture<'static, Response<Full<Bytes>>>;

/// Serves a queue until the test ends; its address.
async fn serve(queue: MemoryQueue, answer: Answer) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let queue = queue.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let queue = queue.clone();
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await?.to_bytes();
                        Ok::<_, hyper::Error>(answer(queue, head, body).await)
                    }
                });
                // A client that goes away is no failure of the test.
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), service)
                    .await;
            });
        }
    });
    format!("http://{address}")
}

fn respond(status: u16, body: String) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(status).expect("a status");
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response
}

fn memory() -> MemoryQueue {
    MemoryQueue::new("memory", Arc::new(SystemClock), Rng::seeded(3))
}

#[derive(Debug)]
struct Token(&'static str);

#[async_trait]
impl BearerTokens for Token {
    async fn authorization(&self) -> skyfresh_store::Result<Option<HeaderValue>> {
        Ok(Some(
            HeaderValue::from_str(&format!("Bearer {}", self.0)).expect("a header"),
        ))
    }
}

#[async_trait]
impl AuthorizeAzure for Token {
    async fn authorize(&self, request: &mut Parts) -> skyfresh_store::Result<()> {
        for name in ["x-ms-date", "x-ms-version"] {
            assert!(
                request.headers.contains_key(name),
                "{name} is there to be signed"
            );
        }
        let value = format!("Bearer {}", self.0);
        request
            .headers
            .insert("authorization", value.parse().expect("a header"));
        Ok(())
    }
}

fn is_authorized(head: &Parts) -> bool {
    head.headers
        .get("authorization")
        .is_some_and(|value| value == &format!("Bearer {SECRET}"))
}

/// Pub/Sub's REST interface (projects.subscriptions: pull, acknowledge, modifyAckDeadline).
fn pubsub(
    queue: MemoryQueue,
    head: Parts,
    body: Bytes,
) -> futures::future::BoxFuture<'static, Response<Full<Bytes>>> {
    Box::pin(async move {
        let refusal = |status: u16, name: &str, message: &str| {
            respond(
                status,
                json!({ "error": { "code": status, "status": name, "message": message } })
                    .to_string(),
            )
        };
        if !is_authorized(&head) {
            return refusal(401, "UNAUTHENTICATED", "who are you?");
        }
        let Some(action) = head
            .uri
            .path()
            .strip_prefix("/v1/projects/p/subscriptions/s:")
        else {
            return refusal(404, "NOT_FOUND", "Resource not found (resource=x).");
        };
        assert_eq!(head.method, "POST");
        let arguments: Value = serde_json::from_slice(&body).expect("JSON");
        let handles = || -> Vec<String> {
            let ids = arguments["ackIds"].as_array().expect("ackIds");
            ids.iter()
                .map(|id| id.as_str().expect("text").to_owned())
                .collect()
        };
        let answer = match action {
            "pull" => {
                let most = arguments["maxMessages"].as_u64().expect("maxMessages") as usize;
                // The service waits as long as it likes, unless it is asked not to.
                let wait = match arguments["returnImmediately"].as_bool() {
                    Some(true) => Duration::ZERO,
                    _ => Duration::from_secs(1),
                };
                let taken = queue.receive(most, wait).await.expect("works");
                let messages: Vec<Value> = taken
                    .iter()
                    .map(|each| {
                        json!({ "ackId": each.handle, "deliveryAttempt": each.attempts, "message": {
                            "data": STANDARD.encode(&each.body), "attributes": each.attributes, "messageId": each.id,
                            "publishTime": each.sent.expect("known").to_string() } })
                    })
                    .collect();
                json!({ "receivedMessages": messages })
            }
            "acknowledge" => {
                queue.acknowledge(&handles()).await.expect("works");
                json!({})
            }
            "modifyAckDeadline" => {
                let seconds = arguments["ackDeadlineSeconds"].as_u64().expect("seconds");
                queue
                    .give_back(&handles(), Duration::from_secs(seconds))
                    .await
                    .expect("works");
                json!({})
            }
            other => panic!("{other}"),
        };
        respond(200, answer.to_string())
    })
}

/// Azure's Queue service (Get Messages, Delete Message, Update Message).
fn azure(
    queue: MemoryQueue,
    head: Parts,
    body: Bytes,
) -> futures::future::BoxFuture<'static, Response<Full<Bytes>>> {
    Box::pin(async move {
        let refusal = |status: u16, code: &'static str| {
            let xml = format!(
                "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>no: {code}</Message></Error>"
            );
            let mut response = respond(status, xml);
            response
                .headers_mut()
                .insert("x-ms-error-code", HeaderValue::from_static(code));
            response
        };
        if !is_authorized(&head) {
            return refusal(403, "AuthenticationFailed");
        }
        let query: BTreeMap<String, String> = head
            .uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter_map(|pair| {
                let (name, value) = pair.split_once('=')?;
                let value = percent_encoding::percent_decode_str(value)
                    .decode_utf8()
                    .expect("text");
                Some((name.to_owned(), value.into_owned()))
            })
            .collect();
        let Some(rest) = head.uri.path().strip_prefix("/account/queue/messages") else {
            return refusal(404, "QueueNotFound");
        };
        assert!(body.is_empty());
        // The handle in memory is `NUMBER.ATTEMPT`; the message is `message-NUMBER`.
        let handle = || query["popreceipt"].clone();
        let hidden = || Duration::from_secs(query["visibilitytimeout"].parse().expect("seconds"));
        match head.method.as_str() {
            "GET" => {
                let most = query["numofmessages"].parse().expect("a number");
                let taken = queue.receive(most, Duration::ZERO).await.expect("works");
                let messages: String = taken
                    .iter()
                    .map(|each| {
                        let sent = std::time::UNIX_EPOCH + Duration::from_millis(each.sent.expect("known").unix_ms());
                        format!(
                            "<QueueMessage><MessageId>{}</MessageId><InsertionTime>{}</InsertionTime><PopReceipt>{}</PopReceipt>\
                             <DequeueCount>{}</DequeueCount><MessageText>{}</MessageText></QueueMessage>",
                            each.id,
                            httpdate::fmt_http_date(sent),
                            each.handle,
                            each.attempts,
                            STANDARD.encode(&each.body)
                        )
                    })
                    .collect();
                respond(
                    200,
                    format!(
                        "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><QueueMessagesList>{messages}</QueueMessagesList>"
                    ),
                )
            }
            "DELETE" => {
                assert!(rest.starts_with("/message-"), "{rest}");
                match queue
                    .acknowledge(&[handle()])
                    .await
                    .expect("works")
                    .is_empty()
                {
                    true => respond(204, String::new()),
                    false => refusal(404, "MessageNotFound"),
                }
            }
            "PUT" => {
                queue.give_back(&[handle()], hidden()).await.expect("works");
                respond(204, String::new())
            }
            other => panic!("{other}"),
        }
    })
}

struct Served {
    channel: Box<dyn Channel>,
    behind: MemoryQueue,
}

#[async_trait]
impl Subject for Served {
    fn channel(&self) -> &dyn Channel {
        &*self.channel
    }

    async fn send(&self, body: &str) {
        self.behind.send(body.to_owned(), BTreeMap::new());
    }
}

fn subscription(endpoint: &str, name: &str, token: &'static str) -> PubsubSubscription {
    PubsubSubscription::new(
        name,
        Some(endpoint),
        Arc::new(Token(token)),
        Arc::new(SystemClock),
    )
    .expect("a subscription")
}

fn azure_queue(url: &str, token: &'static str) -> AzureQueue {
    AzureQueue::new(url, Arc::new(Token(token)), Arc::new(SystemClock)).expect("a queue")
}

#[tokio::test]
async fn pubsub_conformance() {
    let behind = memory();
    let endpoint = serve(behind.clone(), pubsub).await;
    let channel = Box::new(subscription(
        &endpoint,
        "projects/p/subscriptions/s",
        SECRET,
    ));
    conformance::run(&Served { channel, behind }, &SystemClock).await;
}

#[tokio::test]
async fn pubsub_attributes_arrive_and_refusals_say_what_to_do() {
    let behind = memory();
    let endpoint = serve(behind.clone(), pubsub).await;
    behind.send(
        "data",
        [("eventType".to_owned(), "OBJECT_DELETE".to_owned())].into(),
    );
    let channel = subscription(&endpoint, "projects/p/subscriptions/s", SECRET);
    let got = channel
        .receive(5, Duration::from_secs(20))
        .await
        .expect("one");
    assert_eq!(got[0].attributes["eventType"], "OBJECT_DELETE");
    let elsewhere = subscription(&endpoint, "projects/p/subscriptions/other", SECRET);
    let stranger = subscription(&endpoint, "projects/p/subscriptions/s", "wrong");
    for (channel, kind) in [(elsewhere, Kind::Missing), (stranger, Kind::Denied)] {
        let error = channel
            .receive(1, Duration::ZERO)
            .await
            .expect_err("refused");
        assert_eq!(error.kind, kind, "{error}");
        assert!(!format!("{error:?}").contains(SECRET));
    }
    for bad in [
        "s",
        "projects/p/topics/t",
        "projects/p/subscriptions/",
        "projects/../subscriptions/s/../x",
    ] {
        let opened =
            PubsubSubscription::new(bad, None, Arc::new(Token(SECRET)), Arc::new(SystemClock));
        assert_eq!(opened.expect_err(bad).kind, Kind::Invalid);
    }
}

#[tokio::test]
async fn azure_queue_conformance() {
    let behind = memory();
    let endpoint = serve(behind.clone(), azure).await;
    let channel = Box::new(azure_queue(&format!("{endpoint}/account/queue"), SECRET));
    conformance::run(&Served { channel, behind }, &SystemClock).await;
}

#[tokio::test]
async fn azure_refusals_say_what_to_do() {
    let endpoint = serve(memory(), azure).await;
    let elsewhere = azure_queue(&format!("{endpoint}/account/other"), SECRET);
    let stranger = azure_queue(&format!("{endpoint}/account/queue"), "wrong");
    for (channel, kind) in [(elsewhere, Kind::Missing), (stranger, Kind::Denied)] {
        let error = channel
            .receive(1, Duration::ZERO)
            .await
            .expect_err("refused");
        assert_eq!(error.kind, kind, "{error}");
        assert!(
            error.context.contains("no: "),
            "in the service's words: {error}"
        );
    }
    let nobody = azure_queue("http://127.0.0.1:1/account/queue", SECRET);
    let error = nobody
        .receive(1, Duration::ZERO)
        .await
        .expect_err("nobody there");
    assert_eq!(error.kind, Kind::RetryAfter);
}
