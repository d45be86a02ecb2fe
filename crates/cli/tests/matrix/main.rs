//! Every kind of store as the source of every kind: S3, Google Cloud Storage, Azure Blob Storage and a directory, sixteen
//! pairings under one engine, over real protocols.
//!
//! ```text
//!  s3 ─┐                 ┌─► s3     objects of 0 B, 1 B, 5 MiB - 1, 5 MiB, 5 MiB + 1, one large;
//!  gs ─┼─► four rules ───┼─► gs     awkward keys; metadata at the source's limit;
//!  az ─┤   one engine    ├─► az     one object overwritten and one deleted while they are being copied
//!  disk┘                 └─► disk
//! ```
//!
//! At the end every destination is compared byte by byte with its source by connections of the test's own, and so is what
//! travels beside the bytes.
//!
//! | variable | means |
//! |---|---|
//! | `SKYFRESH_MATRIX_LARGE_BYTES` | size of the large object (24 MiB) |

#![expect(
    clippy::disallowed_methods,
    reason = "sizes are given through the environment"
)]
#![expect(clippy::print_stderr, reason = "tests tell their figures")]

mod meddle;
mod objects;
mod places;

use objects::{DELETED, LARGE, OVERWRITTEN, SECOND_CONTENT};
use places::{Place, Places};
use skyfresh_engine::verify::{Depth, Verdict, verify};
use skyfresh_engine::{
    Destination, Engine, EngineConfig, InProcess, Parts, Rule, Stores, WaitOutcome,
};
use skyfresh_ledger::{Ledger, MemoryLedger};
use skyfresh_sky::catalog::Catalog;
use skyfresh_sky::{Clock, Rng, SystemClock};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The smallest part that S3 takes, so that 5 MiB + 1 has two.
const PART_BYTES: u64 = 5 << 20;
/// Everything has arrived within this, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(540);

fn large_bytes() -> u64 {
    match std::env::var("SKYFRESH_MATRIX_LARGE_BYTES") {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("SKYFRESH_MATRIX_LARGE_BYTES={text} is no number")),
        Err(_) => 24 << 20,
    }
}

/// The rule from one place to all of them.
fn rule(places: &Places, from: &Place) -> Rule {
    let mut rule = Rule::new(from.name, from.source.clone(), vec![]);
    rule.delete = true;
    rule.tags = true;
    rule.sweep_every = Duration::from_secs(5);
    rule.destinations = places
        .all
        .iter()
        .map(|to| Destination {
            name: to.name.into(),
            location: places.destination(from, to),
            region: None,
            storage_class: BTreeMap::new(),
            server_copy: false,
        })
        .collect();
    rule
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_store_to_every_store() {
    let large = large_bytes();
    let places = Places::start(Rng::from_entropy(), large).await;
    for place in &places.all {
        objects::load(places.direct(&place.source).as_ref(), place, large).await;
    }
    let began = SystemClock.monotonic_ns();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ledger: Arc<dyn Ledger> = Arc::new(MemoryLedger::new());
    let stores = Arc::new(Stores::new(places.meddling_opener()));
    let mut config = EngineConfig::new("matrix");
    config.sizing.part_bytes = PART_BYTES;
    let executor = InProcess::new(
        Arc::clone(&stores),
        Arc::clone(&ledger),
        Arc::clone(&clock),
        16,
    );
    let engine = Engine::new(Parts {
        config,
        ledger,
        stores,
        executor: Arc::new(executor),
        catalog: Catalog::embedded(),
        clock: Arc::clone(&clock),
        rng: Rng::from_entropy(),
        planning: None,
    });
    let rules = places.all.iter().map(|place| rule(&places, place));
    engine
        .apply(rules.collect())
        .await
        .expect("the rules are valid");
    // The meddling comes with the first reads; what is proved from here on includes it.
    places.meddled_with(PATIENCE).await;
    for place in &places.all {
        let waited = engine.wait(place.name, clock.now(), PATIENCE).await;
        let status = engine.status(Some(place.name)).await.expect("a status");
        assert_eq!(
            waited.expect("a ledger in memory answers"),
            WaitOutcome::Reached,
            "{status:#?}"
        );
    }
    let took = Duration::from_nanos(SystemClock.monotonic_ns() - began);
    engine.shutdown().await;
    let mut wrong = Vec::new();
    for from in &places.all {
        for to in &places.all {
            wrong.extend(compare(&places, from, to).await);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    eprintln!(
        "16 pairings, large objects of {large} bytes: equal after {:.1} s",
        took.as_secs_f64()
    );
    places.shutdown().await;
}

/// What is wrong with one pairing.
async fn compare(places: &Places, from: &Place, to: &Place) -> Vec<String> {
    let pairing = format!("{} to {}", from.name, to.name);
    let (source, target) = (
        places.direct(&from.source),
        places.direct(&places.destination(from, to)),
    );
    let mut wrong = Vec::new();
    let report = verify(
        source.as_ref(),
        target.as_ref(),
        None,
        Depth::Bytes,
        &SystemClock,
        |compared| {
            if compared.verdict != Verdict::Equal {
                wrong.push(format!(
                    "{pairing}: {} {} ({})",
                    compared.verdict.sign(),
                    compared.key,
                    compared.how
                ));
            }
        },
    )
    .await
    .unwrap_or_else(|error| panic!("{pairing}: {error}"));
    let expected = objects::names(from).len() as u64 - 1;
    if report.equal != expected {
        wrong.push(format!(
            "{pairing}: {} of {expected} are equal",
            report.equal
        ));
    }
    let read = |name| objects::read(target.as_ref(), name);
    if read(OVERWRITTEN).await.as_deref() != Some(SECOND_CONTENT) {
        wrong.push(format!("{pairing}: {OVERWRITTEN} is not the newest"));
    }
    if read(DELETED).await.is_some() {
        wrong.push(format!("{pairing}: {DELETED} is still there"));
    }
    wrong.extend(
        objects::compare_attributes(source.as_ref(), target.as_ref(), from)
            .await
            .into_iter()
            .map(|why| format!("{pairing}: {why}")),
    );
    let unfinished = target
        .list_uploads(None)
        .await
        .map(|page| page.uploads.len());
    if !matches!(unfinished, Ok(0)) && target.capabilities().list_uploads {
        wrong.push(format!("{pairing}: unfinished uploads: {unfinished:?}"));
    }
    let large = target.head(&objects::key(LARGE)).await;
    if let Err(error) = large {
        wrong.push(format!("{pairing}: {error}"));
    }
    wrong
}
