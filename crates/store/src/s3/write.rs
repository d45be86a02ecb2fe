//! Publishing, copying and deleting objects.

use super::attributes::{self, set};
use super::endpoint::{encode_path, encode_query};
use super::request::{Answer, Call};
use super::verify::Proof;
use super::{S3Store, xml};
use crate::body::whole_body;
use crate::http::{Sums, UploadBody, Wanted};
use crate::{ByteStream, CopySource, Error, Precondition, PutOptions, PutReceipt, Result};
use bytes::Bytes;
use http::{HeaderMap, Method};
use skyfresh_sky::{Attributes, Kind, ObjectVersion};

/// Bodies up to this size are collected first: their checksum goes as a header instead of a trailer, and they can be sent again.
const COLLECT_LIMIT_BYTES: u64 = 256 << 10;

impl S3Store {
    pub(super) async fn put_object(
        &self,
        full_key: &str,
        options: PutOptions,
        body: ByteStream,
    ) -> Result<PutReceipt> {
        let operation = "put";
        let knowledge = self.knowledge();
        let limit = knowledge.capabilities.upload_limits.max_put_bytes;
        if options.size > limit {
            let context = format!(
                "{} bytes are more than one PUT takes ({limit})",
                options.size
            );
            return Err(self.failed(Kind::Invalid, operation, full_key, context));
        }
        let mut call = Call::new(operation, Method::PUT, Some(full_key), "");
        attributes::write(&options.attributes, &mut call.headers)
            .and_then(|()| write_precondition(&options.precondition, &mut call.headers))
            .map_err(|why| self.failed(Kind::Invalid, operation, full_key, why))?;
        let sent = self
            .send_payload(
                call,
                full_key,
                operation,
                Proof::of(&knowledge),
                options.size,
                body,
            )
            .await;
        let (answer, sums) =
            sent.map_err(|error| absent_is_not_that_version(error, &options.precondition))?;
        let version = self.published(operation, full_key, &answer.headers)?;
        Ok(PutReceipt {
            version,
            crc64: Some(sums.crc64),
        })
    }

    /// Sends a body with its proof, and compares what the store says it got.
    pub(super) async fn send_payload(
        &self,
        mut call: Call<'_>,
        full_key: &str,
        operation: &'static str,
        proof: Proof,
        size: u64,
        body: ByteStream,
    ) -> Result<(Answer<Bytes>, Sums)> {
        let invalid = |why: String| self.failed(Kind::Invalid, operation, full_key, why);
        let (answer, sums) = if size <= COLLECT_LIMIT_BYTES {
            let bytes = whole_body(body, size).await?.map_err(invalid)?;
            let mut sums = Sums::of(&bytes, proof.wanted());
            proof
                .head_of_whole(&mut call.headers, &sums)
                .map_err(invalid)?;
            let answer = self.call(call.body(bytes.clone())).await?;
            if sums.md5.is_none() && proof.needs_md5(&answer.headers) {
                let wanted = Wanted {
                    md5: true,
                    ..proof.wanted()
                };
                sums = Sums::of(&bytes, wanted);
            }
            (answer, sums)
        } else {
            proof
                .head_of_stream(&mut call.headers, size)
                .map_err(invalid)?;
            let upload = UploadBody::new(body, size, proof.checksum, proof.wanted());
            let mut answer = self.call(call.upload(upload)).await?;
            let sums = answer.sums.take().ok_or_else(|| {
                self.failed(
                    Kind::Internal,
                    operation,
                    full_key,
                    "a streamed body left no checksum",
                )
            })?;
            if sums.md5.is_none() && proof.needs_md5(&answer.headers) {
                self.learn(|knowledge| knowledge.silent = true);
                let why = "the store did not repeat the checksum it was sent; sent again, it will be proved by an MD5";
                return Err(self.failed(Kind::RetryAfter, operation, full_key, why));
            }
            (answer, sums)
        };
        let etag = attributes::text(&answer.headers, "etag").map(|etag| attributes::unquote(&etag));
        proof
            .check(&answer.headers, etag.as_deref(), &sums)
            .map_err(|(kind, why)| self.failed(kind, operation, full_key, why))?;
        Ok((answer, sums))
    }

    /// The version that the answer to a write names.
    fn published(
        &self,
        operation: &'static str,
        full_key: &str,
        headers: &HeaderMap,
    ) -> Result<ObjectVersion> {
        attributes::version(headers).ok_or_else(|| {
            self.failed(
                Kind::RetryAfter,
                operation,
                full_key,
                "the answer does not say which version was written",
            )
        })
    }

    /// The storage class is the destination's default where `attributes` is `None`: S3 copies everything but that.
    pub(super) async fn copy_object(
        &self,
        full_key: &str,
        source: &CopySource,
        attributes: Option<&Attributes>,
        precondition: &Precondition,
    ) -> Result<PutReceipt> {
        let operation = "copy";
        let mut call = Call::new(operation, Method::PUT, Some(full_key), "").slow();
        let headers = &mut call.headers;
        write_copy_source(&self.bucket, source, headers)
            .and_then(|()| write_precondition(precondition, headers))
            .and_then(|()| match attributes {
                Some(attributes) => {
                    set(headers, "x-amz-metadata-directive", "REPLACE")?;
                    attributes::write(attributes, headers)
                }
                None => Ok(()),
            })
            .map_err(|why| self.failed(Kind::Invalid, operation, full_key, why))?;
        let answer = self.call(call).await?;
        let result: xml::CopyResult = self.document(operation, full_key, &answer.body)?;
        let version = ObjectVersion {
            etag: attributes::unquote(&result.etag),
            version_id: attributes::version_id(&answer.headers),
        };
        let crc64 = result
            .checksum_crc64nvme
            .as_deref()
            .and_then(attributes::decode_crc64);
        Ok(PutReceipt { version, crc64 })
    }

    pub(super) async fn delete_object(
        &self,
        full_key: &str,
        precondition: &Precondition,
    ) -> Result<()> {
        let operation = "delete";
        let mut call = Call::new(operation, Method::DELETE, Some(full_key), "");
        if *precondition == Precondition::Absent {
            let context = "deleting on condition that there is nothing to delete makes no sense";
            return Err(self.failed(Kind::Invalid, operation, full_key, context));
        }
        write_precondition(precondition, &mut call.headers)
            .map_err(|why| self.failed(Kind::Invalid, operation, full_key, why))?;
        match self.call(call).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind == Kind::Missing && !error.is_missing_bucket() => Ok(()),
            Err(error) if error.kind == Kind::Precondition => self.gone_or(full_key, error).await,
            Err(error) => Err(error),
        }
    }

    /// Some stores say 412 where there is no object: that is what was wanted.
    pub(super) async fn gone_or(&self, full_key: &str, error: Error) -> Result<()> {
        match self.read_head(full_key).await {
            Err(missing) if missing.kind == Kind::Missing && !missing.is_missing_bucket() => Ok(()),
            _ => Err(error),
        }
    }

    /// Parses an answer's document.
    pub(super) fn document<T: for<'de> serde::Deserialize<'de>>(
        &self,
        operation: &'static str,
        full_key: &str,
        body: &[u8],
    ) -> Result<T> {
        xml::parse(body).map_err(|why| {
            let context = format!(
                "the store's answer cannot be read ({} bytes): {why}",
                body.len()
            );
            self.failed(Kind::RetryAfter, operation, full_key, context)
        })
    }
}

/// Conditions on the object a write replaces (S3 user guide, "Conditional requests").
pub(super) fn write_precondition(
    precondition: &Precondition,
    headers: &mut HeaderMap,
) -> Result<(), String> {
    match precondition {
        Precondition::None => Ok(()),
        Precondition::Absent => set(headers, "if-none-match", "*"),
        Precondition::Version(version) => {
            set(headers, "if-match", &attributes::quote(&version.etag))
        }
    }
}

/// Where a copy reads, pinned.
pub(super) fn write_copy_source(
    own_bucket: &str,
    source: &CopySource,
    headers: &mut HeaderMap,
) -> Result<(), String> {
    let bucket = source.bucket.as_deref().unwrap_or(own_bucket);
    let mut address = format!("{bucket}/{}", encode_path(&source.full_key));
    if let Some(version) = &source.version {
        if let Some(id) = &version.version_id {
            address.push_str(&format!("?versionId={}", encode_query(id)));
        }
        set(
            headers,
            "x-amz-copy-source-if-match",
            &attributes::quote(&version.etag),
        )?;
    }
    set(headers, "x-amz-copy-source", &address)
}

/// S3 answers `404 NoSuchKey` to a write on condition of a version where there is no object: the condition did not hold.
pub(super) fn absent_is_not_that_version(mut error: Error, precondition: &Precondition) -> Error {
    if matches!(precondition, Precondition::Version(_))
        && error.code.as_deref() == Some("NoSuchKey")
    {
        error.kind = Kind::Precondition;
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use skyfresh_sky::ObjectVersion;

    #[test]
    fn copy_sources_are_encoded_and_pinned() {
        let mut headers = HeaderMap::new();
        let version = ObjectVersion {
            etag: "e".into(),
            version_id: Some("v/1".into()),
        };
        let source = CopySource {
            bucket: None,
            full_key: "a b//c+é?".into(),
            version: Some(version),
        };
        write_copy_source("own", &source, &mut headers).unwrap();
        assert_eq!(
            headers["x-amz-copy-source"],
            "own/a%20b//c%2B%C3%A9%3F?versionId=v%2F1"
        );
        assert_eq!(headers["x-amz-copy-source-if-match"], "\"e\"");
    }
}
