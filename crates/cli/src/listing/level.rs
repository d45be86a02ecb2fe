//! One level of a place: the objects in it, and of what lies deeper only the common prefixes.
//!
//! The seam lists keys in order and goes on after any text, and needs nothing more: a page that ends inside `a/` is followed by
//! one that begins behind all of `a/`. So a level costs a request for every page of keys or every common prefix, whichever are
//! fewer, and nothing below a common prefix is read to its end.

use super::{PAGE, Place};
use skyfresh_sky::Scheme;
use skyfresh_store::ListedObject;

/// A page behind a prefix that filled a whole one: large prefixes come in rows, and of each only the first key is needed.
const PAGE_BETWEEN_PREFIXES: usize = 16;
/// No store has longer keys.
const LONGEST_KEY: usize = 1024;

/// One line of a level.
#[derive(Debug)]
pub(crate) enum Entry {
    /// Objects whose keys begin with this whole key, which ends in `/`.
    Prefix(String),
    /// An object, by whole key.
    Object(ListedObject),
    /// A name that cannot be an object.
    Unusable(String),
}

impl Entry {
    /// The whole key.
    pub(crate) fn key(&self) -> &str {
        match self {
            Entry::Prefix(key) | Entry::Unusable(key) => key,
            Entry::Object(object) => object.key.as_str(),
        }
    }
}

/// One level of a place, being read.
#[derive(Debug)]
pub(crate) struct Level<'a> {
    place: &'a Place,
    after: Option<String>,
    last_prefix: Option<String>,
    limit: usize,
    done: bool,
}

impl<'a> Level<'a> {
    /// The level that begins with the place's location.
    pub(crate) fn new(place: &'a Place) -> Self {
        Level {
            place,
            after: None,
            last_prefix: None,
            limit: PAGE,
            done: false,
        }
    }

    /// The next entries in ascending order (there may be none among them); `None` at the end.
    ///
    /// # Errors
    /// The place cannot be listed.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Vec<Entry>>> {
        if self.done {
            return Ok(None);
        }
        let mut listed = self.place.list(self.after.as_deref(), self.limit).await?;
        let next = listed.next.take();
        let page = self.place.whole(listed).await?;
        let level = self.place.location().prefix.len();
        let mut entries: Vec<Entry> = page.unusable.into_iter().map(Entry::Unusable).collect();
        let mut seen = 0;
        for object in page.objects {
            let key = object.key.as_str();
            let Some(slash) = key.get(level..).and_then(|name| name.find('/')) else {
                entries.push(Entry::Object(object));
                seen += 1;
                continue;
            };
            let prefix = &key[..=level + slash];
            if self.last_prefix.as_deref() != Some(prefix) {
                self.last_prefix = Some(prefix.to_owned());
                entries.push(Entry::Prefix(prefix.to_owned()));
                seen += 1;
            }
        }
        self.limit = match seen {
            0 | 1 => PAGE_BETWEEN_PREFIXES,
            _ => PAGE.min(self.limit * 4),
        };
        self.done = next.is_none();
        self.after = next.map(|next| self.behind(next));
        entries.sort_by(|a, b| a.key().cmp(b.key()));
        Ok(Some(entries))
    }

    /// Where to go on after a page that ended at a key: behind the common prefix it is in.
    fn behind(&self, next: String) -> String {
        let location = self.place.location();
        let Some(slash) = next.find('/') else {
            return next;
        };
        let last = match location.scheme {
            // It lists in the order of UTF-16, where this is as good as the last character; the true last ones are none in XML.
            Scheme::Azure => '\u{fffd}',
            _ => char::MAX,
        };
        let behind = format!("{}{last}", &next[..=slash]);
        match location.prefix.len() + behind.len() <= LONGEST_KEY {
            // Names that begin with that character are read one by one.
            true => behind.max(next),
            false => next,
        }
    }
}
