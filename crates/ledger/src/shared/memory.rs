//! Documents in memory, with every fault that a service over a network has: for tests.

use super::{Condition, Document, DocumentId, Documents, Stamp, Written};
use crate::{Error, Result};
use async_trait::async_trait;
use skyfresh_sky::{Kind, Rng};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What goes wrong, and how often. Probabilities are per call; zero for all is a perfect service.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// A write takes effect, and its answer is lost.
    pub lost_answer: f64,
    /// A write does not take effect, and no answer comes: to the caller the same as a lost answer.
    pub lost_request: f64,
    /// A read fails.
    pub failed_read: f64,
    /// A call yields to others up to this many times, before or after it takes effect.
    pub yields: u64,
}

/// What was asked of the store, in the units that services charge by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Writes and removals, refused ones included.
    pub writes: u64,
    /// Of them, those that were refused.
    pub refused: u64,
    /// One for each write and begun KiB of the larger of the document before and after, as DynamoDB counts
    /// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html>).
    pub write_units: u64,
    /// Reads of one document, and scans.
    pub reads: u64,
    /// One for each read and begun 4 KiB (of all that a scan gives together), strongly consistent. Services charge a
    /// fifth of a write unit for one.
    pub read_units: u64,
}

/// A handle to documents in memory. [`MemoryDocuments::another`] makes a second one to the same documents with faults of its
/// own: another process.
#[derive(Debug)]
pub struct MemoryDocuments {
    state: Arc<Mutex<State>>,
    faults: Faults,
    rng: Rng,
    /// Writes until this handle's process dies; `None`: it does not.
    life: Mutex<Option<u64>>,
}

#[derive(Debug, Default)]
struct State {
    documents: BTreeMap<DocumentId, (Vec<u8>, u64)>,
    newest_stamp: u64,
    usage: Usage,
}

impl MemoryDocuments {
    /// No documents, no faults.
    pub fn new() -> Self {
        MemoryDocuments {
            state: Arc::default(),
            faults: Faults::default(),
            rng: Rng::seeded(0),
            life: Mutex::new(None),
        }
    }

    /// Another handle to the same documents, with its own faults, drawn from `rng`.
    pub fn another(&self, faults: Faults, rng: Rng) -> Self {
        MemoryDocuments {
            state: Arc::clone(&self.state),
            faults,
            rng,
            life: Mutex::new(None),
        }
    }

    /// This handle's process dies right after its `writes`-th write from now has taken effect: every later call fails, with
    /// [`Kind::Internal`].
    pub fn crash_after(&self, writes: u64) {
        *self.life.lock().unwrap_or_else(PoisonError::into_inner) = Some(writes);
    }

    /// Whether the process of this handle has died.
    pub fn has_crashed(&self) -> bool {
        *self.life.lock().unwrap_or_else(PoisonError::into_inner) == Some(0)
    }

    /// What all handles have asked for so far.
    pub fn usage(&self) -> Usage {
        self.lock().usage
    }

    /// How many documents there are in partitions that begin with `prefix`.
    pub fn count(&self, prefix: &str) -> usize {
        let state = self.lock();
        let ids = state.documents.keys();
        ids.filter(|id| id.partition.starts_with(prefix)).count()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn pause(&self) {
        for _ in 0..self.rng.below(self.faults.yields + 1) {
            tokio::task::yield_now().await;
        }
    }

    fn alive(&self, operation: &'static str, target: &str) -> Result<()> {
        if self.has_crashed() {
            return Err(Error::new(
                Kind::Internal,
                operation,
                target,
                "this process is dead",
            ));
        }
        Ok(())
    }

    /// Counts down to the crash. False: the process has died before it could write.
    fn live_on(&self) -> bool {
        let mut life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *life {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }

    async fn write(
        &self,
        operation: &'static str,
        id: &DocumentId,
        body: Option<Vec<u8>>,
        condition: Condition,
    ) -> Result<Written> {
        let lost = |why| Err(Error::new(Kind::RetryAfter, operation, &id.partition, why));
        self.pause().await;
        self.alive(operation, &id.partition)?;
        if self.rng.chance(self.faults.lost_request) {
            return lost("the connection was lost");
        }
        if !self.live_on() {
            return self
                .alive(operation, &id.partition)
                .and(Ok(Written::Refused));
        }
        let written = self.lock().write(id, body, condition);
        self.pause().await;
        self.alive(operation, &id.partition)?;
        if self.rng.chance(self.faults.lost_answer) {
            return lost("the answer was lost");
        }
        Ok(written)
    }

    async fn before_read(&self, partition: &str) -> Result<()> {
        self.pause().await;
        self.alive("read", partition)?;
        if self.rng.chance(self.faults.failed_read) {
            let why = "the connection was lost";
            return Err(Error::new(Kind::RetryAfter, "read", partition, why));
        }
        Ok(())
    }
}

impl Default for MemoryDocuments {
    fn default() -> Self {
        Self::new()
    }
}

/// What DynamoDB adds to a document's own bytes, roughly: names of attributes and the stamp.
const OVERHEAD_BYTES: usize = 64;

fn stored_bytes(id: &DocumentId, body: &[u8]) -> usize {
    id.partition.len() + id.sort.len() + body.len() + OVERHEAD_BYTES
}

impl State {
    fn write(&mut self, id: &DocumentId, body: Option<Vec<u8>>, condition: Condition) -> Written {
        let found = self.documents.get(id);
        let larger = found
            .map(|(body, _)| body)
            .into_iter()
            .chain(&body)
            .map(|body| stored_bytes(id, body))
            .max();
        self.usage.writes += 1;
        self.usage.write_units += larger.unwrap_or(1).div_ceil(1 << 10) as u64;
        let holds = match &condition {
            Condition::Any => true,
            Condition::Absent => found.is_none(),
            Condition::Unchanged(stamp) => found.is_some_and(|(_, held)| stamp_of(*held) == *stamp),
        };
        if !holds {
            self.usage.refused += 1;
            return Written::Refused;
        }
        let Some(body) = body else {
            self.documents.remove(id);
            return Written::Done(None);
        };
        self.newest_stamp += 1;
        self.documents.insert(id.clone(), (body, self.newest_stamp));
        Written::Done(Some(stamp_of(self.newest_stamp)))
    }

    fn read(&mut self, found: &[Document]) {
        let bytes: usize = found
            .iter()
            .map(|document| document.sort.len() + document.body.len() + OVERHEAD_BYTES)
            .sum();
        self.usage.reads += 1;
        self.usage.read_units += bytes.max(1).div_ceil(4 << 10) as u64;
    }
}

fn stamp_of(number: u64) -> Stamp {
    Stamp(number.to_string())
}

fn document(id: &DocumentId, (body, stamp): &(Vec<u8>, u64)) -> Document {
    Document {
        sort: id.sort.clone(),
        body: body.clone(),
        stamp: stamp_of(*stamp),
    }
}

#[async_trait]
impl Documents for MemoryDocuments {
    async fn get(&self, id: &DocumentId) -> Result<Option<Document>> {
        self.before_read(&id.partition).await?;
        let found = {
            let mut state = self.lock();
            let found = state.documents.get(id).map(|found| document(id, found));
            state.read(found.as_slice());
            found
        };
        self.pause().await;
        self.alive("get", &id.partition)?;
        Ok(found)
    }

    async fn put(&self, id: &DocumentId, body: Vec<u8>, condition: Condition) -> Result<Written> {
        self.write("put", id, Some(body), condition).await
    }

    async fn delete(&self, id: &DocumentId, condition: Condition) -> Result<Written> {
        self.write("delete", id, None, condition).await
    }

    async fn scan(
        &self,
        partition: &str,
        from: &[u8],
        to: &[u8],
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<Document>> {
        self.before_read(partition).await?;
        let found: Vec<_> = if from < to {
            let bound = |sort: &[u8]| DocumentId {
                partition: partition.to_owned(),
                sort: sort.to_vec(),
            };
            let mut state = self.lock();
            let range = (Bound::Included(bound(from)), Bound::Excluded(bound(to)));
            let rows = state.documents.range(range);
            let rows = rows.map(|(id, found)| document(id, found));
            let found: Vec<_> = if reverse {
                rows.rev().take(limit).collect()
            } else {
                rows.take(limit).collect()
            };
            state.read(&found);
            found
        } else {
            Vec::new()
        };
        self.pause().await;
        self.alive("scan", partition)?;
        Ok(found)
    }
}
