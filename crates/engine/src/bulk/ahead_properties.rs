//! Whatever the keys, the pages, the times that they take and what fails: a listing ahead of its reader gives what one page
//! after the other would.

use super::super::listing::Listing;
use super::super::width::MOST_AHEAD;
use super::tests::{Bucket, directories, put, read};
use proptest::prelude::*;
use skyfresh_sky::{Kind, ObjectKey};
use skyfresh_store::memory::{Fault, OperationKind};
use skyfresh_store::{Error as StoreError, Precondition};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Key sets that listings meet, and some that they hardly do. Two together, so that pages show more than one pattern.
fn key_sets() -> impl Strategy<Value = BTreeSet<String>> {
    let even = (1u64..40, 1u64..6_000)
        .prop_map(|(step, count)| (0..count).map(|it| format!("n/{:07}", it * step)).collect());
    let random = prop::collection::vec(any::<u64>(), 1..4_000)
        .prop_map(|names| names.iter().map(|it| format!("{it:016x}")).collect());
    let nested =
        (1u32..3_000, 1u32..6_000).prop_map(|(each, count)| directories(count, each).collect());
    let ragged = (0u32..90_000, 1u32..5_000)
        .prop_map(|(first, count)| (first..first + count).map(|it| it.to_string()).collect());
    let awkward = prop::collection::vec("[a\u{7F}\u{D7FF}\u{E000}\u{10FFFF}é~!/ -]{1,8}", 1..3_000)
        .prop_map(|keys| {
            let valid = |key: &String| ObjectKey::new(key.as_str()).is_ok();
            keys.into_iter().filter(valid).collect()
        });
    let one = || {
        prop_oneof![
            even.clone(),
            random.clone(),
            nested.clone(),
            ragged.clone(),
            awkward.clone()
        ]
        .boxed()
    };
    let (a, b): (
        BoxedStrategy<BTreeSet<String>>,
        BoxedStrategy<BTreeSet<String>>,
    ) = (one(), one());
    (a, b).prop_map(|(a, b)| a.into_iter().chain(b).collect())
}

/// How long pages take, one after the other and from the beginning again: so that they come in any order.
fn delays() -> impl Strategy<Value = Vec<u64>> {
    prop_oneof![
        Just(vec![3]),
        Just(vec![80]),
        prop::collection::vec(1u64..400, 1..20)
    ]
}

/// In virtual time.
fn block_on<T>(running: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(running)
}

/// Pages take these times; those in `failing` fail.
fn pages_take(bucket: &Bucket, delays_ms: Vec<u64>, failing: BTreeSet<usize>) {
    let asked = AtomicUsize::new(0);
    bucket.sky.set_fault(Box::new(move |operation| {
        if operation.kind != OperationKind::List {
            return None;
        }
        let index = asked.fetch_add(1, Ordering::Relaxed);
        if failing.contains(&index) {
            let error = StoreError::new(Kind::RetryAfter, "list", "b", "slow down");
            return Some(Fault::Refuse(error));
        }
        let delay_ms = delays_ms[index % delays_ms.len()];
        Some(Fault::Delay(Duration::from_millis(delay_ms)))
    }));
}

/// Reads all, and looks at every key how many pages are held.
async fn read_watching(listing: &mut Listing) -> crate::Result<(Vec<String>, usize)> {
    let (mut keys, mut most) = (Vec::new(), 0);
    while listing.peek().await?.is_some() {
        most = most.max(listing.pages_held());
        keys.push(listing.take().unwrap().key.to_string());
    }
    Ok((keys, most))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_key_is_given_once_and_in_order(
        keys in key_sets(),
        page in 20usize..=1_000,
        delays_ms in delays(),
        literal in (any::<prop::sample::Index>(), 0usize..4),
    ) {
        block_on(async {
            let bucket = Bucket::of(keys).await;
            pages_take(&bucket, delays_ms, BTreeSet::new());
            let mut listing = bucket.listing("").in_pages_of(page);
            let (listed, most) = read_watching(&mut listing).await.unwrap();
            prop_assert!(listed.iter().eq(&bucket.keys));
            prop_assert!(most <= MOST_AHEAD + 2, "{} pages held", most);
            if bucket.keys.len() <= page {
                prop_assert_eq!(listing.requests(), 1);
            }

            let (which, length) = literal;
            let of = bucket.keys.iter().nth(which.index(bucket.keys.len().max(1)));
            let literal: String = of.map_or("", String::as_str).chars().take(length).collect();
            let mut listing = bucket.listing(&literal).in_pages_of(page);
            let listed = read(&mut listing).await.unwrap();
            let wanted = bucket.keys.iter().filter(|key| key.starts_with(&literal));
            prop_assert!(listed.iter().eq(wanted), "those that begin with {:?}", literal);
            Ok(())
        })?;
    }

    #[test]
    fn a_seek_finds_the_first_key_from_there_on(
        keys in key_sets(),
        page in 20usize..=1_000,
        delays_ms in delays(),
        seeks in prop::collection::vec((any::<prop::sample::Index>(), 0..3, any::<bool>()), 0..9),
    ) {
        block_on(async {
            let bucket = Bucket::of(keys).await;
            pages_take(&bucket, delays_ms, BTreeSet::new());
            let all: Vec<&String> = bucket.keys.iter().collect();
            let mut wanted: Vec<(String, bool)> = seeks
                .iter()
                .filter(|_| !all.is_empty())
                .map(|(index, how, takes)| {
                    let key = all[index.index(all.len())];
                    let place = match how {
                        0 => key.clone(),
                        1 => format!("{key}!"),
                        _ => key.chars().take(key.chars().count() - 1).collect(),
                    };
                    (place, *takes)
                })
                .filter(|(place, _)| ObjectKey::new(place.as_str()).is_ok())
                .collect();
            wanted.sort_unstable();
            let mut listing = bucket.listing("").in_pages_of(page);
            let mut taken = String::new();
            for (place, takes) in wanted {
                listing.seek(&ObjectKey::new(place.as_str()).unwrap()).await.unwrap();
                let found = listing.peek().await.unwrap().map(|it| it.key.to_string());
                let expected = bucket.keys.range(place..).find(|key| **key > taken);
                prop_assert_eq!(found.as_ref(), expected);
                if let Some(found) = found.filter(|_| takes) {
                    listing.take();
                    taken = found;
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn what_fails_is_an_error_and_never_an_end(
        keys in key_sets(),
        page in 20usize..=200,
        delays_ms in delays(),
        failing in prop::collection::btree_set(0usize..60, 0..30),
    ) {
        block_on(async {
            let bucket = Bucket::of(keys).await;
            let failures = failing.len();
            pages_take(&bucket, delays_ms, failing);
            let mut listing = bucket.listing("").in_pages_of(page);
            let (mut listed, mut errors) = (Vec::new(), 0);
            loop {
                match listing.peek().await {
                    Ok(Some(_)) => listed.push(listing.take().unwrap().key.to_string()),
                    Ok(None) => break,
                    Err(_) => errors += 1,
                }
                prop_assert!(errors <= failures, "no page fails more often than it is asked for");
            }
            // Whoever asks again after an error gets what is missing, and nothing twice.
            prop_assert!(listed.iter().eq(&bucket.keys));
            Ok(())
        })?;
    }

    #[test]
    fn what_changes_meanwhile_hides_nothing_else(
        keys in key_sets(),
        page in 20usize..=200,
        delays_ms in delays(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..200),
    ) {
        block_on(async {
            let bucket = Bucket::of(keys).await;
            pages_take(&bucket, delays_ms, BTreeSet::new());
            let all: Vec<String> = bucket.keys.iter().cloned().collect();
            let mut touched = BTreeSet::new();
            let mut planned = Vec::new();
            for (index, removes) in changes.iter().filter(|_| !all.is_empty()) {
                let key = all[index.index(all.len())].clone();
                let name = if *removes { key } else { format!("{key}~") };
                touched.insert(name.clone());
                planned.push((name, *removes));
            }
            let (store, clock) = (Arc::clone(&bucket.store), Arc::clone(&bucket.clock));
            let changing = tokio::spawn(async move {
                for (name, removes) in planned {
                    clock.sleep(Duration::from_millis(17)).await;
                    if removes {
                        let key = ObjectKey::new(name).unwrap();
                        store.delete(&key, &Precondition::None).await.unwrap();
                    } else {
                        put(store.as_ref(), &name).await;
                    }
                }
            });
            let mut listing = bucket.listing("").in_pages_of(page);
            let listed = read(&mut listing).await.unwrap();
            prop_assert!(listed.is_sorted_by(|a, b| a < b), "in order, and none twice");
            let listed: BTreeSet<String> = listed.into_iter().collect();
            for key in bucket.keys.difference(&touched) {
                prop_assert!(listed.contains(key), "{} was there all the time", key);
            }
            for key in listed.difference(&bucket.keys) {
                prop_assert!(touched.contains(key), "{} was never there", key);
            }
            changing.abort();
            Ok(())
        })?;
    }
}
