//! Claims: each a conditional write of the task, so that of all who try at once one gets it.

use super::bodies::Stored;
use super::core::{AT_ONCE, Core, Current, Step};
use super::names::Lane;
use crate::logic::claims::claimed;
use crate::model::*;
use crate::seam::ClaimRequest;
use crate::tables::check_name;
use crate::{Error, Result};
use futures::StreamExt;
use skyfresh_sky::{Kind, ObjectKey, Timestamp};
use std::time::Duration;

/// Rounds of losing every race before a claim gives up.
const ROUNDS: usize = 64;

impl Core {
    /// See [`Ledger::claim`](crate::Ledger::claim). Candidates come from the view; it is filled by own writes, and by a scan
    /// where it has none that is due, or the last scan was too long ago.
    pub(crate) async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>> {
        let operation = "claim";
        let lane = Lane::new(operation, &request.rule, &request.destination)?;
        check_name(operation, "owner", &request.owner)?;
        if request.limit == 0 {
            return Ok(Vec::new());
        }
        let (view, now) = (self.views.of(&lane), request.now);
        let passed = |interval: Duration| match view.last_scan() {
            Some(last) => now < last || now.since(last) >= interval,
            None => true,
        };
        let due = view.count_due(now, request.limit);
        let idle = due == 0;
        let interval = if idle {
            self.settings.scan_interval
        } else {
            self.settings.busy_scan_interval
        };
        let mut may_look = idle && passed(interval);
        if !idle && passed(interval) {
            self.look_around(operation, &lane, Some(now)).await?;
        }
        let mut claims: Vec<(Timestamp, Claim)> = Vec::new();
        for _ in 0..ROUNDS {
            let picked = view.take_due(now, request.limit - claims.len());
            if picked.is_empty() {
                if !claims.is_empty() || !may_look {
                    return Ok(in_order(claims));
                }
                may_look = false;
                self.look_around(operation, &lane, Some(now)).await?;
                continue;
            }
            let many = picked.len();
            let mut tries = futures::stream::iter(picked)
                .map(|key| self.claim_one(&lane, key, request))
                .buffer_unordered(AT_ONCE);
            let mut failed = None;
            let before = claims.len();
            while let Some(tried) = tries.next().await {
                match tried {
                    Ok(claim) => claims.extend(claim),
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            drop(tries);
            // What was claimed is claimed: an error would leave it to its lease.
            if let Some(error) = failed {
                if claims.is_empty() {
                    return Err(error);
                }
                tracing::warn!(%error, "some due tasks could not be claimed");
                return Ok(in_order(claims));
            }
            // Others were faster with some. There may be more that is due, which only a scan shows.
            let lost = many - (claims.len() - before);
            if lost == 0 || claims.len() >= request.limit {
                return Ok(in_order(claims));
            }
            may_look = claims.is_empty();
        }
        if !claims.is_empty() {
            return Ok(in_order(claims));
        }
        let why = format!("others claimed every due task {ROUNDS} times in a row; try again");
        let target = format!("{}/{}", request.rule, request.destination);
        Err(Error::new(Kind::RetryAfter, operation, target, why))
    }

    /// Claims one task if it is claimable. With when it was due.
    async fn claim_one(
        &self,
        lane: &Lane,
        key: ObjectKey,
        request: &ClaimRequest,
    ) -> Result<Option<(Timestamp, Claim)>> {
        let spot = self.spot_in(lane, key);
        // Tokens of this call, so that one whose answer was lost is known again.
        let mut tried: Vec<(Timestamp, Claim)> = Vec::new();
        let result = self
            .change("claim", &spot, |current: Current<'_>| {
                let Some(stored) = current.stored else {
                    return Ok(Step::Answer(None));
                };
                // Compared whole: a token alone might, by the rarest chance, be another's of this moment.
                let lease = &stored.task.lease;
                let mut tries = tried.iter();
                if lease.is_some()
                    && let Some((due, claim)) = tries.find(|(_, claim)| claim.task.lease == *lease)
                {
                    let claim = Claim {
                        task: stored.task.clone(),
                        ..claim.clone()
                    };
                    return Ok(Step::Answer(Some((*due, claim))));
                }
                let due = stored.claimable_at();
                if due > request.now {
                    return Ok(Step::Answer(None));
                }
                let token = self.next_token(stored.fence, request.now);
                let claim = claimed(stored.task.clone(), request, token);
                tried.push((due, claim.clone()));
                let after = Stored {
                    fence: token,
                    task: claim.task.clone(),
                };
                Ok(Step::Write(Some(after), Some((due, claim))))
            })
            .await;
        if result.is_err() {
            spot.view.put_back(spot.shard, &spot.key);
        }
        result
    }

    /// See [`Ledger::next_due`](crate::Ledger::next_due): of what this process knows. Right after a claim that found nothing,
    /// this is what its scan has read; else it is read.
    pub(crate) async fn next_due(
        &self,
        rule: &str,
        destination: &str,
    ) -> Result<Option<Timestamp>> {
        let lane = Lane::new("next_due", rule, destination)?;
        let view = self.views.of(&lane);
        if !view.take_fresh() {
            self.look_around("next_due", &lane, None).await?;
        }
        Ok(view.first_due())
    }
}

/// The longest due first, as they were before they were claimed.
fn in_order(mut claims: Vec<(Timestamp, Claim)>) -> Vec<Claim> {
    claims.sort_by(|(a_due, a), (b_due, b)| {
        (a_due, &a.task.task.key).cmp(&(b_due, &b.task.task.key))
    });
    claims.into_iter().map(|(_, claim)| claim).collect()
}
