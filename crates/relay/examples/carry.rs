//! Gigabytes a second over loopback: one hop plain, one hop with TLS and sealed payloads, one source to six destinations.
//!
//! `cargo run --release -p skyfresh-relay --example carry [-- GIGABYTES]`
#![allow(clippy::print_stdout, reason = "an example prints")]

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;
use skyfresh_relay::executor::InProcess;
use skyfresh_relay::job::{Job, JobOptions, JobReport, JobSeams};
use skyfresh_relay::topology::{Destination, Node, Security, Topology, Tree};
use skyfresh_relay::{
    Chunk, ChunkSink, ChunkSource, Edges, JobId, NodeId, Receipt, Result, edges, job,
};
use skyfresh_sky::{Rng, SystemClock};
use std::sync::Arc;

const CHUNK_BYTES: u32 = 4 << 20;

/// Gives every chunk the same bytes without touching them, and takes chunks without keeping them.
struct Blank(Bytes);

#[async_trait]
impl ChunkSource for Blank {
    async fn read(&self, chunk: &Chunk) -> Result<Bytes> {
        Ok(self.0.slice(..chunk.length as usize))
    }
}

#[async_trait]
impl ChunkSink for Blank {
    async fn write(&self, _: &Chunk, _: Bytes) -> Result<Receipt> {
        Ok(Receipt::default())
    }
}

#[async_trait]
impl Edges for Blank {
    async fn source(&self, _: &Value) -> Result<Arc<dyn ChunkSource>> {
        Ok(Arc::new(Blank(self.0.clone())))
    }
    async fn sink(&self, _: &str, _: &Value) -> Result<Arc<dyn ChunkSink>> {
        Ok(Arc::new(Blank(Bytes::new())))
    }
}

fn topology(destinations: usize, security: Security, connections: u16) -> Topology {
    let id = |name: String| NodeId::new(name).expect("a valid name");
    let source = id("source".into());
    let ends: Vec<NodeId> = (0..destinations)
        .map(|at| id(format!("end-{at}")))
        .collect();
    let node = |id: &NodeId| Node {
        id: id.clone(),
        region: id.to_string(),
        address: None,
    };
    Topology {
        nodes: [&source].into_iter().chain(&ends).map(node).collect(),
        sources: vec![source.clone()],
        source: Value::Null,
        destinations: ends
            .iter()
            .map(|end| Destination {
                name: end.to_string(),
                nodes: vec![end.clone()],
                sink: Value::Null,
            })
            .collect(),
        trees: vec![Tree {
            stripes: 1,
            edges: ends
                .iter()
                .map(|end| (source.clone(), end.clone()))
                .collect(),
        }],
        chunk_bytes: CHUNK_BYTES,
        queue_chunks: 8,
        connections,
        rates: None,
        security,
        compress: false,
    }
}

/// Peak resident memory in MiB, where the system tells.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

/// Processor seconds that this process has used, where the system tells (100 ticks a second on Linux).
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace();
    let ticks: Vec<f64> = fields
        .skip(11)
        .take(2)
        .filter_map(|text| text.parse().ok())
        .collect();
    ticks.iter().sum::<f64>() / 100.0
}

async fn carry(name: &str, topology: Topology, bytes: u64) -> Outcome {
    let blank = Arc::new(Blank(Bytes::from(vec![7; CHUNK_BYTES as usize])));
    let clock = Arc::new(SystemClock);
    let fan_out = topology.destinations.len() as f64;
    let used = processor_seconds();
    let report: JobReport = job::run(
        Job {
            id: JobId::draw(&Rng::from_entropy()),
            chunks: edges::cut(0, 0, "object", "v", bytes, CHUNK_BYTES),
            topology,
            options: JobOptions::default(),
        },
        JobSeams {
            executor: Arc::new(InProcess::new(blank, clock.clone())),
            clock,
            listener: None,
            stop: Default::default(),
        },
    )
    .await?;
    let used = processor_seconds() - used;
    let seconds = (report.took_ms - report.start_ms) as f64 / 1e3;
    let held: u64 = report.nodes.iter().map(|node| node.peak_bytes).sum();
    println!(
        "{name:<28} {:>5.2} GB/s delivered in {seconds:>5.2} s, {:>4.2} processor seconds a GB, payload held at most {:>4} MiB, process at most {:>4} MiB",
        report.total_bytes as f64 * fan_out / seconds / 1e9,
        used / (report.total_bytes as f64 * fan_out / 1e9),
        held >> 20,
        peak_mib(),
    );
    assert!(report.is_complete() && report.read_bytes == report.total_bytes);
    Ok(())
}

type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Outcome {
    let gigabytes: u64 = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(8);
    let bytes = gigabytes << 30;
    carry("one hop, plain", topology(1, Security::Plain, 2), bytes).await?;
    carry(
        "one hop, TLS and sealed",
        topology(1, Security::Sealed, 2),
        bytes,
    )
    .await?;
    carry(
        "one to six, plain",
        topology(6, Security::Plain, 2),
        bytes / 4,
    )
    .await?;
    carry(
        "one to six, TLS and sealed",
        topology(6, Security::Sealed, 2),
        bytes / 4,
    )
    .await
}
