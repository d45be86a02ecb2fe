//! Objects as the JSON API states them, and what clients say about the objects they write.
//!
//! Source: <https://cloud.google.com/storage/docs/json_api/v1/objects#resource>.

use super::error::{Failure, Result};
use super::names::check_metadata;
use crate::store::{Generation, GoogleObject};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};
use skyfresh_sky::{Attributes, Timestamp};
use std::collections::BTreeMap;

/// What stays as it is in one segment of a URL's path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

const STORAGE_CLASSES: [&str; 7] = [
    "STANDARD",
    "NEARLINE",
    "COLDLINE",
    "ARCHIVE",
    "MULTI_REGIONAL",
    "REGIONAL",
    "DURABLE_REDUCED_AVAILABILITY",
];

pub(crate) fn check_storage_class(class: &str) -> Result<()> {
    if STORAGE_CLASSES.contains(&class) {
        return Ok(());
    }
    Err(Failure::new(
        http::StatusCode::BAD_REQUEST,
        "invalid",
        "InvalidStorageClass",
        format!("The specified storage class is not valid: {class:?}"),
    ))
}

pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

fn varint(mut value: u64, bytes: &mut Vec<u8>) {
    while value >= 0x80 {
        bytes.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Changes with the generation and with the metageneration.
pub(crate) fn etag(generation: u64, metageneration: u64) -> String {
    let mut bytes = vec![0x08];
    varint(generation, &mut bytes);
    bytes.push(0x10);
    varint(metageneration, &mut bytes);
    BASE64.encode(bytes)
}

/// The `ETag` header: the MD5 where there is one.
pub(crate) fn header_etag(generation: &Generation) -> String {
    let google = generation.google();
    match &google.md5 {
        Some(_) => format!("\"{}\"", generation.object.meta.etag),
        None => format!("\"-{}\"", etag(generation.number, google.metageneration)),
    }
}

/// An object resource. `base` is `http://host`.
pub(crate) fn object(base: &str, bucket: &str, key: &str, generation: &Generation) -> Value {
    let (meta, google) = (&generation.object.meta, generation.google());
    let attributes = &meta.attributes;
    let number = generation.number;
    let path = format!("storage/v1/b/{}/o/{}", segment(bucket), segment(key));
    let created = generation.created.to_string();
    let mut resource = json!({
        "kind": "storage#object",
        "id": format!("{bucket}/{key}/{number}"),
        "selfLink": format!("{base}/{path}"),
        "mediaLink": format!("{base}/download/{path}?generation={number}&alt=media"),
        "name": key,
        "bucket": bucket,
        "generation": number.to_string(),
        "metageneration": google.metageneration.to_string(),
        "storageClass": attributes.storage_class.as_deref().unwrap_or("STANDARD"),
        "size": meta.size.to_string(),
        "crc32c": google.crc32c,
        "etag": etag(number, google.metageneration),
        "timeCreated": created,
        "updated": Timestamp::from_unix_ms(google.updated_unix_ms).to_string(),
        "timeStorageClassUpdated": created,
        "timeFinalized": created,
    });
    let optional = [
        ("contentType", &attributes.content_type),
        ("contentEncoding", &attributes.content_encoding),
        ("contentLanguage", &attributes.content_language),
        ("contentDisposition", &attributes.content_disposition),
        ("cacheControl", &attributes.cache_control),
        ("customTime", &google.custom_time),
        ("md5Hash", &google.md5),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            resource[name] = json!(value);
        }
    }
    if !attributes.user.is_empty() {
        resource["metadata"] = json!(attributes.user);
    }
    if let Some(count) = google.component_count {
        resource["componentCount"] = json!(count);
    }
    if let Some(archived) = google.archived_unix_ms {
        resource["timeDeleted"] = json!(Timestamp::from_unix_ms(archived).to_string());
    }
    resource
}

/// What a client says about an object that it writes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    pub(crate) name: Option<String>,
    pub(crate) attributes: Attributes,
    pub(crate) custom_time: Option<String>,
    pub(crate) hashes: Hashes,
}

/// Checksums that a client says its bytes have, in base64.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hashes {
    pub(crate) md5: Option<String>,
    pub(crate) crc32c: Option<String>,
}

impl Hashes {
    /// Adds those of `x-goog-hash` headers (`crc32c=…,md5=…`) and of `Content-MD5`.
    pub(crate) fn add_headers(&mut self, headers: &http::HeaderMap) {
        for value in headers.get_all("x-goog-hash") {
            for part in value.to_str().unwrap_or_default().split(',') {
                match part.trim().split_once('=') {
                    Some(("crc32c", value)) => self.crc32c = Some(value.to_owned()),
                    Some(("md5", value)) => self.md5 = Some(value.to_owned()),
                    _ => {}
                }
            }
        }
        if let Some(md5) = super::request::header(headers, "content-md5") {
            self.md5 = Some(md5.to_owned());
        }
    }

    /// Against what was computed, both in base64.
    pub(crate) fn check(&self, md5: Option<&str>, crc32c: &str) -> Result<()> {
        let bad = |name: &str, given: &str, found: &str| {
            Err(Failure::new(
                http::StatusCode::BAD_REQUEST,
                "invalid",
                "BadDigest",
                format!("Provided {name} \"{given}\" doesn't match calculated {name} \"{found}\"."),
            ))
        };
        if let (Some(given), Some(found)) = (&self.md5, md5)
            && given != found
        {
            return bad("MD5 hash", given, found);
        }
        if let Some(given) = &self.crc32c
            && given != crc32c
        {
            return bad("CRC32C", given, crc32c);
        }
        Ok(())
    }
}

impl Given {
    /// From an object resource.
    pub(crate) fn parse(resource: &Value) -> Result<Self> {
        let map = fields(resource)?;
        let mut given = Given {
            name: text(map, "name")?,
            hashes: Hashes {
                md5: text(map, "md5Hash")?,
                crc32c: text(map, "crc32c")?,
            },
            ..Given::default()
        };
        apply(map, &mut given.attributes, &mut given.custom_time)?;
        Ok(given)
    }
}

/// The fields of a resource; an absent body has none.
pub(crate) fn fields(resource: &Value) -> Result<&Map<String, Value>> {
    static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    match resource {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(&NONE),
        _ => Err(Failure::invalid("Expected a JSON object.")),
    }
}

pub(crate) fn text(map: &Map<String, Value>, name: &str) -> Result<Option<String>> {
    match map.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Failure::invalid(format!("Invalid value for field {name}"))),
    }
}

/// Applies the fields that are named: null removes one, metadata is merged name by name.
fn apply(
    map: &Map<String, Value>,
    attributes: &mut Attributes,
    custom_time: &mut Option<String>,
) -> Result<()> {
    let slots = [
        ("contentType", &mut attributes.content_type),
        ("contentEncoding", &mut attributes.content_encoding),
        ("contentLanguage", &mut attributes.content_language),
        ("contentDisposition", &mut attributes.content_disposition),
        ("cacheControl", &mut attributes.cache_control),
    ];
    for (name, slot) in slots {
        if map.contains_key(name) {
            *slot = text(map, name)?.filter(|value| !value.is_empty());
        }
    }
    if let Some(class) = text(map, "storageClass")? {
        check_storage_class(&class)?;
        attributes.storage_class = Some(class);
    }
    if map.contains_key("customTime") {
        let time = text(map, "customTime")?;
        if let Some(time) = &time {
            Timestamp::parse(time).map_err(|error| Failure::invalid(error.to_string()))?;
        }
        *custom_time = time;
    }
    match map.get("metadata") {
        None => {}
        Some(Value::Null) => attributes.user.clear(),
        Some(Value::Object(metadata)) => {
            for (name, value) in metadata {
                match value {
                    Value::Null => {
                        attributes.user.remove(name);
                    }
                    Value::String(value) => {
                        attributes.user.insert(name.clone(), value.clone());
                    }
                    _ => {
                        return Err(Failure::invalid(format!(
                            "Invalid value for metadata {name:?}"
                        )));
                    }
                }
            }
        }
        Some(_) => return Err(Failure::invalid("Invalid value for field metadata")),
    }
    check_metadata(attributes)
}

/// Changes an object's metadata: PATCH changes what is named, PUT replaces all that can be changed.
pub(crate) fn change(
    resource: &Value,
    replace_all: bool,
    attributes: &mut Attributes,
    google: &mut GoogleObject,
) -> Result<()> {
    let map = fields(resource)?;
    let class = attributes.storage_class.clone();
    if let Some(wanted) = text(map, "storageClass")?
        && Some(&wanted) != class.as_ref()
    {
        return Err(Failure::invalid(
            "The storage class of an object is changed by rewriting it.",
        ));
    }
    if replace_all {
        *attributes = Attributes {
            user: BTreeMap::new(),
            storage_class: class,
            ..Attributes::default()
        };
    }
    apply(map, attributes, &mut google.custom_time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_merges_and_an_update_replaces() {
        let given = Given::parse(&json!({
            "contentType": "a/b", "cacheControl": "no-cache", "metadata": {"a": "1", "b": "2"},
        }))
        .unwrap();
        let (mut attributes, mut google) = (given.attributes, GoogleObject::default());
        let patch = json!({ "cacheControl": null, "metadata": {"a": null, "c": "3"} });
        change(&patch, false, &mut attributes, &mut google).unwrap();
        assert_eq!(attributes.content_type.as_deref(), Some("a/b"));
        assert_eq!(attributes.cache_control, None);
        let names: Vec<&String> = attributes.user.keys().collect();
        assert_eq!(names, ["b", "c"]);
        change(
            &json!({"metadata": {"z": "9"}}),
            true,
            &mut attributes,
            &mut google,
        )
        .unwrap();
        assert_eq!((attributes.content_type, attributes.user.len()), (None, 1));
        let large = json!({ "metadata": {"n": "v".repeat(8 * 1024)} });
        assert!(Given::parse(&large).is_err());
        assert!(Given::parse(&json!({"metadata": {"n": 1}})).is_err());
    }

    #[test]
    fn the_etag_is_a_message_of_two_numbers() {
        assert_eq!(etag(1, 1), BASE64.encode([8, 1, 16, 1]));
        assert_ne!(
            etag(1_700_000_000_000_000, 1),
            etag(1_700_000_000_000_000, 2)
        );
    }
}
