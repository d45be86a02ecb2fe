//! What the relay's tests share: shapes, edges that misbehave, and a job run in this process.
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod proxy;

use async_trait::async_trait;
use bytes::Bytes;
use skyfresh_relay::edges::{Generated, Memory, MemoryEdges, cut};
use skyfresh_relay::executor::{Executor, InProcess, NodeHandle};
use skyfresh_relay::job::{Event, Job, JobOptions, JobReport, JobSeams};
use skyfresh_relay::node::{Boot, Timing};
use skyfresh_relay::topology::{Destination, Node, Security, Topology, Tree};
use skyfresh_relay::{Chunk, ChunkSink, ChunkSource, Error, JobId, NodeId, Receipt, Result};
use skyfresh_sky::{Clock, Kind, SystemClock};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

pub(crate) fn id(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

pub(crate) fn tree(hops: &[&str]) -> Tree {
    let hop = |hop: &&str| {
        hop.split_once('>')
            .map(|(from, to)| (id(from), id(to)))
            .unwrap()
    };
    Tree {
        stripes: 1,
        edges: hops.iter().map(hop).collect(),
    }
}

/// Nodes named in `hops`, reading at `s`, writing at `ends`. A node's region is its name without digits.
pub(crate) fn topology(ends: &[&str], trees: &[&[&str]]) -> Topology {
    let trees: Vec<Tree> = trees.iter().map(|hops| tree(hops)).collect();
    let mut nodes: Vec<NodeId> = vec![id("s")];
    for (from, to) in trees.iter().flat_map(|tree| &tree.edges) {
        for id in [from, to] {
            if !nodes.contains(id) {
                nodes.push(id.clone());
            }
        }
    }
    Topology {
        nodes: nodes
            .into_iter()
            .map(|id| Node {
                region: id.as_str().trim_end_matches(char::is_numeric).into(),
                id,
                address: None,
            })
            .collect(),
        sources: vec![id("s")],
        source: serde_json::Value::Null,
        destinations: ends
            .iter()
            .map(|end| Destination {
                name: (*end).into(),
                nodes: vec![id(end)],
                sink: serde_json::Value::Null,
            })
            .collect(),
        trees,
        chunk_bytes: 64 << 10,
        queue_chunks: 8,
        connections: 2,
        rates: None,
        security: Security::Sealed,
        compress: false,
    }
}

pub(crate) fn options() -> JobOptions {
    JobOptions {
        timing: Timing {
            heartbeat_ms: 100,
            link_timeout_ms: 2_000,
            lease_ms: 5_000,
            max_life_ms: 120_000,
        },
        node_timeout_ms: 4_000,
        stall_ms: 30_000,
        max_attempts: 3,
        window_chunks: 32,
        max_replacements: 0,
        progress_ms: 100,
    }
}

/// One job's world: a generated source, memory sinks, and what was heard.
pub(crate) struct World {
    pub(crate) source: Arc<Generated>,
    pub(crate) sinks: HashMap<String, Arc<Memory>>,
    pub(crate) edges: MemoryEdges,
    pub(crate) heard: Arc<Mutex<Vec<String>>>,
    pub(crate) written: Arc<AtomicU64>,
    /// Rung at every receipt.
    pub(crate) bell: Arc<Notify>,
}

impl World {
    pub(crate) fn new(topology: &Topology) -> World {
        let source = Arc::new(Generated::default());
        let sinks: HashMap<String, Arc<Memory>> = topology
            .destinations
            .iter()
            .map(|end| (end.name.clone(), Arc::default()))
            .collect();
        let edges = MemoryEdges {
            source: Some(source.clone()),
            sinks: sinks
                .iter()
                .map(|(name, sink)| (name.clone(), sink.clone() as Arc<dyn ChunkSink>))
                .collect(),
        };
        World {
            source,
            sinks,
            edges,
            heard: Arc::default(),
            written: Arc::default(),
            bell: Arc::default(),
        }
    }

    pub(crate) fn seams(&self, executor: Arc<dyn Executor>) -> JobSeams {
        let (heard, written, bell) = (self.heard.clone(), self.written.clone(), self.bell.clone());
        JobSeams {
            executor,
            clock: Arc::new(SystemClock),
            listener: Some(Arc::new(move |event: Event<'_>| match event {
                Event::Written { .. } => {
                    written.fetch_add(1, Ordering::SeqCst);
                    bell.notify_waiters();
                }
                Event::Progress(_) => {}
                event => heard.lock().unwrap().push(format!("{event:?}")),
            })),
            stop: Default::default(),
        }
    }

    pub(crate) fn in_process(&self) -> Arc<Handles> {
        Handles::new(InProcess::new(
            Arc::new(self.edges.clone()),
            Arc::new(SystemClock),
        ))
    }

    /// Waits until so many receipts came.
    pub(crate) async fn after(&self, receipts: u64) {
        while self.written.load(Ordering::SeqCst) < receipts {
            let rung = self.bell.notified();
            if self.written.load(Ordering::SeqCst) < receipts {
                rung.await;
            }
        }
    }

    pub(crate) fn heard(&self) -> String {
        self.heard.lock().unwrap().join("\n")
    }

    /// Every destination in `ends` holds exactly the source's bytes.
    pub(crate) fn assert_holds(&self, ends: &[&str], chunks: &[Chunk]) {
        let expected: Vec<u8> = chunks
            .iter()
            .flat_map(|chunk| Generated::bytes(chunk).to_vec())
            .collect();
        for end in ends {
            let found = self.sinks[*end].object(0);
            assert!(
                found == expected,
                "{end} holds {} bytes of {}, or others",
                found.len(),
                expected.len()
            );
        }
    }
}

pub(crate) fn chunks(count: u64, topology: &Topology) -> Vec<Chunk> {
    // The last one is short.
    let size = count * u64::from(topology.chunk_bytes) - 100;
    cut(0, 0, "object", "v1", size, topology.chunk_bytes)
}

pub(crate) fn job(topology: &Topology, chunks: &[Chunk]) -> Job {
    Job {
        id: JobId(0xfeed),
        topology: topology.clone(),
        chunks: chunks.to_vec(),
        options: options(),
    }
}

pub(crate) async fn carry(job: Job, seams: JobSeams) -> Result<JobReport> {
    let limit = Duration::from_secs(60);
    skyfresh_sky::timeout(&SystemClock, limit, skyfresh_relay::job::run(job, seams))
        .await
        .expect("the job ends within a minute")
}

/// What an address is exchanged for.
pub(crate) type Instead = Box<dyn Fn(String) -> String + Send>;

/// Nodes that a test can kill, and through whose addresses it can put itself.
pub(crate) struct Handles {
    inner: InProcess,
    pub(crate) started: Mutex<HashMap<NodeId, Arc<dyn NodeHandle>>>,
    /// Nodes told to stop and not yet seen to have ended.
    pub(crate) running: Arc<AtomicU64>,
    /// Addresses given out instead of the node's own.
    pub(crate) instead: Mutex<HashMap<NodeId, Instead>>,
}

impl Handles {
    fn new(inner: InProcess) -> Arc<Self> {
        Arc::new(Handles {
            inner,
            started: Mutex::default(),
            running: Arc::default(),
            instead: Mutex::default(),
        })
    }

    pub(crate) async fn kill(&self, node: &str) {
        let handle = self.started.lock().unwrap()[&id(node)].clone();
        handle.stop().await;
    }
}

struct Shared {
    handle: Arc<dyn NodeHandle>,
    address: String,
}

#[async_trait]
impl Executor for Handles {
    async fn start(&self, node: &Node, boot: Boot) -> Result<Box<dyn NodeHandle>> {
        let handle: Arc<dyn NodeHandle> = self.inner.start(node, boot).await?.into();
        self.started
            .lock()
            .unwrap()
            .insert(node.id.clone(), handle.clone());
        let address = handle.address().to_owned();
        let address = match self.instead.lock().unwrap().get(&node.id) {
            Some(instead) => instead(address),
            None => address,
        };
        Ok(Box::new(Shared { handle, address }))
    }
}

#[async_trait]
impl NodeHandle for Shared {
    fn address(&self) -> &str {
        &self.address
    }
    async fn alive(&self) -> bool {
        self.handle.alive().await
    }
    async fn stop(&self) {
        self.handle.stop().await;
    }
}

/// A sink that waits before each write.
pub(crate) struct Slow {
    pub(crate) inner: Arc<Memory>,
    pub(crate) pause: Duration,
}

#[async_trait]
impl ChunkSink for Slow {
    async fn write(&self, chunk: &Chunk, bytes: Bytes) -> Result<Receipt> {
        SystemClock.sleep(self.pause).await;
        self.inner.write(chunk, bytes).await
    }
}

/// A sink that has room for so many chunks.
pub(crate) struct Full {
    pub(crate) inner: Arc<Memory>,
    pub(crate) room: AtomicU64,
}

#[async_trait]
impl ChunkSink for Full {
    async fn write(&self, chunk: &Chunk, bytes: Bytes) -> Result<Receipt> {
        if self
            .room
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |room| {
                room.checked_sub(1)
            })
            .is_err()
        {
            return Err(Error::new(
                Kind::Denied,
                "write file",
                "/data/object: no space left on device",
            ));
        }
        self.inner.write(chunk, bytes).await
    }
}

/// A source that spoils its first so many reads.
pub(crate) struct Spoiling {
    pub(crate) inner: Arc<Generated>,
    pub(crate) spoiled: AtomicU64,
}

#[async_trait]
impl ChunkSource for Spoiling {
    async fn read(&self, chunk: &Chunk) -> Result<Bytes> {
        let bytes = self.inner.read(chunk).await?;
        let spoil = self
            .spoiled
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        if spoil.is_err() {
            return Ok(bytes);
        }
        let mut bytes = bytes.to_vec();
        bytes[7] ^= 1;
        Ok(bytes.into())
    }
}
