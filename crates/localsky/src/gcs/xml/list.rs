//! Listing objects: both versions of S3's listing, with generations.
//!
//! Source: <https://cloud.google.com/storage/docs/xml-api/get-bucket-list>.

use super::super::answer::Answer;
use super::super::error::Result;
use super::super::list::{Line, Listing, PageToken, page};
use super::super::resource::{header_etag, segment};
use super::super::{Context, Frontend, conditions};
use super::{LISTING_NAMESPACE, document, element};
use crate::store::Bucket;

impl Frontend {
    pub(super) fn xml_list(&self, context: &Context, bucket: &Bucket) -> Result<Answer> {
        let query = &context.query;
        let text = |name: &str| query.get(name).unwrap_or_default().to_owned();
        let second = query.get("list-type") == Some("2");
        let url_encoded = query.get("encoding-type") == Some("url");
        let shown = |key: &str| {
            if url_encoded {
                segment(key)
            } else {
                key.to_owned()
            }
        };
        let asked = query
            .get(if second {
                "continuation-token"
            } else {
                "marker"
            })
            .or(query.get("start-after").filter(|_| second))
            .filter(|value| !value.is_empty());
        let token = asked.map(PageToken::decode);
        let limit = conditions::number("max-keys", query.get("max-keys"))?
            .unwrap_or(1_000)
            .min(1_000) as usize;
        let listing = Listing {
            prefix: text("prefix"),
            delimiter: text("delimiter"),
            after: token.as_ref().map(PageToken::after),
            limit,
            ..Listing::default()
        };
        let (lines, next) = page(&bucket.lock(), &listing);
        let mut inner = String::new();
        inner += &element("Name", &bucket.name);
        inner += &element("Prefix", &shown(&listing.prefix));
        if !listing.delimiter.is_empty() {
            inner += &element("Delimiter", &shown(&listing.delimiter));
        }
        inner += &element("MaxKeys", &limit.to_string());
        if url_encoded {
            inner += &element("EncodingType", "url");
        }
        inner += &element("IsTruncated", &next.is_some().to_string());
        if second {
            inner += &element("KeyCount", &lines.len().to_string());
        }
        if let Some(next) = next {
            if second {
                let token = PageToken::next(token.as_ref(), next);
                inner += &element("NextContinuationToken", &token);
            } else {
                inner += &element("NextMarker", &shown(next.name()));
            }
        }
        for line in lines {
            inner += &match line {
                Line::Prefix(prefix) => format!(
                    "<CommonPrefixes>{}</CommonPrefixes>",
                    element("Prefix", &shown(&prefix))
                ),
                Line::Object(key, found) => {
                    let meta = &found.object.meta;
                    let class = meta.attributes.storage_class.as_deref();
                    format!(
                        "<Contents>{}{}{}{}{}{}{}</Contents>",
                        element("Key", &shown(&key)),
                        element("Generation", &found.number.to_string()),
                        element("MetaGeneration", &found.google().metageneration.to_string()),
                        element("LastModified", &found.created.to_string()),
                        element("ETag", &header_etag(&found)),
                        element("Size", &meta.size.to_string()),
                        element("StorageClass", class.unwrap_or("STANDARD")),
                    )
                }
            };
        }
        Ok(document("ListBucketResult", LISTING_NAMESPACE, &inner))
    }
}
