//! Bulk jobs: one-shot copies (`cp`, `sync`), verified object by object, as fast as the links allow.
//!
//! **In:** a [`BulkJob`]: a source, targets, which objects, how. **Out:** a [`BulkTally`], a [`BulkRecord`] for each object.
//! **Never:** counts an object as copied that its target's store has not confirmed; reads an object once for each target; holds
//! more of a listing than 16 pages a side; deletes after a listing that failed.
//!
//! ```text
//!                         ┌─ small ─► one slot each ─► whole: GET ─► PUT to each target ─┐
//!  source listing ─┐      │  (≤ 1 MiB)                                                   ├─► record, tally
//!  target listing ─┼─ walk┤                 ┌─ whole ─► GET streamed into PUTs ──────────┤
//!  target listing ─┘ judge└─ large ─► pace ─┤                                            │
//!                          (bounded queues) └─ parts ─► slots ─► part by part ─► publish ┘
//!                                                         journal (ledger)          then: deletes
//! ```
//!
//! With relays ([`BulkSeams::overlay`]), parts go through them and not through this process; everything else is the same.
//!
//! A job does not go through claims in the ledger, as events do: one process does it, and the condition on every write (what was
//! seen there, and nothing newer) is what keeps it from undoing somebody else's. What it shares with the rest of the engine is how bytes are
//! read, checked and published (`copy`, `finish`), and the ledger, which remembers objects in parts.

mod ahead;
mod carried;
mod deletes;
mod fan;
mod journal;
mod judge;
mod leftovers;
mod listing;
mod one;
mod options;
mod pace;
mod parts;
mod pivot;
mod pull;
mod server_copy;
mod server_parts;
mod shared;
mod tally;
mod transfer;
mod upload;
mod walk;
mod whole;
mod width;

pub use journal::OpenLedger;
pub use options::{
    BulkJob, BulkOptions, BulkTarget, Compare, DeleteLimits, MetadataChoice, Selection, Walk,
};
pub use tally::{BulkListener, BulkOutcome, BulkRecord, BulkTally, TargetTally};

use crate::Bandwidth;
use crate::overlay::Overlay;
use crate::throttle::Throttle;
use journal::Journal;
use pace::Pace;
use shared::{Link, Shared};
use skyfresh_sky::{Clock, Rng};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tally::add;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use transfer::Way;
use walk::{Extras, Item, Queues};

/// Objects up to this size are collected, so that one read serves every target and every try.
pub(crate) const SMALL_BYTES: u64 = 1 << 20;
/// Objects up to this size go in one request.
const WHOLE_BYTES: u64 = 16 << 20;
/// Objects waiting in line, small and large each.
const QUEUE: usize = 2_000;
/// Small objects at once at first, and at most.
const FIRST_SMALL: usize = 64;
const MOST_SMALL: usize = 1_024;
/// Parts and streamed objects at once at first, and at most.
const FIRST_LARGE: usize = 6;
const MOST_LARGE: usize = 256;
/// The same with relays, whose ways hold many parts.
const FIRST_RELAYED: usize = 96;
/// Objects in parts at once.
const IN_PARTS: usize = 16;

/// The world of a job.
pub struct BulkSeams {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for delays.
    pub rng: Rng,
    /// Opens the ledger that remembers objects in parts; `None` remembers nothing.
    pub ledger: Option<OpenLedger>,
    /// Most bytes read from the source in a second, as it may change.
    pub bandwidth: Option<Arc<BulkThrottle>>,
    /// Hears of every object.
    pub listener: Option<BulkListener>,
    /// Relays that carry the parts of large objects; `None`: everything goes through this process.
    pub overlay: Option<Overlay>,
    /// Ends the job: nothing new begins, what is under way is dropped.
    pub stop: CancellationToken,
}

impl std::fmt::Debug for BulkSeams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BulkSeams").finish_non_exhaustive()
    }
}

/// A rate that may change while a job runs.
#[derive(Debug)]
pub struct BulkThrottle(Arc<Throttle>);

impl BulkThrottle {
    /// Begins with a rate; `None` is no limit.
    pub fn new(rate: Option<Bandwidth>, clock: Arc<dyn Clock>) -> Arc<Self> {
        let throttle = Throttle::new(u64::MAX, clock);
        let this = Arc::new(BulkThrottle(Arc::new(throttle)));
        this.set(rate);
        this
    }

    /// Changes the rate.
    pub fn set(&self, rate: Option<Bandwidth>) {
        self.0
            .set(rate.map_or(u64::MAX, |rate| rate.bytes_per_second));
    }
}

/// Does a job to its end, or until it is stopped. What came of it is in `tally`, which can be read meanwhile.
pub async fn run(job: BulkJob, seams: BulkSeams, tally: Arc<BulkTally>) {
    let pace = |first: usize, most: usize| match job.options.transfers {
        Some(transfers) => Pace::new(transfers, transfers, transfers, Arc::clone(&seams.clock)),
        None => Pace::new(first, 1, most, Arc::clone(&seams.clock)),
    };
    let (small, large) = (pace(FIRST_SMALL, MOST_SMALL), pace(FIRST_LARGE, MOST_LARGE));
    // Its own token: a job that gives up does not stop its caller.
    let stop = seams.stop.child_token();
    let shared = Arc::new(Shared {
        job,
        rng: seams.rng,
        tally,
        listener: seams.listener,
        throttle: seams.bandwidth.map(|bandwidth| Arc::clone(&bandwidth.0)),
        journal: Journal::new(seams.ledger, Arc::clone(&seams.clock)),
        clock: seams.clock,
        stop,
        small,
        large,
        in_parts: Semaphore::new(IN_PARTS),
        link: Link::default(),
        overlay: seams.overlay,
    });
    if shared.overlay.is_some() {
        shared.large.begin_with(FIRST_RELAYED);
    }
    let (to_small, small_queue) = mpsc::channel(QUEUE);
    let (to_large, large_queue) = mpsc::channel(QUEUE);
    let queues = Queues {
        small: to_small,
        large: to_large,
    };
    let under_way = TaskTracker::new();
    let smalls = dispatch_small(Arc::clone(&shared), small_queue, under_way.clone());
    let larges = dispatch_large(Arc::clone(&shared), large_queue, under_way.clone());
    let smalls = tokio::spawn(smalls);
    let larges = tokio::spawn(larges);
    let extras = match &shared.job.selection {
        Selection::Walk(walk) => walk::walk(&shared, walk, queues).await,
        Selection::One { key, .. } => {
            one::one(&shared, key, &queues).await;
            drop(queues);
            Vec::new()
        }
    };
    let _ = futures::join!(smalls, larges);
    under_way.close();
    under_way.wait().await;
    shared.journal.flush().await;
    tracing::debug!(
        small = shared.small.limit(),
        large = shared.large.limit(),
        "pace at the end"
    );
    finish(&shared, extras).await;
}

/// What comes after everything was copied.
async fn finish(shared: &Arc<Shared>, extras: Vec<Option<Extras>>) {
    if shared.stop.is_cancelled() {
        return;
    }
    if let (Some(limits), Selection::Walk(_)) = (shared.job.options.delete, &shared.job.selection) {
        deletes::run(shared, limits, extras).await;
    }
    let complete = shared.tally.source_complete.load(Ordering::Relaxed);
    if complete && !shared.job.options.dry_run {
        leftovers::sweep(shared).await;
    }
}

async fn dispatch_small(shared: Arc<Shared>, mut queue: mpsc::Receiver<Item>, tasks: TaskTracker) {
    loop {
        let slot = shared.small.enter().await;
        let Some(item) = queue.recv().await else {
            return;
        };
        start(&shared, &tasks, item, Way::Whole(slot));
    }
}

async fn dispatch_large(shared: Arc<Shared>, mut queue: mpsc::Receiver<Item>, tasks: TaskTracker) {
    while let Some(item) = queue.recv().await {
        if item.listed.size <= largest_whole(&shared, &item) {
            let slot = shared.large.enter().await;
            start(&shared, &tasks, item, Way::Whole(slot));
            continue;
        }
        let (shared, tasks_of) = (Arc::clone(&shared), tasks.clone());
        // Where there are enough objects in parts, the next one waits here, and with it whatever comes after it.
        let Ok(turn) = shared.in_parts.acquire().await else {
            return;
        };
        turn.forget();
        let running = Arc::clone(&shared);
        tasks_of.spawn(async move {
            tokio::select! {
                biased;
                () = running.stop.cancelled() => {}
                () = transfer::object(&running, item, Way::Parts) => {}
            }
            running.in_parts.add_permits(1);
        });
    }
}

fn start(shared: &Arc<Shared>, tasks: &TaskTracker, item: Item, way: Way) {
    let shared = Arc::clone(shared);
    tasks.spawn(async move {
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => {}
            () = transfer::object(&shared, item, way) => {}
        }
    });
}

/// The largest object that goes in one request to all that want this one.
fn largest_whole(shared: &Shared, item: &Item) -> u64 {
    let targets = item.wants.iter();
    let most = targets.map(|want| largest_whole_at(shared, want.target));
    most.min().unwrap_or(WHOLE_BYTES)
}

/// The largest object that goes to a target in one request.
fn largest_whole_at(shared: &Shared, target: usize) -> u64 {
    let preferred = shared.job.options.part_bytes.unwrap_or(WHOLE_BYTES);
    let capabilities = shared.job.targets[target].store.capabilities();
    let most = capabilities.upload_limits.max_put_bytes;
    match capabilities.multipart {
        true if shared.overlay.is_some() => largest_beside_relays(shared, target),
        true => preferred.min(most),
        false => most,
    }
}

/// The largest object that goes to a target in one request where relays carry parts: whatever may have parts goes by them.
fn largest_beside_relays(shared: &Shared, target: usize) -> u64 {
    let preferred = shared.job.options.part_bytes.unwrap_or(WHOLE_BYTES);
    let capabilities = shared.job.targets[target].store.capabilities();
    match capabilities.multipart {
        true => preferred.min(capabilities.upload_limits.min_part_bytes.max(SMALL_BYTES)),
        false => u64::MAX,
    }
}

/// Counts an object that is to be copied.
fn plan_object(shared: &Shared, target: usize, bytes: u64) {
    let tally = &shared.tally.targets[target];
    add(&tally.planned, 1);
    add(&tally.planned_bytes, bytes);
    if bytes > largest_beside_relays(shared, target) {
        add(&tally.planned_in_parts, bytes);
    }
}
