//! A shared ledger's service, far away: every call takes time, costs units of its partition, and may get no answer.

use super::Sim;
use super::gate::Gate;
use super::near_ledger::UNANSWERED;
use super::way::Budget;
use crate::fault::StateTrouble;
use async_trait::async_trait;
use skyfresh_ledger::shared::{
    Condition, Document, DocumentId, Documents, MemoryDocuments, Written,
};
use skyfresh_ledger::{Error, Result};
use skyfresh_sky::{Clock, Distribution, Kind, Rng};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What all processes see of the service.
#[derive(Debug)]
pub(crate) struct ServiceModel {
    pub(crate) documents: MemoryDocuments,
    pub(crate) latency_ms: Distribution,
    /// Writes a second of one partition; `None`: no limit.
    pub(crate) partition_writes_per_s: Option<f64>,
    partitions: Mutex<HashMap<String, Budget>>,
}

/// Partitions whose use is remembered at once.
const MOST_PARTITIONS: usize = 10_000;

impl ServiceModel {
    pub(crate) fn new(latency_ms: Distribution, partition_writes_per_s: Option<f64>) -> Self {
        ServiceModel {
            documents: MemoryDocuments::new(),
            latency_ms,
            partition_writes_per_s,
            partitions: Mutex::default(),
        }
    }

    fn admit(&self, partition: &str, now_ns: u64) -> bool {
        let Some(per_s) = self.partition_writes_per_s else {
            return true;
        };
        let mut partitions = self
            .partitions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if partitions.len() >= MOST_PARTITIONS {
            partitions.clear();
        }
        let budget = partitions.entry(partition.to_owned());
        budget.or_insert_with(|| Budget::new(per_s)).take(now_ns)
    }
}

/// One process's connection to the service.
#[derive(Debug)]
pub(crate) struct FarDocuments {
    pub(crate) service: Arc<ServiceModel>,
    pub(crate) inner: MemoryDocuments,
    pub(crate) gate: Arc<Gate>,
    pub(crate) sim: Arc<Sim>,
    pub(crate) draws: Rng,
}

impl FarDocuments {
    async fn call<T>(
        &self,
        operation: &'static str,
        partition: &str,
        writes: bool,
        effect: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let fate = self.gate.begin().await;
        let (service, clock) = (&self.service, &self.sim.clock);
        let latency = service.latency_ms.sample(&self.draws).max(0.0) / 2_000.0;
        let half = Duration::from_secs_f64(latency);
        clock.sleep(half).await;
        let trouble = self.sim.injector.next_state();
        let lost = || Error::new(Kind::RetryAfter, operation, partition, "no answer");
        if self.sim.injector.state_is_out() || trouble == Some(StateTrouble::RequestLost) {
            clock.sleep(UNANSWERED).await;
            self.gate.end(fate).await;
            return Err(lost());
        }
        if let Some(StateTrouble::Slow { ms }) = trouble {
            clock.sleep(Duration::from_millis(ms.into())).await;
        }
        if writes && !service.admit(partition, clock.monotonic_ns()) {
            clock.sleep(half).await;
            self.gate.end(fate).await;
            let why = "the partition is written too often";
            return Err(Error::new(Kind::RetryAfter, operation, partition, why));
        }
        let before = self.inner.usage();
        let answer = effect.await;
        let after = self.inner.usage();
        self.sim.meter.state(
            after.write_units - before.write_units,
            after.read_units - before.read_units,
        );
        self.sim.note(format_args!(
            "{operation} {partition} {:?}",
            answer.as_ref().err().map(|error| error.kind)
        ));
        if trouble == Some(StateTrouble::AnswerLost) {
            clock.sleep(UNANSWERED).await;
            self.gate.end(fate).await;
            return Err(lost());
        }
        clock.sleep(half).await;
        self.gate.end(fate).await;
        answer
    }
}

#[async_trait]
impl Documents for FarDocuments {
    async fn get(&self, id: &DocumentId) -> Result<Option<Document>> {
        let effect = self.inner.get(id);
        self.call("get", &id.partition, false, effect).await
    }

    async fn put(&self, id: &DocumentId, body: Vec<u8>, condition: Condition) -> Result<Written> {
        let effect = self.inner.put(id, body, condition);
        self.call("put", &id.partition, true, effect).await
    }

    async fn delete(&self, id: &DocumentId, condition: Condition) -> Result<Written> {
        let effect = self.inner.delete(id, condition);
        self.call("delete", &id.partition, true, effect).await
    }

    async fn scan(
        &self,
        partition: &str,
        from: &[u8],
        to: &[u8],
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<Document>> {
        let effect = self.inner.scan(partition, from, to, reverse, limit);
        self.call("scan", partition, false, effect).await
    }
}
