//! What the other processes on the same ledger do, where there are any.
//!
//! In: the ledger's receipts, sweep records, pause switches and weights, read every few seconds. Out: this process's lag window,
//! cap on deletes, proofs, pauses and weights count everybody's. Never: decides who does what: leases do.

use crate::intake::sweep;
use crate::lane::Lane;
use crate::{Result, engine};
use skyfresh_ledger::{Outcome, Receipt};
use skyfresh_sky::{Timestamp, timeout};
use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A look at the ledger for every so many looks for claims.
const LOOK_EVERY: u32 = 3;
/// Receipts are read again for so long after their time: they are written a little after it, by clocks that differ.
const LATE: Duration = Duration::from_secs(60);
/// Receipts read at once.
const PAGE: usize = 10_000;
/// What lags and the cap on deletes look back to.
const WINDOW: Duration = Duration::from_secs(3_600);

/// Receipts that this process wrote and has counted itself, until they come by in the ledger.
#[derive(Debug, Default)]
pub(crate) struct Own(Mutex<HashSet<u64>>);

impl Own {
    /// Remembers a receipt that is about to be written.
    pub(crate) fn note(&self, receipt: &Receipt) {
        self.set().insert(fingerprint(receipt));
    }

    fn take(&self, fingerprint: u64) -> bool {
        self.set().remove(&fingerprint)
    }

    fn set(&self) -> std::sync::MutexGuard<'_, HashSet<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fingerprint(receipt: &Receipt) -> u64 {
    let mut hasher = DefaultHasher::new();
    receipt.task.hash(&mut hasher);
    // A key that was marked dirty may be found equal within the same millisecond.
    receipt.outcome.hash(&mut hasher);
    for time in [receipt.started, receipt.published] {
        time.unix_ms().hash(&mut hasher);
    }
    hasher.finish()
}

/// How far the ledger's receipts have been read.
struct Feed {
    from: Timestamp,
    /// Receipts of the last [`LATE`] that were counted, by their time.
    counted: BTreeMap<u64, Timestamp>,
}

/// Looks every few seconds, until `stop`. Ends at once where nobody else uses the ledger.
pub(crate) async fn run(lanes: Vec<Arc<Lane>>, stop: CancellationToken) {
    let Some(first) = lanes.first() else { return };
    let Some(every) = first.shared.ledger.poll_every() else {
        return;
    };
    let clock = Arc::clone(&first.shared.clock);
    let mut feed = Feed {
        from: clock.now().before(WINDOW),
        counted: BTreeMap::new(),
    };
    loop {
        if let Err(error) = look(&lanes, first, &mut feed).await {
            tracing::warn!(rule = first.rule.name, %error, "cannot see what other processes did; trying again");
        }
        if timeout(&*clock, every * LOOK_EVERY, stop.cancelled())
            .await
            .is_some()
        {
            return;
        }
    }
}

async fn look(lanes: &[Arc<Lane>], first: &Lane, feed: &mut Feed) -> Result<()> {
    let ledger = &first.shared.ledger;
    let paused = ledger
        .cursor(&engine::pause_name(&first.rule.name))
        .await?
        .and_then(|value| value.as_bool());
    let weights = engine::stored_weights(&**ledger, &first.rule.name).await?;
    for lane in lanes {
        lane.weights.set(&weights);
        if let Some(paused) = paused
            && lane.paused.swap(paused, Ordering::AcqRel)
            && !paused
        {
            lane.resumed.notify_waiters();
        }
        if let Some(report) = sweep::last(lane).await? {
            lane.meter.saw_sweep(report);
        }
    }
    loop {
        let receipts = ledger
            .receipts_by_time(&first.rule.name, feed.from, PAGE)
            .await?;
        let full = receipts.len() == PAGE;
        let newest = receipts.last().map(|receipt| receipt.published);
        for receipt in receipts {
            count(lanes, &receipt, feed);
        }
        match newest {
            Some(newest) if full && newest > feed.from => feed.from = newest,
            _ => break,
        }
    }
    let horizon = first.shared.clock.now().before(LATE);
    feed.from = feed.from.max(horizon);
    let from = feed.from;
    feed.counted.retain(|_, published| *published >= from);
    Ok(())
}

fn count(lanes: &[Arc<Lane>], receipt: &Receipt, feed: &mut Feed) {
    let fingerprint = fingerprint(receipt);
    if feed
        .counted
        .insert(fingerprint, receipt.published)
        .is_some()
    {
        return;
    }
    let Some(lane) = lanes
        .iter()
        .find(|lane| lane.destination.name == receipt.task.destination)
    else {
        return;
    };
    if !lane.own.take(fingerprint) {
        remember(lane, receipt);
    }
}

/// Takes up a receipt that this process did not write: into the lag window, and where it deleted, against the cap.
pub(crate) fn remember(lane: &Lane, receipt: &Receipt) {
    lane.meter.remember(receipt);
    lane.account.remember(receipt);
    let least_bytes = lane.shared.config.changelog.least_bytes;
    lane.changelog.note(receipt, least_bytes);
    if receipt.outcome == Outcome::Deleted {
        lane.deletes.remember(receipt.published);
    }
}
