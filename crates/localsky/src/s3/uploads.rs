//! Multipart uploads.

use super::body::expected_body;
use super::convert::{
    given_algorithm, given_attributes, given_checksums, given_scope, length, owner, show_checksum,
    show_object_checksum, shown_algorithm, shown_etag, shown_scope, shown_storage_class,
    shown_time,
};
use super::tags;
use crate::store::multipart::{ExpectedObject, MAX_PART_NUMBER};
use crate::store::{NewUpload, PartClaim, RegionStore, StoredPart, WriteCondition, ingest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};
use std::ops::Bound;
use std::sync::Arc;

/// Most lines of one page (API reference, ListParts and ListMultipartUploads).
const PAGE_LIMIT: i32 = 1_000;

pub(crate) fn part_number(number: i32) -> S3Result<u16> {
    u16::try_from(number)
        .ok()
        .filter(|number| (1..=MAX_PART_NUMBER).contains(number))
        .ok_or_else(|| {
            s3_error!(
                InvalidArgument,
                "Part number must be an integer between 1 and {MAX_PART_NUMBER}, inclusive"
            )
        })
}

pub(crate) fn shown_digest(digest: &[u8]) -> String {
    BASE64.encode(digest)
}

pub(crate) async fn create(
    store: &Arc<RegionStore>,
    request: S3Request<CreateMultipartUploadInput>,
) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
    let input = request.input;
    let bucket = store.bucket(&input.bucket)?;
    let attributes = given_attributes!(input, request.headers)?;
    let tags = tags::from_header(input.tagging.as_deref())?;
    let scope = given_scope(input.checksum_type.as_ref())?;
    let checksum = match (given_algorithm(input.checksum_algorithm.as_ref())?, scope) {
        (None, None) => None,
        (None, Some(_)) => {
            return Err(s3_error!(
                InvalidRequest,
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."
            ));
        }
        (Some(algorithm), scope) => {
            let scope = scope.unwrap_or_else(|| algorithm.default_scope());
            if !algorithm.supports(scope) {
                return Err(s3_error!(
                    InvalidRequest,
                    "The {} checksum type cannot be used with the {} checksum algorithm.",
                    scope.as_str(),
                    algorithm.name()
                ));
            }
            Some((algorithm, scope))
        }
    };
    let key = input.key.clone();
    let new = NewUpload {
        attributes,
        tags,
        checksum,
    };
    let (upload_id, record) = store
        .blocking(move || bucket.create_upload(&key, new))
        .await?;
    let output = CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(upload_id),
        checksum_algorithm: record
            .explicit_algorithm
            .then(|| shown_algorithm(record.algorithm)),
        checksum_type: record.explicit_algorithm.then(|| shown_scope(record.scope)),
        ..Default::default()
    };
    Ok(S3Response::new(output))
}

pub(crate) async fn part(
    store: &Arc<RegionStore>,
    request: S3Request<UploadPartInput>,
) -> S3Result<S3Response<UploadPartOutput>> {
    let mut input = request.input;
    let bucket = store.bucket(&input.bucket)?;
    let number = part_number(input.part_number)?;
    let upload = bucket.upload(&input.key, &input.upload_id)?;
    let body = input.body.take().ok_or_else(|| s3_error!(IncompleteBody))?;
    let mut expected = expected_body(
        &request.headers,
        input.content_length,
        input.content_md5.take(),
        given_checksums!(input),
        request.trailing_headers,
    )?;
    expected.md5_unused = store.surroundings.opaque_etags;
    let given = expected.algorithm();
    if let Some(given) =
        given.filter(|given| upload.explicit_algorithm && *given != upload.algorithm)
    {
        return Err(s3_error!(
            InvalidRequest,
            "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
            upload.algorithm.name().to_ascii_lowercase(),
            given.name().to_ascii_lowercase()
        ));
    }
    let ingested = ingest(&store.storage, body, &expected, &[upload.algorithm]).await?;
    let digests = &ingested.digests;
    let part = StoredPart {
        content: ingested.content,
        md5: store.part_tag(digests),
        checksum: digests
            .checksum(upload.algorithm)
            .unwrap_or_default()
            .to_vec(),
        modified: store.surroundings.clock.now(),
    };
    let mut output = UploadPartOutput {
        e_tag: Some(shown_etag(&part.etag())),
        ..Default::default()
    };
    if upload.explicit_algorithm {
        show_checksum!(output, upload.algorithm, shown_digest(&part.checksum));
    } else if let Some((given, digest)) =
        given.and_then(|given| Some((given, digests.checksum(given)?)))
    {
        show_checksum!(output, given, shown_digest(digest));
    }
    store
        .blocking(move || bucket.put_part(&input.key, &input.upload_id, number, part))
        .await?;
    Ok(S3Response::new(output))
}

pub(crate) async fn complete(
    store: &Arc<RegionStore>,
    request: S3Request<CompleteMultipartUploadInput>,
) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
    let input = request.input;
    let bucket = store.bucket(&input.bucket)?;
    let condition = WriteCondition {
        if_match: input.if_match.clone(),
        if_none_match: input.if_none_match.clone(),
    };
    condition.check_form()?;
    let expected = ExpectedObject {
        size: input
            .mpu_object_size
            .and_then(|size| u64::try_from(size).ok()),
        checksums: given_checksums!(input),
        scope: given_scope(input.checksum_type.as_ref())?,
    };
    let parts = input
        .multipart_upload
        .and_then(|upload| upload.parts)
        .unwrap_or_default();
    let claims: Vec<PartClaim> = parts
        .into_iter()
        .map(|part| PartClaim {
            number: part.part_number.unwrap_or_default(),
            checksums: given_checksums!(part),
            etag: part.e_tag.map(ETag::into_value).unwrap_or_default(),
        })
        .collect();
    let (key, upload_id) = (input.key.clone(), input.upload_id);
    let published = store
        .blocking(move || bucket.complete_upload(&key, &upload_id, &claims, &expected, &condition))
        .await?;
    let location = format!(
        "/{}/{}",
        input.bucket,
        utf8_percent_encode(&input.key, NON_ALPHANUMERIC)
    );
    let mut output = CompleteMultipartUploadOutput {
        bucket: Some(input.bucket),
        location: Some(location),
        key: Some(input.key),
        e_tag: Some(shown_etag(&published.object.meta.etag)),
        version_id: published.version_id,
        ..Default::default()
    };
    show_object_checksum!(output, &published.object.meta.checksum);
    Ok(S3Response::new(output))
}

pub(crate) async fn abort(
    store: &Arc<RegionStore>,
    request: S3Request<AbortMultipartUploadInput>,
) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
    let input = request.input;
    let bucket = store.bucket(&input.bucket)?;
    store
        .blocking(move || bucket.abort_upload(&input.key, &input.upload_id))
        .await?;
    Ok(S3Response::new(AbortMultipartUploadOutput::default()))
}

pub(crate) async fn list_parts(
    store: &Arc<RegionStore>,
    request: S3Request<ListPartsInput>,
) -> S3Result<S3Response<ListPartsOutput>> {
    let input = request.input;
    let bucket = store.bucket(&input.bucket)?;
    let state = bucket.lock();
    let upload = state.uploads.get(&input.key, &input.upload_id)?;
    let record = &upload.record;
    let limit = input.max_parts.unwrap_or(PAGE_LIMIT).clamp(0, PAGE_LIMIT);
    let marker = input.part_number_marker.unwrap_or(0);
    let after = u16::try_from(marker.max(0)).unwrap_or(u16::MAX);
    let mut rest = upload
        .parts
        .range((Bound::Excluded(after), Bound::Unbounded));
    let parts: Vec<Part> = rest
        .by_ref()
        .take(limit as usize)
        .map(|(number, part)| {
            let mut shown = Part {
                part_number: Some(i32::from(*number)),
                e_tag: Some(shown_etag(&part.etag())),
                size: Some(length(part.content.len())),
                last_modified: Some(shown_time(part.modified)),
                ..Default::default()
            };
            if record.explicit_algorithm {
                show_checksum!(shown, record.algorithm, shown_digest(&part.checksum));
            }
            shown
        })
        .collect();
    let output = ListPartsOutput {
        is_truncated: Some(limit > 0 && rest.next().is_some()),
        max_parts: Some(limit),
        part_number_marker: Some(marker),
        next_part_number_marker: parts.last().and_then(|part| part.part_number),
        parts: Some(parts),
        storage_class: Some(shown_storage_class(&record.attributes).into()),
        checksum_algorithm: record
            .explicit_algorithm
            .then(|| shown_algorithm(record.algorithm)),
        checksum_type: record.explicit_algorithm.then(|| shown_scope(record.scope)),
        owner: Some(owner()),
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        ..Default::default()
    };
    Ok(S3Response::new(output))
}

pub(crate) async fn list(
    store: &Arc<RegionStore>,
    request: S3Request<ListMultipartUploadsInput>,
) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
    let input = request.input;
    let bucket = store.bucket(&input.bucket)?;
    let state = bucket.lock();
    let limit = input.max_uploads.unwrap_or(PAGE_LIMIT).clamp(0, PAGE_LIMIT);
    let prefix = input.prefix.clone().unwrap_or_default();
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let key_marker = given(&input.key_marker);
    // Without a key marker the upload-id marker is ignored; without an id marker the whole key is passed over.
    let after_id = given(&input.upload_id_marker).filter(|_| key_marker.is_some());
    let from = (
        key_marker.clone().unwrap_or_default().max(prefix.clone()),
        String::new(),
    );
    let mut rest = state
        .uploads
        .0
        .range(from..)
        .take_while(|((key, _), _)| key.starts_with(&prefix))
        .filter(|((key, id), _)| match (&key_marker, &after_id) {
            (Some(marker), Some(after)) if key == marker => id > after,
            (Some(marker), _) => key > marker,
            (None, _) => true,
        });
    let (mut uploads, mut prefixes) = (Vec::new(), Vec::<String>::new());
    let mut last = None;
    let mut truncated = false;
    for ((key, id), upload) in rest.by_ref() {
        let delimiter = input
            .delimiter
            .as_deref()
            .filter(|delimiter| !delimiter.is_empty());
        let rolled = delimiter.and_then(|delimiter| {
            let end = key[prefix.len()..].find(delimiter)? + prefix.len() + delimiter.len();
            Some(&key[..end])
        });
        if rolled.is_some() && rolled == prefixes.last().map(String::as_str) {
            last = Some((key, id));
            continue;
        }
        if uploads.len() + prefixes.len() == limit as usize {
            truncated = limit > 0;
            break;
        }
        last = Some((key, id));
        match rolled {
            Some(rolled) => prefixes.push(rolled.to_owned()),
            None => uploads.push(MultipartUpload {
                key: Some(key.clone()),
                upload_id: Some(id.clone()),
                initiated: Some(shown_time(upload.record.initiated())),
                storage_class: Some(shown_storage_class(&upload.record.attributes).into()),
                checksum_algorithm: upload
                    .record
                    .explicit_algorithm
                    .then(|| shown_algorithm(upload.record.algorithm)),
                checksum_type: upload
                    .record
                    .explicit_algorithm
                    .then(|| shown_scope(upload.record.scope)),
                owner: Some(owner()),
                ..Default::default()
            }),
        }
    }
    let (next_key, next_id) = last
        .filter(|_| truncated)
        .map_or((None, None), |(key, id)| {
            (Some(key.clone()), Some(id.clone()))
        });
    let encode = |name: String| match &input.encoding_type {
        Some(_) => utf8_percent_encode(&name, super::list::URL_ENCODED).to_string(),
        None => name,
    };
    for upload in &mut uploads {
        upload.key = upload.key.take().map(encode);
    }
    let output = ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        prefix: input.prefix.map(encode),
        delimiter: input.delimiter.map(encode),
        key_marker: Some(encode(input.key_marker.unwrap_or_default())),
        upload_id_marker: Some(input.upload_id_marker.unwrap_or_default()),
        max_uploads: Some(limit),
        is_truncated: Some(truncated),
        next_key_marker: next_key.map(encode),
        next_upload_id_marker: next_id,
        uploads: Some(uploads),
        common_prefixes: (!prefixes.is_empty()).then(|| {
            prefixes
                .into_iter()
                .map(|prefix| CommonPrefix {
                    prefix: Some(encode(prefix)),
                })
                .collect()
        }),
        encoding_type: input.encoding_type,
        ..Default::default()
    };
    Ok(S3Response::new(output))
}
