//! What goes wrong between here and Google: throttling, lost answers, truncation, damage, answers that cannot be right. Each with the
//! error that tells the caller what to do, and with no more requests than are safe.

mod gcs_support;
mod s3_support;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use gcs_support::{answer, media, missing, object, refusal, store};
use s3_support::scripted::{Received, Reply, Scripted};
use serde_json::json;
use skyfresh_sky::{Attributes, Kind, ObjectKey, ObjectVersion};
use skyfresh_store::checksum::{Crc32c, Crc64};
use skyfresh_store::{
    ByteStream, CompletedPart, Error, GetOptions, ObjectStore, Precondition, PutOptions,
    single_chunk,
};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const BODY: &[u8] = b"123456789";
/// Longer than what is collected, so that it can be sent once only.
const LONG: usize = (1 << 20) + 300_000;
/// The multiple of 256 KiB below it.
const LONG_FIRST: usize = 5 << 18;

fn key() -> ObjectKey {
    ObjectKey::new("k").expect("a key")
}

fn put_options(size: usize) -> PutOptions {
    PutOptions {
        size: size as u64,
        attributes: Attributes::default(),
        precondition: Precondition::Absent,
    }
}

fn long() -> (Bytes, ByteStream) {
    let bytes = Bytes::from(vec![7; LONG]);
    (bytes.clone(), single_chunk(bytes))
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

fn part(bytes: &[u8], own: &str) -> CompletedPart {
    CompletedPart {
        number: 1,
        etag: format!("{}-{own}", Crc32c::of(bytes)),
        size: bytes.len() as u64,
        crc64: None,
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

#[tokio::test]
async fn one_object_written_too_often_is_tried_longer_and_slows_nothing_else() {
    let message = "The object b/k exceeded the rate limit for object mutation operations (create, update, and delete). Please reduce your request rate.";
    let often = refusal("429 Too Many Requests", "rateLimitExceeded", message);
    let replies = [
        often.clone(),
        often.clone(),
        often,
        answer(&object("k", 17, BODY)),
    ];
    let server = Scripted::start(replies).await;
    let receipt = store(&server)
        .put(&key(), put_options(9), single_chunk(BODY))
        .await
        .unwrap();
    assert_eq!(receipt.crc64, Some(Crc64::of(BODY)));
    assert_eq!(server.received().len(), 4);
}

#[tokio::test]
async fn a_small_body_goes_with_its_checksum_and_is_sent_again() {
    let server = Scripted::start([
        Reply::SendAndClose(String::new()),
        answer(&object("k", 17, BODY)),
    ])
    .await;
    let options = PutOptions {
        attributes: Attributes {
            content_type: Some("text/x".into()),
            cache_control: Some("no-store".into()),
            user: [("a".to_owned(), "ü".to_owned())].into(),
            ..Attributes::default()
        },
        ..put_options(9)
    };
    store(&server)
        .put(&key(), options, single_chunk(BODY))
        .await
        .unwrap();
    let received = server.received();
    assert_eq!(received.len(), 2);
    assert!(
        received[1]
            .line
            .contains("/upload/storage/v1/b/b/o?uploadType=multipart")
    );
    assert!(received[1].line.contains("ifGenerationMatch=0"));
    let authorization = received[1].header("authorization");
    assert_eq!(authorization, Some("Bearer skyfresh-local-token"));
    let text = String::from_utf8(received[1].body.clone()).unwrap();
    let metadata = text.lines().find(|line| line.starts_with('{')).unwrap();
    let metadata: serde_json::Value = serde_json::from_str(metadata).unwrap();
    assert_eq!(
        metadata,
        json!({"name": "k", "contentType": "text/x", "cacheControl": "no-store", "crc32c": "4waSgw==",
            "md5Hash": "JfnnlDI7RTiF9RgfG2JNCw==", "metadata": {"a": "ü"}})
    );
    assert!(text.contains("\r\n\r\n123456789\r\n--skyfresh-"), "{text}");
}

/// A session that takes the first piece.
fn session(request: &Received, at_the_end: Reply) -> Reply {
    let range = request.header("content-range").unwrap_or_default();
    if request.line.starts_with("POST") {
        let location =
            "Location: https://elsewhere.example/upload/storage/v1/b/b/o?upload_id=s\r\n";
        Reply::new("200 OK", location, "")
    } else if range.starts_with("bytes 0-") {
        let kept = format!("Range: bytes=0-{}\r\n", LONG_FIRST - 1);
        Reply::new("308 Resume Incomplete", &kept, "")
    } else {
        at_the_end
    }
}

#[tokio::test]
async fn a_long_body_ends_with_the_checksum_of_the_whole() {
    let (bytes, body) = long();
    let done = answer(&object("k", 17, &bytes));
    let server = Scripted::deciding(move |request| session(request, done.clone())).await;
    let receipt = store(&server)
        .put(&key(), put_options(LONG), body)
        .await
        .unwrap();
    assert_eq!(receipt.crc64, Some(Crc64::of(&bytes)));
    let received = server.received();
    assert_eq!(received.len(), 3);
    assert!(received[0].line.contains("ifGenerationMatch=0"));
    assert_eq!(
        received[1].line, "PUT /upload/storage/v1/b/b/o?upload_id=s HTTP/1.1",
        "the session stays on the endpoint"
    );
    assert_eq!(received[1].body.len(), LONG_FIRST);
    assert_eq!(received[2].body.len(), LONG - LONG_FIRST);
    let range = format!("bytes {LONG_FIRST}-{}/{LONG}", LONG - 1);
    assert_eq!(received[2].header("content-range"), Some(range.as_str()));
    let sum = object("k", 17, &bytes)["crc32c"]
        .as_str()
        .unwrap()
        .to_owned();
    let hash = format!("crc32c={sum}");
    assert_eq!(received[2].header("x-goog-hash"), Some(hash.as_str()));
}

#[tokio::test]
async fn a_lost_answer_to_the_last_piece_is_asked_for() {
    let (bytes, body) = long();
    let done = answer(&object("k", 17, &bytes));
    let server = Scripted::deciding(move |request| {
        let at_the_end = match request.header("content-range") {
            Some(range) if range.starts_with("bytes */") => done.clone(),
            _ => Reply::SendAndClose(String::new()),
        };
        session(request, at_the_end)
    })
    .await;
    let receipt = store(&server)
        .put(&key(), put_options(LONG), body)
        .await
        .unwrap();
    assert_eq!(receipt.version.to_string(), "17.1@17");
    assert_eq!(server.received().len(), 4);
}

#[tokio::test]
async fn a_streamed_body_is_sent_once_only() {
    let server = Scripted::deciding(|request| match request.line.starts_with("POST") {
        true => Reply::new("200 OK", "Location: /upload/s?upload_id=1\r\n", ""),
        false => Reply::new("500 Oops", "", ""),
    })
    .await;
    let (_, body) = long();
    let error = store(&server)
        .put(&key(), put_options(LONG), body)
        .await
        .unwrap_err();
    assert_eq!(error.kind, Kind::RetryAfter);
    assert_eq!(server.received().len(), 2);
}

#[tokio::test]
async fn a_body_that_breaks_off_finishes_no_session() {
    let server = Scripted::deciding(|request| session(request, answer(&object("k", 1, b"")))).await;
    let whole = Bytes::from(vec![7; LONG]);
    let error = || Err(Error::new(Kind::Precondition, "get", "s3://b/k", "changed"));
    for (body, kind) in [
        (
            futures::stream::iter([Ok(whole.slice(..1 << 20)), error()]).boxed(),
            Kind::Precondition,
        ),
        (
            futures::stream::iter([Ok(whole.slice(..LONG_FIRST)), error()]).boxed(),
            Kind::Precondition,
        ),
        (single_chunk(whole.slice(1..)), Kind::Invalid),
        (single_chunk([&whole[..], b"x"].concat()), Kind::Invalid),
    ] {
        let error = store(&server)
            .put(&key(), put_options(LONG), body)
            .await
            .unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
    }
    let finished = server.received().into_iter().any(|request| {
        let range = request.header("content-range").unwrap_or_default();
        range.starts_with(&format!("bytes {LONG_FIRST}-"))
    });
    assert!(!finished, "the last piece was sent");
}

#[tokio::test]
async fn damaged_bytes_are_corrupt() {
    let mismatch = "Provided CRC32C \"4waSgw==\" doesn't match calculated CRC32C \"AAAAAA==\".";
    for reply in [
        refusal("400 Bad Request", "invalid", mismatch),
        answer(&object("k", 17, b"other")),
    ] {
        let server = Scripted::start([reply]).await;
        let error = store(&server)
            .put(&key(), put_options(9), single_chunk(BODY))
            .await
            .unwrap_err();
        assert_eq!(error.kind, Kind::Corrupt, "{error}");
        assert_eq!(server.received().len(), 1);
    }
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
async fn an_upload_is_never_begun_twice() {
    let server = Scripted::start([Reply::SendAndClose(String::new())]).await;
    let error = store(&server)
        .create_upload(&key(), &Attributes::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind, Kind::RetryAfter);
    assert_eq!(server.received().len(), 1);
}

const NONCE: &str = "0123456789abcdef";

/// The attributes of an upload, as they stand with its temporary object.
fn temporary(generation: u64, bytes: &[u8]) -> serde_json::Value {
    use base64::Engine;
    let attributes = serde_json::to_vec(&Attributes {
        content_type: Some("text/x".into()),
        ..Attributes::default()
    });
    let encoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(attributes.unwrap());
    let mut temporary = object(&format!(".skyfresh-upload-{NONCE}/k"), generation, bytes);
    temporary["metadata"] = json!({"skyfresh-attributes": encoded});
    temporary
}

#[tokio::test]
async fn a_completion_goes_on_where_another_process_died() {
    // The XML upload is gone, its object was never published.
    let server = Scripted::deciding(|request| {
        if request.line.starts_with("POST /b/") {
            Reply::error("404 Not Found", "", "NoSuchUpload")
        } else if request.line.starts_with("POST") {
            answer(&json!({"kind": "storage#rewriteResponse", "done": true,
                "resource": object("k", 18, BODY)}))
        } else if request.line.starts_with("DELETE") {
            Reply::new("204 No Content", "", "")
        } else {
            answer(&temporary(17, BODY))
        }
    })
    .await;
    let upload = format!("x{NONCE}.id");
    let receipt = store(&server)
        .complete_upload(
            &key(),
            &upload,
            &[part(BODY, "etag")],
            &Precondition::Absent,
        )
        .await
        .unwrap();
    assert_eq!(receipt.version.to_string(), "18.1@18");
    let received = server.received();
    let rewrite = &received[2];
    assert!(
        rewrite.line.contains("/rewriteTo/b/b/o/k?"),
        "{}",
        rewrite.line
    );
    for condition in ["ifSourceGenerationMatch=17", "ifGenerationMatch=0"] {
        assert!(rewrite.line.contains(condition), "{}", rewrite.line);
    }
    assert!(String::from_utf8_lossy(&rewrite.body).contains("text/x"));
    assert!(
        received[3].line.starts_with("DELETE"),
        "{}",
        received[3].line
    );
}

#[tokio::test]
async fn a_completion_that_was_done_before_says_so() {
    let server = Scripted::deciding(|request| match request.line.starts_with("POST") {
        true => Reply::error("404 Not Found", "", "NoSuchUpload"),
        false => missing(),
    })
    .await;
    let upload = format!("x{NONCE}.id");
    let error = store(&server)
        .complete_upload(&key(), &upload, &[part(BODY, "etag")], &Precondition::None)
        .await
        .unwrap_err();
    assert_eq!(error.kind, Kind::Missing);
    assert_eq!(error.code.as_deref(), Some("NoSuchUpload"));
}

#[tokio::test]
async fn damaged_parts_are_never_published() {
    let completed =
        "<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>";
    let server = Scripted::deciding(move |request| {
        if request.line.starts_with("POST /b/") {
            Reply::new("200 OK", "", completed)
        } else if request.line.starts_with("DELETE") {
            Reply::new("204 No Content", "", "")
        } else {
            answer(&temporary(17, b"damaged!!"))
        }
    })
    .await;
    let upload = format!("x{NONCE}.id");
    let error = store(&server)
        .complete_upload(&key(), &upload, &[part(BODY, "etag")], &Precondition::None)
        .await
        .unwrap_err();
    assert_eq!(error.kind, Kind::Corrupt, "{error}");
    let lines: Vec<String> = server
        .received()
        .into_iter()
        .map(|request| request.line)
        .collect();
    assert!(
        !lines.iter().any(|line| line.contains("rewriteTo")),
        "{lines:?}"
    );
    assert!(lines[2].starts_with("DELETE"), "{lines:?}");
}

#[tokio::test]
async fn a_damaged_part_is_noticed_at_once() {
    let headers = "ETag: \"e\"\r\nx-goog-hash: crc32c=AAAAAA==\r\n";
    let server = Scripted::start([Reply::new("200 OK", headers, "")]).await;
    let error = store(&server)
        .upload_part(&key(), &format!("x{NONCE}.id"), 1, 9, single_chunk(BODY))
        .await
        .unwrap_err();
    assert_eq!(error.kind, Kind::Corrupt);
}

#[tokio::test]
async fn a_rewrite_goes_on_by_its_token() {
    let steps = AtomicU32::new(0);
    let server = Scripted::deciding(move |_| match steps.fetch_add(1, Ordering::Relaxed) {
        0 => answer(&json!({"done": false, "rewriteToken": "a/b"})),
        1 => answer(&json!({"done": false, "rewriteToken": "c"})),
        _ => answer(&json!({"done": true, "resource": object("k", 18, BODY)})),
    })
    .await;
    let source = skyfresh_store::CopySource {
        bucket: Some("other".into()),
        full_key: "from".into(),
        version: None,
    };
    let receipt = store(&server)
        .copy(&key(), &source, None, &Precondition::Absent)
        .await
        .unwrap();
    assert_eq!(receipt.version.to_string(), "18.1@18");
    let received = server.received();
    assert!(!received[0].line.contains("rewriteToken="));
    assert!(received[1].line.contains("rewriteToken=a%2Fb"));
    assert!(received[2].line.contains("rewriteToken=c"));
    assert!(
        received
            .iter()
            .all(|step| step.line.contains("ifGenerationMatch=0"))
    );
    assert!(
        received[0]
            .line
            .starts_with("POST /storage/v1/b/other/o/from/rewriteTo/b/b/o/k?")
    );

    let endless = Scripted::start([answer(&json!({"done": false}))]).await;
    let error = store(&endless)
        .copy(&key(), &source, None, &Precondition::None)
        .await;
    assert_eq!(error.unwrap_err().kind, Kind::RetryAfter);
}

#[tokio::test]
async fn only_old_leftovers_are_listed_as_uploads() {
    let server = Scripted::deciding(|request| {
        if request.line.starts_with("GET /b?uploads") {
            Reply::new("200 OK", "", "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>")
        } else if request.line.contains("skyfresh-upload-") {
            let old = temporary(17, BODY);
            let mut new = temporary(18, BODY);
            new["name"] = format!(".skyfresh-upload-{}/j", "f".repeat(16)).into();
            new["timeCreated"] = "2999-01-01T00:00:00Z".into();
            answer(&json!({"kind": "storage#objects", "items": [old, new]}))
        } else {
            answer(&json!({"kind": "storage#objects"}))
        }
    })
    .await;
    let page = store(&server).list_uploads(None).await.unwrap();
    assert_eq!(page.uploads.len(), 1);
    assert_eq!(page.uploads[0].key, key());
    assert_eq!(page.uploads[0].upload, format!("x{NONCE}."));
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
