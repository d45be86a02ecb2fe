//! Bulk jobs whose large objects go by relays: real relays on loopback, stores in memory. What relays do must not change what is
//! at the destinations, whatever fails.

mod standing;
mod together;

use async_trait::async_trait;
use skyfresh_engine::bulk::{
    BulkJob, BulkOptions, BulkSeams, BulkTally, BulkTarget, BulkThrottle, Compare, OpenLedger,
    Selection, Walk, run,
};
use skyfresh_engine::overlay::{Fallen, Overlay, OverlaySeams, StoreEdges, spec};
use skyfresh_engine::verify::{Depth, verify};
use skyfresh_engine::{Bandwidth, OpenStore, Scope};
use skyfresh_ledger::{Ledger, MemoryLedger};
use skyfresh_relay::executor::{Executor, InProcess, NodeHandle};
use skyfresh_relay::job::{JobOptions, JobReport};
use skyfresh_relay::node::{Boot, Timing};
use skyfresh_relay::topology::{Destination, Node, Security, Topology, Tree};
use skyfresh_relay::{NodeId, Result as RelayResult};
use skyfresh_sky::{Clock, Kind, Location, ObjectKey, Rng, SystemClock};
use skyfresh_store::memory::{Fault, MemorySky, Operation, OperationKind};
use skyfresh_store::{
    Error as StoreError, ObjectStore, Precondition, PutOptions, single_chunk, whole_body,
};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

const MIB: usize = 1 << 20;

/// Opens the buckets of one sky.
#[derive(Clone)]
struct Opens(MemorySky);

impl std::fmt::Debug for Opens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opens")
    }
}

impl OpenStore for Opens {
    fn open(&self, location: &Location) -> skyfresh_store::Result<Arc<dyn ObjectStore>> {
        Ok(self.0.store(location.clone()))
    }
}

/// Nodes in this process that a test can end.
struct Nodes {
    inner: InProcess,
    started: Mutex<HashMap<NodeId, Arc<dyn NodeHandle>>>,
}

struct Shared(Arc<dyn NodeHandle>);

#[async_trait]
impl NodeHandle for Shared {
    fn address(&self) -> &str {
        self.0.address()
    }

    async fn alive(&self) -> bool {
        self.0.alive().await
    }

    async fn stop(&self) {
        self.0.stop().await;
    }
}

#[async_trait]
impl Executor for Nodes {
    async fn start(&self, node: &Node, boot: Boot) -> RelayResult<Box<dyn NodeHandle>> {
        let handle: Arc<dyn NodeHandle> = self.inner.start(node, boot).await?.into();
        let mut started = self.started.lock().unwrap();
        started.insert(node.id.clone(), Arc::clone(&handle));
        Ok(Box::new(Shared(handle)))
    }
}

struct Scene {
    sky: MemorySky,
    clock: Arc<dyn Clock>,
    counts: Arc<Mutex<HashMap<(OperationKind, String), u64>>>,
    nodes: Arc<Nodes>,
    ledger: Arc<MemoryLedger>,
}

struct Ran {
    tally: Arc<BulkTally>,
    report: RelayResult<JobReport>,
    fallen: Arc<Fallen>,
}

type Decide = dyn Fn(&Operation<'_>) -> Option<Fault> + Send + Sync;

impl Scene {
    fn new() -> Scene {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let sky = MemorySky::new(Arc::clone(&clock));
        for bucket in ["source", "d0", "d1"] {
            sky.create_bucket(bucket);
        }
        let edges = StoreEdges::new(Arc::new(Opens(sky.clone())));
        let nodes = Nodes {
            inner: InProcess::new(Arc::new(edges), Arc::clone(&clock)),
            started: Mutex::default(),
        };
        let scene = Scene {
            sky,
            clock,
            counts: Arc::default(),
            nodes: Arc::new(nodes),
            ledger: Arc::new(MemoryLedger::new()),
        };
        scene.faults(|_| None);
        scene
    }

    fn faults(&self, decide: impl Fn(&Operation<'_>) -> Option<Fault> + Send + Sync + 'static) {
        let counts = Arc::clone(&self.counts);
        let decide: Box<Decide> = Box::new(decide);
        self.sky.set_fault(Box::new(move |operation| {
            let of = (operation.kind, operation.bucket.to_owned());
            *counts.lock().unwrap().entry(of).or_default() += 1;
            decide(operation)
        }));
    }

    fn count(&self, kind: OperationKind, bucket: &str) -> u64 {
        let counts = self.counts.lock().unwrap();
        counts.get(&(kind, bucket.to_owned())).copied().unwrap_or(0)
    }

    fn store(&self, bucket: &str) -> Arc<dyn ObjectStore> {
        self.sky.store(location(bucket))
    }

    async fn write(&self, key: &str, size: usize, seed: u8) {
        let key = ObjectKey::new(key).unwrap();
        put(self.store("source").as_ref(), &key, content(size, seed)).await;
    }

    /// `s > r > d0 > d1`: the source's relay, one in the middle, and one at each destination.
    fn topology(&self) -> Topology {
        let id = |name: &str| NodeId::new(name).unwrap();
        let node = |name: &str| Node {
            id: id(name),
            region: name.to_owned(),
            address: None,
        };
        let destination = |name: &str| Destination {
            name: name.to_owned(),
            nodes: vec![id(name)],
            sink: spec(&location(name)),
        };
        Topology {
            nodes: ["s", "r", "d0", "d1"].map(node).to_vec(),
            sources: vec![id("s")],
            source: spec(&location("source")),
            destinations: ["d0", "d1"].map(destination).to_vec(),
            trees: vec![Tree {
                stripes: 1,
                edges: [("s", "r"), ("r", "d0"), ("d0", "d1")]
                    .map(|(from, to)| (id(from), id(to)))
                    .to_vec(),
            }],
            chunk_bytes: 16 << 20,
            queue_chunks: 4,
            connections: 2,
            rates: None,
            security: Security::Sealed,
            compress: false,
        }
    }

    async fn run(&self, options: BulkOptions) -> Ran {
        self.run_at(None, options).await
    }

    async fn run_at(&self, bandwidth: Option<Bandwidth>, options: BulkOptions) -> Ran {
        let job_options = JobOptions {
            timing: Timing {
                heartbeat_ms: 100,
                link_timeout_ms: 1_000,
                lease_ms: 5_000,
                max_life_ms: 120_000,
            },
            node_timeout_ms: 2_000,
            max_replacements: 0,
            ..JobOptions::default()
        };
        let seams = OverlaySeams {
            executor: self.nodes.clone(),
            clock: Arc::clone(&self.clock),
            rng: Rng::seeded(5),
            listener: None,
            stop: Default::default(),
        };
        let (overlay, relays) = Overlay::start(self.topology(), job_options, seams);
        let relays = tokio::spawn(relays);
        let fallen = overlay.fallen();
        let targets = ["d0", "d1"].map(|bucket| BulkTarget {
            store: self.store(bucket),
            same_service: false,
            may_pull: false,
        });
        let walk = Walk {
            literal: String::new(),
            glob: None,
            scope: Scope::of_globs("test", &[], &[]).unwrap(),
        };
        let job = BulkJob {
            source: self.store("source"),
            targets: targets.to_vec(),
            selection: Selection::Walk(walk),
            options,
        };
        let ledger: Arc<dyn Ledger> = self.ledger.clone();
        let open: OpenLedger = Arc::new(move || {
            let ledger = Arc::clone(&ledger);
            Box::pin(async move { Ok(ledger) })
        });
        let tally = BulkTally::new(2);
        let seams = BulkSeams {
            clock: Arc::clone(&self.clock),
            rng: Rng::seeded(7),
            ledger: Some(open),
            bandwidth: bandwidth.map(|rate| BulkThrottle::new(Some(rate), Arc::clone(&self.clock))),
            listener: None,
            overlay: Some(overlay),
            stop: Default::default(),
        };
        run(job, seams, Arc::clone(&tally)).await;
        let report = relays.await.unwrap();
        Ran {
            tally,
            report,
            fallen,
        }
    }

    /// Everything is at both destinations, byte for byte, and no upload is left.
    async fn assert_fresh(&self, ran: &Ran) {
        for (target, bucket) in ["d0", "d1"].into_iter().enumerate() {
            let failures = ran.tally.targets[target].failures();
            assert!(failures.is_empty(), "{failures:?}");
            let (source, store) = (self.store("source"), self.store(bucket));
            let clock = self.clock.as_ref();
            let verified = verify(
                source.as_ref(),
                store.as_ref(),
                None,
                Depth::Bytes,
                clock,
                |_| {},
            );
            let verified = verified.await.unwrap();
            assert!(verified.all_equal(), "{verified:?}");
            let uploads = store.list_uploads(None).await.unwrap();
            assert!(uploads.uploads.is_empty(), "{uploads:?}");
        }
    }
}

fn content(size: usize, seed: u8) -> Vec<u8> {
    let bytes = (0..size).map(|at| (at as u32).wrapping_mul(2_654_435_761).to_le_bytes()[3]);
    bytes.map(|byte| byte ^ seed).collect()
}

async fn put(store: &dyn ObjectStore, key: &ObjectKey, bytes: Vec<u8>) {
    let options = PutOptions {
        size: bytes.len() as u64,
        attributes: Default::default(),
        precondition: Precondition::None,
    };
    let put = store.put(key, options, single_chunk(bytes));
    put.await.unwrap();
}

fn location(bucket: &str) -> Location {
    format!("mem://{bucket}/").parse().unwrap()
}

fn parts_of(bytes: u64) -> BulkOptions {
    BulkOptions {
        part_bytes: Some(bytes),
        ..BulkOptions::default()
    }
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_objects_go_by_relays_read_once_and_small_ones_direct() {
    let scene = Scene::new();
    scene.write("large", 23 * MIB + 17, 1).await;
    scene.write("small", 1_000, 2).await;
    let ran = scene.run(parts_of(5 << 20)).await;
    // Five parts by relays, and the small one.
    assert_eq!(scene.count(OperationKind::Get, "source"), 6);
    assert_eq!(scene.count(OperationKind::UploadPart, "d0"), 5);
    assert_eq!(scene.count(OperationKind::UploadPart, "d1"), 5);
    scene.assert_fresh(&ran).await;
    assert_eq!(ran.fallen.read(), None);
    let report = ran.report.as_ref().unwrap();
    assert!(report.is_complete());
    assert_eq!(
        report.read_bytes,
        23 * MIB as u64 + 17,
        "once for both destinations"
    );
    assert_eq!(report.edges.len(), 3, "each hop of the tree: {report:?}");
    assert_eq!(read(&ran.tally.targets[1].copied), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays_read_no_faster_than_the_limit() {
    let scene = Scene::new();
    scene.write("large", 20 * MIB, 5).await;
    let limit = Bandwidth {
        bytes_per_second: 10 << 20,
    };
    let began_ns = scene.clock.monotonic_ns();
    let ran = scene.run_at(Some(limit), parts_of(5 << 20)).await;
    let took_ns = scene.clock.monotonic_ns() - began_ns;
    scene.assert_fresh(&ran).await;
    assert_eq!(ran.fallen.read(), None);
    // Two seconds' worth of bytes, less the quarter of one that may be saved up.
    assert!(took_ns >= 1_700_000_000, "{took_ns} ns");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_dies_on_the_way_is_led_round() {
    let scene = Scene::new();
    scene.write("large", 60 * MIB, 3).await;
    let nodes = Arc::clone(&scene.nodes);
    let killed = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&killed);
    scene.faults(move |operation| {
        let third = operation.kind == OperationKind::UploadPart
            && operation.bucket == "d0"
            && counted.fetch_add(1, Ordering::SeqCst) == 2;
        if third {
            let relay = nodes.started.lock().unwrap()[&NodeId::new("r").unwrap()].clone();
            tokio::spawn(async move { relay.stop().await });
        }
        None
    });
    let ran = scene.run(parts_of(5 << 20)).await;
    scene.assert_fresh(&ran).await;
    let report = ran.report.unwrap();
    assert!(report.reroutes >= 1, "{report:?}");
    assert_eq!(ran.fallen.read(), None, "the others carried everything");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_all_relays_are_gone_the_rest_goes_direct() {
    let scene = Scene::new();
    scene.write("large", 80 * MIB, 4).await;
    let nodes = Arc::clone(&scene.nodes);
    let counted = AtomicU64::new(0);
    scene.faults(move |operation| {
        let second = operation.kind == OperationKind::UploadPart
            && counted.fetch_add(1, Ordering::SeqCst) == 1;
        if second {
            let all: Vec<_> = nodes.started.lock().unwrap().values().cloned().collect();
            tokio::spawn(async move {
                for relay in all {
                    relay.stop().await;
                }
            });
        }
        None
    });
    let ran = scene.run(parts_of(5 << 20)).await;
    scene.assert_fresh(&ran).await;
    let (parts, why) = ran.fallen.read().unwrap();
    assert!(parts > 0, "{why}");
    assert!(ran.report.is_err(), "{:?}", ran.report);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_changes_under_way_is_copied_in_one_version() {
    let scene = Scene::new();
    scene.write("large", 30 * MIB, 5).await;
    let sky = scene.sky.clone();
    let counted = AtomicU64::new(0);
    scene.faults(move |operation| {
        let now = operation.kind == OperationKind::Get
            && operation.bucket == "source"
            && counted.fetch_add(1, Ordering::SeqCst) == 3;
        if now {
            // Written by somebody else, in the middle.
            let store = sky.store(location("source"));
            tokio::spawn(async move {
                let bytes = vec![9u8; 30 << 20];
                let options = PutOptions {
                    size: bytes.len() as u64,
                    attributes: Default::default(),
                    precondition: Precondition::None,
                };
                let key = ObjectKey::new("large").unwrap();
                store.put(&key, options, single_chunk(bytes)).await.unwrap();
            });
        }
        None
    });
    scene.run(parts_of(5 << 20)).await;
    // Whether the change came in time or not, every destination has one version of it, whole.
    for bucket in ["d0", "d1"] {
        let key = ObjectKey::new("large").unwrap();
        let store = scene.store(bucket);
        let body = store.get(&key, Default::default()).await.unwrap().body;
        let bytes = whole_body(body, 30 << 20).await.unwrap().unwrap();
        let new = bytes.iter().filter(|byte| **byte == 9).count();
        let torn = new != bytes.len() && bytes[..] != content(30 * MIB, 5)[..];
        assert!(!torn, "{bucket} has {new} bytes of the new version");
    }
    // Looked at again, it is the newest one. Both are of one size and one instant, so everything is copied.
    let everything = BulkOptions {
        compare: Compare::Never,
        ..parts_of(5 << 20)
    };
    let again = scene.run(everything).await;
    scene.assert_fresh(&again).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destination_that_refuses_a_part_for_a_while_gets_it_all_the_same() {
    let scene = Scene::new();
    scene.write("large", 20 * MIB, 6).await;
    let refused = AtomicU64::new(0);
    scene.faults(move |operation| {
        let refuse = operation.kind == OperationKind::UploadPart
            && operation.bucket == "d1"
            && operation.part_number == Some(2)
            && refused.fetch_add(1, Ordering::SeqCst) < 2;
        refuse.then(|| {
            let why = "slow down";
            Fault::Refuse(StoreError::new(Kind::RetryAfter, "upload part", "d1", why))
        })
    });
    let ran = scene.run(parts_of(5 << 20)).await;
    scene.assert_fresh(&ran).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destination_that_denies_fails_by_itself_and_says_why() {
    let scene = Scene::new();
    scene.write("large", 20 * MIB, 7).await;
    scene.faults(|operation| {
        let deny = operation.kind == OperationKind::UploadPart && operation.bucket == "d1";
        deny.then(|| {
            let why = "not allowed here";
            Fault::Refuse(StoreError::new(Kind::Denied, "upload part", "d1", why))
        })
    });
    let ran = scene.run(parts_of(5 << 20)).await;
    let failures = ran.tally.targets[1].failures();
    assert!(failures[0].2.contains("not allowed here"), "{failures:?}");
    assert_eq!(read(&ran.tally.targets[0].copied), 1, "the other is served");
    let uploads = scene.store("d1").list_uploads(None).await.unwrap();
    assert!(uploads.uploads.is_empty(), "{uploads:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destination_that_denies_takes_relays_from_no_other() {
    let scene = Scene::new();
    let size = 120 * MIB as u64;
    scene.write("large", size as usize, 7).await;
    scene.faults(|operation| {
        let deny = operation.kind == OperationKind::UploadPart && operation.bucket == "d1";
        let why = "not allowed here";
        deny.then(|| Fault::Refuse(StoreError::new(Kind::Denied, "upload part", "d1", why)))
    });
    let ran = scene.run(parts_of(5 << 20)).await;
    let report = ran.report.as_ref().unwrap();
    assert_eq!(
        report.destinations[0].written_bytes, size,
        "all of it by relays"
    );
    assert_eq!(read(&ran.tally.targets[0].copied), 1);
}
