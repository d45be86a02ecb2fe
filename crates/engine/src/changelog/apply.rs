//! Lets the destination's store make an object out of what it has.
//!
//! In: a plan to copy, and both heads as they were just seen. Out: the object, published and verified, without a byte from the
//! source; or nothing, and why in the log: then the plan is carried out as it is. Never: fails a claim but for a lost lease;
//! leaves an upload that no intent tells of.

use super::make::{AT_ONCE, Made, Making, Origin};
use super::recipe::{self, Held};
use super::savings::Transfer;
use super::{ChangelogInput, state};
use crate::attempt::forget_attempt;
use crate::decide::{Plan, common_checksum};
use crate::lane::Lane;
use crate::usage::Usage;
use crate::{Error, Result};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use skyfresh_ledger::{Attempt, Claim, Mark};
use skyfresh_sky::ObjectKey;
use skyfresh_store::ObjectHead;

/// Receipts of an input that are looked through.
const RECEIPTS: usize = 10;

/// Both objects, as they were just seen.
#[derive(Clone, Copy)]
pub(crate) struct Heads<'a> {
    pub(crate) source: Option<&'a ObjectHead>,
    pub(crate) target: Option<&'a ObjectHead>,
}

impl<'a> Heads<'a> {
    pub(crate) fn of(source: Option<&'a ObjectHead>, target: Option<&'a ObjectHead>) -> Self {
        Heads { source, target }
    }
}

/// Why it did not.
enum Unmade {
    /// There is no way, or none that proves anything.
    No(recipe::Reason),
    /// There was, and it failed.
    Failed(Error),
}

impl From<recipe::Reason> for Unmade {
    fn from(why: recipe::Reason) -> Self {
        Unmade::No(why)
    }
}

impl From<Error> for Unmade {
    fn from(error: Error) -> Self {
        Unmade::Failed(error)
    }
}

impl From<skyfresh_store::Error> for Unmade {
    fn from(error: skyfresh_store::Error) -> Self {
        Unmade::Failed(error.into())
    }
}

impl From<skyfresh_ledger::Error> for Unmade {
    fn from(error: skyfresh_ledger::Error) -> Self {
        Unmade::Failed(error.into())
    }
}

/// Makes the planned object by what the changelog tells, the destination holds under the same key, or the lane remembers.
/// `previous` is discarded once that has succeeded, and only then.
///
/// # Errors
/// The lease is lost, or the ledger could not forget `previous`.
pub(crate) async fn apply(
    lane: &Lane,
    claim: &Claim,
    plan: &Plan,
    heads: Heads<'_>,
    previous: &mut Option<Attempt>,
    usage: &Usage,
) -> Result<Option<Made>> {
    let capabilities = lane.target.capabilities();
    let able = capabilities.copy || capabilities.copy_part;
    let Some(source) = heads.source.filter(|_| able) else {
        return Ok(None);
    };
    if source.size < lane.shared.config.changelog.least_bytes {
        return Ok(None);
    }
    let price = || {
        let (source, target) = (&lane.source_region, &lane.target_region);
        usage.price(&lane.shared.catalog, source, target)
    };
    let before = price();
    for inputs in candidates(lane, claim, source, heads.target).await {
        match make(lane, claim, plan, source, heads.target, &inputs, usage).await {
            Ok(made) => {
                forget_attempt(lane, claim, previous.take().as_ref()).await?;
                let spent = skyfresh_sky::Usd::from_units(price().units() - before.units());
                let transfer = Transfer::of(plan.strategy, plan.size);
                usage.savings.add(plan.size, transfer.saved(lane, spent), 0);
                return Ok(Some(made));
            }
            Err(Unmade::Failed(error)) if error.fenced => return Err(error),
            Err(Unmade::Failed(error)) => {
                tracing::debug!(task = %claim.task.task, %error, "not made at the destination");
            }
            Err(Unmade::No(why)) => {
                tracing::debug!(task = %claim.task.task, why, "not made at the destination");
            }
        }
    }
    Ok(None)
}

/// From what the object may be made: as an entry tells; of itself, where only its attributes changed; of another key that had
/// the same content.
async fn candidates(
    lane: &Lane,
    claim: &Claim,
    source: &ObjectHead,
    target: Option<&ObjectHead>,
) -> Vec<Vec<ChangelogInput>> {
    let key = &claim.task.task.key;
    let mut candidates = Vec::new();
    match state::pending(lane, key).await {
        Ok(Some(row)) => {
            candidates.push(row.entry.inputs().to_vec());
            lane.changelog.owe(&row);
        }
        Ok(None) => {}
        Err(error) => tracing::debug!(%key, %error, "cannot read the changelog"),
    }
    let same_content = |target: &ObjectHead| {
        let common = common_checksum(source, target);
        target.size == source.size && common.is_some_and(|common| common.agrees())
    };
    if target.is_some_and(same_content) {
        candidates.push(vec![ChangelogInput {
            key: key.clone(),
            version: None,
        }]);
    } else if let Some((key, version)) = lane.changelog.find(key, source) {
        let version = Some(version);
        candidates.push(vec![ChangelogInput { key, version }]);
    }
    candidates
}

async fn make(
    lane: &Lane,
    claim: &Claim,
    plan: &Plan,
    source: &ObjectHead,
    target: Option<&ObjectHead>,
    inputs: &[ChangelogInput],
    usage: &Usage,
) -> Result<Made, Unmade> {
    let held = gather(lane, claim, target, inputs, usage).await?;
    let capabilities = lane.target.capabilities();
    let recipe = recipe::recipe(source, target, &held, &capabilities)?;
    let making = Making {
        lane,
        claim,
        plan,
        source,
        recipe: &recipe,
        from: Origin::Destination,
        usage,
    };
    Ok(making.make().await?)
}

/// What the destination holds of the inputs.
async fn gather(
    lane: &Lane,
    claim: &Claim,
    target: Option<&ObjectHead>,
    inputs: &[ChangelogInput],
    usage: &Usage,
) -> Result<Vec<Held>, Unmade> {
    let keys: Vec<ObjectKey> = inputs.iter().map(|input| input.key.clone()).collect();
    let (rule, destination) = (&lane.rule.name, &lane.destination.name);
    let marks = lane.shared.ledger.marks(rule, destination, &keys).await?;
    let looks = inputs.iter().zip(marks).map(|(input, mark)| {
        async move {
            match target {
                Some(own) if input.key == claim.task.task.key => {
                    held(lane, input, own.clone(), mark).await
                }
                _ => {
                    usage.target_read();
                    let head = lane.target.head(&input.key).await?;
                    held(lane, input, head, mark).await
                }
            }
        }
        .boxed()
    });
    // Collected first: a stream of lazily made futures is not known to be `Send`.
    let looks: Vec<_> = looks.collect();
    stream::iter(looks).buffered(AT_ONCE).try_collect().await
}

/// Receipts are asked for only where the head and the mark do not tell enough.
async fn held(
    lane: &Lane,
    input: &ChangelogInput,
    head: ObjectHead,
    mark: Option<Mark>,
) -> Result<Held, Unmade> {
    let wanted = input.version.as_ref();
    match recipe::held(&input.key, wanted, head.clone(), mark, &[]) {
        Ok(held) if held.crc64.is_some() => return Ok(held),
        _ => {}
    }
    let task = lane.task_key(input.key.clone());
    let receipts = lane.shared.ledger.receipts_by_key(&task, RECEIPTS).await?;
    Ok(recipe::held(&input.key, wanted, head, mark, &receipts)?)
}
