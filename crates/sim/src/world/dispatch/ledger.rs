//! A ledger that gives parts out in another way than the one beneath it, and passes on everything else.

use super::{Dispatch, Dispatcher};
use async_trait::async_trait;
use skyfresh_ledger::*;
use skyfresh_sky::{Kind, ObjectKey, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// Longer than any run: a part of this age is never duplicated.
const NEVER: Duration = Duration::from_secs(u32::MAX as u64);

/// See the module.
#[derive(Debug)]
pub(crate) struct DispatchLedger {
    inner: Arc<dyn Ledger>,
    dispatcher: Arc<Dispatcher>,
}

impl DispatchLedger {
    /// In front of `inner`; `inner` itself where parts are given out as the engine does.
    pub(crate) fn before(inner: Arc<dyn Ledger>, dispatcher: &Arc<Dispatcher>) -> Arc<dyn Ledger> {
        match dispatcher.way {
            Dispatch::PullAndDuplicate => inner,
            _ => Arc::new(DispatchLedger {
                inner,
                dispatcher: Arc::clone(dispatcher),
            }),
        }
    }

    fn has_shares(&self) -> bool {
        matches!(self.dispatcher.way, Dispatch::Equal | Dispatch::Counter)
    }
}

/// Workers of a plan as an attempt records it; `None` where it has no parts, or was discarded.
fn workers(attempt: &Attempt) -> Option<u32> {
    let workers = &attempt.plan["strategy"]["multipart"]["workers"];
    u32::try_from(workers.as_u64()?).ok()
}

macro_rules! pass_on {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)+) => {
        #[async_trait]
        impl Ledger for DispatchLedger {
            $(async fn $name(&self, $($argument: $type),*) -> Result<$answer> {
                self.inner.$name($($argument),*).await
            })+

            fn arrivals(&self) -> Listener {
                self.inner.arrivals()
            }

            fn poll_every(&self) -> Option<Duration> {
                self.inner.poll_every()
            }

            async fn record_attempt(
                &self,
                task: &TaskKey,
                token: u64,
                attempt: Option<Attempt>,
            ) -> Result<()> {
                let planned = attempt.as_ref().and_then(|it| Some((it.id.clone(), workers(it)?)));
                self.inner.record_attempt(task, token, attempt).await?;
                if let Some((attempt, workers)) = planned {
                    self.dispatcher.planned(&attempt, workers);
                }
                Ok(())
            }

            async fn open_pool(&self, attempt: &str, total: u32) -> Result<()> {
                self.inner.open_pool(attempt, total).await?;
                self.dispatcher.opened(attempt, total);
                Ok(())
            }

            async fn claim_parts(
                &self,
                attempt: &str,
                worker: &str,
                limit: usize,
                lease: Duration,
                _duplicate_after: Duration,
                now: Timestamp,
            ) -> Result<Vec<PartClaim>> {
                let own = self.dispatcher.take_own(attempt, worker, limit);
                let plain = |number| PartClaim { number, duplicate: false };
                let mut claims: Vec<_> = own.into_iter().map(plain).collect();
                // A share needs no claims; a counter and a pool are asked.
                if claims.len() < limit && self.dispatcher.way != Dispatch::Equal {
                    let more = limit - claims.len();
                    let given = self.inner.claim_parts(attempt, worker, more, lease, NEVER, now).await?;
                    self.dispatcher.given(attempt, worker, given.iter().map(|claim| claim.number));
                    claims.extend(given);
                }
                if claims.is_empty() && self.has_shares() && self.dispatcher.is_idle(attempt, worker) {
                    // What a worker hears of a closed pool: it ends. Others may still be at theirs.
                    let why = "nothing is left for this worker";
                    return Err(Error::new(Kind::Missing, "claim_parts", attempt, why));
                }
                Ok(claims)
            }

            async fn finish_part(&self, attempt: &str, part: PartDone) -> Result<PoolState> {
                let number = part.number;
                let state = self.inner.finish_part(attempt, part).await?;
                self.dispatcher.done(attempt, number);
                Ok(state)
            }

            async fn release_part(&self, attempt: &str, worker: &str, number: u32) -> Result<()> {
                if self.has_shares() {
                    self.dispatcher.returned(attempt, worker, number);
                    return Ok(());
                }
                self.inner.release_part(attempt, worker, number).await
            }

            async fn close_pool(&self, attempt: &str) -> Result<()> {
                self.dispatcher.closed(attempt);
                self.inner.close_pool(attempt).await
            }
        }
    };
}

pass_on! {
    fn submit(submissions: Vec<Submission>) -> SubmitReport;
    fn claim(request: ClaimRequest) -> Vec<Claim>;
    fn next_due(rule: &str, destination: &str) -> Option<Timestamp>;
    fn claimed(rule: &str, destination: &str) -> Vec<ObjectKey>;
    fn renew(task: &TaskKey, token: u64, expires: Timestamp) -> ();
    fn finish(task: &TaskKey, token: u64, completion: Completion, now: Timestamp) -> Finished;
    fn fail(task: &TaskKey, token: u64, failure: Failure, due: Timestamp) -> ();
    fn release(task: &TaskKey, token: u64, due: Timestamp) -> ();
    fn task(task: &TaskKey) -> Option<Task>;
    fn backlog(rule: &str, destination: &str) -> Backlog;
    fn failing(rule: &str, destination: &str, limit: usize) -> Vec<Task>;
    fn hurry(rule: &str, destination: &str, now: Timestamp) -> u64;
    fn parts(attempt: &str) -> Option<(u32, Vec<PartDone>)>;
    fn record_upload(intent: UploadIntent) -> ();
    fn end_upload(attempt: &str) -> ();
    fn uploads(rule: &str, before: Timestamp) -> Vec<UploadIntent>;
    fn marks(rule: &str, destination: &str, keys: &[ObjectKey]) -> Vec<Option<Mark>>;
    fn put_marks(rule: &str, destination: &str, marks: Vec<(ObjectKey, Mark)>) -> ();
    fn tombstone(task: &TaskKey) -> Option<Tombstone>;
    fn receipts_by_time(rule: &str, from: Timestamp, limit: usize) -> Vec<Receipt>;
    fn receipts_by_key(task: &TaskKey, limit: usize) -> Vec<Receipt>;
    fn prune(before: Timestamp) -> u64;
    fn cursor(name: &str) -> Option<serde_json::Value>;
    fn set_cursor(name: &str, value: Option<serde_json::Value>) -> ();
}
