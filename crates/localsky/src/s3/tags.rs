//! Object tags.

use crate::store::RegionStore;
use percent_encoding::percent_decode_str;
use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use std::sync::Arc;

/// Limits of a tag set (user guide, "Categorizing your storage using tags").
const TAGS_LIMIT: usize = 10;
const TAG_KEY_LIMIT_CHARS: usize = 128;
const TAG_VALUE_LIMIT_CHARS: usize = 256;

fn checked(tags: Vec<(String, String)>) -> S3Result<Vec<(String, String)>> {
    if tags.len() > TAGS_LIMIT {
        let mut error = S3Error::with_message(
            S3ErrorCode::Custom("BadRequest".into()),
            format!("Object tags cannot be greater than {TAGS_LIMIT}"),
        );
        error.set_status_code(http::StatusCode::BAD_REQUEST);
        return Err(error);
    }
    for (index, (key, value)) in tags.iter().enumerate() {
        if key.is_empty() || key.chars().count() > TAG_KEY_LIMIT_CHARS {
            return Err(s3_error!(
                InvalidTag,
                "The TagKey you have provided is invalid"
            ));
        }
        if value.chars().count() > TAG_VALUE_LIMIT_CHARS {
            return Err(s3_error!(
                InvalidTag,
                "The TagValue you have provided is invalid"
            ));
        }
        if tags[..index].iter().any(|(other, _)| other == key) {
            return Err(s3_error!(
                InvalidTag,
                "Cannot provide multiple Tags with the same key"
            ));
        }
    }
    Ok(tags)
}

/// Tags from the `x-amz-tagging` header, form-encoded.
pub(crate) fn from_header(header: Option<&str>) -> S3Result<Vec<(String, String)>> {
    let decode = |text: &str| {
        percent_decode_str(&text.replace('+', " "))
            .decode_utf8()
            .map(String::from)
            .map_err(|_| {
                s3_error!(
                    InvalidArgument,
                    "The header 'x-amz-tagging' shall be encoded as UTF-8"
                )
            })
    };
    let pairs = header
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty());
    let tags = pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(key)?, decode(value)?))
        })
        .collect::<S3Result<_>>()?;
    checked(tags)
}

pub(crate) async fn get(
    store: &Arc<RegionStore>,
    request: S3Request<GetObjectTaggingInput>,
) -> S3Result<S3Response<GetObjectTaggingOutput>> {
    let input = request.input;
    let found = store
        .bucket(&input.bucket)?
        .lookup(&input.key, input.version_id.as_deref())?;
    let tag = |(key, value): &(String, String)| Tag {
        key: Some(key.clone()),
        value: Some(value.clone()),
    };
    let tag_set = found.object.meta.tags.iter().map(tag).collect();
    Ok(S3Response::new(GetObjectTaggingOutput {
        tag_set,
        version_id: found.version_id,
    }))
}

pub(crate) async fn put(
    store: &Arc<RegionStore>,
    request: S3Request<PutObjectTaggingInput>,
) -> S3Result<S3Response<PutObjectTaggingOutput>> {
    let input = request.input;
    let pair = |tag: Tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default());
    let tags = checked(input.tagging.tag_set.into_iter().map(pair).collect())?;
    let version_id =
        store
            .bucket(&input.bucket)?
            .set_tags(&input.key, input.version_id.as_deref(), tags)?;
    Ok(S3Response::new(PutObjectTaggingOutput { version_id }))
}

pub(crate) async fn delete(
    store: &Arc<RegionStore>,
    request: S3Request<DeleteObjectTaggingInput>,
) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
    let input = request.input;
    let version_id = store.bucket(&input.bucket)?.set_tags(
        &input.key,
        input.version_id.as_deref(),
        Vec::new(),
    )?;
    Ok(S3Response::new(DeleteObjectTaggingOutput { version_id }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_form_encoded() {
        let tags = from_header(Some("a=1&b+c=%C3%A9&d")).unwrap();
        let expected = [("a", "1"), ("b c", "é"), ("d", "")];
        assert_eq!(
            tags,
            expected.map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
        assert!(from_header(Some("a=1&a=2")).is_err());
        assert!(from_header(Some(&"x=1&".repeat(11))).is_err());
        assert_eq!(from_header(None).unwrap(), []);
    }
}
