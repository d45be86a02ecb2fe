//! Signatures and connection strings, on Azurite: it checks them.

mod azure_support;

use azure_support::{
    ACCOUNT, ACCOUNT_KEY, address, config, new_container, place, store, store_with,
};
use bytes::Bytes;
use futures::TryStreamExt;
use skyfresh_sky::{Attributes, Kind, ObjectKey};
use skyfresh_store::azure::{AzureConfig, AzureCredentialSource, AzureStore};
use skyfresh_store::{CopySource, GetOptions, ObjectStore, Precondition, PutOptions, single_chunk};

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).unwrap()
}

fn options(size: usize, attributes: Attributes) -> PutOptions {
    PutOptions {
        size: size as u64,
        attributes,
        precondition: Precondition::None,
    }
}

fn content(size: usize, seed: u8) -> Bytes {
    (0..size)
        .map(|at| (at as u64 * 31 % 251) as u8 ^ seed)
        .collect::<Vec<u8>>()
        .into()
}

async fn put(store: &AzureStore, name: &str, bytes: &Bytes) {
    let key = key(name);
    let done = store.put(
        &key,
        options(bytes.len(), Attributes::default()),
        single_chunk(bytes.clone()),
    );
    done.await.unwrap();
}

async fn read(store: &AzureStore, name: &str) -> Bytes {
    let result = store.get(&key(name), GetOptions::default()).await.unwrap();
    let chunks: Vec<Bytes> = result.body.try_collect().await.unwrap();
    chunks.concat().into()
}

#[tokio::test]
async fn a_signature_or_a_connection_string_opens_the_store() {
    let Some(address) = address("a_signature_or_a_connection_string_opens_the_store") else {
        return;
    };
    let container = new_container(&address, "signatures").await;
    let with_key = store(&place(&address, &container, ""));
    put(&with_key, "x", &content(100, 1)).await;

    let connection =
        format!("AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};BlobEndpoint={address}");
    let location = format!("az://{ACCOUNT}/{container}/").parse().unwrap();
    let connected = store_with(
        &location,
        AzureConfig {
            credentials: AzureCredentialSource::ConnectionString(connection),
            ..AzureConfig::default()
        },
    );
    assert_eq!(read(&connected, "x").await, content(100, 1));

    let sas = container_signature(&container, "2099-01-01T00:00:00Z");
    let signed = |token: String| {
        store_with(
            &place(&address, &container, ""),
            AzureConfig {
                credentials: AzureCredentialSource::Sas(token),
                ..AzureConfig::default()
            },
        )
    };
    let store = signed(sas.clone());
    assert_eq!(read(&store, "x").await, content(100, 1));
    let source = CopySource {
        bucket: Some(format!("{ACCOUNT}/{container}")),
        full_key: "x".into(),
        version: None,
    };
    store
        .copy(&key("copy of x"), &source, None, &Precondition::None)
        .await
        .unwrap();
    assert_eq!(read(&with_key, "copy of x").await, content(100, 1));
    let capabilities = store.probe("signed").await.unwrap();
    assert!(
        capabilities.copy && capabilities.copy_part && capabilities.tags,
        "{capabilities:?}"
    );

    let forged = signed(sas.replace("sig=", "sig=AAAA"))
        .head(&key("x"))
        .await
        .unwrap_err();
    assert_eq!(forged.kind, Kind::Denied);
    assert!(!format!("{forged:?}").contains("sig="), "{forged:?}");
    let wrong_key = store_with(
        &place(&address, &container, ""),
        AzureConfig {
            credentials: AzureCredentialSource::AccountKey("aHVudGVyMg==".into()),
            ..config()
        },
    );
    assert_eq!(
        wrong_key.head(&key("x")).await.unwrap_err().kind,
        Kind::Denied
    );
}

/// A service signature for a container: to read, add, create, write, delete, list and tag
/// (<https://learn.microsoft.com/rest/api/storageservices/create-service-sas>).
fn container_signature(container: &str, expiry: &str) -> String {
    use base64::Engine;
    let key = base64::engine::general_purpose::STANDARD
        .decode(ACCOUNT_KEY)
        .unwrap();
    let resource = format!("/blob/{ACCOUNT}/{container}");
    let fields = [
        "racwdlt",
        "",
        expiry,
        &resource,
        "",
        "",
        "",
        "2020-12-06",
        "c",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
    ];
    let signature = reqsign_core::hash::base64_hmac_sha256(&key, fields.join("\n").as_bytes());
    let signature = signature
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    let expiry = expiry.replace(':', "%3A");
    format!("?sv=2020-12-06&sr=c&sp=racwdlt&se={expiry}&sig={signature}")
}
