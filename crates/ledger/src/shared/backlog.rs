//! What is pending, for people and the watermark: read, not kept.

use super::bodies::Stored;
use super::core::{AT_ONCE, Core, Step};
use super::names::Lane;
use crate::Result;
use crate::logic::tasks::Tally;
use crate::model::*;
use futures::{StreamExt, TryStreamExt};
use skyfresh_sky::{ObjectKey, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

impl Core {
    /// See [`Ledger::backlog`](crate::Ledger::backlog): exact, of all that was written before the call. Reads every pending
    /// task.
    pub(crate) async fn backlog(&self, rule: &str, destination: &str) -> Result<Backlog> {
        let lane = Lane::new("backlog", rule, destination)?;
        let tally = Mutex::new(Tally::default());
        self.read_all("backlog", &lane, true, &|known| {
            lock(&tally).add(&known.stored.task);
        })
        .await?;
        Ok(tally
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
            .total())
    }

    /// See [`Ledger::failing`](crate::Ledger::failing). Reads every pending task.
    pub(crate) async fn failing(
        &self,
        rule: &str,
        destination: &str,
        limit: usize,
    ) -> Result<Vec<Task>> {
        let lane = Lane::new("failing", rule, destination)?;
        let failing: Mutex<BTreeMap<ObjectKey, Task>> = Mutex::default();
        self.read_all("failing", &lane, false, &|known| {
            let task = &known.stored.task;
            if task.last_failure.is_some() {
                let mut failing = lock(&failing);
                failing.insert(task.task.key.clone(), task.clone());
                if failing.len() > limit {
                    failing.pop_last();
                }
            }
        })
        .await?;
        let failing = failing.into_inner();
        let failing = failing.unwrap_or_else(PoisonError::into_inner);
        Ok(failing.into_values().collect())
    }

    /// See [`Ledger::claimed`](crate::Ledger::claimed). Reads every pending task.
    pub(crate) async fn claimed(&self, rule: &str, destination: &str) -> Result<Vec<ObjectKey>> {
        let lane = Lane::new("claimed", rule, destination)?;
        let claimed: Mutex<Vec<ObjectKey>> = Mutex::default();
        self.read_all("claimed", &lane, true, &|known| {
            let task = &known.stored.task;
            if task.lease.is_some() {
                lock(&claimed).push(task.task.key.clone());
            }
        })
        .await?;
        Ok(claimed.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// See [`Ledger::hurry`](crate::Ledger::hurry). Reads every pending task and writes those that wait.
    pub(crate) async fn hurry(&self, rule: &str, destination: &str, now: Timestamp) -> Result<u64> {
        let lane = Lane::new("hurry", rule, destination)?;
        let waits = |task: &Task| task.lease.is_none() && task.due > now;
        let waiting: Mutex<Vec<ObjectKey>> = Mutex::default();
        self.read_all("hurry", &lane, false, &|known| {
            let task = &known.stored.task;
            if waits(task) {
                lock(&waiting).push(task.task.key.clone());
            }
        })
        .await?;
        let waiting = waiting.into_inner();
        let lane = &lane;
        futures::stream::iter(waiting.unwrap_or_else(PoisonError::into_inner))
            .map(|key| async move {
                let spot = self.spot_in(lane, key);
                self.change("hurry", &spot, |current| {
                    let Some(stored) = current.stored.filter(|stored| waits(&stored.task)) else {
                        return Ok(Step::Answer(0));
                    };
                    let mut after: Stored = stored.clone();
                    after.task.due = now;
                    Ok(Step::Write(Some(after), 1))
                })
                .await
            })
            .buffer_unordered(AT_ONCE)
            .try_fold(0, |all, one| async move { Ok(all + one) })
            .await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
