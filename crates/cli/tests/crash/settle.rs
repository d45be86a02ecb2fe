//! After the last restart: the storm ends, and what is left is compared by what knows nothing of the engine.
//! `last_kill_ns` is by the monotonic clock.

use crate::process::Process;
use crate::reader::{Readers, version_at};
use crate::scene::{JANITOR_PERIOD, PLACES, RULE, Scene, Views, by_name};
use crate::storm::{Storm, keys};
use skyfresh_engine::verify::{Depth, verify};
use skyfresh_ledger::{EmbeddedLedger, Ledger};
use skyfresh_sky::{Clock, SystemClock, Timestamp};
use skyfresh_store::ObjectStore;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Convergence takes seconds; this long only where something is wrong.
const CONVERGES_WITHIN: &str = "180s";
/// A journalled upload is looked for once it is a period old, and for two more where only its intent was written; a period
/// passes between two rounds.
const JANITOR_PERIODS: u32 = 4;

/// Ends the storm, waits for the proof, lets the janitor have its periods, and checks everything. Returns the figures.
pub(crate) async fn settle(
    scene: &Scene,
    serves: Vec<Process>,
    storm: Storm,
    readers: Readers,
    views: &Views,
    last_kill_ns: u64,
    shared: Option<Arc<dyn Ledger>>,
) -> String {
    storm.end().await;
    let last_write_ns = SystemClock.monotonic_ns();
    wait_for_proof(scene).await;
    let since_s = |begin_ns| (SystemClock.monotonic_ns() - begin_ns) as f64 / 1e9;
    let (after_kill_s, after_write_s) = (since_s(last_kill_ns), since_s(last_write_ns));
    proof_holds(scene, views).await;
    let orphans_before = unfinished_uploads(views).await.len();
    SystemClock.sleep(JANITOR_PERIOD * JANITOR_PERIODS).await;
    let left = unfinished_uploads(views).await;
    readers.seen.check();
    assert!(
        left.is_empty(),
        "orphaned uploads after the janitor: {left:#?}"
    );
    source_is_as_written(scene, views).await;
    destinations_equal_the_source(scene, views).await;
    for mut serve in serves {
        serve.check_running();
        let status = serve.stop().await;
        assert!(status.success(), "serve, asked to stop: {status}");
    }
    match shared {
        Some(ledger) => has_nothing_left_to_do(ledger.as_ref()).await,
        None => file_is_at_rest(scene).await,
    }
    readers.seen.check();
    let (seen, history) = (Arc::clone(&readers.seen), &scene.history);
    readers.end().await;
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    assert!(
        count(&seen.changes) > 0,
        "the readers saw nothing: this run shows nothing"
    );
    format!(
        "{}: seed {}, {} kills, {} puts and {} deletes at the source ({} unanswered), {} objects read whole at the destinations \
         ({} new versions, {} of them in parts; {} reads found none, {} found the store down), converged {after_kill_s:.1} s after \
         the last kill and {after_write_s:.1} s after the last write, unfinished uploads then {orphans_before}, after the janitor 0",
        scene.name,
        scene.seed,
        scene.kills,
        count(&history.puts),
        count(&history.deletes),
        count(&history.unanswered),
        count(&seen.objects),
        count(&seen.changes),
        count(&seen.large_changes),
        count(&seen.absent),
        count(&seen.failed),
    )
}

async fn wait_for_proof(scene: &Scene) {
    let server = scene.serve_url.as_str();
    let arguments = [
        "wait",
        RULE,
        "--until",
        "now",
        "--timeout",
        CONVERGES_WITHIN,
        "--server",
        server,
    ];
    let output = scene.binary.run(&arguments).await;
    if !output.status.success() {
        let status = scene
            .binary
            .run(&["status", RULE, "--server", server])
            .await;
        panic!(
            "no convergence: {}\n{}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr),
            String::from_utf8_lossy(&status.stdout)
        );
    }
}

/// What `wait` says to be proved is so at that moment, not only once the next sweep has passed.
async fn proof_holds(scene: &Scene, views: &Views) {
    for key in keys() {
        let expected = version_at(views.source.as_ref(), &scene.history, key).await;
        for store in &views.destinations {
            let found = version_at(store.as_ref(), &scene.history, key).await;
            let place = &store.location().bucket;
            assert_eq!(
                found, expected,
                "{key} at {place}, although `wait` has proved it to be there"
            );
        }
    }
}

/// Every unfinished upload at every destination, in words.
async fn unfinished_uploads(views: &Views) -> Vec<String> {
    let mut all = Vec::new();
    for store in &views.destinations {
        let mut after = None;
        loop {
            let page = store
                .list_uploads(after.as_deref())
                .await
                .expect("lists uploads");
            let bucket = &store.location().bucket;
            all.extend(page.uploads.iter().map(|upload| {
                format!(
                    "{} {} at {bucket}, begun {}",
                    upload.key, upload.upload, upload.started
                )
            }));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    all
}

/// The source holds what the writer wrote last, and nothing else.
async fn source_is_as_written(scene: &Scene, views: &Views) {
    for key in keys() {
        let version = version_at(views.source.as_ref(), &scene.history, key).await;
        let version = version.unwrap_or_else(|why| panic!("{key} at the source: {why}"));
        let held = scene.history.held(key);
        assert!(
            held.contains(&version),
            "{key} at the source has version {version:?}, written was {held:?}"
        );
    }
    let listed = views.source.list(None, 1_000).await.expect("lists").objects;
    let foreign: Vec<_> = listed
        .iter()
        .filter(|object| !keys().any(|key| key == object.key.as_str()))
        .collect();
    assert!(
        foreign.is_empty(),
        "somebody else wrote to the source: {foreign:?}"
    );
}

async fn destinations_equal_the_source(scene: &Scene, views: &Views) {
    for store in &views.destinations {
        let (source, target): (&dyn ObjectStore, &dyn ObjectStore) =
            (views.source.as_ref(), store.as_ref());
        let mut differing = Vec::new();
        // Without a scope: what a probe left behind counts too.
        let report = verify(
            source,
            target,
            None,
            Depth::Bytes,
            &SystemClock,
            |compared| {
                if compared.verdict.sign() != '=' {
                    differing.push(format!(
                        "{} {} ({})",
                        compared.verdict.sign(),
                        compared.key,
                        compared.how
                    ));
                }
            },
        );
        let report = report.await.expect("compares");
        assert!(
            report.all_equal(),
            "{}: {differing:#?}",
            target.location().bucket
        );
        let (source, target) = (by_name(PLACES[0].1), by_name(&target.location().bucket));
        scene
            .binary
            .run_well(&["verify", &source, &target, "--deep", "-c", "skyfresh.toml"])
            .await;
    }
}

/// The ledger's file opens, agrees with itself, and has nothing left to do.
async fn file_is_at_rest(scene: &Scene) {
    let ledger = EmbeddedLedger::open(scene.ledger(), "crash-test")
        .await
        .expect("the ledger opens");
    for (_, destination) in &PLACES[1..] {
        ledger
            .recount(RULE, destination)
            .await
            .expect("counters and indexes agree");
    }
    has_nothing_left_to_do(&ledger).await;
    ledger.close().await;
}

async fn has_nothing_left_to_do(ledger: &dyn Ledger) {
    for (_, destination) in &PLACES[1..] {
        let backlog = ledger.backlog(RULE, destination).await.expect("reads");
        assert_eq!(
            backlog.objects, 0,
            "tasks are left for {destination}: {backlog:?}"
        );
    }
    let intents = ledger.uploads(RULE, Timestamp::MAX).await.expect("reads");
    assert!(
        intents.is_empty(),
        "uploads are left in the journal: {intents:?}"
    );
    let receipts = ledger
        .receipts_by_time(RULE, Timestamp::ZERO, 1)
        .await
        .expect("reads");
    assert!(!receipts.is_empty(), "nothing has a receipt");
}
