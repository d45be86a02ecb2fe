//! What is particular to Azure, on Azurite.

mod azure_support;

use azure_support::{address, new_container, place, request, store};
use bytes::Bytes;
use futures::TryStreamExt;
use skyfresh_sky::{Attributes, Kind, ObjectKey};
use skyfresh_store::azure::{AzureStore, METADATA_LIMIT_BYTES};
use skyfresh_store::checksum::{Crc64, Md5};
use skyfresh_store::{
    CompletedPart, CopySource, GetOptions, ObjectStore, Precondition, PutOptions, single_chunk,
};
use std::collections::BTreeMap;

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

async fn part(
    store: &AzureStore,
    name: &str,
    upload: &str,
    number: u32,
    bytes: &Bytes,
) -> CompletedPart {
    let size = bytes.len() as u64;
    let key = key(name);
    let sent = store.upload_part(&key, upload, number, size, single_chunk(bytes.clone()));
    let receipt = sent.await.unwrap();
    CompletedPart {
        number,
        etag: receipt.etag,
        size,
        crc64: receipt.crc64,
    }
}

#[tokio::test]
async fn a_receipt_completes_with_exactly_its_own_bytes() {
    let Some(address) = address("a_receipt_completes_with_exactly_its_own_bytes") else {
        return;
    };
    let store = store(&place(
        &address,
        &new_container(&address, "receipts").await,
        "",
    ));
    for chosen in [0, 1] {
        let upload = store
            .create_upload(&key("x"), &Attributes::default())
            .await
            .unwrap();
        let attempts = [content(1000, 1), content(999, 2)];
        let mut receipts = Vec::new();
        for bytes in &attempts {
            receipts.push(part(&store, "x", &upload, 1, bytes).await);
        }
        let x = key("x");
        let done =
            store.complete_upload(&x, &upload, &receipts[chosen..=chosen], &Precondition::None);
        assert_eq!(
            done.await.unwrap().crc64,
            Some(Crc64::of(&attempts[chosen]))
        );
        assert_eq!(read(&store, "x").await, attempts[chosen]);
    }
}

#[tokio::test]
async fn an_aborted_upload_completes_in_no_process() {
    let Some(address) = address("an_aborted_upload_completes_in_no_process") else {
        return;
    };
    let location = place(&address, &new_container(&address, "aborts").await, "");
    let (one, another) = (store(&location), store(&location));
    let bytes = content(1000, 1);
    let (first, second) = (
        one.create_upload(&key("x"), &Attributes::default())
            .await
            .unwrap(),
        one.create_upload(&key("x"), &Attributes::default())
            .await
            .unwrap(),
    );
    let of_first = part(&one, "x", &first, 1, &bytes).await;
    let of_second = part(&one, "x", &second, 1, &bytes).await;
    one.abort_upload(&key("x"), &first).await.unwrap();
    one.abort_upload(&key("x"), &first).await.unwrap();
    let refused = another
        .complete_upload(&key("x"), &first, &[of_first], &Precondition::None)
        .await
        .unwrap_err();
    assert_eq!(refused.kind, Kind::Missing, "{refused}");
    assert_eq!(one.head(&key("x")).await.unwrap_err().kind, Kind::Missing);
    assert!(
        one.list(None, 10).await.unwrap().objects.is_empty(),
        "what is left of an abort is not listed"
    );
    another
        .complete_upload(&key("x"), &second, &[of_second], &Precondition::None)
        .await
        .unwrap();
    assert_eq!(read(&one, "x").await, bytes);
    one.abort_upload(&key("x"), "none of ours").await.unwrap();
}

#[tokio::test]
async fn a_write_in_between_is_noticed_by_an_upload() {
    let Some(address) = address("a_write_in_between_is_noticed_by_an_upload") else {
        return;
    };
    let store = store(&place(
        &address,
        &new_container(&address, "between").await,
        "",
    ));
    for (precondition, kind) in [
        (Precondition::None, Kind::Missing),
        (Precondition::Absent, Kind::Precondition),
    ] {
        let name = format!("x-{kind}");
        let upload = store
            .create_upload(&key(&name), &Attributes::default())
            .await
            .unwrap();
        let staged = part(&store, &name, &upload, 1, &content(10, 1)).await;
        // Long enough to be committed as a block: Azurite keeps uncommitted blocks when a blob is put whole, which Azure does not.
        let other = content(2 << 20, 2);
        put(&store, &name, &other).await;
        let refused = store
            .complete_upload(&key(&name), &upload, &[staged], &precondition)
            .await
            .unwrap_err();
        assert_eq!(refused.kind, kind, "{refused}");
        assert_eq!(read(&store, &name).await, other);
    }
}

#[tokio::test]
async fn parts_without_bytes_are_left_out() {
    let Some(address) = address("parts_without_bytes_are_left_out") else {
        return;
    };
    let store = store(&place(
        &address,
        &new_container(&address, "empty").await,
        "",
    ));
    for tail in [Bytes::new(), content(5, 1)] {
        let upload = store
            .create_upload(&key("x"), &Attributes::default())
            .await
            .unwrap();
        let parts = [
            part(&store, "x", &upload, 1, &Bytes::new()).await,
            part(&store, "x", &upload, 2, &tail).await,
        ];
        store
            .complete_upload(&key("x"), &upload, &parts, &Precondition::None)
            .await
            .unwrap();
        assert_eq!(read(&store, "x").await, tail);
    }
}

#[tokio::test]
async fn user_metadata_of_any_name_up_to_the_limit() {
    let Some(address) = address("user_metadata_of_any_name_up_to_the_limit") else {
        return;
    };
    let store = store(&place(
        &address,
        &new_container(&address, "metadata").await,
        "",
    ));
    // Names whose order differs between bytes and the service's collation, which the signature follows.
    let names = [
        "a_",
        "a1",
        "a-b",
        "skyfresh-source",
        "1st",
        "x.y",
        "_x2d_",
        "plain",
    ];
    let user: BTreeMap<String, String> = names
        .iter()
        .map(|name| ((*name).to_owned(), format!("of {name}  ü")))
        .collect();
    let attributes = Attributes {
        user,
        ..Attributes::default()
    };
    store
        .put(
            &key("names"),
            options(1, attributes.clone()),
            single_chunk("x"),
        )
        .await
        .unwrap();
    assert_eq!(
        store.head(&key("names")).await.unwrap().attributes.user,
        attributes.user
    );
    let upload = store
        .create_upload(&key("upload"), &attributes)
        .await
        .unwrap();
    let parts = [part(&store, "upload", &upload, 1, &content(5, 1)).await];
    store
        .complete_upload(&key("upload"), &upload, &parts, &Precondition::None)
        .await
        .unwrap();
    assert_eq!(
        store.head(&key("upload")).await.unwrap().attributes.user,
        attributes.user
    );

    let of = |bytes: usize| Attributes {
        user: [("name".to_owned(), "v".repeat(bytes - "name".len()))].into(),
        ..Attributes::default()
    };
    // Azurite's HTTP server takes 16 KiB of headers in all.
    store
        .put(
            &key("most"),
            options(1, of(METADATA_LIMIT_BYTES)),
            single_chunk("x"),
        )
        .await
        .unwrap();
    assert_eq!(
        store.head(&key("most")).await.unwrap().attributes,
        Attributes {
            content_type: Some("application/octet-stream".into()),
            ..of(METADATA_LIMIT_BYTES)
        }
    );
    let over = store
        .put(
            &key("over"),
            options(1, of(METADATA_LIMIT_BYTES + 1)),
            single_chunk("x"),
        )
        .await;
    assert_eq!(over.unwrap_err().kind, Kind::Invalid);
}

#[tokio::test]
async fn tags_are_kept_and_replaced() {
    let Some(address) = address("tags_are_kept_and_replaced") else {
        return;
    };
    let store = store(&place(&address, &new_container(&address, "tags").await, ""));
    put(&store, "x", &content(1, 1)).await;
    let version = store.head(&key("x")).await.unwrap().version;
    let tags: BTreeMap<String, String> = [("project", "skyfresh"), ("with space", "a+b=c:d/e-f._")]
        .map(|(name, value)| (name.into(), value.into()))
        .into();
    store.set_tags(&key("x"), &tags).await.unwrap();
    assert_eq!(store.tags(&key("x")).await.unwrap(), tags);
    let head = store.head(&key("x")).await.unwrap();
    assert_eq!((head.tag_count, head.version), (2, version));
    store.set_tags(&key("x"), &BTreeMap::new()).await.unwrap();
    assert!(store.tags(&key("x")).await.unwrap().is_empty());
    assert_eq!(
        store.tags(&key("absent")).await.unwrap_err().kind,
        Kind::Missing
    );
    assert_eq!(
        store
            .set_tags(&key("absent"), &tags)
            .await
            .unwrap_err()
            .kind,
        Kind::Missing
    );
    let refused = store
        .set_tags(&key("x"), &[("a".to_owned(), "@".to_owned())].into())
        .await
        .unwrap_err();
    assert_eq!(refused.kind, Kind::Invalid);
}

#[tokio::test]
async fn the_md5_of_a_whole_object_is_stated() {
    let Some(address) = address("the_md5_of_a_whole_object_is_stated") else {
        return;
    };
    let store = store(&place(
        &address,
        &new_container(&address, "digests").await,
        "",
    ));
    for size in [0, 10, 3 << 20] {
        let bytes = content(size, 1);
        put(&store, "x", &bytes).await;
        assert_eq!(
            store.head(&key("x")).await.unwrap().md5,
            Some(Md5::of(&bytes)),
            "{size} bytes"
        );
        let ranged = GetOptions {
            range: (size > 0).then_some(0..1),
            version: None,
        };
        let head = store.get(&key("x"), ranged).await.unwrap().head;
        assert!(
            head.md5.is_none_or(|md5| md5 == Md5::of(&bytes)),
            "a range's digest is not the object's"
        );
        let source = CopySource {
            bucket: None,
            full_key: "x".into(),
            version: None,
        };
        store
            .copy(&key("copy"), &source, None, &Precondition::None)
            .await
            .unwrap();
        assert_eq!(
            store.head(&key("copy")).await.unwrap().md5,
            Some(Md5::of(&bytes))
        );
    }
}

#[tokio::test]
async fn storage_classes_are_access_tiers() {
    let Some(address) = address("storage_classes_are_access_tiers") else {
        return;
    };
    let store = store(&place(
        &address,
        &new_container(&address, "tiers").await,
        "",
    ));
    put(&store, "default", &content(1, 1)).await;
    assert_eq!(
        store
            .head(&key("default"))
            .await
            .unwrap()
            .attributes
            .storage_class,
        None
    );
    let cool = Attributes {
        storage_class: Some("Cool".into()),
        ..Attributes::default()
    };
    for size in [1, 2 << 20] {
        store
            .put(
                &key("cool"),
                options(size, cool.clone()),
                single_chunk(content(size, 1)),
            )
            .await
            .unwrap();
        assert_eq!(
            store
                .head(&key("cool"))
                .await
                .unwrap()
                .attributes
                .storage_class
                .as_deref(),
            Some("Cool")
        );
    }
    let none = Attributes {
        storage_class: Some("GLACIER".into()),
        ..Attributes::default()
    };
    let refused = store
        .put(&key("x"), options(1, none), single_chunk("x"))
        .await
        .unwrap_err();
    assert_eq!(refused.kind, Kind::Invalid, "{refused}");
}

#[tokio::test]
async fn a_lease_or_a_snapshot_is_respected_and_named() {
    let Some(address) = address("a_lease_or_a_snapshot_is_respected_and_named") else {
        return;
    };
    let container = new_container(&address, "leases").await;
    let store = store(&place(&address, &container, ""));
    put(&store, "leased", &content(1, 1)).await;
    let lease = [
        ("x-ms-lease-action", "acquire"),
        ("x-ms-lease-duration", "-1"),
    ];
    let answer = request(
        &address,
        "PUT",
        &format!("/{container}/leased?comp=lease"),
        &lease,
        "",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    let written = store
        .put(
            &key("leased"),
            options(1, Attributes::default()),
            single_chunk("x"),
        )
        .await;
    let deleted = store
        .delete(&key("leased"), &Precondition::None)
        .await
        .unwrap_err();
    for refused in [written.unwrap_err(), deleted] {
        assert_eq!(refused.kind, Kind::Denied);
        assert!(refused.to_string().contains("lease"), "{refused}");
    }
    put(&store, "kept", &content(1, 1)).await;
    let answer = request(
        &address,
        "PUT",
        &format!("/{container}/kept?comp=snapshot"),
        &[],
        "",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    let refused = store
        .delete(&key("kept"), &Precondition::None)
        .await
        .unwrap_err();
    assert_eq!(refused.kind, Kind::Denied);
    assert!(refused.to_string().contains("snapshots"), "{refused}");
}
