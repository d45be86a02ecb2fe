//! Get Blob and Get Blob Properties.

use super::{Call, Place};
use crate::azure::conditions::Conditions;
use crate::azure::error::{self, Result, StorageError};
use crate::azure::model::{Blob, Tier};
use crate::azure::reply::{Digester, Reply};
use crate::azure::request::{Head, http_date};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{Response, StatusCode};
use s3s::Body;
use s3s::stream::DynByteStream;
use skyfresh_sky::Timestamp;
use std::ops::Range;
use std::sync::Arc;

/// The longest range of which MD5 or CRC-64 are computed on the way out (Get Blob,
/// "x-ms-range-get-content-md5").
const RANGE_DIGEST_LIMIT_BYTES: u64 = 4 * 1024 * 1024;

/// The blob, if the request's conditions and lease id allow reading it.
pub(super) fn find(call: &Call, place: &Place) -> Result<Arc<Blob>> {
    let blob = place.container.lock()?.existing(&place.name)?;
    let current = (&*blob.properties.etag(), blob.properties.modified());
    Conditions::of(&call.head)?.check_read(current)?;
    blob.properties
        .lease
        .check_read(call.lease_id(), place.container.now())?;
    Ok(blob)
}

pub(super) fn head(call: &Call, place: &Place) -> Result<Response<Body>> {
    let blob = find(call, place)?;
    let reply = describe(Reply::new(StatusCode::OK), &blob, place.container.now())
        .header("content-length", blob.content.len().to_string())
        .optional("content-md5", blob.properties.headers.content_md5.as_ref());
    Ok(reply.empty())
}

pub(super) async fn get(call: Call, place: Place) -> Result<Response<Body>> {
    let blob = find(&call, &place)?;
    if blob.properties.tier == Some(Tier::Archive) {
        return Err(error::blob_archived());
    }
    let size = blob.content.len();
    let asked = given_range(&call.head);
    let (want_md5, want_crc64) = (
        call.head.flag("x-ms-range-get-content-md5")?,
        call.head.flag("x-ms-range-get-content-crc64")?,
    );
    let md5 = blob.properties.headers.content_md5.as_ref();
    let Some(asked) = asked else {
        if want_md5 || want_crc64 {
            return Err(error::invalid_header("x-ms-range-get-content-md5", "true"));
        }
        let reply = describe(Reply::new(StatusCode::OK), &blob, place.container.now())
            .header("content-length", size.to_string())
            .optional("content-md5", md5);
        return Ok(reply.body(stream(&blob, 0..size)));
    };
    let range = within(asked, size)?;
    if want_md5 && want_crc64 {
        return Err(error::invalid_header(
            "x-ms-range-get-content-crc64",
            "true",
        ));
    }
    if (want_md5 || want_crc64) && range.end - range.start > RANGE_DIGEST_LIMIT_BYTES {
        return Err(StorageError::new(
            StatusCode::BAD_REQUEST,
            "OutOfRangeInput",
            "A checksum is computed of ranges of at most 4 MiB.",
        ));
    }
    let reply = describe(
        Reply::new(StatusCode::PARTIAL_CONTENT),
        &blob,
        place.container.now(),
    )
    .header("content-length", (range.end - range.start).to_string())
    .header(
        "content-range",
        format!("bytes {}-{}/{size}", range.start, range.end - 1),
    )
    .optional("x-ms-blob-content-md5", md5);
    if !want_md5 && !want_crc64 {
        return Ok(reply.body(stream(&blob, range)));
    }
    // Headers come before the body, so the bytes are read twice.
    let (found_md5, found_crc64) = digest(&blob, range.clone()).await?;
    let reply = if want_md5 {
        reply.header("content-md5", BASE64.encode(found_md5))
    } else {
        reply.header("x-ms-content-crc64", BASE64.encode(found_crc64))
    };
    Ok(reply.body(stream(&blob, range)))
}

async fn digest(blob: &Blob, range: Range<u64>) -> Result<([u8; 16], [u8; 8])> {
    use futures::StreamExt;
    let mut digester = Digester::new();
    let mut stream = blob.content.stream(range);
    while let Some(chunk) = stream.next().await {
        digester.update(&chunk.map_err(|_| error::internal("The blob's data could not be read."))?);
    }
    Ok(digester.finish())
}

fn stream(blob: &Blob, range: Range<u64>) -> Body {
    let stream: DynByteStream = Box::pin(blob.content.stream(range));
    Body::from(stream)
}

/// First byte and, where named, last byte. `x-ms-range` goes before `Range` (Specifying the Range header for Blob
/// service operations); what has neither of the two forms given there is not a range, and is ignored as HTTP allows.
fn given_range(head: &Head) -> Option<(u64, Option<u64>)> {
    head.header("x-ms-range")
        .or_else(|| head.header("range"))
        .and_then(parse_range)
}

pub(super) fn parse_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let first = first.parse().ok()?;
    let last = match last {
        "" => None,
        last => Some(last.parse().ok().filter(|last| *last >= first)?),
    };
    Some((first, last))
}

fn within((first, last): (u64, Option<u64>), size: u64) -> Result<Range<u64>> {
    if first >= size {
        let whole = format!("bytes */{size}");
        return Err(error::invalid_range().with_header(http::header::CONTENT_RANGE, &whole));
    }
    Ok(first..last.map_or(size, |last| last.saturating_add(1).min(size)))
}

/// The headers that Get Blob and Get Blob Properties share.
fn describe(reply: Reply, blob: &Blob, now: Timestamp) -> Reply {
    let properties = &blob.properties;
    let headers = &properties.headers;
    let created = Timestamp::from_unix_ms(properties.created_unix_ms);
    let lease = properties.lease.state(now);
    let content_type = headers.content_type.as_deref();
    let mut reply = reply
        .validators(&properties.etag(), properties.modified())
        .header("accept-ranges", "bytes")
        .header(
            "content-type",
            content_type.unwrap_or("application/octet-stream"),
        )
        .optional("content-encoding", headers.content_encoding.as_ref())
        .optional("content-language", headers.content_language.as_ref())
        .optional("content-disposition", headers.content_disposition.as_ref())
        .optional("cache-control", headers.cache_control.as_ref())
        .header("x-ms-creation-time", http_date(created))
        .header("x-ms-blob-type", "BlockBlob")
        .header("x-ms-lease-state", lease.as_str())
        .header(
            "x-ms-lease-status",
            if lease.locks() { "locked" } else { "unlocked" },
        )
        .optional("x-ms-lease-duration", properties.lease.duration(now))
        .header("x-ms-server-encrypted", "true")
        .header(
            "x-ms-access-tier",
            properties.tier.unwrap_or(Tier::Hot).as_str(),
        );
    if properties.tier.is_none() {
        reply = reply.header("x-ms-access-tier-inferred", "true");
    }
    if let Some(changed) = properties.tier_changed_unix_ms {
        let changed = http_date(Timestamp::from_unix_ms(changed));
        reply = reply.header("x-ms-access-tier-change-time", changed);
    }
    if !properties.tags.is_empty() {
        reply = reply.header("x-ms-tag-count", properties.tags.len().to_string());
    }
    if let Some(copy) = &properties.copy {
        let completed = copy
            .completed_unix_ms
            .map(|completed| http_date(Timestamp::from_unix_ms(completed)));
        reply = reply
            .header("x-ms-copy-id", &copy.id)
            .header("x-ms-copy-source", &copy.source)
            .header("x-ms-copy-status", copy.status.as_str())
            .header(
                "x-ms-copy-progress",
                format!("{}/{}", copy.copied_bytes, copy.total_bytes),
            )
            .optional("x-ms-copy-completion-time", completed)
            .optional("x-ms-copy-status-description", copy.description.as_ref());
    }
    for (name, value) in &properties.metadata {
        reply = reply.header(&format!("x-ms-meta-{name}"), value);
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_have_two_forms() {
        assert_eq!(parse_range("bytes=3-"), Some((3, None)));
        assert_eq!(parse_range("bytes=3-5"), Some((3, Some(5))));
        for other in ["bytes=-5", "bytes=5-3", "3-5", "bytes=a-b", "bytes=1-2,4-5"] {
            assert_eq!(parse_range(other), None, "{other}");
        }
        assert_eq!(within((3, Some(100)), 10).unwrap(), 3..10);
        assert_eq!(within((3, Some(u64::MAX)), 10).unwrap(), 3..10);
        assert_eq!(within((10, None), 10).unwrap_err().status, 416);
        assert_eq!(within((0, None), 0).unwrap_err().status, 416);
    }
}
