//! Server-side copies: of whole objects, and of ranges into parts.

use super::convert::{
    given_algorithm, given_attributes, given_time, internal, show_checksum, show_object_checksum,
    shown_etag, shown_time,
};
use super::{tags, uploads};
use crate::notify::EventName;
use crate::store::{
    Algorithm, Lookup, NewObject, ObjectChecksum, ObjectMeta, ReadCondition, RegionStore, Scope,
    StoredPart, WriteCondition, digest_content,
};
use s3s::dto::*;
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};
use std::sync::Arc;

/// The largest object that one CopyObject, or one part, can copy (API reference, CopyObject).
const COPY_LIMIT_BYTES: u64 = 5 * 1024 * 1024 * 1024;

/// Finds the source of a copy and decides the conditions on it.
macro_rules! source {
    ($store:expr, $input:expr) => {{
        let CopySource::Bucket {
            bucket,
            key,
            version_id,
        } = &$input.copy_source
        else {
            return Err(s3_error!(
                NotImplemented,
                "Access points are not supported as a copy source"
            ));
        };
        let found = $store
            .bucket(bucket)?
            .lookup(key, version_id.as_deref())
            .map_err(source_error)?;
        let condition = ReadCondition {
            if_match: $input.copy_source_if_match.clone(),
            if_none_match: $input.copy_source_if_none_match.clone(),
            if_modified_since: $input
                .copy_source_if_modified_since
                .as_ref()
                .and_then(given_time),
            if_unmodified_since: $input
                .copy_source_if_unmodified_since
                .as_ref()
                .and_then(given_time),
        };
        condition.check_copy_source(&found.object.meta.etag, found.modified)?;
        found
    }};
}

/// A delete marker named as a source is a bad request, not a method that is not allowed.
fn source_error(error: S3Error) -> S3Error {
    if error.code() == &s3s::S3ErrorCode::MethodNotAllowed {
        s3_error!(
            InvalidRequest,
            "The source of a copy request may not specifically refer to a delete marker"
        )
    } else {
        error
    }
}

fn is_multipart_etag(etag: &str) -> bool {
    etag.contains('-')
}

pub(crate) async fn object(
    store: &Arc<RegionStore>,
    request: S3Request<CopyObjectInput>,
) -> S3Result<S3Response<CopyObjectOutput>> {
    let input = request.input;
    let bucket = store.bucket(&input.bucket)?;
    let found = source!(store, input);
    let source = &found.object.meta;
    if source.size > COPY_LIMIT_BYTES {
        return Err(s3_error!(
            InvalidRequest,
            "The specified copy source is larger than the maximum allowable size for a copy source: {COPY_LIMIT_BYTES}"
        ));
    }
    let replaces = |directive: Option<&str>| directive == Some("REPLACE");
    let replace_attributes = replaces(
        input
            .metadata_directive
            .as_ref()
            .map(MetadataDirective::as_str),
    );
    let replace_tags = replaces(
        input
            .tagging_directive
            .as_ref()
            .map(TaggingDirective::as_str),
    );
    refuse_copy_to_itself(&input, replace_attributes)?;
    let attributes = if replace_attributes {
        given_attributes!(input, request.headers)?
    } else {
        let mut copied = source.attributes.clone();
        // These two are never copied.
        copied.website_redirect = input.website_redirect_location.clone();
        copied.storage_class = input
            .storage_class
            .as_ref()
            .map(|class| class.as_str().to_owned());
        super::convert::checked_attributes(copied)?
    };
    let tags = if replace_tags {
        tags::from_header(input.tagging.as_deref())?
    } else {
        source.tags.clone()
    };
    let condition = destination_condition(&request.headers)?;
    let (etag, checksum) =
        digests(&found, given_algorithm(input.checksum_algorithm.as_ref())?).await?;
    let content = store
        .storage
        .duplicate(&found.object.content, 0..source.size)
        .await?;
    let meta = ObjectMeta {
        size: source.size,
        etag,
        attributes,
        tags,
        checksum: Some(checksum),
        ..ObjectMeta::default()
    };
    let object = NewObject { meta, content };
    let key = input.key;
    let published = store
        .blocking(move || bucket.publish(&key, object, &condition, EventName::CreatedCopy))
        .await?;
    let mut result = CopyObjectResult {
        e_tag: Some(shown_etag(&published.object.meta.etag)),
        last_modified: Some(shown_time(published.modified)),
        ..Default::default()
    };
    show_object_checksum!(result, &published.object.meta.checksum);
    let output = CopyObjectOutput {
        copy_object_result: Some(result),
        copy_source_version_id: found.version_id,
        version_id: published.version_id,
        ..Default::default()
    };
    Ok(S3Response::new(output))
}

/// The ETag and checksum of a copy, which is never multipart. What the source already has is not hashed again.
async fn digests(found: &Lookup, wanted: Option<Algorithm>) -> S3Result<(String, ObjectChecksum)> {
    let source = &found.object.meta;
    let algorithm = wanted
        .or(source.checksum.as_ref().map(|checksum| checksum.algorithm))
        .unwrap_or(Algorithm::Crc64Nvme);
    let known = source
        .checksum
        .as_ref()
        .filter(|checksum| checksum.algorithm == algorithm && checksum.scope == Scope::FullObject);
    if let Some(checksum) = known
        && !is_multipart_etag(&source.etag)
    {
        return Ok((source.etag.clone(), checksum.clone()));
    }
    let digests = digest_content(&found.object.content, 0..source.size, &[algorithm]).await?;
    let digest = digests.checksum(algorithm).unwrap_or_default();
    Ok((
        hex::encode(digests.md5),
        ObjectChecksum::full_object(algorithm, digest),
    ))
}

fn refuse_copy_to_itself(input: &CopyObjectInput, replace_attributes: bool) -> S3Result<()> {
    let CopySource::Bucket {
        bucket,
        key,
        version_id,
    } = &input.copy_source
    else {
        return Ok(());
    };
    let itself = **bucket == *input.bucket && **key == *input.key && version_id.is_none();
    let changes = replace_attributes
        || input.storage_class.is_some()
        || input.website_redirect_location.is_some()
        || input.checksum_algorithm.is_some();
    if itself && !changes {
        return Err(s3_error!(
            InvalidRequest,
            "This copy request is illegal because it is trying to copy an object to itself without changing the \
             object's metadata, storage class, website redirect location or encryption attributes."
        ));
    }
    Ok(())
}

/// `If-Match` and `If-None-Match` on the destination, which s3s's input does not carry.
fn destination_condition(headers: &http::HeaderMap) -> S3Result<WriteCondition> {
    let parse = |name: http::HeaderName| {
        let Some(value) = headers.get(&name) else {
            return Ok(None);
        };
        ETagCondition::parse_http_header(value.as_bytes())
            .map(Some)
            .map_err(|_| s3_error!(InvalidArgument, "invalid header: {name}"))
    };
    let condition = WriteCondition {
        if_match: parse(http::header::IF_MATCH)?,
        if_none_match: parse(http::header::IF_NONE_MATCH)?,
    };
    condition.check_form()?;
    Ok(condition)
}

pub(crate) async fn part(
    store: &Arc<RegionStore>,
    request: S3Request<UploadPartCopyInput>,
) -> S3Result<S3Response<UploadPartCopyOutput>> {
    let input = request.input;
    let bucket = store.bucket(&input.bucket)?;
    let number = uploads::part_number(input.part_number)?;
    let upload = bucket.upload(&input.key, &input.upload_id)?;
    let found = source!(store, input);
    let source = &found.object.meta;
    let range = match input.copy_source_range.as_deref() {
        None => 0..source.size,
        Some(text) => explicit_range(text, source.size)?,
    };
    let content = &found.object.content;
    let digests = digest_content(content, range.clone(), &[upload.algorithm]).await?;
    let part = StoredPart {
        content: store.storage.duplicate(content, range).await?,
        md5: digests.md5,
        checksum: digests
            .checksum(upload.algorithm)
            .ok_or_else(|| internal(std::io::Error::other("checksum was not computed")))?
            .to_vec(),
        modified: store.surroundings.clock.now(),
    };
    let mut result = CopyPartResult {
        e_tag: Some(shown_etag(&part.etag())),
        last_modified: Some(shown_time(part.modified)),
        ..Default::default()
    };
    if upload.explicit_algorithm {
        show_checksum!(
            result,
            upload.algorithm,
            uploads::shown_digest(&part.checksum)
        );
    }
    let (key, upload_id) = (input.key, input.upload_id);
    store
        .blocking(move || bucket.put_part(&key, &upload_id, number, part))
        .await?;
    let output = UploadPartCopyOutput {
        copy_part_result: Some(result),
        copy_source_version_id: found.version_id,
        ..Default::default()
    };
    Ok(S3Response::new(output))
}

/// `bytes=first-last`, both given and both inside the source (API reference, UploadPartCopy).
fn explicit_range(text: &str, size: u64) -> S3Result<std::ops::Range<u64>> {
    let parsed = text
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'));
    let bounds = parsed
        .and_then(|(first, last)| Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()?)));
    let Some((first, last)) = bounds.filter(|(first, last)| first <= last) else {
        return Err(s3_error!(
            InvalidArgument,
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the \
             zero-based offsets of the first and last bytes to copy"
        ));
    };
    if last >= size {
        return Err(s3_error!(
            InvalidArgument,
            "Range specified is not valid for source object of size: {size}"
        ));
    }
    Ok(first..last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_ranges_are_explicit() {
        assert_eq!(explicit_range("bytes=0-4", 5).unwrap(), 0..5);
        for bad in ["bytes=0-5", "bytes=3-2", "bytes=-2", "bytes=1-", "0-1", ""] {
            assert!(explicit_range(bad, 5).is_err(), "{bad}");
        }
    }
}
