//! How signals enter, and what the owner of a claim may do with it.

use super::bodies::Stored;
use super::core::{AT_ONCE, Core, Current, Step};
use crate::Result;
use crate::logic::signals::heard;
use crate::logic::tasks::claimed_with;
use crate::model::*;
use futures::StreamExt;
use std::collections::HashMap;

impl Core {
    /// See [`Ledger::submit`](crate::Ledger::submit): key by key. On an error, some of the signals may be recorded; recording
    /// them again changes nothing. Also says whether a task is new.
    pub(crate) async fn submit(&self, submissions: &[Submission]) -> (bool, Result<SubmitReport>) {
        let operation = "submit";
        // By key, in the order heard, so that those on one key do not race.
        let mut keys: Vec<(&TaskKey, Vec<&Signal>)> = Vec::new();
        let mut places: HashMap<&TaskKey, usize> = HashMap::new();
        for Submission { task, signal } in submissions {
            let place = *places.entry(task).or_insert_with(|| {
                keys.push((task, Vec::new()));
                keys.len() - 1
            });
            keys[place].1.push(signal);
        }
        let mut spots = Vec::with_capacity(keys.len());
        for (task, signals) in keys {
            match self.spot(operation, task) {
                Ok(spot) => spots.push((spot, task, signals)),
                Err(error) => return (false, Err(error)),
            }
        }
        // Made first: a stream of closures over references is no `Send` future that a trait can promise.
        let mut writes = Vec::with_capacity(spots.len());
        for (spot, task, signals) in spots {
            writes.push(async move {
                self.change(operation, &spot, |current: Current<'_>| {
                    let mut report = SubmitReport::default();
                    let mut after = current.stored.map(|stored| stored.task.clone());
                    for signal in &signals {
                        after = Some(heard(after, task, signal, &mut report));
                    }
                    let fence = current.stored.map_or(0, |stored| stored.fence);
                    let after = after.map(|task| Stored { fence, task });
                    Ok(Step::Write(after, report))
                })
                .await
            });
        }
        let mut writes = futures::stream::iter(writes).buffer_unordered(AT_ONCE);
        let mut total = SubmitReport::default();
        let mut failed = None;
        while let Some(written) = writes.next().await {
            match written {
                Ok(report) => {
                    total.created += report.created;
                    total.merged += report.merged;
                    total.dirtied += report.dirtied;
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        (total.created > 0, failed.map_or(Ok(total), Err))
    }

    /// Changes a claimed task without ending the claim.
    pub(crate) async fn change_claimed(
        &self,
        operation: &'static str,
        task: &TaskKey,
        token: u64,
        step: impl Fn(Task) -> Task,
    ) -> Result<()> {
        let spot = self.spot(operation, task)?;
        self.change(operation, &spot, |current| {
            let found = current.stored.map(|stored| stored.task.clone());
            let claimed = claimed_with(operation, found, task, token)?;
            let after = Stored {
                fence: token,
                task: step(claimed),
            };
            Ok(Step::Write(Some(after), ()))
        })
        .await
    }

    /// Ends a claim; the task stays, unclaimed.
    pub(crate) async fn end_claim(
        &self,
        operation: &'static str,
        task: &TaskKey,
        token: u64,
        step: impl Fn(Task) -> Task,
    ) -> Result<()> {
        let spot = self.spot(operation, task)?;
        self.change(operation, &spot, |current| {
            if current.lost && ended_here(current.stored, token) {
                return Ok(Step::Answer(()));
            }
            let found = current.stored.map(|stored| stored.task.clone());
            let claimed = claimed_with(operation, found, task, token)?;
            let after = Stored {
                fence: token,
                task: step(claimed),
            };
            Ok(Step::Write(Some(after), ()))
        })
        .await
    }

    /// See [`Ledger::task`](crate::Ledger::task).
    pub(crate) async fn task(&self, task: &TaskKey) -> Result<Option<Task>> {
        let spot = self.spot("task", task)?;
        let known = self.fetch("task", &spot).await?;
        Ok(known.map(|known| known.stored.task.clone()))
    }
}

/// The claim with this token was the task's last and has ended: which only its owner does.
pub(crate) fn ended_here(stored: Option<&Stored>, token: u64) -> bool {
    stored.is_some_and(|stored| stored.fence == token && stored.task.lease.is_none())
}
