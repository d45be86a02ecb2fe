//! Listings over stores in memory, near and far, in virtual time.

use super::super::listing::Listing;
use super::super::width::MOST_AHEAD;
use skyfresh_sky::{Clock, Kind, ObjectKey, Rng, Timestamp, VirtualClock};
use skyfresh_store::memory::{Fault, MemorySky, OperationKind};
use skyfresh_store::{ObjectStore, Precondition, PutOptions, single_chunk};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const FAR: Duration = Duration::from_millis(100);

pub(super) struct Bucket {
    pub(super) sky: MemorySky,
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) keys: BTreeSet<String>,
}

impl Bucket {
    pub(super) async fn of(keys: impl IntoIterator<Item = String>) -> Self {
        let start = Timestamp::from_unix_ms(1_800_000_000_000);
        let clock: Arc<dyn Clock> = Arc::new(VirtualClock::starting_at(start));
        let sky = MemorySky::new(Arc::clone(&clock));
        sky.create_bucket("b");
        let store: Arc<dyn ObjectStore> = sky.store("mem://b/p/".parse().unwrap());
        let keys: BTreeSet<String> = keys.into_iter().collect();
        for key in &keys {
            put(store.as_ref(), key).await;
        }
        Bucket {
            sky,
            store,
            clock,
            keys,
        }
    }

    /// Pages take this long from now on. Gives how many were asked for.
    fn takes(&self, delay: Duration) -> Arc<AtomicU64> {
        let pages = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&pages);
        self.sky.set_fault(Box::new(move |operation| {
            if operation.kind != OperationKind::List {
                return None;
            }
            count.fetch_add(1, Ordering::Relaxed);
            Some(Fault::Delay(delay))
        }));
        pages
    }

    pub(super) fn listing(&self, literal: &str) -> Listing {
        Listing::new(Arc::clone(&self.store), literal, Arc::clone(&self.clock))
    }

    fn pages(&self) -> u64 {
        (self.keys.len() as u64).div_ceil(1_000)
    }

    /// Lists all; gives the time and the pages that took. What is listed must be what is there.
    async fn measure(&self, name: &str, delay: Duration) -> (Duration, u64) {
        let asked = self.takes(delay);
        let began_ns = self.clock.monotonic_ns();
        let mut listing = self.listing("");
        let listed = read(&mut listing).await.unwrap();
        let took = Duration::from_nanos(self.clock.monotonic_ns() - began_ns);
        assert!(listed.iter().eq(&self.keys), "{name}: not what is there");
        assert_eq!(listing.listed, listed.len() as u64);
        assert_eq!(listing.requests(), asked.load(Ordering::Relaxed));
        (took, listing.requests())
    }
}

pub(super) async fn put(store: &dyn ObjectStore, key: &str) {
    let options = PutOptions {
        size: 1,
        attributes: Default::default(),
        precondition: Precondition::None,
    };
    let key = ObjectKey::new(key).unwrap();
    store.put(&key, options, single_chunk("x")).await.unwrap();
}

pub(super) async fn read(listing: &mut Listing) -> crate::Result<Vec<String>> {
    let mut keys = Vec::new();
    while listing.peek().await?.is_some() {
        keys.push(listing.take().unwrap().key.to_string());
    }
    Ok(keys)
}

fn numbered(count: u32) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("part-{number:05}"))
}

fn hex(count: usize) -> Vec<String> {
    let rng = Rng::seeded(5);
    let name = |_| format!("{:016x}-{:04x}", rng.u64(), rng.u64() as u16);
    (0..count).map(name).collect()
}

pub(super) fn directories(count: u32, each: u32) -> impl Iterator<Item = String> {
    (0..count).map(move |it| format!("a/d-{:04}/file-{:04}", it / each, it % each))
}

#[tokio::test(start_paused = true)]
async fn a_far_listing_takes_a_fraction_of_its_pages_one_by_one() {
    for (name, keys, parts, most_asked) in [
        ("numbered", numbered(50_000).collect(), 4, 66),
        ("hex", hex(50_000), 4, 76),
        (
            "directories of 300",
            directories(50_000, 300).collect(),
            4,
            76,
        ),
        (
            "directories of 10",
            directories(50_000, 10).collect(),
            4,
            66,
        ),
    ] as [(&str, Vec<String>, u32, u64); 4]
    {
        let bucket = Bucket::of(keys).await;
        let (took, asked) = bucket.measure(name, FAR).await;
        let one_by_one = FAR * bucket.pages() as u32;
        assert!(took < one_by_one / parts, "{name}: {took:?}");
        assert!(asked <= most_asked, "{name}: {asked} pages");
    }
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_hard_to_guess_cost_little_more_than_one_by_one() {
    let large = directories(50_000, 5_000).collect();
    let middling = directories(50_000, 700).collect();
    let unpadded = (0..50_000).map(|it| format!("n{it}")).collect();
    // The names grow ever denser: what was seen always leads too far.
    let denser =
        (0..20_000u64).map(|it| format!("{:012}", 40_000_000_000 - 100 * (20_000 - it).pow(2)));
    for (name, keys) in [
        ("directories of 5,000", large),
        ("directories of 700", middling),
        ("numbers without zeroes", unpadded),
        ("ever denser", denser.collect()),
    ] as [(&str, Vec<String>); 4]
    {
        let bucket = Bucket::of(keys).await;
        let (took, asked) = bucket.measure(name, FAR).await;
        let pages = bucket.pages();
        assert!(took <= FAR * (pages as u32 + 1), "{name}: {took:?}");
        assert!(asked <= pages * 2 + 1, "{name}: {asked} pages");
    }
}

#[tokio::test(start_paused = true)]
async fn a_near_listing_asks_for_no_more_than_its_pages() {
    for keys in [numbered(20_000).collect(), hex(20_000)] {
        let bucket = Bucket::of(keys).await;
        let near = Duration::from_millis(3);
        let (took, asked) = bucket.measure("near", near).await;
        assert!(asked <= bucket.pages() + 1, "{asked} pages");
        assert!(took <= near * (bucket.pages() as u32 + 2), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_slower_than_the_pages_is_not_run_ahead_of() {
    let bucket = Bucket::of(numbered(30_000)).await;
    let asked = bucket.takes(FAR);
    let mut listing = bucket.listing("");
    let mut read = 0;
    while listing.peek().await.unwrap().is_some() {
        listing.take();
        read += 1;
        if read % 1_000 == 0 {
            bucket.clock.sleep(FAR * 2).await;
        }
    }
    assert_eq!(read, 30_000);
    assert!(asked.load(Ordering::Relaxed) <= bucket.pages() + 4);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_sixteen_pages_are_held() {
    let bucket = Bucket::of(numbered(40_000)).await;
    let asked = bucket.takes(FAR);
    let mut listing = bucket.listing("");
    let mut most = 0;
    for read in 0..40_000u64 {
        listing.peek().await.unwrap().unwrap();
        listing.take().unwrap();
        // The one being read counts, too.
        most = most.max(asked.load(Ordering::Relaxed) - read / 1_000);
    }
    assert!((MOST_AHEAD as u64..=16).contains(&most), "{most} pages");
}

#[tokio::test(start_paused = true)]
async fn a_failed_page_is_an_error_where_it_is_reached_and_never_an_end() {
    let bucket = Bucket::of(numbered(30_000)).await;
    for fails_from in [1u64, 2, 5, 12, 20, 29] {
        let asked = AtomicU64::new(0);
        bucket.sky.set_fault(Box::new(move |operation| {
            if operation.kind != OperationKind::List {
                return None;
            }
            match asked.fetch_add(1, Ordering::Relaxed) >= fails_from {
                true => Some(Fault::Refuse(skyfresh_store::Error::new(
                    Kind::Denied,
                    "list",
                    "b",
                    "no",
                ))),
                false => Some(Fault::Delay(FAR)),
            }
        }));
        let mut listing = bucket.listing("");
        let mut listed = Vec::new();
        let error = loop {
            match listing.peek().await {
                Ok(Some(_)) => listed.push(listing.take().unwrap().key.to_string()),
                Ok(None) => panic!("taken for an end after {} keys", listed.len()),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind, Kind::Denied);
        assert!(listed.iter().eq(bucket.keys.iter().take(listed.len())));
        assert!(listed.len() as u64 <= fails_from * 1_000);
        assert!(listing.peek().await.is_err(), "still no end");
    }
}

#[tokio::test(start_paused = true)]
async fn a_guessed_page_that_was_one_too_many_is_asked_for_again() {
    let bucket = Bucket::of(numbered(30_000)).await;
    let under_way = Arc::new(AtomicU64::new(0));
    let refused = Arc::new(AtomicU64::new(0));
    let (times, count) = (Arc::clone(&refused), Arc::clone(&under_way));
    bucket.sky.set_fault(Box::new(move |operation| {
        if operation.kind != OperationKind::List {
            return None;
        }
        let asked = count.fetch_add(1, Ordering::Relaxed);
        if (10..14).contains(&asked) {
            times.fetch_add(1, Ordering::Relaxed);
            let slow = skyfresh_store::Error::new(Kind::RetryAfter, "list", "b", "slow down");
            return Some(Fault::Refuse(slow));
        }
        Some(Fault::Delay(FAR))
    }));
    let listed = read(&mut bucket.listing("")).await.unwrap();
    assert!(listed.iter().eq(&bucket.keys));
    assert_eq!(refused.load(Ordering::Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn a_far_seek_passes_over_what_lies_between() {
    let bucket = Bucket::of(numbered(40_000)).await;
    let asked = bucket.takes(FAR);
    let mut listing = bucket.listing("");
    for number in (0..40_000).step_by(1_300) {
        let wanted = format!("part-{number:05}");
        listing
            .seek(&ObjectKey::new(wanted.as_str()).unwrap())
            .await
            .unwrap();
        let found = listing.peek().await.unwrap().map(|it| it.key.to_string());
        assert_eq!(found, Some(wanted));
    }
    // From amid pages that wait to far beyond them.
    let mut jumps = bucket.listing("");
    for _ in 0..9_500 {
        jumps.peek().await.unwrap();
        jumps.take().unwrap();
    }
    let before = asked.load(Ordering::Relaxed);
    jumps
        .seek(&ObjectKey::new("part-38500").unwrap())
        .await
        .unwrap();
    let rest = read(&mut jumps).await.unwrap();
    assert!(rest.iter().eq(bucket.keys.iter().skip(38_500)));
    let pages = asked.load(Ordering::Relaxed) - before;
    assert!(pages <= MOST_AHEAD as u64 + 2, "{pages} pages");
}

#[tokio::test(start_paused = true)]
async fn a_literal_bounds_a_far_listing() {
    let others = numbered(3_000).map(|key| key.replace("part", "q"));
    let bucket = Bucket::of(numbered(30_000).chain(["a".into()]).chain(others)).await;
    for literal in ["part-", "part-2", "part-29999", "a", "q", "none"] {
        bucket.takes(FAR);
        let mut listing = bucket.listing(literal);
        let listed = read(&mut listing).await.unwrap();
        let wanted = bucket.keys.iter().filter(|key| key.starts_with(literal));
        assert!(listed.iter().eq(wanted), "{literal}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_small_listing_takes_one_request() {
    for keys in [0, 1, 999, 1_000] {
        let bucket = Bucket::of(numbered(keys)).await;
        let (took, asked) = bucket.measure("small", FAR).await;
        assert_eq!((took, asked), (FAR, 1), "{keys} keys");
    }
}
