//! Signatures, checked by a server that nobody here wrote: odd keys, queries, headers and streamed bodies.

mod s3_support;

use bytes::Bytes;
use futures::StreamExt;
use skyfresh_sky::{Attributes, Kind, ObjectKey, Rng, SystemClock};
use skyfresh_store::s3::{Credentials, S3Config, S3Store};
use skyfresh_store::{ByteStream, GetOptions, ObjectStore, Precondition, PutOptions};
use std::sync::Arc;

const ODD_KEYS: [&str; 12] = [
    "plain",
    "with space",
    "plus+plus",
    "percent%41%",
    "q?a=b&c#d",
    "grün/日本/☂",
    "a//b",
    "/",
    "./x/../y",
    "..",
    "~!*'();:@$,[]",
    "tail/",
];

async fn server() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::fs::create_dir(directory.path().join("bucket")).expect("a bucket");
    let address = s3_support::s3s_fs::serve(directory.path()).await;
    (directory, address)
}

fn with_secret(address: &str, prefix: &str, secret: &str) -> S3Store {
    let credentials = Credentials::Static {
        access_key_id: s3_support::ACCESS_KEY_ID.into(),
        secret_access_key: secret.into(),
        session_token: None,
    };
    let location = s3_support::place(address, "bucket", prefix);
    let config = S3Config {
        credentials,
        ..S3Config::default()
    };
    S3Store::new(location, config, Arc::new(SystemClock), Rng::seeded(1)).expect("a store")
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).expect("a key")
}

async fn read(body: ByteStream) -> Vec<u8> {
    body.map(|chunk| chunk.expect("a chunk").to_vec())
        .concat()
        .await
}

#[tokio::test]
async fn odd_keys_are_signed_as_they_are_sent() {
    let (_directory, address) = server().await;
    let store = s3_support::store(&s3_support::place(&address, "bucket", ""));
    let impostor = with_secret(&address, "", "not the secret");
    for text in ODD_KEYS {
        // What the files below make of the key does not matter here: only that the signature was right.
        let outcome = store.head(&key(text)).await;
        assert!(
            !outcome
                .as_ref()
                .is_err_and(|error| error.kind == Kind::Denied),
            "{text}: {outcome:?}"
        );
        let refused = impostor
            .head(&key(text))
            .await
            .expect_err("a wrong signature is refused");
        assert_eq!(refused.kind, Kind::Denied, "{text}: {refused}");
    }
}

#[tokio::test]
async fn odd_prefixes_are_signed_in_queries() {
    let (_directory, address) = server().await;
    for prefix in ODD_KEYS {
        // `?`, `&` and `#` end a prefix in a location.
        if prefix.contains(['?', '&', '#']) {
            continue;
        }
        let store = s3_support::store(&s3_support::place(&address, "bucket", prefix));
        let page = store.list(Some("after +/%?&=é"), 7).await;
        assert!(
            !page.as_ref().is_err_and(|error| error.kind == Kind::Denied),
            "{prefix}: {page:?}"
        );
    }
    let refused = with_secret(&address, "", "wrong")
        .list(None, 1)
        .await
        .expect_err("a wrong signature");
    assert_eq!(refused.kind, Kind::Denied);
    assert!(
        refused.to_string().contains("check the secret access key"),
        "{refused}"
    );
}

#[tokio::test]
async fn metadata_and_bodies_are_signed_and_arrive_whole() {
    let (_directory, address) = server().await;
    let store = s3_support::store(&s3_support::place(&address, "bucket", ""));
    let attributes = Attributes {
        content_type: Some("text/plain; charset=utf-8".into()),
        cache_control: Some("max-age=1,  public".into()),
        user: [
            ("spaced".into(), "two  spaces".into()),
            ("wide".into(), "grün ☂".into()),
        ]
        .into(),
        ..Attributes::default()
    };
    // Below and above the size up to which bodies are collected, and with chunks that fit no frame.
    for size in [0usize, 1, 100_000, 300_000, 1_000_003] {
        let content: Vec<u8> = (0..size).map(|i| (i * 7 % 251) as u8).collect();
        let chunks: Vec<_> = content
            .chunks(70_001)
            .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
            .collect();
        let options = PutOptions {
            size: size as u64,
            attributes: attributes.clone(),
            precondition: Precondition::None,
        };
        let body = futures::stream::iter(chunks).boxed();
        let receipt = store
            .put(&key("a b+c"), options, body)
            .await
            .expect("a signed body is taken");
        assert_eq!(
            receipt.crc64,
            Some(skyfresh_store::checksum::Crc64::of(&content))
        );
        let result = store
            .get(&key("a b+c"), GetOptions::default())
            .await
            .expect("it is there");
        assert_eq!(
            result.head.attributes.user.get("wide").map(String::as_str),
            Some("grün ☂")
        );
        assert_eq!(read(result.body).await, content, "{size} bytes");
    }
}
