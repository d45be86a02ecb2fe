//! What each source holds.

use crate::places::Place;
use bytes::Bytes;
use futures::StreamExt;
use skyfresh_engine::STAMP;
use skyfresh_sky::{Attributes, ObjectKey, Scheme};
use skyfresh_store::{
    ByteStream, GetOptions, MetadataLimits, ObjectStore, Precondition, PutOptions,
};

/// The large object.
pub(crate) const LARGE: &str = "large";
/// Overwritten while it is being copied.
pub(crate) const OVERWRITTEN: &str = "overwritten";
/// Deleted while it is being copied.
pub(crate) const DELETED: &str = "deleted";
/// What [`OVERWRITTEN`] ends as.
pub(crate) const SECOND_CONTENT: &[u8] = b"the second content";
/// Carries as much user metadata as its store takes.
const FULL: &str = "full";
/// Carries every header that all stores keep.
const DRESSED: &str = "dressed";

/// Keys that every store can hold.
const AWKWARD: [&str; 11] = [
    "with space",
    "ünïcödé/漢字/🚀",
    "a+b %41&c=d?e#f",
    "quote'\"<>&",
    "semi;colon,comma@at",
    "..dots/...x",
    "UPPER/lower/UPPER",
    "deep/er/and/deep/er/still",
    "%2F%00%",
    "~tilde!$()*",
    "[brackets]{braces}|^`",
];

/// Sizes around the smallest part of a multipart upload.
const SIZES: [(&str, u64); 5] = [
    ("size/0", 0),
    ("size/1", 1),
    ("size/5MiB-1", (5 << 20) - 1),
    ("size/5MiB", 5 << 20),
    ("size/5MiB+1", (5 << 20) + 1),
];

pub(crate) fn key(name: &str) -> ObjectKey {
    ObjectKey::new(name).expect("a key")
}

/// The limits of the store behind a place.
fn limits(place: &Place) -> MetadataLimits {
    match place.source.scheme {
        Scheme::S3 => MetadataLimits::S3,
        Scheme::Gcs => MetadataLimits::GCS,
        Scheme::Azure => MetadataLimits::AZURE,
        Scheme::File | Scheme::Memory => MetadataLimits::LOCAL,
    }
}

/// Every name that a source holds at first.
pub(crate) fn names(_place: &Place) -> Vec<String> {
    AWKWARD
        .iter()
        .copied()
        .chain(SIZES.iter().map(|(name, _)| *name))
        .chain([LARGE, OVERWRITTEN, DELETED, FULL, DRESSED])
        .map(str::to_owned)
        .collect()
}

/// `size` bytes that differ from name to name and from place to place in them.
fn content(name: &str, size: u64) -> ByteStream {
    const CHUNK: u64 = 1 << 20;
    let seed = name.bytes().fold(7u64, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(byte.into())
    });
    let chunks = (0..size.div_ceil(CHUNK)).map(move |index| {
        let length = CHUNK.min(size - index * CHUNK);
        let mut state = seed ^ (index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let chunk: Vec<u8> = (0..length.div_ceil(8))
            .flat_map(|_| {
                // xorshift64 (Marsaglia 2003): neither compressible nor repeating.
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()
            })
            .take(length as usize)
            .collect();
        Ok(Bytes::from(chunk))
    });
    futures::stream::iter(chunks).boxed()
}

pub(crate) async fn put(
    store: &dyn ObjectStore,
    name: &str,
    size: u64,
    attributes: Attributes,
    body: ByteStream,
) {
    let options = PutOptions {
        size,
        attributes,
        precondition: Precondition::None,
    };
    store
        .put(&key(name), options, body)
        .await
        .unwrap_or_else(|error| panic!("put {name}: {error}"));
}

/// Fills a source.
pub(crate) async fn load(store: &dyn ObjectStore, place: &Place, large: u64) {
    let plain = Attributes::default;
    for name in AWKWARD {
        let body = name.as_bytes();
        put(
            store,
            name,
            body.len() as u64,
            plain(),
            skyfresh_store::single_chunk(Bytes::copy_from_slice(body)),
        )
        .await;
    }
    // Larger than a part and than what is read at once, so that something can happen to them on the way.
    let middling = [(OVERWRITTEN, 6 << 20), (DELETED, 6 << 20), (LARGE, large)];
    for (name, size) in SIZES.into_iter().chain(middling) {
        put(store, name, size, plain(), content(name, size)).await;
    }
    let full = Attributes {
        user: [("k".to_owned(), "v".repeat(limits(place).user_bytes - 1))].into(),
        ..plain()
    };
    put(store, FULL, 3, full, content(FULL, 3)).await;
    put(store, DRESSED, 3, dressed(), content(DRESSED, 3)).await;
}

fn dressed() -> Attributes {
    Attributes {
        content_type: Some("text/x-matrix; charset=utf-8".into()),
        content_encoding: Some("br".into()),
        content_language: Some("de-CH".into()),
        content_disposition: Some("attachment; filename=\"a b.txt\"".into()),
        cache_control: Some("max-age=60, must-revalidate".into()),
        user: [
            ("owner", "ops"),
            ("cost-centre", "4711"),
            ("x_y.z", "Grüße"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        ..Attributes::default()
    }
}

/// A whole object, or `None` where there is none.
pub(crate) async fn read(store: &dyn ObjectStore, name: &str) -> Option<Vec<u8>> {
    let mut read = store.get(&key(name), GetOptions::default()).await.ok()?;
    let mut all = Vec::new();
    while let Some(chunk) = read.body.next().await {
        all.extend_from_slice(&chunk.ok()?);
    }
    Some(all)
}

/// What travels beside the bytes must be what the limits of the destination leave of the source's.
pub(crate) async fn compare_attributes(
    source: &dyn ObjectStore,
    target: &dyn ObjectStore,
    from: &Place,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for name in names(from) {
        if name == DELETED {
            continue;
        }
        let wanted = key(&name);
        let (a, b) = futures::join!(source.head(&wanted), target.head(&wanted));
        let (Ok(a), Ok(b)) = (a, b) else {
            wrong.push(format!("{name}: no head"));
            continue;
        };
        let mut wanted = target.capabilities().metadata.fit(a.attributes).attributes;
        let mut held = b.attributes;
        for attributes in [&mut wanted, &mut held] {
            attributes.user.remove(STAMP);
            attributes.storage_class = None;
        }
        if wanted.content_type.is_none() {
            // Stores make one up where none was given.
            held.content_type = None;
        }
        if wanted != held {
            wrong.push(format!("{name}: {held:?} instead of {wanted:?}"));
        }
    }
    wrong
}
