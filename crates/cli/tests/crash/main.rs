//! kill -9 on real sockets, at random instants, during a write storm: of `skyfresh serve`, and of the S3 server.
//!
//! ```text
//!  writer ──► source ──notifications (lost, repeated, overtaken)──► skyfresh serve ──► two destinations ──► readers
//!                │                                                    ▲ kill -9 ▲                             │
//!                └─ kill -9 (the other test)                                                                  └─ whole?
//!                                                                                          the source's? not older?
//! ```
//!
//! After the last restart the writer stops, `skyfresh wait` must prove convergence, and comparisons that know nothing of
//! the engine must agree: destinations equal the source byte by byte, no upload is left unfinished, the source holds
//! what the writer wrote, the ledger is at rest.
//!
//! | variable | means |
//! |---|---|
//! | `SKYFRESH_CRASH_KILLS` | kills in each test (10) |
//! | `SKYFRESH_CRASH_EVERY_S` | seconds from kill to kill where three share a ledger (5) |
//! | `SKYFRESH_CRASH_SEED` | decides the storm and the instants; drawn where absent |
//! | `SKYFRESH_CRASH_BINARY` | the binary under test; the one just built where absent |
//!
//! Processes and sockets take their own time, so a seed gives the same storm but not the same interleaving: repeat it.

#![expect(
    clippy::disallowed_methods,
    reason = "seeds and lengths are given through the environment"
)]
#![expect(clippy::print_stderr, reason = "tests tell their figures")]

mod content;
#[cfg(feature = "dynamodb")]
mod peers;
mod process;
mod reader;
mod scene;
mod settle;
mod storm;

use scene::{ACCESS_KEY, PLACES, SECRET_KEY, Scene, begin_storm, free_ports, views};
use skyfresh_localsky::{
    BucketConfig, DelayDistribution, Fault, FaultRule, LocalSky, OperationClass, Protocol,
    RegionConfig, Secret, ShapingProfile, SkyConfig, WebhookTarget,
};
use skyfresh_sky::{Clock, Region, Rng, SystemClock};
use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The chance that a destination does a write and its answer is lost.
const LOST_ANSWERS: f64 = 0.03;

/// Both tests want the machine for themselves.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number"))
    })
}

/// Runs a test, and says how to run it again where it fails.
fn run<F: Future<Output = String>>(name: &'static str, test: impl FnOnce(Arc<Scene>) -> F) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let seed = number("SKYFRESH_CRASH_SEED").unwrap_or_else(|| Rng::from_entropy().below(1 << 32));
    let kills = number("SKYFRESH_CRASH_KILLS").unwrap_or(10);
    let path = std::env::var_os("SKYFRESH_CRASH_BINARY").map_or_else(
        || PathBuf::from(env!("CARGO_BIN_EXE_skyfresh")),
        PathBuf::from,
    );
    let path = path
        .canonicalize()
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let scene = Arc::new(Scene::new(name, seed, kills, path));
    let directory = scene.binary.directory.clone();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        runtime.block_on(test(Arc::clone(&scene)))
    }));
    match result {
        Ok(figures) => {
            eprintln!("{figures}");
            let _ = std::fs::remove_dir_all(directory);
        }
        Err(panic) => {
            let why = panic
                .downcast_ref::<String>()
                .cloned()
                .unwrap_or_else(|| "see above".into());
            panic!(
                "seed {seed}: {why}\nlogs, ledger, configuration: {}\nreplay: SKYFRESH_CRASH_SEED={seed} \
                 SKYFRESH_CRASH_KILLS={kills} cargo test -p skyfresh-cli --test crash {name} -- --nocapture",
                directory.display()
            );
        }
    }
}

#[test]
fn kill_serve() {
    run("kill_serve", kill_serve_run);
}

#[cfg(feature = "dynamodb")]
#[test]
fn kill_one_of_three() {
    run("kill_one_of_three", peers::run);
}

#[test]
fn kill_store() {
    run("kill_store", kill_store_run);
}

/// The sky lives in this process; `serve` is killed.
async fn kill_serve_run(scene: Arc<Scene>) -> String {
    let regions: Vec<Region> = PLACES
        .iter()
        .map(|(region, _)| region.parse().expect("a region"))
        .collect();
    let sky = start_sky(&scene, &regions).await;
    // `serve` stands in Iowa, so that the sky tells its traffic with the source from everybody else's.
    let home = &regions[2];
    scene.configure(
        &regions
            .iter()
            .map(|to| sky.endpoint(Some(home), to))
            .collect::<Vec<_>>(),
    );
    let endpoints: Vec<_> = regions.iter().map(|to| sky.endpoint(None, to)).collect();
    let (storm, readers) = begin_storm(&scene, &endpoints);
    for _ in 0..scene.kills {
        let mut serve = scene.serve();
        scene.live(&mut serve).await;
        serve.kill();
        readers.seen.check();
    }
    let last_kill_ns = SystemClock.monotonic_ns();
    let mut serve = scene.serve();
    serve.ready().await;
    sky.faults().clear();
    let figures = settle::settle(
        &scene,
        vec![serve],
        storm,
        readers,
        &views(&endpoints),
        last_kill_ns,
        None,
    )
    .await;
    let meter = sky.meter();
    let sent = meter
        .traffic
        .iter()
        .find(|flow| flow.from == *home && flow.to == regions[0]);
    assert_eq!(
        sent.map(|flow| flow.bytes),
        Some(0),
        "serve sent bytes to the source"
    );
    let deletes = scene.history.deletes.load(Ordering::Relaxed);
    assert_eq!(
        meter.requests[&regions[0]].deletes, deletes,
        "serve deleted at the source"
    );
    let counts = sky.notifications().counts();
    assert!(
        counts.dropped > 0 && counts.duplicated > 0,
        "notifications were too reliable: {counts:?}"
    );
    sky.shutdown().await;
    figures
}

async fn start_sky(scene: &Scene, regions: &[Region]) -> LocalSky {
    let region = |((_, bucket), region): (&(&str, &str), &Region)| RegionConfig {
        buckets: vec![BucketConfig {
            name: (*bucket).into(),
            versioned: false,
        }],
        ..RegionConfig::in_memory(region.clone()).speaking(Protocol::S3)
    };
    let mut config = SkyConfig {
        regions: PLACES.iter().zip(regions).map(region).collect(),
        access_key: ACCESS_KEY.into(),
        secret_key: Secret::new(SECRET_KEY),
        shaping: ShapingProfile::unshaped(),
        ..SkyConfig::default()
    };
    let notifications = &mut config.notifications;
    let mut target = WebhookTarget::new(
        scene.webhook(),
        Some(Secret::new(scene.webhook_secret.clone())),
    );
    target.bucket = Some(PLACES[0].1.into());
    notifications.targets = vec![target];
    notifications.drop_probability = 0.1;
    notifications.duplicate_probability = 0.1;
    notifications.reorder_probability = 0.1;
    notifications.reorder_window_ms = 300;
    notifications.delay = DelayDistribution {
        p50_ms: 5.0,
        p99_ms: 100.0,
    };
    // Where a killed process cannot tell whether its request was done, a living one must not always know either.
    let lost_answer = |region: &Region| FaultRule {
        region: Some(region.clone()),
        operations: OperationClass::Write,
        probability: LOST_ANSWERS,
        ..FaultRule::new(Fault::ResetAfterDone)
    };
    config.faults = regions[1..].iter().map(lost_answer).collect();
    LocalSky::start(config, Arc::new(SystemClock), scene.rng.fork())
        .await
        .expect("a sky")
}

/// The sky is a process with its objects on disk; it is killed while `serve` runs on.
async fn kill_store_run(scene: Arc<Scene>) -> String {
    // The admin port, and for each region one port without and three with a distance.
    let base = free_ports(13, &Rng::from_entropy()).to_string();
    let webhook = scene.webhook();
    let regions = PLACES.map(|(region, _)| region).join(",");
    let mut arguments = vec![
        "localsky",
        "--json",
        "--s3-everywhere",
        "--root",
        "sky",
        "--port",
        &base,
        "--regions",
        &regions,
        "--notify",
        &webhook,
    ];
    for (_, bucket) in &PLACES {
        arguments.extend(["--bucket", bucket]);
    }
    let begin = || scene.binary.begin("localsky", &arguments);
    let mut store = begin();
    let endpoints = unshaped(&store.ready().await);
    scene.configure(&endpoints);
    let mut serve = scene.serve();
    serve.ready().await;
    let (storm, readers) = begin_storm(&scene, &endpoints);
    SystemClock.sleep(Duration::from_millis(500)).await;
    store.kill();
    for _ in 1..scene.kills {
        let mut store = begin();
        let ready = scene.live(&mut store).await;
        assert!(
            ready.is_empty() || unshaped(&ready) == endpoints,
            "the ports have changed"
        );
        store.kill();
        serve.check_running();
        readers.seen.check();
    }
    let last_kill_ns = SystemClock.monotonic_ns();
    let mut store = begin();
    store.ready().await;
    let figures = settle::settle(
        &scene,
        vec![serve],
        storm,
        readers,
        &views(&endpoints),
        last_kill_ns,
        None,
    )
    .await;
    store.stop().await;
    figures
}

/// The ports without distance of [`PLACES`], from the ready line of `skyfresh localsky --json`.
fn unshaped(ready: &str) -> Vec<String> {
    let ready: serde_json::Value = serde_json::from_str(ready).expect("JSON");
    let endpoints = ready["endpoints"].as_array().expect("endpoints");
    let url = |(region, _): &(&str, &str)| {
        let is_it =
            |endpoint: &&serde_json::Value| endpoint["from"].is_null() && endpoint["to"] == *region;
        let found = endpoints.iter().find(is_it).expect("the region's port");
        found["url"].as_str().expect("a URL").to_owned()
    };
    PLACES.iter().map(url).collect()
}
