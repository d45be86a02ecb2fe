//! What goes wrong while Google is written to: lost answers, damage, processes that die. Nothing is published that was not proved,
//! and no request is repeated that would not be the same twice.

mod gcs_support;
mod s3_support;

use bytes::Bytes;
use futures::StreamExt;
use gcs_support::{answer, missing, object, refusal, store};
use s3_support::scripted::{Received, Reply, Scripted};
use serde_json::json;
use skyfresh_sky::{Attributes, Kind, ObjectKey};
use skyfresh_store::checksum::{Crc32c, Crc64};
use skyfresh_store::{
    ByteStream, CompletedPart, Error, ObjectStore, Precondition, PutOptions, single_chunk,
};
use std::sync::atomic::{AtomicU32, Ordering};

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

fn part(bytes: &[u8], own: &str) -> CompletedPart {
    CompletedPart {
        number: 1,
        etag: format!("{}-{own}", Crc32c::of(bytes)),
        size: bytes.len() as u64,
        crc64: None,
    }
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
