//! Three `serve` on one DynamoDB table, killed in turn: no coordinator, a balancer in front, leases in between.
//!
//! ```text
//!  writer ─► source ─notifications─► balancer ─► serve 1 ─┐
//!                                            ├─► serve 2 ─┼─► one table, two destinations ─► readers
//!                                            └─► serve 3 ─┘
//!                                                 ▲ kill -9, one at a time, and back again
//! ```

use crate::scene::{LEASE, PLACES, RULE, Scene, begin_storm, free_ports, views};
use crate::{number, settle, start_sky};
use skyfresh_ledger::dynamodb::{AccessKeys, DynamoConfig, DynamoDocuments};
use skyfresh_ledger::shared::{Settings, SharedLedger};
use skyfresh_ledger::{Ledger, Origin, Outcome, Receipt};
use skyfresh_sky::{Clock, Region, Rng, SystemClock, Timestamp};
use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// Each process, by the name of its log and its configuration.
const PROCESSES: [(&str, &str); 3] = [
    ("serve-1", "skyfresh-1.toml"),
    ("serve-2", "skyfresh-2.toml"),
    ("serve-3", "skyfresh-3.toml"),
];
/// A killed process is away for so long.
const AWAY: Duration = Duration::from_secs(2);
/// Work of a dead process is done within its lease and this.
const GRACE: Duration = Duration::from_secs(2);
/// So many of the longest delays are told one by one.
const SLOWEST: usize = 12;
/// What a server of DynamoDB's protocol that checks no signatures takes.
const KEYS: (&str, &str) = ("test", "testtest");

/// The server of DynamoDB's protocol, if the test command started one; without one the skip is put on record.
fn dynamodb() -> Option<String> {
    let address = std::env::var("SKYFRESH_TEST_MINISTACK")
        .ok()
        .filter(|address| !address.is_empty());
    if address.is_none()
        && let Ok(path) = std::env::var("SKYFRESH_TEST_SKIP_LOG")
    {
        let log = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path);
        let line = "skipped: kill_one_of_three: MiniStack is not running (SKYFRESH_TEST_MINISTACK is not set)";
        log.and_then(|mut log| writeln!(log, "{line}"))
            .expect("the skip log can be written");
    }
    address
}

/// Passes connections on to whichever process answers, in turn.
async fn balance(listener: TcpListener, backends: Vec<SocketAddr>) {
    let mut turn = 0;
    loop {
        let Ok((mut client, _)) = listener.accept().await else {
            continue;
        };
        turn += 1;
        let order: Vec<SocketAddr> = (0..backends.len())
            .map(|offset| backends[(turn + offset) % backends.len()])
            .collect();
        tokio::spawn(async move {
            for backend in order {
                if let Ok(mut server) = TcpStream::connect(backend).await {
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                    return;
                }
            }
        });
    }
}

/// The processes of the run, killed and begun again.
pub(crate) async fn run(scene: Arc<Scene>) -> String {
    let Some(dynamodb) = dynamodb() else {
        return "kill_one_of_three: skipped".into();
    };
    let every = Duration::from_secs(number("SKYFRESH_CRASH_EVERY_S").unwrap_or(5));
    let regions: Vec<Region> = PLACES
        .iter()
        .map(|(region, _)| region.parse().expect("a region"))
        .collect();
    let surroundings = Rng::from_entropy();
    let first_port = free_ports(3, &surroundings);
    let backends: Vec<SocketAddr> = (0..3)
        .map(|index| SocketAddr::from(([127, 0, 0, 1], first_port + index)))
        .collect();
    let front = scene.serve_url.trim_start_matches("http://");
    let listener = TcpListener::bind(front).await.expect("a free port");
    let balancer = tokio::spawn(balance(listener, backends.clone()));
    let sky = start_sky(&scene, &regions).await;
    let endpoints: Vec<_> = regions.iter().map(|to| sky.endpoint(None, to)).collect();
    let table = format!("crash-{}", surroundings.token());
    let ledger =
        format!("url = \"dynamodb://{table}?region=us-east-1&endpoint={dynamodb}\"\ncreate = true");
    for ((_, file), backend) in PROCESSES.iter().zip(&backends) {
        scene.write_configuration(file, &format!("http://{backend}"), &ledger, &endpoints);
    }
    // What the comparison at the end reads endpoints from.
    scene.configure(&endpoints);
    let mut running = Vec::new();
    for (name, file) in PROCESSES {
        let mut process = scene.serve_with(name, file);
        process.ready().await;
        running.push(process);
    }
    let (storm, readers) = begin_storm(&scene, &endpoints);
    let (mut kills, mut last_kill_ns) = (Vec::new(), SystemClock.monotonic_ns());
    for _ in 0..scene.kills {
        SystemClock.sleep(every.saturating_sub(AWAY)).await;
        let index = scene.rng.below(3) as usize;
        let (name, file) = PROCESSES[index];
        running.remove(index).kill();
        kills.push(SystemClock.now());
        last_kill_ns = SystemClock.monotonic_ns();
        SystemClock.sleep(AWAY).await;
        let mut process = scene.serve_with(name, file);
        process.ready().await;
        running.insert(index, process);
        readers.seen.check();
    }
    sky.faults().clear();
    let shared = open(&dynamodb, &table).await;
    let figures = settle::settle(
        &scene,
        running,
        storm,
        readers,
        &views(&endpoints),
        last_kill_ns,
        Some(Arc::clone(&shared)),
    )
    .await;
    let receipts = shared
        .receipts_by_time(RULE, Timestamp::ZERO, 1_000_000)
        .await
        .expect("reads");
    balancer.abort();
    sky.shutdown().await;
    format!("{figures}\n{}", judge(&receipts, &kills))
}

async fn open(endpoint: &str, table: &str) -> Arc<dyn Ledger> {
    let config = DynamoConfig {
        region: "us-east-1".into(),
        endpoint: Some(endpoint.to_owned()),
        table: table.to_owned(),
        credentials: Arc::new(AccessKeys {
            access_key_id: KEYS.0.into(),
            secret_access_key: KEYS.1.into(),
            session_token: None,
        }),
    };
    let rng = Rng::from_entropy();
    let documents = DynamoDocuments::new(config, Arc::new(SystemClock), &rng);
    let opened = SharedLedger::open(Arc::new(documents), Settings::default(), rng).await;
    Arc::new(opened.expect("the ledger opens"))
}

/// How long changes took, after kills and in all, and what was copied more than once.
fn judge(receipts: &[Receipt], kills: &[Timestamp]) -> String {
    let limit = LEASE + GRACE;
    let after_a_kill = |receipt: &Receipt| {
        kills.iter().any(|kill| {
            receipt.changed >= kill.before(LEASE) && receipt.changed <= kill.after(limit)
        })
    };
    let live: Vec<&Receipt> = receipts
        .iter()
        .filter(|receipt| receipt.origin != Origin::Backfill)
        .filter(|receipt| matches!(receipt.outcome, Outcome::Copied | Outcome::Deleted))
        .collect();
    let all = Quantiles::of(live.iter().map(|receipt| receipt.lag()));
    let after = Quantiles::of(
        live.iter()
            .filter(|receipt| after_a_kill(receipt))
            .map(|receipt| receipt.lag()),
    );
    let mut copies: BTreeMap<(&str, &str, String), Vec<&Receipt>> = BTreeMap::new();
    for receipt in receipts
        .iter()
        .filter(|receipt| receipt.outcome == Outcome::Copied)
    {
        let version = receipt
            .source
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        let task = &receipt.task;
        let place = (task.destination.as_str(), task.key.as_str(), version);
        copies.entry(place).or_default().push(receipt);
    }
    let mut repeated = 0;
    for (place, copies) in &copies {
        repeated += copies.len() - 1;
        let (first, last) = (&copies[0], &copies[copies.len() - 1]);
        let died = kills
            .iter()
            .filter(|kill| **kill >= first.started.before(LEASE) && **kill <= last.published)
            .count();
        assert!(
            copies.len() <= 1 + died,
            "{place:?} was copied {} times, and {died} processes died meanwhile",
            copies.len()
        );
    }
    let struck = struck(&live, kills);
    let slowest = slowest(&live, kills);
    format!(
        "three on one table: {} changes, delay p50 {:?}, p99 {:?}, longest {:?}; of those near a kill {}: p50 {:?}, p99 {:?}, \
         longest {:?} (lease and 2 s: {limit:?}); {} object versions copied, {repeated} of them twice\n{struck}\n{slowest}",
        all.count,
        all.p50,
        all.p99,
        all.max,
        after.count,
        after.p50,
        after.p99,
        after.max,
        copies.len()
    )
}

/// Delays by kind of key and by how many kills fell into them. Large keys are overwritten about as fast as they can be copied,
/// and each attempt that finds its source changed begins again: that delay is not the kills'.
fn struck(live: &[&Receipt], kills: &[Timestamp]) -> String {
    let mut lines = Vec::new();
    for kind in ["small/", "large/"] {
        for (name, range) in [
            ("no kill", 0..1),
            ("one kill", 1..2),
            ("more", 2..usize::MAX),
        ] {
            let during = |receipt: &Receipt| {
                let within =
                    |kill: &&Timestamp| **kill >= receipt.changed && **kill <= receipt.published;
                kills.iter().filter(within).count()
            };
            let of = live.iter().filter(|receipt| {
                receipt.task.key.as_str().starts_with(kind) && range.contains(&during(receipt))
            });
            let delays = Quantiles::of(of.map(|receipt| receipt.lag()));
            lines.push(format!(
                "  {kind} {name}: {}, delay p50 {:?}, p99 {:?}, longest {:?}",
                delays.count, delays.p50, delays.p99, delays.max
            ));
        }
    }
    format!("by kills between change and arrival:\n{}", lines.join("\n"))
}

/// The changes that took longest, each with what held it up: when it was heard of, when its last claim began, and which
/// kills fell into it. Seconds, all after the change.
fn slowest(live: &[&Receipt], kills: &[Timestamp]) -> String {
    let mut live = live.to_vec();
    live.sort_unstable_by_key(|receipt| std::cmp::Reverse(receipt.lag()));
    let lines = live.iter().take(SLOWEST).map(|receipt| {
        let after_s = |at: Timestamp| at.since(receipt.changed).as_secs_f64();
        let within = kills
            .iter()
            .filter(|kill| **kill >= receipt.changed && **kill <= receipt.published)
            .map(|kill| format!("{:.1}", after_s(*kill)));
        format!(
            "  {}/{} {:?} {}: {:?}, notified {:.1}, started {:.1}, published {:.1}, failures {}, killed at [{}]",
            receipt.task.destination,
            receipt.task.key,
            receipt.outcome,
            receipt.strategy,
            receipt.origin,
            after_s(receipt.notified),
            after_s(receipt.started),
            after_s(receipt.published),
            receipt.failures,
            within.collect::<Vec<_>>().join(", ")
        )
    });
    format!(
        "slowest, seconds after the change:\n{}",
        lines.collect::<Vec<_>>().join("\n")
    )
}

/// Of some delays.
struct Quantiles {
    count: usize,
    p50: Duration,
    p99: Duration,
    max: Duration,
}

impl Quantiles {
    fn of(delays: impl Iterator<Item = Duration>) -> Self {
        let mut delays: Vec<Duration> = delays.collect();
        delays.sort_unstable();
        let at = |share: f64| {
            let index = ((delays.len() as f64 * share).ceil() as usize).max(1) - 1;
            delays.get(index).copied().unwrap_or_default()
        };
        Quantiles {
            count: delays.len(),
            p50: at(0.5),
            p99: at(0.99),
            max: delays.last().copied().unwrap_or_default(),
        }
    }
}
