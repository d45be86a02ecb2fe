//! The operations of uploads in parts.

use super::AzureStore;
use super::attributes;
use super::blocks::Commit;
use super::upload::Upload;
use crate::checksum::Crc64;
use crate::http::Wanted;
use crate::{ByteStream, CompletedPart, CopySource, PartReceipt, Precondition, PutReceipt, Result};
use http::HeaderMap;
use skyfresh_sky::{Attributes, Kind};
use std::ops::Range;

impl AzureStore {
    /// Asks for the head only to learn whether the container is there: nothing is written.
    pub(super) async fn begin_upload(
        &self,
        full_key: &str,
        attributes: &Attributes,
    ) -> Result<String> {
        let operation = "create upload";
        attributes::write(attributes, &mut HeaderMap::new())
            .map_err(|why| self.failed(Kind::Invalid, operation, full_key, why))?;
        match self.read_head(full_key).await {
            Err(error) if error.kind != Kind::Missing || error.is_missing_bucket() => {
                Err(crate::Error { operation, ..error })
            }
            _ => Ok(Upload::new(&self.rng, attributes).text().to_owned()),
        }
    }

    fn read_upload(&self, operation: &'static str, full_key: &str, upload: &str) -> Result<Upload> {
        Upload::parse(upload).map_err(|why| self.failed(Kind::Missing, operation, full_key, why))
    }

    fn check_part(
        &self,
        operation: &'static str,
        full_key: &str,
        number: u32,
        size: u64,
    ) -> Result<()> {
        let limits = self.capabilities_now().upload_limits;
        if number == 0 || number > limits.max_parts || size > limits.max_part_bytes {
            let context = format!(
                "part {number} of {size} bytes is beyond the limits: parts 1 to {} of at most {} bytes",
                limits.max_parts, limits.max_part_bytes
            );
            return Err(self.failed(Kind::Invalid, operation, full_key, context));
        }
        Ok(())
    }

    pub(super) async fn send_part(
        &self,
        full_key: &str,
        upload: &str,
        number: u32,
        size: u64,
        body: ByteStream,
    ) -> Result<PartReceipt> {
        let operation = "upload part";
        let upload = self.read_upload(operation, full_key, upload)?;
        self.check_part(operation, full_key, number, size)?;
        let block = upload.id().block(number, &self.rng);
        let crc64 = if size == 0 {
            // There are no empty blocks: completing leaves the part out.
            let body = crate::body::whole_body(body, 0).await?;
            body.map_err(|why| self.failed(Kind::Invalid, operation, full_key, why))?;
            Crc64::EMPTY
        } else {
            self.stage_block(operation, full_key, &block, size, body, Wanted::default())
                .await?
                .crc64
        };
        Ok(PartReceipt {
            etag: block,
            crc64: Some(crc64),
        })
    }

    pub(super) async fn copy_into_part(
        &self,
        full_key: &str,
        upload: &str,
        number: u32,
        source: &CopySource,
        range: Range<u64>,
    ) -> Result<PartReceipt> {
        let operation = "copy part";
        let upload = self.read_upload(operation, full_key, upload)?;
        self.check_part(
            operation,
            full_key,
            number,
            range.end.saturating_sub(range.start),
        )?;
        if range.is_empty() {
            return Err(self.failed(
                Kind::Invalid,
                operation,
                full_key,
                "an empty range cannot be copied",
            ));
        }
        let head = self.source_head(operation, full_key, source).await?;
        if range.end > head.size {
            let context = format!(
                "bytes {range:?} are not all in the source, which has {}",
                head.size
            );
            return Err(self.failed(Kind::Invalid, operation, full_key, context));
        }
        let block = upload.id().block(number, &self.rng);
        let crc64 = self
            .stage_from(operation, full_key, &block, source, &head.version, range)
            .await?;
        Ok(PartReceipt { etag: block, crc64 })
    }

    /// Repeated like any small request: a completion whose answer was lost then shows as [`Kind::Missing`] (the blocks are part
    /// of the blob now) or [`Kind::Precondition`], and the caller learns from the head what happened.
    pub(super) async fn finish_upload(
        &self,
        full_key: &str,
        upload: &str,
        parts: &[CompletedPart],
        precondition: &Precondition,
    ) -> Result<PutReceipt> {
        let operation = "complete upload";
        let fail = |kind, why: String| self.failed(kind, operation, full_key, why);
        let upload = self.read_upload(operation, full_key, upload)?;
        if !parts.windows(2).all(|pair| pair[0].number < pair[1].number) || parts.is_empty() {
            return Err(fail(
                Kind::Invalid,
                "needs at least one part, in ascending order of numbers".into(),
            ));
        }
        if let Some(part) = parts
            .iter()
            .find(|part| !upload.id().owns(&part.etag, part.number))
        {
            return Err(fail(
                Kind::Invalid,
                format!("the receipt of part {} is not of this upload", part.number),
            ));
        }
        let staged = self.uncommitted(operation, full_key).await?;
        if staged.contains_key(&upload.id().tombstone()) {
            return Err(fail(Kind::Missing, "the upload was aborted".into()));
        }
        for part in parts {
            if let Some(size) = staged.get(&part.etag).filter(|size| **size != part.size) {
                let context = format!(
                    "the service holds {size} bytes for part {} of {}",
                    part.number, part.size
                );
                return Err(fail(Kind::Corrupt, context));
            }
        }
        let blocks: Vec<String> = parts
            .iter()
            .filter(|part| part.size > 0)
            .map(|part| part.etag.clone())
            .collect();
        let commit = Commit {
            blocks: &blocks,
            attributes: &upload.attributes,
            md5: None,
            precondition,
        };
        let version = match self.commit(operation, full_key, commit).await {
            Ok(version) => version,
            Err(error) => {
                return Err(self
                    .blocks_gone(full_key, error, precondition, Kind::Missing)
                    .await);
            }
        };
        // Every block was confirmed when it was staged, and no other could be committed in its place.
        let crc64 = parts.iter().try_fold(Crc64::EMPTY, |sum, part| {
            Some(sum.then(part.crc64?, part.size))
        });
        Ok(PutReceipt { version, crc64 })
    }

    /// Azure cannot discard the blocks of a name without writing the blob: they vanish with its next write, or after a week.
    /// What is left behind is a block that says so, which completing looks for in whatever process.
    pub(super) async fn discard_upload(&self, full_key: &str, upload: &str) -> Result<()> {
        let Ok(upload) = Upload::parse(upload) else {
            return Ok(());
        };
        let tombstone = upload.id().tombstone();
        let body = crate::single_chunk("x");
        self.stage_block(
            "abort upload",
            full_key,
            &tombstone,
            1,
            body,
            Wanted::default(),
        )
        .await
        .map(|_| ())
    }
}
