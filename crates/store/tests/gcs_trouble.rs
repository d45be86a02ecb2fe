//! What goes wrong between here and Google: throttling, lost answers, truncation, damage, answers that cannot be right. Each with the
//! error that tells the caller what to do, and with no more requests than are safe.

mod gcs_support;
mod s3_support;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use gcs_support::{answer, media, missing, object, refusal, store};
use s3_support::scripted::{Received, Reply, Scripted};
use serde_json::json;
use skyfresh_sky::{Kind, ObjectKey, ObjectVersion};
use skyfresh_store::checksum::Crc32c;
use skyfresh_store::{GetOptions, ObjectStore};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const BODY: &[u8] = b"123456789";

fn key() -> ObjectKey {
    ObjectKey::new("k").expect("a key")
}

fn pinned(generation: u64) -> GetOptions {
    GetOptions {
        range: None,
        version: Some(ObjectVersion {
            etag: format!("{generation}.1"),
            version_id: Some(generation.to_string()),
        }),
    }
}

#[tokio::test]
async fn throttling_is_waited_out() {
    let server = Scripted::start([
        refusal("429 Too Many Requests", "rateLimitExceeded", "slow down"),
        refusal("503 Service Unavailable", "backendError", "oops"),
        answer(&object("k", 17, BODY)),
    ])
    .await;
    let head = store(&server).head(&key()).await.unwrap();
    assert_eq!((head.size, head.crc32c), (9, Some(Crc32c::of(BODY))));
    assert_eq!(head.version.to_string(), "17.1@17");
    assert_eq!(server.received().len(), 3);
}

#[tokio::test]
async fn trouble_that_stays_comes_out_after_three_tries() {
    let busy = Reply::new("503 Busy", "Retry-After: 0\r\n", "");
    let server = Scripted::start([busy]).await;
    let error = store(&server).list(None, 10).await.unwrap_err();
    assert!(error.is_throttled(), "{error}");
    assert_eq!(error.retry_after, Some(Duration::ZERO));
    assert_eq!(server.received().len(), 3);

    let later = Scripted::start([Reply::new("503 Busy", "Retry-After: 3600\r\n", "")]).await;
    let error = store(&later).list(None, 10).await.unwrap_err();
    assert_eq!(error.retry_after, Some(Duration::from_secs(3600)));
    assert_eq!(later.received().len(), 1, "such a wait is the caller's");
}

fn is_media(request: &Received) -> bool {
    request.line.contains("alt=media")
}

#[tokio::test]
async fn a_body_that_ends_early_ends_with_an_error() {
    let server = Scripted::deciding(|request| {
        if is_media(request) {
            let headers = "Content-Length: 9\r\nx-goog-generation: 17\r\nx-goog-metageneration: 1";
            Reply::SendAndClose(format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n12345"))
        } else {
            answer(&object("k", 17, BODY))
        }
    })
    .await;
    let options = GetOptions::default();
    let mut body = store(&server).get(&key(), options).await.unwrap().body;
    assert_eq!(body.next().await.unwrap().unwrap(), "12345");
    let error = body.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind, Kind::RetryAfter);
    assert!(error.to_string().contains("5 of 9 bytes"), "{error}");
}

#[tokio::test]
async fn bytes_come_as_stored_or_not_at_all() {
    let server = Scripted::deciding(|request| match is_media(request) {
        true => media(17, "decompressed on the way"),
        false => answer(&object("k", 17, BODY)),
    })
    .await;
    let store = store(&server);
    let error = store
        .get(&key(), GetOptions::default())
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind, Kind::Unsupported);
    let download = server.received().into_iter().find(is_media).unwrap();
    assert_eq!(download.header("accept-encoding"), Some("gzip"));
}

#[tokio::test]
async fn a_head_that_is_known_is_not_asked_for_again() {
    let server = Scripted::deciding(|request| match is_media(request) {
        true => media(17, "123456789"),
        false => answer(&object("k", 17, BODY)),
    })
    .await;
    let store = store(&server);
    for requests in [2, 3, 4] {
        let read = store.get(&key(), pinned(17)).await.unwrap();
        let bytes: Vec<Bytes> = read.body.try_collect().await.unwrap();
        assert_eq!(bytes.concat(), BODY);
        assert_eq!(server.received().len(), requests);
    }
    let download = server.received().into_iter().find(is_media).unwrap();
    for condition in [
        "generation=17",
        "ifGenerationMatch=17",
        "ifMetagenerationMatch=1",
    ] {
        assert!(download.line.contains(condition), "{}", download.line);
    }
}

#[tokio::test]
async fn a_read_that_is_overtaken_has_the_head_of_what_it_reads() {
    let heads = AtomicU32::new(0);
    let server = Scripted::deciding(move |request| {
        if is_media(request) {
            media(18, "new bytes")
        } else if heads.fetch_add(1, Ordering::Relaxed) == 0 {
            answer(&object("k", 17, BODY))
        } else {
            assert!(request.line.contains("generation=18"), "{}", request.line);
            answer(&object("k", 18, b"new bytes"))
        }
    })
    .await;
    let read = store(&server).get(&key(), GetOptions::default()).await;
    assert_eq!(read.unwrap().head.version.to_string(), "18.1@18");
}

#[tokio::test]
async fn other_versions_never_come_out() {
    // The generation is gone: overwritten, deleted.
    let overwritten = Scripted::deciding(|request| match request.line.contains("generation=17") {
        true => missing(),
        false => answer(&object("k", 18, BODY)),
    })
    .await;
    let error = store(&overwritten).get(&key(), pinned(17)).await.err();
    assert_eq!(error.unwrap().kind, Kind::Precondition);
    let deleted = Scripted::start([missing()]).await;
    let error = store(&deleted).get(&key(), pinned(17)).await.err().unwrap();
    assert_eq!(error.kind, Kind::Missing);
    assert!(!error.is_missing_bucket());
    // A server that ignores what it was asked for.
    let ignoring = Scripted::deciding(|request| match is_media(request) {
        true => media(18, "123456789"),
        false => answer(&object("k", 18, BODY)),
    })
    .await;
    let error = store(&ignoring)
        .get(&key(), pinned(17))
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind, Kind::Precondition);
    // And a version that is not Google's at all.
    let options = GetOptions {
        range: None,
        version: Some(ObjectVersion::from_etag("9a0364b9e99bb480dd25e1f0284c8555")),
    };
    let error = store(&ignoring).get(&key(), options).await.err().unwrap();
    assert_eq!(error.kind, Kind::Precondition);
}

#[tokio::test]
async fn a_missing_bucket_is_never_a_missing_key() {
    let told = refusal(
        "404 Not Found",
        "notFound",
        "The specified bucket does not exist.",
    );
    let server = Scripted::start([told]).await;
    assert!(
        store(&server)
            .head(&key())
            .await
            .unwrap_err()
            .is_missing_bucket()
    );
    assert_eq!(server.received().len(), 1);
    assert!(
        store(&server)
            .list(None, 1)
            .await
            .unwrap_err()
            .is_missing_bucket()
    );

    // Where the answer does not tell, the bucket is asked for.
    for (bucket_is_there, requests) in [(true, 2), (false, 2)] {
        let server = Scripted::deciding(move |request| {
            match bucket_is_there && request.line.contains("/o?") {
                true => answer(&json!({"kind": "storage#objects"})),
                false => refusal("404 Not Found", "notFound", "Not Found"),
            }
        })
        .await;
        let error = store(&server).head(&key()).await.unwrap_err();
        assert_eq!(error.kind, Kind::Missing);
        assert_eq!(error.is_missing_bucket(), !bucket_is_there, "{error}");
        assert_eq!(server.received().len(), requests);
    }
}

#[tokio::test]
async fn an_answer_that_is_no_listing_is_no_empty_listing() {
    for body in [
        "",
        "{}",
        "[]",
        "null",
        "<html>",
        r#"{"kind":"storage#object","items":[]}"#,
    ] {
        let server = Scripted::start([Reply::new("200 OK", "", body)]).await;
        let error = store(&server).list(None, 10).await.unwrap_err();
        assert_eq!(error.kind, Kind::RetryAfter, "{body}");
    }
    let item = |name| object(name, 1, b"");
    let unsorted = json!({"kind": "storage#objects", "items": [item("b"), item("a")]});
    let server = Scripted::start([answer(&unsorted)]).await;
    let error = store(&server).list(None, 10).await.unwrap_err();
    assert!(error.to_string().contains("ascending"), "{error}");
    let page = json!({"kind": "storage#objects", "nextPageToken": "t", "items": []});
    let server = Scripted::start([answer(&page)]).await;
    let error = store(&server).list(None, 10).await.unwrap_err();
    assert!(error.to_string().contains("does not advance"), "{error}");
}

#[tokio::test]
async fn temporary_objects_do_not_exist_for_others() {
    let temporary = ".skyfresh-upload-0123456789abcdef/k";
    let page = json!({"kind": "storage#objects",
        "items": [object(temporary, 1, b""), object("k", 2, b"")]});
    let server = Scripted::start([answer(&page)]).await;
    let store = store(&server);
    let listed = store.list(None, 10).await.unwrap();
    assert_eq!(listed.objects.len(), 1);
    let temporary = ObjectKey::new(temporary).unwrap();
    let error = store.head(&temporary).await.unwrap_err();
    assert_eq!(error.kind, Kind::Missing);
    let error = store
        .get(&temporary, GetOptions::default())
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind, Kind::Missing);
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn refusals_say_what_is_missing_and_are_not_repeated() {
    let message = "me@example.com does not have storage.objects.get access to the Google Cloud Storage object.";
    for (status, reason) in [
        ("403 Forbidden", "forbidden"),
        ("401 Unauthorized", "authError"),
    ] {
        let server = Scripted::start([refusal(status, reason, message)]).await;
        let error = store(&server).head(&key()).await.unwrap_err();
        assert_eq!(error.kind, Kind::Denied, "{error}");
        assert_eq!(server.received().len(), 1);
    }
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let long = format!("{{\"kind\":\"{}\"}}", "x".repeat(33 << 20));
    let server = Scripted::start([Reply::new("200 OK", "", &long)]).await;
    let error = store(&server).list(None, 10).await.unwrap_err();
    assert_eq!(error.kind, Kind::Invalid);
    assert!(error.to_string().contains("longer than"), "{error}");
}
