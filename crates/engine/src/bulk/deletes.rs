//! Deletes at the targets what the source does not have: after everything else, and only where nothing speaks against it.
//!
//! In: what two complete listings showed to be extra. Out: deletes, or why there are none. Never: a delete after an incomplete
//! listing, beyond the cap, after failures, or of a key that the source has after all.
//!
//! Keys go in blocks: all of a block are looked up at the source, and what is not there is deleted in as few requests as the target
//! takes. Blocks are smaller than a request may be, so that a look-up is not old when it counts.

use super::options::DeleteLimits;
use super::shared::Shared;
use super::tally::{BulkOutcome, BulkRecord, add};
use super::transfer::fails;
use super::walk::Extras;
use futures::{StreamExt, stream};
use skyfresh_sky::{Kind, ObjectVersion};
use skyfresh_store::{Deletion, ListedObject, Precondition};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Keys in a block.
const BLOCK: usize = 250;
/// Blocks under way at once.
const BLOCKS: usize = 4;
/// Keys of a block that are looked up at once.
const LOOKS: usize = 16;

/// Why nothing may be deleted; `None` where it may.
fn refusal(
    limits: DeleteLimits,
    extras: Option<&Extras>,
    failed: u64,
    source_listed: u64,
) -> Option<String> {
    let Some(extras) = extras else {
        return Some("a listing did not come to its end; nothing was deleted".to_owned());
    };
    let count = extras.count;
    if count == 0 {
        None
    } else if failed > 0 {
        Some(format!(
            "{failed} objects could not be copied; the {count} to delete were left"
        ))
    } else if source_listed == 0 && !limits.allow_empty_source {
        Some(format!(
            "the source lists nothing at all; the {count} to delete were left"
        ))
    } else if count > limits.most {
        Some(format!(
            "{count} objects to delete are more than {}; none was deleted",
            limits.most
        ))
    } else {
        None
    }
}

/// Deletes what may be deleted.
pub(super) async fn run(shared: &Arc<Shared>, limits: DeleteLimits, extras: Vec<Option<Extras>>) {
    let source_listed = shared.tally.source_listed.load(Ordering::Relaxed);
    for (target, extras) in extras.into_iter().enumerate() {
        let tally = &shared.tally.targets[target];
        let failed = tally.failed.load(Ordering::Relaxed);
        if let Some(why) = refusal(limits, extras.as_ref(), failed, source_listed) {
            tally.refuse_deletes(why);
            continue;
        }
        let objects = extras.map(|extras| extras.objects).unwrap_or_default();
        let blocks = objects
            .chunks(BLOCK)
            .map(|block| delete_block(shared, target, block));
        // Collected first: futures that borrow may not come out of a closure that is polled elsewhere.
        let blocks: Vec<_> = blocks.collect();
        stream::iter(blocks)
            .buffer_unordered(BLOCKS)
            .collect::<()>()
            .await;
    }
}

async fn delete_block(shared: &Shared, target: usize, block: &[ListedObject]) {
    let tally = &shared.tally.targets[target];
    if shared.job.options.dry_run {
        for object in block {
            add(&tally.deleted, 1);
            let outcome = BulkOutcome::WouldDelete;
            shared.tell(&BulkRecord::new(&object.key, target, outcome, object.size));
        }
        return;
    }
    if shared.stop.is_cancelled() {
        return;
    }
    let looks: Vec<_> = block
        .iter()
        .map(|object| is_gone(shared, target, object))
        .collect();
    let gone: Vec<bool> = stream::iter(looks).buffered(LOOKS).collect().await;
    let gone = block.iter().zip(gone).filter(|(_, gone)| *gone);
    let doomed: Vec<&ListedObject> = gone.map(|(object, _)| object).collect();
    if doomed.is_empty() || shared.stop.is_cancelled() {
        return;
    }
    let store = &shared.job.targets[target].store;
    let capabilities = store.capabilities();
    let if_version = capabilities.delete_if_version.enforced();
    let deletions: Vec<Deletion> = doomed
        .iter()
        .map(|object| Deletion {
            key: object.key.clone(),
            precondition: match if_version {
                true => Precondition::Version(ObjectVersion::from_etag(object.etag.clone())),
                false => Precondition::None,
            },
        })
        .collect();
    let a_request = capabilities.deletes_a_request(if_version);
    for _ in 0..deletions.len().div_ceil(a_request) {
        tally.usage.target_delete();
    }
    let deleted = store.delete_many(&deletions).await;
    for (object, deleted) in doomed.into_iter().zip(deleted) {
        match deleted {
            Ok(()) => {
                add(&tally.deleted, 1);
                let outcome = BulkOutcome::Deleted;
                shared.tell(&BulkRecord::new(&object.key, target, outcome, object.size));
            }
            Err(error) => fails(shared, &object.key, target, object.size, &error),
        }
    }
}

/// Whether the source still lacks the key: it may have been written after it was listed. Where it does not, or that cannot be told,
/// that is told.
async fn is_gone(shared: &Shared, target: usize, object: &ListedObject) -> bool {
    let tally = &shared.tally.targets[target];
    if shared.stop.is_cancelled() {
        return false;
    }
    tally.usage.source_read();
    match shared.job.source.head(&object.key).await {
        Err(error) if error.kind == Kind::Missing && !error.is_missing_bucket() => true,
        Err(error) => {
            fails(shared, &object.key, target, object.size, &error);
            false
        }
        Ok(_) => {
            add(&tally.skipped, 1);
            let outcome = BulkOutcome::Skipped;
            let mut record = BulkRecord::new(&object.key, target, outcome, object.size);
            record.why = Some("the source has it after all".to_owned());
            shared.tell(&record);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_not_to_delete() {
        let limits = DeleteLimits {
            most: 2,
            allow_empty_source: false,
        };
        let extras = |count| Extras {
            objects: Vec::new(),
            count,
        };
        let why = |limits, extras: Option<&Extras>, failed, listed| {
            refusal(limits, extras, failed, listed).unwrap_or_default()
        };
        assert_eq!(why(limits, Some(&extras(2)), 0, 5), "");
        assert_eq!(why(limits, Some(&extras(0)), 3, 0), "", "nothing to delete");
        assert!(why(limits, None, 0, 5).contains("did not come to its end"));
        assert!(why(limits, Some(&extras(3)), 0, 5).contains("more than 2"));
        assert!(why(limits, Some(&extras(1)), 1, 5).contains("could not be copied"));
        assert!(why(limits, Some(&extras(1)), 0, 0).contains("lists nothing"));
        let meant = DeleteLimits {
            allow_empty_source: true,
            ..limits
        };
        assert_eq!(why(meant, Some(&extras(1)), 0, 0), "");
    }
}
