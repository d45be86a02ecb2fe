//! The probe of a destination, journalled like an upload: it writes objects and begins uploads, and a process that dies
//! in the middle of it leaves them behind.
//!
//! In: a lane. Out: what its destination can do; what a dead process's probe left, removed. Never: touches anything whose
//! name our own journal does not hold.

use crate::Result;
use crate::lane::Lane;
use crate::rule::PROBE_PREFIX;
use skyfresh_ledger::UploadIntent;
use skyfresh_sky::{Invalid, Kind, ObjectKey};
use skyfresh_store::{Error as StoreError, Precondition};
use std::sync::atomic::Ordering;

/// Objects looked at when a probe's leavings are removed: it writes two.
const LEAVINGS_LIMIT: usize = 10;

/// Finds out what the lane's destination can do.
pub(crate) async fn run(lane: &Lane) -> Result<()> {
    let ledger = &lane.shared.ledger;
    let intent = UploadIntent {
        task: lane.task_key(root(&lane.probe_nonce).map_err(|error| {
            StoreError::new(Kind::Internal, "probe", lane.name(), error.to_string())
        })?),
        attempt: attempt(lane),
        upload: None,
        started: lane.shared.clock.now(),
    };
    lane.probing.store(true, Ordering::Release);
    let probed = async {
        ledger.record_upload(intent).await?;
        lane.target.probe(&lane.probe_nonce).await?;
        Ok(())
    };
    let probed: Result<()> = probed.await;
    lane.probing.store(false, Ordering::Release);
    if probed.is_err() {
        lane.probe_failed.store(true, Ordering::Release);
    } else if !lane.probe_failed.load(Ordering::Acquire) {
        ledger.end_upload(&attempt(lane)).await?;
    }
    probed
}

/// Whether this intent is of the probe that the lane is making.
pub(crate) fn is_under_way(lane: &Lane, intent: &UploadIntent) -> bool {
    lane.probing.load(Ordering::Acquire) && intent.attempt == attempt(lane)
}

/// Whether `key` is what this intent was written for: its own key, or for a probe any key below its root.
pub(crate) fn covers(intent: &UploadIntent, key: &ObjectKey) -> bool {
    let root = &intent.task.key;
    key == root || (is_probe(intent) && key.as_str().starts_with(root.as_str()))
}

/// Removes the objects that a dead process's probe left.
pub(crate) async fn remove_objects(lane: &Lane, intent: &UploadIntent) -> Result<()> {
    if !is_probe(intent) {
        return Ok(());
    }
    let page = lane
        .target
        .list(Some(intent.task.key.as_str()), LEAVINGS_LIMIT)
        .await?;
    for left in page.objects.iter().filter(|left| covers(intent, &left.key)) {
        lane.target.delete(&left.key, &Precondition::None).await?;
        tracing::info!(lane = lane.name(), key = %left.key, "removed what an interrupted probe left");
    }
    Ok(())
}

fn is_probe(intent: &UploadIntent) -> bool {
    intent.task.key.as_str().starts_with(PROBE_PREFIX)
}

/// What every key of a probe begins with ([`ObjectStore::probe`](skyfresh_store::ObjectStore::probe)).
fn root(nonce: &str) -> std::result::Result<ObjectKey, Invalid> {
    ObjectKey::new(format!("{PROBE_PREFIX}{nonce}"))
}

fn attempt(lane: &Lane) -> String {
    format!("probe-{}", lane.probe_nonce)
}
