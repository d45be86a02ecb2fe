//! Blocks: staged one by one, each proved by the checksum the service answers with, and joined into a blob by one commit.

use super::AzureStore;
use super::attributes;
use super::endpoint::encode_query;
use super::request::Call;
use super::xml;
use crate::body::whole_body;
use crate::http::{Sums, UploadBody, Wanted, quote, set};
use crate::{ByteStream, Error, Precondition, Result};
use http::{HeaderMap, Method};
use skyfresh_sky::{Attributes, Kind, ObjectVersion};
use std::collections::BTreeMap;

/// Bodies up to this size are collected first, so that they can be sent again. It bounds memory: 64 keys at once hold 64 MiB.
pub(super) const COLLECT_LIMIT_BYTES: u64 = 1 << 20;

/// What a commit publishes.
pub(super) struct Commit<'a> {
    /// In the order of the bytes.
    pub(super) blocks: &'a [String],
    pub(super) attributes: &'a Attributes,
    /// Of the whole, where it is known.
    pub(super) md5: Option<[u8; 16]>,
    pub(super) precondition: &'a Precondition,
}

impl AzureStore {
    /// Sends a block of exactly `size` bytes (not zero), and compares what the service says it received.
    ///
    /// # Errors
    /// [`Kind::Corrupt`]: it received other bytes; the block is there, but nothing names it.
    pub(super) async fn stage_block(
        &self,
        operation: &'static str,
        full_key: &str,
        block: &str,
        size: u64,
        body: ByteStream,
        wanted: Wanted,
    ) -> Result<Sums> {
        let invalid = |why: String| self.failed(Kind::Invalid, operation, full_key, why);
        let call = Call::new(operation, Method::PUT, Some(full_key), block_query(block));
        let (answer, sums) = if size <= COLLECT_LIMIT_BYTES {
            let bytes = whole_body(body, size).await?.map_err(invalid)?;
            let sums = Sums::of(&bytes, wanted);
            (self.call(call.body(bytes)).await?, sums)
        } else {
            let upload = UploadBody::new(body, size, None, wanted);
            let mut answer = self.call(call.upload(upload, size)).await?;
            let sums = answer.sums.take().ok_or_else(|| {
                self.failed(
                    Kind::Internal,
                    operation,
                    full_key,
                    "a streamed body left no checksum",
                )
            })?;
            (answer, sums)
        };
        match attributes::received(&answer.headers) {
            Some(received) if received == sums.crc64 => Ok(sums),
            Some(received) => {
                let context = format!(
                    "the service received bytes with CRC64NVME {received}, but {} was sent",
                    sums.crc64
                );
                Err(self.failed(Kind::Corrupt, operation, full_key, context))
            }
            None => {
                let context = "the service does not say which bytes it received (x-ms-content-crc64), so nothing shows that it \
                               holds what was sent";
                Err(self.failed(Kind::Unsupported, operation, full_key, context))
            }
        }
    }

    /// Publishes a blob made of blocks that are not part of any blob yet. All or nothing.
    pub(super) async fn commit(
        &self,
        operation: &'static str,
        full_key: &str,
        commit: Commit<'_>,
    ) -> Result<ObjectVersion> {
        let invalid = |why: String| self.failed(Kind::Invalid, operation, full_key, why);
        let mut list = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>");
        for block in commit.blocks {
            // Never `Latest`: a block of the blob that is there must not be taken for one of ours.
            list.push_str(&format!(
                "<Uncommitted>{}</Uncommitted>",
                xml::escape(block)
            ));
        }
        list.push_str("</BlockList>");
        let mut call = Call::new(operation, Method::PUT, Some(full_key), "comp=blocklist").slow();
        attributes::write(commit.attributes, &mut call.headers).map_err(invalid)?;
        write_precondition(commit.precondition, &mut call.headers).map_err(invalid)?;
        set(
            &mut call.headers,
            "content-md5",
            &attributes::encode_md5(crate::checksum::Md5::of(list.as_bytes()).0),
        )
        .map_err(invalid)?;
        if let Some(md5) = commit.md5 {
            set(
                &mut call.headers,
                "x-ms-blob-content-md5",
                &attributes::encode_md5(md5),
            )
            .map_err(invalid)?;
        }
        let answer = self
            .call(call.body(list))
            .await
            .map_err(|error| absent_is_not_that_version(error, commit.precondition))?;
        self.published(operation, full_key, &answer.headers)
    }

    /// The version that the answer to a write names.
    pub(super) fn published(
        &self,
        operation: &'static str,
        full_key: &str,
        headers: &HeaderMap,
    ) -> Result<ObjectVersion> {
        attributes::version(headers).ok_or_else(|| {
            let why = "the answer does not say which version was written";
            self.failed(Kind::RetryAfter, operation, full_key, why)
        })
    }

    /// The blocks of a name that no blob holds yet, with their sizes in bytes.
    pub(super) async fn uncommitted(
        &self,
        operation: &'static str,
        full_key: &str,
    ) -> Result<BTreeMap<String, u64>> {
        let query = "blocklisttype=uncommitted&comp=blocklist";
        let answer = match self
            .call(Call::new(operation, Method::GET, Some(full_key), query))
            .await
        {
            Err(error) if error.kind == Kind::Missing && !error.is_missing_bucket() => {
                return Ok(BTreeMap::new());
            }
            outcome => outcome?,
        };
        let root = self.document(operation, full_key, &answer.body)?;
        let blocks = root
            .child("UncommittedBlocks")
            .into_iter()
            .flat_map(|of| of.children("Block"));
        blocks
            .map(|block| {
                Some((
                    block.text("Name")?.to_owned(),
                    block.text("Size")?.parse().ok()?,
                ))
            })
            .collect::<Option<_>>()
            .ok_or_else(|| {
                self.failed(
                    Kind::RetryAfter,
                    operation,
                    full_key,
                    "the list of blocks cannot be read",
                )
            })
    }

    /// Why a commit found its blocks gone: because the condition no longer holds, or else `otherwise`.
    pub(super) async fn blocks_gone(
        &self,
        full_key: &str,
        error: Error,
        precondition: &Precondition,
        otherwise: Kind,
    ) -> Error {
        if error.code.as_deref() != Some("InvalidBlockList") {
            return error;
        }
        let found = match self.read_head(full_key).await {
            Ok(head) => Some(head.version),
            Err(missing) if missing.kind == Kind::Missing && !missing.is_missing_bucket() => None,
            Err(error) => return error,
        };
        let holds = match precondition {
            Precondition::None => true,
            Precondition::Absent => found.is_none(),
            Precondition::Version(version) => found.is_some_and(|found| found.etag == version.etag),
        };
        Error {
            kind: if holds { otherwise } else { Kind::Precondition },
            context: "the blocks are gone: another write of this blob discarded them, or this one was done before".into(),
            ..error
        }
    }
}

pub(super) fn block_query(block: &str) -> String {
    format!("blockid={}&comp=block", encode_query(block))
}

/// Conditions on the blob a write replaces
/// (<https://learn.microsoft.com/rest/api/storageservices/specifying-conditional-headers-for-blob-service-operations>).
pub(super) fn write_precondition(
    precondition: &Precondition,
    headers: &mut HeaderMap,
) -> Result<(), String> {
    match precondition {
        Precondition::None => Ok(()),
        Precondition::Absent => set(headers, "if-none-match", "*"),
        Precondition::Version(version) => set(headers, "if-match", &quote(&version.etag)),
    }
}

/// Where there is no blob, a condition on its version did not hold.
pub(super) fn absent_is_not_that_version(mut error: Error, precondition: &Precondition) -> Error {
    if matches!(precondition, Precondition::Version(_))
        && error.code.as_deref() == Some("BlobNotFound")
    {
        error.kind = Kind::Precondition;
    }
    error
}
