//! The XML documents of the protocol: the few fields we use, everything else ignored.
//!
//! Bodies are limited before they come here, and no entities but XML's own are expanded, so a hostile document costs at most
//! its own size.

use serde::{Deserialize, Serialize};

/// Longest document that is read. A page of 1,000 keys of 1,024 bytes, all of them percent-encoded, is 3.5 MB.
pub(crate) const DOCUMENT_LIMIT_BYTES: usize = 16 << 20;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct ErrorBody {
    pub(crate) code: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) region: Option<String>,
}

/// An error document; empty where it is none.
pub(crate) fn error_body(body: &[u8]) -> ErrorBody {
    parse(body).unwrap_or_default()
}

/// Whether a document that came with a status of success is an error all the same, as long operations may answer.
pub(crate) fn is_error(body: &[u8]) -> bool {
    let mut rest = body.trim_ascii_start();
    if rest.starts_with(b"<?") {
        let end = rest.windows(2).position(|pair| pair == b"?>");
        rest = end
            .map_or(&[][..], |end| &rest[end + 2..])
            .trim_ascii_start();
    }
    rest.strip_prefix(b"<Error").is_some_and(|rest| {
        rest.first()
            .is_some_and(|next| matches!(next, b'>' | b' ' | b'/' | b'\t' | b'\r' | b'\n'))
    })
}

/// Parses a document.
///
/// # Errors
/// It is not UTF-8, not well-formed, or lacks a field.
pub(crate) fn parse<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, String> {
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    quick_xml::de::from_str(text.trim_start()).map_err(|error| error.to_string())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListBucketResult {
    pub(crate) is_truncated: bool,
    #[serde(default)]
    pub(crate) encoding_type: Option<String>,
    #[serde(default)]
    pub(crate) contents: Vec<ListedContent>,
    /// With a delimiter only.
    #[serde(default)]
    pub(crate) common_prefixes: Vec<CommonPrefix>,
    #[serde(default)]
    pub(crate) next_continuation_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CommonPrefix {
    pub(crate) prefix: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListedContent {
    pub(crate) key: String,
    pub(crate) size: u64,
    #[serde(rename = "ETag", default)]
    pub(crate) etag: String,
    pub(crate) last_modified: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListMultipartUploadsResult {
    pub(crate) is_truncated: bool,
    #[serde(default)]
    pub(crate) encoding_type: Option<String>,
    #[serde(default)]
    pub(crate) next_key_marker: Option<String>,
    #[serde(default)]
    pub(crate) next_upload_id_marker: Option<String>,
    #[serde(default, rename = "Upload")]
    pub(crate) uploads: Vec<ListedMultipartUpload>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListedMultipartUpload {
    pub(crate) key: String,
    pub(crate) upload_id: String,
    pub(crate) initiated: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListPartsResult {
    #[serde(default)]
    pub(crate) is_truncated: bool,
    #[serde(default)]
    pub(crate) next_part_number_marker: Option<u32>,
    #[serde(default, rename = "Part")]
    pub(crate) parts: Vec<HeldPart>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct HeldPart {
    pub(crate) part_number: u32,
    /// Left out by servers that do not know it (s3s-fs).
    #[serde(rename = "ETag", default)]
    pub(crate) etag: Option<String>,
    pub(crate) size: u64,
    #[serde(default, rename = "ChecksumCRC64NVME")]
    pub(crate) checksum_crc64nvme: Option<String>,
}

/// Every version and delete marker below a prefix, for cleaning up after a probe.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListVersionsResult {
    #[serde(default, rename = "Version")]
    pub(crate) versions: Vec<ListedVersion>,
    #[serde(default, rename = "DeleteMarker")]
    pub(crate) delete_markers: Vec<ListedVersion>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListedVersion {
    pub(crate) key: String,
    pub(crate) version_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct InitiateMultipartUploadResult {
    pub(crate) upload_id: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct CompleteMultipartUploadResult {
    #[serde(rename = "ETag")]
    pub(crate) etag: String,
    #[serde(rename = "ChecksumCRC64NVME", default)]
    pub(crate) checksum_crc64nvme: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetObjectAttributesResponse {
    #[serde(rename = "ETag", default)]
    pub(crate) etag: Option<String>,
    #[serde(default)]
    pub(crate) object_parts: Option<ListedParts>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListedParts {
    #[serde(default)]
    pub(crate) is_truncated: bool,
    #[serde(default)]
    pub(crate) next_part_number_marker: Option<u32>,
    #[serde(default, rename = "Part")]
    pub(crate) parts: Vec<ListedPart>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListedPart {
    pub(crate) part_number: u32,
    pub(crate) size: u64,
    #[serde(default, rename = "ChecksumCRC64NVME")]
    crc64nvme: Option<String>,
    #[serde(default, rename = "ChecksumSHA256")]
    sha256: Option<String>,
    #[serde(default, rename = "ChecksumSHA1")]
    sha1: Option<String>,
    #[serde(default, rename = "ChecksumCRC32C")]
    crc32c: Option<String>,
    #[serde(default, rename = "ChecksumCRC32")]
    crc32: Option<String>,
}

impl ListedPart {
    /// Size and checksum; `None` where there is no checksum.
    pub(crate) fn sum(&self) -> Option<crate::PartSum> {
        let (algorithm, value) = [
            ("CRC64NVME", &self.crc64nvme),
            ("SHA256", &self.sha256),
            ("SHA1", &self.sha1),
            ("CRC32C", &self.crc32c),
            ("CRC32", &self.crc32),
        ]
        .into_iter()
        .find_map(|(algorithm, value)| Some((algorithm, value.as_ref()?)))?;
        Some(crate::PartSum {
            size: self.size,
            checksum: format!("{algorithm}:{value}"),
        })
    }
}

/// The answer to a copy of an object or of a part.
#[derive(Debug, Deserialize)]
pub(crate) struct CopyResult {
    #[serde(rename = "ETag")]
    pub(crate) etag: String,
    #[serde(rename = "ChecksumCRC64NVME", default)]
    pub(crate) checksum_crc64nvme: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct CompleteMultipartUpload {
    #[serde(rename = "Part")]
    pub(crate) parts: Vec<CompletePart>,
}

#[derive(Debug, Serialize)]
pub(crate) struct CompletePart {
    #[serde(rename = "ChecksumCRC64NVME", skip_serializing_if = "Option::is_none")]
    pub(crate) checksum_crc64nvme: Option<String>,
    #[serde(rename = "ETag")]
    pub(crate) etag: String,
    #[serde(rename = "PartNumber")]
    pub(crate) part_number: u32,
}

/// The request to delete many.
#[derive(Debug, Serialize)]
pub(crate) struct Delete {
    #[serde(rename = "Object")]
    pub(crate) objects: Vec<DeleteKey>,
}

#[derive(Debug, Serialize)]
pub(crate) struct DeleteKey {
    #[serde(rename = "ETag", skip_serializing_if = "Option::is_none")]
    pub(crate) etag: Option<String>,
    #[serde(rename = "Key")]
    pub(crate) key: String,
}

/// The answer: what became of each key, in any order.
#[derive(Debug, Deserialize)]
pub(crate) struct DeleteResult {
    #[serde(rename = "$value", default)]
    pub(crate) lines: Vec<DeleteLine>,
}

#[derive(Debug, Deserialize)]
pub(crate) enum DeleteLine {
    Deleted(DeletedKey),
    Error(RefusedKey),
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DeletedKey {
    pub(crate) key: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RefusedKey {
    #[serde(default)]
    pub(crate) key: Option<String>,
    #[serde(default)]
    pub(crate) code: Option<String>,
    #[serde(default)]
    pub(crate) message: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Tagging {
    #[serde(rename = "TagSet", default)]
    pub(crate) tag_set: TagSet,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct TagSet {
    #[serde(rename = "Tag", default)]
    pub(crate) tags: Vec<Tag>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Tag {
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) value: String,
}

/// Writes a document of ours under the name of its type.
///
/// # Errors
/// Text that XML cannot carry.
pub(crate) fn write<T: Serialize>(document: &T) -> Result<String, String> {
    quick_xml::se::to_string(document).map_err(|error| error.to_string())
}

/// Undoes `encoding-type=url`: percent-encoding, with `+` for a space.
///
/// # Errors
/// It is not encoded at all (some servers only say so), or the key is not UTF-8.
pub(crate) fn decode_key(encoded: &str) -> Result<String, String> {
    if !encoded.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!(
            "the store says that {encoded:?} is percent-encoded, but it is not"
        ));
    }
    let spaced = encoded.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| format!("the key {encoded:?} is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_read_and_a_truncated_one_is_not() {
        let whole = br#"<?xml version="1.0" encoding="UTF-8"?>
            <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix/>
            <EncodingType>url</EncodingType><KeyCount>2</KeyCount><IsTruncated>false</IsTruncated>
            <Contents><Key>a%2Fb</Key><LastModified>2026-11-21T10:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag>
            <Size>3</Size><StorageClass>STANDARD</StorageClass></Contents>
            <Contents><Key>c+d</Key><LastModified>2026-11-21T10:00:00.000Z</LastModified><ETag>"f"</ETag><Size>4</Size>
            </Contents></ListBucketResult>"#;
        let page: ListBucketResult = parse(whole).unwrap();
        assert_eq!(page.contents.len(), 2);
        assert_eq!(page.contents[0].etag, "\"e\"");
        assert_eq!(decode_key(&page.contents[1].key).unwrap(), "c d");
        assert!(
            decode_key("c d").is_err() && decode_key("é").is_err() && decode_key("%ff").is_err()
        );
        for cut in 0..whole.len() - 1 {
            assert!(
                parse::<ListBucketResult>(&whole[..cut]).is_err(),
                "cut at {cut}"
            );
        }
        assert!(parse::<ListBucketResult>(b"<ListBucketResult></ListBucketResult>").is_err());
        assert!(parse::<ListBucketResult>(b"\xff").is_err());
    }

    #[test]
    fn deletes_and_refusals_come_in_any_order() {
        let text = br#"<?xml version="1.0" encoding="UTF-8"?>
            <DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
            <Deleted><Key>a &amp; b</Key><VersionId>v</VersionId></Deleted>
            <Error><Key>c</Key><Code>AccessDenied</Code><Message>no</Message></Error>
            <Later><Key>x</Key></Later><Deleted><DeleteMarker>true</DeleteMarker><Key>d</Key></Deleted></DeleteResult>"#;
        let result: DeleteResult = parse(text).unwrap();
        let shown: Vec<String> = result
            .lines
            .iter()
            .map(|line| match line {
                DeleteLine::Deleted(deleted) => deleted.key.clone(),
                DeleteLine::Error(refused) => {
                    format!("{:?} {:?}", refused.key, refused.code)
                }
                DeleteLine::Other => "other".into(),
            })
            .collect();
        let refused = r#"Some("c") Some("AccessDenied")"#;
        assert_eq!(shown, ["a & b", refused, "other", "d"]);
        let none: DeleteResult = parse(b"<DeleteResult/>").unwrap();
        assert!(none.lines.is_empty());
        let keys = vec![DeleteKey {
            etag: Some("\"e\"".into()),
            key: "a<b".into(),
        }];
        assert_eq!(
            write(&Delete { objects: keys }).unwrap(),
            "<Delete><Object><ETag>\"e\"</ETag><Key>a&lt;b</Key></Object></Delete>"
        );
    }

    #[test]
    fn entities_are_not_expanded() {
        let bomb = br#"<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><Error><Code>&b;</Code></Error>"#;
        assert_eq!(error_body(bomb).code, None);
    }

    #[test]
    fn errors_under_success_are_seen() {
        for text in [
            "<Error><Code>X</Code></Error>",
            " \n<?xml version=\"1.0\"?>\n <Error>",
            "<Error xmlns=\"x\">",
        ] {
            assert!(is_error(text.as_bytes()), "{text}");
        }
        for text in ["", "<Errors>", "<CopyObjectResult><Error>", "<?xml <Error>"] {
            assert!(!is_error(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn documents_of_ours_have_the_field_order_and_escapes_of_the_reference() {
        let parts = vec![CompletePart {
            checksum_crc64nvme: None,
            etag: "\"a&b\"".into(),
            part_number: 1,
        }];
        assert_eq!(
            write(&CompleteMultipartUpload { parts }).unwrap(),
            "<CompleteMultipartUpload><Part><ETag>\"a&amp;b\"</ETag><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>"
        );
        let none = Tagging {
            tag_set: TagSet::default(),
        };
        let text = write(&none).unwrap();
        assert!(
            parse::<Tagging>(text.as_bytes())
                .unwrap()
                .tag_set
                .tags
                .is_empty(),
            "{text}"
        );
    }
}
