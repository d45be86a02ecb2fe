//! Copies within an account that move no bytes through this process.
//!
//! Copy Blob runs in the background and cannot replace system headers; setting them afterwards would publish twice. So a copy
//! is made of blocks that the service reads itself (Put Block From URL), and one commit with all attributes and the condition.
//! Tags are not copied.

use super::AzureStore;
use super::attributes;
use super::blocks::{Commit, block_query};
use super::request::Call;
use super::upload::Upload;
use crate::checksum::{Crc64, Md5};
use crate::http::{quote, set};
use crate::{CopySource, Error, ObjectHead, Precondition, PutReceipt, ReadUrl, Result};
use futures::{StreamExt, TryStreamExt};
use http::{HeaderMap, Method};
use skyfresh_sky::{Attributes, Kind, ObjectVersion};
use std::ops::Range;

/// Bytes that one request copies: few enough that the service answers within its time limit.
pub(super) const COPY_BLOCK_BYTES: u64 = 256 << 20;
pub(super) const BLOCKS_AT_ONCE: usize = 4;

impl AzureStore {
    /// The source's container; only this account's.
    fn source_container<'a>(
        &'a self,
        operation: &'static str,
        full_key: &str,
        source: &'a CopySource,
    ) -> Result<&'a str> {
        let Some(bucket) = source.bucket.as_deref() else {
            return Ok(&self.container);
        };
        match bucket.split_once('/') {
            None => Ok(bucket),
            Some((account, container)) if account == self.endpoint.account => Ok(container),
            Some((account, _)) => {
                let context = format!(
                    "{account} is another account: move the bytes through this process instead"
                );
                Err(self.failed(Kind::Unsupported, operation, full_key, context))
            }
        }
    }

    /// The source's head, in the version wanted.
    pub(super) async fn source_head(
        &self,
        operation: &'static str,
        full_key: &str,
        source: &CopySource,
    ) -> Result<ObjectHead> {
        let container = self.source_container(operation, full_key, source)?;
        let head = self.read_head_within(container, &source.full_key).await;
        let head = head.map_err(|error| Error { operation, ..error })?;
        match &source.version {
            Some(wanted) if wanted.etag != head.version.etag => {
                let context = format!("the source is {} now, not {wanted}", head.version);
                Err(self.failed(Kind::Precondition, operation, full_key, context))
            }
            _ => Ok(head),
        }
    }

    /// Stages a block from a range of the source. Returns the CRC64NVME that the service states of it.
    pub(super) async fn stage_from(
        &self,
        operation: &'static str,
        full_key: &str,
        block: &str,
        source: &CopySource,
        version: &ObjectVersion,
        range: Range<u64>,
    ) -> Result<Option<Crc64>> {
        let container = self.source_container(operation, full_key, source)?;
        let url = self.endpoint.url(container, Some(&source.full_key), "");
        let (url, token) = self
            .credentials
            .copy_source(url, container, &source.full_key)
            .await?;
        let token = token.map(|token| token.expose().to_owned());
        let source = ReadUrl::new(url).with_bearer(token).only(&version.etag);
        self.stage_url(operation, full_key, block, &source, range, None)
            .await
    }

    /// Stages a block from a range of what a URL shows; with `md5`, only if that is its digest. Returns the CRC64NVME that the service
    /// states of it.
    pub(super) async fn stage_url(
        &self,
        operation: &'static str,
        full_key: &str,
        block: &str,
        source: &ReadUrl,
        range: Range<u64>,
        md5: Option<Md5>,
    ) -> Result<Option<Crc64>> {
        let mut call = Call::new(operation, Method::PUT, Some(full_key), block_query(block)).slow();
        let headers = &mut call.headers;
        let range = format!("bytes={}-{}", range.start, range.end - 1);
        set(headers, "x-ms-copy-source", source.url())
            .and_then(|()| set(headers, "x-ms-source-range", &range))
            .and_then(|()| match source.etag() {
                Some(etag) => set(headers, "x-ms-source-if-match", &quote(etag)),
                None => Ok(()),
            })
            .and_then(|()| match md5 {
                Some(md5) => set(
                    headers,
                    "x-ms-source-content-md5",
                    &attributes::encode_md5(md5.0),
                ),
                None => Ok(()),
            })
            .and_then(|()| match source.bearer() {
                Some(token) => set(
                    headers,
                    "x-ms-copy-source-authorization",
                    &format!("Bearer {token}"),
                ),
                None => Ok(()),
            })
            // The value may be a secret.
            .map_err(|_| {
                self.failed(
                    Kind::Invalid,
                    operation,
                    full_key,
                    "the source cannot be named in a header",
                )
            })?;
        for secret in ["x-ms-copy-source", "x-ms-copy-source-authorization"] {
            if let Some(value) = headers.get_mut(secret) {
                value.set_sensitive(true);
            }
        }
        Ok(attributes::received(&self.call(call).await?.headers))
    }

    /// Where another account may read one version of a blob of this one.
    pub(super) async fn sign_read(
        &self,
        full_key: &str,
        version: &ObjectVersion,
    ) -> Result<ReadUrl> {
        let url = self.endpoint.url(&self.container, Some(full_key), "");
        let signed = self
            .credentials
            .copy_source(url, &self.container, full_key)
            .await?;
        let (url, token) = signed;
        let token = token.map(|token| token.expose().to_owned());
        Ok(ReadUrl::new(url).with_bearer(token).only(&version.etag))
    }

    pub(super) async fn copy_object(
        &self,
        full_key: &str,
        source: &CopySource,
        attributes: Option<&Attributes>,
        precondition: &Precondition,
    ) -> Result<PutReceipt> {
        let operation = "copy";
        let head = self.source_head(operation, full_key, source).await?;
        let limit = self.capabilities_now().upload_limits.max_put_bytes;
        if head.size > limit {
            let context = format!("{} bytes are more than one copy takes ({limit})", head.size);
            return Err(self.failed(Kind::Invalid, operation, full_key, context));
        }
        let attributes = attributes.unwrap_or(&head.attributes);
        attributes::write(attributes, &mut HeaderMap::new())
            .map_err(|why| self.failed(Kind::Invalid, operation, full_key, why))?;
        let upload = Upload::new(&self.rng, attributes).id();
        let (version, count) = (&head.version, head.size.div_ceil(COPY_BLOCK_BYTES));
        let blocks: Vec<String> = futures::stream::iter(0..count)
            .map(|index| async move {
                let start = index * COPY_BLOCK_BYTES;
                let range = start..head.size.min(start + COPY_BLOCK_BYTES);
                // At most 4,000 MiB in blocks of 256 MiB: the index is small.
                let block = upload.block(index as u32 + 1, &self.rng);
                self.stage_from(operation, full_key, &block, source, version, range)
                    .await?;
                Ok::<_, Error>(block)
            })
            .buffered(BLOCKS_AT_ONCE)
            .try_collect()
            .await?;
        let commit = Commit {
            blocks: &blocks,
            attributes,
            // The same bytes, so the same digest.
            md5: head.md5.map(|md5| md5.0),
            precondition,
        };
        match self.commit(operation, full_key, commit).await {
            Ok(version) => Ok(PutReceipt {
                version,
                crc64: None,
            }),
            Err(error) => Err(self
                .blocks_gone(full_key, error, precondition, Kind::RetryAfter)
                .await),
        }
    }
}
