//! Headers as attributes, versions and checksums, and back.

use crate::ObjectHead;
use crate::checksum::Crc64;
use crate::http::{decode_word, encode_word, http_date, lossy};
pub(super) use crate::http::{quote, set, text, unquote};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderMap, HeaderName, HeaderValue};
use skyfresh_sky::{Attributes, ObjectVersion, USER_METADATA_LIMIT_BYTES};

const META: &str = "x-amz-meta-";

/// Writes attributes as request headers.
///
/// # Errors
/// A value that no header can hold, or more user metadata than S3 takes.
pub(super) fn write(attributes: &Attributes, headers: &mut HeaderMap) -> Result<(), String> {
    if attributes.user_bytes() > USER_METADATA_LIMIT_BYTES {
        return Err(format!(
            "user metadata is {} bytes; S3 allows {USER_METADATA_LIMIT_BYTES}",
            attributes.user_bytes()
        ));
    }
    for (name, value) in [
        ("content-type", &attributes.content_type),
        ("content-encoding", &attributes.content_encoding),
        ("content-language", &attributes.content_language),
        ("content-disposition", &attributes.content_disposition),
        ("cache-control", &attributes.cache_control),
        ("expires", &attributes.expires),
        (
            "x-amz-website-redirect-location",
            &attributes.website_redirect,
        ),
        ("x-amz-storage-class", &attributes.storage_class),
    ] {
        if let Some(value) = value {
            set(headers, name, value)?;
        }
    }
    for (name, value) in &attributes.user {
        let header = HeaderName::try_from(format!("{META}{name}")).map_err(|_| {
            format!("{name:?} cannot name user metadata: use letters, digits and '-'")
        })?;
        let value = HeaderValue::try_from(encode_word(value))
            .map_err(|_| format!("user metadata {name:?} cannot be {value:?}"))?;
        headers.insert(header, value);
    }
    Ok(())
}

/// Reads an object's head from the headers of an answer; `size` is the whole object's.
///
/// # Errors
/// No ETag, without which no version can be pinned.
pub(super) fn read_head(headers: &HeaderMap, size: u64) -> Result<ObjectHead, String> {
    let user = headers
        .iter()
        .filter_map(|(name, value)| {
            Some((
                name.as_str().strip_prefix(META)?.to_owned(),
                decode_word(&lossy(value)),
            ))
        })
        .collect();
    let get = |name: &str| text(headers, name);
    let attributes = Attributes {
        content_type: get("content-type"),
        content_encoding: get("content-encoding").and_then(|value| without_aws_chunked(&value)),
        content_language: get("content-language"),
        content_disposition: get("content-disposition"),
        cache_control: get("cache-control"),
        expires: get("expires"),
        website_redirect: get("x-amz-website-redirect-location"),
        // S3 leaves the header out for its default class; others send it.
        storage_class: get("x-amz-storage-class").filter(|class| class != "STANDARD"),
        user,
    };
    Ok(ObjectHead {
        version: version(headers).ok_or("the answer has no ETag")?,
        size,
        modified: get("last-modified")
            .and_then(|date| http_date(&date))
            .unwrap_or_default(),
        crc64: get("x-amz-checksum-crc64nvme").and_then(|value| decode_crc64(&value)),
        crc32c: None,
        md5: None,
        attributes,
        tag_count: get("x-amz-tagging-count")
            .and_then(|count| count.parse().ok())
            .unwrap_or_default(),
    })
}

/// The version that an answer names.
pub(super) fn version(headers: &HeaderMap) -> Option<ObjectVersion> {
    Some(ObjectVersion {
        etag: unquote(&text(headers, "etag")?),
        version_id: version_id(headers),
    })
}

/// The version id, where it never recurs: `null`, the version of an unversioned write, does.
pub(super) fn version_id(headers: &HeaderMap) -> Option<String> {
    text(headers, "x-amz-version-id").filter(|id| id != "null")
}

/// A CRC64NVME as S3 writes it: base64 of 8 bytes, big-endian.
pub(super) fn encode_crc64(crc64: Crc64) -> String {
    BASE64.encode(crc64.0.to_be_bytes())
}

/// Reads [`encode_crc64`]; `None` where it is something else (a composite ends in `-parts`).
pub(super) fn decode_crc64(text: &str) -> Option<Crc64> {
    let bytes: [u8; 8] = BASE64.decode(text.trim()).ok()?.try_into().ok()?;
    Some(Crc64(u64::from_be_bytes(bytes)))
}

/// Some servers keep the transfer's `aws-chunked` with the object.
fn without_aws_chunked(value: &str) -> Option<String> {
    let kept: Vec<&str> = value
        .split(',')
        .map(str::trim)
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("aws-chunked"))
        .collect();
    (!kept.is_empty()).then(|| kept.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let attributes = Attributes {
            content_type: Some("text/plain".into()),
            content_encoding: Some("gzip".into()),
            content_language: Some("de".into()),
            content_disposition: Some("attachment; filename=\"a b\"".into()),
            cache_control: Some("max-age=60".into()),
            expires: Some("Wed, 21 Oct 2026 07:28:00 GMT".into()),
            website_redirect: Some("/elsewhere".into()),
            storage_class: Some("GLACIER_IR".into()),
            user: [
                ("plain".into(), "a  b".into()),
                ("wide".into(), "grün ☂".into()),
                ("empty".into(), String::new()),
                ("padded".into(), " a\n".into()),
                ("word".into(), "=?UTF-8?B?Z3LDvG4=?=".into()),
            ]
            .into(),
        };
        let mut headers = HeaderMap::new();
        write(&attributes, &mut headers).unwrap();
        set(&mut headers, "etag", "\"abc\"").unwrap();
        let head = read_head(&headers, 7).unwrap();
        assert_eq!(head.attributes, attributes);
        assert_eq!(
            (head.version, head.size),
            (ObjectVersion::from_etag("abc"), 7)
        );
        assert!(
            headers.values().all(|value| value.to_str().is_ok()),
            "only ASCII is signed"
        );
    }

    #[test]
    fn encoded_words_of_both_kinds_are_read() {
        assert_eq!(decode_word("=?UTF-8?B?Z3LDvG4=?="), "grün");
        assert_eq!(decode_word("=?UTF-8?Q?gr=C3=BCn_100%?="), "grün 100%");
        for plain in [
            "",
            "=?",
            "=?UTF-8?B?!?=",
            "=?latin1?B?Z3I=?=",
            "x=?UTF-8?B?Z3I=?=",
        ] {
            assert_eq!(decode_word(plain), plain);
        }
    }

    #[test]
    fn refuses_what_no_header_can_hold() {
        let with = |name: &str, value: &str| Attributes {
            user: [(name.to_owned(), value.to_owned())].into(),
            ..Attributes::default()
        };
        assert!(write(&with("a b", "x"), &mut HeaderMap::new()).is_err());
        assert!(
            write(&with("a", &"x".repeat(2048)), &mut HeaderMap::new())
                .unwrap_err()
                .contains("2049")
        );
        let injected = Attributes {
            content_type: Some("a\r\nx: y".into()),
            ..Attributes::default()
        };
        assert!(write(&injected, &mut HeaderMap::new()).is_err());
    }

    #[test]
    fn versions_and_transfer_codings() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("etag", "W/\"abc\""),
            ("x-amz-version-id", "null"),
            ("content-encoding", "aws-chunked"),
        ] {
            set(&mut headers, name, value).unwrap();
        }
        let head = read_head(&headers, 0).unwrap();
        assert_eq!(head.version, ObjectVersion::from_etag("abc"));
        assert_eq!(head.attributes.content_encoding, None);
        assert_eq!(
            without_aws_chunked("aws-chunked,gzip").as_deref(),
            Some("gzip")
        );
    }
}
