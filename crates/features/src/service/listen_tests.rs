//! Answers over sockets, at once or not, are those of the router; connections end when they should.

use super::*;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use serde_json::json;
use skyfresh_sky::{Clock, ManualClock, Rng, SystemClock, Timestamp, timeout};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

const CONFIG: &str = r#"
[[view]]
name = "carts"
key = "user_id"
source = "clicks"
ttl_s = 600.0
[view.function]
kind = "window-aggregates"
column = "price"
window_s = 3600.0
aggregates = ["sum"]

[[view]]
name = "profile"
key = "user_id"
features = ["age", "city"]

[[feature_service]]
name = "cart_model"
features = ["carts:price_sum", "profile:city"]
"#;

const ONLINE: &str = "/get-online-features";
/// 2026-11-27T00:00:00Z.
const START_MS: u64 = 1_795_737_600_000;
/// How long anything may take before the test fails.
const SOON: Duration = Duration::from_secs(20);

struct Served {
    service: Arc<Service>,
    clock: ManualClock,
    address: String,
    stop: CancellationToken,
    serving: JoinHandle<crate::Result<()>>,
}

/// A service over a folder's file, and its server.
async fn served(folder: &Path) -> Served {
    let clock = ManualClock::at(Timestamp::from_unix_ms(START_MS));
    let store = Store::open(&folder.join("features.redb")).unwrap();
    let config = FeaturesConfig::parse(CONFIG).unwrap();
    let opened = Service::open(config, store, Arc::new(clock.clone()), &Rng::seeded(1));
    let service = Arc::new(opened.unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(listener, Arc::clone(&service), stop.clone()));
    Served {
        service,
        clock,
        address,
        stop,
        serving,
    }
}

/// A cart for users 1 to 3, and profiles for users 2 to 400.
fn fill(service: &Service) {
    let event = |user: u64, columns: serde_json::Value| {
        let columns = columns.as_object().unwrap().clone().into_iter().collect();
        let at_ms = START_MS as i64 - 1_500 * user as i64;
        (user.to_string(), crate::function::Event { at_ms, columns })
    };
    let carts = (1..4).map(|user| event(user, json!({"price": user as f64 / 8.0})));
    service.push("carts", carts.collect()).unwrap();
    service.update(10).unwrap();
    let city = |user: u64| json!({"age": user, "city": format!("\"{user}\"€")});
    let profiles = (2..401).map(|user| event(user, city(user)));
    service.write("profile", profiles.collect()).unwrap();
}

/// Status, type of the content, ids, body.
type Told = (u16, String, String, String);

/// What the router says, without a socket.
async fn by_router(service: &Arc<Service>, method: &str, path: &str, body: &str) -> Told {
    let request = Request::builder().method(method).uri(path);
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let response = router(Arc::clone(service)).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let header = |name: &str| {
        let value = parts.headers.get(name);
        value.map_or(String::new(), |value| value.to_str().unwrap().to_owned())
    };
    (
        parts.status.as_u16(),
        header("content-type"),
        header("x-skyfresh-feature-ids"),
        String::from_utf8(body.to_vec()).unwrap(),
    )
}

fn head(method: &str, path: &str, length: usize) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: features\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// What the server says over a connection that is kept.
async fn by_socket(stream: &mut TcpStream, method: &str, path: &str, body: &str) -> Told {
    let request = head(method, path, body.len()) + body;
    stream.write_all(request.as_bytes()).await.unwrap();
    answer(stream).await
}

async fn answer(stream: &mut TcpStream) -> Told {
    let mut bytes = Vec::new();
    loop {
        let mut buffer = [0; 4_096];
        let read = timeout(&SystemClock, SOON, stream.read(&mut buffer)).await;
        let read = read.expect("no answer came").unwrap();
        assert!(read > 0, "the connection was closed");
        bytes.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let header = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            let found = lines.find(|(known, _)| *known == name);
            found.map_or(String::new(), |(_, value)| value.to_owned())
        };
        let length: usize = header("content-length").parse().unwrap();
        if bytes.len() == head.len() + 4 + length {
            let status = head.split(' ').nth(1).unwrap().parse().unwrap();
            let ids = header("x-skyfresh-feature-ids");
            return (status, header("content-type"), ids, body.to_owned());
        }
    }
}

/// That the other side closed the connection.
async fn closed(stream: &mut TcpStream) -> bool {
    let read = timeout(&SystemClock, SOON, stream.read(&mut [0; 16])).await;
    matches!(read, Some(Ok(0) | Err(_)))
}

/// A service with rows, none of them in memory: what was written last would be, so it is started anew.
async fn filled(folder: &Path) -> Served {
    let before = served(folder).await;
    fill(&before.service);
    before.stop.cancel();
    before.serving.await.unwrap().unwrap();
    drop(before.service);
    served(folder).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_over_sockets_are_those_of_the_router() {
    let folder = tempfile::tempdir().unwrap();
    let served = filled(folder.path()).await;
    let mut stream = TcpStream::connect(&served.address).await.unwrap();
    let users = |users: std::ops::Range<u64>| users.collect::<Vec<u64>>();
    let ask = |features: &[&str], users: Vec<u64>| {
        json!({"features": features, "entities": {"user_id": users}}).to_string()
    };
    let both = ["carts:price_sum", "profile:age", "profile:city"];
    let mut bodies = vec![
        ask(&both, users(1..4)),
        // Again, from memory, and in another order.
        ask(&both, users(1..4)),
        ask(&["profile:city", "carts:price_sum"], users(2..3)),
        ask(&both, users(0..6)),
        // Too many to be answered at once.
        ask(&both[1..], (0..6_000).map(|user| 2 + user % 399).collect()),
        json!({"feature_service": "cart_model", "entities": {"user_id": [2]}}).to_string(),
        json!({"feature_service": "cart_model", "entities": {"user_id": [3]}, "full_feature_names": true}).to_string(),
        json!({"feature_service": "cart_model", "features": both, "entities": {"user_id": [2]}}).to_string(),
        json!({"feature_service": "cart_model", "features": [1], "entities": {"user_id": [2]}}).to_string(),
        json!({"features": both, "entities": {"user_id": ["2", 3.0]}, "full_feature_names": true}).to_string(),
        r#"{"features": ["profile:\u0061ge"], "entities": {"user_id": [2]}}"#.to_owned(),
        // A longer body than is read at once.
        ask(&both, users(1..4)) + &" ".repeat(100_000),
    ];
    // Refused.
    bodies.extend([
        String::new(),
        "{".to_owned(),
        "{}".to_owned(),
        ask(&[], users(1..2)),
        ask(&["age"], users(1..2)),
        ask(&["profile:none"], users(1..2)),
        ask(&["profile:age", "profile:age"], users(1..2)),
        r#"{"features": null, "entities": {"user_id": [2]}}"#.to_owned(),
        r#"{"features": ["profile:age", 1], "entities": {"user_id": [2]}}"#.to_owned(),
        r#"{"features": "profile:age", "entities": {"user_id": [2]}}"#.to_owned(),
        r#"{"features": ["profile:age"], "features": [], "entities": {"user_id": [2]}}"#.to_owned(),
        r#"{"features": ["profile:\ud800"], "entities": {"user_id": [2]}}"#.to_owned(),
        r#"{"features": ["profile:age"], "entities": {"user_id": 2}}"#.to_owned(),
        r#"{"features": ["profile:age"], "entities": {"user_id": [[2]]}}"#.to_owned(),
        r#"{"features": ["profile:age"], "entities": {"other": [2]}}"#.to_owned(),
        r#"{"features": ["profile:age"], "entities": {"user_id": [2], "b": []}}"#.to_owned(),
    ]);
    for turn in 0..3 {
        for body in &bodies {
            // The socket's first, so that rows are out of memory at its first turn.
            let told = by_socket(&mut stream, "POST", ONLINE, body).await;
            let expected = by_router(&served.service, "POST", ONLINE, body).await;
            assert_eq!(told, expected, "turn {turn}: {body:.200}");
        }
        for (method, path) in [("GET", ONLINE), ("POST", "/none"), ("GET", "/health")] {
            let told = by_socket(&mut stream, method, path, "").await;
            let expected = by_router(&served.service, method, path, "").await;
            assert_eq!(told, expected, "{method} {path}");
        }
        // Carts are past their time then.
        served.clock.advance(Duration::from_secs(400));
    }
    let (status, kind, ids, body) = by_socket(&mut stream, "POST", ONLINE, &bodies[3]).await;
    assert_eq!((status, kind.as_str()), (200, "application/json"));
    assert!(ids.starts_with("carts/0/0,carts/1/1,"), "{ids}");
    let column = r#"{"values":[null,null,null,null,null,null],"statuses":["NOT_FOUND","OUTSIDE_MAX_AGE","OUTSIDE_MAX_AGE","OUTSIDE_MAX_AGE","NOT_FOUND","NOT_FOUND"],"event_timestamps":["1970-01-01T00:00:00Z","2026-11-26T23:59:58.500Z","2026-11-26T23:59:57Z","2026-11-26T23:59:55.500Z","1970-01-01T00:00:00Z","1970-01-01T00:00:00Z"]},{"values":[null,null,2,3,4,5],"#;
    assert!(body.contains(column), "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_is_counted_once_whoever_answers_it() {
    let folder = tempfile::tempdir().unwrap();
    let served = filled(folder.path()).await;
    let mut stream = TcpStream::connect(&served.address).await.unwrap();
    let counted = || served.service.status()[0].schedule.queries;
    // Out of the store, from memory, and partly out of the store.
    for (users, expected) in [([1, 1], 2), ([1, 1], 4), ([1, 2], 6), ([2, 9], 7)] {
        let asked = json!({"features": ["carts:price_sum"], "entities": {"user_id": users}});
        let told = by_socket(&mut stream, "POST", ONLINE, &asked.to_string()).await;
        assert_eq!(told.0, 200, "{told:?}");
        assert_eq!(counted(), expected, "{users:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_is_answered_when_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let served = served(folder.path()).await;
    fill(&served.service);
    let (mut idle, mut busy) = (
        TcpStream::connect(&served.address).await.unwrap(),
        TcpStream::connect(&served.address).await.unwrap(),
    );
    let body = r#"{"features": ["profile:age"], "entities": {"user_id": [2]}}"#;
    // Each connection is known to have been taken once it has answered.
    for stream in [&mut idle, &mut busy] {
        assert_eq!(by_socket(stream, "POST", ONLINE, body).await.0, 200);
    }
    let (first, second) = body.split_at(20);
    let begun = head("POST", ONLINE, body.len()) + first;
    busy.write_all(begun.as_bytes()).await.unwrap();
    SystemClock.sleep(Duration::from_millis(100)).await;
    served.stop.cancel();
    assert!(closed(&mut idle).await, "it has nothing under way");
    assert!(!served.serving.is_finished(), "a request is under way");
    busy.write_all(second.as_bytes()).await.unwrap();
    assert_eq!(answer(&mut busy).await.0, 200);
    assert!(closed(&mut busy).await);
    let ended = timeout(&SystemClock, SOON, served.serving).await;
    ended.expect("it goes on").unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_end_with_a_server_that_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let served = served(folder.path()).await;
    let mut stream = TcpStream::connect(&served.address).await.unwrap();
    let told = by_socket(&mut stream, "GET", "/health", "").await;
    assert_eq!(told.0, 200);
    served.serving.abort();
    assert!(closed(&mut stream).await);
}
