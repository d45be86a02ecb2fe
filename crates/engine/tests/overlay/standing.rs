//! Rules whose large objects go by relays that stand by: what relays do, or fail to do, changes nothing but the way.

use super::{MIB, Opens, Scene, location, spec};
use async_trait::async_trait;
use skyfresh_engine::overlay::{HopPrices, PlanRelays, RelayEnds, StandingPlan, StandingRelays};
use skyfresh_engine::{Engine, EngineConfig, InProcess, OpenStore, Parts, Rule, Stores};
use skyfresh_ledger::{Ledger, MemoryLedger};
use skyfresh_plan::overlay::{EdgeVolume, OverlayPlan, StripeTree};
use skyfresh_relay::executor::{Executor, NodeHandle};
use skyfresh_relay::node::Boot;
use skyfresh_relay::topology::{Node, Topology};
use skyfresh_relay::{Error as RelayError, NodeId, Result as RelayResult};
use skyfresh_sky::catalog::Catalog;
use skyfresh_sky::{Clock, Kind, Region, Rng, Timestamp, Usd, VirtualClock};
use skyfresh_store::ObjectStore;
use skyfresh_store::memory::{MemorySky, OperationKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What goes to one destination, and what goes to both, goes by these plans.
#[derive(Debug, Default)]
pub(super) struct Plans {
    pub(super) alone: Option<StandingPlan>,
    pub(super) together: Option<StandingPlan>,
}

#[async_trait]
impl PlanRelays for Plans {
    async fn plan(&self, ends: &RelayEnds) -> Option<StandingPlan> {
        match ends.targets.len() {
            1 => self.alone.clone(),
            _ => self.together.clone(),
        }
    }
}

/// What relays cost, so that the spend tells what they carried: nothing else in these skies costs anything.
const PER_GB: f64 = 1.0;

/// Fewer than the objects of a test may have: not all of them begin at once.
const PARTS_IN_FLIGHT: usize = 12;

const REGIONS: [&str; 3] = ["aws:us-east-1", "gcp:us-east1", "gcp:us-west1"];

/// Prices of the hops to `d0`, at [`PER_GB`], and from there to `d1`, at half of it.
pub(super) fn prices(destinations: usize) -> HopPrices {
    let regions: Vec<Region> = REGIONS.iter().map(|text| text.parse().unwrap()).collect();
    let hop = |at: usize| (regions[at].clone(), regions[at + 1].clone());
    let edges = (0..destinations).map(|at| EdgeVolume {
        src: hop(at).0,
        dst: hop(at).1,
        gbps: 1.0,
        pair_gbps: 1.0,
        gb: 1.0,
        usd_per_gb: PER_GB / f64::from(1 << at),
        tier: None,
    });
    let plan = OverlayPlan {
        engine: "test".into(),
        source: regions[0].clone(),
        destinations: regions[1..=destinations].to_vec(),
        volume_gb: 1.0,
        cost_usd: 0.0,
        egress_usd: 0.0,
        vm_usd: 0.0,
        requests_usd: 0.0,
        fee_usd: 0.0,
        time_s: 8.0,
        start_s: 0.0,
        throughput_gbps: 1.0,
        lower_bound_usd: None,
        lower_bound_s: None,
        vms: Default::default(),
        stripes: 1,
        trees: vec![StripeTree {
            stripes: 1,
            edges: (0..destinations).map(hop).collect(),
        }],
        edges: edges.collect(),
    };
    HopPrices::of(&plan, regions[1..=destinations].to_vec())
}

/// `s > r > d0`.
pub(super) fn one_destination(mut topology: Topology) -> Topology {
    topology.nodes.pop();
    topology.destinations.pop();
    topology.trees[0].edges.pop();
    topology
}

/// A plan of this shape.
pub(super) fn standing(topology: Topology, executor: Arc<dyn Executor>) -> StandingPlan {
    let destinations = topology.destinations.len();
    StandingPlan {
        topology,
        executor,
        carries: (0..destinations).collect(),
        prices: prices(destinations),
        least_bytes: 0,
        otherwise: None,
    }
}

pub(super) struct Ruled {
    pub(super) engine: Engine,
    relays: Arc<StandingRelays>,
}

/// A rule from `source` to these buckets, with relays by these plans.
pub(super) async fn ruled(
    opener: Arc<dyn OpenStore>,
    clock: &Arc<dyn Clock>,
    plans: Plans,
    targets: &[&str],
) -> Ruled {
    ruled_with(opener, clock, plans, targets, |_, _| {}).await
}

/// The same, with whatever else is to be said of the engine and the rule.
pub(super) async fn ruled_with(
    opener: Arc<dyn OpenStore>,
    clock: &Arc<dyn Clock>,
    plans: Plans,
    targets: &[&str],
    set: impl FnOnce(&mut EngineConfig, &mut Rule),
) -> Ruled {
    let relays = StandingRelays::new(Arc::new(plans), Arc::clone(clock), Rng::seeded(3));
    let relays = Arc::new(relays);
    let mut config = EngineConfig::new("one");
    config.sizing.part_bytes = 5 << 20;
    let all = targets.iter().map(|bucket| location(bucket)).collect();
    let mut rule = Rule::new("rule", location("source"), all);
    set(&mut config, &mut rule);
    let ledger: Arc<dyn Ledger> = Arc::new(MemoryLedger::new());
    let stores = Arc::new(Stores::new(opener));
    let workers = InProcess::new(
        Arc::clone(&stores),
        Arc::clone(&ledger),
        Arc::clone(clock),
        PARTS_IN_FLIGHT,
    );
    let engine = Engine::new(Parts {
        config,
        ledger,
        stores,
        executor: Arc::new(workers.with_relays(Arc::clone(&relays))),
        catalog: Catalog::embedded(),
        clock: Arc::clone(clock),
        rng: Rng::seeded(4),
        planning: None,
    });
    engine.apply(vec![rule]).await.unwrap();
    Ruled { engine, relays }
}

impl Ruled {
    /// Compares, and waits until the destinations are proved equal; then how many bytes relays have carried to each, by what they cost.
    pub(super) async fn relayed_to_each(&self, clock: &dyn Clock) -> Vec<u64> {
        let since = clock.now();
        self.engine.sweep("rule").unwrap();
        self.proven(since, clock).await
    }

    /// Waits until the destinations are proved equal as of `since`.
    pub(super) async fn proven(&self, since: Timestamp, clock: &dyn Clock) -> Vec<u64> {
        let deadline = clock.now().after(Duration::from_secs(300));
        loop {
            assert!(clock.now() < deadline, "something is pending for ever");
            let status = self.engine.status(Some("rule")).await.unwrap();
            let lanes = &status[0].destinations;
            if lanes
                .iter()
                .all(|lane| lane.proven.is_some_and(|it| it >= since))
            {
                let bytes = |spend: Usd| (spend.usd() / PER_GB * 1e9).round() as u64;
                return lanes.iter().map(|lane| bytes(lane.totals.spend)).collect();
            }
            clock.sleep(Duration::from_millis(20)).await;
        }
    }

    /// The same of a rule with one destination.
    async fn relayed_bytes(&self, clock: &dyn Clock) -> u64 {
        self.relayed_to_each(clock).await[0]
    }

    pub(super) async fn end(self) {
        self.engine.shutdown().await;
        self.relays.close().await;
    }
}

pub(super) async fn assert_equal(
    source: &dyn ObjectStore,
    target: &dyn ObjectStore,
    clock: &dyn Clock,
) {
    let depth = skyfresh_engine::verify::Depth::Bytes;
    let verified = skyfresh_engine::verify::verify(source, target, None, depth, clock, |_| {});
    let verified = verified.await.unwrap();
    assert!(verified.all_equal(), "{verified:?}");
    let uploads = target.list_uploads(None).await.unwrap();
    assert!(uploads.uploads.is_empty(), "{uploads:?}");
}

impl Scene {
    async fn ruled(&self) -> Ruled {
        let opener = Arc::new(Opens(self.sky.clone()));
        let plans = Plans {
            alone: Some(standing(
                one_destination(self.topology()),
                self.nodes.clone(),
            )),
            together: None,
        };
        ruled(opener, &self.clock, plans, &["d0"]).await
    }

    async fn is_fresh(&self) {
        let (source, target) = (self.store("source"), self.store("d0"));
        assert_equal(source.as_ref(), target.as_ref(), self.clock.as_ref()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_large_objects_go_by_relays_and_small_ones_direct() {
    let scene = Scene::new();
    let rule = scene.ruled().await;
    rule.relayed_bytes(scene.clock.as_ref()).await;
    let large = 40 * MIB + 17;
    scene.write("large", large, 1).await;
    scene.write("small", 1_000, 2).await;
    let relayed = rule.relayed_bytes(scene.clock.as_ref()).await;
    scene.is_fresh().await;
    assert!(
        relayed <= large as u64,
        "parts that came while one tried the relays went direct: {relayed} of {large}"
    );
    // Once they are known to carry, everything goes by them.
    let mut before = relayed;
    for seed in 3..40 {
        scene.write("again", 20 * MIB, seed).await;
        let now = rule.relayed_bytes(scene.clock.as_ref()).await;
        scene.is_fresh().await;
        if now - before == 20 * MIB as u64 {
            return rule.end().await;
        }
        before = now;
    }
    panic!("relays never carried a whole object");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays_that_die_under_a_rule_lose_nothing() {
    let scene = Scene::new();
    scene.write("large", 100 * MIB, 4).await;
    let nodes = Arc::clone(&scene.nodes);
    let counted = AtomicU64::new(0);
    scene.faults(move |operation| {
        let part = operation.kind == OperationKind::UploadPart && operation.bucket == "d0";
        if part && counted.fetch_add(1, Ordering::SeqCst) == 6 {
            let all: Vec<_> = nodes.started.lock().unwrap().values().cloned().collect();
            tokio::spawn(async move {
                for node in all {
                    node.stop().await;
                }
            });
        }
        None
    });
    let rule = scene.ruled().await;
    rule.relayed_bytes(scene.clock.as_ref()).await;
    scene.is_fresh().await;
    rule.end().await;
}

/// Starts no node, in one of two ways.
pub(super) struct Bad {
    pub(super) hangs: bool,
    pub(super) starts: AtomicU64,
}

#[async_trait]
impl Executor for Bad {
    async fn start(&self, node: &Node, _: Boot) -> RelayResult<Box<dyn NodeHandle>> {
        self.starts.fetch_add(1, Ordering::SeqCst);
        if self.hangs {
            std::future::pending::<()>().await;
        }
        let why = format!("{} is not reachable", node.id);
        Err(RelayError::new(Kind::RetryAfter, "start node", why))
    }
}

/// Empty stores in virtual time.
pub(super) fn virtual_sky() -> (Arc<dyn Clock>, MemorySky) {
    let began = Timestamp::from_unix_ms(1_800_000_000_000);
    let clock: Arc<dyn Clock> = Arc::new(VirtualClock::starting_at(began));
    let sky = MemorySky::new(Arc::clone(&clock));
    for bucket in ["source", "d0", "d1"] {
        sky.create_bucket(bucket);
    }
    (clock, sky)
}

/// An object of 20 parts with such relays, in virtual time: how long it took, and how often nodes were started.
async fn with_bad(hangs: bool, then: Duration) -> (Duration, u64) {
    let (clock, sky) = virtual_sky();
    let (source, target) = (sky.store(location("source")), sky.store(location("d0")));
    let put = |name: &str, seed: u8| {
        let key = skyfresh_sky::ObjectKey::new(name).unwrap();
        let source = Arc::clone(&source);
        async move { super::put(source.as_ref(), &key, super::content(100 * MIB, seed)).await }
    };
    put("large", 1).await;
    let bad = Arc::new(Bad {
        hangs,
        starts: AtomicU64::new(0),
    });
    let topology = one_destination(Scene::new().topology());
    let opener = Arc::new(Opens(sky.clone()));
    let plans = Plans {
        alone: Some(standing(topology, bad.clone())),
        together: None,
    };
    let rule = ruled(opener, &clock, plans, &["d0"]).await;
    let began = clock.now();
    assert_eq!(rule.relayed_bytes(clock.as_ref()).await, 0);
    let took = clock.now().since(began);
    assert_equal(source.as_ref(), target.as_ref(), clock.as_ref()).await;
    clock.sleep(then).await;
    put("large", 2).await;
    assert_eq!(rule.relayed_bytes(clock.as_ref()).await, 0);
    assert_equal(source.as_ref(), target.as_ref(), clock.as_ref()).await;
    rule.end().await;
    (took, bad.starts.load(Ordering::SeqCst))
}

#[tokio::test(start_paused = true)]
async fn one_part_waits_for_relays_that_do_not_begin_and_ten_seconds_at_most() {
    let (took, starts) = with_bad(true, Duration::from_secs(5)).await;
    assert!(
        took >= Duration::from_secs(10) && took < Duration::from_secs(15),
        "{took:?}"
    );
    assert!(starts >= 1);
}

#[tokio::test(start_paused = true)]
async fn relays_that_fail_are_tried_again_later_and_not_for_every_part() {
    let (took, soon) = with_bad(false, Duration::from_secs(5)).await;
    assert!(took < Duration::from_secs(10), "{took:?}");
    let (_, later) = with_bad(false, Duration::from_secs(600)).await;
    assert!(later > soon, "{soon} starts, {later} after ten minutes");
}

/// What the shape must name, whoever plans.
#[test]
fn one_way_has_one_destination() {
    let topology = one_destination(Scene::new().topology());
    assert!(topology.validate().is_ok());
    assert_eq!(topology.destinations[0].sink, spec(&location("d0")));
    assert_eq!(
        topology.nodes.last().unwrap().id,
        NodeId::new("d0").unwrap()
    );
}
