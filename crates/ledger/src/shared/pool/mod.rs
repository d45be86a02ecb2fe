//! Part pools that several processes share.
//!
//! A pool is one document with its size and its *blocks*: which process hands out which parts, under a lease. Within a process,
//! parts are held as in the other backends, in memory only: when the process dies its block's lease runs out, and who takes
//! the block reads what is done of it. The first process takes all free parts, which costs one write; a second takes half of
//! what is left to the first, and so on, so that the number of writes grows with the processes and not with the parts.
//!
//! Who completes a pool is written by the write that completes it: in the document of the last part, where its process knows
//! all others to be done, else (the last two parts were finished by two processes at once) in the pool's.
//!
//! Duplicates of slow parts are given to workers of the same process only.

mod bodies;
mod claim;
mod finish;
mod state;

use super::core::{Core, delete_any};
use super::{Condition, Documents, Written};
use crate::logic::parts::{check_same_total, check_total, closed};
use crate::model::PartDone;
use crate::tables::check_name;
use crate::{Error, Result};
use bodies::{Group, Head, decode_group, decode_head, encode_head, group_id, head_id, parse_group};
use futures::{StreamExt, TryStreamExt};
use skyfresh_sky::Kind;
use state::State;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Pools remembered at once; beyond it, the one known longest is forgotten, and read again when needed.
const POOLS_LIMIT: usize = 1_024;

/// Conditional writes tried before giving up.
const TRIES: usize = 32;

/// Documents of a pool read at once.
const PAGE: usize = 1_000;

/// A block outlasts the leases it was taken for by half, so that not every claim renews it.
const BLOCK_LEASE_PERCENT: u32 = 150;

/// Behind the groups' sort keys.
const GROUPS_END: &[u8] = b"h";

/// The pools this process works on.
#[derive(Debug, Default)]
pub(crate) struct Pools(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    pools: HashMap<String, Arc<Pool>>,
    /// By when they became known.
    order: VecDeque<String>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Pool {
    /// Own writes of a pool take turns; results that wait together are written together.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

impl Pools {
    fn get(&self, attempt: &str) -> Option<Arc<Pool>> {
        lock(&self.0).pools.get(attempt).cloned()
    }

    fn insert(&self, attempt: &str, state: State) -> Arc<Pool> {
        let mut known = lock(&self.0);
        let Known { pools, order } = &mut *known;
        if let Some(pool) = pools.get(attempt) {
            return Arc::clone(pool);
        }
        let pool = Arc::new(Pool {
            turn: tokio::sync::Mutex::default(),
            state: Mutex::new(state),
        });
        pools.insert(attempt.to_owned(), Arc::clone(&pool));
        order.push_back(attempt.to_owned());
        if order.len() > POOLS_LIMIT
            && let Some(oldest) = order.pop_front()
        {
            pools.remove(&oldest);
        }
        pool
    }

    fn remove(&self, attempt: &str) {
        let mut known = lock(&self.0);
        if known.pools.remove(attempt).is_some() {
            known.order.retain(|other| other != attempt);
        }
    }
}

impl Pool {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Core {
    /// See [`Ledger::open_pool`](crate::Ledger::open_pool).
    pub(crate) async fn open_pool(&self, attempt: &str, total: u32) -> Result<()> {
        let operation = "open_pool";
        check_name(operation, "attempt", attempt)?;
        check_total(operation, attempt, total)?;
        if let Some(pool) = self.pools.get(attempt) {
            let open = pool.state().head.total;
            check_same_total(operation, attempt, open, total)?;
        }
        let head = Head {
            total,
            blocks: Vec::new(),
        };
        let body = encode_head(operation, attempt, &head, &Group::default())?;
        let id = head_id(attempt);
        let written = self.documents.put(&id, body, Condition::Absent).await;
        match written {
            Ok(Written::Done(Some(stamp))) => {
                self.pools.remove(attempt);
                self.pools.insert(attempt, State::new(head, stamp));
                Ok(())
            }
            Ok(_) => {
                let pool = self.pool(operation, attempt).await?;
                let open = pool.state().head.total;
                check_same_total(operation, attempt, open, total)
            }
            // What is there now tells whether it took effect.
            Err(error) if error.kind == Kind::RetryAfter => {
                let pool = self.pool(operation, attempt).await.map_err(|_| error)?;
                let open = pool.state().head.total;
                check_same_total(operation, attempt, open, total)
            }
            Err(error) => Err(error),
        }
    }

    /// A pool, read if this process does not know it.
    async fn pool(&self, operation: &'static str, attempt: &str) -> Result<Arc<Pool>> {
        check_name(operation, "attempt", attempt)?;
        if let Some(pool) = self.pools.get(attempt) {
            return Ok(pool);
        }
        let (head, group, stamp) = self.head(operation, attempt).await?;
        let mut state = State::new(head.clone(), stamp.clone());
        state.set_head(head, group, stamp);
        self.read_groups(operation, attempt, 1, &mut |number, group, stamp| {
            state.set_group(number, group, Some(stamp));
        })
        .await?;
        Ok(self.pools.insert(attempt, state))
    }

    /// The pool's own document.
    async fn head(
        &self,
        operation: &'static str,
        attempt: &str,
    ) -> Result<(Head, Group, super::Stamp)> {
        match self.documents.get(&head_id(attempt)).await? {
            Some(found) => {
                let (head, group) = decode_head(operation, attempt, &found.body)?;
                Ok((head, group, found.stamp))
            }
            None => {
                self.pools.remove(attempt);
                Err(closed(operation, attempt))
            }
        }
    }

    /// The groups from one on.
    async fn read_groups(
        &self,
        operation: &'static str,
        attempt: &str,
        from: u32,
        visit: &mut (dyn FnMut(u32, Group, super::Stamp) + Send),
    ) -> Result<()> {
        let first = group_id(attempt, from.max(1));
        let (partition, mut from) = (first.partition, first.sort);
        loop {
            let page = self
                .documents
                .scan(&partition, &from, GROUPS_END, false, PAGE)
                .await?;
            let next = (page.len() == PAGE)
                .then(|| page.last().map(|last| super::names::behind(&last.sort)))
                .flatten();
            for found in page {
                let number = parse_group(operation, &found.sort)?;
                let group = decode_group(operation, &found.sort, &found.body)?;
                visit(number, group, found.stamp);
            }
            match next {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
    }

    /// See [`Ledger::release_part`](crate::Ledger::release_part): who holds a part is only in its process's memory.
    pub(crate) fn release_part(&self, attempt: &str, worker: &str, number: u32) -> Result<()> {
        check_name("release_part", "attempt", attempt)?;
        if let Some(pool) = self.pools.get(attempt) {
            pool.state().release(worker, number);
        }
        Ok(())
    }

    /// See [`Ledger::parts`](crate::Ledger::parts).
    pub(crate) async fn parts(&self, attempt: &str) -> Result<Option<(u32, Vec<PartDone>)>> {
        let operation = "parts";
        check_name(operation, "attempt", attempt)?;
        let (head, group, _) = match self.head(operation, attempt).await {
            Err(error) if error.kind == Kind::Missing => return Ok(None),
            other => other?,
        };
        let mut parts: BTreeMap<u32, PartDone> = group.parts;
        self.read_groups(operation, attempt, 1, &mut |_, group, _| {
            parts.extend(group.parts);
        })
        .await?;
        Ok(Some((head.total, parts.into_values().collect())))
    }

    /// See [`Ledger::close_pool`](crate::Ledger::close_pool). The pool's own document goes last, so that what was interrupted is
    /// seen and done again.
    pub(crate) async fn close_pool(&self, attempt: &str) -> Result<()> {
        let operation = "close_pool";
        check_name(operation, "attempt", attempt)?;
        let known = self.pools.get(attempt);
        let _turn = match &known {
            Some(pool) => Some(pool.turn.lock().await),
            None => None,
        };
        self.pools.remove(attempt);
        let mut groups = Vec::new();
        self.read_groups(operation, attempt, 1, &mut |number, _, _| {
            groups.push(number)
        })
        .await?;
        let documents: &dyn Documents = &*self.documents;
        futures::stream::iter(groups)
            .map(|number| async move { delete_any(documents, &group_id(attempt, number)).await })
            .buffer_unordered(super::core::AT_ONCE)
            .try_for_each(|()| async { Ok::<_, Error>(()) })
            .await?;
        if documents.get(&head_id(attempt)).await?.is_some() {
            delete_any(documents, &head_id(attempt)).await?;
        }
        Ok(())
    }
}
