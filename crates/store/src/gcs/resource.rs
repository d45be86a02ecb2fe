//! The JSON resources of Google's API, as our types.
//!
//! Fields: <https://cloud.google.com/storage/docs/json_api/v1/objects>. Google keeps no `Expires` and no website redirect with an
//! object; they are kept as custom metadata of ours and read back, so that nothing is lost between clouds.

use crate::ObjectHead;
use crate::checksum::{Crc32c, Md5};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use skyfresh_sky::{Attributes, ObjectVersion, Timestamp};
use std::collections::BTreeMap;

/// Google's limit on names and values of custom metadata ("Quotas and limits": 8 KiB for an object).
const METADATA_LIMIT_BYTES: usize = 8 << 10;
/// What an object without a content type is served as.
const DEFAULT_CONTENT_TYPE: &str = "application/octet-stream";
const EXPIRES: &str = "skyfresh-expires";
const WEBSITE_REDIRECT: &str = "skyfresh-website-redirect";
/// The storage class that an object has where nothing else is asked for; `None` in [`Attributes`].
const STANDARD: &str = "STANDARD";

/// What is asked for of an object.
pub(super) const OBJECT_FIELDS: &str = "name,generation,metageneration,size,updated,timeCreated,crc32c,md5Hash,contentType,contentEncoding,contentLanguage,contentDisposition,cacheControl,storageClass,metadata";

/// An object.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Object {
    pub(super) name: String,
    #[serde(deserialize_with = "int64")]
    pub(super) generation: u64,
    #[serde(deserialize_with = "int64")]
    pub(super) metageneration: u64,
    #[serde(deserialize_with = "int64")]
    pub(super) size: u64,
    pub(super) updated: String,
    #[serde(default)]
    pub(super) time_created: Option<String>,
    #[serde(default)]
    crc32c: Option<String>,
    #[serde(default)]
    md5_hash: Option<String>,
    #[serde(default)]
    content_type: Option<String>,
    #[serde(default)]
    content_encoding: Option<String>,
    #[serde(default)]
    content_language: Option<String>,
    #[serde(default)]
    content_disposition: Option<String>,
    #[serde(default)]
    cache_control: Option<String>,
    #[serde(default)]
    storage_class: Option<String>,
    #[serde(default)]
    pub(super) metadata: BTreeMap<String, String>,
}

/// A page of objects.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listing {
    /// An answer of something else must not pass for an empty page.
    pub(super) kind: String,
    #[serde(default)]
    pub(super) next_page_token: Option<String>,
    #[serde(default)]
    pub(super) items: Vec<Object>,
    /// With a delimiter only.
    #[serde(default)]
    pub(super) prefixes: Vec<String>,
}

impl Listing {
    pub(super) const KIND: &'static str = "storage#objects";
}

/// The answer to a step of a rewrite.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rewrite {
    pub(super) done: bool,
    #[serde(default)]
    pub(super) rewrite_token: Option<String>,
    #[serde(default)]
    pub(super) resource: Option<Object>,
}

/// Google writes 64-bit numbers as text.
fn int64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Text(String),
        Number(u64),
    }
    match Number::deserialize(deserializer)? {
        Number::Number(number) => Ok(number),
        Number::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

impl Object {
    pub(super) fn version(&self) -> ObjectVersion {
        version(self.generation, self.metageneration)
    }

    pub(super) fn crc32c(&self) -> Option<Crc32c> {
        self.crc32c.as_deref().and_then(decode_crc32c)
    }

    pub(super) fn modified(&self) -> Result<Timestamp, String> {
        Timestamp::parse(&self.updated).map_err(|why| why.to_string())
    }

    pub(super) fn attributes(&self) -> Attributes {
        let mut user = BTreeMap::new();
        let (mut expires, mut website_redirect) = (None, None);
        for (name, value) in &self.metadata {
            match name.to_ascii_lowercase().as_str() {
                EXPIRES => expires = Some(value.clone()),
                WEBSITE_REDIRECT => website_redirect = Some(value.clone()),
                name => {
                    user.insert(name.to_owned(), value.clone());
                }
            }
        }
        Attributes {
            content_type: self.content_type.clone(),
            content_encoding: self.content_encoding.clone(),
            content_language: self.content_language.clone(),
            content_disposition: self.content_disposition.clone(),
            cache_control: self.cache_control.clone(),
            expires,
            website_redirect,
            storage_class: self.storage_class.clone().filter(|class| class != STANDARD),
            user,
        }
    }

    pub(super) fn head(&self) -> Result<ObjectHead, String> {
        Ok(ObjectHead {
            version: self.version(),
            size: self.size,
            modified: self.modified()?,
            crc64: None,
            crc32c: self.crc32c(),
            md5: self.md5_hash.as_deref().and_then(decode_md5),
            attributes: self.attributes(),
            tag_count: 0,
        })
    }
}

/// Generation and metageneration as a version: neither ever comes back for the same name.
pub(super) fn version(generation: u64, metageneration: u64) -> ObjectVersion {
    ObjectVersion {
        etag: format!("{generation}.{metageneration}"),
        version_id: Some(generation.to_string()),
    }
}

/// Generation and metageneration of a version; `None` where it cannot be one of Google's.
pub(super) fn generations(version: &ObjectVersion) -> Option<(u64, u64)> {
    let (generation, metageneration) = version.etag.split_once('.')?;
    Some((generation.parse().ok()?, metageneration.parse().ok()?))
}

/// The metadata that goes with a write. Whatever is absent here is absent of the object.
///
/// # Errors
/// More custom metadata than Google takes.
pub(super) fn metadata(attributes: &Attributes) -> Result<Map<String, Value>, String> {
    let mut user = attributes.user.clone();
    for (name, value) in [
        (EXPIRES, &attributes.expires),
        (WEBSITE_REDIRECT, &attributes.website_redirect),
    ] {
        if let Some(value) = value {
            user.insert(name.to_owned(), value.clone());
        }
    }
    let bytes: usize = user
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if bytes > METADATA_LIMIT_BYTES {
        return Err(format!(
            "user metadata is {bytes} bytes; Google allows {METADATA_LIMIT_BYTES}"
        ));
    }
    if user.keys().any(String::is_empty) {
        return Err("user metadata without a name".into());
    }
    let mut fields = Map::new();
    for (name, value) in [
        ("contentEncoding", &attributes.content_encoding),
        ("contentLanguage", &attributes.content_language),
        ("contentDisposition", &attributes.content_disposition),
        ("cacheControl", &attributes.cache_control),
        ("storageClass", &attributes.storage_class),
    ] {
        if let Some(value) = value {
            fields.insert(name.to_owned(), value.as_str().into());
        }
    }
    // Said in any case: an empty set of metadata would make a rewrite keep the source's.
    let content_type = attributes.content_type.as_deref();
    fields.insert(
        "contentType".to_owned(),
        content_type.unwrap_or(DEFAULT_CONTENT_TYPE).into(),
    );
    if !user.is_empty() {
        let user: Map<String, Value> = user
            .into_iter()
            .map(|(name, value)| (name, value.into()))
            .collect();
        fields.insert("metadata".to_owned(), user.into());
    }
    Ok(fields)
}

/// Base64 of the four bytes, big-endian, as Google writes CRC32C.
pub(super) fn encode_crc32c(crc32c: Crc32c) -> String {
    BASE64.encode(crc32c.0.to_be_bytes())
}

/// Reads [`encode_crc32c`].
pub(super) fn decode_crc32c(text: &str) -> Option<Crc32c> {
    let bytes: [u8; 4] = BASE64.decode(text.trim()).ok()?.try_into().ok()?;
    Some(Crc32c(u32::from_be_bytes(bytes)))
}

fn decode_md5(text: &str) -> Option<Md5> {
    Some(Md5(BASE64.decode(text.trim()).ok()?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(extra: Value) -> Object {
        let mut fields = serde_json::json!({"name": "k", "generation": "17", "metageneration": "2",
            "size": "9", "updated": "2026-11-21T10:00:00.123Z", "crc32c": "4waSgw==",
            "md5Hash": "JfnnlDI7RTiF9RgfG2JNCw==", "storageClass": "STANDARD"});
        for (name, value) in extra.as_object().unwrap() {
            fields[name] = value.clone();
        }
        serde_json::from_value(fields).unwrap()
    }

    #[test]
    fn an_object_is_read() {
        let head = object(serde_json::json!({})).head().unwrap();
        assert_eq!(head.version.to_string(), "17.2@17");
        assert_eq!(generations(&head.version), Some((17, 2)));
        assert_eq!(head.size, 9);
        assert_eq!(head.crc32c, Some(Crc32c::of(b"123456789")));
        assert_eq!(head.md5, Some(Md5::of(b"123456789")));
        assert_eq!(head.attributes, Attributes::default());
        assert_eq!(encode_crc32c(Crc32c::of(b"123456789")), "4waSgw==");
        for other in ["", "17", "a.b", "-1.2", "17.2.3"] {
            assert_eq!(generations(&ObjectVersion::from_etag(other)), None);
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let attributes = Attributes {
            content_type: Some("text/plain".into()),
            content_encoding: Some("gzip".into()),
            content_language: Some("de".into()),
            content_disposition: Some("attachment; filename=\"ü\"".into()),
            cache_control: Some("no-store".into()),
            expires: Some("Wed, 21 Oct 2026 07:28:00 GMT".into()),
            website_redirect: Some("/elsewhere".into()),
            storage_class: Some("NEARLINE".into()),
            user: [
                ("wide".into(), "grün ☂\n".into()),
                ("empty".into(), String::new()),
            ]
            .into(),
        };
        let written = Value::Object(metadata(&attributes).unwrap());
        assert_eq!(object(written).attributes(), attributes);
    }

    #[test]
    fn metadata_is_never_empty_and_never_too_long() {
        let none = metadata(&Attributes::default()).unwrap();
        assert_eq!(none.len(), 1, "{none:?}");
        let with = |value: usize| Attributes {
            user: [("n".to_owned(), "x".repeat(value))].into(),
            ..Attributes::default()
        };
        assert!(metadata(&with(8191)).is_ok());
        assert!(metadata(&with(8192)).unwrap_err().contains("8193"));
    }

    #[test]
    fn what_is_no_listing_is_not_taken_for_an_empty_one() {
        assert!(serde_json::from_str::<Listing>("{}").is_err());
        assert!(serde_json::from_str::<Listing>(r#"{"items":[]}"#).is_err());
        assert!(serde_json::from_str::<Object>(r#"{"name":"k","generation":"x"}"#).is_err());
    }
}
