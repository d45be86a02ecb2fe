//! The parts that an object was uploaded in, and those that an upload holds.

use super::attributes::{decode_crc64, quote, set, unquote};
use super::endpoint::encode_query;
use super::request::Call;
use super::{S3Store, xml};
use crate::{CompletedPart, PartSum, Result};
use http::Method;
use skyfresh_sky::{Kind, ObjectVersion};

/// Parts asked for at once; S3 gives no more.
const PAGE: usize = 1_000;
/// The most parts that an object has ("Amazon S3 multipart upload limits"): a listing that goes on is not believed.
const MOST_PARTS: usize = 10_000;

impl S3Store {
    /// ListParts. Checksums are told of uploads that were begun with an algorithm. `None` where a part's tag is not told.
    pub(super) async fn parts_held(
        &self,
        full_key: &str,
        upload: &str,
    ) -> Result<Option<Vec<CompletedPart>>> {
        let operation = "list parts";
        let mut parts: Vec<CompletedPart> = Vec::new();
        let mut marker = 0;
        loop {
            let upload = encode_query(upload);
            let query = format!("max-parts={PAGE}&part-number-marker={marker}&uploadId={upload}");
            let call = Call::new(operation, Method::GET, Some(full_key), query);
            let answer = self.call(call).await?;
            let page: xml::ListPartsResult = self.document(operation, full_key, &answer.body)?;
            for part in page.parts {
                let Some(etag) = part.etag.as_deref().map(unquote) else {
                    return Ok(None);
                };
                parts.push(CompletedPart {
                    number: part.part_number,
                    etag,
                    size: part.size,
                    crc64: part.checksum_crc64nvme.as_deref().and_then(decode_crc64),
                });
            }
            if !page.is_truncated {
                return Ok(Some(parts));
            }
            match page.next_part_number_marker.filter(|next| *next > marker) {
                Some(next) if parts.len() <= MOST_PARTS => marker = next,
                _ => {
                    let context = "a truncated page of parts does not say where to go on";
                    return Err(self.failed(Kind::RetryAfter, operation, full_key, context));
                }
            }
        }
    }

    /// GetObjectAttributes. It needs the right `s3:GetObjectAttributes`, and S3 tells of parts only where they were uploaded
    /// with checksums; some servers do not offer it: all of that means that nothing is told.
    pub(super) async fn read_parts(
        &self,
        full_key: &str,
        version: &ObjectVersion,
    ) -> Result<Option<Vec<PartSum>>> {
        let operation = "parts";
        let mut parts = Vec::new();
        let mut marker = None;
        loop {
            let page = match self.page_of_parts(full_key, version, marker).await {
                Ok(page) => page,
                Err(error)
                    if matches!(error.kind, Kind::Unsupported | Kind::Invalid | Kind::Denied) =>
                {
                    tracing::debug!(%error, "the parts of objects are not told here");
                    return Ok(None);
                }
                Err(error) => return Err(error),
            };
            if page.etag.as_deref().map(unquote) != Some(version.etag.clone()) {
                let context = format!("the object is {:?} now, not {version}", page.etag);
                return Err(self.failed(Kind::Precondition, operation, full_key, context));
            }
            let Some(listed) = page.object_parts else {
                return Ok(None);
            };
            for part in &listed.parts {
                let follows = part.part_number as usize == parts.len() + 1;
                let Some(sum) = part.sum().filter(|_| follows) else {
                    // Numbers with gaps, or a part without a checksum.
                    return Ok(None);
                };
                parts.push(sum);
            }
            marker = listed.next_part_number_marker;
            if !listed.is_truncated {
                return Ok((!parts.is_empty()).then_some(parts));
            }
            if listed.parts.is_empty() || marker.is_none() || parts.len() > MOST_PARTS {
                let context = "a truncated page of parts does not say where to go on";
                return Err(self.failed(Kind::RetryAfter, operation, full_key, context));
            }
        }
    }

    async fn page_of_parts(
        &self,
        full_key: &str,
        version: &ObjectVersion,
        marker: Option<u32>,
    ) -> Result<xml::GetObjectAttributesResponse> {
        let operation = "parts";
        let query = match &version.version_id {
            Some(id) => format!("attributes=&versionId={}", encode_query(id)),
            None => "attributes=".to_owned(),
        };
        let mut call = Call::new(operation, Method::GET, Some(full_key), query);
        let headers = &mut call.headers;
        set(headers, "x-amz-object-attributes", "ETag,ObjectParts")
            .and_then(|()| set(headers, "x-amz-max-parts", &PAGE.to_string()))
            .and_then(|()| match marker {
                Some(marker) => set(headers, "x-amz-part-number-marker", &marker.to_string()),
                None => Ok(()),
            })
            // Some servers honour it; the answer's own tag is compared in any case.
            .and_then(|()| match version.version_id {
                Some(_) => Ok(()),
                None => set(headers, "if-match", &quote(&version.etag)),
            })
            .map_err(|why| self.failed(Kind::Internal, operation, full_key, why))?;
        let answer = self.call(call).await?;
        self.document(operation, full_key, &answer.body)
    }
}
