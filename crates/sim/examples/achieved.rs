//! Plans of overlays carried out by real relays over shaped links on loopback: predicted time against achieved.
//!
//! `cargo run --release -p skyfresh-sim --example achieved [-- CASE…]`, a line of JSON a case. Bytes and rates are divided by
//! [`SCALE`], times and distances are as they are: a plan for 16 GB moves 160 MB at a hundredth of every rate.
//!
//! Shaped are: the way from each machine to each other (its round trip by the catalogue, its rate that of one pair of machines
//! in the plan's own network, shared by [`CONNECTIONS`] connections), what a machine sends in all, what it receives in all.
#![allow(clippy::print_stdout, reason = "an example prints")]

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use skyfresh_engine::overlay::{OverlayShape, flow_start_s, shape};
use skyfresh_localsky::{
    Bandwidth, LinkShape, MachinePort, ShapedWay, StragglerDistribution, WayShape,
};
use skyfresh_plan::network::{Network, read_grid};
use skyfresh_plan::overlay::{Engine, Goal, OverlayPlan, Request, plan};
use skyfresh_relay::executor::{Executor, InProcess, NodeHandle};
use skyfresh_relay::job::{Job, JobOptions, JobSeams, run};
use skyfresh_relay::node::Boot;
use skyfresh_relay::topology::{Node, Security, Topology};
use skyfresh_relay::{Chunk, ChunkSink, ChunkSource, Edges, JobId, NodeId, Receipt, edges};
use skyfresh_sky::catalog::Catalog;
use skyfresh_sky::{Clock, Region, Rng, SystemClock};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What bytes and rates are divided by.
const SCALE: f64 = 100.0;
/// A part of S3's least size.
const CHUNK_BYTES: f64 = 5.0 * 1_048_576.0;
/// Most connections of a hop of a tree.
const CONNECTIONS: u16 = 8;
/// What a connection can carry, of its way's rate: all together twice of it. Rates are of 64 connections, where more no longer
/// help (Skyplane, Fig. 9): there, too, each could carry more if the others let it.
const CONNECTION_SHARE: f64 = 2.0 / 8.0;
/// Chunks that a relay buffers for each tree.
const QUEUE_CHUNKS: u16 = 256;

/// Name, source, destinations, GB, deadline in seconds (`None`: the fastest), machines a region.
type Case = (
    &'static str,
    &'static str,
    &'static [&'static str],
    f64,
    Option<f64>,
    u32,
);

/// Skyplane's own example (Fig. 1), pairs straight and with relays, and Cloudcast's four cases (footnotes 2 to 5) for 16 GB.
const CASES: [Case; 8] = [
    (
        "straight",
        "aws:us-east-1",
        &["aws:us-west-2"],
        16.0,
        None,
        1,
    ),
    (
        "figure-1",
        "azure:canadacentral",
        &["gcp:asia-northeast1-a"],
        16.0,
        None,
        1,
    ),
    (
        "two-machines",
        "gcp:europe-west4-a",
        &["aws:ap-northeast-1"],
        16.0,
        None,
        2,
    ),
    (
        "three",
        "aws:us-east-1",
        &["aws:eu-west-1", "gcp:us-central1-a", "azure:westus"],
        16.0,
        Some(40.0),
        1,
    ),
    (
        "aws",
        "aws:ap-east-1",
        &[
            "aws:us-west-1",
            "aws:ap-northeast-3",
            "aws:eu-north-1",
            "aws:ap-south-1",
            "aws:ca-central-1",
            "aws:ap-northeast-1",
        ],
        16.0,
        Some(12.8),
        2,
    ),
    (
        "azure",
        "azure:brazilsouth",
        &[
            "azure:westeurope",
            "azure:westus",
            "azure:koreacentral",
            "azure:australiaeast",
            "azure:uaenorth",
            "azure:centralindia",
        ],
        16.0,
        Some(9.28),
        2,
    ),
    (
        "gcp",
        "gcp:asia-southeast2-a",
        &[
            "gcp:australia-southeast1-a",
            "gcp:southamerica-east1-a",
            "gcp:europe-west4-a",
            "gcp:europe-west6-a",
            "gcp:asia-east1-a",
            "gcp:europe-west2-a",
        ],
        16.0,
        Some(11.52),
        2,
    ),
    (
        "inter",
        "gcp:asia-southeast1-a",
        &[
            "azure:australiaeast",
            "azure:eastasia",
            "aws:ap-southeast-2",
            "azure:brazilsouth",
            "aws:sa-east-1",
            "gcp:australia-southeast1-a",
        ],
        16.0,
        Some(11.52),
        2,
    ),
];

/// Gives every chunk the same bytes, and takes chunks without keeping them.
struct Blank(Bytes);

#[async_trait]
impl ChunkSource for Blank {
    async fn read(&self, chunk: &Chunk) -> skyfresh_relay::Result<Bytes> {
        Ok(self.0.slice(..chunk.length as usize))
    }
}

#[async_trait]
impl ChunkSink for Blank {
    async fn write(&self, _: &Chunk, _: Bytes) -> skyfresh_relay::Result<Receipt> {
        Ok(Receipt::default())
    }
}

#[async_trait]
impl Edges for Blank {
    async fn source(&self, _: &Value) -> skyfresh_relay::Result<Arc<dyn ChunkSource>> {
        Ok(Arc::new(Blank(self.0.clone())))
    }

    async fn sink(&self, _: &str, _: &Value) -> skyfresh_relay::Result<Arc<dyn ChunkSink>> {
        Ok(Arc::new(Blank(Bytes::new())))
    }
}

/// Where every machine of a plan stands, and the ways between them.
struct Ways {
    /// Of each pair of nodes that some tree sends over.
    shapes: BTreeMap<(NodeId, NodeId), LinkShape>,
    out: BTreeMap<NodeId, Arc<MachinePort>>,
    into: BTreeMap<NodeId, Arc<MachinePort>>,
    open: Mutex<Vec<ShapedWay>>,
}

/// Starts nodes in this process, each reached by the others over shaped ways.
struct Shaped {
    inner: InProcess,
    ways: Ways,
    clock: Arc<dyn Clock>,
    rng: Rng,
}

struct Far {
    inner: Box<dyn NodeHandle>,
    from: BTreeMap<NodeId, String>,
}

#[async_trait]
impl NodeHandle for Far {
    fn address(&self) -> &str {
        self.inner.address()
    }

    fn address_from(&self, node: &NodeId) -> String {
        self.from
            .get(node)
            .cloned()
            .unwrap_or_else(|| self.address().to_owned())
    }

    async fn alive(&self) -> bool {
        self.inner.alive().await
    }

    async fn stop(&self) {
        self.inner.stop().await;
    }
}

#[async_trait]
impl Executor for Shaped {
    async fn start(&self, node: &Node, boot: Boot) -> skyfresh_relay::Result<Box<dyn NodeHandle>> {
        let inner = self.inner.start(node, boot).await?;
        let wrong = |why: String| {
            skyfresh_relay::Error::new(skyfresh_sky::Kind::Internal, "shape way", why)
        };
        let to = inner
            .address()
            .parse()
            .map_err(|error: std::net::AddrParseError| wrong(error.to_string()))?;
        let mut from = BTreeMap::new();
        for ((sender, _), link) in self
            .ways
            .shapes
            .iter()
            .filter(|((_, to), _)| *to == node.id)
        {
            let ports = [self.ways.out.get(sender), self.ways.into.get(&node.id)];
            let shape = WayShape {
                link: *link,
                stragglers: StragglerDistribution::NONE,
                ports: ports.into_iter().flatten().cloned().collect(),
            };
            let way = ShapedWay::open(to, shape, Arc::clone(&self.clock), self.rng.fork()).await;
            let way = way.map_err(|error| wrong(error.to_string()))?;
            from.insert(sender.clone(), way.address().to_string());
            if let Ok(mut open) = self.ways.open.lock() {
                open.push(way);
            }
        }
        Ok(Box::new(Far { inner, from }))
    }
}

/// Bytes a second of so many Gbit/s, scaled.
fn scaled(gbps: f64) -> f64 {
    gbps * 1e9 / 8.0 / SCALE
}

fn ways(
    topology: &Topology,
    made: &OverlayPlan,
    network: &Network,
) -> Result<Ways, Box<dyn Error>> {
    let catalog = Catalog::embedded();
    let region = |id: &NodeId| -> Result<Region, Box<dyn Error>> {
        let node = topology.node(id).ok_or("a hop to nowhere")?;
        Ok(node.region.parse()?)
    };
    let bare = |region: &Region| {
        // Measured grids name a zone of Google Cloud, the catalogue its region.
        let mut bare = region.clone();
        if let Some(name) = bare.name.strip_suffix("-a") {
            bare.name = name.to_owned();
        }
        bare
    };
    let hops: BTreeSet<(NodeId, NodeId)> = topology
        .trees
        .iter()
        .flat_map(|tree| tree.edges.iter().cloned())
        .collect();
    let mut shapes = BTreeMap::new();
    let one = made.destinations.len() == 1;
    for (from, to) in &hops {
        let (a, b) = (region(from)?, region(to)?);
        let (Some(u), Some(v)) = (network.number(&a), network.number(&b)) else {
            return Err(format!("{a} or {b} is not on the network").into());
        };
        let pairs = hops.iter().filter(|(f, t)| {
            region(f).ok().as_ref() == Some(&a) && region(t).ok().as_ref() == Some(&b)
        });
        let planned = made
            .edges
            .iter()
            .find(|edge| edge.src == a && edge.dst == b);
        // For one destination a machine's connections are shared out as the plan says (Skyplane's M); for more, each pair has
        // the rate that was measured for a pair (Cloudcast's constraint 3).
        let gbps = match (one, planned) {
            (true, Some(edge)) => edge.gbps / pairs.count() as f64,
            _ => network.gbps(u, v),
        };
        let rtt_ms = catalog
            .link(&bare(&a), &bare(&b))
            .map_or(100.0, |link| link.rtt_ms);
        let pair_gbps = network.gbps(u, v);
        let of = |total: f64| Bandwidth {
            total_bytes_per_s: total,
            connection_bytes_per_s: scaled(pair_gbps) * CONNECTION_SHARE,
        };
        shapes.insert(
            (from.clone(), to.clone()),
            LinkShape {
                rtt: Duration::from_secs_f64(rtt_ms / 1e3),
                jitter: Duration::ZERO,
                upload: of(scaled(gbps)),
                download: of(1e9),
            },
        );
    }
    let mut ways = Ways {
        shapes,
        out: BTreeMap::new(),
        into: BTreeMap::new(),
        open: Mutex::default(),
    };
    for node in &topology.nodes {
        let region: Region = node.region.parse()?;
        let at = network.number(&region).ok_or("a node nowhere")?;
        let machine = network.machine(at);
        let port = |gbps| Arc::new(MachinePort::new(scaled(gbps)));
        ways.out.insert(node.id.clone(), port(machine.egress_gbps));
        ways.into
            .insert(node.id.clone(), port(machine.ingress_gbps));
    }
    Ok(ways)
}

/// The least time that these trees of machines can take, in seconds: that of the fullest way or port. Above the plan's time where the
/// plan counts a region's machines together and its trees do not fill them evenly.
fn fullest_s(topology: &Topology, ways: &Ways, network: &Network, bytes: f64) -> f64 {
    let stripes: f64 = topology
        .trees
        .iter()
        .map(|tree| f64::from(tree.stripes))
        .sum();
    let mut over: BTreeMap<&(NodeId, NodeId), f64> = BTreeMap::new();
    let mut out: BTreeMap<&NodeId, f64> = BTreeMap::new();
    let mut into: BTreeMap<&NodeId, f64> = BTreeMap::new();
    for tree in &topology.trees {
        let share = bytes * f64::from(tree.stripes) / stripes;
        for edge in &tree.edges {
            *over.entry(edge).or_default() += share;
            *out.entry(&edge.0).or_default() += share;
            *into.entry(&edge.1).or_default() += share;
        }
    }
    let machine = |id: &NodeId| {
        let region: Region = topology.node(id)?.region.parse().ok()?;
        Some(network.machine(network.number(&region)?))
    };
    let links = over.iter().filter_map(|(edge, bytes)| {
        let link = ways.shapes.get(*edge)?;
        Some(bytes / link.upload.total_bytes_per_s)
    });
    let sends = out
        .iter()
        .filter_map(|(id, bytes)| Some(bytes / scaled(machine(id)?.egress_gbps)));
    let receives = into
        .iter()
        .filter_map(|(id, bytes)| Some(bytes / scaled(machine(id)?.ingress_gbps)));
    links.chain(sends).chain(receives).fold(0.0, f64::max)
}

async fn carry(case: &Case) -> Result<Value, Box<dyn Error>> {
    let (name, source, destinations, volume_gb, deadline_s, vms) = *case;
    // Each paper's own measurements.
    let network = read_grid(match destinations {
        [_] => include_str!("../../plan/grids/2022-01.csv"),
        _ => include_str!("../../plan/grids/2022-11.csv"),
    })?;
    let to: Result<Vec<Region>, _> = destinations.iter().map(|text| text.parse()).collect();
    let goal = deadline_s.map_or(Goal::Fastest, Goal::Deadline);
    let mut request = Request::new(source.parse()?, to?, volume_gb, goal);
    request.vms_per_region = vms;
    let outcome = plan(&network, &request, Engine::Best)?;
    let made = outcome.plan().ok_or("no plan")?;
    let topology = shape(&OverlayShape {
        plan: made,
        hosts: None,
        source: Value::Null,
        targets: request
            .destinations
            .iter()
            .map(|region| (region.to_string(), region.clone(), Value::Null))
            .collect(),
        chunk_bytes: (CHUNK_BYTES / SCALE) as u32,
        connections: CONNECTIONS,
        security: Security::Sealed,
    })?;
    let topology = Topology {
        queue_chunks: QUEUE_CHUNKS,
        ..topology
    };
    let ways = ways(&topology, made, &network)?;
    // Chunks and rates are divided alike.
    let unscaled = Topology {
        chunk_bytes: CHUNK_BYTES as u32,
        ..topology.clone()
    };
    let fill_s = flow_start_s(&unscaled, made, |from, to| {
        let way = ways.shapes.get(&(from.clone(), to.clone()));
        way.map_or(0.0, |link| link.rtt.as_secs_f64())
    });
    let fullest_s = fullest_s(&topology, &ways, &network, volume_gb * 1e9 / SCALE);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let bytes = (volume_gb * 1e9 / SCALE) as u64;
    let chunk = vec![0x5a; topology.chunk_bytes as usize];
    let executor = Shaped {
        inner: InProcess::new(Arc::new(Blank(chunk.into())), Arc::clone(&clock)),
        ways,
        clock: Arc::clone(&clock),
        rng: Rng::seeded(11),
    };
    let job = Job {
        id: JobId(1),
        chunks: edges::cut(0, 0, "object", "1", bytes, topology.chunk_bytes),
        topology: topology.clone(),
        options: JobOptions {
            window_chunks: 2_048,
            ..JobOptions::default()
        },
    };
    let seams = JobSeams {
        executor: Arc::new(executor),
        clock,
        listener: None,
        stop: Default::default(),
    };
    let report = run(job, seams).await?;
    let achieved_s = (report.took_ms - report.start_ms) as f64 / 1e3;
    Ok(json!({
        "part": "achieved",
        "case": name,
        "destinations": destinations.len(),
        "machines": topology.nodes.len(),
        "trees": topology.trees.len(),
        "predicted_s": made.time_s,
        "fill_s": fill_s,
        "fullest_s": fullest_s,
        "achieved_s": achieved_s,
        "start_s": report.start_ms as f64 / 1e3,
        "resent": report.resent_chunks,
        "hop_resends": report.hop_resends,
        "read_once": report.read_bytes == bytes,
        "complete": report.is_complete(),
    }))
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    for case in CASES
        .iter()
        .filter(|case| wanted.is_empty() || wanted.iter().any(|name| name == case.0))
    {
        println!("{}", carry(case).await?);
    }
    Ok(())
}
