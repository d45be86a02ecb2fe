//! A ledger whose writes of signals, or reads of the backlog, fail on demand.

use async_trait::async_trait;
use skyfresh_ledger::*;
use skyfresh_sky::{Kind, ObjectKey, Timestamp};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Memory, and two switches.
#[derive(Debug, Default)]
pub struct FailingLedger {
    inner: MemoryLedger,
    pub refuse_signals: AtomicBool,
    pub refuse_reads: AtomicBool,
}

fn refuse(switch: &AtomicBool, operation: &'static str) -> Result<()> {
    match switch.load(Ordering::SeqCst) {
        // Not the kind of passing trouble: the sender must keep its notification whatever the kind.
        true => Err(Error::new(
            Kind::Internal,
            operation,
            "ledger.redb",
            "no space left on device",
        )),
        false => Ok(()),
    }
}

macro_rules! delegate {
    ($($(#[$guard:ident])? fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        #[async_trait]
        impl Ledger for FailingLedger {
            fn arrivals(&self) -> skyfresh_ledger::Listener {
                self.inner.arrivals()
            }
            $(async fn $name(&self, $($argument: $type),*) -> Result<$result> {
                $(refuse(&self.$guard, stringify!($name))?;)?
                self.inner.$name($($argument),*).await
            })*
        }
    };
}

delegate! {
    #[refuse_signals] fn submit(submissions: Vec<Submission>) -> SubmitReport;
    fn claim(request: ClaimRequest) -> Vec<Claim>;
    fn claimed(rule: &str, destination: &str) -> Vec<ObjectKey>;
    fn next_due(rule: &str, destination: &str) -> Option<Timestamp>;
    fn renew(task: &TaskKey, token: u64, expires: Timestamp) -> ();
    fn record_attempt(task: &TaskKey, token: u64, attempt: Option<Attempt>) -> ();
    fn finish(task: &TaskKey, token: u64, completion: Completion, now: Timestamp) -> Finished;
    fn fail(task: &TaskKey, token: u64, failure: Failure, due: Timestamp) -> ();
    fn release(task: &TaskKey, token: u64, due: Timestamp) -> ();
    fn task(task: &TaskKey) -> Option<Task>;
    #[refuse_reads] fn backlog(rule: &str, destination: &str) -> Backlog;
    fn failing(rule: &str, destination: &str, limit: usize) -> Vec<Task>;
    fn hurry(rule: &str, destination: &str, now: Timestamp) -> u64;
    fn open_pool(attempt: &str, total: u32) -> ();
    fn claim_parts(
        attempt: &str, worker: &str, limit: usize, lease: Duration, duplicate_after: Duration, now: Timestamp
    ) -> Vec<PartClaim>;
    fn finish_part(attempt: &str, part: PartDone) -> PoolState;
    fn release_part(attempt: &str, worker: &str, number: u32) -> ();
    fn parts(attempt: &str) -> Option<(u32, Vec<PartDone>)>;
    fn close_pool(attempt: &str) -> ();
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
