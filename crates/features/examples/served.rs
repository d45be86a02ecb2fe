//! Serves a configuration, or fills a store to be recovered. Run by `cargo xtask eval features`; `skyfresh features serve` is for use.
//!
//! `serve <configuration> <store>` prints one line of JSON once it answers. `fill <configuration> <store> <keys>` pushes an event for
//! each key, updates all, pushes for one key in a hundred again, reports errors, prints one line, and goes on pushing until it is killed.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use serde_json::json;
use skyfresh_features::function::Event;
use skyfresh_features::service::{FeatureId, FeaturesConfig, Service, Store, serve};
use skyfresh_sky::{Clock, Rng, SystemClock};
use std::path::Path;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Events in one commit.
const BATCH: usize = 10_000;
/// Errors reported: each is a commit.
const REPORTS: usize = 1_000;

fn main() -> Outcome<()> {
    let begun_ns = SystemClock.monotonic_ns();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["serve", configuration, store] => {
            let (opened, store_s) = open(configuration, store)?;
            let open_s = [store_s, since(begun_ns)];
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()?;
            runtime.block_on(run(opened, open_s))
        }
        ["fill", configuration, store, keys] => fill(&open(configuration, store)?.0, keys.parse()?),
        _ => Err("serve <configuration> <store>, or fill <configuration> <store> <keys>".into()),
    }
}

fn since(begun_ns: u64) -> f64 {
    (SystemClock.monotonic_ns() - begun_ns) as f64 / 1e9
}

/// The service, and how long the file itself took to open, seconds.
fn open(configuration: &str, store: &str) -> Outcome<(Service, f64)> {
    let config = FeaturesConfig::parse(&std::fs::read_to_string(configuration)?)?;
    let begun_ns = SystemClock.monotonic_ns();
    let store = Store::open(Path::new(store))?;
    let store_s = since(begun_ns);
    let service = Service::open(config, store, Arc::new(SystemClock), &Rng::seeded(1))?;
    Ok((service, store_s))
}

async fn run(service: Service, open_s: [f64; 2]) -> Outcome<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let status = service.status();
    let ready = json!({
        "address": listener.local_addr()?.to_string(),
        "open_s": open_s,
        "keys": status.iter().map(|view| view.keys).sum::<usize>(),
        "pending": status.iter().map(|view| view.schedule.pending).sum::<u64>(),
        "feedback": status.iter().map(|view| view.schedule.feedback).sum::<u64>(),
    });
    println!("{ready}");
    let (service, stop) = (Arc::new(service), CancellationToken::new());
    tokio::spawn(Arc::clone(&service).run(stop.clone()));
    Ok(serve(listener, service, stop).await?)
}

fn fill(service: &Service, keys: usize) -> Outcome<()> {
    let status = service.status();
    let view = &status.first().ok_or("the configuration has no view")?.view;
    let event = |key: usize| {
        let columns = [("v".to_owned(), json!(key as f64 / 7.0))];
        let at_ms = SystemClock.now().unix_ms() as i64;
        let columns = columns.into_iter().collect();
        (format!("customer-{key:09}"), Event { at_ms, columns })
    };
    for from in (0..keys).step_by(BATCH) {
        service.push(view, (from..keys.min(from + BATCH)).map(event).collect())?;
        service.update(BATCH)?;
    }
    let again: Vec<_> = (0..keys).step_by(100).map(event).collect();
    service.push(view, again)?;
    for key in 0..REPORTS.min(keys) {
        let id = FeatureId {
            view: view.clone(),
            version: 1,
            key: format!("customer-{key:09}"),
        };
        service.feedback(&format!("query-{key}"), &id, 0.5, None)?;
    }
    println!("{}", json!({"filled": keys}));
    for key in 0.. {
        service.push(view, vec![event(key % keys)])?;
    }
    Ok(())
}
