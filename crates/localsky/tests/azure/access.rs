//! Who may, and how errors look.

use crate::client::{ACCOUNT, AzureClient, SECRET, block_id, config, hmac, signed, us};
use crate::support::start;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::Method;
use skyfresh_sky::{Clock, SystemClock};
use std::time::{Duration, UNIX_EPOCH};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_tokens_and_signatures_open_the_door_and_nothing_else_does() {
    let sky = start(config()).await;
    let client = AzureClient::of(&sky, &us());
    assert_eq!(client.put("a", "x").await.status, 201);
    let url = client.url("a");
    let get = async |headers: &[(&str, &str)]| {
        let answer = client.raw(Method::GET, &url, headers, "").await.unwrap();
        (
            answer.status.as_u16(),
            answer.header("x-ms-error-code").to_owned(),
        )
    };
    let bearer = format!("Bearer {SECRET}");
    assert_eq!(get(&[("authorization", &bearer)]).await.0, 200);
    assert_eq!(
        get(&[("authorization", "Bearer guessed")]).await,
        (403, "AuthenticationFailed".into())
    );
    assert_eq!(get(&[]).await, (401, "NoAuthenticationInformation".into()));
    let date =
        httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(SystemClock.now().unix_ms()));
    let text = format!("GET\n\n\n\nx-ms-date:{date}\n/{ACCOUNT}/{ACCOUNT}/data/a");
    let lite = format!("SharedKeyLite {ACCOUNT}:{}", hmac(&text));
    assert_eq!(
        get(&[("authorization", &lite), ("x-ms-date", &date)])
            .await
            .0,
        200
    );
    let forged = format!("SharedKey {ACCOUNT}:{}", BASE64.encode([0; 32]));
    assert_eq!(
        get(&[("authorization", &forged), ("x-ms-date", &date)]).await,
        (403, "AuthenticationFailed".into())
    );
    let old = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    let text = format!("GET\n\n\n\nx-ms-date:{old}\n/{ACCOUNT}/{ACCOUNT}/data/a");
    let lite = format!("SharedKeyLite {ACCOUNT}:{}", hmac(&text));
    assert_eq!(
        get(&[("authorization", &lite), ("x-ms-date", &old)])
            .await
            .0,
        403
    );
    let by_signature = client
        .raw(Method::GET, &signed(&client, "a"), &[], "")
        .await
        .unwrap();
    assert_eq!(
        (by_signature.status.as_u16(), by_signature.text()),
        (200, "x".into())
    );
    // Host style: the account in the host's name instead of the path.
    let host_style = client.url("a").replace("/skyfresh/", "/");
    let headers = [
        ("authorization", &*bearer),
        ("host", "skyfresh.blob.localhost"),
    ];
    let answer = client
        .raw(Method::GET, &host_style, &headers, "")
        .await
        .unwrap();
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "x".into()));
    let elsewhere = signed(&client, "a").replace("/data/a?", "/data/b?");
    assert_eq!(
        client
            .raw(Method::GET, &elsewhere, &[], "")
            .await
            .unwrap()
            .status,
        403
    );
    sky.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_stamped_and_errors_say_what_they_are() {
    let sky = start(config()).await;
    let client = AzureClient::of(&sky, &us());
    let headers = [("x-ms-client-request-id", "mine")];
    let missing = client
        .send(Method::GET, "data/missing", &headers, "")
        .await
        .unwrap();
    assert_eq!(missing.status, 404);
    assert_eq!(missing.element("Code"), "BlobNotFound");
    assert_eq!(missing.header("x-ms-error-code"), "BlobNotFound");
    assert_eq!(missing.header("x-ms-client-request-id"), "mine");
    assert_eq!(missing.header("x-ms-version"), "2021-12-02");
    assert_eq!(missing.header("x-ms-request-id").len(), 36);
    let head = client.head("data/missing").await;
    assert_eq!((head.status.as_u16(), head.body.len()), (404, 0));
    assert_eq!(head.header("x-ms-error-code"), "BlobNotFound");
    let append = [("x-ms-blob-type", "AppendBlob")];
    assert_eq!(client.put_empty("data/log", &append).await.status, 501);
    assert_eq!(
        client.put_empty("data/untyped", &[]).await.element("Code"),
        "MissingRequiredHeader"
    );
    let bad = "data/b?blockid=no-base64&comp=block";
    assert_eq!(
        client.put_empty(bad, &[]).await.element("Code"),
        "InvalidQueryParameterValue"
    );
    let list = format!("<Latest>{}</Latest>", block_id(1));
    assert_eq!(
        client.commit("b", &list).await.element("Code"),
        "InvalidBlockList"
    );
    assert_eq!(
        client.commit("b", "<Latest>").await.element("Code"),
        "InvalidXmlDocument"
    );
    sky.shutdown().await;
}
