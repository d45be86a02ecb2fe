//! An attempt at copying in parts: begun with an intent, gone on with where an earlier one was left, worked on by workers over
//! the part pool, forgotten where it cannot be gone on with.
//!
//! In: a plan of parts. Out: the published object. Never: an upload that the ledger's journal does not know; two attempts of one
//! claim at once.

use crate::changelog;
use crate::copy::{Urgency, WorkOrder};
use crate::decide::{Plan, Strategy};
use crate::finish::{Published, discard_upload, publish_parts};
use crate::lane::Lane;
use crate::overlay::RelayOrder;
use crate::usage::Usage;
use crate::{Error, Result};
use skyfresh_ledger::{Attempt, Claim, UploadIntent};
use skyfresh_sky::{Kind, Mutant};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Workers stop trying a part's copy by themselves after this.
const PART_LEASE: Duration = Duration::from_secs(60);

/// One worker of so many, and at least so many, stay when nothing is left to take, and duplicate what turns out to be slow.
/// More would be billed for waiting: all of them would nearly double what functions cost.
const WORKERS_A_STAYER: u32 = 16;
const LEAST_STAYERS: u32 = 2;

/// Discards the attempt that an earlier owner (or round) left.
pub(crate) async fn forget_attempt(
    lane: &Lane,
    claim: &Claim,
    previous: Option<&Attempt>,
) -> Result<()> {
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

/// Copies by workers over a part pool, resuming what an earlier owner of the same version left. `relays` may carry the parts.
pub(crate) async fn copy_in_parts(
    lane: &Lane,
    claim: &Claim,
    plan: &Plan,
    previous: Option<Attempt>,
    relays: Option<RelayOrder>,
    usage: &Arc<Usage>,
) -> Result<Published> {
    let mut order = match resumable(lane, claim, plan, previous.as_ref()) {
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
    order.relays = relays;
    lane.shared.ledger.open_pool(&order.attempt, parts).await?;
    let site = plan.site.as_ref().zip(lane.shared.brain.as_ref());
    let _busy = site.map(|(site, brain)| brain.busy(site, workers));
    let stated = changelog::take_unchanged(lane, &order, usage).await;
    let result = run_workers(lane, &order, workers, usage).await;
    match result {
        Ok(published) => {
            changelog::remember(lane, &order, stated, &published).await;
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
            forget_order(lane, claim, order).await?;
            Err(error)
        }
    }
}

/// Discards an order that cannot be gone on with.
pub(crate) async fn forget_order(lane: &Lane, claim: &Claim, order: WorkOrder) -> Result<()> {
    let attempt = Attempt {
        id: order.attempt,
        source: order.plan.source,
        upload: Some(order.upload),
        plan: serde_json::Value::Null,
    };
    forget_attempt(lane, claim, Some(&attempt)).await
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
        expected: plan.expected.clone(),
        ..earlier
    } == *plan
        || (any_version && same_parts);
    let upload = previous.upload.clone().filter(|_| same)?;
    Some(order(lane, claim, plan, previous.id.clone(), upload))
}

/// What a worker of this attempt is told.
pub(crate) fn order(
    lane: &Lane,
    claim: &Claim,
    plan: &Plan,
    attempt: String,
    upload: String,
) -> WorkOrder {
    WorkOrder {
        task: claim.task.task.clone(),
        attempt,
        upload,
        plan: plan.clone(),
        source: lane.read_location(plan).clone(),
        target: lane.destination.location.clone(),
        worker: String::new(),
        parts_in_flight: lane.shared.config.parts_in_flight,
        part_lease: PART_LEASE,
        urgency: Urgency::of(lane, claim, plan),
        stays: false,
        relays: None,
    }
}

/// Begins an upload. The intent is written first, so that a crash at any point leaves something for the janitor to find.
pub(crate) async fn begin(
    lane: &Lane,
    claim: &Claim,
    plan: &Plan,
    usage: &Usage,
) -> Result<WorkOrder> {
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
            stays: number <= workers.div_ceil(WORKERS_A_STAYER).max(LEAST_STAYERS),
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
        return publish_parts(lane.target.as_ref(), order, done, usage).await;
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
