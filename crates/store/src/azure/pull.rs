//! Pulls: a blob made of what the service itself reads from a URL (Put Block From URL), in another account or at another provider.
//!
//! In: a URL that the service can reach, the source's head. Out: a blob, published under a condition. Never: a blob that is visible
//! before what was read of it made the checksum that the source states.

use super::blocks::Commit;
use super::copy::{BLOCKS_AT_ONCE, COPY_BLOCK_BYTES};
use super::upload::Upload;
use super::{AzureStore, attributes};
use crate::checksum::Crc64;
use crate::{Error, ObjectHead, Precondition, PutReceipt, ReadUrl, Result};
use futures::{StreamExt, TryStreamExt};
use http::HeaderMap;
use skyfresh_sky::{Attributes, Kind};

const OPERATION: &str = "pull";

/// A block that the service has read.
struct Staged {
    id: String,
    crc64: Option<Crc64>,
    bytes: u64,
}

impl AzureStore {
    pub(super) async fn pull_object(
        &self,
        full_key: &str,
        source: &ReadUrl,
        head: &ObjectHead,
        attributes: &Attributes,
        precondition: &Precondition,
    ) -> Result<PutReceipt> {
        let failed = |kind, why: String| self.failed(kind, OPERATION, full_key, why);
        // An MD5 is not that of its blocks' digests: there must be one block.
        let by_md5 = head.crc64.is_none() && head.md5.is_some() && head.size <= COPY_BLOCK_BYTES;
        let most = self.capabilities_now().upload_limits.max_parts;
        let count = head.size.div_ceil(COPY_BLOCK_BYTES);
        if head.size == 0 || count > u64::from(most) || !(head.crc64.is_some() || by_md5) {
            let why = format!(
                "{} bytes with CRC64NVME {:?} and MD5 {:?} cannot be proved this way",
                head.size, head.crc64, head.md5
            );
            return Err(failed(Kind::Unsupported, why));
        }
        attributes::write(attributes, &mut HeaderMap::new())
            .map_err(|why| failed(Kind::Invalid, why))?;
        let upload = Upload::new(&self.rng, attributes).id();
        let md5 = head.md5.filter(|_| by_md5);
        let staged: Vec<Staged> = futures::stream::iter(0..count)
            .map(|index| async move {
                let start = index * COPY_BLOCK_BYTES;
                let range = start..head.size.min(start + COPY_BLOCK_BYTES);
                let bytes = range.end - range.start;
                // No more than the service takes, as was checked.
                let id = upload.block(index as u32 + 1, &self.rng);
                let crc64 = self
                    .stage_url(OPERATION, full_key, &id, source, range, md5)
                    .await?;
                Ok::<_, Error>(Staged { id, crc64, bytes })
            })
            .buffered(BLOCKS_AT_ONCE)
            .try_collect()
            .await?;
        let whole = staged.iter().try_fold(Crc64::EMPTY, |sum, block| {
            Some(sum.then(block.crc64?, block.bytes))
        });
        match (head.crc64, whole) {
            (Some(stated), Some(read)) if stated != read => {
                let why = format!("the service read CRC64NVME {read}, the source states {stated}");
                return Err(failed(Kind::Corrupt, why));
            }
            (Some(_), None) => {
                let why = "the service does not state the checksum of what it read".to_owned();
                return Err(failed(Kind::Unsupported, why));
            }
            // Where there is an MD5 alone, the service has compared it.
            _ => {}
        }
        let blocks: Vec<String> = staged.into_iter().map(|block| block.id).collect();
        let commit = Commit {
            blocks: &blocks,
            attributes,
            // What was read makes the CRC64NVME that the source states beside it.
            md5: head.md5.map(|md5| md5.0),
            precondition,
        };
        match self.commit(OPERATION, full_key, commit).await {
            Ok(version) => Ok(PutReceipt {
                version,
                crc64: whole,
            }),
            Err(error) => Err(self
                .blocks_gone(full_key, error, precondition, Kind::RetryAfter)
                .await),
        }
    }
}
