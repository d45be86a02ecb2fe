//! PUT, GET, HEAD and DELETE of objects.

use super::body::expected_body;
use super::convert::{
    given_attributes, given_checksums, given_time, length, show_checksum, show_object_checksum,
    shown_etag, shown_storage_class, shown_time,
};
use super::tags;
use crate::notify::EventName;
use crate::store::{
    Algorithm, DeleteCondition, Lookup, NewObject, ObjectChecksum, ObjectMeta, ReadCondition,
    RegionStore, WriteCondition, ingest,
};
use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use std::ops::Range;
use std::sync::Arc;

pub(crate) async fn put(
    store: &Arc<RegionStore>,
    request: S3Request<PutObjectInput>,
) -> S3Result<S3Response<PutObjectOutput>> {
    let mut input = request.input;
    let bucket = store.bucket(&input.bucket)?;
    let attributes = given_attributes!(input, request.headers)?;
    let tags = tags::from_header(input.tagging.as_deref())?;
    let condition = WriteCondition {
        if_match: input.if_match,
        if_none_match: input.if_none_match,
    };
    condition.check_form()?;
    let body = input.body.take().ok_or_else(|| s3_error!(IncompleteBody))?;
    let mut expected = expected_body(
        &request.headers,
        input.content_length,
        input.content_md5.take(),
        given_checksums!(input),
        request.trailing_headers,
    )?;
    expected.md5_unused = store.surroundings.opaque_etags;
    let algorithm = expected.algorithm().unwrap_or(Algorithm::Crc64Nvme);
    let ingested = ingest(&store.storage, body, &expected, &[algorithm]).await?;
    let meta = ObjectMeta {
        size: ingested.content.len(),
        etag: store.etag(&ingested.digests),
        attributes,
        tags,
        checksum: ingested
            .digests
            .checksum(algorithm)
            .map(|digest| ObjectChecksum::full_object(algorithm, digest)),
        ..ObjectMeta::default()
    };
    let object = NewObject {
        meta,
        content: ingested.content,
    };
    let published = store
        .blocking(move || bucket.publish(&input.key, object, &condition, EventName::CreatedPut))
        .await?;
    let mut output = PutObjectOutput {
        e_tag: Some(shown_etag(&published.object.meta.etag)),
        version_id: published.version_id,
        ..Default::default()
    };
    show_object_checksum!(output, &published.object.meta.checksum);
    Ok(S3Response::new(output))
}

/// The bytes a GET or HEAD asks for.
struct Selection {
    range: Range<u64>,
    /// `Content-Range`, where not simply everything is asked for.
    content_range: Option<String>,
    parts_count: Option<i32>,
}

fn select(
    found: &Lookup,
    range: Option<&s3s::dto::Range>,
    part: Option<i32>,
) -> S3Result<Selection> {
    let meta = &found.object.meta;
    let shown = |range: &Range<u64>| {
        // An empty part or object has no last byte to name.
        (range.end > range.start)
            .then(|| format!("bytes {}-{}/{}", range.start, range.end - 1, meta.size))
    };
    match (range, part) {
        (Some(_), Some(_)) => Err(s3_error!(
            InvalidRequest,
            "Cannot specify both Range header and partNumber query parameter"
        )),
        (None, None) => Ok(Selection {
            range: 0..meta.size,
            content_range: None,
            parts_count: None,
        }),
        (Some(range), None) => {
            let range = range
                .check(meta.size)
                .map_err(|_| range_not_satisfiable(meta.size))?;
            let content_range = shown(&range);
            Ok(Selection {
                range,
                content_range,
                parts_count: None,
            })
        }
        (None, Some(number)) => {
            let range = if meta.parts.is_empty() && number == 1 {
                0..meta.size
            } else {
                let index = meta
                    .parts
                    .iter()
                    .position(|part| i32::from(part.number) == number)
                    .ok_or_else(part_not_satisfiable)?;
                let start = meta.parts[..index]
                    .iter()
                    .map(|part| part.size)
                    .sum::<u64>();
                start..start + meta.parts[index].size
            };
            let content_range = shown(&range);
            let parts_count = (!meta.parts.is_empty()).then_some(meta.parts.len() as i32);
            Ok(Selection {
                range,
                content_range,
                parts_count,
            })
        }
    }
}

fn range_not_satisfiable(size: u64) -> S3Error {
    let mut error = s3_error!(InvalidRange, "The requested range is not satisfiable");
    let mut headers = http::HeaderMap::new();
    if let Ok(value) = http::HeaderValue::from_str(&format!("bytes */{size}")) {
        headers.insert(http::header::CONTENT_RANGE, value);
    }
    error.set_headers(headers);
    error
}

fn part_not_satisfiable() -> S3Error {
    let mut error = S3Error::with_message(
        S3ErrorCode::Custom("InvalidPartNumber".into()),
        "The requested partnumber is not satisfiable",
    );
    error.set_status_code(http::StatusCode::RANGE_NOT_SATISFIABLE);
    error
}

/// 304 carries the validators.
fn with_validators(mut error: S3Error, found: &Lookup) -> S3Error {
    if error.code() == &S3ErrorCode::NotModified {
        let mut headers = http::HeaderMap::new();
        if let Ok(etag) = http::HeaderValue::from_str(&format!("\"{}\"", found.object.meta.etag)) {
            headers.insert(http::header::ETAG, etag);
        }
        error.set_headers(headers);
    }
    error
}

/// Headers that s3s has no field for: a value that goes back as it came, and the tag count of HeadObject.
fn raw_headers(found: &Lookup) -> http::HeaderMap {
    let mut headers = http::HeaderMap::new();
    let expires = found.object.meta.attributes.expires.as_deref();
    if let Some(value) = expires.and_then(|value| http::HeaderValue::from_str(value).ok()) {
        headers.insert(http::header::EXPIRES, value);
    }
    let tags = found.object.meta.tags.len();
    if tags > 0 {
        headers.insert("x-amz-tagging-count", tags.into());
    }
    headers
}

/// Fills the fields that GetObjectOutput and HeadObjectOutput share.
macro_rules! describe {
    ($output:ident, $found:expr, $selection:expr, $checksum_mode:expr) => {{
        let meta = &$found.object.meta;
        let attributes = &meta.attributes;
        $output.accept_ranges = Some("bytes".into());
        $output.content_length = Some(length($selection.range.end - $selection.range.start));
        $output.content_range = $selection.content_range.clone();
        $output.parts_count = $selection.parts_count;
        $output.e_tag = Some(shown_etag(&meta.etag));
        $output.last_modified = Some(shown_time($found.modified));
        $output.version_id = $found.version_id.clone();
        let content_type = attributes.content_type.clone();
        $output.content_type = Some(content_type.unwrap_or_else(|| "binary/octet-stream".into()));
        $output.content_encoding = attributes.content_encoding.clone();
        $output.content_language = attributes.content_language.clone();
        $output.content_disposition = attributes.content_disposition.clone();
        $output.cache_control = attributes.cache_control.clone();
        $output.website_redirect_location = attributes.website_redirect.clone();
        $output.storage_class = attributes.storage_class.clone().map(StorageClass::from);
        $output.metadata = Some(attributes.user.clone().into_iter().collect());
        // The checksum is the whole object's: with a range a client would compare it with the wrong bytes.
        if $checksum_mode.is_some_and(|mode| mode.as_str() == "ENABLED") && $selection.content_range.is_none()
        {
            show_object_checksum!($output, &meta.checksum);
        }
    }};
}

/// Looks an object up and decides the conditions of a read.
macro_rules! read {
    ($store:expr, $input:expr) => {{
        let found = $store
            .bucket(&$input.bucket)?
            .lookup(&$input.key, $input.version_id.as_deref())?;
        let condition = ReadCondition {
            if_match: $input.if_match.take(),
            if_none_match: $input.if_none_match.take(),
            if_modified_since: $input.if_modified_since.as_ref().and_then(given_time),
            if_unmodified_since: $input.if_unmodified_since.as_ref().and_then(given_time),
        };
        condition
            .check(&found.object.meta.etag, found.modified)
            .map_err(|error| with_validators(error, &found))?;
        let selection = select(&found, $input.range.as_ref(), $input.part_number)?;
        (found, selection)
    }};
}

pub(crate) async fn get(
    store: &Arc<RegionStore>,
    request: S3Request<GetObjectInput>,
) -> S3Result<S3Response<GetObjectOutput>> {
    let mut input = request.input;
    let (found, selection) = read!(store, input);
    let mut output = GetObjectOutput::default();
    describe!(output, found, selection, input.checksum_mode.as_ref());
    output.body = Some(StreamingBlob::new(
        found.object.content.stream(selection.range),
    ));
    Ok(S3Response::with_headers(output, raw_headers(&found)))
}

pub(crate) async fn head(
    store: &Arc<RegionStore>,
    request: S3Request<HeadObjectInput>,
) -> S3Result<S3Response<HeadObjectOutput>> {
    let mut input = request.input;
    let (found, selection) = read!(store, input);
    let mut output = HeadObjectOutput::default();
    describe!(output, found, selection, input.checksum_mode.as_ref());
    Ok(S3Response::with_headers(output, raw_headers(&found)))
}

pub(crate) async fn attributes(
    store: &Arc<RegionStore>,
    request: S3Request<GetObjectAttributesInput>,
) -> S3Result<S3Response<GetObjectAttributesOutput>> {
    let input = request.input;
    let found = store
        .bucket(&input.bucket)?
        .lookup(&input.key, input.version_id.as_deref())?;
    let meta = &found.object.meta;
    // Names may come in one comma-separated header or in several.
    let wanted: Vec<&str> = input
        .object_attributes
        .iter()
        .flat_map(|names| names.as_str().split(','))
        .map(str::trim)
        .collect();
    let wants = |name: &str| wanted.contains(&name);
    let mut checksum = Checksum::default();
    show_object_checksum!(checksum, &meta.checksum);
    let output = GetObjectAttributesOutput {
        // Unlike everywhere else, without quotes.
        e_tag: wants("ETag").then(|| shown_etag(&meta.etag)),
        object_size: wants("ObjectSize").then(|| length(meta.size)),
        storage_class: wants("StorageClass").then(|| shown_storage_class(&meta.attributes).into()),
        checksum: (wants("Checksum") && meta.checksum.is_some()).then_some(checksum),
        object_parts: (wants("ObjectParts") && !meta.parts.is_empty())
            .then(|| parts(meta, input.part_number_marker, input.max_parts)),
        last_modified: Some(shown_time(found.modified)),
        version_id: found.version_id.clone(),
        ..Default::default()
    };
    Ok(S3Response::new(output))
}

fn parts(meta: &ObjectMeta, marker: Option<i32>, limit: Option<i32>) -> GetObjectAttributesParts {
    let marker = marker.unwrap_or(0);
    let limit = limit.unwrap_or(1_000).clamp(0, 1_000);
    let mut rest = meta
        .parts
        .iter()
        .filter(|part| i32::from(part.number) > marker);
    let page: Vec<ObjectPart> = rest
        .by_ref()
        .take(limit as usize)
        .map(|part| {
            let mut shown = ObjectPart {
                part_number: Some(i32::from(part.number)),
                size: Some(length(part.size)),
                ..Default::default()
            };
            if let (Some(checksum), Some(value)) = (&meta.checksum, &part.checksum) {
                show_checksum!(shown, checksum.algorithm, value.clone());
            }
            shown
        })
        .collect();
    GetObjectAttributesParts {
        is_truncated: Some(rest.next().is_some()),
        max_parts: Some(limit),
        next_part_number_marker: page.last().and_then(|part| part.part_number),
        part_number_marker: Some(marker),
        parts: Some(page),
        total_parts_count: Some(meta.parts.len() as i32),
    }
}

pub(crate) async fn delete(
    store: &Arc<RegionStore>,
    request: S3Request<DeleteObjectInput>,
) -> S3Result<S3Response<DeleteObjectOutput>> {
    let input = request.input;
    let bucket = store.bucket(&input.bucket)?;
    let condition = DeleteCondition {
        if_match: input.if_match,
    };
    let removed = store
        .blocking(move || bucket.remove(&input.key, input.version_id.as_deref(), &condition))
        .await?;
    let output = DeleteObjectOutput {
        delete_marker: removed.delete_marker.then_some(true),
        version_id: removed.version_id,
        ..Default::default()
    };
    Ok(S3Response::new(output))
}

/// Most keys of one DeleteObjects (API reference).
const DELETE_LIMIT_KEYS: usize = 1_000;

pub(crate) async fn delete_many(
    store: &Arc<RegionStore>,
    request: S3Request<DeleteObjectsInput>,
) -> S3Result<S3Response<DeleteObjectsOutput>> {
    let input = request.input;
    let bucket = store.bucket(&input.bucket)?;
    if input.delete.objects.is_empty() || input.delete.objects.len() > DELETE_LIMIT_KEYS {
        return Err(s3_error!(
            MalformedXML,
            "The XML you provided was not well-formed or did not validate against our published schema"
        ));
    }
    let quiet = input.delete.quiet.unwrap_or(false);
    let (deleted, errors) = store
        .blocking(move || {
            let (mut deleted, mut errors) = (Vec::new(), Vec::new());
            for object in input.delete.objects {
                let condition = DeleteCondition {
                    if_match: object.e_tag.map(ETagCondition::ETag),
                };
                match bucket.remove(&object.key, object.version_id.as_deref(), &condition) {
                    Ok(removed) => deleted.push(DeletedObject {
                        delete_marker: removed.delete_marker.then_some(true),
                        // With a version named, both ids are that of the marker that was removed.
                        delete_marker_version_id: removed
                            .version_id
                            .clone()
                            .filter(|_| removed.delete_marker),
                        key: Some(object.key),
                        version_id: object.version_id,
                    }),
                    Err(error) => errors.push(Error {
                        code: Some(error.code().as_str().to_owned()),
                        key: Some(object.key),
                        message: error.message().map(str::to_owned),
                        version_id: object.version_id,
                    }),
                }
            }
            Ok((deleted, errors))
        })
        .await?;
    let output = DeleteObjectsOutput {
        deleted: (!quiet).then_some(deleted),
        errors: (!errors.is_empty()).then_some(errors),
        ..Default::default()
    };
    Ok(S3Response::new(output))
}
