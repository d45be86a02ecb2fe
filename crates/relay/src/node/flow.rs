//! One route at work: hands chunks from operator to operator.

use super::hop::Hop;
use super::item::Item;
use super::queue::Queue;
use super::reverse::Upstream;
use super::write::Writing;
use super::{Assignment, Shared};
use crate::chunk::ChunkSource;
use crate::compression::{Chooser, compress, decompress};
use crate::crypto::Sealer;
use crate::frame::{Codec, Failure, Frame, Manifest, Stage, reason};
use crate::program::{Operator, Program, Route};
use crate::{DestinationSet, Error, Result};
use crc_fast::{CrcAlgorithm, checksum};
use futures::future::BoxFuture;
use skyfresh_sky::Kind;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// The checksum of everything here: processors compute it at tens of gigabytes a second.
pub(crate) fn crc64(bytes: &[u8]) -> u64 {
    checksum(CrcAlgorithm::Crc64Nvme, bytes)
}

pub(crate) struct Flow {
    pub(crate) shared: Arc<Shared>,
    pub(crate) route: Route,
    pub(crate) chunk_bytes: u32,
    pub(crate) queue_bytes: u64,
    /// Room of the route's queue, in bytes.
    pub(crate) room: Arc<Semaphore>,
    pub(crate) upstream: Upstream,
    pub(crate) assignments: Queue<Assignment>,
    pub(crate) source: Option<Arc<dyn ChunkSource>>,
    pub(crate) stop: CancellationToken,
    hops: HashMap<u16, Arc<Hop>>,
    writers: HashMap<u16, Arc<Writing>>,
    sealer: Option<Arc<Sealer>>,
    chooser: Chooser,
    /// Destinations at or below each operator.
    reaches: Vec<DestinationSet>,
}

/// A route that could not be begun, and the destination whose fault it is.
pub(crate) struct Unopened {
    pub(crate) destination: Option<u8>,
    pub(crate) error: Error,
}

impl Flow {
    /// Opens the route's edges and begins its work.
    pub(crate) async fn begin(
        shared: &Arc<Shared>,
        program: &Program,
        route: Route,
        sealer: Option<Arc<Sealer>>,
    ) -> Result<Arc<Flow>, Unopened> {
        let stop = shared.stop.child_token();
        let (mut source, mut writers, mut hops) = (None, HashMap::new(), HashMap::new());
        for (at, operator) in route.operators.iter().enumerate() {
            let at = at as u16;
            match operator {
                Operator::Read { source: spec } => {
                    let opened = shared.edges.source(&spec.0).await;
                    source = Some(opened.map_err(|error| Unopened {
                        destination: None,
                        error,
                    })?);
                }
                Operator::Write {
                    destination,
                    name,
                    sink: spec,
                } => {
                    let opened = shared.edges.sink(name, &spec.0).await;
                    let sink = opened.map_err(|error| Unopened {
                        destination: Some(*destination),
                        error,
                    })?;
                    writers.insert(at, Arc::new(Writing::new(*destination, sink)));
                }
                Operator::Send {
                    to,
                    address,
                    connections,
                    ..
                } => {
                    let chunk_bytes = u64::from(program.chunk_bytes);
                    let step = route.share.map(|share| {
                        let width = (u64::from(*connections) * chunk_bytes, chunk_bytes);
                        let of = ((share.group, hops.len() as u16), share.stripes);
                        shared
                            .steps
                            .join(&shared.clock, shared.link_timeout(), of, width)
                    });
                    let hop = Hop::new(
                        shared,
                        route.tree,
                        (to.clone(), address.clone()),
                        *connections,
                        program.chunk_bytes,
                        step,
                    );
                    hops.insert(at, Arc::new(hop));
                }
                Operator::Seal | Operator::Open if sealer.is_none() => {
                    return Err(Unopened {
                        destination: None,
                        error: Error::invalid(
                            "take program",
                            "it seals or opens, and came without the key",
                        ),
                    });
                }
                _ => {}
            }
        }
        let upstream = match route.operators.first() {
            Some(Operator::Read { .. }) => Upstream::root(Arc::clone(shared)),
            _ => Upstream::default(),
        };
        let queue_bytes = u64::from(program.queue_chunks) * u64::from(program.chunk_bytes);
        let flow = Arc::new(Flow {
            shared: Arc::clone(shared),
            reaches: reaches(&route),
            route,
            chunk_bytes: program.chunk_bytes,
            queue_bytes,
            room: Arc::new(Semaphore::new(queue_bytes as usize)),
            upstream,
            assignments: Queue::default(),
            source,
            stop,
            hops,
            writers,
            sealer,
            chooser: Chooser::default(),
        });
        for hop in flow.hops.values() {
            hop.begin(&flow);
        }
        if flow.source.is_some() {
            super::read::begin(&flow, program.queue_chunks);
        }
        Ok(flow)
    }

    /// Hands an item that operator `at` is done with to the operators behind it. What only enqueues is done here; opening and
    /// writing go on by themselves, bounded by the room that the item holds.
    pub(crate) fn pass(self: &Arc<Self>, at: u16, item: Item) {
        let wanted = item.header.wanted;
        let goes = |to: &u16| {
            !self.reaches[usize::from(*to)]
                .intersection(wanted)
                .is_empty()
        };
        let mut outputs: Vec<u16> = self.route.outputs(at).filter(goes).collect();
        // The last one gets the item itself: a payload that nobody else holds is opened in place.
        let last = outputs.pop();
        for to in outputs {
            self.step(to, item.clone());
        }
        if let Some(to) = last {
            self.step(to, item);
        }
    }

    fn step(self: &Arc<Self>, at: u16, item: Item) {
        match &self.route.operators[usize::from(at)] {
            Operator::Send { .. } => {
                if let Some(hop) = self.hops.get(&at) {
                    hop.push(item);
                }
            }
            Operator::Tee => self.pass(at, item),
            _ => {
                let flow = Arc::clone(self);
                let work: BoxFuture<'static, ()> =
                    Box::pin(async move { flow.work(at, item).await });
                tokio::spawn(self.stop.clone().run_until_cancelled_owned(work));
            }
        }
    }

    async fn work(self: Arc<Self>, at: u16, item: Item) {
        let header = Arc::clone(&item.header);
        let result = match self.writers.get(&at) {
            Some(writing) => writing.write(&self, item).await,
            None => self
                .transform(at, item)
                .await
                .map(|(at, item)| self.pass(at, item)),
        };
        if let Err(error) = result {
            let below = self.reaches[usize::from(at)].intersection(header.wanted);
            self.fail(
                Stage::Destination,
                (header.chunk, header.attempt),
                below,
                &error,
            );
        }
    }

    /// Says that a chunk did not come through here.
    pub(crate) fn fail(
        &self,
        stage: Stage,
        (chunk, attempt): (u64, u32),
        destinations: DestinationSet,
        error: &Error,
    ) {
        tracing::debug!(node = %self.shared.endpoint.identity().node, chunk, %error, "chunk failed");
        self.upstream.send(Frame::Failed(Failure {
            chunk,
            attempt,
            stage,
            destinations,
            kind: error.kind,
            why: reason(error),
        }));
    }

    /// Runs `at` and the transforming operators behind it, in one go, away from the tasks that move bytes.
    pub(crate) async fn transform(self: &Arc<Self>, at: u16, item: Item) -> Result<(u16, Item)> {
        let flow = Arc::clone(self);
        self.offload(move || {
            let (mut at, mut item) = (at, item);
            loop {
                item = flow.apply(at, item)?;
                let next = flow.route.outputs(at).next();
                match next.map(|to| (to, &flow.route.operators[usize::from(to)])) {
                    Some((to, operator)) if transforms(operator) => at = to,
                    _ => return Ok((at, item)),
                }
            }
        })
        .await
    }

    /// Computes on a thread that may block, with no more at once than there are processors.
    pub(crate) async fn offload<T: Send + 'static>(
        &self,
        compute: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let broken = |error: &dyn std::fmt::Display| {
            Error::new(Kind::Internal, "compute", error.to_string())
        };
        let _turn = self
            .shared
            .processors
            .acquire()
            .await
            .map_err(|error| broken(&error))?;
        tokio::task::spawn_blocking(compute)
            .await
            .map_err(|error| broken(&error))?
    }

    fn apply(&self, at: u16, mut item: Item) -> Result<Item> {
        let key = || {
            self.sealer
                .as_ref()
                .ok_or_else(|| Error::invalid("carry out program", "no key"))
        };
        match &self.route.operators[usize::from(at)] {
            Operator::Compress => {
                let slowest = self
                    .hops
                    .values()
                    .filter_map(|hop| hop.bytes_per_second())
                    .reduce(f64::min);
                let codec = self
                    .chooser
                    .codec(&item.payload, slowest, &*self.shared.clock);
                let packed = compress_if_smaller(&item, codec)?;
                if let (Some(packed), Some(manifest)) = (packed, &item.manifest) {
                    let manifest = Manifest {
                        codec,
                        ..(**manifest).clone()
                    };
                    let header = Arc::make_mut(&mut item.header);
                    header.manifest = manifest.encode()?;
                    header.payload_bytes = packed.len() as u32;
                    header.payload_checksum = crc64(&packed);
                    item.manifest = Some(Arc::new(manifest));
                    item.payload = packed.into();
                }
            }
            Operator::Seal => {
                let manifest = item.manifest.clone();
                let manifest = manifest
                    .ok_or_else(|| Error::invalid("seal chunk", "nothing is known of it"))?;
                let header = Arc::make_mut(&mut item.header);
                item.payload = key()?.seal(header, &manifest, item.payload)?;
                header.payload_checksum = crc64(&item.payload);
            }
            Operator::Open => {
                let opened = key()?.open(&item.header, item.payload)?;
                item.manifest = Some(Arc::new(opened.manifest));
                item.payload = opened.payload;
            }
            Operator::Decompress => {
                let manifest = manifest_of(&item)?;
                if manifest.codec != Codec::None {
                    item.payload =
                        decompress(item.payload, manifest.codec, item.header.length as usize)?;
                }
                item.manifest = Some(manifest);
            }
            _ => {}
        }
        if matches!(
            self.route.operators[usize::from(at)],
            Operator::Open | Operator::Decompress
        ) && self
            .route
            .outputs(at)
            .any(|to| !transforms(&self.route.operators[usize::from(to)]))
        {
            // Proved where it was opened, while the bytes are at hand.
            item = prove(item)?;
        }
        Ok(item)
    }
}

fn compress_if_smaller(item: &Item, codec: Codec) -> Result<Option<Vec<u8>>> {
    if codec == Codec::None {
        return Ok(None);
    }
    let packed = compress(&item.payload, codec)?;
    Ok((packed.len() < item.payload.len()).then_some(packed))
}

/// The manifest of an item that may never have been sealed.
pub(crate) fn manifest_of(item: &Item) -> Result<Arc<Manifest>> {
    match &item.manifest {
        Some(manifest) => Ok(Arc::clone(manifest)),
        None => Manifest::decode(&item.header.manifest).map(Arc::new),
    }
}

/// Compares the plain bytes with what the source said of them.
pub(crate) fn prove(mut item: Item) -> Result<Item> {
    let manifest = manifest_of(&item)?;
    let found = item.payload.len();
    if found != item.header.length as usize || crc64(&item.payload) != manifest.checksum {
        return Err(Error::new(
            Kind::Corrupt,
            "check chunk",
            format!(
                "chunk {} has {found} bytes that are not those that were read",
                item.header.chunk
            ),
        ));
    }
    item.manifest = Some(manifest);
    item.proved = true;
    Ok(item)
}

fn transforms(operator: &Operator) -> bool {
    matches!(
        operator,
        Operator::Compress | Operator::Seal | Operator::Open | Operator::Decompress
    )
}

fn reaches(route: &Route) -> Vec<DestinationSet> {
    let mut reaches = vec![DestinationSet::default(); route.operators.len()];
    // Wires go from lower to higher places, so what is behind an operator is known before it.
    for at in (0..route.operators.len()).rev() {
        reaches[at] = match &route.operators[at] {
            Operator::Send { reaches, .. } => *reaches,
            Operator::Write { destination, .. } => DestinationSet::one(*destination),
            _ => route
                .outputs(at as u16)
                .fold(DestinationSet::default(), |set, to| {
                    set.union(reaches[usize::from(to)])
                }),
        };
    }
    reaches
}
