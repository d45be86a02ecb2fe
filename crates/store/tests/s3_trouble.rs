//! What goes wrong between here and the store: throttling, resets, truncation, stalls, redirects, expired credentials, answers that
//! cannot be right. Each with the error that tells the caller what to do, and with no more requests than are safe.

mod s3_support;

use bytes::Bytes;
use futures::StreamExt;
use s3_support::scripted::{Reply, Scripted};
use skyfresh_sky::{Attributes, Kind, ObjectKey, ObjectVersion, Rng, SystemClock};
use skyfresh_store::checksum::Crc64;
use skyfresh_store::s3::{Credentials, S3Config, S3Store};
use skyfresh_store::{
    ByteStream, CompletedPart, GetOptions, ObjectStore, Precondition, PutOptions, single_chunk,
};
use std::sync::Arc;
use std::time::Duration;

fn key() -> ObjectKey {
    ObjectKey::new("k").expect("a key")
}

fn store(server: &Scripted) -> S3Store {
    store_with(server, s3_support::config())
}

fn store_with(server: &Scripted, config: S3Config) -> S3Store {
    let location = s3_support::place(&server.address, "b", "");
    S3Store::new(location, config, Arc::new(SystemClock), Rng::seeded(1)).expect("a store")
}

fn put_options(size: u64) -> PutOptions {
    PutOptions {
        size,
        attributes: Attributes::default(),
        precondition: Precondition::None,
    }
}

/// A body that is too large to be collected, so that it can be sent once only.
fn long_body() -> (u64, ByteStream) {
    let bytes = Bytes::from(vec![7; 600_000]);
    (bytes.len() as u64, single_chunk(bytes))
}

fn head() -> Reply {
    Reply::Send(
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"e\"\r\nLast-Modified: Tue, 14 Nov 2023 22:13:20 GMT\r\n\r\n"
            .into(),
    )
}

#[tokio::test]
async fn throttling_is_waited_out() {
    let slow_down = Reply::error("503 Slow Down", "", "SlowDown");
    let server = Scripted::start([slow_down.clone(), slow_down, head()]).await;
    assert_eq!(store(&server).head(&key()).await.unwrap().size, 5);
    assert_eq!(server.received().len(), 3);
}

#[tokio::test]
async fn trouble_that_stays_comes_out_after_three_tries() {
    let server = Scripted::start([Reply::error(
        "503 Slow Down",
        "Retry-After: 0\r\n",
        "SlowDown",
    )])
    .await;
    let error = store(&server).list(None, 10).await.unwrap_err();
    assert!(error.is_throttled(), "{error}");
    assert_eq!(error.retry_after, Some(Duration::ZERO));
    assert_eq!(server.received().len(), 3);
}

#[tokio::test]
async fn a_longer_wait_than_is_bearable_is_left_to_the_caller() {
    let server = Scripted::start([Reply::error(
        "503 Slow Down",
        "Retry-After: 3600\r\n",
        "SlowDown",
    )])
    .await;
    let error = store(&server).list(None, 10).await.unwrap_err();
    assert_eq!(error.retry_after, Some(Duration::from_secs(3600)));
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn a_streamed_body_is_sent_once_only() {
    let server = Scripted::start([Reply::error("500 Oops", "", "InternalError")]).await;
    let (size, body) = long_body();
    let error = store(&server)
        .put(&key(), put_options(size), body)
        .await
        .unwrap_err();
    assert_eq!(error.kind, Kind::RetryAfter);
    let received = server.received();
    assert_eq!(received.len(), 1);
    let length: usize = received[0]
        .header("content-length")
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(received[0].body.len(), length);
    assert_eq!(
        received[0].header("x-amz-content-sha256"),
        Some("STREAMING-UNSIGNED-PAYLOAD-TRAILER")
    );
    assert_eq!(
        received[0].header("x-amz-decoded-content-length"),
        Some("600000")
    );
    assert!(
        received[0]
            .header("authorization")
            .unwrap()
            .contains("x-amz-trailer"),
        "the trailer is announced"
    );
}

#[tokio::test]
async fn a_body_in_memory_is_sent_again() {
    let body = "123456789";
    let done = "ETag: \"25f9e794323b453885f5181f1b624d0b\"\r\n";
    let server = Scripted::start([
        Reply::error("500 Oops", "", "InternalError"),
        Reply::new("200 OK", done, ""),
    ])
    .await;
    let receipt = store(&server)
        .put(&key(), put_options(9), single_chunk(body))
        .await
        .unwrap();
    assert_eq!(receipt.crc64, Some(Crc64::of(body.as_bytes())));
    let received = server.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[1].body, body.as_bytes());
    assert_eq!(
        received[1].header("x-amz-checksum-crc64nvme"),
        Some("rosUhgp5mIg=")
    );
}

#[tokio::test]
async fn a_store_that_holds_other_bytes_is_corrupt() {
    let headers = "ETag: \"e\"\r\nx-amz-checksum-crc64nvme: AAAAAAAAAAA=\r\n";
    let server = Scripted::start([Reply::new("200 OK", headers, "")]).await;
    let error = store(&server)
        .put(&key(), put_options(1), single_chunk("x"))
        .await
        .unwrap_err();
    assert_eq!(error.kind, Kind::Corrupt);
}

#[tokio::test]
async fn a_body_that_ends_early_ends_with_an_error() {
    let truncated = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nETag: \"e\"\r\n\r\n12345";
    let server = Scripted::start([Reply::SendAndClose(truncated.into())]).await;
    let mut body = store(&server)
        .get(&key(), GetOptions::default())
        .await
        .unwrap()
        .body;
    assert_eq!(body.next().await.unwrap().unwrap(), "12345");
    let error = body.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind, Kind::RetryAfter);
    assert!(error.to_string().contains("5 of 10 bytes"), "{error}");
    assert!(body.next().await.is_none());
}

#[tokio::test]
async fn a_stall_is_noticed_before_and_within_a_body() {
    let config = S3Config {
        stall_timeout: Duration::from_millis(100),
        ..s3_support::config()
    };
    let silent = Scripted::start([Reply::SendAndStall(String::new())]).await;
    let error = store_with(&silent, config.clone())
        .list(None, 1)
        .await
        .unwrap_err();
    assert_eq!(error.kind, Kind::RetryAfter);
    assert!(
        error.to_string().contains("no byte moved for 0.1 s"),
        "{error}"
    );

    let half = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nETag: \"e\"\r\n\r\n12345";
    let stalling = Scripted::start([Reply::SendAndStall(half.into())]).await;
    let mut body = store_with(&stalling, config)
        .get(&key(), GetOptions::default())
        .await
        .unwrap()
        .body;
    assert!(body.next().await.unwrap().is_ok());
    let error = body.next().await.unwrap().unwrap_err();
    assert!(
        error.to_string().contains("no byte came for 0.1 s"),
        "{error}"
    );
}

#[tokio::test]
async fn another_version_never_comes_out() {
    let server = Scripted::start([Reply::new("200 OK", "ETag: \"new\"\r\n", "12345")]).await;
    let options = GetOptions {
        version: Some(ObjectVersion::from_etag("old")),
        range: None,
    };
    let error = store(&server)
        .get(&key(), options)
        .await
        .map(|_| ())
        .unwrap_err();
    assert_eq!(error.kind, Kind::Precondition);
    assert_eq!(server.received()[0].header("if-match"), Some("\"old\""));
}

#[tokio::test]
async fn the_region_is_learnt_from_the_store() {
    let elsewhere = Reply::error(
        "301 Moved",
        "x-amz-bucket-region: eu-west-1\r\n",
        "PermanentRedirect",
    );
    let server = Scripted::start([elsewhere.clone(), head()]).await;
    let store = store(&server);
    store.head(&key()).await.unwrap();
    store.head(&key()).await.unwrap();
    let scopes: Vec<bool> = server
        .received()
        .iter()
        .map(|request| {
            request
                .header("authorization")
                .unwrap()
                .contains("/eu-west-1/s3/")
        })
        .collect();
    assert_eq!(scopes, [false, true, true]);
}

#[tokio::test]
async fn a_redirect_that_leads_nowhere_names_the_region() {
    // Two regions that each point at the other.
    let to = |region: &str| {
        Reply::error(
            "301 Moved",
            &format!("x-amz-bucket-region: {region}\r\n"),
            "PermanentRedirect",
        )
    };
    let server = Scripted::start([to("eu-west-1"), to("us-west-2")]).await;
    let error = store(&server).list(None, 1).await.unwrap_err();
    assert_eq!(error.kind, Kind::Invalid);
    assert!(error.to_string().contains("?region=us-west-2"), "{error}");
    assert_eq!(server.received().len(), 2);
}

#[tokio::test]
async fn a_missing_bucket_is_told_from_a_missing_key() {
    for (code, missing_bucket) in [("NoSuchBucket", true), ("NoSuchKey", false)] {
        let bare = Reply::Send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".into());
        let server = Scripted::start([bare, Reply::error("404 Not Found", "", code)]).await;
        let error = store(&server).head(&key()).await.unwrap_err();
        assert_eq!(
            (error.kind, error.is_missing_bucket()),
            (Kind::Missing, missing_bucket)
        );
        let received = server.received();
        assert!(
            received[0].line.starts_with("HEAD /b/k ") && received[1].line.starts_with("GET /b/k ")
        );
    }
}

#[tokio::test]
async fn rotated_credentials_are_read_without_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let aws = home.path().join(".aws");
    std::fs::create_dir(&aws).unwrap();
    let write = |id: &str| {
        let text = format!("[work]\naws_access_key_id = {id}\naws_secret_access_key = secret\n");
        std::fs::write(aws.join("credentials"), text).unwrap();
    };
    write("FIRST");
    let credentials = Credentials::Chain {
        // The profile that is asked for comes before these.
        env: [
            ("AWS_ACCESS_KEY_ID".into(), "ENV".into()),
            ("AWS_SECRET_ACCESS_KEY".into(), "x".into()),
        ]
        .into(),
        home_dir: Some(home.path().to_owned()),
        profile: Some("work".into()),
    };
    let expired = Reply::error("400 Bad Request", "", "ExpiredToken");
    let empty = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
    let list = Reply::new("200 OK", "", empty);
    let server = Scripted::start([list.clone(), expired, list]).await;
    let store = store_with(
        &server,
        S3Config {
            credentials,
            ..s3_support::config()
        },
    );
    store.list(None, 1).await.unwrap();
    write("SECOND");
    // A credential is not doubted within the second in which it was read.
    skyfresh_sky::Clock::sleep(&SystemClock, Duration::from_millis(1100)).await;
    store.list(None, 1).await.unwrap();
    let ids: Vec<bool> = server
        .received()
        .iter()
        .map(|request| {
            request
                .header("authorization")
                .unwrap()
                .contains("Credential=SECOND/")
        })
        .collect();
    assert_eq!(ids, [false, false, true]);
}

#[tokio::test]
async fn missing_credentials_say_how_to_give_them() {
    let server = Scripted::start([head()]).await;
    let credentials = Credentials::Chain {
        env: [("AWS_EC2_METADATA_DISABLED".into(), "true".into())].into(),
        home_dir: None,
        profile: None,
    };
    let store = store_with(
        &server,
        S3Config {
            credentials,
            ..s3_support::config()
        },
    );
    let error = store.head(&key()).await.unwrap_err();
    assert_eq!(error.kind, Kind::Denied);
    assert!(error.to_string().contains("AWS_ACCESS_KEY_ID"), "{error}");
    assert!(server.received().is_empty(), "nothing is sent unsigned");
}

#[tokio::test]
async fn a_broken_listing_is_never_an_empty_page() {
    let whole = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
    for body in [
        "",
        "<html></html>",
        &whole[..whole.len() - 5],
        "<ListBucketResult></ListBucketResult>",
    ] {
        let server = Scripted::start([Reply::new("200 OK", "", body)]).await;
        let error = store(&server).list(None, 10).await.unwrap_err();
        assert_eq!(error.kind, Kind::RetryAfter, "{body}");
    }
    let cut = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}",
        whole.len(),
        &whole[..20]
    );
    let server = Scripted::start([Reply::SendAndClose(cut)]).await;
    assert_eq!(
        store(&server).list(None, 10).await.unwrap_err().kind,
        Kind::RetryAfter
    );
}

#[tokio::test]
async fn a_failure_under_a_status_of_success_is_a_failure() {
    let parts = [CompletedPart {
        number: 1,
        etag: "e".into(),
        size: 1,
        crc64: None,
    }];
    for (code, kind, requests) in [
        ("InternalError", Kind::RetryAfter, 3),
        ("PreconditionFailed", Kind::Precondition, 1),
    ] {
        let server = Scripted::start([Reply::error("200 OK", "", code)]).await;
        let error = store(&server)
            .complete_upload(&key(), "u", &parts, &Precondition::Absent)
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind, server.received().len()),
            (kind, requests),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_completion_whose_answer_was_lost_is_not_taken_for_success() {
    let parts = [CompletedPart {
        number: 1,
        etag: "e".into(),
        size: 1,
        crc64: None,
    }];
    let lost = Reply::SendAndClose(String::new());
    let server = Scripted::start([lost, Reply::error("404 Not Found", "", "NoSuchUpload")]).await;
    let error = store(&server)
        .complete_upload(&key(), "u", &parts, &Precondition::None)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, error.code.as_deref()),
        (Kind::Missing, Some("NoSuchUpload"))
    );
    assert_eq!(server.received().len(), 2);
}

#[tokio::test]
async fn a_condition_on_an_absent_object_did_not_hold() {
    let server = Scripted::start([Reply::error("404 Not Found", "", "NoSuchKey")]).await;
    let options = PutOptions {
        precondition: Precondition::Version(ObjectVersion::from_etag("e")),
        ..put_options(1)
    };
    let error = store(&server)
        .put(&key(), options, single_chunk("x"))
        .await
        .unwrap_err();
    assert_eq!(error.kind, Kind::Precondition);
}

#[tokio::test]
async fn an_upload_is_begun_again_only_where_the_store_refused() {
    // Nobody would know the id of an upload whose answer was lost.
    for lost in [
        Reply::SendAndClose(String::new()),
        Reply::error("500 Oops", "", "InternalError"),
    ] {
        let server = Scripted::start([lost, upload_begun()]).await;
        let error = store(&server)
            .create_upload(&key(), &Attributes::default())
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind, server.received().len()),
            (Kind::RetryAfter, 1),
            "{error}"
        );
    }
    let slow_down = Reply::error("503 Slow Down", "Retry-After: 0\r\n", "SlowDown");
    let server = Scripted::start([slow_down, upload_begun()]).await;
    assert_eq!(
        store(&server)
            .create_upload(&key(), &Attributes::default())
            .await
            .unwrap(),
        "id"
    );
}

fn upload_begun() -> Reply {
    let body =
        "<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>";
    Reply::new("200 OK", "", body)
}
