//! Listings: pages of keys in order, never a failure that looks like an empty page.

use super::endpoint::encode_query;
use super::request::Call;
use super::{S3Store, attributes, xml};
use crate::level::{DELIMITER, Fold};
use crate::{LevelPage, ListPage, ListedObject, Result};
use http::Method;
use skyfresh_sky::{Kind, Timestamp};

/// S3's largest page (API reference, `ListObjectsV2`).
const MAX_KEYS: usize = 1000;

impl S3Store {
    pub(super) async fn page_of_objects(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ListPage> {
        let operation = "list";
        let prefix = &self.location.prefix;
        let limit = limit.clamp(1, MAX_KEYS);
        let mut query = format!(
            "encoding-type=url&list-type=2&max-keys={limit}&prefix={}",
            encode_query(prefix)
        );
        let start_after = after.map(|after| format!("{prefix}{after}"));
        if let Some(start_after) = &start_after {
            query = format!("{query}&start-after={}", encode_query(start_after));
        }
        let answer = self
            .call(Call::new(operation, Method::GET, None, query))
            .await?;
        let result: xml::ListBucketResult = self.document(operation, "", &answer.body)?;
        page(result, prefix, start_after)
            .map_err(|why| self.failed(Kind::RetryAfter, operation, prefix, why))
    }

    /// A page of one level. Goes on by the store's own token: where a listing starts that is told to start after a common prefix,
    /// servers disagree.
    pub(super) async fn page_of_level(
        &self,
        token: Option<&str>,
        limit: usize,
    ) -> Result<LevelPage> {
        let operation = "list";
        let prefix = &self.location.prefix;
        let limit = limit.clamp(1, MAX_KEYS);
        // In the order of names, as signatures have it.
        let token_query = token.map_or_else(String::new, |token| {
            format!("continuation-token={}&", encode_query(token))
        });
        let query = format!(
            "{token_query}delimiter={}&encoding-type=url&list-type=2&max-keys={limit}&prefix={}",
            encode_query(DELIMITER),
            encode_query(prefix)
        );
        let answer = self
            .call(Call::new(operation, Method::GET, None, query))
            .await?;
        let result: xml::ListBucketResult = self.document(operation, "", &answer.body)?;
        level(result, prefix, token)
            .map_err(|why| self.failed(Kind::RetryAfter, operation, prefix, why))
    }
}

/// Checks a page of a level against what was asked, and turns its keys into ours.
fn level(
    result: xml::ListBucketResult,
    prefix: &str,
    token: Option<&str>,
) -> Result<LevelPage, String> {
    let encoded = result.encoding_type.as_deref() == Some("url");
    let name = |listed: String| match encoded {
        true => xml::decode_key(&listed),
        false => Ok(listed),
    };
    let next = result
        .next_continuation_token
        .filter(|_| result.is_truncated);
    if result.is_truncated && next.is_none() {
        return Err("the store says that there is more but not how to go on".into());
    }
    if next.is_some() && next.as_deref() == token {
        return Err("the listing does not advance".into());
    }
    let mut fold = Fold::new(prefix);
    for listed in result.contents {
        let modified = Timestamp::parse(&listed.last_modified).map_err(|why| why.to_string())?;
        let etag = attributes::unquote(&listed.etag);
        fold.object(name(listed.key)?, listed.size, etag, modified)?;
    }
    for common in result.common_prefixes {
        fold.common_prefix(&name(common.prefix)?)?;
    }
    Ok(fold.finish(next))
}

/// Checks a page against what was asked, and turns its keys into ours.
fn page(
    result: xml::ListBucketResult,
    prefix: &str,
    mut previous: Option<String>,
) -> Result<ListPage, String> {
    let encoded = result.encoding_type.as_deref() == Some("url");
    let mut page = ListPage {
        objects: Vec::with_capacity(result.contents.len()),
        ..ListPage::default()
    };
    if result.is_truncated && result.contents.is_empty() {
        return Err("the store says that there is more but lists nothing".into());
    }
    for listed in result.contents {
        let full = if encoded {
            xml::decode_key(&listed.key)?
        } else {
            listed.key
        };
        let Some(rest) = full.strip_prefix(prefix) else {
            return Err(format!(
                "the listing holds {full:?}, which is not below {prefix:?}"
            ));
        };
        if previous.as_ref().is_some_and(|previous| *previous >= full) {
            return Err(format!("the listing is not in ascending order at {full:?}"));
        }
        match skyfresh_sky::ObjectKey::new(rest) {
            Ok(key) => page.objects.push(ListedObject {
                key,
                size: listed.size,
                etag: attributes::unquote(&listed.etag),
                modified: Timestamp::parse(&listed.last_modified).map_err(|why| why.to_string())?,
            }),
            Err(_) => page.unusable.push(full.clone()),
        }
        previous = Some(full);
    }
    page.next = previous
        .filter(|_| result.is_truncated)
        .map(|last| last.strip_prefix(prefix).unwrap_or_default().to_owned());
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(keys: &[&str], is_truncated: bool) -> xml::ListBucketResult {
        let contents = keys
            .iter()
            .map(|key| xml::ListedContent {
                key: (*key).to_owned(),
                size: 1,
                etag: "\"e\"".into(),
                last_modified: "2026-11-21T10:00:00.000Z".into(),
            })
            .collect();
        xml::ListBucketResult {
            is_truncated,
            encoding_type: Some("url".into()),
            contents,
            common_prefixes: Vec::new(),
            next_continuation_token: None,
        }
    }

    #[test]
    fn a_level_goes_on_by_the_stores_token() {
        let with = |token: Option<&str>| xml::ListBucketResult {
            common_prefixes: vec![xml::CommonPrefix {
                prefix: "p/a+b/".into(),
            }],
            next_continuation_token: token.map(str::to_owned),
            ..result(&["p/%C3%A9"], true)
        };
        let page = level(with(Some("2")), "p/", Some("1")).unwrap();
        assert_eq!(page.objects[0].key.as_str(), "é");
        assert_eq!(page.prefixes, ["a b/"]);
        assert_eq!(page.next.as_deref(), Some("2"));
        for (page, why) in [
            (level(with(None), "p/", None), "not how to go on"),
            (level(with(Some("1")), "p/", Some("1")), "not advance"),
            (level(with(Some("1")), "q/", None), "not below"),
        ] {
            let error = page.unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        let last = xml::ListBucketResult {
            is_truncated: false,
            ..with(Some("stray"))
        };
        assert_eq!(level(last, "p/", None).unwrap().next, None);
    }

    #[test]
    fn a_page_goes_on_after_its_last_key() {
        let listed = page(
            result(&["p/", "p/a+b", "p/%C3%A9"], true),
            "p/",
            Some("p".into()),
        )
        .unwrap();
        let keys: Vec<&str> = listed
            .objects
            .iter()
            .map(|object| object.key.as_str())
            .collect();
        assert_eq!(keys, ["a b", "é"]);
        assert_eq!(
            listed.unusable,
            ["p/"],
            "the bare prefix is no key below it"
        );
        assert_eq!(listed.next.as_deref(), Some("é"));
        assert_eq!(
            page(result(&["p/a"], false), "p/", None).unwrap().next,
            None
        );
    }

    #[test]
    fn a_listing_that_cannot_be_right_is_an_error() {
        for (listing, previous, why) in [
            (result(&[], true), None, "lists nothing"),
            (result(&["q"], false), None, "not below"),
            (result(&["p/b", "p/a"], false), None, "ascending"),
            (result(&["p/a", "p/a"], false), None, "ascending"),
            (result(&["p/a"], false), Some("p/a".to_owned()), "ascending"),
            (result(&["p/%FF"], false), None, "UTF-8"),
        ] {
            let error = page(listing, "p/", previous).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
