//! One object to every target that wants it, until it is there or cannot be.
//!
//! In: an item. Out: a record for each target. Passing trouble is tried again, each target by itself; a condition that did not hold
//! means looking again and deciding again.

use super::judge::{Skip, Verdict, judge};
use super::pace::Slot;
use super::shared::Shared;
use super::tally::{BulkOutcome, BulkRecord, add};
use super::upload::{self, Early};
use super::walk::{Item, Want};
use super::whole::{self, Landed, Trouble};
use super::{parts, pull, server_copy};
use crate::backoff::retry_delay;
use crate::decide::common_checksum;
use skyfresh_sky::{Kind, ObjectKey};
use skyfresh_store::{Error as StoreError, ListedObject, ObjectHead};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Passing failures in a row before an object is given up.
const PATIENCE: u32 = 6;
/// Objects that fail because a person must act before a target is given up where nothing has succeeded.
const HOPELESS: u64 = 20;

/// How an object travels.
pub(super) enum Way {
    /// In one request; the slot is its own.
    Whole(Slot),
    /// In parts, each of which takes a slot.
    Parts,
}

/// A target that is not served yet.
struct Open {
    want: Want,
    failures: u32,
}

/// Copies an object to all its targets, and tells of each.
pub(super) async fn object(shared: &Arc<Shared>, item: Item, way: Way) {
    let key = &item.listed.key;
    let mut open: Vec<Open> = Vec::with_capacity(item.wants.len());
    for want in item.wants {
        if !want.compare_heads || differs(shared, &item.listed, &want).await {
            open.push(Open { want, failures: 0 });
        }
    }
    let mut early = item.early;
    for unwanted in early
        .iter_mut()
        .flat_map(|early| early.without(|target| open.iter().any(|it| it.want.target == target)))
    {
        upload::discard(shared, key, &unwanted).await;
    }
    let mut moved = 0;
    let mut throttled = false;
    while !open.is_empty() {
        let results = once(shared, &item.listed, &open, &way, early.take()).await;
        let mut left = Vec::new();
        let mut wait = None;
        for (open, result) in open.into_iter().zip(results) {
            match result {
                Ok(landed) => {
                    moved += landed.size;
                    landed_at(shared, key, open.want.target, landed);
                }
                Err(trouble) => {
                    throttled |= trouble.error.is_throttled();
                    let delay = trouble.error.retry_after;
                    if let Some((again, failures)) =
                        next_try(shared, &item.listed, open, trouble).await
                    {
                        let kind = Kind::RetryAfter;
                        let delay =
                            delay.unwrap_or_else(|| retry_delay(kind, failures, &shared.rng));
                        wait = wait.max(Some(delay));
                        left.push(again);
                    }
                }
            }
        }
        open = left;
        if let Some(wait) = wait {
            shared.clock.sleep(wait).await;
        }
    }
    if let Way::Whole(slot) = way {
        match throttled {
            true => slot.refused(),
            false => slot.done(moved),
        }
    }
}

/// One try for all that are open; one result each.
async fn once(
    shared: &Arc<Shared>,
    listed: &ListedObject,
    open: &[Open],
    way: &Way,
    early: Option<Early>,
) -> Vec<Result<Landed, Trouble>> {
    let mut results: Vec<Option<Result<Landed, Trouble>>> = Vec::with_capacity(open.len());
    for open in open {
        let mut copied = server_copy::copy(shared, &listed.key, &open.want).await;
        if matches!(copied, Ok(None)) {
            copied = pull::copy(shared, &listed.key, listed.size, &open.want).await;
        }
        results.push(copied.transpose());
    }
    let rest: Vec<&Want> = open
        .iter()
        .zip(&results)
        .filter(|(_, result)| result.is_none())
        .map(|(open, _)| &open.want)
        .collect();
    let mut moved = Vec::new();
    if !rest.is_empty() {
        let copied = match way {
            Way::Whole(_) => whole::copy(shared, &listed.key, &rest).await,
            Way::Parts => parts::copy(shared, &listed.key, &rest, early).await,
        };
        moved =
            copied.unwrap_or_else(|trouble| rest.iter().map(|_| Err(trouble.again())).collect());
    }
    let mut moved = moved.into_iter();
    let lost = || {
        let why = "no result for this destination".to_owned();
        Trouble::from(StoreError::new(
            Kind::Internal,
            "copy",
            listed.key.as_str(),
            why,
        ))
    };
    results
        .into_iter()
        .map(|result| {
            result
                .or_else(|| moved.next())
                .unwrap_or_else(|| Err(lost()))
        })
        .collect()
}

fn landed_at(shared: &Shared, key: &ObjectKey, target: usize, landed: Landed) {
    let tally = &shared.tally.targets[target];
    add(&tally.copied, 1);
    add(&tally.copied_bytes, landed.size);
    let outcome = match landed.by_server {
        true => BulkOutcome::ServerCopied,
        false => BulkOutcome::Copied,
    };
    if landed.by_server {
        add(&tally.server_copied, 1);
    }
    tally.lost_metadata(&landed.unkept);
    if shared.listener.is_some() {
        shared.tell(&BulkRecord {
            source: Some(landed.source),
            destination: Some(landed.destination),
            crc64: landed.crc64,
            unkept: landed.unkept,
            ..BulkRecord::new(key, target, outcome, landed.size)
        });
    }
}

/// What comes after a failure: another try after so many failures, or the end.
async fn next_try(
    shared: &Arc<Shared>,
    listed: &ListedObject,
    mut open: Open,
    Trouble { error, at_source }: Trouble,
) -> Option<(Open, u32)> {
    let target = open.want.target;
    let tally = &shared.tally.targets[target];
    open.failures += 1;
    match error.kind {
        Kind::Missing if at_source && !error.is_missing_bucket() => {
            add(&tally.skipped, 1);
            let mut record =
                BulkRecord::new(&listed.key, target, BulkOutcome::Skipped, listed.size);
            record.why = Some("it is gone from the source".to_owned());
            shared.tell(&record);
            None
        }
        Kind::RetryAfter | Kind::Corrupt if open.failures < PATIENCE => {
            tracing::debug!(key = %listed.key, %error, "will be tried again");
            let failures = open.failures;
            Some((open, failures))
        }
        Kind::Precondition if open.failures < PATIENCE => {
            look_again(shared, listed, open, &error, at_source).await
        }
        _ => {
            fails(shared, &listed.key, target, listed.size, &error);
            None
        }
    }
}

/// A condition did not hold: somebody wrote there since it was listed. What is there now decides.
async fn look_again(
    shared: &Arc<Shared>,
    listed: &ListedObject,
    mut open: Open,
    error: &StoreError,
    at_source: bool,
) -> Option<(Open, u32)> {
    let failures = open.failures;
    if at_source {
        return Some((open, failures));
    }
    let target = open.want.target;
    let store = &shared.job.targets[target].store;
    shared.tally.targets[target].usage.target_read();
    let held = match store.head(shared.job.name_at(target, &listed.key)).await {
        Ok(head) => Some(as_listed(&listed.key, &head)),
        Err(missing) if missing.kind == Kind::Missing && !missing.is_missing_bucket() => None,
        Err(_) => {
            fails(shared, &listed.key, target, listed.size, error);
            return None;
        }
    };
    match judge(&shared.job.options, listed, held.as_ref()) {
        Verdict::Skip(skip @ (Skip::Exists | Skip::Newer | Skip::OtherVersion)) => {
            shared.skipped(&listed.key, target, listed.size, skip);
            None
        }
        _ => {
            open.want.held = held;
            Some((open, failures))
        }
    }
}

/// A head as a listing would show it.
pub(super) fn as_listed(key: &ObjectKey, head: &ObjectHead) -> ListedObject {
    ListedObject {
        key: key.clone(),
        size: head.size,
        etag: head.version.etag.clone(),
        modified: head.modified,
    }
}

/// An object is given up at a target.
pub(super) fn fails(
    shared: &Shared,
    key: &ObjectKey,
    target: usize,
    size: u64,
    error: &StoreError,
) {
    let tally = &shared.tally.targets[target];
    let why = error.to_string();
    tally.failed(key, error.kind, &why);
    let hopeless = matches!(error.kind, Kind::Denied) || error.is_missing_bucket();
    if hopeless
        && tally.copied.load(Ordering::Relaxed) == 0
        && tally.failed.load(Ordering::Relaxed) >= HOPELESS
    {
        tally.give_up(error.kind, why.clone());
        shared.give_up_if_none_is_left();
    }
    let mut record = BulkRecord::new(key, target, BulkOutcome::Failed, size);
    record.why = Some(why);
    shared.tell(&record);
}

/// Whether heads show that an object must be copied; where they show that it need not be, that is told.
async fn differs(shared: &Shared, listed: &ListedObject, want: &Want) -> bool {
    let tally = &shared.tally.targets[want.target];
    let store = &shared.job.targets[want.target].store;
    tally.usage.source_read();
    tally.usage.target_read();
    let name = shared.job.name_at(want.target, &listed.key);
    let (source, held) = futures::join!(shared.job.source.head(&listed.key), store.head(name));
    // What cannot be read now will say so when it is copied.
    let (Ok(source), Ok(held)) = (source, held) else {
        return true;
    };
    let proved = source.size == held.size
        && common_checksum(&source, &held).is_some_and(|common| common.agrees());
    if proved {
        shared.skipped(&listed.key, want.target, listed.size, Skip::Proved);
    }
    !proved
}
