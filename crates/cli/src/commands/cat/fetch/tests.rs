use super::*;
use crate::objects::{Objects, Reading};
use futures::StreamExt as _;
use skyfresh_engine::OpenStore;
use skyfresh_sky::{Attributes, Location, ManualClock, Timestamp};
use skyfresh_store::memory::{BodyFault, Fault, MemorySky, OperationKind};
use skyfresh_store::{Error, ObjectStore, Precondition, PutOptions, single_chunk};
use std::sync::atomic::AtomicU32;

/// Two and a half pieces.
const SIZE: u64 = PIECE_BYTES * 5 / 2;

#[derive(Debug)]
struct Sky(MemorySky);

impl OpenStore for Sky {
    fn open(&self, location: &Location) -> skyfresh_store::Result<Arc<dyn ObjectStore>> {
        Ok(self.0.store(location.clone()))
    }
}

fn content() -> Vec<u8> {
    (0..SIZE).map(|index| (index * 7 % 251) as u8).collect()
}

async fn source() -> (Sky, Arc<Source>) {
    let sky = Sky(MemorySky::new(Arc::new(ManualClock::at(Timestamp::ZERO))));
    sky.0.create_bucket("b");
    let objects = Objects::read("mem://b/k", Reading::default()).unwrap();
    let place = Arc::new(Place::open(&sky, objects).unwrap());
    let key = ObjectKey::new("k").unwrap();
    let options = PutOptions {
        size: SIZE,
        attributes: Attributes::default(),
        precondition: Precondition::None,
    };
    place
        .store()
        .put(&key, options, single_chunk(content()))
        .await
        .unwrap();
    let head = place.head(&key).await.unwrap();
    (sky, Source::new(place, key, head, 0..SIZE).unwrap())
}

/// The bytes, and the first error.
async fn read(source: Arc<Source>) -> (Vec<u8>, Option<String>) {
    let clock = ManualClock::at(Timestamp::ZERO);
    let pieces = futures::stream::iter(Piece::all_of(Ok(source)));
    let mut fetched = std::pin::pin!(pieces.map(|piece| piece.fetch(&clock)).buffered(2));
    let mut bytes = Vec::new();
    while let Some(fetched) = fetched.next().await {
        match fetched {
            Fetched::Bytes { offset, chunks, .. } => {
                assert_eq!(offset, bytes.len() as u64);
                bytes.extend(chunks.concat());
            }
            Fetched::End(_) => {}
            Fetched::Failed(_, error) => return (bytes, Some(format!("{error:#}"))),
        }
    }
    (bytes, None)
}

fn broken() -> Error {
    Error::new(Kind::RetryAfter, "get", "mem://b/k", "the connection broke")
}

#[tokio::test]
async fn what_breaks_off_is_read_again() {
    let (sky, source) = source().await;
    let broke = AtomicU32::new(0);
    sky.0.set_fault(Box::new(move |operation| {
        let second = operation
            .range
            .as_ref()
            .is_some_and(|range| range.start == PIECE_BYTES);
        (second && broke.fetch_add(1, Ordering::Relaxed) < 3).then(|| {
            Fault::Body(BodyFault::Fail {
                at: 1000,
                error: broken(),
            })
        })
    }));
    let (bytes, error) = read(source).await;
    assert_eq!(error, None);
    assert!(bytes == content());
}

#[tokio::test]
async fn what_cannot_be_read_says_how_far_it_came() {
    let (sky, source) = source().await;
    sky.0.set_fault(Box::new(|operation| {
        let last = operation
            .range
            .as_ref()
            .is_some_and(|range| range.start == 2 * PIECE_BYTES);
        last.then(|| Fault::Refuse(broken()))
    }));
    let (bytes, error) = read(source).await;
    assert_eq!(bytes.len() as u64, 2 * PIECE_BYTES);
    let error = error.unwrap();
    assert!(
        error.contains("nothing was written from byte 16777216 on"),
        "{error}"
    );
}

#[tokio::test]
async fn two_versions_are_never_mixed() {
    let (sky, source) = source().await;
    let first = AtomicBool::new(true);
    sky.0.set_fault(Box::new(move |operation| {
        let overwrite =
            operation.kind == OperationKind::Get && first.swap(false, Ordering::Relaxed);
        overwrite.then(|| {
            Fault::Body(BodyFault::Overwrite {
                at: 0,
                bytes: vec![b'n'; SIZE as usize].into(),
            })
        })
    }));
    let (bytes, error) = read(source).await;
    let old = content();
    assert!(bytes == old[..bytes.len()]);
    let error = error.unwrap();
    assert!(error.contains("it changed"), "{error}");
}

#[tokio::test]
async fn only_what_is_stated_of_the_whole_proves_it() {
    let (_sky, source) = source().await;
    let sums = |bytes: &[u8]| Sums::of(bytes, source.wanted());
    assert_eq!(source.verify(&sums(&content())).unwrap(), Some("CRC64NVME"));
    let mut wrong = content();
    wrong[1] ^= 1;
    let told = source.verify(&sums(&wrong)).unwrap_err();
    assert_eq!(told.exit, Exit::Failed);
    assert!(
        told.message
            .starts_with("mem://b/k IS NOT WHAT WAS WRITTEN"),
        "{told}"
    );

    let stating = |change: fn(&mut ObjectHead)| {
        let mut head = source.head.clone();
        head.crc64 = None;
        change(&mut head);
        Source::new(Arc::clone(&source.place), source.key.clone(), head, 0..SIZE).unwrap()
    };
    let by_crc32c = stating(|head| head.crc32c = Some(Crc32c::of(&content())));
    let by_md5 = stating(|head| head.md5 = Some(Md5::of(&content())));
    let by_nothing = stating(|_| {});
    for (source, name) in [
        (by_crc32c, Some("CRC32C")),
        (by_md5, Some("MD5")),
        (by_nothing, None),
    ] {
        let sums = |bytes: &[u8]| Sums::of(bytes, source.wanted());
        assert_eq!(source.verify(&sums(&content())).unwrap(), name);
        assert_eq!(source.verify(&sums(&wrong)).is_err(), name.is_some());
    }
    let part = Source::new(
        Arc::clone(&source.place),
        source.key.clone(),
        source.head.clone(),
        0..9,
    );
    assert_eq!(part.unwrap().verify(&sums(&wrong)).unwrap(), None);
}
