//! Listings: pages of names in order, never a failure that looks like an empty page.

use super::GcsStore;
use super::endpoint::add;
use super::names::is_temporary_name;
use super::request::Call;
use super::resource::{Listing, Object};
use crate::level::{DELIMITER, Fold};
use crate::{LevelPage, ListPage, ListedObject, Result};
use http::Method;
use skyfresh_sky::{Kind, ObjectKey};

/// Google's largest page (<https://cloud.google.com/storage/docs/json_api/v1/objects/list>).
const MAX_RESULTS: usize = 1000;
const FIELDS: &str = "kind,nextPageToken,prefixes,items(name,generation,metageneration,size,updated,timeCreated,metadata)";

impl GcsStore {
    /// One page as Google gives it; `parameters` narrow it down.
    pub(super) async fn objects_page(
        &self,
        operation: &'static str,
        limit: usize,
        parameters: &[(&str, &str)],
    ) -> Result<Listing> {
        let mut query = String::new();
        add(&mut query, "fields", FIELDS);
        add(&mut query, "maxResults", &limit.to_string());
        let has_prefix = parameters.iter().any(|(name, _)| *name == "prefix");
        if !has_prefix && !self.location.prefix.is_empty() {
            // Rights may be given on a prefix alone.
            add(&mut query, "prefix", &self.location.prefix);
        }
        for (name, value) in parameters {
            add(&mut query, name, value);
        }
        let url = self.endpoint.objects(&query);
        let answer = match self.call(Call::new(operation, Method::GET, "", url)).await {
            // Nothing else can be missing here.
            Err(error) if error.kind == Kind::Missing => {
                return Err(error.with_code(super::error::NO_SUCH_BUCKET));
            }
            answer => answer?,
        };
        let page: Listing = self.document(operation, "", &answer.body)?;
        if page.kind != Listing::KIND {
            let why = format!("the answer is a {:?}, not a listing", page.kind);
            return Err(self.failed(Kind::RetryAfter, operation, "", why));
        }
        Ok(page)
    }

    pub(super) async fn page_of_objects(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ListPage> {
        let operation = "list";
        let limit = limit.clamp(1, MAX_RESULTS);
        let mut collected = Collected::new(&self.location.prefix, after, limit);
        let start = collected.previous.clone();
        let mut token: Option<String> = None;
        loop {
            let mut parameters = Vec::new();
            if let Some(start) = &start {
                parameters.push(("startOffset", start.as_str()));
            }
            if let Some(token) = &token {
                parameters.push(("pageToken", token.as_str()));
            }
            // `startOffset` itself may be listed, and is not wanted.
            let asked = (limit + 1).min(MAX_RESULTS);
            let page = self.objects_page(operation, asked, &parameters).await?;
            let beyond = collected
                .take(page.items)
                .map_err(|why| self.failed(Kind::RetryAfter, operation, "", why))?;
            if page.next_page_token.is_some() && page.next_page_token == token {
                let why = "the listing does not advance";
                return Err(self.failed(Kind::RetryAfter, operation, "", why));
            }
            token = page.next_page_token;
            if beyond || token.is_none() || collected.is_full() {
                return Ok(collected.finish(beyond || token.is_some()));
            }
        }
    }
}

impl GcsStore {
    /// A page of one level, as Google folds it. Our own temporary objects are left out (where a common prefix has nothing else
    /// below it, it is listed all the same).
    pub(super) async fn page_of_level(
        &self,
        token: Option<&str>,
        limit: usize,
    ) -> Result<LevelPage> {
        let operation = "list";
        let mut parameters = vec![("delimiter", DELIMITER)];
        if let Some(token) = token {
            parameters.push(("pageToken", token));
        }
        let limit = limit.clamp(1, MAX_RESULTS);
        let page = self.objects_page(operation, limit, &parameters).await?;
        level(page, &self.location.prefix, token)
            .map_err(|why| self.failed(Kind::RetryAfter, operation, "", why))
    }
}

/// Checks a page of a level against what was asked, and turns its names into keys.
fn level(page: Listing, prefix: &str, token: Option<&str>) -> Result<LevelPage, String> {
    if page.next_page_token.is_some() && page.next_page_token.as_deref() == token {
        return Err("the listing does not advance".into());
    }
    let mut fold = Fold::new(prefix);
    for object in page.items {
        if is_temporary_name(&object.name) {
            continue;
        }
        let (etag, modified) = (object.version().etag, object.modified()?);
        fold.object(object.name, object.size, etag, modified)?;
    }
    for common in page.prefixes {
        if !is_temporary_name(&common) {
            fold.common_prefix(&common)?;
        }
    }
    Ok(fold.finish(page.next_page_token))
}

/// A page of ours, made of pages of Google's.
struct Collected<'a> {
    prefix: &'a str,
    limit: usize,
    /// The name before the next.
    previous: Option<String>,
    page: ListPage,
}

impl<'a> Collected<'a> {
    fn new(prefix: &'a str, after: Option<&str>, limit: usize) -> Self {
        Collected {
            prefix,
            limit,
            previous: after.map(|after| format!("{prefix}{after}")),
            page: ListPage::default(),
        }
    }

    fn is_full(&self) -> bool {
        self.page.objects.len() + self.page.unusable.len() == self.limit
    }

    /// Takes objects up to the limit; tells whether there are more.
    fn take(&mut self, items: Vec<Object>) -> Result<bool, String> {
        let mut first = true;
        for object in items {
            let Some(rest) = object.name.strip_prefix(self.prefix) else {
                return Err(format!(
                    "the listing holds {:?}, which is not below {:?}",
                    object.name, self.prefix
                ));
            };
            match &self.previous {
                Some(previous) if *previous == object.name && first => {
                    first = false;
                    continue;
                }
                Some(previous) if *previous >= object.name => {
                    return Err(format!(
                        "the listing is not in ascending order at {:?}",
                        object.name
                    ));
                }
                _ => first = false,
            }
            if is_temporary_name(&object.name) {
                self.previous = Some(object.name);
                continue;
            }
            if self.is_full() {
                return Ok(true);
            }
            match ObjectKey::new(rest) {
                Ok(key) => self.page.objects.push(ListedObject {
                    key,
                    size: object.size,
                    etag: object.version().etag,
                    modified: object.modified()?,
                }),
                Err(_) => self.page.unusable.push(object.name.clone()),
            }
            self.previous = Some(object.name);
        }
        Ok(false)
    }

    fn finish(mut self, more: bool) -> ListPage {
        self.page.next = self.previous.filter(|_| more).map(|last| {
            last.strip_prefix(self.prefix)
                .unwrap_or_default()
                .to_owned()
        });
        self.page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(names: &[&str]) -> Vec<Object> {
        names
            .iter()
            .map(|name| {
                serde_json::from_value(serde_json::json!({"name": name, "generation": "1",
                    "metageneration": "1", "size": "1", "updated": "2026-11-21T10:00:00Z"}))
                .unwrap()
            })
            .collect()
    }

    #[test]
    fn a_page_goes_on_after_its_last_name() {
        let mut page = Collected::new("p/", Some("a"), 2);
        let temporary = "p/.skyfresh-upload-0123456789abcdef/k";
        assert!(!page.take(objects(&["p/a", "p/b"])).unwrap());
        assert!(page.take(objects(&["p/c", "p/d"])).unwrap());
        let page = page.finish(true);
        assert_eq!(page.next.as_deref(), Some("c"));
        assert_eq!(page.objects.len(), 2);

        let mut page = Collected::new("p/", None, 2);
        assert!(!page.take(objects(&["p/", temporary])).unwrap());
        assert!(!page.take(objects(&["p/é"])).unwrap());
        assert!(page.is_full());
        let page = page.finish(false);
        assert_eq!(page.unusable, ["p/"], "the bare prefix is no key below it");
        assert_eq!((page.objects.len(), page.next), (1, None));
    }

    #[test]
    fn a_level_shows_nothing_temporary() {
        let page = |names: &[&str], next: Option<&str>| Listing {
            kind: Listing::KIND.into(),
            next_page_token: next.map(str::to_owned),
            items: objects(names),
            prefixes: vec!["p/.skyfresh-upload-0123456789abcdef/".into(), "p/d/".into()],
        };
        let names = ["p/a", "p/.skyfresh-compose-0123456789abcdef"];
        let found = level(page(&names, Some("2")), "p/", Some("1")).unwrap();
        assert_eq!(found.objects.len(), 1);
        assert_eq!(found.objects[0].key.as_str(), "a");
        assert_eq!(found.prefixes, ["d/"]);
        assert_eq!(found.next.as_deref(), Some("2"));
        let stuck = level(page(&[], Some("1")), "p/", Some("1")).unwrap_err();
        assert!(stuck.contains("not advance"), "{stuck}");
        let outside = level(page(&["q"], None), "p/", None).unwrap_err();
        assert!(outside.contains("not below"), "{outside}");
    }

    #[test]
    fn a_listing_that_cannot_be_right_is_an_error() {
        for (names, after, why) in [
            (&["q"][..], None, "not below"),
            (&["p/b", "p/a"], None, "ascending"),
            (&["p/a", "p/a"], None, "ascending"),
            (&["p/a", "p/a"], Some("a"), "ascending"),
            (&["p/a"], Some("b"), "ascending"),
        ] {
            let mut page = Collected::new("p/", after, 9);
            let error = page.take(objects(names)).unwrap_err();
            assert!(error.contains(why), "{names:?}: {error}");
        }
    }
}
