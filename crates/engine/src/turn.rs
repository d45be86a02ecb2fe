//! Whose turn it is to sweep, where several processes share a ledger: one at a time, and as often as the rule says.
//!
//! In: a lane. Out: a lease on its sweep, taken as keys are claimed: the sweep is a task of its own, due again one period
//! after it ended. Never: keeps a turn whose lease is lost; lets a process that died hold up the sweeps for longer than that.

use crate::Result;
use crate::claim::keep_lease;
use crate::lane::Lane;
use skyfresh_ledger::{Claim, ClaimRequest, Origin, Signal, Submission, TaskKey};
use skyfresh_sky::{ObjectKey, Timestamp};
use std::time::Duration;

/// Follows a destination's name: no rule can have a destination of this name.
const SWEEP: &str = "#sweep";

/// The right to sweep a lane.
pub(crate) struct Turn<'a> {
    lane: &'a Lane,
    claim: Claim,
}

fn task(lane: &Lane) -> Result<TaskKey> {
    Ok(TaskKey {
        rule: lane.rule.name.clone(),
        destination: format!("{}{SWEEP}", lane.destination.name),
        key: ObjectKey::new("sweep").map_err(|error| {
            crate::Error::new(
                skyfresh_sky::Kind::Internal,
                "sweep",
                lane.name(),
                error.to_string(),
            )
        })?,
    })
}

/// Takes the turn, if it is due and nobody has it.
pub(crate) async fn take(lane: &Lane) -> Result<Option<Turn<'_>>> {
    let (ledger, config) = (&lane.shared.ledger, &lane.shared.config);
    let (task, now) = (task(lane)?, lane.shared.clock.now());
    if ledger.task(&task).await?.is_none() {
        // Signals become one: whoever submits first, it is one task.
        let signal = Signal {
            origin: Origin::Backfill,
            changed: now,
            notified: now,
            size: None,
        };
        let task = task.clone();
        ledger.submit(vec![Submission { task, signal }]).await?;
    }
    let request = ClaimRequest {
        rule: task.rule,
        destination: task.destination,
        owner: config.owner.clone(),
        lease: config.lease,
        limit: 1,
        now,
    };
    let claim = ledger.claim(request).await?.pop();
    Ok(claim.map(|claim| Turn { lane, claim }))
}

/// When to look for the turn again: when it is due, but no later than others may have changed that.
pub(crate) async fn next_look(lane: &Lane, poll: Duration) -> Duration {
    let Ok(task) = task(lane) else { return poll };
    let now = lane.shared.clock.now();
    match lane
        .shared
        .ledger
        .next_due(&task.rule, &task.destination)
        .await
    {
        Ok(Some(due)) => due.since(now).clamp(Duration::from_millis(1), poll),
        _ => poll,
    }
}

/// Makes the turn due now, whoever will take it.
pub(crate) async fn hurry(lane: &Lane) -> Result<()> {
    let task = task(lane)?;
    let now = lane.shared.clock.now();
    lane.shared
        .ledger
        .hurry(&task.rule, &task.destination, now)
        .await?;
    Ok(())
}

impl Turn<'_> {
    /// Does the work of the turn, for as long as its lease holds.
    pub(crate) async fn keep<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
           biased;
            lost = keep_lease(self.lane, &self.claim) => Err(lost),
            result = work => result,
        }
    }

    /// Gives the turn back, due again at `due`.
    pub(crate) async fn end(self, due: Timestamp) {
        let task = &self.claim.task.task;
        if let Err(error) = self
            .lane
            .shared
            .ledger
            .release(task, self.claim.token, due)
            .await
        {
            tracing::debug!(%task, %error, "the turn's lease will run out instead");
        }
    }
}
