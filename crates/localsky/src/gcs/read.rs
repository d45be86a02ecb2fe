//! Reading objects: metadata, bytes, ranges, and bytes decompressed for who cannot take them as stored.
//!
//! Sources: <https://cloud.google.com/storage/docs/json_api/v1/objects/get>,
//! <https://cloud.google.com/storage/docs/transcoding>, <https://cloud.google.com/storage/docs/xml-api/reference-headers>.

use super::answer::{self, Answer};
use super::conditions::Conditions;
use super::error::{Failure, Result};
use super::request::{ObjectName, header};
use super::resource::header_etag;
use super::{Context, Frontend};
use crate::store::{Content, Generation};
use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use futures::{Stream, StreamExt};
use http::header::{ACCEPT_ENCODING, CONTENT_RANGE, RANGE};
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use s3s::dto::StreamingBlob;
use s3s::{Body, StdError};
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

impl Frontend {
    /// A version that meets the conditions.
    pub(crate) fn find(
        &self,
        name: &ObjectName,
        generation: Option<u64>,
        conditions: &Conditions,
    ) -> Result<Generation> {
        let bucket = self.bucket(&name.bucket)?;
        let found = bucket
            .lock()
            .generation(&name.key, generation)
            .ok_or_else(|| Failure::no_object(&name.bucket, &name.key))?;
        conditions.check(Some(&found))?;
        Ok(found)
    }

    pub(crate) fn get_object(
        &self,
        context: &Context,
        name: &ObjectName,
        generation: Option<u64>,
        conditions: &Conditions,
    ) -> Result<Answer> {
        let found = self.find(name, generation, conditions)?;
        match context.query.get("alt") {
            Some("media") => media(context, &found),
            None | Some("json") => Ok(self.shown(context, name, &found)),
            Some(other) => Err(Failure::invalid(format!(
                "Invalid value for alt: {other:?}"
            ))),
        }
    }
}

/// The bytes that `Range` asks for; `None` where it asks for nothing that can be told (then all are sent).
///
/// # Errors
/// The range begins behind the end: 416.
fn requested_range(value: Option<&str>, size: u64) -> Result<Option<Range<u64>>> {
    let Some((first, last)) = value
        .and_then(|value| value.strip_prefix("bytes="))
        .and_then(|value| value.trim().split_once('-'))
    else {
        return Ok(None);
    };
    let range = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(size),
        (Ok(first), Err(_)) if last.is_empty() => first..size,
        (Err(_), Ok(last)) if first.is_empty() => size.saturating_sub(last)..size,
        _ => return Ok(None),
    };
    if range.start >= size {
        return Err(Failure::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "requestedRangeNotSatisfiable",
            "InvalidRange",
            "Request range not satisfiable",
        )
        .with_header(CONTENT_RANGE, &format!("bytes */{size}")));
    }
    Ok(Some(range))
}

/// Whether the stored bytes have to be decompressed on their way.
fn must_decompress(context: &Context, found: &Generation) -> bool {
    let attributes = &found.object.meta.attributes;
    let accepts = header(&context.headers, ACCEPT_ENCODING.as_str())
        .is_some_and(|value| value.to_ascii_lowercase().contains("gzip"));
    let kept = attributes
        .cache_control
        .as_deref()
        .is_some_and(|value| value.contains("no-transform"));
    attributes.content_encoding.as_deref() == Some("gzip") && !accepts && !kept
}

/// The answer to GET and HEAD of an object's bytes, in either API.
pub(crate) fn media(context: &Context, found: &Generation) -> Result<Answer> {
    let size = found.object.meta.size;
    let content = &found.object.content;
    let head = context.method == http::Method::HEAD;
    let mut answer = Response::new(Body::empty());
    describe(&mut answer, found);
    if must_decompress(context, found) {
        // A range of what is not stored cannot be served: all is.
        answer.headers_mut().remove(http::header::CONTENT_ENCODING);
        answer::set(&mut answer, "warning", "214 UploadServer gunzipped");
        if !head {
            *answer.body_mut() = decompressed(content);
        }
        return Ok(answer);
    }
    let value = header(&context.headers, RANGE.as_str());
    let range = match requested_range(value, size)? {
        None => 0..size,
        Some(range) => {
            *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
            let shown = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            answer::set(&mut answer, "content-range", &shown);
            range
        }
    };
    let length = (range.end - range.start).to_string();
    answer::set(&mut answer, "content-length", &length);
    if !head {
        *answer.body_mut() = Body::from(StreamingBlob::new(content.stream(range)));
    }
    Ok(answer)
}

/// Sets the headers that describe a version.
fn describe(answer: &mut Answer, found: &Generation) {
    let (meta, google) = (&found.object.meta, found.google());
    let attributes = &meta.attributes;
    let content_type = attributes.content_type.as_deref();
    let encoding = attributes.content_encoding.as_deref();
    let mut hash = format!("crc32c={}", google.crc32c);
    if let Some(md5) = &google.md5 {
        hash = format!("{hash},md5={md5}");
    }
    let number = found.number.to_string();
    let metageneration = google.metageneration.to_string();
    let stored_length = meta.size.to_string();
    let etag = header_etag(found);
    let components = google.component_count.map(|count| count.to_string());
    let headers = [
        (
            "content-type",
            Some(content_type.unwrap_or("application/octet-stream")),
        ),
        ("content-encoding", encoding),
        ("content-language", attributes.content_language.as_deref()),
        (
            "content-disposition",
            attributes.content_disposition.as_deref(),
        ),
        (
            "cache-control",
            Some(
                attributes
                    .cache_control
                    .as_deref()
                    .unwrap_or("private, max-age=0"),
            ),
        ),
        ("accept-ranges", Some("bytes")),
        ("etag", Some(&etag)),
        ("x-goog-generation", Some(&number)),
        ("x-goog-metageneration", Some(&metageneration)),
        (
            "x-goog-stored-content-encoding",
            Some(encoding.unwrap_or("identity")),
        ),
        ("x-goog-stored-content-length", Some(&stored_length)),
        ("x-goog-hash", Some(&hash)),
        (
            "x-goog-storage-class",
            Some(attributes.storage_class.as_deref().unwrap_or("STANDARD")),
        ),
        ("x-goog-component-count", components.as_deref()),
        ("x-goog-custom-time", google.custom_time.as_deref()),
    ];
    for (name, value) in headers {
        if let Some(value) = value {
            answer::set(answer, name, value);
        }
    }
    answer::set(
        answer,
        "last-modified",
        &super::xml::http_date(found.created),
    );
    for (name, value) in &attributes.user {
        answer::set(answer, &format!("x-goog-meta-{name}"), value);
    }
}

/// The content without its compression; ends in an error where it is not gzip.
fn decompressed(content: &Arc<Content>) -> Body {
    let stream = gunzip(content.stream(0..content.len()));
    let frames = stream.map(|chunk| chunk.map(Frame::data));
    Body::http_body_unsync(StreamBody::new(frames))
}

fn gunzip<S>(stored: S) -> impl Stream<Item = Result<Bytes, StdError>> + Send + 'static
where
    S: Stream<Item = Result<Bytes, StdError>> + Send + Unpin + 'static,
{
    let decoder = Some(MultiGzDecoder::new(Vec::new()));
    futures::stream::try_unfold((stored, decoder), |(mut stored, mut decoder)| async move {
        let Some(mut open) = decoder.take() else {
            return Ok(None);
        };
        match stored.next().await {
            Some(chunk) => {
                open.write_all(&chunk?)?;
                let plain = Bytes::from(std::mem::take(open.get_mut()));
                Ok(Some((plain, (stored, Some(open)))))
            }
            None => Ok(Some((Bytes::from(open.finish()?), (stored, None)))),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_http_says() {
        let range = |value, size| requested_range(Some(value), size).ok().flatten();
        assert_eq!(range("bytes=2-4", 10), Some(2..5));
        assert_eq!(range("bytes=5-", 10), Some(5..10));
        assert_eq!(range("bytes=-3", 10), Some(7..10));
        assert_eq!(range("bytes=-30", 10), Some(0..10));
        assert_eq!(range("bytes=5-500", 10), Some(5..10));
        assert_eq!(range("bytes=4-2", 10), None);
        assert_eq!(range("lines=4-5", 10), None);
        assert!(requested_range(Some("bytes=10-"), 10).is_err());
        assert!(requested_range(Some("bytes=0-0"), 0).is_err());
        assert!(requested_range(Some("bytes=-0"), 10).is_err());
    }
}
