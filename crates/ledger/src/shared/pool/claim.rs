//! Handing out parts.

use super::bodies::{encode_head, head_id};
use super::state::{PARTS_A_LOOK, Wanted};
use super::{BLOCK_LEASE_PERCENT, Pool, TRIES};
use crate::logic::parts::PartsRequest;
use crate::model::PartClaim;
use crate::shared::core::Core;
use crate::shared::{Condition, Written};
use crate::tables::check_name;
use crate::{Error, Result};
use skyfresh_sky::Kind;

impl Core {
    /// See [`Ledger::claim_parts`](crate::Ledger::claim_parts).
    pub(crate) async fn claim_parts(&self, request: &PartsRequest) -> Result<Vec<PartClaim>> {
        let operation = "claim_parts";
        check_name(operation, "worker", &request.worker)?;
        let attempt = &request.attempt;
        let pool = self.pool(operation, attempt).await?;
        let _turn = pool.turn.lock().await;
        let wanted = Wanted {
            worker: &request.worker,
            limit: request.limit,
            lease: request.lease,
            now: request.now,
        };
        let (until, expires) = (
            request.now.after(request.lease),
            request.now.after(request.lease * BLOCK_LEASE_PERCENT / 100),
        );
        let mut is_new = false;
        if pool.state().has_dead_holders(request.now) {
            self.look_for_parts(operation, attempt, &pool).await?;
            is_new = true;
        } else if pool.state().given >= PARTS_A_LOOK {
            self.look_at_head(operation, attempt, &pool).await?;
        }
        for _ in 0..TRIES {
            let after = {
                let mut state = pool.state();
                if !state.is_secure(self.holder, until) {
                    // Renewed before anything is handed out: another may have taken it.
                    Some(state.renewed(self.holder, expires))
                } else {
                    let claims = state.give(self.holder, &wanted);
                    if !claims.is_empty() || request.limit == 0 {
                        return Ok(claims);
                    }
                    if is_new || state.head.blocks.is_empty() {
                        let acquired = state.acquired(self.holder, request.now, expires);
                        if acquired.is_none() {
                            let duplicate = state.duplicate(&wanted, request.duplicate_after);
                            return Ok(duplicate.into_iter().collect());
                        }
                        acquired
                    } else {
                        None
                    }
                }
            };
            let Some(after) = after else {
                // Nothing left of the own blocks: what others hold, and have done, must be read.
                self.look_for_parts(operation, attempt, &pool).await?;
                is_new = true;
                continue;
            };
            let (body, condition) = {
                let state = pool.state();
                let group = state.groups.get(&0).map(|(_, group)| group.clone());
                let body = encode_head(operation, attempt, &after, &group.unwrap_or_default())?;
                (body, Condition::Unchanged(state.stamp.clone()))
            };
            match self.documents.put(&head_id(attempt), body, condition).await {
                Ok(Written::Done(Some(stamp))) => {
                    pool.state().take_head(after, stamp);
                }
                Ok(_) => {
                    self.look_for_parts(operation, attempt, &pool).await?;
                    is_new = true;
                }
                // The head tells whether it took effect.
                Err(error) if error.kind == Kind::RetryAfter => {
                    let looked = self.look_at_head(operation, attempt, &pool).await;
                    looked.map_err(|_| error)?;
                }
                Err(error) => return Err(error),
            }
        }
        let why = "other processes keep changing the pool; try again";
        Err(Error::new(
            Kind::RetryAfter,
            operation,
            attempt.clone(),
            why,
        ))
    }

    /// Reads the pool's own document.
    pub(super) async fn look_at_head(
        &self,
        operation: &'static str,
        attempt: &str,
        pool: &Pool,
    ) -> Result<()> {
        let (head, group, stamp) = self.head(operation, attempt).await?;
        let mut state = pool.state();
        state.set_head(head, group, stamp);
        state.given = 0;
        Ok(())
    }

    /// Reads the pool's own document and what is done.
    async fn look_for_parts(
        &self,
        operation: &'static str,
        attempt: &str,
        pool: &Pool,
    ) -> Result<()> {
        self.look_at_head(operation, attempt, pool).await?;
        let from = pool.state().first_open_group();
        self.read_groups(operation, attempt, from, &mut |number, group, stamp| {
            pool.state().set_group(number, group, Some(stamp));
        })
        .await
    }
}
