//! Uploads in parts on a server that speaks Google's protocol: trees of compositions, processes that die, endpoints that lack
//! something.

mod gcs_support;
mod s3_support;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use gcs_support::{BUCKET, VERSIONED_BUCKET, create_bucket, place, raw, store_at};
use s3_support::scripted::{Reply, Scripted};
use skyfresh_sky::{Attributes, Kind, ObjectKey, Rng};
use skyfresh_store::checksum::Crc32c;
use skyfresh_store::gcs::GcsStore;
use skyfresh_store::{
    Capabilities, CompletedPart, GetOptions, ObjectStore, Precondition, PutOptions, UploadLimits,
    Verification, single_chunk,
};

fn key() -> ObjectKey {
    ObjectKey::new("k").expect("a key")
}

/// A store at a place of its own.
async fn store() -> GcsStore {
    let address = gcs_support::address();
    create_bucket(&address, BUCKET, false).await;
    let prefix = format!("{}/", Rng::from_entropy().token());
    store_at(&place(&address, BUCKET, &prefix))
}

fn composing(store: GcsStore) -> GcsStore {
    let capabilities = store.capabilities();
    store.with_capabilities(Capabilities {
        upload_limits: UploadLimits::GCS_COMPOSE,
        ..capabilities
    })
}

async fn send(store: &GcsStore, upload: &str, number: u32, bytes: Bytes) -> CompletedPart {
    let size = bytes.len() as u64;
    let receipt = store
        .upload_part(&key(), upload, number, size, single_chunk(bytes))
        .await
        .expect("a part");
    CompletedPart {
        number,
        etag: receipt.etag,
        size,
        crc64: receipt.crc64,
    }
}

async fn read(store: &GcsStore) -> Bytes {
    let read = store
        .get(&key(), GetOptions::default())
        .await
        .expect("it is there");
    let chunks: Vec<Bytes> = read.body.try_collect().await.expect("its bytes");
    chunks.concat().into()
}

/// Nothing is left of any upload.
async fn assert_clean(store: &GcsStore) {
    let mut after = None;
    loop {
        let page = store.list_uploads(after.as_deref()).await.unwrap();
        assert!(page.uploads.is_empty(), "{:?}", page.uploads);
        match page.next {
            None => return,
            next => after = next,
        }
    }
}

#[tokio::test]
async fn any_number_of_parts_is_composed() {
    let store = store().await;
    let store = composing(store);
    // One level, two, three.
    for count in [1, 32, 33, 1025] {
        let upload = store
            .create_upload(&key(), &Attributes::default())
            .await
            .unwrap();
        let parts: Vec<CompletedPart> = stream::iter(1..=count)
            .map(|number| send(&store, &upload, number, format!("{number},").into()))
            .buffered(16)
            .collect()
            .await;
        store
            .complete_upload(&key(), &upload, &parts, &Precondition::None)
            .await
            .unwrap();
        let expected: String = (1..=count).map(|number| format!("{number},")).collect();
        assert_eq!(read(&store).await, expected);
        let head = store.head(&key()).await.unwrap();
        assert_eq!(head.crc32c, Some(Crc32c::of(expected.as_bytes())));
        assert_clean(&store).await;
        assert_eq!(store.list(None, 1000).await.unwrap().objects.len(), 1);
    }
}

#[tokio::test]
async fn long_attributes_take_another_way_and_arrive() {
    let store = store().await;
    for value in ["x".repeat(1000), "ü".repeat(3500)] {
        let attributes = Attributes {
            content_type: Some("text/x".into()),
            storage_class: Some("NEARLINE".into()),
            user: [("a".to_owned(), value)].into(),
            ..Attributes::default()
        };
        let upload = store.create_upload(&key(), &attributes).await.unwrap();
        let part = send(&store, &upload, 1, "abc".into()).await;
        store
            .complete_upload(&key(), &upload, &[part], &Precondition::None)
            .await
            .unwrap();
        assert_eq!(store.head(&key()).await.unwrap().attributes, attributes);
        assert_clean(&store).await;
    }
}

#[tokio::test]
async fn a_copy_of_many_steps_arrives() {
    let store = store().await;
    // Another storage class makes a server copy bytes, which takes it several calls.
    let capabilities = store.capabilities();
    let store = store.with_capabilities(Capabilities {
        verification: Verification::Staged,
        ..capabilities
    });
    let bytes = Bytes::from(vec![7; (40 << 20) + 1]);
    let options = PutOptions {
        size: bytes.len() as u64,
        attributes: Attributes {
            storage_class: Some("COLDLINE".into()),
            ..Attributes::default()
        },
        precondition: Precondition::Absent,
    };
    let receipt = store
        .put(&key(), options, single_chunk(bytes.clone()))
        .await
        .unwrap();
    let head = store.head(&key()).await.unwrap();
    assert_eq!(head.version, receipt.version);
    assert_eq!(head.crc32c, Some(Crc32c::of(&bytes)));
    assert_eq!(head.attributes.storage_class.as_deref(), Some("COLDLINE"));
    assert!(read(&store).await == bytes);
}

#[tokio::test]
async fn a_refused_completion_can_be_aborted_or_tried_again() {
    let store = store().await;
    let options = || PutOptions {
        size: 3,
        attributes: Attributes::default(),
        precondition: Precondition::None,
    };
    let store_of = [store];
    for composes in [false, true] {
        let store = &store_of[0];
        store
            .put(&key(), options(), single_chunk("old"))
            .await
            .unwrap();
        let limits = match composes {
            true => UploadLimits::GCS_COMPOSE,
            false => UploadLimits::GCS_XML,
        };
        let capabilities = store.capabilities();
        let store = store_at(store.location()).with_capabilities(Capabilities {
            upload_limits: limits,
            ..capabilities
        });
        let upload = store
            .create_upload(&key(), &Attributes::default())
            .await
            .unwrap();
        let parts = [send(&store, &upload, 1, "new".into()).await];
        for _ in 0..2 {
            let refused = store
                .complete_upload(&key(), &upload, &parts, &Precondition::Absent)
                .await;
            assert_eq!(refused.unwrap_err().kind, Kind::Precondition);
            assert_eq!(read(&store).await, "old");
        }
        let listed = store.list(None, 1000).await.unwrap();
        assert_eq!(listed.objects.len(), 1, "temporary objects are not listed");
        // By another process, which has nothing but the id.
        let other = store_at(store.location());
        other
            .complete_upload(&key(), &upload, &parts, &Precondition::None)
            .await
            .unwrap();
        assert_eq!(read(&store).await, "new");

        let upload = store
            .create_upload(&key(), &Attributes::default())
            .await
            .unwrap();
        let parts = [send(&store, &upload, 1, "not".into()).await];
        let refused = store
            .complete_upload(&key(), &upload, &parts, &Precondition::Absent)
            .await;
        assert_eq!(refused.unwrap_err().kind, Kind::Precondition);
        other.abort_upload(&key(), &upload).await.unwrap();
        let gone = store
            .complete_upload(&key(), &upload, &parts, &Precondition::None)
            .await;
        assert_eq!(gone.unwrap_err().kind, Kind::Missing);
        assert_eq!(read(&store).await, "new");
        assert_clean(&store).await;
    }
}

#[tokio::test]
async fn a_probe_finds_out_what_is_lacking() {
    let address = gcs_support::address();
    create_bucket(&address, BUCKET, false).await;
    let probe = async |lacking: &'static str| {
        let to = address.clone();
        let server = Scripted::deciding(move |request| {
            let path = request.line.split(' ').nth(1).unwrap_or_default();
            let is_xml = path.starts_with(&format!("/{BUCKET}"));
            match (lacking, is_xml) {
                ("xml", true) => Reply::error("501 Not Implemented", "", "NotImplemented"),
                (without, _) => Reply::Forward {
                    to: to.clone(),
                    without,
                },
            }
        })
        .await;
        let prefix = format!("{}/", Rng::from_entropy().token());
        let store = store_at(&place(&server.address, BUCKET, &prefix));
        let found = store.probe("n").await.expect("a probe");
        let left = store_at(&place(&address, BUCKET, &prefix));
        assert!(left.list(None, 10).await.unwrap().objects.is_empty());
        assert_clean(&left).await;
        found
    };
    let all = probe("nothing").await;
    assert_eq!(all.verification, Verification::Crc32c);
    assert_eq!(all.upload_limits, UploadLimits::GCS_XML);
    let without_xml = probe("xml").await;
    assert_eq!(
        without_xml,
        Capabilities {
            upload_limits: UploadLimits::GCS_COMPOSE,
            ..all.clone()
        }
    );
    let unchecked = probe("x-goog-hash").await;
    assert_eq!(
        unchecked,
        Capabilities {
            verification: Verification::Staged,
            ..all
        }
    );
}

#[tokio::test]
async fn no_old_version_of_anything_temporary_stays() {
    let address = gcs_support::address();
    create_bucket(&address, VERSIONED_BUCKET, true).await;
    let prefix = format!("{}/", Rng::from_entropy().token());
    let location = place(&address, VERSIONED_BUCKET, &prefix);
    let found = store_at(&location).probe("n").await.unwrap();
    for change in [
        found.clone(),
        Capabilities {
            upload_limits: UploadLimits::GCS_COMPOSE,
            verification: Verification::Staged,
            ..found
        },
    ] {
        let store = store_at(&location).with_capabilities(change);
        for finish in [true, false] {
            let upload = store
                .create_upload(&key(), &Attributes::default())
                .await
                .unwrap();
            send(&store, &upload, 1, "first".into()).await;
            let parts = [send(&store, &upload, 1, "again".into()).await];
            if finish {
                store
                    .complete_upload(&key(), &upload, &parts, &Precondition::None)
                    .await
                    .unwrap();
            } else {
                store.abort_upload(&key(), &upload).await.unwrap();
            }
        }
        let options = PutOptions {
            size: 3,
            attributes: Attributes::default(),
            precondition: Precondition::None,
        };
        store
            .put(&key(), options, single_chunk("put"))
            .await
            .unwrap();
    }
    let path = format!(
        "/storage/v1/b/{VERSIONED_BUCKET}/o?versions=true&prefix={prefix}&fields=items/name"
    );
    let listed = raw(&address, "GET", &path, "").await;
    assert_eq!(listed.matches("\"name\"").count(), 4, "{listed}");
    assert!(!listed.contains("/.skyfresh-"), "{listed}");
}
