//! Uploads in parts by the XML API, to a temporary name.
//!
//! <https://cloud.google.com/storage/docs/multipart-uploads>; the documents are those of Amazon S3.

use super::GcsStore;
use super::names;
use super::request::Call;
use super::resource::Object;
use super::uploads::{OwnTag, Whole, part_tag};
use super::write::{Sent, staging_metadata};
use crate::body::whole_body;
use crate::checksum::{Crc32c, Crc64};
use crate::http::{UploadBody, Wanted};
use crate::s3::xml;
use crate::{ByteStream, ListedUpload, PartReceipt, Precondition, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use skyfresh_sky::{Attributes, Kind, Timestamp};

/// What the published object will carry, kept with the temporary one.
const ATTRIBUTES: &str = "skyfresh-attributes";
/// Google's limit on all custom metadata is 8 KiB; our name for it needs some.
const ATTRIBUTES_LIMIT_BYTES: usize = (8 << 10) - 64;
/// Parts up to this size are collected first, so that they can be sent again.
const COLLECT_LIMIT_BYTES: u64 = 256 << 10;

impl GcsStore {
    /// The attributes in the form that an XML upload keeps them; `None` where the upload must go another way.
    pub(super) fn xml_attributes(&self, full_key: &str, attributes: &Attributes) -> Option<String> {
        if self.composes() || !names::fits_xml(full_key) {
            return None;
        }
        let encoded = BASE64.encode(serde_json::to_vec(attributes).ok()?);
        (encoded.len() <= ATTRIBUTES_LIMIT_BYTES).then_some(encoded)
    }

    /// A second try after a lost answer would begin a second upload, and nobody would know the first one's id.
    pub(super) async fn begin_xml(
        &self,
        full_key: &str,
        nonce: &str,
        encoded: &str,
    ) -> Result<String> {
        let operation = "create upload";
        let temporary = names::xml_temporary(&self.location, nonce, full_key);
        let mut headers = HeaderMap::new();
        let staging = staging_metadata();
        for (name, field) in [
            ("content-type", "contentType"),
            ("x-goog-storage-class", "storageClass"),
        ] {
            let text = staging[field].as_str().unwrap_or_default();
            headers.insert(
                HeaderName::from_static(name),
                self.value(operation, full_key, text)?,
            );
        }
        headers.insert(
            HeaderName::from_static("x-goog-meta-skyfresh-attributes"),
            self.value(operation, full_key, encoded)?,
        );
        let url = self.endpoint.xml(Some(&temporary), "uploads");
        let call = Call::new(operation, Method::POST, full_key, url)
            .headers(headers)
            .once();
        let answer = self.call(call).await?;
        let result: xml::InitiateMultipartUploadResult =
            self.xml_document(operation, full_key, &answer.body)?;
        Ok(result.upload_id)
    }

    fn xml_url(&self, full_key: &str, (nonce, id): (&str, &str), number: Option<u32>) -> String {
        let mut query = String::new();
        if let Some(number) = number {
            super::endpoint::add(&mut query, "partNumber", &number.to_string());
        }
        super::endpoint::add(&mut query, "uploadId", id);
        let temporary = names::xml_temporary(&self.location, nonce, full_key);
        self.endpoint.xml(Some(&temporary), &query)
    }

    pub(super) async fn send_xml_part(
        &self,
        full_key: &str,
        upload: (&str, &str),
        number: u32,
        size: u64,
        body: ByteStream,
    ) -> Result<PartReceipt> {
        let operation = "upload part";
        let url = self.xml_url(full_key, upload, Some(number));
        let call = Call::new(operation, Method::PUT, full_key, url);
        let (answer, sent) = if size <= COLLECT_LIMIT_BYTES {
            let bytes = whole_body(body, size)
                .await?
                .map_err(|why| self.failed(Kind::Invalid, operation, full_key, why))?;
            let sent = Sent {
                crc64: Crc64::of(&bytes),
                crc32c: Crc32c::of(&bytes),
            };
            (self.call(call.body(bytes)).await?, sent)
        } else {
            let wanted = Wanted {
                crc32c: true,
                md5: false,
            };
            let upload = UploadBody::new(body, size, None, wanted);
            let answer = self.call(call.upload(upload)).await?;
            let sums = answer.sums.ok_or_else(|| {
                let why = "a streamed body left no checksum";
                self.failed(Kind::Internal, operation, full_key, why)
            })?;
            let sent = Sent {
                crc64: sums.crc64,
                crc32c: Crc32c(sums.crc32c.unwrap_or_default()),
            };
            (answer, sent)
        };
        // Found here, a damaged part costs one part; where the answer says nothing it is found at the end.
        if let Some(stated) = stated_crc32c(&answer.headers)
            && stated != sent.crc32c
        {
            let why = format!(
                "the store holds a part with CRC32C {stated}, but {} was sent",
                sent.crc32c
            );
            return Err(self.failed(Kind::Corrupt, operation, full_key, why));
        }
        let etag = answer.header("etag").map(|etag| etag.trim_matches('"'));
        let etag = etag.filter(|etag| !etag.is_empty()).ok_or_else(|| {
            let why = "the answer has no ETag for the part";
            self.failed(Kind::RetryAfter, operation, full_key, why)
        })?;
        Ok(PartReceipt {
            etag: part_tag(sent.crc32c, etag),
            crc64: Some(sent.crc64),
        })
    }

    pub(super) async fn finish_xml(
        &self,
        full_key: &str,
        (nonce, id): (&str, Option<&str>),
        parts: &[OwnTag<'_>],
        whole: Whole,
        precondition: &Precondition,
    ) -> Result<Object> {
        let operation = "complete upload";
        let invalid = |why: String| self.failed(Kind::Invalid, operation, full_key, why);
        // Before anything is done that cannot be undone.
        let mut condition = String::new();
        self.add_precondition(operation, full_key, &mut condition, precondition)?;
        let mut gone = None;
        if let Some(id) = id {
            let document = xml::CompleteMultipartUpload {
                parts: parts
                    .iter()
                    .map(|(number, etag)| xml::CompletePart {
                        checksum_crc64nvme: None,
                        etag: format!("\"{etag}\""),
                        part_number: *number,
                    })
                    .collect(),
            };
            let url = self.xml_url(full_key, (nonce, id), None);
            let call = Call::new(operation, Method::POST, full_key, url)
                .header("content-type", HeaderValue::from_static("application/xml"))
                .body(xml::write(&document).map_err(invalid)?)
                .slow();
            match self.call(call).await {
                Ok(answer) => {
                    let _: xml::CompleteMultipartUploadResult =
                        self.xml_document(operation, full_key, &answer.body)?;
                }
                // Completed before, perhaps by a process that died before it published.
                Err(error) if error.kind == Kind::Missing && !error.is_missing_bucket() => {
                    gone = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        let temporary = names::xml_temporary(&self.location, nonce, full_key);
        let object = match self.resource(operation, &temporary, None).await {
            Err(error) if error.kind == Kind::Missing => {
                let error = gone.filter(|_| !error.is_missing_bucket()).unwrap_or(error);
                return Err(error);
            }
            object => object?,
        };
        if let Err(error) = self.compare(operation, full_key, &object, whole.size, whole.crc32c) {
            self.remove_quietly(&object).await;
            return Err(error);
        }
        let attributes = object
            .metadata
            .get(ATTRIBUTES)
            .and_then(|encoded| BASE64.decode(encoded).ok())
            .and_then(|json| serde_json::from_slice(&json).ok())
            .ok_or_else(|| {
                let why = "the temporary object does not say what to publish: begin anew";
                self.failed(Kind::Missing, operation, full_key, why)
            })?;
        let metadata = self.metadata(operation, full_key, &attributes)?;
        let published = self
            .publish(operation, &object, full_key, metadata, precondition)
            .await?;
        self.remove_quietly(&object).await;
        Ok(published)
    }

    pub(super) async fn discard_xml(
        &self,
        full_key: &str,
        nonce: &str,
        id: Option<&str>,
    ) -> Result<()> {
        let operation = "abort upload";
        if let Some(id) = id {
            let url = self.xml_url(full_key, (nonce, id), None);
            match self
                .call(Call::new(operation, Method::DELETE, full_key, url))
                .await
            {
                Err(error) if error.kind == Kind::Missing && !error.is_missing_bucket() => {}
                outcome => drop(outcome?),
            }
        }
        let temporary = names::xml_temporary(&self.location, nonce, full_key);
        self.remove_temporary(operation, &temporary).await
    }

    /// A page of unfinished uploads of ours, and where the next begins.
    pub(super) async fn page_of_xml(
        &self,
        at: Option<&str>,
    ) -> Result<(Vec<ListedUpload>, Option<String>)> {
        let operation = "list uploads";
        let mut query = "uploads".to_owned();
        let root = names::xml_root(&self.location);
        for (name, value) in [
            ("encoding-type", "url"),
            ("max-uploads", "1000"),
            ("prefix", root.as_str()),
        ] {
            super::endpoint::add(&mut query, name, value);
        }
        if let Some((upload, key)) = at.and_then(|at| at.split_once('\n')) {
            super::endpoint::add(&mut query, "key-marker", key);
            super::endpoint::add(&mut query, "upload-id-marker", upload);
        }
        let url = self.endpoint.xml(None, &query);
        let answer = match self.call(Call::new(operation, Method::GET, "", url)).await {
            // Where there is no such upload, there is none to be listed.
            Err(error)
                if self.composes()
                    && matches!(
                        error.kind,
                        Kind::Unsupported | Kind::Invalid | Kind::Missing
                    )
                    && !error.is_missing_bucket() =>
            {
                return Ok((Vec::new(), None));
            }
            answer => answer?,
        };
        let malformed = |why: String| self.failed(Kind::RetryAfter, operation, "", why);
        let page: xml::ListMultipartUploadsResult =
            self.xml_document(operation, "", &answer.body)?;
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
        let mut uploads = Vec::with_capacity(page.uploads.len());
        for listed in page.uploads {
            let name = decode(listed.key)?;
            let Some((nonce, key)) = names::parse_xml_temporary(&self.location, &name) else {
                continue;
            };
            let started =
                Timestamp::parse(&listed.initiated).map_err(|why| malformed(why.to_string()))?;
            let id = Some(listed.upload_id);
            uploads.push(ListedUpload {
                key,
                upload: names::UploadId::Xml { nonce, id }.to_string(),
                started,
            });
        }
        Ok((uploads, next))
    }

    /// Parses an answer of the XML API, which may be an error under a status of success.
    fn xml_document<T: for<'de> serde::Deserialize<'de>>(
        &self,
        operation: &'static str,
        full_key: &str,
        body: &[u8],
    ) -> Result<T> {
        if xml::is_error(body) {
            let status = http::StatusCode::INTERNAL_SERVER_ERROR;
            let refusal = super::error::Refusal::new(status, &HeaderMap::new(), body);
            return Err(refusal.into_error(operation, self.target(full_key)));
        }
        xml::parse(body).map_err(|why| {
            let context = format!(
                "the store's answer cannot be read ({} bytes): {why}",
                body.len()
            );
            self.failed(Kind::RetryAfter, operation, full_key, context)
        })
    }
}

/// `x-goog-hash: crc32c=…,md5=…`, in one header or several.
fn stated_crc32c(headers: &HeaderMap) -> Option<Crc32c> {
    headers
        .get_all("x-goog-hash")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|field| field.trim().strip_prefix("crc32c="))
        .and_then(super::resource::decode_crc32c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stated_checksum_is_found() {
        let mut headers = HeaderMap::new();
        assert_eq!(stated_crc32c(&headers), None);
        headers.append("x-goog-hash", HeaderValue::from_static("md5=x"));
        headers.append("x-goog-hash", HeaderValue::from_static("crc32c=4waSgw=="));
        assert_eq!(stated_crc32c(&headers), Some(Crc32c::of(b"123456789")));
        let mut one = HeaderMap::new();
        let both = "crc32c=4waSgw==,md5=JfnnlDI7RTiF9RgfG2JNCw==";
        one.insert("x-goog-hash", HeaderValue::from_static(both));
        assert_eq!(stated_crc32c(&one), Some(Crc32c::of(b"123456789")));
    }
}
