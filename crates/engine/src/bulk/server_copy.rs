//! Copies made by the target's own store: no byte passes through this process. Objects larger than one such copy go in
//! [parts](super::server_parts).
//!
//! In: an object in the same service. Out: a copy that both stores' checksums show to be equal; `None` where nothing could show
//! that, and the bytes must travel. Never: a copy of another version than the one looked at.

use super::carried;
use super::options::MetadataChoice;
use super::server_parts;
use super::shared::Shared;
use super::tally::add;
use super::walk::Want;
use super::whole::{Landed, Trouble, copy_tags};
use crate::decide::common_checksum;
use skyfresh_sky::{Kind, ObjectKey};
use skyfresh_store::{CopySource, Error as StoreError};

/// Has the target's store make the copy.
///
/// # Errors
/// The store's own, as for a write.
pub(super) async fn copy(
    shared: &Shared,
    key: &ObjectKey,
    want: &Want,
) -> Result<Option<Landed>, Trouble> {
    let (source, target) = (&shared.job.source, &shared.job.targets[want.target]);
    let capabilities = target.store.capabilities();
    if !target.same_service || !capabilities.copy {
        return Ok(None);
    }
    let (options, tally) = (&shared.job.options, &shared.tally.targets[want.target]);
    tally.usage.source_read();
    let head = source.head(key).await.map_err(Trouble::at_source)?;
    let from = CopySource {
        bucket: Some(source.location().bucket.clone()),
        full_key: source.location().full_key(key),
        version: Some(head.version.clone()),
    };
    if head.size > capabilities.upload_limits.max_put_bytes {
        // Only this checksum can be added up from those of parts, before the object is visible.
        if !capabilities.multipart || !capabilities.copy_part || head.crc64.is_none() {
            add(&tally.unprovable, 1);
            return Ok(None);
        }
        return server_parts::copy(shared, key, want, &from, &head).await;
    }
    let states_any = head.crc64.is_some() || head.crc32c.is_some() || head.md5.is_some();
    let etag_may_prove = common_checksum(&head, &head).is_some();
    if !states_any && !etag_may_prove {
        add(&tally.unprovable, 1);
        return Ok(None);
    }
    let fitted = carried::attributes(options, &head, &capabilities);
    // Without a change the store keeps everything, tags too.
    let as_it_is = options.metadata == MetadataChoice::Keep
        && options.storage_class.is_none()
        && fitted.unkept.is_empty();
    let precondition = carried::precondition(
        options,
        want,
        capabilities.put_if_absent,
        capabilities.put_if_version,
    );
    let name = shared.job.name_at(want.target, key);
    tally.usage.target_write();
    let attributes = (!as_it_is).then_some(&fitted.attributes);
    let copied = target
        .store
        .copy(name, &from, attributes, &precondition)
        .await;
    let receipt = match copied {
        Ok(receipt) => receipt,
        Err(error) if matches!(error.kind, Kind::Unsupported | Kind::Denied) => {
            tracing::debug!(%key, %error, "the store cannot copy this by itself");
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    tally.usage.copied(head.size);
    tally.usage.target_read();
    let made = target.store.head(name).await?;
    if made.version.etag != receipt.version.etag {
        let why = "somebody else has written the copy's key meanwhile".to_owned();
        return Err(StoreError::new(Kind::Precondition, "verify", key.as_str(), why).into());
    }
    match common_checksum(&head, &made) {
        Some(common) if common.agrees() && made.size == head.size => {}
        Some(common) => {
            let why = format!(
                "the store's copy has {} {}, the source {}",
                common.name, common.b, common.a
            );
            return Err(StoreError::new(Kind::Corrupt, "verify", key.as_str(), why).into());
        }
        None => {
            // What the store made stays until the bytes replace it.
            add(&tally.unprovable, 1);
            return Ok(None);
        }
    }
    let mut unkept = fitted.unkept;
    if !as_it_is && carried::copies_tags(options, &head) && capabilities.tags {
        unkept.extend(copy_tags(shared, want.target, key).await);
    }
    Ok(Some(Landed {
        source: head.version,
        destination: receipt.version,
        size: head.size,
        crc64: made.crc64,
        unkept,
        by_server: true,
    }))
}
