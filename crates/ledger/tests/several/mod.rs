//! Several handles on one store of documents, as several processes have them, behind one seam: each call goes to the next.

use async_trait::async_trait;
use skyfresh_ledger::shared::{Documents, Settings, SharedLedger};
use skyfresh_ledger::*;
use skyfresh_sky::{ObjectKey, Rng, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// See the module's head. A worker stays with one handle, since it lives in one process.
#[derive(Debug)]
pub(crate) struct Several {
    handles: Vec<SharedLedger>,
    calls: AtomicUsize,
}

impl Several {
    /// So many handles on the same documents.
    pub(crate) async fn open(documents: Arc<dyn Documents>, handles: u64) -> Self {
        let mut opened = Vec::new();
        for seed in 0..handles {
            let documents = Arc::clone(&documents);
            let rng = Rng::seeded(seed);
            let settings = Settings {
                busy_scan_interval: Duration::ZERO,
                ..Settings::default()
            };
            let handle = SharedLedger::open(documents, settings, rng);
            opened.push(handle.await.unwrap());
        }
        Several {
            handles: opened,
            calls: AtomicUsize::new(0),
        }
    }

    fn next(&self) -> &SharedLedger {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        &self.handles[call % self.handles.len()]
    }

    fn of(&self, worker: &str) -> &SharedLedger {
        let sum: usize = worker.bytes().map(usize::from).sum();
        &self.handles[sum % self.handles.len()]
    }
}

macro_rules! pass_on {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)+) => {
        #[async_trait]
        impl Ledger for Several {
            $(async fn $name(&self, $($argument: $type),*) -> $answer {
                self.next().$name($($argument),*).await
            })+

            fn arrivals(&self) -> Listener {
                self.next().arrivals()
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
                let handle = self.of(worker);
                handle.claim_parts(attempt, worker, limit, lease, duplicate_after, now).await
            }

            /// The suite's workers sign their parts.
            async fn finish_part(&self, attempt: &str, part: PartDone) -> Result<PoolState> {
                self.of(&part.etag).finish_part(attempt, part).await
            }

            async fn release_part(&self, attempt: &str, worker: &str, number: u32) -> Result<()> {
                self.of(worker).release_part(attempt, worker, number).await
            }
        }
    };
}

pass_on! {
    fn submit(submissions: Vec<Submission>) -> Result<SubmitReport>;
    fn claim(request: ClaimRequest) -> Result<Vec<Claim>>;
    fn claimed(rule: &str, destination: &str) -> Result<Vec<ObjectKey>>;
    fn next_due(rule: &str, destination: &str) -> Result<Option<Timestamp>>;
    fn renew(task: &TaskKey, token: u64, expires: Timestamp) -> Result<()>;
    fn record_attempt(task: &TaskKey, token: u64, attempt: Option<Attempt>) -> Result<()>;
    fn finish(task: &TaskKey, token: u64, completion: Completion, now: Timestamp) -> Result<Finished>;
    fn fail(task: &TaskKey, token: u64, failure: Failure, due: Timestamp) -> Result<()>;
    fn release(task: &TaskKey, token: u64, due: Timestamp) -> Result<()>;
    fn task(task: &TaskKey) -> Result<Option<Task>>;
    fn backlog(rule: &str, destination: &str) -> Result<Backlog>;
    fn failing(rule: &str, destination: &str, limit: usize) -> Result<Vec<Task>>;
    fn hurry(rule: &str, destination: &str, now: Timestamp) -> Result<u64>;
    fn open_pool(attempt: &str, total: u32) -> Result<()>;
    fn parts(attempt: &str) -> Result<Option<(u32, Vec<PartDone>)>>;
    fn close_pool(attempt: &str) -> Result<()>;
    fn record_upload(intent: UploadIntent) -> Result<()>;
    fn end_upload(attempt: &str) -> Result<()>;
    fn uploads(rule: &str, before: Timestamp) -> Result<Vec<UploadIntent>>;
    fn marks(rule: &str, destination: &str, keys: &[ObjectKey]) -> Result<Vec<Option<Mark>>>;
    fn put_marks(rule: &str, destination: &str, marks: Vec<(ObjectKey, Mark)>) -> Result<()>;
    fn tombstone(task: &TaskKey) -> Result<Option<Tombstone>>;
    fn receipts_by_time(rule: &str, from: Timestamp, limit: usize) -> Result<Vec<Receipt>>;
    fn receipts_by_key(task: &TaskKey, limit: usize) -> Result<Vec<Receipt>>;
    fn prune(before: Timestamp) -> Result<u64>;
    fn cursor(name: &str) -> Result<Option<serde_json::Value>>;
    fn set_cursor(name: &str, value: Option<serde_json::Value>) -> Result<()>;
}
