//! Multipart uploads.
//!
//! Source: <https://cloud.google.com/storage/docs/multipart-uploads> and the reference pages below it: parts of at least
//! 5 MiB but the last, at most 10,000, no preconditions, no MD5 of the result.

use super::super::answer::{self, Answer};
use super::super::change::{Completed, Draft};
use super::super::conditions::number;
use super::super::error::{Failure, Result};
use super::super::names::check_object_name;
use super::super::request::ObjectName;
use super::super::resource::header_etag;
use super::super::{Context, Frontend, read_body};
use super::objects::given;
use super::{UPLOAD_NAMESPACE, document, element};
use crate::store::multipart::{MAX_PART_NUMBER, assemble};
use crate::store::{Algorithm, Bucket, NewUpload, PartClaim, Scope, StoredPart};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::StatusCode;
use s3s::Body;
use serde::Deserialize;

/// Most uploads or parts of one listing.
const PAGE_LIMIT: u64 = 1_000;

#[derive(Debug, Deserialize)]
struct CompleteRequest {
    #[serde(rename = "Part", default)]
    parts: Vec<CompletePart>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CompletePart {
    part_number: i32,
    #[serde(rename = "ETag")]
    etag: String,
}

fn malformed(why: impl std::fmt::Display) -> Failure {
    Failure::new(
        StatusCode::BAD_REQUEST,
        "invalid",
        "MalformedCompleteMultipartUploadRequest",
        format!("The XML you provided was not well-formed: {why}"),
    )
}

impl Frontend {
    pub(super) async fn xml_begin_upload(
        &self,
        context: &Context,
        name: &ObjectName,
    ) -> Result<Answer> {
        check_object_name(&name.key)?;
        let bucket = self.bucket(&name.bucket)?;
        let new = NewUpload {
            attributes: given(&context.headers)?.attributes,
            tags: Vec::new(),
            checksum: Some((Algorithm::Crc32c, Scope::FullObject)),
        };
        let key = name.key.clone();
        let (id, _) = self
            .blocking(move || Ok(bucket.create_upload(&key, new)?))
            .await?;
        let inner = format!(
            "{}{}{}",
            element("Bucket", &name.bucket),
            element("Key", &name.key),
            element("UploadId", &id)
        );
        Ok(document(
            "InitiateMultipartUploadResult",
            UPLOAD_NAMESPACE,
            &inner,
        ))
    }

    pub(super) async fn xml_put_part(
        &self,
        context: &Context,
        name: &ObjectName,
        upload_id: &str,
        body: Body,
    ) -> Result<Answer> {
        let bucket = self.bucket(&name.bucket)?;
        let part_number = number("partNumber", context.query.get("partNumber"))?
            .filter(|number| (1..=u64::from(MAX_PART_NUMBER)).contains(number))
            .ok_or_else(|| {
                Failure::invalid("Part number must be an integer between 1 and 10000.")
            })? as u16;
        bucket.upload(&name.key, upload_id)?;
        let hashes = given(&context.headers)?.hashes;
        let ingested = self.receive(body).await?;
        let crc32c = ingested
            .digests
            .checksum(Algorithm::Crc32c)
            .unwrap_or_default()
            .to_vec();
        let md5 = BASE64.encode(ingested.digests.md5);
        let shown_crc32c = BASE64.encode(&crc32c);
        hashes.check(Some(&md5), &shown_crc32c)?;
        let part = StoredPart {
            content: ingested.content,
            md5: ingested.digests.md5,
            checksum: crc32c,
            modified: self.google.clock.now(),
        };
        let mut answer = answer::empty(StatusCode::OK);
        answer::set(&mut answer, "etag", &format!("\"{}\"", part.etag()));
        answer::set(
            &mut answer,
            "x-goog-hash",
            &format!("crc32c={shown_crc32c},md5={md5}"),
        );
        let (key, id) = (name.key.clone(), upload_id.to_owned());
        self.blocking(move || Ok(bucket.put_part(&key, &id, part_number, part)?))
            .await?;
        Ok(answer)
    }

    pub(super) async fn xml_complete(
        &self,
        context: &Context,
        name: &ObjectName,
        upload_id: &str,
        body: Body,
    ) -> Result<Answer> {
        let bucket = self.bucket(&name.bucket)?;
        let text = read_body(body).await?;
        let request: CompleteRequest = quick_xml::de::from_reader(&text[..]).map_err(malformed)?;
        let claims: Vec<PartClaim> = request
            .parts
            .into_iter()
            .map(|part| PartClaim {
                number: part.part_number,
                etag: part.etag.trim_matches('"').to_owned(),
                checksums: Vec::new(),
            })
            .collect();
        let (key, id) = (name.key.clone(), upload_id.to_owned());
        let completing = bucket.clone();
        let (assembled, used) = self
            .blocking(move || {
                let state = completing.lock();
                let upload = state.uploads.get(&key, &id)?;
                let minimum = completing.surroundings.minimum_part_bytes;
                Ok(assemble(upload, &claims, minimum)?)
            })
            .await?;
        let crc32c = assembled
            .meta
            .checksum
            .as_ref()
            .and_then(|checksum| BASE64.decode(&checksum.value).ok())
            .unwrap_or_default();
        given(&context.headers)?
            .hashes
            .check(None, &BASE64.encode(&crc32c))?;
        let draft = Draft {
            content: assembled.content,
            attributes: assembled.meta.attributes,
            custom_time: None,
            crc32c,
            md5: None,
            component_count: None,
        };
        let completed = Completed {
            upload_id: upload_id.to_owned(),
            used,
        };
        let published = self
            .publish_completed(context, name, draft, completed)
            .await?;
        let inner = format!(
            "{}{}{}{}",
            element(
                "Location",
                &format!("{}/{}/{}", context.base, name.bucket, name.key)
            ),
            element("Bucket", &name.bucket),
            element("Key", &name.key),
            element("ETag", &header_etag(&published))
        );
        let mut answer = document("CompleteMultipartUploadResult", UPLOAD_NAMESPACE, &inner);
        let google = published.google();
        answer::set(
            &mut answer,
            "x-goog-generation",
            &published.number.to_string(),
        );
        answer::set(
            &mut answer,
            "x-goog-hash",
            &format!("crc32c={}", google.crc32c),
        );
        Ok(answer)
    }

    pub(super) async fn xml_abort(&self, name: &ObjectName, upload_id: &str) -> Result<Answer> {
        let bucket = self.bucket(&name.bucket)?;
        let (key, id) = (name.key.clone(), upload_id.to_owned());
        self.blocking(move || Ok(bucket.abort_upload(&key, &id)?))
            .await?;
        Ok(answer::empty(StatusCode::NO_CONTENT))
    }

    pub(super) fn xml_list_parts(
        &self,
        context: &Context,
        name: &ObjectName,
        upload_id: &str,
    ) -> Result<Answer> {
        let bucket = self.bucket(&name.bucket)?;
        let query = &context.query;
        let marker = number("part-number-marker", query.get("part-number-marker"))?.unwrap_or(0);
        let limit = number("max-parts", query.get("max-parts"))?
            .unwrap_or(PAGE_LIMIT)
            .min(PAGE_LIMIT);
        let state = bucket.lock();
        let upload = state.uploads.get(&name.key, upload_id)?;
        let mut rest = upload
            .parts
            .iter()
            .filter(|(number, _)| u64::from(**number) > marker);
        let (mut parts, mut last) = (String::new(), marker);
        for (number, part) in rest.by_ref().take(limit as usize) {
            last = u64::from(*number);
            parts += &format!(
                "<Part>{}{}{}{}</Part>",
                element("PartNumber", &number.to_string()),
                element("LastModified", &part.modified.to_string()),
                element("ETag", &format!("\"{}\"", part.etag())),
                element("Size", &part.content.len().to_string()),
            );
        }
        let truncated = rest.next().is_some();
        let class = upload.record.attributes.storage_class.as_deref();
        let mut inner = element("Bucket", &name.bucket);
        inner += &element("Key", &name.key);
        inner += &element("UploadId", upload_id);
        inner += &element("StorageClass", class.unwrap_or("STANDARD"));
        inner += &element("PartNumberMarker", &marker.to_string());
        inner += &element("NextPartNumberMarker", &last.to_string());
        inner += &element("MaxParts", &limit.to_string());
        inner += &element("IsTruncated", &truncated.to_string());
        inner += &parts;
        Ok(document("ListPartsResult", UPLOAD_NAMESPACE, &inner))
    }

    pub(super) fn xml_list_uploads(&self, context: &Context, bucket: &Bucket) -> Result<Answer> {
        let query = &context.query;
        let prefix = query.get("prefix").unwrap_or_default();
        let after = (
            query.get("key-marker").unwrap_or_default(),
            query.get("upload-id-marker"),
        );
        let limit = number("max-uploads", query.get("max-uploads"))?
            .unwrap_or(PAGE_LIMIT)
            .min(PAGE_LIMIT);
        let state = bucket.lock();
        // Without an id the marker stands for all uploads of its key.
        let is_after = |key: &str, id: &str| match after.1 {
            _ if after.0.is_empty() => true,
            None => key > after.0,
            Some(marker) => (key, id) > (after.0, marker),
        };
        let mut rest = state
            .uploads
            .0
            .iter()
            .filter(|((key, id), _)| key.starts_with(prefix) && is_after(key, id));
        let (mut uploads, mut last) = (String::new(), None);
        for ((key, id), upload) in rest.by_ref().take(limit as usize) {
            let class = upload.record.attributes.storage_class.as_deref();
            uploads += &format!(
                "<Upload>{}{}{}{}</Upload>",
                element("Key", key),
                element("UploadId", id),
                element("StorageClass", class.unwrap_or("STANDARD")),
                element("Initiated", &upload.record.initiated().to_string()),
            );
            last = Some((key, id));
        }
        let truncated = rest.next().is_some();
        let mut inner = element("Bucket", &bucket.name);
        inner += &element("KeyMarker", after.0);
        inner += &element("UploadIdMarker", after.1.unwrap_or_default());
        if let Some((key, id)) = last.filter(|_| truncated) {
            inner += &element("NextKeyMarker", key);
            inner += &element("NextUploadIdMarker", id);
        }
        inner += &element("Prefix", prefix);
        inner += &element("MaxUploads", &limit.to_string());
        inner += &element("IsTruncated", &truncated.to_string());
        inner += &uploads;
        Ok(document(
            "ListMultipartUploadsResult",
            UPLOAD_NAMESPACE,
            &inner,
        ))
    }
}
