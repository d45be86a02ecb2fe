//! The end of a claim with success.

use super::bodies::{Memory, Stored};
use super::core::{Core, Current, Step};
use super::tasks::ended_here;
use crate::logic::claims::{check_receipt, finished};
use crate::logic::tasks::claimed_with;
use crate::model::*;
use crate::{Error, Result};
use skyfresh_sky::{Kind, Timestamp};

/// How a claim ended.
enum End {
    /// With this.
    Success(Finished),
    /// Another owner has the task, and nothing of ours ended it.
    TakenOver(Error),
    /// It cannot be told whether the claim was ended by a write whose answer was lost, or by a take-over.
    Unclear(Error),
}

impl Core {
    /// See [`Ledger::finish`](crate::Ledger::finish), and the order of writes in this module's parent.
    pub(crate) async fn finish(
        &self,
        task: &TaskKey,
        token: u64,
        completion: &Completion,
        now: Timestamp,
    ) -> Result<Finished> {
        let operation = "finish";
        let spot = self.spot(operation, task)?;
        check_receipt(operation, task, completion)?;
        // Nothing may be written for a stale token. What this process remembers will do while the lease is good: nobody else
        // has taken it then.
        let ours = |stored: &Stored| {
            let lease = stored.task.lease.as_ref();
            lease.is_some_and(|lease| lease.token == token && now < lease.expires)
        };
        let known = spot.view.get(spot.shard, &spot.key);
        if !known.is_some_and(|known| ours(&known.stored)) {
            let found = self.fetch(operation, &spot).await?;
            let found = found.map(|known| known.stored.task.clone());
            claimed_with(operation, found, task, token)?;
        }
        let memory = Memory {
            mark: completion.mark,
            tombstone: completion.tombstone.clone(),
        };
        self.write_journal(operation, &spot.lane, token, completion)
            .await?;
        futures::future::try_join(
            self.write_receipt(operation, &spot.lane, token, &completion.receipt),
            self.set_memory(operation, &spot.lane, &task.key, &memory),
        )
        .await?;
        let end = self
            .change(operation, &spot, |current| {
                decide(operation, task, token, now, &current)
            })
            .await?;
        match end {
            End::Success(finished) => Ok(finished),
            End::Unclear(error) => Err(error),
            End::TakenOver(error) => {
                let receipt = &completion.receipt;
                let removed = self.remove_receipt(operation, &spot.lane, token, receipt);
                if let Err(failed) = removed.await {
                    tracing::warn!(%task, error = %failed, "a receipt of a claim that was taken over remains");
                }
                Err(error)
            }
        }
    }
}

fn decide(
    operation: &'static str,
    task: &TaskKey,
    token: u64,
    now: Timestamp,
    current: &Current<'_>,
) -> Result<Step<End>> {
    let found = current.stored.map(|stored| stored.task.clone());
    let error = match claimed_with(operation, found, task, token) {
        Ok(claimed) => {
            let again = finished(claimed, now);
            let done = match again {
                Some(_) => Finished::Again,
                None => Finished::Done,
            };
            let after = again.map(|task| Stored { fence: token, task });
            return Ok(Step::Write(after, End::Success(done)));
        }
        Err(error) if error.kind == Kind::Precondition => error,
        Err(error) => return Err(error),
    };
    let end = match current.stored {
        // The claim was ours when this began. Who ended it, and wrote nothing newer: this call, or an earlier one of the same
        // claim, whose answer was lost.
        Some(_) if current.lost && ended_here(current.stored, token) => {
            End::Success(Finished::Again)
        }
        None if current.lost => End::Success(Finished::Done),
        Some(stored) if current.lost && stored.fence < token => End::Success(Finished::Done),
        Some(stored) if !current.lost && stored.fence > token => End::TakenOver(error),
        _ => End::Unclear(error),
    };
    Ok(Step::Answer(end))
}
