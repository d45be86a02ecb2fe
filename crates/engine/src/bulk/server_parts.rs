//! A copy by the target's store of an object larger than one such copy may be: in parts, each of which the store copies by itself.
//!
//! In: an object in the same service, of which the source states the whole CRC64NVME. Out: an object whose parts, by what the store
//! states of each, make that checksum; `None` where it states nothing or may not copy, and the bytes must travel. Never: a part of
//! another version than the one looked at; an object that is visible before its parts were added up.

use super::shared::Shared;
use super::tally::add;
use super::upload::{Upload, abandon, begin, end};
use super::walk::Want;
use super::whole::{Landed, Trouble};
use crate::backoff::retry_delay;
use futures::{StreamExt, TryStreamExt, stream};
use skyfresh_ledger::PartDone;
use skyfresh_sky::{Kind, ObjectKey};
use skyfresh_store::{CopySource, Error as StoreError, ObjectHead};

/// Parts that the store copies at once. They cost this process nothing but a request each.
const AT_ONCE: usize = 16;
/// Passing failures of a part before its upload is given up.
const PATIENCE: u32 = 6;

/// Has the target's store copy the object, part by part.
///
/// # Errors
/// The store's own, as for an upload.
pub(super) async fn copy(
    shared: &Shared,
    key: &ObjectKey,
    want: &Want,
    from: &CopySource,
    head: &ObjectHead,
) -> Result<Option<Landed>, Trouble> {
    let upload = begin(shared, key, want, head, None).await?;
    let parts = head.size.div_ceil(upload.part_bytes);
    // No more than the store takes: `begin` has checked it.
    let lacking = (1..=parts as u32).filter(|number| upload.needs(*number));
    let copied = stream::iter(lacking)
        .map(Ok)
        .try_for_each_concurrent(AT_ONCE, |number| {
            part(shared, key, from, head, &upload, number)
        })
        .await;
    let ended = match copied {
        Ok(()) => end(shared, key, &upload, head).await,
        Err(trouble) => Err(trouble),
    };
    match ended {
        Ok(landed) => {
            shared.tally.targets[want.target].usage.copied(head.size);
            Ok(Some(Landed {
                by_server: true,
                ..landed
            }))
        }
        Err(trouble) => {
            abandon(shared, key, &upload, &trouble.error).await;
            if trouble.error.kind == Kind::Unsupported {
                add(&shared.tally.targets[want.target].unprovable, 1);
            }
            if matches!(trouble.error.kind, Kind::Unsupported | Kind::Denied) {
                tracing::debug!(%key, error = %trouble.error, "the store cannot copy this by itself");
                return Ok(None);
            }
            Err(trouble)
        }
    }
}

/// One part, tried again where that may help.
async fn part(
    shared: &Shared,
    key: &ObjectKey,
    from: &CopySource,
    head: &ObjectHead,
    upload: &Upload,
    number: u32,
) -> Result<(), Trouble> {
    let target = &shared.job.targets[upload.target];
    let name = shared.job.name_at(upload.target, key);
    let start = u64::from(number - 1) * upload.part_bytes;
    let range = start..head.size.min(start + upload.part_bytes);
    let size = range.end - range.start;
    let mut failures = 0;
    let receipt = loop {
        shared.tally.targets[upload.target].usage.target_write();
        let copied = target
            .store
            .copy_part(name, &upload.id, number, from, range.clone())
            .await;
        let error = match copied {
            Ok(receipt) => break receipt,
            Err(error) => error,
        };
        failures += 1;
        if error.kind != Kind::RetryAfter || failures == PATIENCE {
            // All but the upload itself is the source's: its version is what the store was to copy.
            let at_source = matches!(error.kind, Kind::Precondition | Kind::Missing)
                && error.code.as_deref() != Some("NoSuchUpload");
            return Err(Trouble {
                error: Box::new(error),
                at_source,
            });
        }
        tracing::debug!(%key, number, %error, "the part will be copied again");
        let wait = error.retry_after;
        let wait = wait.unwrap_or_else(|| retry_delay(error.kind, failures, &shared.rng));
        shared.clock.sleep(wait).await;
    };
    let Some(crc64) = receipt.crc64 else {
        let why = "the store does not state the checksum of a part that it copied".to_owned();
        let error = StoreError::new(Kind::Unsupported, "copy part", key.as_str(), why);
        return Err(error.into());
    };
    let done = PartDone {
        number,
        etag: receipt.etag,
        size,
        crc64: Some(crc64.0),
        crc32c: None,
    };
    shared.journal.part(&upload.attempt, done.clone());
    upload.add(done);
    Ok(())
}
