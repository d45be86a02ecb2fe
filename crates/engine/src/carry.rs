//! Carries one claim from what the stores say to what must be recorded: looks, decides, copies, finishes.
//!
//! In: a claim. Out: how it ended. Never: acts on anything but what it has just read from both stores.

use crate::copy::{Urgency, WorkOrder, copy_inline};
use crate::decide::{Decision, Known, Plan, Strategy, decide};
use crate::finish::{Ended, Published, Usage, discard_upload, publish_parts};
use crate::lane::Lane;
use crate::{Error, Result};
use futures::StreamExt;
use skyfresh_ledger::{Attempt, Claim, Outcome, UploadIntent};
use skyfresh_sky::{Kind, Mutant, ObjectKey, ObjectVersion};
use skyfresh_store::{GetOptions, GetResult, ObjectHead, Precondition};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Objects up to this size are read at once instead of asking for their head first: one round trip less.
const READ_AT_ONCE_BYTES: u64 = 256 << 10;
/// How often an attempt is started again at once because the source or the destination changed under it.
const ROUNDS: u32 = 4;
/// Workers stop trying a part's copy by themselves after this.
const PART_LEASE: Duration = Duration::from_secs(60);

/// Carries a claim, starting again from the newest version when something changed underneath.
pub(crate) async fn carry(lane: &Lane, claim: &Claim) -> Result<(Ended, Arc<Usage>)> {
    let usage = Arc::new(Usage::default());
    if !lane.scope.covers(&claim.task.task.key) {
        return Ok((plain(Outcome::OutOfScope, None, None, 0), usage));
    }
    let mut previous = claim.task.attempt.clone();
    for round in 1.. {
        match once(lane, claim, previous.take(), &usage).await {
            Err(error) if error.kind == Kind::Precondition && !error.fenced && round < ROUNDS => {
                tracing::debug!(task = %claim.task.task, %error, round, "changed underneath; deciding again");
                lane.shared
                    .clock
                    .sleep(Duration::from_millis(20 << round))
                    .await;
            }
            result => return result.map(|ended| (ended, usage)),
        }
    }
    Err(Error::new(
        Kind::Internal,
        "carry",
        claim.task.task.to_string(),
        "the loop above ends by itself",
    ))
}

fn plain(
    outcome: Outcome,
    source: Option<ObjectVersion>,
    destination: Option<ObjectVersion>,
    size: u64,
) -> Ended {
    Ended {
        outcome,
        source,
        destination,
        crc64: None,
        size,
        strategy: "none".into(),
        unkept: Vec::new(),
    }
}

/// What the source holds, and a read of it if one was begun.
struct Seen {
    head: Option<ObjectHead>,
    opened: Option<GetResult>,
}

async fn once(
    lane: &Lane,
    claim: &Claim,
    previous: Option<Attempt>,
    usage: &Arc<Usage>,
) -> Result<Ended> {
    let key = &claim.task.task.key;
    let (seen, target) = futures::join!(
        look_at_source(lane, claim, usage),
        look_at_target(lane, key, usage)
    );
    let (seen, target) = (seen?, target?);
    let mark = match &target {
        Some(_) => {
            let keys = std::slice::from_ref(key);
            lane.shared
                .ledger
                .marks(&lane.rule.name, &lane.destination.name, keys)
                .await?
                .into_iter()
                .next()
                .flatten()
        }
        None => None,
    };
    let known = Known {
        rule: &lane.rule,
        destination: &lane.destination,
        source: seen.head.as_ref(),
        target: target.as_ref(),
        mark,
        capabilities: &lane.target.capabilities(),
    };
    let decision = decide(known, lane.shared.config.sizing);
    let in_parts = matches!(&decision, Decision::Copy(plan) if plan.strategy != Strategy::Inline);
    if !in_parts {
        forget_attempt(lane, claim, previous.as_ref()).await?;
    }
    let (source_version, size) = match &seen.head {
        Some(head) => (Some(head.version.clone()), head.size),
        None => (None, 0),
    };
    match decision {
        Decision::AlreadyEqual => {
            drain(seen.opened).await;
            Ok(plain(
                Outcome::AlreadyEqual,
                source_version,
                target.map(|head| head.version),
                size,
            ))
        }
        Decision::Absent => Ok(plain(
            Outcome::Absent,
            None,
            target.map(|head| head.version),
            0,
        )),
        Decision::Impossible(why) => Err(Error::new(Kind::Invalid, "decide", key.as_str(), why)),
        Decision::Delete(version) => delete(lane, key, version, usage).await,
        Decision::Copy(plan) => {
            let published = match plan.strategy {
                Strategy::Inline => copy_inline(lane, claim, &plan, seen.opened, usage).await?,
                Strategy::Multipart { .. } => {
                    copy_in_parts(lane, claim, &plan, previous, usage).await?
                }
            };
            copy_tags(lane, key, seen.head.as_ref(), usage).await?;
            Ok(Ended {
                outcome: Outcome::Copied,
                source: source_version,
                destination: Some(published.version),
                crc64: published.crc64,
                size: plan.size,
                strategy: plan.strategy.to_string(),
                unkept: plan.unkept,
            })
        }
    }
}

/// Only the object's absence counts as absence: a missing bucket is trouble, whatever the rule says about deletes.
fn absent(error: &skyfresh_store::Error) -> bool {
    let any_missing = Mutant::MissingBucketIsMissingKey.is_on();
    error.kind == Kind::Missing && (!error.is_missing_bucket() || any_missing)
}

async fn look_at_source(lane: &Lane, claim: &Claim, usage: &Usage) -> Result<Seen> {
    let key = &claim.task.task.key;
    usage.source_read();
    let small = claim
        .task
        .signal
        .size
        .is_some_and(|size| size <= READ_AT_ONCE_BYTES)
        && claim.task.attempt.is_none();
    let seen = if small {
        lane.source
            .get(key, GetOptions::default())
            .await
            .map(|read| Seen {
                head: Some(read.head.clone()),
                opened: Some(read),
            })
    } else {
        lane.source.head(key).await.map(|head| Seen {
            head: Some(head),
            opened: None,
        })
    };
    match seen {
        Err(error) if absent(&error) => Ok(Seen {
            head: None,
            opened: None,
        }),
        seen => Ok(seen?),
    }
}

async fn look_at_target(lane: &Lane, key: &ObjectKey, usage: &Usage) -> Result<Option<ObjectHead>> {
    usage.target_read();
    match lane.target.head(key).await {
        Ok(head) => Ok(Some(head)),
        Err(error) if absent(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Reads a small body to its end, so that its connection can be used again.
async fn drain(opened: Option<GetResult>) {
    if let Some(mut opened) = opened.filter(|read| read.head.size <= READ_AT_ONCE_BYTES) {
        while let Some(Ok(_)) = opened.body.next().await {}
    }
}

async fn delete(
    lane: &Lane,
    key: &ObjectKey,
    version: ObjectVersion,
    usage: &Usage,
) -> Result<Ended> {
    if !lane.deletes.allow(lane.shared.clock.now()) {
        let why = format!(
            "held for safety: more than {} deletes within an hour at {}; raise max_deletes in the rule if they are meant",
            lane.rule.max_deletes,
            lane.name()
        );
        return Err(Error::new(Kind::Denied, "delete", key.as_str(), why));
    }
    let precondition = if lane.target.capabilities().delete_if_version.enforced() {
        Precondition::Version(version.clone())
    } else {
        Precondition::None
    };
    usage.target_delete();
    lane.target.delete(key, &precondition).await?;
    Ok(plain(Outcome::Deleted, None, Some(version), 0))
}

async fn copy_tags(
    lane: &Lane,
    key: &ObjectKey,
    source: Option<&ObjectHead>,
    usage: &Usage,
) -> Result<()> {
    let tagged = source.is_some_and(|head| head.tag_count > 0);
    if !lane.rule.tags || !tagged || !lane.target.capabilities().tags {
        return Ok(());
    }
    usage.source_read();
    usage.target_write();
    let tags = lane.source.tags(key).await?;
    Ok(lane.target.set_tags(key, &tags).await?)
}

/// Discards the attempt that an earlier owner (or round) left.
async fn forget_attempt(lane: &Lane, claim: &Claim, previous: Option<&Attempt>) -> Result<()> {
    let Some(previous) = previous else {
        return Ok(());
    };
    let (target, ledger) = (lane.target.as_ref(), lane.shared.ledger.as_ref());
    discard_upload(
        target,
        ledger,
        &previous.id,
        &claim.task.task.key,
        previous.upload.as_deref(),
    )
    .await;
    Ok(lane
        .shared
        .ledger
        .record_attempt(&claim.task.task, claim.token, None)
        .await?)
}

/// Copies by workers over a part pool, resuming what an earlier owner of the same version left.
async fn copy_in_parts(
    lane: &Lane,
    claim: &Claim,
    plan: &Plan,
    previous: Option<Attempt>,
    usage: &Arc<Usage>,
) -> Result<Published> {
    let order = match resumable(lane, claim, plan, previous.as_ref()) {
        Some(order) => order,
        None => {
            forget_attempt(lane, claim, previous.as_ref()).await?;
            begin(lane, claim, plan, usage).await?
        }
    };
    let Strategy::Multipart { parts, workers, .. } = plan.strategy else {
        return Err(Error::new(
            Kind::Internal,
            "copy",
            claim.task.task.to_string(),
            "an inline plan has no parts",
        ));
    };
    lane.shared.ledger.open_pool(&order.attempt, parts).await?;
    let result = run_workers(lane, &order, workers, usage).await;
    match result {
        Ok(published) => {
            let ledger = &lane.shared.ledger;
            let cleaned = ledger
                .close_pool(&order.attempt)
                .await
                .and(ledger.end_upload(&order.attempt).await);
            if let Err(error) = cleaned {
                tracing::debug!(task = %order.task, %error, "the janitor will forget this upload");
            }
            Ok(published)
        }
        // Passing trouble keeps what is there: the next attempt resumes inside the object.
        Err(error) if error.kind == Kind::RetryAfter || error.fenced => Err(error),
        Err(error) => {
            let attempt = Attempt {
                id: order.attempt,
                source: plan.source.clone(),
                upload: Some(order.upload),
                plan: serde_json::Value::Null,
            };
            forget_attempt(lane, claim, Some(&attempt)).await?;
            Err(error)
        }
    }
}

/// The order of an earlier attempt at exactly this plan. After a takeover its owner may still be running, and could still
/// publish; only discarding its upload makes sure that it cannot.
fn resumable(
    lane: &Lane,
    claim: &Claim,
    plan: &Plan,
    previous: Option<&Attempt>,
) -> Option<WorkOrder> {
    let any_version = Mutant::ResumeIgnoresVersion.is_on();
    let previous = previous
        .filter(|previous| (previous.source == plan.source || any_version) && !claim.takeover)?;
    let earlier: Plan = serde_json::from_value(previous.plan.clone()).ok()?;
    let same_parts = earlier.strategy == plan.strategy;
    let same = Plan {
        precondition: plan.precondition.clone(),
        ..earlier
    } == *plan
        || (any_version && same_parts);
    let upload = previous.upload.clone().filter(|_| same)?;
    Some(order(lane, claim, plan, previous.id.clone(), upload))
}

fn order(lane: &Lane, claim: &Claim, plan: &Plan, attempt: String, upload: String) -> WorkOrder {
    WorkOrder {
        task: claim.task.task.clone(),
        attempt,
        upload,
        plan: plan.clone(),
        source: lane.rule.source.clone(),
        target: lane.destination.location.clone(),
        worker: String::new(),
        parts_in_flight: lane.shared.config.parts_in_flight,
        part_lease: PART_LEASE,
        urgency: Urgency::of(lane, claim),
    }
}

/// Begins an upload. The intent is written first, so that a crash at any point leaves something for the janitor to find.
async fn begin(lane: &Lane, claim: &Claim, plan: &Plan, usage: &Usage) -> Result<WorkOrder> {
    let (ledger, task) = (&lane.shared.ledger, &claim.task.task);
    let id = format!("{}-{}", claim.token, lane.shared.rng.token());
    let started = lane.shared.clock.now();
    let mut intent = UploadIntent {
        task: task.clone(),
        attempt: id.clone(),
        upload: None,
        started,
    };
    if !Mutant::IntentAfterUpload.is_on() {
        ledger.record_upload(intent.clone()).await?;
    }
    usage.target_write();
    let upload = lane
        .target
        .create_upload(&task.key, &plan.attributes)
        .await?;
    intent.upload = Some(upload.clone());
    ledger.record_upload(intent).await?;
    let plan_json = serde_json::to_value(plan).map_err(|error| {
        Error::new(
            Kind::Internal,
            "record plan",
            task.to_string(),
            error.to_string(),
        )
    })?;
    let attempt = Attempt {
        id: id.clone(),
        source: plan.source.clone(),
        upload: Some(upload.clone()),
        plan: plan_json,
    };
    if let Err(error) = ledger
        .record_attempt(task, claim.token, Some(attempt))
        .await
    {
        discard_upload(
            lane.target.as_ref(),
            ledger.as_ref(),
            &id,
            &task.key,
            Some(&upload),
        )
        .await;
        return Err(error.into());
    }
    Ok(order(lane, claim, plan, id, upload))
}

/// Runs the workers until one of them has published. A worker that fails leaves its parts to the others; the object fails
/// only when all have stopped.
async fn run_workers(
    lane: &Lane,
    order: &WorkOrder,
    workers: u32,
    usage: &Arc<Usage>,
) -> Result<Published> {
    let mut running = JoinSet::new();
    // Other names than the workers of an earlier run had: parts that those still hold can then be duplicated.
    let run = lane.shared.rng.token();
    for number in 1..=workers {
        let order = WorkOrder {
            worker: format!("{run}-{number}"),
            ..order.clone()
        };
        let (executor, usage) = (Arc::clone(&lane.shared.executor), Arc::clone(usage));
        running.spawn(async move { executor.run(order, usage).await });
    }
    let mut last_error = None;
    while let Some(joined) = running.join_next().await {
        match joined {
            Ok(Ok(Some(published))) => return Ok(published),
            Ok(Ok(None)) => {}
            Ok(Err(error)) if error.kind == Kind::Precondition => return Err(error),
            Ok(Err(error)) => last_error = Some(error),
            Err(error) => {
                last_error = Some(Error::new(
                    Kind::Internal,
                    "run worker",
                    order.task.to_string(),
                    error.to_string(),
                ))
            }
        }
    }
    // All parts may be there although whoever completed them did not publish (it died in between): that is ours to do.
    if let Some((total, done)) = lane.shared.ledger.parts(&order.attempt).await?
        && done.len() as u32 == total
    {
        usage.target_write();
        return publish_parts(lane.target.as_ref(), order, done).await;
    }
    Err(last_error.unwrap_or_else(|| {
        Error::new(
            Kind::RetryAfter,
            "copy",
            order.task.to_string(),
            "every worker stopped before the last part",
        )
    }))
}
