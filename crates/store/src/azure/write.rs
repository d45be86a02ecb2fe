//! Publishing and deleting objects.

use super::AzureStore;
use super::attributes;
use super::blocks::{COLLECT_LIMIT_BYTES, Commit, absent_is_not_that_version, write_precondition};
use super::request::Call;
use super::upload::Upload;
use crate::body::whole_body;
use crate::http::{Sums, Wanted, set};
use crate::{ByteStream, Precondition, PutOptions, PutReceipt, Result};
use http::Method;
use skyfresh_sky::Kind;

/// The MD5 of a whole object becomes a property of the blob, for whoever compares it with another store.
const WITH_MD5: Wanted = Wanted {
    crc32c: false,
    md5: true,
};

impl AzureStore {
    pub(super) async fn put_object(
        &self,
        full_key: &str,
        options: PutOptions,
        body: ByteStream,
    ) -> Result<PutReceipt> {
        let operation = "put";
        let limit = self.capabilities_now().upload_limits.max_put_bytes;
        if options.size > limit {
            let context = format!(
                "{} bytes are more than one block takes ({limit})",
                options.size
            );
            return Err(self.failed(Kind::Invalid, operation, full_key, context));
        }
        if options.size <= COLLECT_LIMIT_BYTES {
            self.put_whole(full_key, options, body).await
        } else {
            self.put_block(full_key, options, body).await
        }
    }

    /// One request with its MD5, which the service compares before the blob is there.
    async fn put_whole(
        &self,
        full_key: &str,
        options: PutOptions,
        body: ByteStream,
    ) -> Result<PutReceipt> {
        let operation = "put";
        let invalid = |why: String| self.failed(Kind::Invalid, operation, full_key, why);
        let bytes = whole_body(body, options.size).await?.map_err(invalid)?;
        let sums = Sums::of(&bytes, WITH_MD5);
        let mut call = Call::new(operation, Method::PUT, Some(full_key), "");
        let headers = &mut call.headers;
        attributes::write(&options.attributes, headers)
            .and_then(|()| write_precondition(&options.precondition, headers))
            .and_then(|()| set(headers, "x-ms-blob-type", "BlockBlob"))
            .and_then(|()| {
                set(
                    headers,
                    "content-md5",
                    &attributes::encode_md5(sums.md5.unwrap_or_default()),
                )
            })
            .map_err(invalid)?;
        let answer = self
            .call(call.body(bytes))
            .await
            .map_err(|error| absent_is_not_that_version(error, &options.precondition))?;
        Ok(PutReceipt {
            version: self.published(operation, full_key, &answer.headers)?,
            crc64: Some(sums.crc64),
        })
    }

    /// A block whose checksum the service answers with, and only then the commit that makes it a blob: a stream's checksum is
    /// not known when it begins, and a blob put whole is visible before anyone has compared anything.
    async fn put_block(
        &self,
        full_key: &str,
        options: PutOptions,
        body: ByteStream,
    ) -> Result<PutReceipt> {
        let operation = "put";
        // What cannot be written is found before the bytes are sent.
        attributes::write(&options.attributes, &mut http::HeaderMap::new())
            .map_err(|why| self.failed(Kind::Invalid, operation, full_key, why))?;
        let block = Upload::new(&self.rng, &options.attributes)
            .id()
            .block(1, &self.rng);
        let sums = self
            .stage_block(operation, full_key, &block, options.size, body, WITH_MD5)
            .await?;
        let commit = Commit {
            blocks: &[block],
            attributes: &options.attributes,
            md5: sums.md5,
            precondition: &options.precondition,
        };
        match self.commit(operation, full_key, commit).await {
            Ok(version) => Ok(PutReceipt {
                version,
                crc64: Some(sums.crc64),
            }),
            Err(error) => Err(self
                .blocks_gone(full_key, error, &options.precondition, Kind::RetryAfter)
                .await),
        }
    }

    pub(super) async fn delete_object(
        &self,
        full_key: &str,
        precondition: &Precondition,
    ) -> Result<()> {
        let operation = "delete";
        if *precondition == Precondition::Absent {
            let context = "deleting on condition that there is nothing to delete makes no sense";
            return Err(self.failed(Kind::Invalid, operation, full_key, context));
        }
        let mut call = Call::new(operation, Method::DELETE, Some(full_key), "");
        write_precondition(precondition, &mut call.headers)
            .map_err(|why| self.failed(Kind::Invalid, operation, full_key, why))?;
        let gone = |error: &crate::Error| error.kind == Kind::Missing && !error.is_missing_bucket();
        match self.call(call).await {
            Err(error) if gone(&error) => Ok(()),
            // A condition on what is not there: that is what was wanted.
            Err(error) if error.kind == Kind::Precondition => {
                match self.read_head(full_key).await {
                    Err(missing) if gone(&missing) => Ok(()),
                    _ => Err(error),
                }
            }
            outcome => outcome.map(|_| ()),
        }
    }
}
