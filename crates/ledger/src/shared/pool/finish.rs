//! Recording parts as done, and who completed the pool.

use super::bodies::{Group, decode_group, encode_group, encode_head, group_id, group_of, head_id};
use super::{Pool, TRIES};
use crate::logic::parts::check_number;
use crate::model::{PartDone, PoolState};
use crate::shared::core::Core;
use crate::shared::{Condition, Stamp, Written};
use crate::{Error, Result};
use skyfresh_sky::Kind;

/// Takes a result out of the queue when its caller goes, written or not.
struct Queued<'pool>(&'pool Pool, u32);

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.state().waiting.remove(&self.1);
    }
}

impl Core {
    /// See [`Ledger::finish_part`](crate::Ledger::finish_part). `done` counts what this process knows of: all, once it is all.
    pub(crate) async fn finish_part(&self, attempt: &str, part: &PartDone) -> Result<PoolState> {
        let operation = "finish_part";
        let pool = self.pool(operation, attempt).await?;
        let number = part.number;
        let queued = {
            let mut state = pool.state();
            check_number(operation, attempt, number, state.head.total)?;
            // Of two results that wait at once, the first wins.
            let is_first = !state.done.contains(&number) && !state.waiting.contains_key(&number);
            is_first.then(|| {
                state.waiting.insert(number, part.clone());
                Queued(&pool, number)
            })
        };
        let _turn = pool.turn.lock().await;
        let is_waiting = pool.state().waiting.contains_key(&number);
        let mut completed_now = false;
        if queued.is_some() && is_waiting {
            completed_now = self.write_parts(operation, attempt, &pool, number).await?;
        }
        if !completed_now && self.may_be_complete(operation, attempt, &pool).await? {
            completed_now = self.complete(operation, attempt, &pool).await?;
        }
        drop(queued);
        let state = pool.state();
        Ok(PoolState {
            total: state.head.total,
            done: state.done.len() as u32,
            completed_now,
        })
    }

    /// Writes all results that wait for this part's document. True: with that, the pool is complete.
    async fn write_parts(
        &self,
        operation: &'static str,
        attempt: &str,
        pool: &Pool,
        number: u32,
    ) -> Result<bool> {
        let group_number = group_of(number);
        let call = self.rng.u64();
        for _ in 0..TRIES {
            let (group, head, condition) = {
                let state = pool.state();
                let (stamp, mut group) =
                    state.groups.get(&group_number).cloned().unwrap_or_default();
                let mut fresh = 0;
                for (number, part) in &state.waiting {
                    if group_of(*number) == group_number && !group.parts.contains_key(number) {
                        group.parts.insert(*number, part.clone());
                        fresh += 1;
                    }
                }
                if fresh == 0 {
                    return Ok(false);
                }
                if state.done.len() + fresh == state.head.total as usize && !state.completed {
                    group.completed_by = Some(call);
                }
                match (group_number, stamp) {
                    (0, _) => (
                        group,
                        Some(state.head.clone()),
                        Condition::Unchanged(state.stamp.clone()),
                    ),
                    (_, Some(stamp)) => (group, None, Condition::Unchanged(stamp)),
                    (_, None) => (group, None, Condition::Absent),
                }
            };
            let (id, body) = match &head {
                Some(head) => (
                    head_id(attempt),
                    encode_head(operation, attempt, head, &group)?,
                ),
                None => (
                    group_id(attempt, group_number),
                    encode_group(operation, attempt, &group)?,
                ),
            };
            match self.documents.put(&id, body, condition).await {
                Ok(Written::Done(Some(stamp))) => {
                    let completes = group.completed_by == Some(call);
                    pool.settle(group_number, group, stamp);
                    return Ok(completes);
                }
                Ok(_) => {
                    self.look_at_group(operation, attempt, pool, group_number)
                        .await?;
                }
                // The document tells whether it took effect.
                Err(error) if error.kind == Kind::RetryAfter => {
                    let looked = self.look_at_group(operation, attempt, pool, group_number);
                    let found = looked.await.map_err(|_| error)?;
                    if found.is_some_and(|found| found.completed_by == Some(call)) {
                        return Ok(true);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(contended(operation, attempt))
    }

    async fn look_at_group(
        &self,
        operation: &'static str,
        attempt: &str,
        pool: &Pool,
        number: u32,
    ) -> Result<Option<Group>> {
        // Always: where the pool is closed, the head is gone.
        self.look_at_head(operation, attempt, pool).await?;
        if number > 0 {
            let id = group_id(attempt, number);
            if let Some(found) = self.documents.get(&id).await? {
                let group = decode_group(operation, &id.sort, &found.body)?;
                pool.state().set_group(number, group, Some(found.stamp));
            }
        }
        let mut state = pool.state();
        let done = std::mem::take(&mut state.waiting);
        state.waiting = done
            .into_iter()
            .filter(|(number, _)| !state.done.contains(number))
            .collect();
        Ok(state.groups.get(&number).map(|(_, group)| group.clone()))
    }

    /// Whether all parts are done, and nobody is known to have completed the pool. Asks whether others hold parts, and where this
    /// process has few left, what they have done.
    async fn may_be_complete(
        &self,
        operation: &'static str,
        attempt: &str,
        pool: &Pool,
    ) -> Result<bool> {
        {
            let state = pool.state();
            if state.completed || state.is_all_done() {
                return Ok(!state.completed);
            }
        }
        self.look_at_head(operation, attempt, pool).await?;
        let from = {
            let state = pool.state();
            if !state.depends_on_others(self.holder) {
                return Ok(false);
            }
            state.first_open_group()
        };
        self.read_groups(operation, attempt, from, &mut |number, group, stamp| {
            pool.state().set_group(number, group, Some(stamp));
        })
        .await?;
        let state = pool.state();
        Ok(state.is_all_done() && !state.completed)
    }

    /// Completes a pool whose parts are all done, unless another did.
    async fn complete(&self, operation: &'static str, attempt: &str, pool: &Pool) -> Result<bool> {
        let call = self.rng.u64();
        for _ in 0..TRIES {
            // What is known of the groups may be older than their completion by another, which is in the last one's document.
            let mut completed = false;
            self.read_groups(operation, attempt, 1, &mut |_, group, _| {
                completed |= group.completed_by.is_some();
            })
            .await?;
            let (head, mut group, stamp) = self.head(operation, attempt).await?;
            if completed || group.completed_by.is_some() {
                pool.state().completed = true;
                return Ok(group.completed_by == Some(call));
            }
            group.completed_by = Some(call);
            let body = encode_head(operation, attempt, &head, &group)?;
            let condition = Condition::Unchanged(stamp);
            match self.documents.put(&head_id(attempt), body, condition).await {
                Ok(Written::Done(Some(stamp))) => {
                    pool.state().set_head(head, group, stamp);
                    return Ok(true);
                }
                Ok(_) => {}
                Err(error) if error.kind == Kind::RetryAfter => {}
                Err(error) => return Err(error),
            }
        }
        Err(contended(operation, attempt))
    }
}

impl Pool {
    fn settle(&self, number: u32, group: Group, stamp: Stamp) {
        let mut state = self.state();
        for part in group.parts.keys() {
            state.waiting.remove(part);
        }
        if number == 0 {
            state.stamp = stamp;
            state.set_group(0, group, None);
        } else {
            state.set_group(number, group, Some(stamp));
        }
    }
}

fn contended(operation: &'static str, attempt: &str) -> Error {
    let why = "other processes keep changing the pool; try again";
    Error::new(Kind::RetryAfter, operation, attempt, why)
}
