//! **claim**: one owner per (rule, destination, key), for as long as it keeps its lease.
//!
//! In: due tasks of the ledger. Out: each claim carried through decide → copy → finish, and ended in the ledger as finished,
//! failed or released. Never: works on after its lease is lost; lets one failing key hold up another.
//!
//! Bound: [`EngineConfig::lane_concurrency`](crate::EngineConfig) claims at once; no queue besides the ledger.

use crate::backoff::retry_delay;
use crate::carry::{Carried, carry};
use crate::changelog;
use crate::lane::Lane;
use crate::planning::hold;
use crate::{Error, Result};
use skyfresh_ledger::{Claim, ClaimRequest, Failure, Finished, Origin, Signal, Submission};
use skyfresh_sky::{Kind, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Waits this long after the ledger itself failed.
const LEDGER_PAUSE: Duration = Duration::from_secs(1);
/// An unforeseen wake-up source aside, look at the ledger at least this often.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Claims and works until `stop`; then waits for what is under way to be given back.
pub(crate) async fn run(lane: Arc<Lane>, stop: CancellationToken) {
    let config = &lane.shared.config;
    let mut arrivals = lane.shared.ledger.arrivals();
    let mut working: JoinSet<()> = JoinSet::new();
    while !stop.is_cancelled() {
        while working.try_join_next().is_some() {}
        if lane.is_paused() {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = lane.resumed.notified() => {}
            }
            continue;
        }
        let free = config.lane_concurrency.saturating_sub(working.len());
        if free == 0 {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = working.join_next() => {}
            }
            continue;
        }
        arrivals.forget();
        let request = ClaimRequest {
            rule: lane.rule.name.clone(),
            destination: lane.destination.name.clone(),
            owner: config.owner.clone(),
            lease: config.lease,
            limit: free,
            now: lane.shared.clock.now(),
        };
        match lane.shared.ledger.claim(request).await {
            Ok(claims) if !claims.is_empty() => {
                for claim in claims {
                    working.spawn(work(Arc::clone(&lane), claim, stop.clone()));
                }
            }
            Ok(_) => {
                let wait = time_to_next(&lane).await;
                tokio::select! {
                    biased;
                    () = stop.cancelled() => break,
                    () = arrivals.heard() => {}
                    () = lane.shared.clock.sleep(wait) => {}
                }
            }
            Err(error) => {
                tracing::error!(lane = lane.name(), %error, "cannot claim");
                lane.meter.trouble(Some(error.to_string()));
                lane.shared.clock.sleep(LEDGER_PAUSE).await;
            }
        }
    }
    while working.join_next().await.is_some() {}
}

async fn time_to_next(lane: &Lane) -> Duration {
    let ledger = &lane.shared.ledger;
    let longest = ledger.poll_every().unwrap_or(LONGEST_WAIT);
    match ledger
        .next_due(&lane.rule.name, &lane.destination.name)
        .await
    {
        Ok(Some(due)) => due
            .since(lane.shared.clock.now())
            .clamp(Duration::from_millis(1), longest),
        Ok(None) => longest,
        Err(_) => LEDGER_PAUSE,
    }
}

/// Carries one claim to its end.
async fn work(lane: Arc<Lane>, claim: Claim, stop: CancellationToken) {
    let started = lane.shared.clock.now();
    if let Some(until) = hold::until(&lane, &claim, started) {
        return put_off(&lane, &claim, until).await;
    }
    let _busy = lane.meter.busy();
    let result = tokio::select! {
       biased;
        () = stop.cancelled() => return release(&lane, &claim).await,
        lost = keep_lease(&lane, &claim) => Err(lost),
        result = carry(&lane, &claim) => result,
    };
    let ended = match result {
        Ok(Carried::PutOff(until)) => return put_off(&lane, &claim, until).await,
        Ok(Carried::Ended(ended, usage)) => {
            let now = lane.shared.clock.now();
            let changed = uncovered_since(&lane, &claim).await;
            let span = crate::finish::Span {
                changed,
                started,
                now,
            };
            let completion = crate::finish::completion(&lane, &claim, *ended, &usage, span);
            let receipt = completion.receipt.clone();
            if lane.shared.ledger.poll_every().is_some() {
                lane.own.note(&receipt);
            }
            finish(&lane, &claim, completion, now)
                .await
                .map(|finished| (receipt, finished))
        }
        Err(error) => Err(error),
    };
    match ended {
        Ok((receipt, finished)) => {
            lane.meter.receipt(&receipt);
            lane.account.spend(&receipt);
            changelog::finished(&lane, &receipt, finished).await;
            if lane.outage.succeeded(lane.shared.clock.now()) {
                hurry(&lane).await;
            }
        }
        Err(error) => fail(&lane, &claim, error).await,
    }
}

/// Since when a change may have been missing at the destination. An owner that died after its receipt was written and before
/// its task was ended leaves the task with the change that the receipt tells of: whatever changed before that owner began is
/// there, and would otherwise count as late once more, by as much as the take-over took.
async fn uncovered_since(lane: &Lane, claim: &Claim) -> Timestamp {
    let since = claim.task.changed_since;
    if !claim.takeover {
        return since;
    }
    let ledger = &lane.shared.ledger;
    match ledger.receipts_by_key(&claim.task.task, 1).await {
        Ok(receipts) => receipts
            .first()
            .map_or(since, |last| since.max(last.started)),
        Err(error) => {
            tracing::debug!(task = %claim.task.task, %error, "cannot tell what an earlier owner published");
            since
        }
    }
}

/// Ends the claim with success. A ledger that cannot answer is asked again until the lease has run out: what was published
/// is found equal by the next owner.
async fn finish(
    lane: &Lane,
    claim: &Claim,
    completion: skyfresh_ledger::Completion,
    now: Timestamp,
) -> Result<Finished> {
    let deadline = now.after(lane.shared.config.lease);
    loop {
        match lane
            .shared
            .ledger
            .finish(&claim.task.task, claim.token, completion.clone(), now)
            .await
        {
            Ok(finished) => return Ok(finished),
            Err(error) if error.kind == Kind::RetryAfter && lane.shared.clock.now() < deadline => {
                lane.shared.clock.sleep(LEDGER_PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Renews the lease every third of it. Returns only when it is lost.
pub(crate) async fn keep_lease(lane: &Lane, claim: &Claim) -> Error {
    let lease = lane.shared.config.lease;
    let mut expires = lane.shared.clock.now().after(lease);
    loop {
        lane.shared.clock.sleep(lease / 3).await;
        let wanted = lane.shared.clock.now().after(lease);
        match lane
            .shared
            .ledger
            .renew(&claim.task.task, claim.token, wanted)
            .await
        {
            Ok(()) => expires = wanted,
            Err(error) if error.kind == Kind::RetryAfter && lane.shared.clock.now() < expires => {}
            Err(error) => return error.into(),
        }
    }
}

/// The stores answer again: makes what failed due now. Where the ledger cannot, every key's own delay still brings it back.
async fn hurry(lane: &Lane) {
    let (rule, destination) = (&lane.rule.name, &lane.destination.name);
    let now = lane.shared.clock.now();
    match lane.shared.ledger.hurry(rule, destination, now).await {
        Ok(keys) => tracing::info!(
            lane = lane.name(),
            keys,
            "the stores answer again; trying what failed"
        ),
        Err(error) => tracing::warn!(lane = lane.name(), %error, "cannot hurry what failed"),
    }
}

async fn release(lane: &Lane, claim: &Claim) {
    give_back(lane, claim, lane.shared.clock.now()).await;
}

/// Gives the claim back, not to be claimed again before `until`.
async fn put_off(lane: &Lane, claim: &Claim, until: Timestamp) {
    lane.meter.put_off();
    give_back(lane, claim, until).await;
}

async fn give_back(lane: &Lane, claim: &Claim, until: Timestamp) {
    if let Err(error) = lane
        .shared
        .ledger
        .release(&claim.task.task, claim.token, until)
        .await
    {
        tracing::debug!(task = %claim.task.task, %error, "the lease will run out instead");
    }
}

async fn fail(lane: &Lane, claim: &Claim, error: Error) {
    let now = lane.shared.clock.now();
    if error.fenced {
        // Someone else owns the key. Should we have published something under the lost lease, they must look again.
        let signal = Signal {
            origin: Origin::Repair,
            changed: claim.task.changed_since,
            notified: now,
            size: None,
        };
        let again = Submission {
            task: claim.task.task.clone(),
            signal,
        };
        if let Err(error) = lane.shared.ledger.submit(vec![again]).await {
            tracing::warn!(task = %claim.task.task, %error, "lost its lease; the next sweep will compare it");
        }
        lane.meter.lease_lost();
        return;
    }
    lane.meter.failure(error.kind);
    lane.outage.failed(error.kind, now);
    let delay = retry_delay(error.kind, claim.task.failures, &lane.shared.rng);
    tracing::debug!(task = %claim.task.task, %error, retry_in_ms = delay.as_millis() as u64, "attempt failed");
    let failure = Failure {
        kind: error.kind,
        message: error.to_string(),
        at: now,
    };
    if let Err(error) = lane
        .shared
        .ledger
        .fail(&claim.task.task, claim.token, failure, now.after(delay))
        .await
    {
        tracing::warn!(task = %claim.task.task, %error, "cannot record the failure; the lease will run out");
    }
}
