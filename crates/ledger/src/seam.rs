//! The seam: the operations the engine needs, and no more.

use crate::model::*;
use crate::{Listener, Result};
use async_trait::async_trait;
use skyfresh_sky::{ObjectKey, Timestamp};
use std::time::Duration;

/// Which tasks to claim, for whom, for how long.
#[derive(Clone, Debug)]
pub struct ClaimRequest {
    /// The rule.
    pub rule: String,
    /// The destination.
    pub destination: String,
    /// Who claims: one incarnation of one process.
    pub owner: String,
    /// For how long, unless renewed.
    pub lease: Duration,
    /// At most this many.
    pub limit: usize,
    /// The caller's clock.
    pub now: Timestamp,
}

/// Shared state. Every call is atomic and durable when it returns; every change of a claimed task gives the claim's token
/// and is refused as stale ([`Error::is_stale`](crate::Error::is_stale)) where a newer one exists or the task is gone.
///
/// Three calls work in steps, each atomic and durable, so that a long one does not hold up the others: [`Ledger::hurry`],
/// [`Ledger::put_marks`] and [`Ledger::prune`]. Repeating one that was interrupted does the rest.
///
/// A call whose future is dropped may still take effect, as may one that fails with
/// [`Kind::RetryAfter`](skyfresh_sky::Kind::RetryAfter).
#[async_trait]
pub trait Ledger: Send + Sync + std::fmt::Debug {
    // --- tasks ---------------------------------------------------------------------------------------------------

    /// Records signals. New key: a task due since `notified`. Unclaimed task: the newest signal (by `changed`) replaces the
    /// older one, the oldest `changed_since`/`pending_since` stay, and a backoff stays. Claimed task: marked dirty (the oldest
    /// dirty `changed` and `notified` stay, so that lag is counted from the first uncovered change).
    ///
    /// Where a [`Origin::Backfill`] signal meets another, the result has the other's origin and lag is counted from the other's
    /// change: an object may have been there for years when the first sweep found it.
    async fn submit(&self, submissions: Vec<Submission>) -> Result<SubmitReport>;

    /// Claims due tasks without a live lease, longest due first. A lease of an earlier incarnation that is known to be dead
    /// counts as expired.
    async fn claim(&self, request: ClaimRequest) -> Result<Vec<Claim>>;

    /// The earliest time at which [`Ledger::claim`] could return something: the earliest due time or lease expiry.
    async fn next_due(&self, rule: &str, destination: &str) -> Result<Option<Timestamp>>;

    /// The keys of a destination that are claimed, whoever holds them, and whether or not the lease has run out.
    async fn claimed(&self, rule: &str, destination: &str) -> Result<Vec<ObjectKey>>;

    /// Changes whenever a task may have become claimable through this process, so that nobody polls.
    fn arrivals(&self) -> Listener;

    /// How often to look for what other processes did, where several share this ledger: they ring no bell here. `None` where
    /// this process is the only one.
    fn poll_every(&self) -> Option<Duration> {
        None
    }

    /// Extends a claim's lease to `expires`.
    async fn renew(&self, task: &TaskKey, token: u64, expires: Timestamp) -> Result<()>;

    /// Records the transfer under way (`None`: there is none any more).
    async fn record_attempt(
        &self,
        task: &TaskKey,
        token: u64,
        attempt: Option<Attempt>,
    ) -> Result<()>;

    /// Ends a claim with success: receipt, mark and tombstone are written, the task is removed or, if dirty, due again now
    /// (with a fresh failure count and no attempt).
    async fn finish(
        &self,
        task: &TaskKey,
        token: u64,
        completion: Completion,
        now: Timestamp,
    ) -> Result<Finished>;

    /// Ends a claim with a failure: due again at `due`. A dirty mark is merged into the task's signal.
    async fn fail(
        &self,
        task: &TaskKey,
        token: u64,
        failure: Failure,
        due: Timestamp,
    ) -> Result<()>;

    /// Ends a claim without a verdict (shutdown, pause, batching): due again at `due`, failures unchanged.
    async fn release(&self, task: &TaskKey, token: u64, due: Timestamp) -> Result<()>;

    /// One task, if pending.
    async fn task(&self, task: &TaskKey) -> Result<Option<Task>>;

    /// What is pending for a destination. Cheap: kept as counters.
    async fn backlog(&self, rule: &str, destination: &str) -> Result<Backlog>;

    /// Pending tasks whose last attempt failed, for people: at most `limit`.
    async fn failing(&self, rule: &str, destination: &str, limit: usize) -> Result<Vec<Task>>;

    /// Makes every pending task of a destination due now (after credentials or permissions changed). Returns how many.
    async fn hurry(&self, rule: &str, destination: &str, now: Timestamp) -> Result<u64>;

    // --- part pools ----------------------------------------------------------------------------------------------

    /// Opens a pool of parts `1..=total` for an attempt. Opening an open pool of the same size changes nothing.
    ///
    /// # Errors
    /// [`Kind::Invalid`](skyfresh_sky::Kind::Invalid) where `total` is 0 or the pool is open with another size.
    async fn open_pool(&self, attempt: &str, total: u32) -> Result<()>;

    /// Claims up to `limit` parts nobody holds (never held, or the lease ran out). When there are none, one part held by
    /// another worker is given out as a duplicate: the one claimed longest ago, at least `duplicate_after` ago, with fewer
    /// than two holders. Empty: nothing to do now.
    ///
    /// # Errors
    /// [`Kind::Missing`](skyfresh_sky::Kind::Missing) where the pool is closed: the attempt is over.
    async fn claim_parts(
        &self,
        attempt: &str,
        worker: &str,
        limit: usize,
        lease: Duration,
        duplicate_after: Duration,
        now: Timestamp,
    ) -> Result<Vec<PartClaim>>;

    /// Records a part as done; the first result for a number wins, repeats change nothing.
    async fn finish_part(&self, attempt: &str, part: PartDone) -> Result<PoolState>;

    /// Gives a part back that a worker could not copy. One that it does not hold, or of a closed pool, is left alone.
    async fn release_part(&self, attempt: &str, worker: &str, number: u32) -> Result<()>;

    /// All parts done so far, by number; `None` where there is no such pool.
    async fn parts(&self, attempt: &str) -> Result<Option<(u32, Vec<PartDone>)>>;

    /// Removes a pool.
    async fn close_pool(&self, attempt: &str) -> Result<()>;

    // --- upload journal ------------------------------------------------------------------------------------------

    /// Writes or replaces the intent of an attempt.
    async fn record_upload(&self, intent: UploadIntent) -> Result<()>;

    /// Removes the intent: the upload was completed or aborted.
    async fn end_upload(&self, attempt: &str) -> Result<()>;

    /// Intents of a rule written before `before`, oldest first, at most 10,000.
    async fn uploads(&self, rule: &str, before: Timestamp) -> Result<Vec<UploadIntent>>;

    // --- memory of what was done ---------------------------------------------------------------------------------

    /// The marks of these keys, in order.
    async fn marks(
        &self,
        rule: &str,
        destination: &str,
        keys: &[ObjectKey],
    ) -> Result<Vec<Option<Mark>>>;

    /// Sets marks found by comparing the stores (rebuild).
    async fn put_marks(
        &self,
        rule: &str,
        destination: &str,
        marks: Vec<(ObjectKey, Mark)>,
    ) -> Result<()>;

    /// A key's tombstone.
    async fn tombstone(&self, task: &TaskKey) -> Result<Option<Tombstone>>;

    /// Receipts of a rule published at or after `from`, oldest first, at most `limit`.
    async fn receipts_by_time(
        &self,
        rule: &str,
        from: Timestamp,
        limit: usize,
    ) -> Result<Vec<Receipt>>;

    /// Receipts of one key at one destination, newest first, at most `limit`.
    async fn receipts_by_key(&self, task: &TaskKey, limit: usize) -> Result<Vec<Receipt>>;

    /// Removes receipts and tombstones older than `before`. Returns how many rows went. Bounded work per call (10,000 rows).
    async fn prune(&self, before: Timestamp) -> Result<u64>;

    // --- cursors -------------------------------------------------------------------------------------------------

    /// A small named value, e.g. where a sweep stands.
    async fn cursor(&self, name: &str) -> Result<Option<serde_json::Value>>;

    /// Sets or (`None`) removes a named value.
    async fn set_cursor(&self, name: &str, value: Option<serde_json::Value>) -> Result<()>;
}
