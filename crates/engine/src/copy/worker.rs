//! A worker: pulls parts from the pool until there are none, and publishes if it completed the last one. What goes in one request
//! has no pool: the worker copies it.

use super::executor::{WorkOrder, WorkerContext};
use super::inline::copy_whole;
use super::limited;
use super::line::Turn;
use crate::decide::Strategy;
use crate::finish::{self, Published};
use crate::overlay::Part;
use crate::usage::Usage;
use crate::{Error, Result};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use skyfresh_ledger::{PartClaim, PartDone};
use skyfresh_sky::{Kind, Mutant};
use skyfresh_store::checksum::{Tally, Wanted};
use skyfresh_store::{Error as StoreError, GetOptions};
use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

/// A part younger than this is never duplicated, however fast the others were.
const MIN_DUPLICATE_AGE: Duration = Duration::from_millis(500);
/// The same for a worker that has not finished a part yet, where nothing was predicted either. It is idle because there are fewer
/// parts than are in flight at once, and all of them may well take longer than the least: they would all be sent twice.
const FIRST_DUPLICATE_AGE: Duration = Duration::from_secs(10);
/// The same where relays carry: longer than a part waits for other destinations.
const RELAYED_DUPLICATE_AGE: Duration = Duration::from_secs(4);
/// A part becomes a straggler when it takes this many times the mean of the parts this worker has seen.
const STRAGGLER_FACTOR: u32 = 3;
/// Passing failures a worker absorbs in a row before it gives up its order.
const PATIENCE: u32 = 3;

/// The age of a straggler to a worker that has seen no part: what the whole transfer is predicted to take at the SLO's
/// percentile. Relays were not predicted: a part may wait for them to start.
fn before_any_part(order: &WorkOrder) -> Duration {
    let expected = order.plan.expected.as_ref();
    let expected = expected.filter(|_| order.relays.is_none());
    expected.map_or(FIRST_DUPLICATE_AGE, |expected| {
        Duration::from_millis(expected.at_slo_ms).max(MIN_DUPLICATE_AGE)
    })
}

/// The least age of a straggler: one that may go by relays can wait for other destinations to want it.
fn least_age(order: &WorkOrder) -> Duration {
    match order.relays {
        Some(_) => RELAYED_DUPLICATE_AGE,
        None => MIN_DUPLICATE_AGE,
    }
}

/// One part's copy: what came of it, and the time it took.
struct Copied {
    claim: PartClaim,
    result: skyfresh_store::Result<PartDone>,
    took: Duration,
}

/// Runs until the pool is complete or closed, or the worker gives up; then it gives back the parts it still holds, so that
/// nobody waits for their leases.
pub(crate) async fn run(
    context: &WorkerContext,
    order: &WorkOrder,
    usage: &Usage,
    turn: &mut Turn,
) -> Result<Option<Published>> {
    if order.plan.strategy == Strategy::Inline {
        let stores = (context.source.as_ref(), context.target.as_ref());
        let (key, throttle) = (&order.task.key, context.throttle.as_ref());
        let copied = copy_whole(stores, throttle, key, &order.plan, None, usage);
        return copied.await.map(Some);
    }
    let mut held = BTreeSet::new();
    let result = pull(context, order, usage, turn, &mut held).await;
    if result.is_err() {
        for number in held {
            context
                .ledger
                .release_part(&order.attempt, &order.worker, number)
                .await
                .ok();
        }
    }
    result
}

async fn pull(
    context: &WorkerContext,
    order: &WorkOrder,
    usage: &Usage,
    turn: &mut Turn,
    held: &mut BTreeSet<u32>,
) -> Result<Option<Published>> {
    let Strategy::Multipart { part_bytes, .. } = order.plan.strategy else {
        return Err(Error::new(
            Kind::Internal,
            "run worker",
            order.task.to_string(),
            "an inline plan has no parts",
        ));
    };
    let mut running = FuturesUnordered::new();
    let mut duplicate_after = before_any_part(order);
    let (mut finished, mut total_time) = (0u32, Duration::ZERO);
    let mut failures_in_a_row = 0;
    let mut changed = false;
    loop {
        let gives_way = turn.gives_way();
        if gives_way && running.is_empty() {
            turn.again().await;
            continue;
        }
        let free = order.parts_in_flight.max(1).saturating_sub(running.len());
        if free > 0 && !gives_way && !changed {
            let now = context.clock.now();
            let claimed = context
                .ledger
                .claim_parts(
                    &order.attempt,
                    &order.worker,
                    free,
                    order.part_lease,
                    duplicate_after,
                    now,
                )
                .await;
            match claimed {
                Ok(claims) => {
                    held.extend(claims.iter().map(|claim| claim.number));
                    running.extend(
                        claims
                            .into_iter()
                            .map(|claim| copy_part(context, order, part_bytes, claim, usage)),
                    );
                }
                // The pool is closed: another worker has published, or the attempt was given up.
                Err(error) if error.kind == Kind::Missing => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        let Some(copied) = running.next().await else {
            // Others hold the last parts.
            if !order.stays || changed {
                return Ok(None);
            }
            // Look again when the slowest of them may count as a straggler.
            match context.ledger.parts(&order.attempt).await? {
                Some((total, done)) if (done.len() as u32) < total => {
                    context.clock.sleep(duplicate_after / 2).await
                }
                _ => return Ok(None),
            }
            continue;
        };
        held.remove(&copied.claim.number);
        match copied.result {
            Ok(part) => {
                failures_in_a_row = 0;
                // The last part is shorter, and says nothing of how long the others may take.
                if part.size == part_bytes {
                    finished += 1;
                    total_time += copied.took;
                    duplicate_after =
                        (total_time / finished * STRAGGLER_FACTOR).max(least_age(order));
                }
                let state = match context.ledger.finish_part(&order.attempt, part).await {
                    Ok(state) => state,
                    Err(error) if error.kind == Kind::Missing => return Ok(None),
                    Err(error) => return Err(error.into()),
                };
                if state.completed_now {
                    // Duplicates of parts that are done need not end before the object is published.
                    drop(running);
                    return finish::publish_upload(context, order, usage)
                        .await
                        .map(Some);
                }
            }
            Err(error) => {
                context
                    .ledger
                    .release_part(&order.attempt, &order.worker, copied.claim.number)
                    .await
                    .ok();
                // The source has changed. Whoever holds the part too may read it since before that, as others their last parts:
                // only a part that nobody reads is lost.
                if error.kind == Kind::Precondition && copied.claim.duplicate {
                    tracing::debug!(task = %order.task, part = copied.claim.number, %error, "left to the one that began it");
                    changed = true;
                    continue;
                }
                failures_in_a_row += 1;
                if error.kind != Kind::RetryAfter || failures_in_a_row > PATIENCE {
                    return Err(error.into());
                }
                tracing::debug!(task = %order.task, part = copied.claim.number, %error, "part will be copied again");
                context
                    .clock
                    .sleep(Duration::from_millis(100 << failures_in_a_row))
                    .await;
            }
        }
    }
}

async fn copy_part(
    context: &WorkerContext,
    order: &WorkOrder,
    part_bytes: u64,
    claim: PartClaim,
    usage: &Usage,
) -> Copied {
    let started_ns = context.clock.monotonic_ns();
    let result = transfer(context, order, part_bytes, claim.number, usage).await;
    let took = Duration::from_nanos(context.clock.monotonic_ns().saturating_sub(started_ns));
    Copied {
        claim,
        result,
        took,
    }
}

/// Adds the bytes that have passed to the bill, also when the part's copy is dropped halfway.
struct Billed<'a>(Tally, &'a Usage);

impl Drop for Billed<'_> {
    fn drop(&mut self) {
        self.1.moved(self.0.read().1);
    }
}

async fn transfer(
    context: &WorkerContext,
    order: &WorkOrder,
    part_bytes: u64,
    number: u32,
    usage: &Usage,
) -> skyfresh_store::Result<PartDone> {
    let key = &order.task.key;
    let start = u64::from(number - 1) * part_bytes;
    let end = (start + part_bytes).min(order.plan.size);
    if let Some(done) = by_relays(context, order, number, start..end, usage).await {
        return Ok(done);
    }
    // It comes through this process after all.
    let _turn = match &context.relays {
        Some((_, line)) => Some(line.enter(1, order.urgency.into()).await),
        None => None,
    };
    let options = GetOptions {
        range: Some(start..end),
        version: Some(order.plan.read_version().clone()).filter(|_| !Mutant::NoVersionPin.is_on()),
    };
    usage.source_read();
    let read = context.source.get(key, options).await?;
    let wanted = Wanted {
        crc32c: order.plan.crc32c.is_some(),
        md5: false,
    };
    let (body, tally) = limited(read.body, context.throttle.as_ref(), wanted);
    let _billed = Billed(tally.clone(), usage);
    usage.target_write();
    let receipt = context
        .target
        .upload_part(key, &order.upload, number, end - start, body)
        .await?;
    let (sent, moved) = tally.read();
    let differs = moved != end - start || receipt.crc64.is_some_and(|stored| stored != sent);
    if differs && !Mutant::VerificationSkipped.is_on() {
        let why = format!(
            "part {number} has {moved} bytes with CRC64NVME {sent}, the store states {:?}",
            receipt.crc64
        );
        return Err(StoreError::new(
            Kind::Corrupt,
            "verify part",
            key.as_str(),
            why,
        ));
    }
    Ok(PartDone {
        number,
        etag: receipt.etag,
        size: moved,
        crc64: Some(sent.0),
        crc32c: tally.sums().crc32c,
    })
}

/// A part that relays have carried; `None`: they are not there, or did not.
async fn by_relays(
    context: &WorkerContext,
    order: &WorkOrder,
    number: u32,
    range: Range<u64>,
    usage: &Usage,
) -> Option<PartDone> {
    let (relays, _) = context.relays.as_ref()?;
    let size = range.end - range.start;
    let part = Part {
        key: order.task.key.clone(),
        version: order.plan.read_version().clone(),
        crc32c: order.plan.crc32c.is_some(),
        number,
        offset: range.start,
        size,
    };
    let throttle = context.throttle.as_ref();
    let carried = relays.part(&part, &order.upload, throttle).await?;
    if carried.reads {
        usage.source_read();
    }
    usage.target_write();
    usage.relayed(size, carried.egress_per_gb);
    Some(carried.done)
}
