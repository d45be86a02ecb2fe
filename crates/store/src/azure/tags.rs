//! Object tags, which Azure calls blob index tags: at most 10, of letters, digits, space and `+ - . / : = _`
//! (<https://learn.microsoft.com/rest/api/storageservices/set-blob-tags>).

use super::request::Call;
use super::{AzureStore, xml};
use crate::Result;
use crate::checksum::Md5;
use crate::http::set;
use http::Method;
use skyfresh_sky::Kind;
use std::collections::BTreeMap;

const MOST_TAGS: usize = 10;
const NAME_LIMIT: usize = 128;
const VALUE_LIMIT: usize = 256;

/// Why Azure would not take these tags.
fn refused_tags(tags: &BTreeMap<String, String>) -> Option<String> {
    if tags.len() > MOST_TAGS {
        return Some(format!(
            "{} tags are more than the {MOST_TAGS} that Azure takes",
            tags.len()
        ));
    }
    let allowed = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b" +-./:=_".contains(&b))
    };
    tags.iter().find_map(|(name, value)| {
        if name.is_empty() || name.len() > NAME_LIMIT || value.len() > VALUE_LIMIT {
            return Some(format!("the tag {name:?} is too long: {NAME_LIMIT} characters name one, {VALUE_LIMIT} are its value"));
        }
        (!allowed(name) || !allowed(value))
            .then(|| format!("the tag {name:?} holds a character that Azure does not take: letters, digits, space and + - . / : = _"))
    })
}

impl AzureStore {
    pub(super) async fn read_tags(&self, full_key: &str) -> Result<BTreeMap<String, String>> {
        let operation = "tags";
        let answer = self
            .call(Call::new(
                operation,
                Method::GET,
                Some(full_key),
                "comp=tags",
            ))
            .await?;
        let root = self.document(operation, full_key, &answer.body)?;
        let tags = root
            .child("TagSet")
            .into_iter()
            .flat_map(|set| set.children("Tag"));
        Ok(tags
            .filter_map(|tag| {
                Some((
                    tag.text("Key")?.to_owned(),
                    tag.text("Value").unwrap_or_default().to_owned(),
                ))
            })
            .collect())
    }

    pub(super) async fn write_tags(
        &self,
        full_key: &str,
        tags: &BTreeMap<String, String>,
    ) -> Result<()> {
        let operation = "set tags";
        let invalid = |why| self.failed(Kind::Invalid, operation, full_key, why);
        if let Some(why) = refused_tags(tags) {
            return Err(invalid(why));
        }
        let mut document = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?><Tags><TagSet>");
        for (name, value) in tags {
            let (name, value) = (xml::escape(name), xml::escape(value));
            document.push_str(&format!(
                "<Tag><Key>{name}</Key><Value>{value}</Value></Tag>"
            ));
        }
        document.push_str("</TagSet></Tags>");
        let mut call = Call::new(operation, Method::PUT, Some(full_key), "comp=tags");
        let md5 = super::attributes::encode_md5(Md5::of(document.as_bytes()).0);
        set(&mut call.headers, "content-md5", &md5)
            .and_then(|()| set(&mut call.headers, "content-type", "application/xml"))
            .map_err(invalid)?;
        self.call(call.body(document)).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_azure_takes_is_sent() {
        let tags = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        assert_eq!(
            refused_tags(&tags(&[("with space", "a+b=c:d/e-f._"), ("empty", "")])),
            None
        );
        for (refused, why) in [
            (tags(&[("a", "ü")]), "character"),
            (tags(&[("a@", "x")]), "character"),
            (tags(&[("", "x")]), "too long"),
            (tags(&[("a", &"x".repeat(257))]), "too long"),
        ] {
            assert!(refused_tags(&refused).is_some_and(|said| said.contains(why)));
        }
        let many: BTreeMap<String, String> =
            (0..11).map(|i| (i.to_string(), String::new())).collect();
        assert!(refused_tags(&many).is_some());
    }
}
