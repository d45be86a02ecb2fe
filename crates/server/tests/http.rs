//! What clients see: status codes, authentication, error bodies, and an object that arrives.

mod common;

use common::{Running, models, notification, start};
use futures::FutureExt;
use skyfresh_engine::intake::authenticate::sign;
use skyfresh_engine::intake::notification::LIMIT_BYTES;
use skyfresh_engine::{Applied, Error};
use skyfresh_server::ServerOptions;
use skyfresh_sky::{Clock, Kind, SystemClock};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const SECRET: &str = "s3cret-of-the-webhook";
const BEARER: (&str, &str) = ("Authorization", "Bearer s3cret-of-the-webhook");

fn with_secret() -> ServerOptions {
    ServerOptions {
        webhook_secret: Some(SECRET.into()),
        ..ServerOptions::default()
    }
}

/// One metric's value, by the exact text before it.
async fn metric(running: &Running, series: &str) -> f64 {
    let page = running.get("/metrics").await.body;
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in {page}"))
        .parse()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notification_leads_to_an_object_at_the_destination() {
    let running = start(with_secret()).await;
    running.ready().await;
    // Swept already, so that only the notification can bring the object.
    running
        .get_until("/v1/status/models", |answer| {
            !answer.json()["destinations"][0]["sweep"].is_null()
        })
        .await;
    running.put("a dir/ü+1.bin", b"12345").await;

    let sent = running
        .send(
            "POST",
            "/v1/notifications",
            &[BEARER],
            &notification("a+dir/%C3%BC%2B1.bin"),
        )
        .await;
    assert_eq!(
        (sent.status, sent.json()["submissions"].as_u64()),
        (200, Some(1)),
        "{sent:?}"
    );
    let copied = |answer: &common::Answer| {
        answer.json()["destinations"][0]["totals"]["outcomes"]["copied"] == 1
    };
    running.get_until("/v1/status/models", copied).await;
    assert_eq!(
        running.copy_of("a dir/ü+1.bin").await.as_deref(),
        Some(&b"12345"[..])
    );

    let story = running
        .get("/v1/rules/models/explain?key=a%20dir/%C3%BC%2B1.bin")
        .await
        .json();
    assert_eq!(story[0]["receipts"][0]["outcome"], "copied");
    assert_eq!(story[0]["receipts"][0]["task"]["key"], "a dir/ü+1.bin");
    assert_eq!(
        metric(
            &running,
            "skyfresh_notifications_total{result=\"accepted\"}"
        )
        .await,
        1.0
    );
    running.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_notification_is_taken_and_a_forged_or_replayed_one_is_not() {
    let running = start(with_secret()).await;
    let body = notification("k");
    let now = SystemClock.now();
    let signed = |signature: String, body: Vec<u8>| {
        let running = &running;
        async move {
            let headers = [("X-Skyfresh-Signature", signature.as_str())];
            running
                .send("POST", "/v1/notifications/models", &headers, &body)
                .await
        }
    };
    assert_eq!(
        signed(sign(SECRET, &body, now), body.clone()).await.status,
        200
    );
    let forged = signed(sign(SECRET, &body, now), notification("other")).await;
    assert_eq!(forged.status, 401);
    assert_eq!(forged.header("WWW-Authenticate"), Some("Bearer"));
    let replayed = signed(
        sign(SECRET, &body, now.before(Duration::from_secs(400))),
        body.clone(),
    )
    .await;
    assert_eq!(replayed.status, 401);
    assert!(
        replayed.body.contains("compare the clocks"),
        "{}",
        replayed.body
    );
    let guessed = running
        .send(
            "POST",
            "/v1/notifications",
            &[("Authorization", "Bearer guess")],
            &body,
        )
        .await;
    assert_eq!(guessed.status, 401);
    let unsigned = running.send("POST", "/v1/notifications", &[], &body).await;
    assert_eq!(unsigned.status, 401);

    for (reason, count) in [
        ("wrong_credentials", 2.0),
        ("replayed", 1.0),
        ("missing_credentials", 1.0),
    ] {
        let series = format!("skyfresh_notifications_refused_total{{reason=\"{reason}\"}}");
        assert_eq!(metric(&running, &series).await, count, "{reason}");
    }
    running.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_and_oversized_notifications_are_refused() {
    let running = start(with_secret()).await;
    for bad in [
        &b""[..],
        b"{}",
        b"not JSON",
        b"{\"Records\":[{\"eventName\":\"ObjectCreated:Put\"}]}",
        b"\xff",
    ] {
        let answer = running
            .send("POST", "/v1/notifications", &[BEARER], bad)
            .await;
        assert_eq!(
            (answer.status, answer.json()["error"]["kind"].as_str()),
            (400, Some("invalid")),
            "{answer:?}"
        );
    }
    let unknown = running
        .send(
            "POST",
            "/v1/notifications/nosuch",
            &[BEARER],
            &notification("k"),
        )
        .await;
    assert_eq!(unknown.status, 404);

    // Declared too large: answered although not one byte of the body was sent.
    let declared = format!(
        "POST /v1/notifications HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SECRET}\r\nContent-Length: {}\r\n\r\n",
        LIMIT_BYTES + 1
    );
    assert_eq!(running.raw(declared.into_bytes()).await.status, 413);
    // Undeclared: chunk after chunk until the limit is passed, without ever ending.
    let mut chunked =
        format!("POST /v1/notifications HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SECRET}\r\nTransfer-Encoding: chunked\r\n\r\n")
            .into_bytes();
    for _ in 0..=LIMIT_BYTES / 65_536 {
        chunked.extend_from_slice(b"10000\r\n");
        chunked.resize(chunked.len() + 65_536, b' ');
        chunked.extend_from_slice(b"\r\n");
    }
    assert_eq!(running.raw(chunked).await.status, 413);

    for (reason, count) in [
        ("malformed", 5.0),
        ("unknown_rule", 1.0),
        ("too_large", 2.0),
    ] {
        let series = format!("skyfresh_notifications_refused_total{{reason=\"{reason}\"}}");
        assert_eq!(metric(&running, &series).await, count, "{reason}");
    }
    running.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_secret_notifications_are_refused_unless_that_is_allowed() {
    let running = start(ServerOptions::default()).await;
    let refused = running
        .send("POST", "/v1/notifications", &[BEARER], &notification("k"))
        .await;
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("webhook_secret"), "{}", refused.body);
    running.finish().await;

    let allowed = ServerOptions {
        allow_unauthenticated_notifications: true,
        ..ServerOptions::default()
    };
    let running = start(allowed).await;
    assert_eq!(
        running
            .send("POST", "/v1/notifications", &[], &notification("k"))
            .await
            .status,
        200
    );
    running.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_guards_everything_but_health_the_page_and_notifications() {
    let options = ServerOptions {
        api_token: Some("t0ken".into()),
        webhook_secret: Some(SECRET.into()),
        reload: Some(Arc::new(|| async { Ok(Applied::default()) }.boxed())),
        ..ServerOptions::default()
    };
    let running = start(options).await;
    running.ready().await;
    let guarded = [
        ("GET", "/v1/rules", 200),
        ("GET", "/v1/status", 200),
        ("GET", "/v1/status/models", 200),
        ("GET", "/metrics", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/v1/rules/models/explain?key=k", 200),
        ("POST", "/v1/rules/models/pause", 200),
        ("POST", "/v1/rules/models/resume", 200),
        ("POST", "/v1/rules/models/sweep", 202),
        ("POST", "/v1/rules/models/wait?timeout=10s", 200),
        ("POST", "/v1/reload", 200),
    ];
    for (method, path, expected) in guarded {
        let refused = running.send(method, path, &[], b"").await;
        assert_eq!(refused.status, 401, "{path}");
        assert_eq!(refused.header("WWW-Authenticate"), Some("Bearer"), "{path}");
        for wrong in ["Bearer t0ke", "Bearer t0ken1", "Basic t0ken", ""] {
            let refused = running
                .send(method, path, &[("Authorization", wrong)], b"")
                .await;
            assert_eq!(refused.status, 401, "{path} {wrong:?}");
        }
        let answered = running
            .send(method, path, &[("Authorization", "Bearer t0ken")], b"")
            .await;
        assert_eq!(answered.status, expected, "{path}: {answered:?}");
    }
    for open in ["/", "/healthz", "/readyz"] {
        assert_eq!(running.get(open).await.status, 200, "{open}");
    }
    // The two secrets are two: neither opens the other's door.
    assert_eq!(
        running
            .send("GET", "/v1/rules", &[BEARER], b"")
            .await
            .status,
        401
    );
    let token = ("Authorization", "Bearer t0ken");
    assert_eq!(
        running
            .send("POST", "/v1/notifications", &[token], &notification("k"))
            .await
            .status,
        401
    );
    running.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_another_origin_cannot_change_anything() {
    let running = start(ServerOptions::default()).await;
    let foreign = [("Origin", "http://evil.example")];
    assert_eq!(
        running
            .send("POST", "/v1/rules/models/pause", &foreign, b"")
            .await
            .status,
        403
    );
    assert_eq!(
        running.get("/v1/status/models").await.json()["paused"],
        false
    );
    running.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_have_one_form() {
    let running = start(with_secret()).await;
    let mut shown = String::new();
    for (method, path) in [
        ("GET", "/nowhere"),
        ("POST", "/v1/status"),
        ("GET", "/v1/status/nosuch"),
        ("POST", "/v1/rules/nosuch/pause"),
        ("GET", "/v1/rules/models/explain"),
        ("GET", "/v1/rules/models/explain?key="),
        ("GET", "/v1/rules/models/explain?kye=a"),
        ("GET", "/v1/rules/models/explain?key=%ff"),
        ("POST", "/v1/rules/models/wait?until=yesterday"),
        ("POST", "/v1/rules/models/wait?timeout=60"),
        ("POST", "/v1/reload"),
        ("POST", "/v1/notifications"),
    ] {
        let answer = running.send(method, path, &[], b"").await;
        let body = serde_json::to_string_pretty(&answer.json()).unwrap();
        shown.push_str(&format!("{method} {path}\n{} {body}\n\n", answer.status));
    }
    insta::assert_snapshot!(shown);
    running.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_reload_says_why_without_saying_secrets() {
    let reload = || {
        let why = "cannot open s3://b/?endpoint=https://me:hunter2@host/: no such host";
        async move { Err(Error::new(Kind::Invalid, "apply rules", "models", why)) }.boxed()
    };
    let running = start(ServerOptions {
        reload: Some(Arc::new(reload)),
        ..ServerOptions::default()
    })
    .await;
    let answer = running.post("/v1/reload").await;
    assert_eq!(answer.status, 400);
    assert!(
        answer.body.contains("https://***@host/") && !answer.body.contains("hunter2"),
        "{}",
        answer.body
    );
    running.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locations_are_shown_without_credentials() {
    let mut rule = models();
    rule.destinations[0].location = common::location("mem://copy/?endpoint=http://me:hunter2@host");
    let ledger = Arc::new(skyfresh_ledger::MemoryLedger::new());
    let running = common::start_with(
        ServerOptions::default(),
        vec![rule],
        ledger,
        common::memory_sky(),
    )
    .await;
    for path in ["/v1/rules", "/v1/status", "/metrics"] {
        let answer = running.get(path).await;
        assert_eq!(answer.status, 200);
        assert!(!answer.body.contains("hunter2"), "{path}: {}", answer.body);
    }
    assert!(
        running
            .get("/v1/rules")
            .await
            .body
            .contains("http://***@host")
    );
    running.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pausing_resuming_and_waiting() {
    let running = start(ServerOptions::default()).await;
    running.ready().await;
    running.put("k", b"1").await;
    assert_eq!(
        running.post("/v1/rules/models/pause").await.json()["paused"],
        true
    );
    let timed_out = running
        .post("/v1/rules/models/wait?until=now&timeout=200ms")
        .await;
    assert_eq!(
        (timed_out.status, timed_out.json()["outcome"].as_str()),
        (200, Some("timed_out"))
    );
    assert_eq!(
        running.post("/v1/rules/models/resume").await.json()["paused"],
        false
    );
    let reached = running
        .post("/v1/rules/models/wait?until=now&timeout=30s")
        .await;
    assert_eq!(reached.json()["outcome"], "reached", "{reached:?}");
    assert_eq!(running.copy_of("k").await.as_deref(), Some(&b"1"[..]));
    running.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_hardened_and_the_page_has_a_strict_policy() {
    let running = start(ServerOptions::default()).await;
    for path in ["/", "/healthz", "/nowhere", "/v1/status"] {
        let answer = running.get(path).await;
        assert_eq!(
            answer.header("X-Content-Type-Options"),
            Some("nosniff"),
            "{path}"
        );
        assert_eq!(answer.header("Cache-Control"), Some("no-store"), "{path}");
        let policy = answer.header("Content-Security-Policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
    }
    let answer = running.post("/v1/status").await;
    assert_eq!(
        (answer.status, answer.header("Allow")),
        (405, Some("GET,HEAD"))
    );
    running.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_ledger_fails_nothing_is_acknowledged() {
    let ledger = Arc::new(common::failing_ledger::FailingLedger::default());
    let running = common::start_with(
        with_secret(),
        vec![models()],
        Arc::clone(&ledger) as _,
        common::memory_sky(),
    )
    .await;
    running.ready().await;

    ledger.refuse_signals.store(true, Ordering::SeqCst);
    let refused = running
        .send("POST", "/v1/notifications", &[BEARER], &notification("k"))
        .await;
    assert_eq!(
        (refused.status, refused.header("Retry-After")),
        (503, Some("2")),
        "{refused:?}"
    );
    assert!(refused.body.contains("send it again"), "{}", refused.body);
    assert_eq!(
        metric(
            &running,
            "skyfresh_notifications_refused_total{reason=\"ledger\"}"
        )
        .await,
        1.0
    );
    ledger.refuse_signals.store(false, Ordering::SeqCst);
    assert_eq!(
        running
            .send("POST", "/v1/notifications", &[BEARER], &notification("k"))
            .await
            .status,
        200
    );

    ledger.refuse_reads.store(true, Ordering::SeqCst);
    assert_eq!(running.get("/v1/status").await.status, 500);
    let unready = running.get("/readyz").await;
    assert_eq!(unready.status, 503);
    assert!(
        !unready.body.contains("no space left"),
        "an open route tells no details: {}",
        unready.body
    );
    assert_eq!(
        running.get("/healthz").await.status,
        200,
        "a failing ledger is no reason to restart"
    );
    running.finish().await;
}
