//! The sweep: compares the source's listing with the destination's and submits every difference.
//!
//! It is backfill at the start, repair of lost notifications later, and what moves the proven watermark: after a complete
//! sweep that began at S, once everything pending at its end is done, everything written before S is at the destination.

use super::sweep_merge::{Merge, Pair};
use crate::backoff::retry_delay;
use crate::decide::{mark_hash, same_content_etag};
use crate::lane::Lane;
use crate::{Error, Result, turn};
use serde::{Deserialize, Serialize};
use skyfresh_ledger::{Mark, Origin, Signal, Submission};
use skyfresh_sky::{Kind, Mutant, ObjectKey, Timestamp};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often a sweep that holds back looks again.
const BACKLOG_LOOK: Duration = Duration::from_millis(100);

/// What a complete sweep found; kept in the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepReport {
    /// When it began: its proof covers what was written before.
    pub started: Timestamp,
    /// When both listings were complete.
    pub ended: Timestamp,
    /// Objects listed at the source, in scope or not.
    pub source_objects: u64,
    /// Objects listed at the destination.
    pub target_objects: u64,
    /// Keys that differed and were submitted.
    pub submitted: u64,
    /// Of those, changes older than the grace that no notification had told.
    pub lost_notifications: u64,
    /// Keys to delete at the destination (with deletes on).
    pub deletes: u64,
    /// Why those deletes were not submitted, where they were not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletes_refused: Option<String>,
    /// Source keys that cannot be replicated, some of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unusable_keys: Vec<String>,
}

/// What the ledger keeps for a lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct LaneRecord {
    /// When the lane was first swept: older objects are backfill.
    since: Timestamp,
    /// The last complete sweep.
    last: Option<SweepReport>,
}

fn cursor_name(lane: &Lane) -> String {
    format!("sweep/{}", lane.name())
}

/// Sweeps at the start, then every [`Rule::sweep_every`](crate::Rule), and whenever asked.
pub(crate) async fn run(lane: Arc<Lane>, stop: CancellationToken) {
    match lane.shared.ledger.poll_every() {
        None => run_alone(&lane, &stop).await,
        Some(poll) => run_in_turn(&lane, poll, &stop).await,
    }
}

async fn run_alone(lane: &Lane, stop: &CancellationToken) {
    let mut failures = 0;
    loop {
        if !lane.is_paused() {
            attempt(lane, &mut failures, sweep(lane)).await;
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = lane.sweep_now.notified() => {}
            () = lane.resumed.notified() => {}
            () = lane.shared.clock.sleep(pause(lane, failures)) => {}
        }
    }
}

/// One of several processes sweeps; when it dies another takes over once its lease has run out.
async fn run_in_turn(lane: &Lane, poll: Duration, stop: &CancellationToken) {
    let mut failures = 0;
    loop {
        let mut wait = poll;
        if !lane.is_paused() {
            match turn::take(lane).await {
                Ok(Some(turn)) => {
                    let swept = attempt(lane, &mut failures, turn.keep(sweep(lane)));
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => return turn.end(lane.shared.clock.now()).await,
                        () = swept => {}
                    }
                    let due = lane.shared.clock.now().after(pause(lane, failures));
                    turn.end(due).await;
                }
                Ok(None) => wait = turn::next_look(lane, poll).await,
                Err(error) => {
                    tracing::warn!(lane = lane.name(), %error, "cannot tell whose turn it is to sweep")
                }
            }
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = lane.sweep_now.notified() => {
                if let Err(error) = turn::hurry(lane).await {
                    tracing::warn!(lane = lane.name(), %error, "cannot ask for a sweep");
                }
            }
            () = lane.resumed.notified() => {}
            () = lane.shared.clock.sleep(wait) => {}
        }
    }
}

/// One sweep, with what came of it recorded.
async fn attempt(
    lane: &Lane,
    failures: &mut u32,
    sweep: impl Future<Output = Result<SweepReport>>,
) {
    lane.meter.sweep_begins(lane.shared.clock.now());
    match sweep.await {
        Ok(report) => {
            *failures = 0;
            lane.meter.swept(report);
        }
        Err(error) => {
            *failures += 1;
            tracing::warn!(lane = lane.name(), %error, "sweep failed; nothing was concluded from it");
            lane.meter.sweep_failed(error.to_string());
        }
    }
}

fn pause(lane: &Lane, failures: u32) -> Duration {
    match failures {
        0 => lane.rule.sweep_every,
        _ => retry_delay(Kind::RetryAfter, failures, &lane.shared.rng),
    }
}

/// One complete comparison.
///
/// # Errors
/// A listing or the ledger failed: nothing is concluded, and above all nothing is deleted.
pub(crate) async fn sweep(lane: &Lane) -> Result<SweepReport> {
    let (ledger, clock) = (&lane.shared.ledger, &lane.shared.clock);
    let started = clock.now();
    let mut record = match ledger.cursor(&cursor_name(lane)).await? {
        Some(value) => serde_json::from_value(value).map_err(|error| {
            Error::new(
                Kind::Corrupt,
                "read sweep record",
                lane.name(),
                error.to_string(),
            )
        })?,
        None => LaneRecord {
            since: started,
            last: None,
        },
    };
    if record.last.is_none() {
        // Written before the first submission, so that a restart does not take the backfill for lost notifications.
        save(lane, &record).await?;
    }
    let mut report = SweepReport {
        started,
        ..SweepReport::default()
    };
    let mut deletes = Vec::new();
    let mut under_way = under_way(lane).await?;
    let mut merge = Merge::new(
        lane.source.as_ref(),
        lane.target.as_ref(),
        Some(&lane.scope),
    );
    loop {
        let batch = merge.next_batch().await?;
        if batch.is_empty() {
            break;
        }
        for pair in batch.iter().filter(|pair| pair.source.is_some()) {
            under_way.remove(&pair.key);
        }
        let differing = differing(lane, batch).await?;
        let mut submissions = Vec::new();
        for pair in differing {
            match &pair.source {
                Some(source) => {
                    let signal = signal(lane, source.modified, source.size, &record, started);
                    report.lost_notifications += u64::from(signal.origin == Origin::Repair);
                    submissions.push(Submission {
                        task: lane.task_key(pair.key),
                        signal,
                    });
                }
                None if lane.rule.delete => {
                    report.deletes += 1;
                    // One more than the cap is enough to know that it is passed.
                    if report.deletes <= lane.rule.max_deletes {
                        let signal = Signal {
                            origin: Origin::Repair,
                            changed: started,
                            notified: started,
                            size: None,
                        };
                        deletes.push(Submission {
                            task: lane.task_key(pair.key),
                            signal,
                        });
                    }
                }
                None => {}
            }
        }
        report.submitted += submissions.len() as u64;
        if !submissions.is_empty() {
            ledger.submit(submissions).await?;
            hold_back(lane).await?;
        }
    }
    report.source_objects = merge.source_listed();
    report.target_objects = merge.target_listed();
    report.unusable_keys = merge.unusable().to_vec();
    report.deletes_refused = refuse_deletes(lane, &report);
    if report.deletes_refused.is_none() && !deletes.is_empty() {
        report.submitted += deletes.len() as u64;
        ledger.submit(deletes).await?;
    }
    look_again(lane, under_way, started).await?;
    // A clock that was set back meanwhile must not make what this sweep submitted look as if it came after it: it would be
    // taken for proved while it is pending.
    report.ended = clock.now().max(started);
    record.last = Some(report.clone());
    save(lane, &record).await?;
    Ok(report)
}

/// Keys that are claimed as the sweep begins, where the rule deletes.
///
/// Whoever holds one may have read the source before it was deleted there, and publish after the destination was listed: then
/// neither listing has the key, nothing differs, and what was deleted stays.
async fn under_way(lane: &Lane) -> Result<BTreeSet<ObjectKey>> {
    if !lane.rule.delete || Mutant::ProofForgetsClaims.is_on() {
        return Ok(BTreeSet::new());
    }
    let (rule, destination) = (&lane.rule.name, &lane.destination.name);
    let claimed = lane.shared.ledger.claimed(rule, destination).await?;
    Ok(claimed.into_iter().collect())
}

/// Has keys compared once more that were under way and that the source does not list: before that is done, nothing is proved.
async fn look_again(lane: &Lane, keys: BTreeSet<ObjectKey>, started: Timestamp) -> Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let signal = Signal {
        origin: Origin::Repair,
        changed: started,
        notified: started,
        size: None,
    };
    let again = keys.into_iter().map(|key| Submission {
        task: lane.task_key(key),
        signal: signal.clone(),
    });
    lane.shared.ledger.submit(again.collect()).await?;
    Ok(())
}

/// The last complete sweep, as the ledger remembers it.
pub(crate) async fn last(lane: &Lane) -> Result<Option<SweepReport>> {
    let value = lane.shared.ledger.cursor(&cursor_name(lane)).await?;
    Ok(value
        .and_then(|value| serde_json::from_value::<LaneRecord>(value).ok())
        .and_then(|record| record.last))
}

async fn save(lane: &Lane, record: &LaneRecord) -> Result<()> {
    let value = serde_json::to_value(record).map_err(|error| {
        Error::new(
            Kind::Internal,
            "write sweep record",
            lane.name(),
            error.to_string(),
        )
    })?;
    Ok(lane
        .shared
        .ledger
        .set_cursor(&cursor_name(lane), Some(value))
        .await?)
}

/// The pairs in scope that listings and marks do not show to be equal.
async fn differing(lane: &Lane, batch: Vec<Pair>) -> Result<Vec<Pair>> {
    let candidates: Vec<Pair> = batch
        .into_iter()
        .filter(|pair| lane.scope.covers(&pair.key))
        .filter(|pair| match (&pair.source, &pair.target) {
            (Some(a), Some(b)) => a.size != b.size || !same_content_etag(&a.etag, &b.etag),
            _ => true,
        })
        .collect();
    let keys: Vec<_> = candidates
        .iter()
        .filter(|pair| pair.source.is_some() && pair.target.is_some())
        .map(|pair| pair.key.clone())
        .collect();
    let mut marks = lane
        .shared
        .ledger
        .marks(&lane.rule.name, &lane.destination.name, &keys)
        .await?
        .into_iter();
    let differs = |pair: &Pair| match (&pair.source, &pair.target) {
        (Some(a), Some(b)) => {
            let seen = Mark {
                source: mark_hash(&a.etag),
                destination: mark_hash(&b.etag),
            };
            marks.next().flatten() != Some(seen) || a.size != b.size
        }
        _ => true,
    };
    Ok(candidates.into_iter().filter(differs).collect())
}

fn signal(
    lane: &Lane,
    modified: Timestamp,
    size: u64,
    record: &LaneRecord,
    started: Timestamp,
) -> Signal {
    let (origin, changed) = if modified <= record.since {
        (Origin::Backfill, started)
    } else if started.since(modified) > lane.shared.config.notification_grace {
        (Origin::Repair, modified)
    } else {
        (Origin::Live, modified.min(started))
    };
    Signal {
        origin,
        changed,
        notified: started,
        size: Some(size),
    }
}

/// Waits while too much is pending: the ledger stays small however many keys the source has, and a live change never
/// queues behind a whole backfill. Failing keys wait by themselves and are not counted.
async fn hold_back(lane: &Lane) -> Result<()> {
    let limit = lane.shared.config.backlog_limit;
    let look = lane.shared.ledger.poll_every().unwrap_or(BACKLOG_LOOK);
    loop {
        let backlog = lane
            .shared
            .ledger
            .backlog(&lane.rule.name, &lane.destination.name)
            .await?;
        let failing: u64 = backlog.failing.values().sum();
        if backlog.objects.saturating_sub(failing) <= limit {
            return Ok(());
        }
        lane.shared.clock.sleep(look).await;
    }
}

/// Guarantee 7: both listings are complete here; still, too many deletes or an empty source are refused.
fn refuse_deletes(lane: &Lane, report: &SweepReport) -> Option<String> {
    if report.deletes == 0 {
        None
    } else if report.source_objects == 0 && !lane.rule.allow_empty_source {
        Some(format!(
            "the source's listing is empty; {} deletes held (set allow_empty_source if that is meant)",
            report.deletes
        ))
    } else if report.deletes > lane.rule.max_deletes {
        Some(format!(
            "{} deletes are more than max_deletes = {}; none was made",
            report.deletes, lane.rule.max_deletes
        ))
    } else {
        None
    }
}
