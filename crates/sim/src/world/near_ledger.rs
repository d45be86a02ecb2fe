//! A process's ledger, with the way to it, and with the observer listening to its answers.
//!
//! Where the ledger is the process's own (embedded, here in memory) its calls take time and go wrong here; where it is shared
//! they do so below, at the service's documents (`documents`), and this only listens.

use super::Sim;
use super::gate::{Fate, Gate};
use crate::fault::StateTrouble;
use crate::observer::ClaimChange;
use async_trait::async_trait;
use skyfresh_ledger::*;
use skyfresh_sky::{Clock, Distribution, Kind, ObjectKey, Rng, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// A call without an answer is given up after this.
pub(super) const UNANSWERED: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub(crate) struct NearLedger {
    pub(crate) inner: Arc<dyn Ledger>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) sim: Arc<Sim>,
    pub(crate) asker: String,
    /// What a call takes, where it is this ledger's own; `None`: it takes its time below.
    pub(crate) latency_ms: Option<Distribution>,
    pub(crate) draws: Rng,
}

struct Under {
    fate: Fate,
    trouble: Option<StateTrouble>,
}

impl NearLedger {
    async fn begin(&self, operation: &'static str) -> Result<Under> {
        let Some(latency_ms) = &self.latency_ms else {
            self.gate.pass().await;
            return Ok(Under {
                fate: Fate::Lives,
                trouble: None,
            });
        };
        let fate = self.gate.begin().await;
        let ms = latency_ms.sample(&self.draws).max(0.0);
        if ms >= 1.0 {
            let latency = Duration::from_secs_f64(ms / 1_000.0);
            self.sim.clock.sleep(latency).await;
        }
        let trouble = self.sim.injector.next_state();
        let out = self.sim.injector.state_is_out();
        if out || trouble == Some(StateTrouble::RequestLost) {
            return Err(self.lost(operation, fate).await);
        }
        if let Some(StateTrouble::Slow { ms }) = trouble {
            self.sim.clock.sleep(Duration::from_millis(ms.into())).await;
        }
        self.gate.pass().await;
        Ok(Under { fate, trouble })
    }

    async fn lost(&self, operation: &'static str, fate: Fate) -> Error {
        self.sim.clock.sleep(UNANSWERED).await;
        self.gate.end(fate).await;
        Error::new(Kind::RetryAfter, operation, "ledger", "no answer")
    }

    async fn end<T>(&self, operation: &'static str, under: Under, result: Result<T>) -> Result<T> {
        self.sim.note(format_args!(
            "{} {operation} {:?}",
            self.asker,
            result.as_ref().err().map(|error| error.kind)
        ));
        if under.trouble == Some(StateTrouble::AnswerLost) {
            return Err(self.lost(operation, under.fate).await);
        }
        self.gate.end(under.fate).await;
        result
    }
}

/// Calls the inner ledger's operation of this name, and tells the observer of what it answered, in the same instant.
macro_rules! call {
    ($self:ident . $name:ident ( $($argument:expr),* ) $(, |$answer:ident| $told:expr)?) => {{
        let under = $self.begin(stringify!($name)).await?;
        let result = $self.inner.$name($($argument),*).await;
        $(if let Ok($answer) = &result { $told; })?
        $self.end(stringify!($name), under, result).await
    }};
}

#[async_trait]
impl Ledger for NearLedger {
    async fn submit(&self, submissions: Vec<Submission>) -> Result<SubmitReport> {
        let told = submissions.clone();
        call!(self.submit(submissions), |_taken| self
            .sim
            .observer
            .submitted(self.sim.now(), &told))
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Vec<Claim>> {
        call!(self.claim(request), |claims| self
            .sim
            .observer
            .claimed(self.sim.now(), claims))
    }

    async fn next_due(&self, rule: &str, destination: &str) -> Result<Option<Timestamp>> {
        call!(self.next_due(rule, destination))
    }

    async fn claimed(&self, rule: &str, destination: &str) -> Result<Vec<ObjectKey>> {
        call!(self.claimed(rule, destination))
    }

    fn arrivals(&self) -> Listener {
        self.inner.arrivals()
    }

    fn poll_every(&self) -> Option<Duration> {
        self.inner.poll_every()
    }

    async fn renew(&self, task: &TaskKey, token: u64, expires: Timestamp) -> Result<()> {
        call!(self.renew(task, token, expires), |_done| {
            let now = self.sim.now();
            self.sim
                .observer
                .changed_claim(now, task, token, ClaimChange::Kept)
        })
    }

    async fn record_attempt(
        &self,
        task: &TaskKey,
        token: u64,
        attempt: Option<Attempt>,
    ) -> Result<()> {
        call!(self.record_attempt(task, token, attempt), |_done| {
            let now = self.sim.now();
            self.sim
                .observer
                .changed_claim(now, task, token, ClaimChange::Kept)
        })
    }

    async fn finish(
        &self,
        task: &TaskKey,
        token: u64,
        completion: Completion,
        now: Timestamp,
    ) -> Result<Finished> {
        let told = completion.clone();
        call!(self.finish(task, token, completion, now), |finished| {
            let now = self.sim.now();
            self.sim
                .observer
                .changed_claim(now, task, token, ClaimChange::Done);
            self.sim
                .observer
                .finished(now, task, token, &told, *finished)
        })
    }

    async fn fail(
        &self,
        task: &TaskKey,
        token: u64,
        failure: Failure,
        due: Timestamp,
    ) -> Result<()> {
        call!(self.fail(task, token, failure, due), |_done| {
            let now = self.sim.now();
            self.sim
                .observer
                .changed_claim(now, task, token, ClaimChange::GivenUp)
        })
    }

    async fn release(&self, task: &TaskKey, token: u64, due: Timestamp) -> Result<()> {
        call!(self.release(task, token, due), |_done| {
            let now = self.sim.now();
            self.sim
                .observer
                .changed_claim(now, task, token, ClaimChange::GivenUp)
        })
    }

    async fn task(&self, task: &TaskKey) -> Result<Option<Task>> {
        call!(self.task(task))
    }

    async fn backlog(&self, rule: &str, destination: &str) -> Result<Backlog> {
        call!(self.backlog(rule, destination))
    }

    async fn failing(&self, rule: &str, destination: &str, limit: usize) -> Result<Vec<Task>> {
        call!(self.failing(rule, destination, limit))
    }

    async fn hurry(&self, rule: &str, destination: &str, now: Timestamp) -> Result<u64> {
        call!(self.hurry(rule, destination, now))
    }

    async fn open_pool(&self, attempt: &str, total: u32) -> Result<()> {
        call!(self.open_pool(attempt, total))
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
        call!(self.claim_parts(attempt, worker, limit, lease, duplicate_after, now))
    }

    async fn finish_part(&self, attempt: &str, part: PartDone) -> Result<PoolState> {
        call!(self.finish_part(attempt, part))
    }

    async fn release_part(&self, attempt: &str, worker: &str, number: u32) -> Result<()> {
        call!(self.release_part(attempt, worker, number))
    }

    async fn parts(&self, attempt: &str) -> Result<Option<(u32, Vec<PartDone>)>> {
        call!(self.parts(attempt))
    }

    async fn close_pool(&self, attempt: &str) -> Result<()> {
        call!(self.close_pool(attempt))
    }

    async fn record_upload(&self, intent: UploadIntent) -> Result<()> {
        let told = intent.clone();
        call!(self.record_upload(intent), |_done| self
            .sim
            .observer
            .intended(&told))
    }

    async fn end_upload(&self, attempt: &str) -> Result<()> {
        call!(self.end_upload(attempt), |_done| self
            .sim
            .observer
            .intent_ended(attempt))
    }

    async fn uploads(&self, rule: &str, before: Timestamp) -> Result<Vec<UploadIntent>> {
        call!(self.uploads(rule, before))
    }

    async fn marks(
        &self,
        rule: &str,
        destination: &str,
        keys: &[ObjectKey],
    ) -> Result<Vec<Option<Mark>>> {
        call!(self.marks(rule, destination, keys))
    }

    async fn put_marks(
        &self,
        rule: &str,
        destination: &str,
        marks: Vec<(ObjectKey, Mark)>,
    ) -> Result<()> {
        call!(self.put_marks(rule, destination, marks))
    }

    async fn tombstone(&self, task: &TaskKey) -> Result<Option<Tombstone>> {
        call!(self.tombstone(task))
    }

    async fn receipts_by_time(
        &self,
        rule: &str,
        from: Timestamp,
        limit: usize,
    ) -> Result<Vec<Receipt>> {
        call!(self.receipts_by_time(rule, from, limit))
    }

    async fn receipts_by_key(&self, task: &TaskKey, limit: usize) -> Result<Vec<Receipt>> {
        call!(self.receipts_by_key(task, limit))
    }

    async fn prune(&self, before: Timestamp) -> Result<u64> {
        call!(self.prune(before))
    }

    async fn cursor(&self, name: &str) -> Result<Option<serde_json::Value>> {
        call!(self.cursor(name))
    }

    async fn set_cursor(&self, name: &str, value: Option<serde_json::Value>) -> Result<()> {
        call!(self.set_cursor(name, value))
    }
}
