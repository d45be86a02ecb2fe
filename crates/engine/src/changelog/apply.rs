//! Lets the destination's store make an object out of what it has.
//!
//! In: a plan to copy, and both heads as they were just seen. Out: the object, published and verified, without a byte from the
//! source; or nothing, and why in the log: then the plan is carried out as it is. Never: fails a claim but for a lost lease;
//! leaves an upload that no intent tells of.

use super::recipe::{self, Held, Piece, Recipe, Way};
use super::savings::Transfer;
use super::{ChangelogInput, state};
use crate::attempt::{begin, forget_attempt, forget_order};
use crate::decide::{Plan, common_checksum};
use crate::finish::Published;
use crate::lane::Lane;
use crate::usage::Usage;
use crate::{Error, Result};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use skyfresh_ledger::{Attempt, Claim, Mark};
use skyfresh_sky::{Kind, ObjectKey};
use skyfresh_store::checksum::Crc64;
use skyfresh_store::{CompletedPart, CopySource, ObjectHead, PutReceipt};

/// Requests of one object under way at once.
const AT_ONCE: usize = 8;
/// Receipts of an input that are looked through.
const RECEIPTS: usize = 10;

/// Both objects, as they were just seen.
#[derive(Clone, Copy)]
pub(crate) struct Heads<'a> {
    source: Option<&'a ObjectHead>,
    target: Option<&'a ObjectHead>,
}

impl<'a> Heads<'a> {
    pub(crate) fn of(source: Option<&'a ObjectHead>, target: Option<&'a ObjectHead>) -> Self {
        Heads { source, target }
    }
}

/// An object that the destination's store made.
pub(crate) struct Made {
    pub(crate) published: Published,
    /// How, for the receipt.
    pub(crate) strategy: String,
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
    let receipt = match &recipe.way {
        Way::Copy(input) => copy(lane, claim, plan, &recipe, input, usage).await?,
        Way::Assemble(pieces) => assemble(lane, claim, plan, &recipe, pieces, usage).await?,
    };
    verify(lane, claim, source, &recipe, &receipt, usage).await?;
    Ok(Made {
        published: Published {
            version: receipt.version,
            crc64: recipe.crc64.or(receipt.crc64),
        },
        strategy: recipe.name,
    })
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

fn pinned(lane: &Lane, key: &ObjectKey, version: &skyfresh_sky::ObjectVersion) -> CopySource {
    CopySource {
        bucket: None,
        full_key: lane.target.location().full_key(key),
        version: Some(version.clone()),
    }
}

async fn copy(
    lane: &Lane,
    claim: &Claim,
    plan: &Plan,
    recipe: &Recipe,
    input: &Held,
    usage: &Usage,
) -> Result<PutReceipt, Unmade> {
    let (key, from) = (
        &claim.task.task.key,
        pinned(lane, &input.key, &input.version),
    );
    usage.target_write();
    let attributes = Some(&plan.attributes);
    Ok(lane
        .target
        .copy(key, &from, attributes, &recipe.precondition)
        .await?)
}

/// Fills the parts of an upload with the pieces, and completes it once the store has stated the checksum that was expected.
async fn assemble(
    lane: &Lane,
    claim: &Claim,
    plan: &Plan,
    recipe: &Recipe,
    pieces: &[Piece],
    usage: &Usage,
) -> Result<PutReceipt, Unmade> {
    let order = begin(lane, claim, plan, usage).await?;
    let key = &claim.task.task.key;
    let filled = async {
        let parts = fill(lane, key, &order.upload, pieces, usage).await?;
        let made = parts.iter().try_fold(Crc64::EMPTY, |made, part| {
            Some(made.then(part.crc64?, part.size))
        });
        if made.is_none() || made != recipe.crc64 {
            let why = format!(
                "the parts have CRC64NVME {made:?}, not {:?}: nothing is published",
                recipe.crc64
            );
            return Err(Error::new(Kind::Corrupt, "verify", key.as_str(), why));
        }
        usage.target_write();
        let completed = lane
            .target
            .complete_upload(key, &order.upload, &parts, &recipe.precondition)
            .await?;
        Ok(completed)
    };
    match filled.await {
        Ok(receipt) => {
            let ended = lane.shared.ledger.end_upload(&order.attempt).await;
            if let Err(error) = ended {
                tracing::debug!(%key, %error, "the janitor will forget this upload");
            }
            Ok(receipt)
        }
        Err(error) => {
            forget_order(lane, claim, order).await?;
            Err(error.into())
        }
    }
}

async fn fill(
    lane: &Lane,
    key: &ObjectKey,
    upload: &str,
    pieces: &[Piece],
    usage: &Usage,
) -> Result<Vec<CompletedPart>> {
    let copies = pieces.iter().zip(1u32..).map(|(piece, number)| {
        async move {
            let from = pinned(lane, &piece.key, &piece.version);
            usage.target_write();
            let receipt = lane
                .target
                .copy_part(key, upload, number, &from, piece.range.clone())
                .await?;
            Ok::<_, Error>(CompletedPart {
                number,
                etag: receipt.etag,
                size: piece.size(),
                crc64: receipt.crc64,
            })
        }
        .boxed()
    });
    let copies: Vec<_> = copies.collect();
    stream::iter(copies).buffered(AT_ONCE).try_collect().await
}

/// Holds what the destination states of the published object against the source: its answer, or else its head.
async fn verify(
    lane: &Lane,
    claim: &Claim,
    source: &ObjectHead,
    recipe: &Recipe,
    receipt: &PutReceipt,
    usage: &Usage,
) -> Result<(), Error> {
    let key = &claim.task.task.key;
    let corrupt = |why: String| Error::new(Kind::Corrupt, "verify", key.as_str(), why);
    match (receipt.crc64, recipe.crc64) {
        (Some(stated), Some(expected)) if stated == expected => return Ok(()),
        (Some(stated), Some(expected)) => {
            return Err(corrupt(format!(
                "made with CRC64NVME {stated}, the source has {expected}"
            )));
        }
        // Its parts were compared before it was completed.
        (None, Some(_)) if matches!(recipe.way, Way::Assemble(_)) => return Ok(()),
        _ => {}
    }
    usage.target_read();
    let head = lane.target.head(key).await?;
    if head.version != receipt.version {
        let why = "replaced by another writer since";
        return Err(Error::new(Kind::Precondition, "verify", key.as_str(), why));
    }
    match common_checksum(source, &head) {
        Some(common) if common.agrees() && head.size == source.size => Ok(()),
        Some(common) => Err(corrupt(format!(
            "made with {} {}, the source has {}",
            common.name, common.b, common.a
        ))),
        None => Err(corrupt("the destination states no checksum of it".into())),
    }
}
