//! What strangers can do to the addresses that the clouds push to: nothing but be counted.

mod common;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::failing_ledger::FailingLedger;
use common::tokens::{Issuer, header, seconds, signed};
use common::{Answer, Running, memory_sky, models, start, start_with};
use serde_json::{Value, json};
use skyfresh_server::{EventGridRules, PUSH_LIMIT_BYTES, ServerOptions, TokenRules};
use std::sync::Arc;
use std::sync::atomic::Ordering;

const PUBSUB: &str = "/v1/notify/pubsub";
const GRID: &str = "/v1/notify/eventgrid";
const AUDIENCE: &str = "https://skyfresh.example/v1/notify/pubsub";
const ACCOUNT: &str = "push@project.iam.gserviceaccount.com";
const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const APPLICATION: &str = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";
const CODE: &str = "c0de+that/nobody=knows";

fn google() -> Value {
    json!({ "iss": "https://accounts.google.com", "aud": AUDIENCE, "azp": "1", "sub": "1", "email": ACCOUNT,
        "email_verified": true, "iat": seconds(-10), "exp": seconds(3_600) })
}

fn entra() -> Value {
    json!({ "iss": format!("https://login.microsoftonline.com/{TENANT}/v2.0"), "aud": APPLICATION, "tid": TENANT,
        "iat": seconds(-10), "nbf": seconds(-10), "exp": seconds(3_600) })
}

fn changed(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

fn options(issuer: &Issuer) -> ServerOptions {
    ServerOptions {
        pubsub: Some(TokenRules::google(AUDIENCE, ACCOUNT)),
        event_grid: Some(EventGridRules {
            secret: Some(CODE.into()),
            token: Some(TokenRules::entra(TENANT, APPLICATION)),
        }),
        fetch_keys: Some(issuer.fetch()),
        ..ServerOptions::default()
    }
}

async fn running() -> (Running, Issuer) {
    let issuer = Issuer::default();
    issuer.publish(&[("k1", 0)]);
    let running = start(options(&issuer)).await;
    running.ready().await;
    (running, issuer)
}

fn message(id: &str, key: &str) -> Vec<u8> {
    let attributes = json!({ "eventType": "OBJECT_FINALIZE", "bucketId": "source", "objectId": key, "payloadFormat": "NONE" });
    json!({ "message": { "data": "", "attributes": attributes, "messageId": id }, "subscription": "projects/p/subscriptions/s" })
        .to_string()
        .into_bytes()
}

fn grid_event(id: &str, key: &str) -> Value {
    json!({ "id": id, "topic": "/x/storageAccounts/acme", "subject": format!("/blobServices/default/containers/source/blobs/{key}"),
        "eventType": "Microsoft.Storage.BlobCreated", "eventTime": "2026-01-01T00:00:00Z", "dataVersion": "", "metadataVersion": "1",
        "data": { "url": format!("https://acme.blob.core.windows.net/source/{key}"), "contentLength": 3 } })
}

fn code() -> String {
    format!("{GRID}?code=c0de%2Bthat%2Fnobody%3Dknows")
}

async fn post(running: &Running, path: &str, token: Option<&str>, body: &[u8]) -> Answer {
    let value = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<(&str, &str)> = value
        .iter()
        .map(|value| ("Authorization", value.as_str()))
        .collect();
    running.send("POST", path, &headers, body).await
}

async fn refused(running: &Running, reason: &str) -> f64 {
    let page = running.get("/metrics").await.body;
    let series = format!("skyfresh_notifications_refused_total{{reason=\"{reason}\"}} ");
    let line = page.lines().find_map(|line| line.strip_prefix(&series));
    line.unwrap_or_else(|| panic!("no {series}"))
        .parse()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_with_googles_token_leads_to_an_object_at_the_destination() {
    let (running, issuer) = running().await;
    running.put("from pubsub", b"abc").await;
    let token = signed(0, &header("k1"), &google());
    let answer = post(&running, PUBSUB, Some(&token), &message("1", "from pubsub")).await;
    assert_eq!(
        (answer.status, &answer.json()["submissions"]),
        (200, &json!(1)),
        "{answer:?}"
    );
    running
        .get_until("/v1/status", |status| status.body.contains("\"copied\":1"))
        .await;
    assert_eq!(
        running.copy_of("from pubsub").await.as_deref(),
        Some(&b"abc"[..])
    );
    // Again: it is known, and answered as taken, for it is.
    let again = post(&running, PUBSUB, Some(&token), &message("1", "from pubsub")).await;
    assert_eq!((again.status, &again.json()["records"]), (200, &json!(0)));
    assert_eq!(refused(&running, "duplicate").await, 1.0);
    let intake = running.get("/v1/channels").await.json();
    assert_eq!(
        intake["notifications"]["refused"],
        json!({ "duplicate": 1 })
    );
    assert_eq!(issuer.reads.load(Ordering::SeqCst), 1, "keys are read once");
    running.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_tokens_are_refused_by_what_is_wrong_with_them() {
    let (running, _issuer) = running().await;
    let good = signed(0, &header("k1"), &google());
    let parts: Vec<&str> = good.split('.').collect();
    let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let other_claims = encoded(&changed(google(), "sub", json!("2")));
    let none = encoded(&json!({ "alg": "none" }));
    let hmac = encoded(&json!({ "alg": "HS256", "kid": "k1" }));
    let critical = json!({ "alg": "RS256", "kid": "k1", "crit": ["b64"] });
    let forged = [
        (
            "other claims under the signature",
            format!("{}.{other_claims}.{}", parts[0], parts[2]),
        ),
        (
            "another key under the name",
            signed(1, &header("k1"), &google()),
        ),
        ("an unknown key", signed(1, &header("k2"), &google())),
        (
            "no algorithm, no signature",
            format!("{none}.{}.", parts[1]),
        ),
        (
            "no algorithm, some signature",
            format!("{none}.{}.{}", parts[1], parts[2]),
        ),
        // What a library falls for that takes the public key for an HMAC secret.
        (
            "a symmetric algorithm",
            format!("{hmac}.{}.{}", parts[1], parts[2]),
        ),
        ("an extension nobody knows", signed(0, &critical, &google())),
        ("no token", "nonsense".to_owned()),
        ("two dots and nothing", "..".to_owned()),
        ("a cut signature", good[..good.len() - 4].to_owned()),
        (
            "no expiry",
            signed(
                0,
                &header("k1"),
                &json!({ "iss": "https://accounts.google.com", "aud": AUDIENCE }),
            ),
        ),
        ("longer than any token", "x".repeat(20_000)),
    ];
    for (what, token) in &forged {
        let answer = post(&running, PUBSUB, Some(token), &message("1", "k")).await;
        assert_eq!(answer.status, 401, "{what}: {answer:?}");
        assert!(
            !answer.body.contains(token.as_str()),
            "{what}: the token is not repeated"
        );
    }
    assert_eq!(
        refused(&running, "wrong_credentials").await,
        forged.len() as f64
    );
    let not_for_us = [
        changed(google(), "aud", json!("https://elsewhere.example")),
        changed(google(), "aud", json!([])),
        changed(
            google(),
            "iss",
            json!("https://accounts.google.com.evil.example"),
        ),
        changed(
            google(),
            "email",
            json!("someone@else.iam.gserviceaccount.com"),
        ),
        changed(google(), "email_verified", json!(false)),
    ];
    for claims in &not_for_us {
        let token = signed(0, &header("k1"), claims);
        let answer = post(&running, PUBSUB, Some(&token), &message("1", "k")).await;
        assert_eq!(answer.status, 401, "{claims}: {answer:?}");
    }
    assert_eq!(
        refused(&running, "wrong_audience").await,
        not_for_us.len() as f64
    );
    let out_of_time = [
        changed(google(), "exp", json!(seconds(-120))),
        changed(google(), "iat", json!(seconds(600))),
        changed(google(), "nbf", json!(seconds(600))),
    ];
    for claims in &out_of_time {
        let token = signed(0, &header("k1"), claims);
        let answer = post(&running, PUBSUB, Some(&token), &message("1", "k")).await;
        assert_eq!(answer.status, 401, "{claims}: {answer:?}");
    }
    assert_eq!(refused(&running, "expired").await, out_of_time.len() as f64);
    assert_eq!(
        post(&running, PUBSUB, None, &message("1", "k"))
            .await
            .status,
        401
    );
    assert_eq!(refused(&running, "missing_credentials").await, 1.0);
    // Clocks a little apart are no forgery.
    let skewed = changed(google(), "exp", json!(seconds(-30)));
    let answer = post(
        &running,
        PUBSUB,
        Some(&signed(0, &header("k1"), &skewed)),
        &message("1", "k"),
    )
    .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    running.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_read_when_there_may_be_new_ones_but_not_at_every_strangers_wish() {
    let issuer = Issuer::default();
    let running = start(options(&issuer)).await;
    let first = signed(0, &header("k1"), &google());
    let unavailable = post(&running, PUBSUB, Some(&first), &message("1", "k")).await;
    assert_eq!(
        unavailable.status, 503,
        "the sender keeps it: {unavailable:?}"
    );
    assert_eq!(refused(&running, "keys_unavailable").await, 1.0);
    for number in 0..50 {
        let token = signed(0, &header(&format!("invented {number}")), &google());
        assert_ne!(
            post(&running, PUBSUB, Some(&token), &message("1", "k"))
                .await
                .status,
            200
        );
    }
    assert_eq!(
        issuer.reads.load(Ordering::SeqCst),
        1,
        "one read in thirty seconds"
    );
    running.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oversized_and_malformed_pushes_are_refused() {
    let (running, _issuer) = running().await;
    let token = signed(0, &header("k1"), &google());
    let grid = code();
    for (path, authorization) in [
        (PUBSUB, format!("Authorization: Bearer {token}\r\n")),
        (&grid, String::new()),
    ] {
        // Declared too large: answered although not one byte of the body was sent.
        let declared = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\n{authorization}Content-Length: {}\r\n\r\n",
            PUSH_LIMIT_BYTES + 1
        );
        assert_eq!(
            running.raw(declared.into_bytes()).await.status,
            413,
            "{path}"
        );
        let mut chunked = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\n{authorization}Transfer-Encoding: chunked\r\n\r\n"
        )
        .into_bytes();
        for _ in 0..=PUSH_LIMIT_BYTES / 65_536 {
            chunked.extend_from_slice(b"10000\r\n");
            chunked.resize(chunked.len() + 65_536, b' ');
            chunked.extend_from_slice(b"\r\n");
        }
        assert_eq!(running.raw(chunked).await.status, 413, "{path}");
    }
    assert_eq!(refused(&running, "too_large").await, 4.0);
    let not_base64 = String::from_utf8(message("1", "k"))
        .unwrap()
        .replace("\"data\":\"\"", "\"data\":\"%\"");
    for bad in [&b""[..], b"{}", b"[]", b"\xff", not_base64.as_bytes()] {
        let answer = post(&running, PUBSUB, Some(&token), bad).await;
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    for bad in [&b""[..], b"{}", b"[7]", b"[{\"eventType\":\"Other\"}]"] {
        assert_eq!(post(&running, &grid, None, bad).await.status, 400);
    }
    assert_eq!(refused(&running, "malformed").await, 9.0);
    // A stranger's body is not even read: the refusal comes before the length is looked at.
    let stranger = format!(
        "POST {PUBSUB} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        1u64 << 40
    );
    assert_eq!(running.raw(stranger.into_bytes()).await.status, 401);
    running.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_grid_is_answered_as_it_expects_and_strangers_are_not() {
    let (running, _issuer) = running().await;
    let grid = code();
    let validation = json!([{ "id": "v", "topic": "", "subject": "", "eventTime": "2026-01-01T00:00:00Z", "dataVersion": "1",
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "data": { "validationCode": "512d38b6" } }]);
    let body = validation.to_string();
    let answer = post(&running, &grid, None, body.as_bytes()).await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({ "validationResponse": "512d38b6" }))
    );
    let origin = [("WebHook-Request-Origin", "eventgrid.azure.net")];
    let answer = running.send("OPTIONS", &grid, &origin, b"").await;
    assert_eq!(
        (answer.status, answer.header("WebHook-Allowed-Origin")),
        (200, Some("eventgrid.azure.net")),
        "{answer:?}"
    );
    assert!(answer.header("WebHook-Allowed-Rate").is_some());
    assert_eq!(running.send("OPTIONS", &grid, &[], b"").await.status, 400);

    running.put("one", b"1").await;
    running.put("two", b"2").await;
    let both = json!([
        grid_event("1", "one"),
        grid_event("2", "two"),
        grid_event("2", "two")
    ]);
    let answer = post(&running, &grid, None, both.to_string().as_bytes()).await;
    assert_eq!(
        (answer.status, &answer.json()["submissions"]),
        (200, &json!(2)),
        "{answer:?}"
    );
    assert_eq!(refused(&running, "duplicate").await, 1.0);
    running
        .get_until("/v1/status", |status| status.body.contains("\"copied\":2"))
        .await;
    let token = signed(0, &header("k1"), &entra());
    let event = grid_event("3", "one").to_string();
    assert_eq!(
        post(&running, GRID, Some(&token), event.as_bytes())
            .await
            .status,
        200
    );
    assert_eq!(
        post(&running, GRID, Some(CODE), event.as_bytes())
            .await
            .status,
        200
    );

    let before = refused(&running, "wrong_credentials").await;
    let wrong = [
        format!("{GRID}?code=wrong"),
        format!("{GRID}?code="),
        format!("{GRID}?code=c0de"),
    ];
    for path in &wrong {
        assert_eq!(
            post(&running, path, None, body.as_bytes()).await.status,
            401,
            "not even a handshake"
        );
        assert_eq!(
            running.send("OPTIONS", path, &origin, b"").await.status,
            401
        );
    }
    assert_eq!(refused(&running, "wrong_credentials").await - before, 6.0);
    for (claims, reason) in [
        (changed(entra(), "tid", json!("other")), "wrong_audience"),
        (changed(entra(), "aud", json!("other")), "wrong_audience"),
        (changed(entra(), "exp", json!(seconds(-3_600))), "expired"),
    ] {
        let before = refused(&running, reason).await;
        let token = signed(0, &header("k1"), &claims);
        assert_eq!(
            post(&running, GRID, Some(&token), event.as_bytes())
                .await
                .status,
            401
        );
        assert_eq!(refused(&running, reason).await, before + 1.0);
    }
    assert_eq!(
        post(&running, GRID, None, event.as_bytes()).await.status,
        401
    );
    // A token that is good for the other cloud.
    let googles = signed(0, &header("k1"), &google());
    assert_eq!(
        post(&running, GRID, Some(&googles), event.as_bytes())
            .await
            .status,
        401
    );
    running.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_ledger_did_not_take_may_be_sent_again() {
    let issuer = Issuer::default();
    issuer.publish(&[("k1", 0)]);
    let ledger = Arc::new(FailingLedger::default());
    let running = start_with(
        options(&issuer),
        vec![models()],
        Arc::clone(&ledger) as _,
        memory_sky(),
    )
    .await;
    let token = signed(0, &header("k1"), &google());
    let grid = code();
    let event = grid_event("1", "k").to_string();
    ledger.refuse_signals.store(true, Ordering::SeqCst);
    assert_eq!(
        post(&running, PUBSUB, Some(&token), &message("1", "k"))
            .await
            .status,
        503
    );
    assert_eq!(
        post(&running, &grid, None, event.as_bytes()).await.status,
        503
    );
    ledger.refuse_signals.store(false, Ordering::SeqCst);
    let answer = post(&running, PUBSUB, Some(&token), &message("1", "k")).await;
    assert_eq!(
        (answer.status, &answer.json()["records"]),
        (200, &json!(1)),
        "not taken for a duplicate"
    );
    let answer = post(&running, &grid, None, event.as_bytes()).await;
    assert_eq!((answer.status, &answer.json()["records"]), (200, &json!(1)));
    running.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_configuration_nobody_is_trusted() {
    let running = start(ServerOptions {
        webhook_secret: Some("s3cret".into()),
        allow_unauthenticated_notifications: true,
        ..ServerOptions::default()
    })
    .await;
    let token = signed(0, &header("k1"), &google());
    for (path, token) in [
        (PUBSUB, Some(token.as_str())),
        (PUBSUB, None),
        (GRID, Some("s3cret")),
        (GRID, None),
    ] {
        let answer = post(&running, path, token, &message("1", "k")).await;
        assert_eq!(answer.status, 403, "{answer:?}");
    }
    assert_eq!(refused(&running, "not_configured").await, 4.0);
    running.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cloud_event_through_a_plain_webhook_is_taken_too() {
    let running = start(ServerOptions {
        webhook_secret: Some("s3cret".into()),
        ..ServerOptions::default()
    })
    .await;
    for body in [
        message("1", "k"),
        grid_event("1", "k").to_string().into_bytes(),
    ] {
        let answer = post(&running, "/v1/notifications", Some("s3cret"), &body).await;
        assert_eq!(
            (answer.status, &answer.json()["submissions"]),
            (200, &json!(1)),
            "{answer:?}"
        );
    }
    running.finish().await;
}
