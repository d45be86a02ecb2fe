//! One level of a place: the objects in it, and of what lies deeper only the common prefixes. The store passes over what lies
//! deeper, so that a level costs as many requests as it has pages of lines, however many keys there are.

use super::{PAGE, Place};
use anyhow::Context as _;
use skyfresh_store::{ListPage, ListedObject};

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
    /// The last common prefix: one that was seen is not seen again, though a server repeat it on the next page.
    last_prefix: Option<String>,
    done: bool,
}

impl<'a> Level<'a> {
    /// The level that begins with the place's location.
    pub(crate) fn new(place: &'a Place) -> Self {
        Level {
            place,
            after: None,
            last_prefix: None,
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
        let place = self.place;
        let listed = place.listed.list_level(self.after.as_deref(), PAGE).await;
        let listed = listed.with_context(|| format!("cannot list {}", place.described()))?;
        self.done = listed.next.is_none();
        self.after = listed.next;
        let mut prefixes = listed.prefixes;
        prefixes.retain(|prefix| self.last_prefix.as_ref() != Some(prefix));
        if let Some(last) = prefixes.last() {
            self.last_prefix = Some(last.clone());
        }
        let page = place
            .whole(ListPage {
                objects: listed.objects,
                unusable: listed.unusable,
                next: None,
            })
            .await?;
        let whole = |prefix| format!("{}{prefix}", place.front);
        let mut entries: Vec<Entry> = prefixes
            .into_iter()
            .map(|prefix| Entry::Prefix(whole(prefix)))
            .chain(page.objects.into_iter().map(Entry::Object))
            .chain(page.unusable.into_iter().map(Entry::Unusable))
            .collect();
        entries.sort_by(|a, b| a.key().cmp(b.key()));
        Ok(Some(entries))
    }
}
