//! Copies that the target's store makes by reading a URL of the source's, across services: no byte passes through this process.
//!
//! In: an object whose checksum the source states, a target whose store reads URLs (Azure). Out: an object that the store has proved
//! before it was visible; `None` where that cannot be done, and the bytes must travel. Never: asked of a target again that could not
//! read the first time; used where the rate is limited, which nothing could hold it to.

use super::carried;
use super::shared::Shared;
use super::walk::Want;
use super::whole::{Landed, Trouble, copy_tags};
use skyfresh_sky::{Kind, ObjectKey};
use std::sync::atomic::Ordering;

/// Smaller objects take no longer by themselves: asking for them, and what must be known before, are as many requests.
const LEAST_BYTES: u64 = super::SMALL_BYTES;

/// Has the target's store read the object.
///
/// # Errors
/// The source cannot be looked at, or the target's condition did not hold.
pub(super) async fn copy(
    shared: &Shared,
    key: &ObjectKey,
    size: u64,
    want: &Want,
) -> Result<Option<Landed>, Trouble> {
    let (source, target) = (&shared.job.source, &shared.job.targets[want.target]);
    let (options, tally) = (&shared.job.options, &shared.tally.targets[want.target]);
    let capabilities = target.store.capabilities();
    if !target.may_pull
        || !capabilities.pull
        || size <= LEAST_BYTES
        || shared.throttle.is_some()
        || tally.cannot_pull.load(Ordering::Relaxed)
    {
        return Ok(None);
    }
    tally.usage.source_read();
    let head = source.head(key).await.map_err(Trouble::at_source)?;
    if head.crc64.is_none() && head.md5.is_none() {
        return Ok(None);
    }
    let url = match source.read_url(key, &head.version).await {
        Ok(Some(url)) => url,
        Ok(None) => return Ok(None),
        Err(error) => {
            tracing::debug!(%key, %error, "there is no URL to read this by");
            return Ok(None);
        }
    };
    let fitted = carried::attributes(options, &head, &capabilities);
    let precondition = carried::precondition(
        options,
        want,
        capabilities.complete_if_absent,
        capabilities.complete_if_version,
    );
    let name = shared.job.name_at(want.target, key);
    tally.usage.target_write();
    let pulled = target
        .store
        .pull(name, &url, &head, &fitted.attributes, &precondition)
        .await;
    let receipt = match pulled {
        Ok(receipt) => receipt,
        Err(error) if error.kind == Kind::Precondition => return Err(error.into()),
        Err(error) => {
            // Another object may be proved where this one could not; what cannot be reached will not be.
            if !matches!(error.kind, Kind::Unsupported | Kind::Corrupt) {
                tally.cannot_pull.store(true, Ordering::Relaxed);
            }
            tracing::debug!(%key, %error, "the store did not read this by itself");
            return Ok(None);
        }
    };
    tally.usage.copied(head.size);
    let mut unkept = fitted.unkept;
    if carried::copies_tags(options, &head) && capabilities.tags {
        unkept.extend(copy_tags(shared, want.target, key).await);
    }
    Ok(Some(Landed {
        source: head.version,
        destination: receipt.version,
        size: head.size,
        crc64: receipt.crc64,
        unkept,
        by_server: true,
    }))
}
