//! What is remembered of a key: its mark and its tombstone, in one document, so that a finished claim writes at most one.

use super::bodies::Memory;
use super::core::{AT_ONCE, Core, delete_any, put_any};
use super::names::Lane;
use super::{Condition, Stamp, Written};
use crate::model::*;
use crate::{Error, Result};
use futures::{StreamExt, TryStreamExt};
use skyfresh_sky::{Kind, ObjectKey, Timestamp};

/// Conditional writes of one document that are tried before giving up.
const TRIES: usize = 16;

impl Core {
    async fn memory(
        &self,
        operation: &'static str,
        lane: &Lane,
        key: &ObjectKey,
    ) -> Result<(Memory, Option<Stamp>)> {
        let id = lane.memory(key);
        match self.documents.get(&id).await? {
            None => Ok((Memory::default(), None)),
            Some(found) => Ok((
                Memory::decode(operation, &id.sort, &found.body)?,
                Some(found.stamp),
            )),
        }
    }

    /// Replaces all that is remembered of a key. Where that is nothing, which is so for most keys, a read saves the write.
    pub(crate) async fn set_memory(
        &self,
        operation: &'static str,
        lane: &Lane,
        key: &ObjectKey,
        memory: &Memory,
    ) -> Result<()> {
        let id = lane.memory(key);
        match memory.encode(operation)? {
            Some(body) => put_any(&*self.documents, &id, body).await,
            None if self.documents.get(&id).await?.is_none() => Ok(()),
            None => delete_any(&*self.documents, &id).await,
        }
    }

    /// Changes what is remembered of a key. False: there was nothing to change.
    async fn change_memory(
        &self,
        operation: &'static str,
        lane: &Lane,
        key: &ObjectKey,
        step: impl Fn(Memory) -> Memory,
    ) -> Result<bool> {
        let id = lane.memory(key);
        let mut lost = false;
        for _ in 0..TRIES {
            let (memory, stamp) = self.memory(operation, lane, key).await?;
            let after = step(memory.clone());
            if after == memory {
                return Ok(lost);
            }
            let condition = stamp.map_or(Condition::Absent, Condition::Unchanged);
            let written = match after.encode(operation)? {
                Some(body) => self.documents.put(&id, body, condition).await,
                None => self.documents.delete(&id, condition).await,
            };
            match written {
                Ok(Written::Done(_)) => return Ok(true),
                Ok(Written::Refused) => {}
                Err(error) if error.kind == Kind::RetryAfter && !lost => lost = true,
                Err(error) => return Err(error),
            }
        }
        let why = "others keep changing it; try again";
        let target = lane.key(key.clone()).to_string();
        Err(Error::new(Kind::RetryAfter, operation, target, why))
    }

    /// See [`Ledger::marks`](crate::Ledger::marks).
    pub(crate) async fn marks(
        &self,
        rule: &str,
        destination: &str,
        keys: &[ObjectKey],
    ) -> Result<Vec<Option<Mark>>> {
        let lane = &Lane::new("marks", rule, destination)?;
        let mut reads = Vec::with_capacity(keys.len());
        for key in keys {
            reads.push(async move {
                let (memory, _) = self.memory("marks", lane, key).await?;
                Ok(memory.mark)
            });
        }
        let reads = futures::stream::iter(reads).buffered(AT_ONCE);
        reads.try_collect().await
    }

    /// See [`Ledger::put_marks`](crate::Ledger::put_marks): key by key.
    pub(crate) async fn put_marks(
        &self,
        rule: &str,
        destination: &str,
        marks: &[(ObjectKey, Mark)],
    ) -> Result<()> {
        let lane = &Lane::new("put_marks", rule, destination)?;
        let mut writes = Vec::with_capacity(marks.len());
        for (key, mark) in marks {
            writes.push(async move {
                let step = |memory| Memory {
                    mark: Some(*mark),
                    ..memory
                };
                self.change_memory("put_marks", lane, key, step).await
            });
        }
        let writes = futures::stream::iter(writes).buffer_unordered(AT_ONCE);
        writes.try_for_each(|_| async { Ok(()) }).await
    }

    /// See [`Ledger::tombstone`](crate::Ledger::tombstone).
    pub(crate) async fn tombstone(&self, task: &TaskKey) -> Result<Option<Tombstone>> {
        let lane = Lane::of("tombstone", task)?;
        let (memory, _) = self.memory("tombstone", &lane, &task.key).await?;
        Ok(memory.tombstone)
    }

    /// Removes a key's tombstone if it is older than `before`.
    pub(crate) async fn prune_tombstone(&self, task: &TaskKey, before: Timestamp) -> Result<bool> {
        let lane = Lane::of("prune", task)?;
        let step = |mut memory: Memory| {
            memory.tombstone = memory.tombstone.filter(|held| held.deleted >= before);
            memory
        };
        self.change_memory("prune", &lane, &task.key, step).await
    }
}
