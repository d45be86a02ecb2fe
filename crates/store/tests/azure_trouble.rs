//! Trouble that no real server makes on demand.

mod azure_support;

use azure_support::scripted::{Reply, Scripted};
use azure_support::{config, store_with};
use base64::Engine;
use bytes::Bytes;
use futures::TryStreamExt;
use skyfresh_sky::{Attributes, Kind, Location, ObjectKey, ObjectVersion};
use skyfresh_store::azure::{AzureConfig, AzureCredentialSource, AzureStore};
use skyfresh_store::checksum::Crc64;
use skyfresh_store::{CopySource, GetOptions, ObjectStore, Precondition, PutOptions, single_chunk};
use std::time::Duration;

fn key() -> ObjectKey {
    ObjectKey::new("k").unwrap()
}

fn open(server: &Scripted, config: AzureConfig) -> AzureStore {
    let location: Location = format!("az://acme/c/?endpoint={}", server.address)
        .parse()
        .unwrap();
    store_with(&location, config)
}

fn options(size: u64, precondition: Precondition) -> PutOptions {
    PutOptions {
        size,
        attributes: Attributes::default(),
        precondition,
    }
}

fn written(etag: &str) -> Reply {
    Reply::new("201 Created", &format!("ETag: \"{etag}\"\r\n"), "")
}

fn staged(crc64: Crc64) -> Reply {
    let sum = base64::engine::general_purpose::STANDARD.encode(crc64.0.to_le_bytes());
    Reply::new("201 Created", &format!("x-ms-content-crc64: {sum}\r\n"), "")
}

/// More than is collected before it is sent.
fn large() -> Bytes {
    vec![7; 2 << 20].into()
}

#[tokio::test]
async fn damaged_bytes_are_never_committed() {
    for (answer, kind) in [
        (staged(Crc64::of(b"other bytes")), Kind::Corrupt),
        (Reply::new("201 Created", "", ""), Kind::Unsupported),
    ] {
        let server = Scripted::start([answer, written("0x1")]).await;
        let store = open(&server, config());
        let options = options(2 << 20, Precondition::None);
        let error = store
            .put(&key(), options, single_chunk(large()))
            .await
            .unwrap_err();
        assert_eq!(error.kind, kind);
        let received = server.received();
        assert_eq!(received.len(), 1, "nothing was committed");
        assert!(
            received[0].line.contains("comp=block "),
            "{}",
            received[0].line
        );
    }
}

#[tokio::test]
async fn a_large_put_is_a_proved_block_and_one_commit_under_its_condition() {
    let server = Scripted::start([staged(Crc64::of(&large())), written("0x2")]).await;
    let condition = Precondition::Version(ObjectVersion::from_etag("0x1"));
    let store = open(&server, config());
    let receipt = store
        .put(&key(), options(2 << 20, condition), single_chunk(large()))
        .await
        .unwrap();
    assert_eq!(receipt.version, ObjectVersion::from_etag("0x2"));
    assert_eq!(receipt.crc64, Some(Crc64::of(&large())));
    let received = server.received();
    assert_eq!(received[0].header("if-match"), None);
    assert_eq!(received[1].header("if-match"), Some("\"0x1\""));
    assert!(received[1].header("x-ms-blob-content-md5").is_some());
    let list = String::from_utf8_lossy(&received[1].body);
    assert_eq!(list.matches("<Uncommitted>").count(), 1, "{list}");
    assert_eq!(received[1].header("x-ms-version"), Some("2026-02-06"));
}

#[tokio::test]
async fn a_small_put_carries_its_md5_and_is_sent_again() {
    let busy = Reply::error("503 Service Unavailable", "", "ServerBusy");
    let server = Scripted::start([busy, written("0x1")]).await;
    let store = open(&server, config());
    store
        .put(
            &key(),
            options(3, Precondition::Absent),
            single_chunk("abc"),
        )
        .await
        .unwrap();
    let received = server.received();
    assert_eq!(received.len(), 2);
    for request in received {
        assert_eq!(
            request.header("content-md5"),
            Some("kAFQmDzST7DWlj99KOF/cg==")
        );
        assert_eq!(request.header("if-none-match"), Some("*"));
        assert_eq!(request.header("x-ms-blob-type"), Some("BlockBlob"));
        assert_eq!(request.body, b"abc");
    }
}

#[tokio::test]
async fn a_wrong_version_is_never_read() {
    let other = Reply::new("200 OK", "ETag: \"0x2\"\r\n", "abc");
    let server = Scripted::start([other]).await;
    let store = open(&server, config());
    let pinned = GetOptions {
        range: None,
        version: Some(ObjectVersion::from_etag("0x1")),
    };
    let error = store.get(&key(), pinned).await.map(|_| ()).unwrap_err();
    assert_eq!(error.kind, Kind::Precondition);
    assert_eq!(server.received()[0].header("if-match"), Some("\"0x1\""));
}

#[tokio::test]
async fn a_body_that_ends_early_is_an_error() {
    let cut = Reply::SendAndClose(
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nETag: \"e\"\r\n\r\nabc".into(),
    );
    let server = Scripted::start([cut]).await;
    let body = open(&server, config())
        .get(&key(), GetOptions::default())
        .await
        .unwrap()
        .body;
    let error = body.try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(error.kind, Kind::RetryAfter);
}

#[tokio::test]
async fn a_server_that_stalls_is_given_up() {
    let server = Scripted::start([Reply::SendAndStall(String::new())]).await;
    let impatient = AzureConfig {
        stall_timeout: Duration::from_millis(50),
        ..config()
    };
    let error = open(&server, impatient).head(&key()).await.unwrap_err();
    assert_eq!(error.kind, Kind::RetryAfter, "{error}");
}

#[tokio::test]
async fn a_listing_that_cannot_be_read_is_no_empty_page() {
    let page = |body: &str| Reply::new("200 OK", "", body);
    for (reply, kind) in [
        (page(""), Kind::RetryAfter),
        (page("<html><body>proxy</body></html>"), Kind::RetryAfter),
        (
            page(
                "<EnumerationResults><Blobs><Blob><Name>a</Name></Blob></Blobs></EnumerationResults>",
            ),
            Kind::RetryAfter,
        ),
        (
            Reply::error("404 Not Found", "", "ContainerNotFound"),
            Kind::Missing,
        ),
        (
            Reply::error("403 Forbidden", "", "AuthorizationPermissionMismatch"),
            Kind::Denied,
        ),
    ] {
        let server = Scripted::start([reply.clone()]).await;
        let error = open(&server, config()).list(None, 10).await.unwrap_err();
        assert_eq!(error.kind, kind, "{reply:?}: {error}");
        assert_eq!(error.is_missing_bucket(), kind == Kind::Missing);
    }
}

#[tokio::test]
async fn empty_pages_with_a_marker_are_followed() {
    let blob = "<Blob><Name>a</Name><Properties><Etag>0x1</Etag><Content-Length>1</Content-Length>\
                <Last-Modified>Tue, 14 Nov 2023 22:13:20 GMT</Last-Modified></Properties></Blob>";
    let page = |blobs: &str, marker: &str| {
        let body = format!(
            "<EnumerationResults><Blobs>{blobs}</Blobs><NextMarker>{marker}</NextMarker></EnumerationResults>"
        );
        Reply::new("200 OK", "", &body)
    };
    let server = Scripted::start([page("", "2!8!abc"), page(blob, "")]).await;
    let listed = open(&server, config()).list(None, 10).await.unwrap();
    assert_eq!(listed.objects.len(), 1);
    assert_eq!(listed.next, None);
    assert!(server.received()[1].line.contains("&marker=2%218%21abc"));
    let stuck = Scripted::start([page("", "m")]).await;
    let error = open(&stuck, config()).list(None, 10).await.unwrap_err();
    assert!(error.to_string().contains("does not advance"), "{error}");
}

#[tokio::test]
async fn a_copy_by_an_identity_shows_its_token_to_the_service_only() {
    let issuer = Scripted::start([Reply::new(
        "200 OK",
        "",
        r#"{"access_token":"hunter2","expires_in":3600}"#,
    )])
    .await;
    let head = Reply::Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"0x1\"\r\n\r\n".into());
    let refused = Reply::error("409 Conflict", "", "PublicAccessNotPermitted");
    let server = Scripted::start([head, refused]).await;
    let identity = AzureConfig {
        credentials: AzureCredentialSource::ManagedIdentity {
            client_id: None,
            endpoint: skyfresh_store::azure::IdentityEndpoint::InstanceMetadata {
                url: issuer.address.clone(),
            },
        },
        ..AzureConfig::default()
    };
    let source = CopySource {
        bucket: None,
        full_key: "from".into(),
        version: None,
    };
    let store = open(&server, identity);
    let error = store
        .copy(&key(), &source, None, &Precondition::None)
        .await
        .unwrap_err();
    assert!(!format!("{error:?}").contains("hunter2"));
    let received = server.received();
    assert_eq!(
        received[1].header("x-ms-copy-source"),
        Some(format!("{}/acme/c/from", server.address).as_str())
    );
    assert_eq!(
        received[1].header("x-ms-copy-source-authorization"),
        Some("Bearer hunter2")
    );
    assert_eq!(received[1].header("x-ms-source-if-match"), Some("\"0x1\""));
    assert_eq!(received[1].header("x-ms-source-range"), Some("bytes=0-4"));
    let elsewhere = CopySource {
        bucket: Some("other/c".into()),
        ..source
    };
    let error = store
        .copy(&key(), &elsewhere, None, &Precondition::None)
        .await
        .unwrap_err();
    assert_eq!(
        error.kind,
        Kind::Unsupported,
        "no token is shown to another account"
    );
}
