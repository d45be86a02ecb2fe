//! The real engine over stores and a ledger in memory, in virtual time: a paused Tokio clock jumps to the next timer, so
//! an hour of backoff takes no time and one seed decides everything that is drawn.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test file uses another part of the harness"
)]

mod wire;

use bytes::Bytes;
use futures::StreamExt;
use skyfresh_engine::planning::Planning;
use skyfresh_engine::verify::{Depth, VerifyReport, verify};
use skyfresh_engine::{
    Engine, EngineConfig, InProcess, ObjectEvent, OpenStore, Parts, Rule, Stores,
};
use skyfresh_ledger::{Ledger, MemoryLedger};
use skyfresh_plan::replicate::{Planner, Settings};
use skyfresh_sky::catalog::Catalog;
use skyfresh_sky::{Attributes, Clock, Location, ObjectKey, Region, Rng, Timestamp, VirtualClock};
use skyfresh_store::memory::{MemorySky, MemoryStore};
use skyfresh_store::{GetOptions, ObjectStore, Precondition, PutOptions, single_chunk};
use std::sync::Arc;
use std::time::Duration;
use wire::Wire;

#[derive(Debug)]
struct Opener(MemorySky);

impl OpenStore for Opener {
    fn open(&self, location: &Location) -> skyfresh_store::Result<Arc<dyn ObjectStore>> {
        Ok(Arc::new(Wire(self.0.store(location.clone()))))
    }
}

/// A sky, a ledger and the engines on it.
pub struct World {
    pub sky: MemorySky,
    pub ledger: Arc<MemoryLedger>,
    pub clock: Arc<dyn Clock>,
    pub rng: Rng,
    pub config: EngineConfig,
    /// Whether engines plan; else ways follow from sizes.
    pub planned: bool,
    pub max_parts_in_flight: usize,
    incarnation: u32,
}

pub const SOURCE: &str = "mem://source/";

impl World {
    /// Buckets `source`, `d1` … `dN`; small parts, so that small objects go by multipart.
    pub fn new(seed: u64, destinations: usize) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(VirtualClock::starting_at(Timestamp::from_unix_ms(
            1_800_000_000_000,
        )));
        let sky = MemorySky::new(Arc::clone(&clock));
        sky.create_bucket("source");
        for number in 1..=destinations {
            sky.create_bucket(&format!("d{number}"));
        }
        let mut config = EngineConfig::new("to be set");
        config.sizing.part_bytes = 1000;
        config.lease = Duration::from_secs(10);
        config.janitor_period = Duration::from_secs(60);
        World {
            sky,
            ledger: Arc::new(MemoryLedger::new()),
            clock,
            rng: Rng::seeded(seed),
            config,
            planned: false,
            max_parts_in_flight: 64,
            incarnation: 0,
        }
    }

    pub fn rule(destinations: usize) -> Rule {
        let locations = (1..=destinations)
            .map(|number| location(&format!("mem://d{number}/")))
            .collect();
        Rule::new("rule", location(SOURCE), locations)
    }

    /// An engine of a new incarnation on the same ledger.
    pub async fn engine(&mut self, rules: Vec<Rule>) -> Engine {
        let ledger = Arc::clone(&self.ledger) as _;
        self.engine_on(ledger, rules).await
    }

    /// An engine of a new incarnation on a ledger of its own choice.
    pub async fn engine_on(&mut self, ledger: Arc<dyn Ledger>, rules: Vec<Rule>) -> Engine {
        self.incarnation += 1;
        let mut config = self.config.clone();
        config.owner = format!("engine-{}", self.incarnation);
        let stores = Arc::new(Stores::new(Arc::new(Opener(self.sky.clone()))));
        let executor = Arc::new(InProcess::new(
            Arc::clone(&stores),
            Arc::clone(&ledger),
            Arc::clone(&self.clock),
            self.max_parts_in_flight,
        ));
        let clock = Arc::clone(&self.clock);
        let engine = Engine::new(Parts {
            config,
            ledger,
            stores,
            executor,
            catalog: Catalog::embedded(),
            clock,
            rng: self.rng.fork(),
            planning: self.planned.then(planning),
        });
        engine.apply(rules).await.expect("the rules are valid");
        engine
    }

    pub fn store(&self, uri: &str) -> Arc<MemoryStore> {
        self.sky.store(location(uri))
    }

    pub async fn put(&self, name: &str, bytes: impl Into<Bytes>) {
        put(
            self.store(SOURCE).as_ref(),
            name,
            bytes.into(),
            Attributes::default(),
        )
        .await;
    }

    pub async fn delete(&self, name: &str) {
        self.store(SOURCE)
            .delete(&key(name), &Precondition::None)
            .await
            .expect("deletes");
    }

    pub async fn notify(&self, engine: &Engine, name: &str) {
        let event = ObjectEvent {
            key: key(name),
            changed: Some(self.clock.now()),
            size: None,
        };
        engine.submit("rule", &[event]).await.expect("is taken in");
    }

    /// Waits, in virtual time, until nothing is pending at any destination.
    pub async fn quiet(&self, engine: &Engine) {
        self.until("nothing is pending", || async {
            let status = engine.status(None).await.expect("status");
            status
                .iter()
                .flat_map(|rule| &rule.destinations)
                .all(|lane| lane.backlog.objects == 0 && lane.sweep.is_some())
        })
        .await;
    }

    pub async fn until<F: Future<Output = bool>>(&self, what: &str, condition: impl Fn() -> F) {
        let deadline = self.clock.now().after(Duration::from_secs(24 * 3600));
        while !condition().await {
            assert!(
                self.clock.now() < deadline,
                "a day has passed and still not: {what}"
            );
            self.clock.sleep(Duration::from_millis(100)).await;
        }
    }

    pub async fn verify(&self, destination: &str) -> VerifyReport {
        let (source, target) = (self.store(SOURCE), self.store(destination));
        verify(
            source.as_ref(),
            target.as_ref(),
            None,
            Depth::Bytes,
            self.clock.as_ref(),
            |_| {},
        )
        .await
        .expect("lists")
    }

    /// Unfinished uploads in a bucket.
    pub async fn uploads(&self, destination: &str) -> usize {
        self.store(destination)
            .list_uploads(None)
            .await
            .expect("lists")
            .uploads
            .len()
    }
}

fn planning() -> Planning {
    let settings = Settings {
        draws: Some(256),
        ..Settings::default()
    };
    Planning {
        planner: Planner::new(Catalog::embedded(), settings).expect("plans"),
        home: Region::local(),
        process_workers: 4,
        functions: Vec::new(),
    }
}

pub fn location(uri: &str) -> Location {
    uri.parse().expect("a location")
}

pub fn key(name: &str) -> ObjectKey {
    ObjectKey::new(name).expect("a key")
}

pub async fn put(store: &dyn ObjectStore, name: &str, bytes: Bytes, attributes: Attributes) {
    let options = PutOptions {
        size: bytes.len() as u64,
        attributes,
        precondition: Precondition::None,
    };
    store
        .put(&key(name), options, single_chunk(bytes))
        .await
        .expect("puts");
}

pub async fn read(store: &dyn ObjectStore, name: &str) -> Option<Bytes> {
    let read = store.get(&key(name), GetOptions::default()).await.ok()?;
    let chunks: Vec<_> = read.body.collect().await;
    let mut all = Vec::new();
    for chunk in chunks {
        all.extend_from_slice(&chunk.ok()?);
    }
    Some(all.into())
}
