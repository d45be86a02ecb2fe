//! Long requests and the end of the server: nobody waits for a client that does not come back.

mod common;

use common::start;
use skyfresh_server::ServerOptions;
use skyfresh_sky::{Clock, SystemClock};
use std::io::{Read, Write};
use std::time::Duration;

const SECRET: &str = "s3cret-of-the-webhook";

fn with_secret() -> ServerOptions {
    ServerOptions {
        webhook_secret: Some(SECRET.into()),
        ..ServerOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_ends_when_its_client_goes() {
    let running = start(ServerOptions::default()).await;
    running.ready().await;
    running.post("/v1/rules/models/pause").await;
    let mut client = std::net::TcpStream::connect(running.address).unwrap();
    let request = "POST /v1/rules/models/wait?until=2999-01-01T00:00:00Z&timeout=1h HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    client.write_all(request.as_bytes()).unwrap();
    let under_way = |count: &'static str| {
        move |answer: &common::Answer| {
            answer
                .body
                .contains(&format!("\nskyfresh_http_requests_in_flight {count}\n"))
        }
    };
    // The wait and the scrape itself.
    running.get_until("/metrics", under_way("2")).await;
    drop(client);
    running.get_until("/metrics", under_way("1")).await;
    running.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_answers_waits_and_closes_idle_connections() {
    let running = start(ServerOptions::default()).await;
    running.ready().await;
    running.post("/v1/rules/models/pause").await;
    let mut idle = std::net::TcpStream::connect(running.address).unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut waiting = std::net::TcpStream::connect(running.address).unwrap();
    waiting
        .write_all(b"POST /v1/rules/models/wait?until=2999-01-01T00:00:00Z&timeout=1h HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        .unwrap();
    running
        .get_until("/metrics", |answer| {
            answer
                .body
                .contains("\nskyfresh_http_requests_in_flight 2\n")
        })
        .await;
    let address = running.address;
    let began = SystemClock.now();
    running.finish().await;
    assert!(
        SystemClock.now().since(began) < Duration::from_secs(5),
        "nothing held the shutdown up"
    );
    for (mut client, status) in [(idle, "HTTP/1.1 200"), (waiting, "HTTP/1.1 503")] {
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(status), "{answer}");
    }
    assert!(
        std::net::TcpStream::connect(address).is_err(),
        "nobody listens any more"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_does_not_wait_for_a_client_that_never_ends_its_request() {
    let options = ServerOptions {
        shutdown_limit: Duration::from_millis(200),
        ..with_secret()
    };
    let running = start(options).await;
    let mut slow = std::net::TcpStream::connect(running.address).unwrap();
    let begun = format!(
        "POST /v1/notifications HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SECRET}\r\nContent-Length: 10\r\n\r\n{{"
    );
    slow.write_all(begun.as_bytes()).unwrap();
    running
        .get_until("/metrics", |answer| {
            answer
                .body
                .contains("\nskyfresh_http_requests_in_flight 2\n")
        })
        .await;
    let began = SystemClock.now();
    running.finish().await;
    let took = SystemClock.now().since(began);
    assert!(
        took >= Duration::from_millis(200) && took < Duration::from_secs(5),
        "{took:?}"
    );
    let mut answer = Vec::new();
    let _ = slow.read_to_end(&mut answer);
    assert!(
        answer.is_empty(),
        "an unfinished notification is not acknowledged"
    );
}
