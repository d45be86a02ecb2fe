//! Deletes at the targets what the source does not have: after everything else, and only where nothing speaks against it.
//!
//! In: what two complete listings showed to be extra. Out: deletes, or why there are none. Never: a delete after an incomplete
//! listing, beyond the cap, after failures, or of a key that the source has after all.

use super::options::DeleteLimits;
use super::shared::Shared;
use super::tally::{BulkOutcome, BulkRecord, add};
use super::transfer::fails;
use super::walk::Extras;
use futures::{StreamExt, stream};
use skyfresh_sky::{Kind, ObjectVersion};
use skyfresh_store::{ListedObject, Precondition, Result as StoreResult};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Deletes under way at once.
const CONCURRENCY: usize = 32;

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
        let deletes = objects
            .into_iter()
            .map(|object| delete(shared, target, object));
        stream::iter(deletes)
            .buffer_unordered(CONCURRENCY)
            .collect::<()>()
            .await;
    }
}

async fn delete(shared: &Arc<Shared>, target: usize, object: ListedObject) {
    let tally = &shared.tally.targets[target];
    if shared.job.options.dry_run {
        add(&tally.deleted, 1);
        let outcome = BulkOutcome::WouldDelete;
        shared.tell(&BulkRecord::new(&object.key, target, outcome, object.size));
        return;
    }
    if shared.stop.is_cancelled() {
        return;
    }
    match try_delete(shared, target, &object).await {
        Ok(true) => {
            add(&tally.deleted, 1);
            let outcome = BulkOutcome::Deleted;
            shared.tell(&BulkRecord::new(&object.key, target, outcome, object.size));
        }
        Ok(false) => {
            add(&tally.skipped, 1);
            let outcome = BulkOutcome::Skipped;
            let mut record = BulkRecord::new(&object.key, target, outcome, object.size);
            record.why = Some("the source has it after all".to_owned());
            shared.tell(&record);
        }
        Err(error) => fails(shared, &object.key, target, object.size, &error),
    }
}

/// `false` where the source has the key by now: it was written after it was listed.
async fn try_delete(shared: &Shared, target: usize, object: &ListedObject) -> StoreResult<bool> {
    let tally = &shared.tally.targets[target];
    tally.usage.source_read();
    match shared.job.source.head(&object.key).await {
        Ok(_) => return Ok(false),
        Err(error) if error.kind == Kind::Missing && !error.is_missing_bucket() => {}
        Err(error) => return Err(error),
    }
    let store = &shared.job.targets[target].store;
    let listed = Precondition::Version(ObjectVersion::from_etag(object.etag.clone()));
    let precondition = match store.capabilities().delete_if_version.enforced() {
        true => listed,
        false => Precondition::None,
    };
    tally.usage.target_delete();
    store
        .delete(&object.key, &precondition)
        .await
        .map(|()| true)
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
