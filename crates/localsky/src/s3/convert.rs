//! Between s3s's data types and ours.

use crate::store::{Algorithm, ObjectChecksum, Scope};
use s3s::dto::{ChecksumAlgorithm, ChecksumType, ETag, Owner};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};
use skyfresh_sky::{Attributes, Timestamp, USER_METADATA_LIMIT_BYTES};
use std::time::{Duration, SystemTime};

/// S3 shows times to the second, in headers and in listings.
pub(crate) fn shown_time(time: Timestamp) -> s3s::dto::Timestamp {
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_secs(time.unix_ms() / 1000))
        .unwrap_or(SystemTime::UNIX_EPOCH)
        .into()
}

pub(crate) fn given_time(time: &s3s::dto::Timestamp) -> Option<Timestamp> {
    let mut text = Vec::new();
    time.format(s3s::dto::TimestampFormat::EpochSeconds, &mut text)
        .ok()?;
    let seconds: f64 = std::str::from_utf8(&text).ok()?.parse().ok()?;
    Some(Timestamp::from_unix_ms((seconds.max(0.0) * 1000.0) as u64))
}

pub(crate) fn shown_etag(etag: &str) -> ETag {
    ETag::Strong(etag.to_owned())
}

pub(crate) fn length(len: u64) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

pub(crate) fn internal(source: impl std::error::Error + Send + Sync + 'static) -> S3Error {
    S3Error::with_source(S3ErrorCode::InternalError, Box::new(source))
}

/// Everything belongs to the one account there is.
pub(crate) fn owner() -> Owner {
    Owner {
        display_name: Some("skyfresh".into()),
        id: Some("skyfresh".into()),
    }
}

/// The `x-amz-checksum-*` fields of an input, as (algorithm, base64) pairs.
macro_rules! given_checksums {
    ($input:expr) => {
        [
            (
                $crate::store::Algorithm::Crc32,
                $input.checksum_crc32.clone(),
            ),
            (
                $crate::store::Algorithm::Crc32c,
                $input.checksum_crc32c.clone(),
            ),
            (
                $crate::store::Algorithm::Crc64Nvme,
                $input.checksum_crc64nvme.clone(),
            ),
            ($crate::store::Algorithm::Sha1, $input.checksum_sha1.clone()),
            (
                $crate::store::Algorithm::Sha256,
                $input.checksum_sha256.clone(),
            ),
        ]
        .into_iter()
        .filter_map(|(algorithm, value)| Some((algorithm, value?)))
        .collect::<Vec<_>>()
    };
}
pub(crate) use given_checksums;

/// Sets the `checksum_*` field of an output that belongs to `algorithm`.
macro_rules! show_checksum {
    ($output:expr, $algorithm:expr, $value:expr) => {{
        let value = Some($value);
        match $algorithm {
            $crate::store::Algorithm::Crc32 => $output.checksum_crc32 = value,
            $crate::store::Algorithm::Crc32c => $output.checksum_crc32c = value,
            $crate::store::Algorithm::Crc64Nvme => $output.checksum_crc64nvme = value,
            $crate::store::Algorithm::Sha1 => $output.checksum_sha1 = value,
            $crate::store::Algorithm::Sha256 => $output.checksum_sha256 = value,
        }
    }};
}
pub(crate) use show_checksum;

/// Sets the checksum fields of an output, its type included.
macro_rules! show_object_checksum {
    ($output:expr, $checksum:expr) => {
        if let Some(checksum) = $checksum {
            $crate::s3::convert::show_checksum!(
                $output,
                checksum.algorithm,
                checksum.value.clone()
            );
            $output.checksum_type = Some($crate::s3::convert::shown_scope(checksum.scope));
        }
    };
}
pub(crate) use show_object_checksum;

pub(crate) fn shown_scope(scope: Scope) -> ChecksumType {
    ChecksumType::from_static(scope.as_str())
}

pub(crate) fn shown_algorithm(algorithm: Algorithm) -> ChecksumAlgorithm {
    ChecksumAlgorithm::from_static(algorithm.name())
}

pub(crate) fn shown_algorithms(
    checksum: Option<&ObjectChecksum>,
) -> Option<Vec<ChecksumAlgorithm>> {
    checksum.map(|checksum| vec![shown_algorithm(checksum.algorithm)])
}

pub(crate) fn given_algorithm(name: Option<&ChecksumAlgorithm>) -> S3Result<Option<Algorithm>> {
    let Some(name) = name else { return Ok(None) };
    Algorithm::parse(name.as_str()).map(Some).ok_or_else(|| {
        s3_error!(
            InvalidRequest,
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, \
             CRC64NVME, SHA1, SHA256]"
        )
    })
}

pub(crate) fn given_scope(name: Option<&ChecksumType>) -> S3Result<Option<Scope>> {
    match name.map(ChecksumType::as_str) {
        None => Ok(None),
        Some("FULL_OBJECT") => Ok(Some(Scope::FullObject)),
        Some("COMPOSITE") => Ok(Some(Scope::Composite)),
        Some(_) => Err(s3_error!(
            InvalidRequest,
            "Value for x-amz-checksum-type header is invalid."
        )),
    }
}

/// The attributes in the like-named fields of an input.
macro_rules! given_attributes {
    ($input:expr, $headers:expr) => {
        $crate::s3::convert::checked_attributes(skyfresh_sky::Attributes {
            content_type: $input.content_type.clone().map(String::from),
            content_encoding: $input.content_encoding.clone(),
            content_language: $input.content_language.clone(),
            content_disposition: $input.content_disposition.clone(),
            cache_control: $input.cache_control.clone(),
            expires: $headers
                .get(http::header::EXPIRES)
                .and_then(|v| v.to_str().ok())
                .map(str::to_owned),
            website_redirect: $input.website_redirect_location.clone(),
            storage_class: $input
                .storage_class
                .as_ref()
                .map(|class| class.as_str().to_owned()),
            user: $input
                .metadata
                .clone()
                .unwrap_or_default()
                .into_iter()
                .collect(),
        })
    };
}
pub(crate) use given_attributes;

pub(crate) fn checked_attributes(mut attributes: Attributes) -> S3Result<Attributes> {
    // `aws-chunked` describes the request, not the object.
    attributes.content_encoding = attributes.content_encoding.and_then(|encoding| {
        let kept: Vec<&str> = encoding
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty() && *part != "aws-chunked")
            .collect();
        (!kept.is_empty()).then(|| kept.join(","))
    });
    // The default class is not shown.
    attributes.storage_class = attributes.storage_class.filter(|class| class != "STANDARD");
    if attributes.user_bytes() > USER_METADATA_LIMIT_BYTES {
        return Err(s3_error!(
            MetadataTooLarge,
            "Your metadata headers exceed the maximum allowed metadata size"
        ));
    }
    Ok(attributes)
}

pub(crate) fn shown_storage_class(attributes: &Attributes) -> String {
    attributes
        .storage_class
        .clone()
        .unwrap_or_else(|| "STANDARD".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive() {
        let time = Timestamp::from_unix_ms(1_700_000_000_987);
        assert_eq!(
            given_time(&shown_time(time)),
            Some(Timestamp::from_unix_ms(1_700_000_000_000))
        );
    }

    #[test]
    fn attributes_are_cleaned_and_limited() {
        let given = |encoding: &str| Attributes {
            content_encoding: Some(encoding.into()),
            ..Default::default()
        };
        assert_eq!(
            checked_attributes(given("aws-chunked"))
                .unwrap()
                .content_encoding,
            None
        );
        let cleaned = checked_attributes(given("gzip,aws-chunked")).unwrap();
        assert_eq!(cleaned.content_encoding.as_deref(), Some("gzip"));
        let mut full = Attributes::default();
        full.user.insert("k".into(), "v".repeat(2047));
        assert!(checked_attributes(full.clone()).is_ok());
        full.user.insert("l".into(), String::new());
        assert_eq!(
            checked_attributes(full).unwrap_err().code(),
            &S3ErrorCode::MetadataTooLarge
        );
    }
}
