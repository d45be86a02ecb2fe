//! The seam, served by this module's operations.

use super::core::Core;
use super::{Condition, Documents, Settings, Written, names};
use crate::logic::claims::{failed, released, renewed};
use crate::logic::parts::PartsRequest;
use crate::model::*;
use crate::seam::{ClaimRequest, Ledger};
use crate::{Bell, Error, Listener, Result};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use skyfresh_sky::{Kind, ObjectKey, Rng, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// What this program writes.
const FORMAT: u32 = 1;

/// More would make every scan slow.
const SHARDS_LIMIT: u32 = 256;

/// What the documents of a ledger are like: written by who makes it, kept by all others.
#[derive(Debug, Serialize, Deserialize)]
struct Format {
    format: u32,
    task_shards: u32,
}

/// A ledger shared by all who open the same documents. What differs from the ledgers of one process:
///
/// - A call that changes several keys ([`Ledger::submit`]) does so key by key: where it fails, some may be done. Repeating it
///   does the rest.
/// - [`Ledger::finish`] is several writes in an order that loses nothing; see the module's head.
/// - [`Ledger::backlog`], [`Ledger::failing`] and [`Ledger::hurry`] read every pending task of the destination.
/// - [`Ledger::claim`] reads at most some thousand tasks of others a call, and goes on where it left off: of a larger backlog
///   in which nothing is due that this process knows of, what others left is found within several calls.
/// - [`Ledger::next_due`] knows of others what the last scan has read: a caller that shares the ledger polls besides.
/// - [`Ledger::arrivals`] tells of what this process does only.
/// - A cursor has at most 300 KiB of JSON.
#[derive(Debug)]
pub struct SharedLedger {
    core: Core,
    arrivals: Bell,
}

impl SharedLedger {
    /// Opens the ledger in `documents`, or makes it there.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] where a newer program made it; [`Kind::Corrupt`] where its format cannot be read;
    /// [`Kind::Invalid`] where the settings are out of bounds.
    pub async fn open(
        documents: Arc<dyn Documents>,
        settings: Settings,
        rng: Rng,
    ) -> Result<SharedLedger> {
        let operation = "open";
        let invalid = |kind, why: String| Err(Error::new(kind, operation, "meta/format", why));
        if !(1..=SHARDS_LIMIT).contains(&settings.task_shards) {
            let why = format!(
                "{} shards of tasks; 1 to {SHARDS_LIMIT} are possible",
                settings.task_shards
            );
            return invalid(Kind::Invalid, why);
        }
        let id = names::format();
        let mut found = documents.get(&id).await?;
        if found.is_none() {
            let format = Format {
                format: FORMAT,
                task_shards: settings.task_shards,
            };
            let body = serde_json::to_vec(&format).map_err(|error| {
                Error::new(
                    Kind::Internal,
                    operation,
                    "meta/format",
                    "cannot be encoded",
                )
                .with_source(error)
            })?;
            match documents.put(&id, body, Condition::Absent).await {
                Ok(Written::Done(_) | Written::Refused) => {}
                // Whoever made it, it is there now, or the next read says what is wrong.
                Err(error) if error.kind == Kind::RetryAfter => {}
                Err(error) => return Err(error),
            }
            found = documents.get(&id).await?;
        }
        let Some(found) = found else {
            let why = "cannot be made: the service does not answer; try again";
            return invalid(Kind::RetryAfter, why.to_owned());
        };
        let format: Format = serde_json::from_slice(&found.body).map_err(|error| {
            let why = "is not a ledger's format; is the table used by something else?";
            Error::new(Kind::Corrupt, operation, "meta/format", why).with_source(error)
        })?;
        if format.format != FORMAT {
            let why = format!(
                "the ledger is of format {}, and this program knows {FORMAT}: use the program that made it, or a newer one",
                format.format
            );
            return invalid(Kind::Unsupported, why);
        }
        if !(1..=SHARDS_LIMIT).contains(&format.task_shards) {
            let why = format!("{} shards of tasks", format.task_shards);
            return invalid(Kind::Corrupt, why);
        }
        let settings = Settings {
            task_shards: format.task_shards,
            ..settings
        };
        Ok(SharedLedger {
            core: Core::new(documents, settings, rng),
            arrivals: Bell::new(),
        })
    }

    fn wake(&self) {
        self.arrivals.ring();
    }
}

#[async_trait]
impl Ledger for SharedLedger {
    async fn submit(&self, submissions: Vec<Submission>) -> Result<SubmitReport> {
        let (is_new, result) = self.core.submit(&submissions).await;
        if is_new {
            self.wake();
        }
        result
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Vec<Claim>> {
        self.core.claim(&request).await
    }

    async fn next_due(&self, rule: &str, destination: &str) -> Result<Option<Timestamp>> {
        self.core.next_due(rule, destination).await
    }

    async fn claimed(&self, rule: &str, destination: &str) -> Result<Vec<ObjectKey>> {
        self.core.claimed(rule, destination).await
    }

    fn arrivals(&self) -> Listener {
        self.arrivals.listen()
    }

    fn poll_every(&self) -> Option<Duration> {
        Some(self.core.settings.poll_every)
    }

    async fn renew(&self, task: &TaskKey, token: u64, expires: Timestamp) -> Result<()> {
        let step = |task| renewed(task, expires);
        self.core.change_claimed("renew", task, token, step).await
    }

    async fn record_attempt(
        &self,
        task: &TaskKey,
        token: u64,
        attempt: Option<Attempt>,
    ) -> Result<()> {
        let step = |task| Task {
            attempt: attempt.clone(),
            ..task
        };
        let operation = "record_attempt";
        self.core.change_claimed(operation, task, token, step).await
    }

    async fn finish(
        &self,
        task: &TaskKey,
        token: u64,
        completion: Completion,
        now: Timestamp,
    ) -> Result<Finished> {
        let done = self.core.finish(task, token, &completion, now).await?;
        if done == Finished::Again {
            self.wake();
        }
        Ok(done)
    }

    async fn fail(
        &self,
        task: &TaskKey,
        token: u64,
        failure: Failure,
        due: Timestamp,
    ) -> Result<()> {
        let step = |task| failed(task, failure.clone(), due);
        self.core.end_claim("fail", task, token, step).await?;
        self.wake();
        Ok(())
    }

    async fn release(&self, task: &TaskKey, token: u64, due: Timestamp) -> Result<()> {
        let step = |task| released(task, due);
        self.core.end_claim("release", task, token, step).await?;
        self.wake();
        Ok(())
    }

    async fn task(&self, task: &TaskKey) -> Result<Option<Task>> {
        self.core.task(task).await
    }

    async fn backlog(&self, rule: &str, destination: &str) -> Result<Backlog> {
        self.core.backlog(rule, destination).await
    }

    async fn failing(&self, rule: &str, destination: &str, limit: usize) -> Result<Vec<Task>> {
        self.core.failing(rule, destination, limit).await
    }

    async fn hurry(&self, rule: &str, destination: &str, now: Timestamp) -> Result<u64> {
        let hurried = self.core.hurry(rule, destination, now).await?;
        if hurried > 0 {
            self.wake();
        }
        Ok(hurried)
    }

    async fn open_pool(&self, attempt: &str, total: u32) -> Result<()> {
        self.core.open_pool(attempt, total).await
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
        let request = PartsRequest {
            attempt: attempt.to_owned(),
            worker: worker.to_owned(),
            limit,
            lease,
            duplicate_after,
            now,
        };
        self.core.claim_parts(&request).await
    }

    async fn finish_part(&self, attempt: &str, part: PartDone) -> Result<PoolState> {
        self.core.finish_part(attempt, &part).await
    }

    async fn release_part(&self, attempt: &str, worker: &str, number: u32) -> Result<()> {
        self.core.release_part(attempt, worker, number)
    }

    async fn parts(&self, attempt: &str) -> Result<Option<(u32, Vec<PartDone>)>> {
        self.core.parts(attempt).await
    }

    async fn close_pool(&self, attempt: &str) -> Result<()> {
        self.core.close_pool(attempt).await
    }

    async fn record_upload(&self, intent: UploadIntent) -> Result<()> {
        self.core.record_upload(&intent).await
    }

    async fn end_upload(&self, attempt: &str) -> Result<()> {
        self.core.end_upload(attempt).await
    }

    async fn uploads(&self, rule: &str, before: Timestamp) -> Result<Vec<UploadIntent>> {
        self.core.uploads(rule, before).await
    }

    async fn marks(
        &self,
        rule: &str,
        destination: &str,
        keys: &[ObjectKey],
    ) -> Result<Vec<Option<Mark>>> {
        self.core.marks(rule, destination, keys).await
    }

    async fn put_marks(
        &self,
        rule: &str,
        destination: &str,
        marks: Vec<(ObjectKey, Mark)>,
    ) -> Result<()> {
        self.core.put_marks(rule, destination, &marks).await
    }

    async fn tombstone(&self, task: &TaskKey) -> Result<Option<Tombstone>> {
        self.core.tombstone(task).await
    }

    async fn receipts_by_time(
        &self,
        rule: &str,
        from: Timestamp,
        limit: usize,
    ) -> Result<Vec<Receipt>> {
        self.core.receipts_by_time(rule, from, limit).await
    }

    async fn receipts_by_key(&self, task: &TaskKey, limit: usize) -> Result<Vec<Receipt>> {
        self.core.receipts_by_key(task, limit).await
    }

    async fn prune(&self, before: Timestamp) -> Result<u64> {
        self.core.prune(before).await
    }

    async fn cursor(&self, name: &str) -> Result<Option<serde_json::Value>> {
        self.core.cursor(name).await
    }

    async fn set_cursor(&self, name: &str, value: Option<serde_json::Value>) -> Result<()> {
        self.core.set_cursor(name, value.as_ref()).await
    }
}
