//! Object tags.

use super::attributes::set;
use super::request::Call;
use super::{S3Store, xml};
use crate::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::Method;
use md5::{Digest, Md5};
use skyfresh_sky::Kind;
use std::collections::BTreeMap;

impl S3Store {
    pub(super) async fn read_tags(&self, full_key: &str) -> Result<BTreeMap<String, String>> {
        let operation = "tags";
        let answer = match self
            .call(Call::new(
                operation,
                Method::GET,
                Some(full_key),
                "tagging=",
            ))
            .await
        {
            Err(error) if error.code.as_deref() == Some("NoSuchTagSet") => {
                return Ok(BTreeMap::new());
            }
            outcome => outcome?,
        };
        let tagging: xml::Tagging = self.document(operation, full_key, &answer.body)?;
        Ok(tagging
            .tag_set
            .tags
            .into_iter()
            .map(|tag| (tag.key, tag.value))
            .collect())
    }

    pub(super) async fn write_tags(
        &self,
        full_key: &str,
        tags: &BTreeMap<String, String>,
    ) -> Result<()> {
        let operation = "set tags";
        if tags.is_empty() {
            // Not every server reads an empty set.
            let call = Call::new(operation, Method::DELETE, Some(full_key), "tagging=");
            return self.call(call).await.map(|_| ());
        }
        let invalid = |why| self.failed(Kind::Invalid, operation, full_key, why);
        let tags = tags
            .iter()
            .map(|(key, value)| xml::Tag {
                key: key.clone(),
                value: value.clone(),
            })
            .collect();
        let body = xml::write(&xml::Tagging {
            tag_set: xml::TagSet { tags },
        })
        .map_err(invalid)?;
        let mut call = Call::new(operation, Method::PUT, Some(full_key), "tagging=");
        // The one operation here that S3 takes only with a digest of the body (API reference, `PutObjectTagging`).
        set(
            &mut call.headers,
            "content-md5",
            &BASE64.encode(Md5::digest(&body)),
        )
        .map_err(invalid)?;
        set(&mut call.headers, "content-type", "application/xml").map_err(invalid)?;
        self.call(call.body(body)).await.map(|_| ())
    }
}
