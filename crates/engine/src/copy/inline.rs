//! One GET into one PUT, by this process in its turn, or by a machine of its own.

use super::executor::WorkOrder;
use super::line::{Line, Turn};
use super::{Stated, Urgency, guarded};
use crate::attempt::order;
use crate::decide::Plan;
use crate::finish::Published;
use crate::lane::Lane;
use crate::throttle::Throttle;
use crate::usage::Usage;
use crate::{Error, Result};
use skyfresh_ledger::Claim;
use skyfresh_plan::replicate::{Network, Pending, Stream};
use skyfresh_sky::{Clock, Kind, Mutant, ObjectKey};
use skyfresh_store::{GetOptions, GetResult, ObjectStore, PutOptions};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Into so many permits a process's network is divided.
const NETWORK_PERMITS: u32 = 1_000_000;

/// Where objects wait that are copied in one request, over all lanes: there are never more of them than `inline_in_flight`, nor,
/// where it is known what the network carries, than fill it.
#[derive(Debug)]
pub(crate) struct Inline {
    line: Arc<Line>,
    network: Option<Network>,
    /// Permits that a copy takes at least.
    least: u32,
    waiting_bytes: AtomicU64,
    elsewhere: AtomicU64,
}

/// Adds to a sum until it is dropped.
struct Counted<'a>(&'a AtomicU64, u64);

impl<'a> Counted<'a> {
    fn new(sum: &'a AtomicU64, more: u64) -> Self {
        sum.fetch_add(more, Ordering::Relaxed);
        Counted(sum, more)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

impl Inline {
    pub(crate) fn new(
        in_flight: usize,
        network_bytes_per_s: Option<u64>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let network = network_bytes_per_s.map(|bytes_per_s| Network {
            bytes_per_s: bytes_per_s as f64,
        });
        let permits = match network {
            Some(_) => NETWORK_PERMITS as usize,
            None => in_flight,
        };
        let in_flight = u32::try_from(in_flight).unwrap_or(u32::MAX).max(1);
        Inline {
            line: Line::new(permits, clock),
            least: network.map_or(1, |_| NETWORK_PERMITS.div_ceil(in_flight)),
            network,
            waiting_bytes: AtomicU64::default(),
            elsewhere: AtomicU64::default(),
        }
    }

    /// Whether more bytes move, or wait, than leave half of the network free.
    pub(crate) fn is_short(&self) -> bool {
        self.network.is_some() && self.line.is_short()
    }

    fn permits(&self, stream: Option<&Stream>, bytes: u64) -> usize {
        let share = self
            .network
            .zip(stream)
            .map_or(0.0, |(network, stream)| network.share(stream, bytes));
        let permits = (share * f64::from(NETWORK_PERMITS)).ceil() as u32;
        permits.max(self.least) as usize
    }

    async fn enter(&self, stream: Option<&Stream>, bytes: u64, pending: Pending) -> Turn {
        let _waits = Counted::new(&self.waiting_bytes, bytes);
        self.line.enter(self.permits(stream, bytes), pending).await
    }
}

/// Copies and publishes in one request. `opened` is a read of the planned version that has already begun.
pub(crate) async fn copy_inline(
    lane: &Lane,
    claim: &Claim,
    plan: &Plan,
    opened: Option<GetResult>,
    usage: &Arc<Usage>,
) -> Result<Published> {
    let (key, inline) = (&claim.task.task.key, &lane.shared.inline);
    let urgency = Urgency::of(lane, claim, plan);
    let opened = opened.filter(|read| read.head.version == plan.source);
    let (opened, _turn) = match (opened, inline.network) {
        // What is read at once is small: it would hardly gain by waiting for its turn, and would have to be read anew.
        (Some(opened), Some(_)) => {
            let permits = inline.permits(lane.stream.as_ref(), plan.size);
            let turn = inline.line.begin(permits, urgency.into()).await;
            (Some(opened), turn)
        }
        (opened, network) => {
            // A source does not keep a connection open for as long as others may take.
            let opened = opened.filter(|_| inline.line.is_free());
            if let Some(network) = network
                && let Some(_elsewhere) = elsewhere(lane, plan, network, urgency)
            {
                return copy_elsewhere(lane, claim, plan, usage).await;
            }
            let pending = urgency.into();
            let turn = inline.enter(lane.stream.as_ref(), plan.size, pending);
            (opened, turn.await)
        }
    };
    let (source, target) = (lane.read_store(plan).as_ref(), lane.target.as_ref());
    let throttle = lane.throttle.as_ref();
    copy_whole((source, target), throttle, key, plan, opened, usage).await
}

/// Whether it goes elsewhere; it counts as being there until what is returned is dropped.
fn elsewhere<'a>(
    lane: &'a Lane,
    plan: &Plan,
    network: Network,
    urgency: Urgency,
) -> Option<Counted<'a>> {
    // Where something was planned, it was planned for a place.
    if plan.site.is_some() || !lane.shared.executor.is_elsewhere() {
        return None;
    }
    let inline = &lane.shared.inline;
    let waiting_bytes = inline.waiting_bytes.load(Ordering::Relaxed);
    let left = urgency.deadline.since(lane.shared.clock.now());
    let there = inline.elsewhere.load(Ordering::Relaxed);
    network
        .goes_elsewhere(network.wait_s(waiting_bytes), left.as_secs_f64(), there)
        .then(|| Counted::new(&inline.elsewhere, 1))
}

/// By a worker that is sent elsewhere for it.
async fn copy_elsewhere(
    lane: &Lane,
    claim: &Claim,
    plan: &Plan,
    usage: &Arc<Usage>,
) -> Result<Published> {
    let order = WorkOrder {
        worker: lane.shared.rng.token(),
        parts_in_flight: 1,
        // There is no upload: nothing is left behind that would have to be found again.
        ..order(lane, claim, plan, String::new(), String::new())
    };
    let published = lane.shared.executor.run(order, Arc::clone(usage)).await?;
    published.ok_or_else(|| {
        let task = claim.task.task.to_string();
        Error::new(Kind::Internal, "copy", task, "the worker published nothing")
    })
}

/// The same wherever it is done: reads the planned version from the first store, publishes it in the second.
pub(super) async fn copy_whole(
    (source, target): (&dyn ObjectStore, &dyn ObjectStore),
    throttle: Option<&Arc<Throttle>>,
    key: &ObjectKey,
    plan: &Plan,
    opened: Option<GetResult>,
    usage: &Usage,
) -> Result<Published> {
    let read = match opened {
        Some(read) => read,
        None => {
            usage.source_read();
            let version = Some(plan.read_version().clone());
            let options = GetOptions {
                range: None,
                version: version.filter(|_| !Mutant::NoVersionPin.is_on()),
            };
            source.get(key, options).await?
        }
    };
    let (body, tally) = guarded(read.body, throttle, Stated::by(plan), key.as_str());
    let options = PutOptions {
        size: plan.size,
        attributes: plan.attributes.clone(),
        precondition: plan.precondition.clone(),
    };
    usage.target_write();
    let put = target.put(key, options, body).await;
    let (sent, moved) = tally.read();
    usage.moved(moved);
    let receipt = put?;
    if moved != plan.size || receipt.crc64.is_some_and(|stored| stored != sent) {
        let why = format!(
            "published {moved} bytes with CRC64NVME {sent}, the store states {:?}; {} bytes were planned",
            receipt.crc64, plan.size
        );
        return Err(Error::new(Kind::Corrupt, "verify", key.as_str(), why));
    }
    Ok(Published {
        version: receipt.version,
        crc64: Some(sent),
    })
}
