//! Parts that did not change are taken from the destination's own old object.
//!
//! In: an order whose pool is open, and nobody works on it yet; a copy that was made in parts. Out: the unchanged parts done, so
//! that workers pull the others only; what must be remembered to find them next time. Never: an error: what cannot be had here
//! comes from the source.

use super::savings::Transfer;
use super::unchanged::{Memory, UnchangedPart, unchanged_parts};
use crate::copy::WorkOrder;
use crate::decide::Strategy;
use crate::finish::Published;
use crate::lane::Lane;
use crate::usage::Usage;
use crate::{Error, Result};
use futures::{FutureExt, StreamExt, stream};
use skyfresh_ledger::PartDone;
use skyfresh_sky::{Kind, ObjectKey, ObjectVersion, Usd};
use skyfresh_store::checksum::{Crc64, Md5};
use skyfresh_store::{CopySource, PartSum, Precondition};
use std::collections::BTreeSet;

/// Parts under way at once.
const AT_ONCE: usize = 8;

/// The parts that the source states of the version being copied.
pub(crate) struct Stated(Vec<PartSum>);

/// The ledger's name of what is remembered of a key at one destination.
fn memory_name(lane: &Lane, key: &ObjectKey) -> String {
    let hash = Md5::of(key.as_str().as_bytes());
    format!(
        "changelog-parts/{}/{}/{hash}",
        lane.rule.name, lane.destination.name
    )
}

/// Finishes the parts that the destination has already. Returns what the source states of the others, too, to be remembered.
pub(crate) async fn take_unchanged(
    lane: &Lane,
    order: &WorkOrder,
    usage: &Usage,
) -> Option<Stated> {
    let plan = &order.plan;
    let Strategy::Multipart { part_bytes, .. } = plan.strategy else {
        return None;
    };
    let least_bytes = lane.shared.config.changelog.least_parts_bytes;
    if plan.size < least_bytes || !lane.target.capabilities().copy_part {
        return None;
    }
    let price = || {
        let (source, target) = (&lane.source_region, &lane.target_region);
        usage.price(&lane.shared.catalog, source, target)
    };
    let before = price();
    usage.source_read();
    let key = &order.task.key;
    let stated = match lane.source.parts(key, &plan.source).await {
        Ok(stated) => stated?,
        Err(error) => {
            tracing::debug!(task = %order.task, %error, "the source does not tell of parts");
            return None;
        }
    };
    match take(lane, order, &stated, part_bytes, usage).await {
        Ok((0, _)) => {}
        Ok((count, bytes)) => {
            let spent = Usd::from_units(price().units() - before.units());
            let transfer = Transfer {
                reads: count.into(),
                writes: count.into(),
                bytes,
            };
            usage.savings.add(bytes, transfer.saved(lane, spent), count);
        }
        Err(error) => {
            tracing::debug!(task = %order.task, %error, "unchanged parts come from the source");
        }
    }
    Some(Stated(stated))
}

/// Returns how many parts were taken, and their bytes.
async fn take(
    lane: &Lane,
    order: &WorkOrder,
    stated: &[PartSum],
    part_bytes: u64,
    usage: &Usage,
) -> Result<(u32, u64)> {
    // What is there now, and will have to be when this is published.
    let Precondition::Version(old) = &order.plan.precondition else {
        return Ok((0, 0));
    };
    let ledger = &lane.shared.ledger;
    let name = memory_name(lane, &order.task.key);
    let memory = ledger.cursor(&name).await?.and_then(Memory::from_json);
    let Some(memory) = memory.filter(|memory| memory.destination == *old) else {
        return Ok((0, 0));
    };
    let done: BTreeSet<u32> = match ledger.parts(&order.attempt).await? {
        Some((_, done)) => done.iter().map(|part| part.number).collect(),
        None => return Ok((0, 0)),
    };
    let copies: Vec<_> = unchanged_parts(&memory, stated, &order.plan, part_bytes)
        .into_iter()
        .filter(|part| !done.contains(&part.number))
        .map(|part| copy_part(lane, order, old, part, usage).boxed())
        .collect();
    let (mut count, mut bytes) = (0, 0);
    let mut copies = stream::iter(copies).buffer_unordered(AT_ONCE);
    while let Some(copied) = copies.next().await {
        match copied {
            Ok(size) => (count, bytes) = (count + 1, bytes + size),
            // The others will fail likewise; those that have not are done all the same.
            Err(error) => {
                tracing::debug!(task = %order.task, %error, "this part and the next come from the source");
                break;
            }
        }
    }
    Ok((count, bytes))
}

async fn copy_part(
    lane: &Lane,
    order: &WorkOrder,
    old: &ObjectVersion,
    part: UnchangedPart,
    usage: &Usage,
) -> Result<u64> {
    let key = &order.task.key;
    let from = CopySource {
        bucket: None,
        full_key: lane.target.location().full_key(key),
        version: Some(old.clone()),
    };
    let size = part.range.end - part.range.start;
    usage.target_write();
    let receipt = lane
        .target
        .copy_part(key, &order.upload, part.number, &from, part.range)
        .await?;
    if receipt.crc64.is_some_and(|stated| stated != part.crc64) {
        let why = format!(
            "part {} of the old object has CRC64NVME {:?}, not {}",
            part.number, receipt.crc64, part.crc64
        );
        return Err(Error::new(Kind::Corrupt, "verify part", key.as_str(), why));
    }
    let done = PartDone {
        number: part.number,
        etag: receipt.etag,
        size,
        crc64: Some(part.crc64.0),
        crc32c: None,
    };
    lane.shared.ledger.finish_part(&order.attempt, done).await?;
    Ok(size)
}

/// Whether parts of an object's last version are remembered: then small parts let more of it be found unchanged.
pub(crate) async fn remembers(lane: &Lane, key: &ObjectKey, size_bytes: u64) -> bool {
    let least_bytes = lane.shared.config.changelog.least_parts_bytes;
    if size_bytes < least_bytes || !lane.target.capabilities().copy_part {
        return false;
    }
    let kept = lane.shared.ledger.cursor(&memory_name(lane, key)).await;
    kept.is_ok_and(|kept| kept.is_some())
}

/// Remembers a copy whose pool is still open, for the object's next version.
pub(crate) async fn remember(
    lane: &Lane,
    order: &WorkOrder,
    stated: Option<Stated>,
    published: &Published,
) {
    let (Some(Stated(stated)), Strategy::Multipart { part_bytes, .. }) =
        (stated, order.plan.strategy)
    else {
        return;
    };
    let ledger = &lane.shared.ledger;
    let kept = async {
        let Some((_, mut done)) = ledger.parts(&order.attempt).await? else {
            return Ok(());
        };
        done.sort_by_key(|part| part.number);
        let crc64s = done.iter().map(|part| part.crc64.map(Crc64)).collect();
        let Some(crc64s) = crc64s else { return Ok(()) };
        let memory = Memory {
            source: order.plan.source.clone(),
            destination: published.version.clone(),
            part_bytes,
            crc64s,
            stated,
        };
        let name = memory_name(lane, &order.task.key);
        // One that is too long replaces an older one all the same: that would fit nothing any more.
        ledger.set_cursor(&name, memory.to_json()).await
    };
    if let Err(error) = kept.await {
        tracing::debug!(task = %order.task, %error, "the next version is sent whole");
    }
}

/// Forgets a key that was deleted.
pub(super) async fn forget(lane: &Lane, key: &ObjectKey) -> Result<()> {
    let (ledger, name) = (&lane.shared.ledger, memory_name(lane, key));
    if lane.target.capabilities().copy_part && ledger.cursor(&name).await?.is_some() {
        ledger.set_cursor(&name, None).await?;
    }
    Ok(())
}
