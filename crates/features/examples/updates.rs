//! Updates a second of a whole service, store included, with the decomposition of series as the function. Run by `cargo xtask eval
//! features --part overhead`.
//!
//! `updates <shards> <seconds>` prints one line of JSON.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use serde_json::json;
use skyfresh_features::function::Event;
use skyfresh_features::service::{FeaturesConfig, Service, Store};
use skyfresh_sky::{Clock, Rng, SystemClock};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Series.
const KEYS: usize = 1_024;
/// Points of each: three days of five minutes.
const POINTS: usize = 864;
const INTERVAL_MS: i64 = 300_000;
/// Points in one commit, of each series.
const BATCH: usize = 16;
/// How often it is looked whether there is enough to do.
const POLL: Duration = Duration::from_millis(100);

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [shards, seconds] = &arguments[..] else {
        return Err("updates <shards> <seconds>".into());
    };
    let (shards, seconds): (u32, f64) = (shards.parse()?, seconds.parse()?);
    let folder = tempfile::tempdir()?;
    let config = FeaturesConfig::parse(&format!(
        "[sharding]\nshards = {shards}\n[[view]]\nname = \"load\"\nkey = \"machine\"\nupdates_per_s = 1e9\n\
         [view.function]\nkind = \"stl-forecast\"\ncolumn = \"v\"\nperiod = 288\nwindow = {POINTS}\ninterval_s = 300.0\n"
    ))?;
    let store = Store::open(&folder.path().join("features.redb"))?;
    let service = Service::open(config, store, Arc::new(SystemClock), &Rng::seeded(1))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let updates_per_s = runtime.block_on(measure(Arc::new(service), seconds))?;
    println!(
        "{}",
        json!({"part": "sharded", "shards": shards, "updates_per_s": updates_per_s})
    );
    Ok(())
}

/// Updates a second over so many seconds, during which keys always wait.
async fn measure(service: Arc<Service>, seconds: f64) -> Outcome<f64> {
    let rng = Rng::seeded(3);
    let mut point = 0;
    while point < POINTS {
        push(&service, point, BATCH, &rng).await?;
        point += BATCH;
    }
    let stop = CancellationToken::new();
    let working = tokio::spawn(Arc::clone(&service).run(stop.clone()));
    // The first update of each key has all its points to read; what is measured is the next ones.
    while done(&service) < KEYS as u64 {
        SystemClock.sleep(POLL).await;
    }
    let (begun_ns, before) = (SystemClock.monotonic_ns(), done(&service));
    let passed_s = || (SystemClock.monotonic_ns() - begun_ns) as f64 / 1e9;
    while passed_s() < seconds {
        let waiting: u64 = service
            .status()
            .iter()
            .map(|shard| shard.schedule.pending)
            .sum();
        if waiting < KEYS as u64 * 3 / 4 {
            push(&service, point, 1, &rng).await?;
            point += 1;
        }
        SystemClock.sleep(POLL).await;
    }
    let updates_per_s = (done(&service) - before) as f64 / passed_s();
    stop.cancel();
    working.await?;
    Ok(updates_per_s)
}

/// Updates begun so far, but those that are under way.
fn done(service: &Service) -> u64 {
    let counts = service
        .status()
        .into_iter()
        .map(|shard| shard.schedule.selected - shard.schedule.processing);
    counts.sum()
}

/// The next points of every series: a season of a day, and noise.
async fn push(service: &Arc<Service>, first: usize, count: usize, rng: &Rng) -> Outcome<()> {
    let mut events = Vec::with_capacity(KEYS * count);
    for point in first..first + count {
        let season = (point as f64 * std::f64::consts::TAU / 288.0).sin();
        for key in 0..KEYS {
            let value = 50.0 + 20.0 * season + rng.unit();
            let event = Event {
                at_ms: point as i64 * INTERVAL_MS,
                columns: [("v".to_owned(), value.into())].into_iter().collect(),
            };
            events.push((format!("machine-{key}"), event));
        }
    }
    let service = Arc::clone(service);
    tokio::task::spawn_blocking(move || service.push("load", events)).await??;
    Ok(())
}
