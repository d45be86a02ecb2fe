//! Pub/Sub in the sky: how messages get lost and come twice, pushes and their signatures, tokens.

mod support;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, StatusCode};
use rsa::pkcs8::DecodePrivateKey;
use rsa::{BigUint, Pkcs1v15Sign, RsaPrivateKey, RsaPublicKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use skyfresh_localsky::LocalSky;
use skyfresh_sky::{Clock, SystemClock, timeout};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::google::{GoogleClient, google_config, iowa, json};
use support::start;

const TOPIC: &str = "projects/skyfresh/topics/t";
const SUBSCRIPTION: &str = "/v1/projects/skyfresh/subscriptions/s";

async fn wired(subscription: Value) -> (LocalSky, GoogleClient) {
    let sky = start(google_config()).await;
    let client = GoogleClient::new(sky.endpoint(None, &iowa()));
    client
        .call(Method::PUT, &format!("/v1/{TOPIC}"), &json!({}))
        .await;
    client.call(Method::PUT, SUBSCRIPTION, &subscription).await;
    let config = json!({ "topic": TOPIC, "payload_format": "JSON_API_V1" });
    client
        .call(
            Method::POST,
            "/storage/v1/b/data/notificationConfigs",
            &config,
        )
        .await;
    (sky, client)
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            SystemClock.sleep(Duration::from_millis(5)).await;
        }
    };
    let met = timeout(&SystemClock, Duration::from_secs(60), met).await;
    assert!(met.is_some(), "timed out: {what}");
}

async fn pull(client: &GoogleClient, request: Value) -> Vec<Value> {
    let target = format!("{SUBSCRIPTION}:pull");
    let answer = client.call(Method::POST, &target, &request).await;
    answer["receivedMessages"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_get_lost_and_come_twice_as_told() {
    let (sky, client) = wired(json!({ "topic": TOPIC })).await;
    sky.notifications()
        .update(|settings| {
            settings.drop_probability = 0.3;
            settings.duplicate_probability = 0.5;
            settings.reorder_probability = 0.5;
            settings.reorder_window_ms = 30;
        })
        .unwrap();
    for number in 0..200 {
        let put = client.put("data", &format!("k{number}"), "x").await;
        assert_eq!(put.status, 200);
    }
    until("all that is due", || {
        let counts = sky.notifications().counts();
        counts.delivered == counts.emitted - counts.dropped + counts.duplicated
    })
    .await;
    let counts = sky.notifications().counts();
    assert_eq!(counts.emitted, 200);
    assert!((30..90).contains(&counts.dropped), "{counts:?}");
    assert!((40..110).contains(&counts.duplicated), "{counts:?}");
    let received = pull(&client, json!({ "maxMessages": 1000 })).await;
    assert_eq!(received.len() as u64, counts.delivered);
    let mut heard: BTreeMap<String, u64> = BTreeMap::new();
    for message in &received {
        let key = &message["message"]["attributes"]["objectId"];
        *heard.entry(key.to_string()).or_default() += 1;
    }
    assert_eq!(heard.len() as u64, counts.emitted - counts.dropped);
    let generation = |message: &Value| {
        let attributes = &message["message"]["attributes"];
        attributes["objectGeneration"].as_str().unwrap().to_owned()
    };
    assert!(
        !received.is_sorted_by_key(generation),
        "nothing was reordered"
    );
    sky.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_waits_for_a_message() {
    let (sky, client) = wired(json!({ "topic": TOPIC })).await;
    let waiting = tokio::spawn({
        let client = client.clone();
        async move {
            // A pull waits a bounded time; on a slow machine it may take several.
            loop {
                let received = pull(&client, json!({ "maxMessages": 10 })).await;
                if !received.is_empty() {
                    break received;
                }
            }
        }
    });
    client.put("data", "k", "x").await;
    let received = timeout(&SystemClock, Duration::from_secs(60), waiting).await;
    let received = received.expect("a message").unwrap();
    let attributes = &received[0]["message"]["attributes"];
    assert_eq!(attributes["eventType"], "OBJECT_FINALIZE");
    sky.shutdown().await;
}

#[derive(Default)]
struct Heard {
    pushes: Vec<(Value, String)>,
    refusals: u32,
}

type Shared = Arc<Mutex<Heard>>;

async fn hear(
    State(heard): State<Shared>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> StatusCode {
    let mut heard = heard.lock().unwrap();
    if heard.refusals > 0 {
        heard.refusals -= 1;
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let token = headers["authorization"].to_str().unwrap();
    heard.pushes.push((body, token.to_owned()));
    StatusCode::NO_CONTENT
}

async fn webhook(refusals: u32) -> (String, Shared) {
    let heard: Shared = Arc::new(Mutex::new(Heard {
        refusals,
        ..Heard::default()
    }));
    let router = Router::new()
        .route("/push", post(hear))
        .with_state(heard.clone());
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/push", socket.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(socket, router).await.unwrap() });
    (url, heard)
}

fn sha256() -> Pkcs1v15Sign {
    let prefix = hex::decode("3031300d060960864801650304020105000420").unwrap();
    Pkcs1v15Sign {
        hash_len: Some(32),
        prefix: prefix.into(),
    }
}

fn decoded(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushes_are_signed_and_come_again_until_they_are_taken() {
    let (url, heard) = webhook(2).await;
    let oidc = json!({ "serviceAccountEmail": "push@skyfresh.test", "audience": "us" });
    let push = json!({ "pushEndpoint": url, "oidcToken": oidc });
    let (sky, client) = wired(json!({ "topic": TOPIC, "pushConfig": push })).await;
    client.put("data", "k", "body").await;
    until("a push", || !heard.lock().unwrap().pushes.is_empty()).await;
    let (body, token) = heard.lock().unwrap().pushes[0].clone();
    assert_eq!(body["subscription"], "projects/skyfresh/subscriptions/s");
    let message = &body["message"];
    assert_eq!(message["attributes"]["objectId"], "k");
    assert_eq!(message["messageId"], message["message_id"]);
    let token = token.strip_prefix("Bearer ").unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let claims = decoded(claims);
    assert_eq!(
        (&claims["aud"], &claims["email"]),
        (&json!("us"), &json!("push@skyfresh.test"))
    );
    assert_eq!(claims["iss"], "https://accounts.google.com");
    let mut anyone = client.clone();
    anyone.token = None;
    let published = anyone
        .call(Method::GET, "/oauth2/v3/certs", &Value::Null)
        .await;
    let key = &published["keys"][0];
    assert_eq!(key["kid"], decoded(header)["kid"]);
    let number = |name: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
        BigUint::from_bytes_be(&bytes)
    };
    let public = RsaPublicKey::new(number("n"), number("e")).unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    public
        .verify(sha256(), &Sha256::digest(signed), &signature)
        .expect("signed by the published key");
    sky.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_account_gets_a_token_for_its_signature() {
    let sky = start(google_config()).await;
    let mut client = GoogleClient::new(sky.endpoint(None, &iowa()));
    let file = sky
        .google_service_account_key(&client.endpoint)
        .await
        .unwrap();
    let file: Value = serde_json::from_str(file.expose()).unwrap();
    let private = RsaPrivateKey::from_pkcs8_pem(file["private_key"].as_str().unwrap()).unwrap();
    let now_s = SystemClock.now().unix_ms() / 1000;
    let assertion = |claims: Value, key: &RsaPrivateKey| {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&json!({ "alg": "RS256" })), encode(&claims));
        let signature = key.sign(sha256(), &Sha256::digest(&signed)).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    };
    let claims = |expires_s: u64| {
        json!({
            "iss": file["client_email"], "aud": file["token_uri"], "scope": "storage",
            "iat": now_s - 10, "exp": expires_s,
        })
    };
    let asking = client.clone();
    let ask = |assertion: String| {
        let client = asking.clone();
        let grant = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
        let form = format!("grant_type={grant}&assertion={assertion}");
        async move { client.send(Method::POST, "/token", form).await }
    };
    let good = ask(assertion(claims(now_s + 600), &private)).await;
    assert_eq!(good.status, 200, "{}", good.text());
    client.token = json(&good)["access_token"].as_str().map(str::to_owned);
    assert_eq!(client.put("data", "k", "x").await.status, 200);
    let expired = ask(assertion(claims(now_s - 1), &private)).await;
    assert_eq!(expired.status, StatusCode::BAD_REQUEST);
    let mut forged = assertion(claims(now_s + 600), &private);
    // Another payload under the same signature.
    let other = URL_SAFE_NO_PAD.encode(claims(now_s + 900).to_string());
    let parts: Vec<&str> = forged.split('.').collect();
    forged = format!("{}.{other}.{}", parts[0], parts[2]);
    assert_eq!(json(&ask(forged).await)["error"], "invalid_grant");
    sky.shutdown().await;
}
