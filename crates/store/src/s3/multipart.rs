//! Uploads in parts, by explicit id.

use super::attributes::{self, set};
use super::endpoint::encode_query;
use super::request::Call;
use super::verify::Proof;
use super::write::{absent_is_not_that_version, write_copy_source, write_precondition};
use super::{S3Store, xml};
use crate::checksum::Crc64;
use crate::http::TrailerChecksum;
use crate::{
    ByteStream, CompletedPart, CopySource, ListedUpload, PartReceipt, Precondition, PutReceipt,
    Result, UploadPage,
};
use http::Method;
use skyfresh_sky::{Attributes, Kind, ObjectVersion, Timestamp};
use std::ops::Range;

impl S3Store {
    pub(super) async fn begin_upload(
        &self,
        full_key: &str,
        attributes: &Attributes,
    ) -> Result<String> {
        let operation = "create upload";
        // A second try after a lost answer would begin a second upload, and nobody would know the first one's id.
        let mut call = Call::new(operation, Method::POST, Some(full_key), "uploads=").once();
        let proof = Proof::of(&self.knowledge());
        attributes::write(attributes, &mut call.headers)
            .and_then(|()| match proof.checksum {
                // A checksum of the whole object, which follows from those of the parts.
                Some(TrailerChecksum::Crc64Nvme) => {
                    set(&mut call.headers, "x-amz-checksum-algorithm", "CRC64NVME")?;
                    set(&mut call.headers, "x-amz-checksum-type", "FULL_OBJECT")
                }
                Some(TrailerChecksum::Crc32c) => {
                    set(&mut call.headers, "x-amz-checksum-algorithm", "CRC32C")
                }
                None => Ok(()),
            })
            .map_err(|why| self.failed(Kind::Invalid, operation, full_key, why))?;
        let answer = self.call(call).await?;
        let result: xml::InitiateMultipartUploadResult =
            self.document(operation, full_key, &answer.body)?;
        Ok(result.upload_id)
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
        let knowledge = self.knowledge();
        let limits = knowledge.capabilities.upload_limits;
        if number == 0 || number > limits.max_parts || size > limits.max_part_bytes {
            let context = format!(
                "part {number} of {size} bytes is beyond the limits: parts 1 to {} of at most {} bytes",
                limits.max_parts, limits.max_part_bytes
            );
            return Err(self.failed(Kind::Invalid, operation, full_key, context));
        }
        let call = Call::new(
            operation,
            Method::PUT,
            Some(full_key),
            part_query(upload, number),
        );
        let proof = Proof::of(&knowledge);
        let (answer, sums) = self
            .send_payload(call, full_key, operation, proof, size, body)
            .await?;
        let etag = attributes::text(&answer.headers, "etag").ok_or_else(|| {
            self.failed(
                Kind::RetryAfter,
                operation,
                full_key,
                "the answer has no ETag for the part",
            )
        })?;
        Ok(PartReceipt {
            etag: attributes::unquote(&etag),
            crc64: Some(sums.crc64),
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
        if range.is_empty() {
            return Err(self.failed(
                Kind::Invalid,
                operation,
                full_key,
                "an empty range cannot be copied",
            ));
        }
        let mut call = Call::new(
            operation,
            Method::PUT,
            Some(full_key),
            part_query(upload, number),
        )
        .slow();
        let bytes = format!("bytes={}-{}", range.start, range.end - 1);
        write_copy_source(&self.bucket, source, &mut call.headers)
            .and_then(|()| set(&mut call.headers, "x-amz-copy-source-range", &bytes))
            .map_err(|why| self.failed(Kind::Invalid, operation, full_key, why))?;
        let answer = self.call(call).await?;
        let result: xml::CopyResult = self.document(operation, full_key, &answer.body)?;
        Ok(PartReceipt {
            etag: attributes::unquote(&result.etag),
            crc64: result
                .checksum_crc64nvme
                .as_deref()
                .and_then(attributes::decode_crc64),
        })
    }

    /// Repeated like any small request: a completion whose answer was lost then shows as [`Kind::Missing`] (the upload is gone)
    /// or [`Kind::Precondition`] (the object is there now), and the caller learns from the head what happened.
    pub(super) async fn finish_upload(
        &self,
        full_key: &str,
        upload: &str,
        parts: &[CompletedPart],
        precondition: &Precondition,
    ) -> Result<PutReceipt> {
        let operation = "complete upload";
        let knowledge = self.knowledge();
        if !parts.windows(2).all(|pair| pair[0].number < pair[1].number) || parts.is_empty() {
            let context = "needs at least one part, in ascending order of numbers";
            return Err(self.failed(Kind::Invalid, operation, full_key, context));
        }
        let with_checksums = Proof::of(&knowledge).checksum == Some(TrailerChecksum::Crc64Nvme)
            && knowledge.checksum_on_complete;
        let whole = parts.iter().try_fold(Crc64::EMPTY, |sum, part| {
            Some(sum.then(part.crc64?, part.size))
        });
        let document = xml::CompleteMultipartUpload {
            parts: parts
                .iter()
                .map(|part| xml::CompletePart {
                    checksum_crc64nvme: part
                        .crc64
                        .filter(|_| with_checksums && whole.is_some())
                        .map(attributes::encode_crc64),
                    etag: attributes::quote(&part.etag),
                    part_number: part.number,
                })
                .collect(),
        };
        let invalid = |why| self.failed(Kind::Invalid, operation, full_key, why);
        let body = xml::write(&document).map_err(invalid)?;
        let query = format!("uploadId={}", encode_query(upload));
        let mut call = Call::new(operation, Method::POST, Some(full_key), query)
            .body(body)
            .slow();
        set(&mut call.headers, "content-type", "application/xml").map_err(invalid)?;
        write_precondition(precondition, &mut call.headers).map_err(invalid)?;
        if let Some(whole) = whole.filter(|_| with_checksums) {
            let size: u64 = parts.iter().map(|part| part.size).sum();
            set(&mut call.headers, "x-amz-checksum-type", "FULL_OBJECT").map_err(invalid)?;
            set(
                &mut call.headers,
                "x-amz-checksum-crc64nvme",
                &attributes::encode_crc64(whole),
            )
            .map_err(invalid)?;
            set(&mut call.headers, "x-amz-mp-object-size", &size.to_string()).map_err(invalid)?;
        }
        let answer = self
            .call(call)
            .await
            .map_err(|error| absent_is_not_that_version(error, precondition))?;
        let result: xml::CompleteMultipartUploadResult =
            self.document(operation, full_key, &answer.body)?;
        let stated = result
            .checksum_crc64nvme
            .as_deref()
            .and_then(attributes::decode_crc64);
        if let (Some(stated), Some(sent)) = (stated, whole)
            && stated != sent
        {
            let context =
                format!("the store holds CRC64NVME {stated}, but the parts sent give {sent}");
            return Err(self.failed(Kind::Corrupt, operation, full_key, context));
        }
        let version = ObjectVersion {
            etag: attributes::unquote(&result.etag),
            version_id: attributes::version_id(&answer.headers),
        };
        Ok(PutReceipt {
            version,
            crc64: stated,
        })
    }

    pub(super) async fn discard_upload(&self, full_key: &str, upload: &str) -> Result<()> {
        let query = format!("uploadId={}", encode_query(upload));
        match self
            .call(Call::new(
                "abort upload",
                Method::DELETE,
                Some(full_key),
                query,
            ))
            .await
        {
            Err(error) if error.kind == Kind::Missing && !error.is_missing_bucket() => Ok(()),
            outcome => outcome.map(|_| ()),
        }
    }

    pub(super) async fn page_of_uploads(&self, after: Option<&str>) -> Result<UploadPage> {
        let operation = "list uploads";
        let prefix = &self.location.prefix;
        let mut query = format!(
            "encoding-type=url&max-uploads=1000&prefix={}&uploads=",
            encode_query(prefix)
        );
        if let Some((upload, key)) = after.and_then(|after| after.split_once('\n')) {
            query = format!(
                "key-marker={}&upload-id-marker={}&{query}",
                encode_query(key),
                encode_query(upload)
            );
        }
        let answer = self
            .call(Call::new(operation, Method::GET, None, query))
            .await?;
        let page: xml::ListMultipartUploadsResult = self.document(operation, "", &answer.body)?;
        let malformed = |why: String| self.failed(Kind::RetryAfter, operation, "", why);
        let encoded = page.encoding_type.as_deref() == Some("url");
        let decode = |key: String| {
            if encoded {
                xml::decode_key(&key).map_err(malformed)
            } else {
                Ok(key)
            }
        };
        let next = match (
            page.is_truncated,
            page.next_key_marker,
            page.next_upload_id_marker,
        ) {
            (false, _, _) => None,
            (true, Some(key), Some(upload)) => Some(format!("{upload}\n{}", decode(key)?)),
            (true, _, _) => {
                return Err(malformed(
                    "a truncated page does not say where to go on".into(),
                ));
            }
        };
        if next.is_some() && next.as_deref() == after {
            return Err(malformed("the listing does not advance".into()));
        }
        let mut uploads = Vec::with_capacity(page.uploads.len());
        for listed in page.uploads {
            let full = decode(listed.key)?;
            // Keys that cannot be ours (outside the prefix, or the bare prefix) have no upload of ours.
            let Some(key) = self.location.relative_key(&full) else {
                continue;
            };
            let started =
                Timestamp::parse(&listed.initiated).map_err(|why| malformed(why.to_string()))?;
            uploads.push(ListedUpload {
                key,
                upload: listed.upload_id,
                started,
            });
        }
        Ok(UploadPage { uploads, next })
    }
}

fn part_query(upload: &str, number: u32) -> String {
    format!("partNumber={number}&uploadId={}", encode_query(upload))
}
