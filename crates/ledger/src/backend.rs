//! What a backend brings; [`Ledger`] follows from it, the same for all.

use crate::logic::{claims, cursors, history, marks, parts, signals, tasks, uploads};
use crate::model::*;
use crate::seam::{ClaimRequest, Ledger};
use crate::transaction::{Read, Transaction};
use crate::{Listener, Result, logic};
use async_trait::async_trait;
use skyfresh_sky::{ObjectKey, Timestamp};
use std::future::Future;
use std::time::Duration;

/// Runs the logic's steps. Each is atomic; a change is durable before its result is given.
pub trait Backend: Send + Sync + std::fmt::Debug {
    /// Runs a change.
    fn change<T: Send + 'static>(
        &self,
        operation: &'static str,
        step: impl FnOnce(&mut dyn Transaction) -> Result<T> + Send + 'static,
    ) -> impl Future<Output = Result<T>> + Send;

    /// Runs a read of few rows.
    fn look<T: Send + 'static>(
        &self,
        operation: &'static str,
        step: impl FnOnce(&dyn Read) -> Result<T> + Send + 'static,
    ) -> impl Future<Output = Result<T>> + Send;

    /// Runs a read that may take long.
    fn scan<T: Send + 'static>(
        &self,
        operation: &'static str,
        step: impl FnOnce(&dyn Read) -> Result<T> + Send + 'static,
    ) -> impl Future<Output = Result<T>> + Send;

    /// Changes whenever a step asked for it ([`Transaction::wake`]) and is durable.
    fn wakes(&self) -> Listener;
}

/// Rows that one call of [`Ledger::prune`] removes at most.
const PRUNE_LIMIT: u64 = 10_000;

/// Counts pending tasks row by row and checks every counter and index on the way.
pub(crate) async fn recount(
    backend: &impl Backend,
    rule: &str,
    destination: &str,
) -> Result<Backlog> {
    let (rule, destination) = (rule.to_owned(), destination.to_owned());
    backend
        .scan("recount", move |read| {
            logic::audit::recount(read, &rule, &destination)
        })
        .await
}

#[async_trait]
impl<B: Backend> Ledger for B {
    async fn submit(&self, submissions: Vec<Submission>) -> Result<SubmitReport> {
        self.change("submit", move |t| signals::submit(t, &submissions))
            .await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Vec<Claim>> {
        self.change("claim", move |t| claims::claim(t, &request))
            .await
    }

    async fn next_due(&self, rule: &str, destination: &str) -> Result<Option<Timestamp>> {
        let (rule, destination) = (rule.to_owned(), destination.to_owned());
        self.look("next_due", move |r| {
            claims::next_due(r, &rule, &destination)
        })
        .await
    }

    async fn claimed(&self, rule: &str, destination: &str) -> Result<Vec<ObjectKey>> {
        let (rule, destination) = (rule.to_owned(), destination.to_owned());
        self.scan("claimed", move |r| {
            claims::claimed_keys(r, &rule, &destination)
        })
        .await
    }

    fn arrivals(&self) -> Listener {
        self.wakes()
    }

    async fn renew(&self, task: &TaskKey, token: u64, expires: Timestamp) -> Result<()> {
        let task = task.clone();
        self.change("renew", move |t| claims::renew(t, &task, token, expires))
            .await
    }

    async fn record_attempt(
        &self,
        task: &TaskKey,
        token: u64,
        attempt: Option<Attempt>,
    ) -> Result<()> {
        let task = task.clone();
        self.change("record_attempt", move |t| {
            claims::record_attempt(t, &task, token, attempt)
        })
        .await
    }

    async fn finish(
        &self,
        task: &TaskKey,
        token: u64,
        completion: Completion,
        now: Timestamp,
    ) -> Result<Finished> {
        let task = task.clone();
        self.change("finish", move |t| {
            claims::finish(t, &task, token, &completion, now)
        })
        .await
    }

    async fn fail(
        &self,
        task: &TaskKey,
        token: u64,
        failure: Failure,
        due: Timestamp,
    ) -> Result<()> {
        let task = task.clone();
        self.change("fail", move |t| claims::fail(t, &task, token, failure, due))
            .await
    }

    async fn release(&self, task: &TaskKey, token: u64, due: Timestamp) -> Result<()> {
        let task = task.clone();
        self.change("release", move |t| claims::release(t, &task, token, due))
            .await
    }

    async fn task(&self, task: &TaskKey) -> Result<Option<Task>> {
        let task = task.clone();
        self.look("task", move |r| tasks::task(r, &task)).await
    }

    async fn backlog(&self, rule: &str, destination: &str) -> Result<Backlog> {
        let (rule, destination) = (rule.to_owned(), destination.to_owned());
        self.look("backlog", move |r| tasks::backlog(r, &rule, &destination))
            .await
    }

    async fn failing(&self, rule: &str, destination: &str, limit: usize) -> Result<Vec<Task>> {
        let (rule, destination) = (rule.to_owned(), destination.to_owned());
        self.scan("failing", move |r| {
            tasks::failing(r, &rule, &destination, limit)
        })
        .await
    }

    async fn hurry(&self, rule: &str, destination: &str, now: Timestamp) -> Result<u64> {
        // In steps, so that a long backlog does not hold up everybody else's changes.
        let mut hurried = 0;
        loop {
            let (rule, destination) = (rule.to_owned(), destination.to_owned());
            let step = move |t: &mut dyn Transaction| tasks::hurry(t, &rule, &destination, now);
            let moved = self.change("hurry", step).await?;
            hurried += moved;
            if moved < tasks::HURRY_STEP as u64 {
                return Ok(hurried);
            }
        }
    }

    async fn open_pool(&self, attempt: &str, total: u32) -> Result<()> {
        let attempt = attempt.to_owned();
        self.change("open_pool", move |t| parts::open(t, &attempt, total))
            .await
    }

    async fn claim_parts(
        &self,
        attempt: &str,
        worker: &str,
        limit: usize,
        lease: Duration,
        duplicate_after: Duration,
        now: Timestamp,
    ) -> Result<Vec<PartClaim>> {
        let (attempt, worker) = (attempt.to_owned(), worker.to_owned());
        let request = parts::PartsRequest {
            attempt,
            worker,
            limit,
            lease,
            duplicate_after,
            now,
        };
        self.change("claim_parts", move |t| parts::claim(t, &request))
            .await
    }

    async fn finish_part(&self, attempt: &str, part: PartDone) -> Result<PoolState> {
        let attempt = attempt.to_owned();
        self.change("finish_part", move |t| parts::finish(t, &attempt, &part))
            .await
    }

    async fn release_part(&self, attempt: &str, worker: &str, number: u32) -> Result<()> {
        let (attempt, worker) = (attempt.to_owned(), worker.to_owned());
        self.change("release_part", move |t| {
            parts::release(t, &attempt, &worker, number)
        })
        .await
    }

    async fn parts(&self, attempt: &str) -> Result<Option<(u32, Vec<PartDone>)>> {
        let attempt = attempt.to_owned();
        self.scan("parts", move |r| parts::parts(r, &attempt)).await
    }

    async fn close_pool(&self, attempt: &str) -> Result<()> {
        let attempt = attempt.to_owned();
        self.change("close_pool", move |t| parts::close(t, &attempt))
            .await
    }

    async fn record_upload(&self, intent: UploadIntent) -> Result<()> {
        self.change("record_upload", move |t| uploads::record(t, &intent))
            .await
    }

    async fn end_upload(&self, attempt: &str) -> Result<()> {
        let attempt = attempt.to_owned();
        self.change("end_upload", move |t| uploads::end(t, &attempt))
            .await
    }

    async fn uploads(&self, rule: &str, before: Timestamp) -> Result<Vec<UploadIntent>> {
        let rule = rule.to_owned();
        self.scan("uploads", move |r| uploads::uploads(r, &rule, before))
            .await
    }

    async fn marks(
        &self,
        rule: &str,
        destination: &str,
        keys: &[ObjectKey],
    ) -> Result<Vec<Option<Mark>>> {
        let (rule, destination, keys) = (rule.to_owned(), destination.to_owned(), keys.to_vec());
        self.scan("marks", move |r| {
            marks::marks(r, &rule, &destination, &keys)
        })
        .await
    }

    async fn put_marks(
        &self,
        rule: &str,
        destination: &str,
        marks: Vec<(ObjectKey, Mark)>,
    ) -> Result<()> {
        // In steps, as in `hurry`. Half of them set is as good as none: the rest costs comparisons.
        for chunk in marks.chunks(marks::MARKS_STEP) {
            let (rule, destination, chunk) =
                (rule.to_owned(), destination.to_owned(), chunk.to_vec());
            self.change("put_marks", move |t| {
                marks::put_marks(t, &rule, &destination, &chunk)
            })
            .await?;
        }
        Ok(())
    }

    async fn tombstone(&self, task: &TaskKey) -> Result<Option<Tombstone>> {
        let task = task.clone();
        self.look("tombstone", move |r| history::tombstone(r, &task))
            .await
    }

    async fn receipts_by_time(
        &self,
        rule: &str,
        from: Timestamp,
        limit: usize,
    ) -> Result<Vec<Receipt>> {
        let rule = rule.to_owned();
        self.scan("receipts_by_time", move |r| {
            history::receipts_by_time(r, &rule, from, limit)
        })
        .await
    }

    async fn receipts_by_key(&self, task: &TaskKey, limit: usize) -> Result<Vec<Receipt>> {
        let task = task.clone();
        self.scan("receipts_by_key", move |r| {
            history::receipts_by_key(r, &task, limit)
        })
        .await
    }

    async fn prune(&self, before: Timestamp) -> Result<u64> {
        let mut pruned = 0;
        while pruned < PRUNE_LIMIT {
            let step = self
                .change("prune", move |t| history::prune(t, before))
                .await?;
            pruned += step;
            if step < history::PRUNE_STEP as u64 {
                break;
            }
        }
        Ok(pruned)
    }

    async fn cursor(&self, name: &str) -> Result<Option<serde_json::Value>> {
        let name = name.to_owned();
        self.look("cursor", move |r| cursors::cursor(r, &name))
            .await
    }

    async fn set_cursor(&self, name: &str, value: Option<serde_json::Value>) -> Result<()> {
        let name = name.to_owned();
        self.change("set_cursor", move |t| {
            cursors::set_cursor(t, &name, value.as_ref())
        })
        .await
    }
}
