//! Metadata, tags and content headers: from a request's headers, checked, and back.

use super::error::{self, Result, StorageError};
use super::model::ContentHeaders;
use super::request::Head;
use super::xml::{Xml, leaves};
use http::StatusCode;
use percent_encoding::percent_decode_str;
use std::collections::BTreeMap;

/// Names and values together (Set Blob Metadata).
const METADATA_LIMIT_BYTES: usize = 8 * 1024;
/// Set Blob Tags, "Request body".
const TAGS_MOST: usize = 10;
const TAG_NAME_LONGEST: usize = 128;
const TAG_VALUE_LONGEST: usize = 256;

fn bad(code: &'static str, message: &str) -> StorageError {
    StorageError::new(StatusCode::BAD_REQUEST, code, message)
}

/// `x-ms-meta-*`. HTTP's names have no case; they are kept in lower case.
pub(crate) fn metadata(head: &Head) -> Result<BTreeMap<String, String>> {
    let mut metadata = BTreeMap::new();
    let mut size = 0;
    for (name, value) in &head.headers {
        let Some(name) = name.as_str().strip_prefix("x-ms-meta-") else {
            continue;
        };
        if name.is_empty() {
            return Err(bad(
                "EmptyMetadataKey",
                "The key for one of the metadata key-value pairs is empty.",
            ));
        }
        let value = value
            .to_str()
            .ok()
            .filter(|_| is_identifier(name))
            .ok_or_else(|| {
                bad(
                    "InvalidMetadata",
                    "The metadata specified is invalid. It has characters that are not permitted.",
                )
            })?;
        let value = value.trim();
        size += name.len() + value.len();
        if metadata.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(bad("InvalidMetadata", "A metadata name is given twice."));
        }
    }
    if size > METADATA_LIMIT_BYTES {
        return Err(error::metadata_too_large());
    }
    Ok(metadata)
}

/// A C# identifier, as far as a header's name can be one.
fn is_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// `x-ms-blob-*`; with `plain`, the standard headers stand in for those that are absent (Put Blob).
pub(crate) fn content_headers(head: &Head, plain: bool) -> ContentHeaders {
    let header = |name: &str| {
        let own = head.header(&format!("x-ms-blob-{name}"));
        let standard = || head.header(name).filter(|_| plain);
        own.or_else(standard).map(str::to_owned)
    };
    ContentHeaders {
        content_type: header("content-type"),
        content_encoding: header("content-encoding"),
        content_language: header("content-language"),
        content_disposition: head
            .header("x-ms-blob-content-disposition")
            .map(str::to_owned),
        cache_control: header("cache-control"),
        content_md5: head.header("x-ms-blob-content-md5").map(str::to_owned),
    }
}

/// Whether Set Blob Properties is told any content header at all.
pub(crate) fn names_content_headers(head: &Head) -> bool {
    [
        "cache-control",
        "content-type",
        "content-md5",
        "content-encoding",
        "content-language",
        "content-disposition",
    ]
    .iter()
    .any(|name| head.headers.contains_key(format!("x-ms-blob-{name}")))
}

/// `x-ms-tags`, form-encoded.
pub(crate) fn tags_header(head: &Head) -> Result<BTreeMap<String, String>> {
    let decode = |text: &str| {
        percent_decode_str(&text.replace('+', " "))
            .decode_utf8_lossy()
            .into_owned()
    };
    let pairs = head
        .header("x-ms-tags")
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        });
    checked_tags(pairs)
}

/// The body of Set Blob Tags.
pub(crate) fn tags_body(body: &[u8]) -> Result<BTreeMap<String, String>> {
    let (mut pairs, mut name) = (Vec::new(), None);
    for (path, text) in leaves(body)? {
        match path.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["Tags", "TagSet", "Tag", "Key"] => name = Some(text),
            ["Tags", "TagSet", "Tag", "Value"] => {
                let name = name.take().ok_or_else(error::invalid_xml)?;
                pairs.push((name, text));
            }
            ["Tags", "TagSet"] | ["Tags"] => {}
            _ => return Err(error::invalid_xml()),
        }
    }
    if name.is_some() {
        return Err(error::invalid_xml());
    }
    checked_tags(pairs.into_iter())
}

fn checked_tags(pairs: impl Iterator<Item = (String, String)>) -> Result<BTreeMap<String, String>> {
    let mut tags = BTreeMap::new();
    let allowed = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b" +-./:=_".contains(&byte))
    };
    for (name, value) in pairs {
        if name.is_empty() {
            return Err(bad(
                "EmptyTagName",
                "The name of one of the tag key-value pairs is empty.",
            ));
        }
        if name.len() > TAG_NAME_LONGEST
            || value.len() > TAG_VALUE_LONGEST
            || !allowed(&name)
            || !allowed(&value)
        {
            return Err(bad(
                "InvalidTag",
                "The tags specified are invalid. They contain characters that are not permitted, or are too long.",
            ));
        }
        if tags.insert(name, value).is_some() {
            return Err(bad(
                "DuplicateTagNames",
                "The tags specified contain duplicate names.",
            ));
        }
    }
    if tags.len() > TAGS_MOST {
        return Err(bad(
            "TagsTooLarge",
            "The tags specified exceed the maximum number of 10.",
        ));
    }
    Ok(tags)
}

/// The `Tags` element of Get Blob Tags and of listings.
pub(crate) fn write_tags(xml: &mut Xml, tags: &BTreeMap<String, String>) {
    xml.open("Tags").open("TagSet");
    for (name, value) in tags {
        xml.open("Tag")
            .element("Key", name)
            .element("Value", value)
            .close("Tag");
    }
    xml.close("TagSet").close("Tags");
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderName, HeaderValue, Method};

    fn head(headers: &[(&str, &str)]) -> Head {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        Head::new(&Method::PUT, &"/a/c/b".parse().unwrap(), &map).unwrap()
    }

    fn refused(headers: &[(&str, &str)]) -> &'static str {
        metadata(&head(headers)).unwrap_err().code
    }

    #[test]
    fn metadata_names_are_identifiers_and_the_whole_is_limited() {
        let good = metadata(&head(&[("x-ms-meta-a_1", " v "), ("X-Ms-Meta-B", "")])).unwrap();
        assert_eq!(good["a_1"], "v");
        assert_eq!(good["b"], "");
        assert_eq!(refused(&[("x-ms-meta-a-b", "v")]), "InvalidMetadata");
        assert_eq!(refused(&[("x-ms-meta-1a", "v")]), "InvalidMetadata");
        assert_eq!(refused(&[("x-ms-meta-a", "é")]), "InvalidMetadata");
        assert_eq!(
            refused(&[("x-ms-meta-a", "1"), ("x-ms-meta-a", "2")]),
            "InvalidMetadata"
        );
        let longest = "v".repeat(METADATA_LIMIT_BYTES - 1);
        assert!(metadata(&head(&[("x-ms-meta-a", &longest)])).is_ok());
        assert_eq!(refused(&[("x-ms-meta-ab", &longest)]), "MetadataTooLarge");
    }

    #[test]
    fn tags_come_in_two_forms_and_go_back() {
        let tags = tags_header(&head(&[("x-ms-tags", "a=1&b%20c=x%2Fy&d=")])).unwrap();
        assert_eq!(tags["b c"], "x/y");
        let mut xml = Xml::document();
        write_tags(&mut xml, &tags);
        assert_eq!(tags_body(xml.finish().as_bytes()).unwrap(), tags);
        let code = |text: &str| tags_header(&head(&[("x-ms-tags", text)])).unwrap_err().code;
        assert_eq!(code("a=1&a=2"), "DuplicateTagNames");
        assert_eq!(code("=1"), "EmptyTagName");
        assert_eq!(code("a=%21"), "InvalidTag");
        let many: Vec<String> = (0..11).map(|number| format!("t{number}=1")).collect();
        assert_eq!(code(&many.join("&")), "TagsTooLarge");
        assert!(tags_body(b"<Tags><TagSet><Tag><Key>a</Key></Tag></TagSet></Tags>").is_err());
    }
}
