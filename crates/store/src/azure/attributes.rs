//! Headers as attributes, versions and checksums, and back.

use super::metadata::{decode_name, encode_name};
use crate::ObjectHead;
use crate::checksum::{Crc64, Md5};
use crate::http::{decode_word, encode_word, http_date, lossy, set, text, unquote};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderMap, HeaderName, HeaderValue};
use skyfresh_sky::{Attributes, ObjectVersion};

const META: &str = "x-ms-meta-";
/// Most bytes of metadata, names and values together
/// (<https://learn.microsoft.com/rest/api/storageservices/setting-and-retrieving-properties-and-metadata-for-blob-resources>).
pub const METADATA_LIMIT_BYTES: usize = 8 << 10;

/// Writes attributes as headers of a request that makes a blob.
///
/// # Errors
/// A value that no header can hold, or more metadata than Azure takes.
pub(super) fn write(attributes: &Attributes, headers: &mut HeaderMap) -> Result<(), String> {
    for (name, value) in [
        ("x-ms-blob-content-type", &attributes.content_type),
        ("x-ms-blob-content-encoding", &attributes.content_encoding),
        ("x-ms-blob-content-language", &attributes.content_language),
        (
            "x-ms-blob-content-disposition",
            &attributes.content_disposition,
        ),
        ("x-ms-blob-cache-control", &attributes.cache_control),
        ("x-ms-access-tier", &attributes.storage_class),
    ] {
        if let Some(value) = value {
            set(headers, name, value)?;
        }
    }
    let mut bytes = 0;
    for (name, value) in &attributes.user {
        let (encoded, word) = (encode_name(name), encode_value(value));
        bytes += encoded.len() + word.len();
        let header = HeaderName::try_from(format!("{META}{encoded}"))
            .ok()
            .filter(|_| !encoded.is_empty())
            .ok_or_else(|| format!("{name:?} cannot name user metadata"))?;
        let word = HeaderValue::try_from(word)
            .map_err(|_| format!("user metadata {name:?} cannot be {value:?}"))?;
        headers.insert(header, word);
    }
    if bytes > METADATA_LIMIT_BYTES {
        return Err(format!(
            "user metadata is {bytes} bytes; Azure allows {METADATA_LIMIT_BYTES}"
        ));
    }
    Ok(())
}

/// Reads an object's head from the headers of an answer; `size` is the whole object's, and `whole` says that the answer is
/// about the whole object, not a range of it.
///
/// # Errors
/// No ETag, without which no version can be pinned.
pub(super) fn read_head(headers: &HeaderMap, size: u64, whole: bool) -> Result<ObjectHead, String> {
    let user = headers
        .iter()
        .filter_map(|(name, value)| {
            Some((
                decode_name(name.as_str().strip_prefix(META)?),
                decode_word(&lossy(value)),
            ))
        })
        .collect();
    let get = |name: &str| text(headers, name).filter(|value| !value.is_empty());
    let inferred = get("x-ms-access-tier-inferred").is_some_and(|value| value == "true");
    let attributes = Attributes {
        content_type: get("content-type"),
        content_encoding: get("content-encoding"),
        content_language: get("content-language"),
        content_disposition: get("content-disposition"),
        cache_control: get("cache-control"),
        expires: None,
        website_redirect: None,
        // The account's default is stated too, as inferred.
        storage_class: get("x-ms-access-tier").filter(|_| !inferred),
        user,
    };
    // In an answer with a range `Content-MD5` is that of the range.
    let md5 = get("x-ms-blob-content-md5").or_else(|| get("content-md5").filter(|_| whole));
    Ok(ObjectHead {
        version: version(headers).ok_or("the answer has no ETag")?,
        size,
        modified: get("last-modified")
            .and_then(|date| http_date(&date))
            .unwrap_or_default(),
        crc64: None,
        crc32c: None,
        md5: md5.and_then(|value| decode_md5(&value)),
        attributes,
        tag_count: get("x-ms-tag-count")
            .and_then(|count| count.parse().ok())
            .unwrap_or_default(),
    })
}

/// The version that an answer names. An ETag is never used twice, so it is enough.
pub(super) fn version(headers: &HeaderMap) -> Option<ObjectVersion> {
    Some(ObjectVersion::from_etag(unquote(&text(headers, "etag")?)))
}

/// The CRC64NVME of what the service received, where it says so.
///
/// Azure documents only the polynomial 0x9A6C9329AC4BC9B5 (Azure SDK for .NET, `StorageCrc64Calculator`), which is CRC-64/NVME
/// in reflected form, and sends 8 bytes with the lowest first.
pub(super) fn received(headers: &HeaderMap) -> Option<Crc64> {
    let bytes: [u8; 8] = BASE64
        .decode(text(headers, "x-ms-content-crc64")?.trim())
        .ok()?
        .try_into()
        .ok()?;
    Some(Crc64(u64::from_le_bytes(bytes)))
}

/// A digest as headers state it.
pub(super) fn encode_md5(md5: [u8; 16]) -> String {
    BASE64.encode(md5)
}

fn decode_md5(text: &str) -> Option<Md5> {
    Some(Md5(BASE64.decode(text.trim()).ok()?.try_into().ok()?))
}

/// As an encoded word where a header would not bring the value back as it was: signatures, too, are defined over values
/// without runs of spaces, and an empty value is no value for some of Azure's clients.
fn encode_value(value: &str) -> String {
    if value.is_empty() || value.contains("  ") {
        return format!("=?UTF-8?B?{}?=", BASE64.encode(value));
    }
    encode_word(value)
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
            storage_class: Some("Cool".into()),
            user: [
                ("skyfresh-source".into(), "a b".into()),
                ("wide".into(), "grün ☂".into()),
                ("empty".into(), String::new()),
                ("spaced".into(), "a  b".into()),
                ("1_x2d_".into(), "=?UTF-8?B?Z3LDvG4=?=".into()),
            ]
            .into(),
            ..Attributes::default()
        };
        let mut sent = HeaderMap::new();
        write(&attributes, &mut sent).unwrap();
        assert_eq!(sent["x-ms-meta-skyfresh_x2d_source"], "a b");
        let mut answered = HeaderMap::new();
        for (name, value) in &sent {
            let name = name.as_str().replace("x-ms-blob-", "");
            answered.insert(HeaderName::try_from(name).unwrap(), value.clone());
        }
        set(&mut answered, "etag", "\"0x8D\"").unwrap();
        let head = read_head(&answered, 7, true).unwrap();
        assert_eq!(head.attributes, attributes);
        assert_eq!(
            (head.version, head.size),
            (ObjectVersion::from_etag("0x8D"), 7)
        );
        assert!(sent.values().all(|value| {
            value
                .to_str()
                .is_ok_and(|text| !text.is_empty() && !text.contains("  "))
        }));
    }

    #[test]
    fn the_checksum_of_a_range_is_not_the_objects() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("etag", "\"e\""),
            ("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg=="),
            ("x-ms-access-tier", "Hot"),
            ("x-ms-access-tier-inferred", "true"),
        ] {
            set(&mut headers, name, value).unwrap();
        }
        assert_eq!(read_head(&headers, 9, false).unwrap().md5, None);
        let head = read_head(&headers, 0, true).unwrap();
        assert_eq!(head.md5, Some(Md5::of(b"")));
        assert_eq!(head.attributes.storage_class, None);
        set(
            &mut headers,
            "x-ms-blob-content-md5",
            "1B2M2Y8AsgTpgAmY7PhCfg==",
        )
        .unwrap();
        assert_eq!(
            read_head(&headers, 9, false).unwrap().md5,
            Some(Md5::of(b""))
        );
    }

    #[test]
    fn checksums_have_the_lowest_byte_first() {
        let mut headers = HeaderMap::new();
        // The check value of CRC-64/NVME, 0xae8b14860a799888, its bytes reversed.
        set(&mut headers, "x-ms-content-crc64", "iJh5CoYUi64=").unwrap();
        assert_eq!(received(&headers), Some(Crc64::of(b"123456789")));
        set(&mut headers, "x-ms-content-crc64", "AAAA").unwrap();
        assert_eq!(received(&headers), None);
    }

    #[test]
    fn what_no_header_can_hold_is_refused() {
        let with = |name: &str, value: &str| Attributes {
            user: [(name.to_owned(), value.to_owned())].into(),
            ..Attributes::default()
        };
        assert!(write(&with("", "x"), &mut HeaderMap::new()).is_err());
        assert!(
            write(
                &with("a", &"x".repeat(METADATA_LIMIT_BYTES - 1)),
                &mut HeaderMap::new()
            )
            .is_ok()
        );
        assert!(
            write(
                &with("a", &"x".repeat(METADATA_LIMIT_BYTES)),
                &mut HeaderMap::new()
            )
            .unwrap_err()
            .contains("8193")
        );
    }
}
