//! Listing objects and versions, for both APIs.
//!
//! Source: <https://cloud.google.com/storage/docs/json_api/v1/objects/list>.

use super::answer::{self, Answer};
use super::error::{Failure, Result};
use super::resource;
use super::{Context, Frontend};
use crate::store::listing::successor;
use crate::store::{Generation, State};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::ops::Bound;

/// Most entries of one page.
const PAGE_LIMIT: usize = 1_000;

/// What the next page follows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// An object's name or a common prefix.
    name: String,
    /// Of an object, where versions are listed.
    generation: Option<u64>,
}

impl Position {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// Names the next page, and says which one it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PageToken {
    page: u32,
    after: Position,
}

impl PageToken {
    /// What is not a token counts as the second page, after the name it is.
    pub(crate) fn decode(text: &str) -> Self {
        URL_SAFE_NO_PAD
            .decode(text)
            .ok()
            .and_then(|json| serde_json::from_slice(&json).ok())
            .unwrap_or_else(|| PageToken {
                page: 2,
                after: Position {
                    name: text.to_owned(),
                    generation: None,
                },
            })
    }

    pub(crate) fn page(&self) -> u32 {
        self.page
    }

    pub(crate) fn after(&self) -> Position {
        self.after.clone()
    }

    /// The token of the page behind `after`, on a page that was asked for with `asked`.
    pub(crate) fn next(asked: Option<&PageToken>, after: Position) -> String {
        let token = PageToken {
            page: asked.map_or(1, |token| token.page) + 1,
            after,
        };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).unwrap_or_default())
    }
}

/// What to list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    pub(crate) prefix: String,
    pub(crate) delimiter: String,
    /// Names from this on.
    pub(crate) start: String,
    /// Names before this; all where empty.
    pub(crate) end: String,
    pub(crate) after: Option<Position>,
    pub(crate) limit: usize,
    pub(crate) versions: bool,
    /// Objects named like a common prefix are listed beside it.
    pub(crate) trailing_delimiter: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Line {
    Object(String, Generation),
    Prefix(String),
}

impl Listing {
    pub(crate) fn limit(asked: Option<&str>) -> Result<usize> {
        let limit = super::conditions::number("maxResults", asked)?.unwrap_or(PAGE_LIMIT as u64);
        Ok((limit as usize).min(PAGE_LIMIT))
    }

    fn common_prefix<'a>(&self, key: &'a str) -> Option<&'a str> {
        if self.delimiter.is_empty() {
            return None;
        }
        let rest = &key[self.prefix.len()..];
        let end = rest.find(&self.delimiter)? + self.delimiter.len();
        Some(&key[..self.prefix.len() + end])
    }

    fn first(&self) -> Bound<String> {
        let start = self.start.clone().max(self.prefix.clone());
        match &self.after {
            Some(after) if after.name >= start => {
                let rolled_up = after.generation.is_none()
                    && after.name.starts_with(&self.prefix)
                    && self.common_prefix(&after.name) == Some(&after.name);
                if rolled_up {
                    return successor(&after.name).map_or(Bound::Unbounded, Bound::Included);
                }
                if after.generation.is_some() {
                    return Bound::Included(after.name.clone());
                }
                Bound::Excluded(after.name.clone())
            }
            _ => Bound::Included(start),
        }
    }
}

/// A page, and what the next one follows. Pure.
pub(crate) fn page(state: &State, listing: &Listing) -> (Vec<Line>, Option<Position>) {
    let mut lines = Vec::new();
    let mut last = None;
    let mut from = listing.first();
    let at_the_end = listing
        .after
        .as_ref()
        .is_some_and(|_| from == Bound::Unbounded);
    if listing.limit == 0 || at_the_end {
        return (lines, None);
    }
    'seek: loop {
        for (key, versions) in state.keys.range((from, Bound::Unbounded)) {
            let past_end = !listing.end.is_empty() && *key >= listing.end;
            if !key.starts_with(&listing.prefix) || past_end {
                break;
            }
            let mut shown: Vec<Generation> = versions.iter().filter_map(Generation::of).collect();
            if !listing.versions {
                shown.retain(Generation::is_live);
            }
            if let Some(after) = listing.after.as_ref().filter(|after| after.name == *key) {
                shown.retain(|found| Some(found.number) > after.generation);
            }
            if shown.is_empty() {
                continue;
            }
            let prefix = listing.common_prefix(key).map(str::to_owned);
            let beside = listing.trailing_delimiter && prefix.as_ref() == Some(key);
            if let Some(prefix) = &prefix {
                if lines.len() >= listing.limit {
                    return (lines, last);
                }
                lines.push(Line::Prefix(prefix.clone()));
            }
            if prefix.is_none() || beside {
                for found in shown {
                    if prefix.is_none() && lines.len() >= listing.limit {
                        return (lines, last);
                    }
                    last = Some(Position {
                        name: key.clone(),
                        generation: listing.versions.then_some(found.number),
                    });
                    lines.push(Line::Object(key.clone(), found));
                }
            }
            if let Some(prefix) = prefix {
                match successor(&prefix) {
                    None => break,
                    Some(next) => from = Bound::Included(next),
                }
                last = Some(Position {
                    name: prefix,
                    generation: None,
                });
                continue 'seek;
            }
        }
        return (lines, None);
    }
}

impl Frontend {
    pub(crate) fn list_objects(&self, context: &Context, bucket_name: &str) -> Result<Answer> {
        let bucket = self.bucket(bucket_name)?;
        let query = &context.query;
        let text = |name: &str| query.get(name).unwrap_or_default().to_owned();
        let token = query
            .get("pageToken")
            .filter(|token| !token.is_empty())
            .map(PageToken::decode);
        let listing = Listing {
            prefix: text("prefix"),
            delimiter: text("delimiter"),
            start: text("startOffset"),
            end: text("endOffset"),
            after: token.as_ref().map(PageToken::after),
            limit: Listing::limit(query.get("maxResults"))?.max(1),
            versions: query.is_true("versions"),
            trailing_delimiter: query.is_true("includeTrailingDelimiter"),
        };
        if query.has("matchGlob") {
            return Err(Failure::invalid("This sky does not match globs."));
        }
        let (lines, next) = page(&bucket.lock(), &listing);
        let (mut items, mut prefixes) = (Vec::new(), Vec::new());
        for line in lines {
            match line {
                Line::Prefix(prefix) => prefixes.push(Value::from(prefix)),
                Line::Object(key, found) => {
                    items.push(resource::object(&context.base, bucket_name, &key, &found));
                }
            }
        }
        let mut shown = json!({ "kind": "storage#objects" });
        if !items.is_empty() {
            shown["items"] = Value::Array(items);
        }
        if !prefixes.is_empty() {
            shown["prefixes"] = Value::Array(prefixes);
        }
        if let Some(next) = next {
            shown["nextPageToken"] = json!(PageToken::next(token.as_ref(), next));
        }
        Ok(answer::json(&shown))
    }
}
