//! Online rows elsewhere than in the file: in memory here, which can be away; in a real Redis or Valkey where the test command names one.

use super::codec::Row;
use super::online::{OnlineRows, order};
use super::store::{Write, target};
use super::*;
use crate::function::Event;
use crate::{Error, Result};
use axum::body::{Body, to_bytes};
use axum::http::Request;
use serde_json::{Value, json};
use skyfresh_sky::{Clock, Kind, ManualClock, Rng, SystemClock, Timestamp};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

const VIEWS: &str = r#"
[[view]]
name = "profile"
key = "user"
features = ["age"]
ttl_s = 600.0
[[view]]
name = "rate"
key = "user"
[view.function]
kind = "exponential-mean"
column = "price"
half_life_s = 60.0
"#;

/// Rows in memory, of a server that can be away.
#[derive(Clone, Debug, Default)]
struct Memory {
    rows: Arc<Mutex<BTreeMap<String, Row>>>,
    away: Arc<AtomicBool>,
}

impl Memory {
    fn here(&self) -> Result<()> {
        match self.away.load(Ordering::SeqCst) {
            false => Ok(()),
            true => Err(Error::new(
                Kind::RetryAfter,
                "reach",
                "memory",
                "it is away",
            )),
        }
    }
}

impl OnlineRows for Memory {
    fn read(&self, targets: &[String]) -> Result<Vec<Option<Row>>> {
        self.here()?;
        let rows = self.rows.lock().unwrap();
        Ok(targets
            .iter()
            .map(|target| rows.get(target).cloned())
            .collect())
    }

    fn write(&self, written: &[(String, Row)]) -> Result<Vec<bool>> {
        self.here()?;
        let mut rows = self.rows.lock().unwrap();
        let write = |(target, row): &(String, Row)| {
            let newer = rows
                .get(target)
                .is_none_or(|stored| order(row) > order(stored));
            if newer {
                rows.insert(target.clone(), row.clone());
            }
            newer
        };
        Ok(written.iter().map(write).collect())
    }
}

fn open(folder: &Path, online: Box<dyn OnlineRows>, clock: &ManualClock) -> Arc<Service> {
    let mut store = Store::open(&folder.join("features.redb")).unwrap();
    store.put_online(online);
    let config = FeaturesConfig::parse(VIEWS).unwrap();
    Arc::new(Service::open(config, store, Arc::new(clock.clone()), &Rng::seeded(1)).unwrap())
}

fn clock() -> ManualClock {
    ManualClock::at(Timestamp::from_unix_ms(1_795_737_600_000))
}

fn event(key: &str, at_ms: i64, column: &str, value: Value) -> Vec<(String, Event)> {
    let columns = [(column.to_owned(), value)].into_iter().collect();
    vec![(key.to_owned(), Event { at_ms, columns })]
}

/// Status, and the value and its status of each feature of a key: `profile:age`, `rate:price_mean`.
async fn ask(service: &Arc<Service>, key: &str) -> (u16, Vec<(Value, Value)>) {
    let body = json!({"features": ["profile:age", "rate:price_mean"], "entities": {"user": [key]}});
    let request = Request::post("/get-online-features")
        .body(Body::from(body.to_string()))
        .unwrap();
    let response = router(Arc::clone(service)).oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let columns = body["results"]
        .as_array()
        .map(|columns| columns[1..].to_vec());
    let told = columns.unwrap_or_default().into_iter();
    (
        status,
        told.map(|column| (column["values"][0].clone(), column["statuses"][0].clone()))
            .collect(),
    )
}

fn present(age: i64, mean: f64) -> (u16, Vec<(Value, Value)>) {
    (
        200,
        vec![
            (json!(age), json!("PRESENT")),
            (json!(mean), json!("PRESENT")),
        ],
    )
}

/// What must hold for any online store: rows reach it, are read from it alone, and survive that it is away and that the process dies.
async fn conforms(
    open: impl Fn(&Path) -> Arc<Service>,
    away: Option<&AtomicBool>,
    clock: &ManualClock,
) {
    let folder = tempfile::tempdir().unwrap();
    let now_ms = clock.now().unix_ms() as i64;
    let service = open(folder.path());
    if let Some(away) = away {
        away.store(true, Ordering::SeqCst);
    }
    service
        .write("profile", event("a", now_ms, "age", json!(41)))
        .unwrap();
    service
        .push("rate", event("a", now_ms, "price", json!(2.5)))
        .unwrap();
    assert_eq!(service.update(10).unwrap(), 1);
    assert_eq!(ask(&service, "a").await, present(41, 2.5));
    // It dies before anything is published; what was acknowledged is answered by the next, and published.
    drop(service);
    let service = open(folder.path());
    assert_eq!(service.store.waiting().unwrap(), Some(2));
    assert_eq!(ask(&service, "a").await, present(41, 2.5));
    if let Some(away) = away {
        assert_eq!(
            ask(&service, "unknown").await.0,
            503,
            "what only the online store knows"
        );
        assert!(service.publish().is_err());
        assert_eq!(service.store.waiting().unwrap(), Some(2));
        away.store(false, Ordering::SeqCst);
    }
    assert_eq!(service.publish().unwrap(), 2);
    assert_eq!(service.store.waiting().unwrap(), Some(0));
    let kept = service.store.get("profile", "a").unwrap();
    assert_eq!(
        kept, None,
        "features that come ready are not in the file as well"
    );
    drop(service);
    let service = open(folder.path());
    assert_eq!(ask(&service, "a").await, present(41, 2.5));
    assert_eq!(ask(&service, "unknown").await.1[0].1, "NOT_FOUND");
    assert_eq!(service.status()[0].keys, 1, "counted after a start, too");
    // Another process, with a file of its own, sees what is online.
    let other = tempfile::tempdir().unwrap();
    assert_eq!(ask(&open(other.path()), "a").await, present(41, 2.5));
    // An older row is passed over; a newer one replaces; versions go on.
    service
        .write("profile", event("a", now_ms - 1, "age", json!(1)))
        .unwrap();
    service
        .write("profile", event("a", now_ms, "age", json!(42)))
        .unwrap();
    service
        .push("rate", event("a", now_ms, "price", json!(2.5)))
        .unwrap();
    service.update(10).unwrap();
    assert_eq!(service.publish().unwrap(), 2);
    drop(service);
    let service = open(folder.path());
    assert_eq!(ask(&service, "a").await, present(42, 2.5));
    let rows = service
        .store
        .get_online("profile", ["a"].into_iter())
        .unwrap();
    assert_eq!(rows[0].as_ref().unwrap().version, 2);
    // Time to live is looked at with each read.
    clock.advance(Duration::from_secs(601));
    assert_eq!(
        ask(&service, "a").await.1[0],
        (Value::Null, json!("OUTSIDE_MAX_AGE"))
    );
    let late_ms = clock.now().unix_ms() as i64;
    // The worker publishes by itself, and what is left when it stops.
    let stop = CancellationToken::new();
    let working = tokio::spawn(Arc::clone(&service).run(stop.clone()));
    service
        .write("profile", event("b", late_ms, "age", json!(7)))
        .unwrap();
    for _ in 0..500 {
        if service.store.waiting().unwrap() == Some(0) {
            break;
        }
        SystemClock.sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(service.store.waiting().unwrap(), Some(0));
    stop.cancel();
    working.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_wait_in_the_file_while_the_online_store_is_away() {
    let (online, clock) = (Memory::default(), clock());
    let service = |folder: &Path| open(folder, Box::new(online.clone()), &clock);
    conforms(service, Some(&online.away), &clock).await;
}

#[test]
fn a_row_that_was_replaced_while_it_was_published_waits_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(&folder.path().join("features.redb")).unwrap();
    store.put_online(Box::new(Memory::default()));
    let write = |event_ms| Write {
        target: target("v", "k"),
        row: Row {
            event_ms,
            version: 0,
            created_ms: 0,
            records: 0,
            features: Default::default(),
            state: Value::Null,
        },
        used: Vec::new(),
        follows: true,
    };
    store.write(&mut [write(1)]).unwrap();
    let first = store.unpublished("", 10).unwrap();
    store.write(&mut [write(2)]).unwrap();
    store.published(&first).unwrap();
    let waiting = store.unpublished("", 10).unwrap();
    assert_eq!((waiting.len(), waiting[0].1.event_ms), (1, 2));
    store.published(&waiting).unwrap();
    assert_eq!(store.waiting().unwrap(), Some(0));
}

#[test]
fn a_stores_password_is_shown_nowhere() {
    let text = |store: &str| format!("store = {store:?}\n{VIEWS}");
    let config = FeaturesConfig::parse(&text("redis://user:pass@word@host:1/0")).unwrap();
    let shown = format!("{config:?} {}", config.store);
    assert!(
        shown.contains("redis://host:1/0") && !shown.contains("word@"),
        "{shown}"
    );
    let wrong = format!("store = \"redis://:secret@h\" x\n{VIEWS}");
    let error = FeaturesConfig::parse(&wrong).unwrap_err().to_string();
    assert!(
        error.contains("line 1") && !error.contains("secret"),
        "{error}"
    );
    let error = FeaturesConfig::parse(&text("rediss://:secret@h/0"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("rediss://h") && !error.contains("secret"),
        "{error}"
    );
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread")]
async fn rows_are_served_from_redis() {
    let Some(url) = super::redis_tests::url("rows_are_served_from_redis") else {
        return;
    };
    let (project, clock) = (super::redis_tests::project("served"), clock());
    let service = |folder: &Path| {
        // As a configuration names it: the URL, and the file for everything else.
        let journal = folder.join("journal.redb").display().to_string();
        let text =
            format!("store = {url:?}\njournal = {journal:?}\nproject = {project:?}\n{VIEWS}");
        let config = FeaturesConfig::parse(&text).unwrap();
        let store = Store::of(&config).unwrap();
        Arc::new(Service::open(config, store, Arc::new(clock.clone()), &Rng::seeded(1)).unwrap())
    };
    conforms(service, None, &clock).await;
}
