//! The janitor: nothing leaks for longer than its period.
//!
//! In: the upload journal, the age of receipts. Out: orphaned uploads aborted, old receipts and tombstones removed, what was
//! spent and learnt kept.
//! Never: touches an upload that is not in our journal: a bucket may be shared with others.

use crate::Result;
use crate::finish::discard_upload;
use crate::lane::Lane;
use crate::planning::memory;
use crate::probe;
use skyfresh_ledger::UploadIntent;
use skyfresh_sky::{Kind, Mutant, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Between our clock and the store's, when an upload's start is compared with its intent's.
const SKEW: Duration = Duration::from_secs(300);
/// An upload that was begun just when its process died is found once the store lists it; intents are kept this many periods.
const PERIODS_KEPT: u32 = 2;

/// Cleans one rule's lanes every period, and once at the start.
pub(crate) async fn run(lanes: Vec<Arc<Lane>>, stop: CancellationToken) {
    let Some(first) = lanes.first() else { return };
    let (clock, period) = (
        Arc::clone(&first.shared.clock),
        first.shared.config.janitor_period,
    );
    loop {
        if let Err(error) = clean(&lanes).await {
            tracing::warn!(rule = first.rule.name, %error, "the janitor will try again");
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = clock.sleep(period) => {}
        }
    }
}

/// One round.
pub(crate) async fn clean(lanes: &[Arc<Lane>]) -> Result<()> {
    let Some(first) = lanes.first() else {
        return Ok(());
    };
    let (config, ledger) = (&first.shared.config, &first.shared.ledger);
    let now = first.shared.clock.now();
    let period = config.janitor_period;
    for intent in ledger.uploads(&first.rule.name, now.before(period)).await? {
        let Some(lane) = lanes
            .iter()
            .find(|lane| lane.destination.name == intent.task.destination)
        else {
            continue;
        };
        // A destination out of reach must not keep the others' orphans alive.
        if let Err(error) = settle(lane, &intent, now).await {
            tracing::warn!(lane = lane.name(), key = %intent.task.key, %error, "the janitor will try again");
        }
    }
    let mut horizon = now.before(config.retention);
    for lane in lanes {
        horizon = horizon.max(
            lane.meter
                .receipt_horizon(config.max_receipts)
                .unwrap_or(Timestamp::ZERO),
        );
    }
    first
        .account
        .keep(&first.rule.name, ledger.as_ref(), now.before(SKEW))
        .await?;
    while ledger.prune(horizon).await? > 0 {}
    for lane in lanes {
        memory::keep(lane).await;
    }
    Ok(())
}

/// Ends one intent, unless its attempt is live.
async fn settle(lane: &Lane, intent: &UploadIntent, now: Timestamp) -> Result<()> {
    let ledger = &lane.shared.ledger;
    if Mutant::JanitorAsleep.is_on() || is_live(lane, intent, now).await? {
        return Ok(());
    }
    if let Some(upload) = &intent.upload {
        let (target, key) = (lane.target.as_ref(), &intent.task.key);
        discard_upload(target, ledger.as_ref(), &intent.attempt, key, Some(upload)).await;
        return Ok(());
    }
    abort_unrecorded(lane, intent).await?;
    probe::remove_objects(lane, intent).await?;
    if now.since(intent.started) > lane.shared.config.janitor_period * PERIODS_KEPT {
        ledger.end_upload(&intent.attempt).await?;
    }
    Ok(())
}

/// Whether the task still works on, or could resume, this attempt.
async fn is_live(lane: &Lane, intent: &UploadIntent, now: Timestamp) -> Result<bool> {
    if probe::is_under_way(lane, intent) {
        return Ok(true);
    }
    let Some(task) = lane.shared.ledger.task(&intent.task).await? else {
        return Ok(false);
    };
    let claimed = task.lease.is_some_and(|lease| lease.expires > now);
    let recorded = task
        .attempt
        .is_some_and(|attempt| attempt.id == intent.attempt);
    Ok(recorded || (claimed && intent.upload.is_none()))
}

/// The process died between writing the intent and learning the upload's id: finds the upload by its key and time.
async fn abort_unrecorded(lane: &Lane, intent: &UploadIntent) -> Result<()> {
    if !lane.target.capabilities().list_uploads {
        return Ok(());
    }
    let known = lane
        .shared
        .ledger
        .uploads(&lane.rule.name, Timestamp::MAX)
        .await?;
    let is_known = |upload: &str| {
        known
            .iter()
            .any(|intent| intent.upload.as_deref() == Some(upload))
    };
    let mut after = None;
    loop {
        let page = lane.target.list_uploads(after.as_deref()).await?;
        for listed in page
            .uploads
            .iter()
            .filter(|listed| probe::covers(intent, &listed.key))
        {
            let ours = listed.started >= intent.started.before(SKEW)
                && listed.started <= intent.started.after(SKEW);
            if ours && !is_known(&listed.upload) {
                match lane.target.abort_upload(&listed.key, &listed.upload).await {
                    Err(error) if error.kind != Kind::Missing => return Err(error.into()),
                    _ => {
                        tracing::info!(lane = lane.name(), key = %listed.key, "aborted an orphaned upload")
                    }
                }
            }
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}
