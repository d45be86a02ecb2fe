//! Compares two ordered listings, key by key. Pure but for fetching pages.

use crate::Result;
use crate::rule::Scope;
use skyfresh_sky::{Mutant, ObjectKey};
use skyfresh_store::{ListPage, ListedObject, ObjectStore};
use std::collections::VecDeque;

const PAGE: usize = 1_000;
/// Keys handed out at once, so that their marks are looked up together.
const BATCH: usize = 1_000;

/// One side's listing, a page at a time.
struct Cursor<'a> {
    store: &'a dyn ObjectStore,
    scope: Option<&'a Scope>,
    page: VecDeque<ListedObject>,
    next: Option<String>,
    complete: bool,
    listed: u64,
    unusable: Vec<String>,
}

/// Keys a report keeps of those that cannot be replicated.
const MOST_UNUSABLE: usize = 100;

impl<'a> Cursor<'a> {
    fn new(store: &'a dyn ObjectStore, scope: Option<&'a Scope>) -> Self {
        Cursor {
            store,
            scope,
            page: VecDeque::new(),
            next: None,
            complete: false,
            listed: 0,
            unusable: Vec::new(),
        }
    }

    /// The next object without taking it. A listing that fails midway is an error, never an end.
    async fn peek(&mut self) -> Result<Option<&ListedObject>> {
        while self.page.is_empty() && !self.complete {
            let page = match self.store.list(self.next.as_deref(), PAGE).await {
                Err(_) if Mutant::FailedListingIsEnd.is_on() => ListPage::default(),
                page => page?,
            };
            self.listed += page.objects.len() as u64;
            self.page = page.objects.into();
            let room = MOST_UNUSABLE.saturating_sub(self.unusable.len());
            let prefix = &self.store.location().prefix;
            let covered = |name: &String| {
                let relative = name.strip_prefix(prefix.as_str()).unwrap_or(name);
                self.scope.is_none_or(|scope| scope.covers_name(relative))
            };
            self.unusable
                .extend(page.unusable.into_iter().filter(covered).take(room));
            self.complete = page.next.is_none();
            self.next = page.next;
        }
        Ok(self.page.front())
    }
}

/// A key that at least one side has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) key: ObjectKey,
    pub(crate) source: Option<ListedObject>,
    pub(crate) target: Option<ListedObject>,
}

/// Two listings merged in key order.
pub(crate) struct Merge<'a> {
    source: Cursor<'a>,
    target: Cursor<'a>,
}

impl<'a> Merge<'a> {
    /// Both listings, whole; `scope` only decides which unusable keys count.
    pub(crate) fn new(
        source: &'a dyn ObjectStore,
        target: &'a dyn ObjectStore,
        scope: Option<&'a Scope>,
    ) -> Self {
        Merge {
            source: Cursor::new(source, scope),
            target: Cursor::new(target, scope),
        }
    }

    /// The next pairs; empty when both listings are complete.
    pub(crate) async fn next_batch(&mut self) -> Result<Vec<Pair>> {
        let mut batch = Vec::new();
        while batch.len() < BATCH {
            let source = self.source.peek().await?.map(|object| object.key.clone());
            let target = self.target.peek().await?.map(|object| object.key.clone());
            let key = match (source, target) {
                (None, None) => break,
                (Some(a), Some(b)) => a.min(b),
                (Some(key), None) | (None, Some(key)) => key,
            };
            let take =
                |cursor: &mut Cursor<'_>| cursor.page.pop_front_if(|object| object.key == key);
            let (source, target) = (take(&mut self.source), take(&mut self.target));
            batch.push(Pair {
                key,
                source,
                target,
            });
        }
        Ok(batch)
    }

    /// Objects listed at the source so far.
    pub(crate) fn source_listed(&self) -> u64 {
        self.source.listed
    }

    /// Objects listed at the destination so far.
    pub(crate) fn target_listed(&self) -> u64 {
        self.target.listed
    }

    /// Source keys that no destination can have.
    pub(crate) fn unusable(&self) -> &[String] {
        &self.source.unusable
    }
}
