//! What is particular to memory; what every store must do is in the conformance suite.

use super::*;
use crate::{Error, GetOptions, ObjectStore, Precondition, PutOptions, Result, single_chunk};
use futures::TryStreamExt;
use skyfresh_sky::{Kind, ManualClock, ObjectKey};
use std::time::Duration;

fn sky() -> MemorySky {
    let sky = MemorySky::new(Arc::new(ManualClock::at(Timestamp::from_unix_ms(1_000))));
    sky.create_bucket("b");
    sky
}

fn store(sky: &MemorySky, location: &str) -> Arc<MemoryStore> {
    sky.store(location.parse().unwrap())
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).unwrap()
}

async fn put(store: &MemoryStore, name: &str, bytes: &'static [u8]) -> Result<crate::PutReceipt> {
    let options = PutOptions {
        size: bytes.len() as u64,
        attributes: Attributes::default(),
        precondition: Precondition::None,
    };
    store.put(&key(name), options, single_chunk(bytes)).await
}

async fn read(store: &MemoryStore, name: &str) -> Result<Vec<u8>> {
    let result = store.get(&key(name), GetOptions::default()).await?;
    let chunks: Vec<Bytes> = result.body.try_collect().await?;
    Ok(chunks.concat())
}

fn lost() -> Error {
    Error::new(Kind::RetryAfter, "put", "mem://b/x", "connection reset")
}

#[tokio::test]
async fn stores_of_one_bucket_share_it_and_events_tell_of_every_change() {
    let sky = sky();
    let mut events = sky.subscribe();
    put(&store(&sky, "mem://b/p/"), "x", b"hello")
        .await
        .unwrap();
    let whole = store(&sky, "mem://b");
    assert_eq!(read(&whole, "p/x").await.unwrap(), b"hello");
    whole
        .delete(&key("p/x"), &Precondition::None)
        .await
        .unwrap();
    whole
        .delete(&key("p/x"), &Precondition::None)
        .await
        .unwrap();

    let event = events.try_recv().unwrap();
    assert_eq!(
        (event.full_key.as_str(), event.kind, event.size),
        ("p/x", MemoryEventKind::Put, 5)
    );
    assert_eq!(event.etag, "5d41402abc4b2a76b9719d911017c592");
    assert_eq!(event.at, Timestamp::from_unix_ms(1_000));
    assert_eq!(events.try_recv().unwrap().kind, MemoryEventKind::Delete);
    assert!(events.try_recv().is_err());
}

#[tokio::test]
async fn a_versioned_bucket_still_reads_a_version_that_was_overwritten() {
    let sky = sky();
    sky.create_bucket_with(
        "v",
        Capabilities {
            versioned: true,
            ..MEMORY_CAPABILITIES
        },
    );
    let store = store(&sky, "mem://v");
    let first = put(&store, "x", b"one").await.unwrap();
    let second = put(&store, "x", b"two").await.unwrap();
    assert_ne!(first.version.version_id, second.version.version_id);
    let options = GetOptions {
        version: Some(first.version.clone()),
        range: None,
    };
    let result = store.get(&key("x"), options).await.unwrap();
    assert_eq!(result.head.version, first.version);
    let chunks: Vec<Bytes> = result.body.try_collect().await.unwrap();
    assert_eq!(chunks.concat(), b"one");
}

#[tokio::test]
async fn a_lost_answer_takes_effect_and_a_refusal_does_not() {
    let sky = sky();
    let store = store(&sky, "mem://b");
    sky.set_fault(Box::new(|operation| match operation.full_key {
        Some("refused") => Some(Fault::Refuse(lost())),
        Some("lost") if operation.kind == OperationKind::Put => Some(Fault::LoseAnswer(lost())),
        _ => None,
    }));
    assert_eq!(
        put(&store, "refused", b"1").await.unwrap_err().kind,
        Kind::RetryAfter
    );
    assert_eq!(
        put(&store, "lost", b"2").await.unwrap_err().kind,
        Kind::RetryAfter
    );
    sky.clear_fault();
    assert_eq!(
        store.head(&key("refused")).await.unwrap_err().kind,
        Kind::Missing
    );
    assert_eq!(read(&store, "lost").await.unwrap(), b"2");
}

#[tokio::test]
async fn bodies_fail_at_the_byte_that_was_named() {
    let sky = sky();
    let store = store(&sky, "mem://b");
    put(&store, "x", b"0123456789").await.unwrap();

    sky.set_fault(Box::new(|_| {
        Some(Fault::Body(BodyFault::Fail {
            at: 4,
            error: lost(),
        }))
    }));
    let mut body = store
        .get(&key("x"), GetOptions::default())
        .await
        .unwrap()
        .body;
    assert_eq!(body.try_next().await.unwrap().unwrap().as_ref(), b"0123");
    assert_eq!(body.try_next().await.unwrap_err().kind, Kind::RetryAfter);
    assert!(body.try_next().await.unwrap().is_none());
    // A failing body publishes nothing and keeps what was there.
    assert_eq!(
        put(&store, "x", b"abcdefghij").await.unwrap_err().kind,
        Kind::RetryAfter
    );

    sky.set_fault(Box::new(|_| {
        Some(Fault::Body(BodyFault::Corrupt { at: 4 }))
    }));
    assert_eq!(read(&store, "x").await.unwrap(), b"0123556789");
    assert_eq!(
        put(&store, "x", b"abcdefghij").await.unwrap_err().kind,
        Kind::Corrupt
    );

    let new = Bytes::from_static(b"new");
    sky.set_fault(Box::new(move |_| {
        Some(Fault::Body(BodyFault::Overwrite {
            at: 4,
            bytes: new.clone(),
        }))
    }));
    assert_eq!(read(&store, "x").await.unwrap(), b"0123456789");
    sky.clear_fault();
    assert_eq!(read(&store, "x").await.unwrap(), b"new");
}

#[tokio::test]
async fn delays_pass_on_the_clock_of_the_sky() {
    let clock = ManualClock::at(Timestamp::ZERO);
    let store = MemoryStore::new("mem://b".parse().unwrap(), Arc::new(clock.clone()));
    store
        .sky()
        .set_fault(Box::new(|_| Some(Fault::Delay(Duration::from_secs(3)))));
    put(&store, "x", b"1").await.unwrap();
    assert_eq!(clock.now(), Timestamp::from_unix_ms(3_000));
}

#[tokio::test]
async fn a_weak_bucket_ignores_and_refuses_as_its_record_says() {
    let sky = sky();
    let weak = Capabilities {
        put_if_absent: ConditionSupport::Ignored,
        complete_if_absent: ConditionSupport::Unsupported,
        tags: false,
        ..MEMORY_CAPABILITIES
    };
    sky.create_bucket_with("weak", weak);
    let store = store(&sky, "mem://weak");
    put(&store, "x", b"1").await.unwrap();
    let options = PutOptions {
        size: 1,
        attributes: Attributes::default(),
        precondition: Precondition::Absent,
    };
    store
        .put(&key("x"), options, single_chunk("2"))
        .await
        .unwrap();
    assert_eq!(read(&store, "x").await.unwrap(), b"2");
    assert_eq!(
        store.tags(&key("x")).await.unwrap_err().kind,
        Kind::Unsupported
    );

    let upload = store
        .create_upload(&key("y"), &Attributes::default())
        .await
        .unwrap();
    let part = store
        .upload_part(&key("y"), &upload, 1, 1, single_chunk("3"))
        .await
        .unwrap();
    let parts = [crate::CompletedPart {
        number: 1,
        etag: part.etag,
        size: 1,
        crc64: part.crc64,
    }];
    let error = store
        .complete_upload(&key("y"), &upload, &parts, &Precondition::Absent)
        .await
        .unwrap_err();
    assert_eq!(error.kind, Kind::Unsupported);
}

#[tokio::test]
async fn parts_are_told_of_the_version_asked_for_and_of_no_other_object() {
    let sky = sky();
    let store = store(&sky, "mem://b");
    let upload = store
        .create_upload(&key("y"), &Attributes::default())
        .await
        .unwrap();
    let mut parts = Vec::new();
    for (bytes, number) in [(&b"one"[..], 1), (b"three", 2)] {
        let size = bytes.len() as u64;
        let receipt = store
            .upload_part(&key("y"), &upload, number, size, single_chunk(bytes))
            .await
            .unwrap();
        parts.push(crate::CompletedPart {
            number,
            etag: receipt.etag,
            size,
            crc64: receipt.crc64,
        });
    }
    let whole = store
        .complete_upload(&key("y"), &upload, &parts, &Precondition::Absent)
        .await
        .unwrap();
    let told = store.parts(&key("y"), &whole.version).await.unwrap();
    let sum = |bytes: &[u8]| crate::PartSum::crc64(bytes.len() as u64, Crc64::of(bytes));
    assert_eq!(told, Some(vec![sum(b"one"), sum(b"three")]));
    assert!(told.unwrap().iter().all(crate::PartSum::is_strong));
    let plain = put(&store, "y", b"onethree").await.unwrap();
    assert_eq!(
        store.parts(&key("y"), &plain.version).await.unwrap(),
        None,
        "it was not uploaded in parts"
    );
    let refused = store.parts(&key("y"), &whole.version).await.unwrap_err();
    assert_eq!(refused.kind, Kind::Precondition);
}
