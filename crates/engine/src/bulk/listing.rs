//! A listing as a stream of objects in key order, one page ahead of its reader.

use crate::{Error, Result};
use skyfresh_sky::{Clock, Kind, ObjectKey};
use skyfresh_store::{ListPage, ListedObject, ObjectStore};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Keys in a page.
const PAGE: usize = 1_000;
/// Keys that a report keeps of those that cannot be copied.
const MOST_UNUSABLE: usize = 100;

/// One side's listing. Holds two pages at most: the one being read, and the next, which is fetched meanwhile.
#[derive(Debug)]
pub(super) struct Listing {
    store: Arc<dyn ObjectStore>,
    /// Only keys that begin with this.
    literal: String,
    page: VecDeque<ListedObject>,
    /// Where the page after this one begins; `None` once the listing is complete.
    next: Next,
    /// Objects listed so far, and pages asked for.
    pub(super) listed: u64,
    pub(super) requests: u64,
    /// How long the first page took to come, ns.
    pub(super) first_page_ns: Option<u64>,
    clock: Arc<dyn Clock>,
    /// Full keys that are there but that no key here can name.
    pub(super) unusable: Vec<String>,
}

/// A page, and how long it took to come, ns.
type Page = (skyfresh_store::Result<ListPage>, u64);

#[derive(Debug)]
enum Next {
    /// Not asked for yet.
    After(Option<String>),
    /// On its way.
    Coming(JoinHandle<Page>),
    /// There is nothing after this page.
    Complete,
}

impl Listing {
    /// A listing of the keys that begin with `literal`.
    pub(super) fn new(store: Arc<dyn ObjectStore>, literal: &str, clock: Arc<dyn Clock>) -> Self {
        let after = (!literal.is_empty()).then(|| before(literal)).flatten();
        Listing {
            store,
            literal: literal.to_owned(),
            page: VecDeque::new(),
            next: Next::After(after),
            listed: 0,
            requests: 0,
            first_page_ns: None,
            clock,
            unusable: Vec::new(),
        }
    }

    /// Asks for the first page, so that it is on its way while other things begin.
    pub(super) fn start(&mut self) {
        if let Next::After(after) = &self.next {
            let (store, after) = (Arc::clone(&self.store), after.clone());
            self.requests += 1;
            let clock = Arc::clone(&self.clock);
            let page = tokio::spawn(async move {
                let began_ns = clock.monotonic_ns();
                let page = store.list(after.as_deref(), PAGE).await;
                (page, clock.monotonic_ns().saturating_sub(began_ns))
            });
            self.next = Next::Coming(page);
        }
    }

    /// The next object, which stays. `None` at the end; a listing that fails midway is an error, never an end.
    pub(super) async fn peek(&mut self) -> Result<Option<&ListedObject>> {
        while self.page.is_empty() && !matches!(self.next, Next::Complete) {
            self.turn().await?;
        }
        Ok(self.page.front())
    }

    /// Takes the object that [`Listing::peek`] showed.
    pub(super) fn take(&mut self) -> Option<ListedObject> {
        self.page.pop_front()
    }

    /// Passes over what lies before `key`. Pages that lie wholly before it are not even asked for.
    pub(super) async fn seek(&mut self, key: &ObjectKey) -> Result<()> {
        while self.page.pop_front_if(|object| object.key < *key).is_some() {}
        if !self.page.is_empty() {
            return Ok(());
        }
        // The page on its way may end before the key, too; the one after it need not be asked for where it is.
        while self.page.is_empty() && !matches!(self.next, Next::Complete) {
            self.turn().await?;
            while self.page.pop_front_if(|object| object.key < *key).is_some() {}
            if self.page.is_empty()
                && let Next::Coming(page) = &self.next
                && let Some(after) = before(key.as_str())
            {
                page.abort();
                self.next = Next::After(Some(after));
            }
        }
        Ok(())
    }

    /// Takes the next page in, and asks for the one after it.
    async fn turn(&mut self) -> Result<()> {
        self.start();
        let Next::Coming(coming) = std::mem::replace(&mut self.next, Next::Complete) else {
            return Ok(());
        };
        let location = self.store.location();
        let (page, took_ns) = coming.await.map_err(|error| {
            let what = location.to_string();
            Error::new(Kind::Internal, "list", what, error.to_string())
        })?;
        let page = page?;
        self.first_page_ns.get_or_insert(took_ns);
        self.listed += page.objects.len() as u64;
        let room = MOST_UNUSABLE.saturating_sub(self.unusable.len());
        let below = |name: &String| {
            let relative = name.strip_prefix(location.prefix.as_str());
            relative.is_some_and(|name| !name.is_empty() && name.starts_with(&self.literal))
        };
        self.unusable
            .extend(page.unusable.into_iter().filter(below).take(room));
        self.page = page.objects.into();
        if let Some(next) = page.next {
            self.next = Next::After(Some(next));
        }
        if !self.literal.is_empty() {
            let beyond = |key: &str| key > self.literal.as_str() && !key.starts_with(&self.literal);
            while self
                .page
                .pop_back_if(|object| beyond(object.key.as_str()))
                .is_some()
            {
                self.next = Next::Complete;
            }
            while self
                .page
                .pop_front_if(|object| object.key.as_str() < self.literal.as_str())
                .is_some()
            {}
        }
        self.start();
        Ok(())
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        if let Next::Coming(page) = &self.next {
            page.abort();
        }
    }
}

/// A text that comes before `key`, with as little between them as can be had cheaply: a listing that goes on after it has `key`
/// among its first. `None` where nothing sensible comes before it.
fn before(key: &str) -> Option<String> {
    let last = key.chars().next_back()?;
    let front = &key[..key.len() - last.len_utf8()];
    // Texts of control characters are no keys, and the characters between U+D800 and U+DFFF are none.
    let previous = match u32::from(last) {
        0xE000 => '\u{D7FF}',
        code if code > 0x20 => char::from_u32(code - 1)?,
        _ => return (!front.is_empty()).then(|| front.to_owned()),
    };
    Some(format!("{front}{previous}\u{10FFFF}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use skyfresh_sky::{ManualClock, SystemClock, Timestamp};
    use skyfresh_store::memory::MemorySky;
    use skyfresh_store::{Precondition, PutOptions, single_chunk};

    async fn bucket(keys: impl IntoIterator<Item = String>) -> Arc<dyn ObjectStore> {
        let clock = ManualClock::at(Timestamp::from_unix_ms(1));
        let sky = MemorySky::new(Arc::new(clock));
        sky.create_bucket("b");
        let store = sky.store("mem://b/p/".parse().unwrap());
        for key in keys {
            let options = PutOptions {
                size: 1,
                attributes: Default::default(),
                precondition: Precondition::None,
            };
            let key = ObjectKey::new(key).unwrap();
            store.put(&key, options, single_chunk("x")).await.unwrap();
        }
        store
    }

    async fn keys(listing: &mut Listing) -> Vec<String> {
        let mut keys = Vec::new();
        while listing.peek().await.unwrap().is_some() {
            keys.push(listing.take().unwrap().key.to_string());
        }
        keys
    }

    #[tokio::test]
    async fn a_literal_bounds_both_ends() {
        let store = bucket(["a", "x", "x1", "xy/z", "y", "ww"].map(String::from)).await;
        let mut listing = Listing::new(Arc::clone(&store), "x", Arc::new(SystemClock));
        assert_eq!(keys(&mut listing).await, ["x", "x1", "xy/z"]);
        let mut all = Listing::new(store, "", Arc::new(SystemClock));
        assert_eq!(keys(&mut all).await.len(), 6);
    }

    #[tokio::test]
    async fn seeking_passes_over_pages_without_asking_for_them() {
        let store = bucket((0..5_500).map(|number| format!("{number:05}"))).await;
        let mut listing = Listing::new(store, "", Arc::new(SystemClock));
        listing
            .seek(&ObjectKey::new("05400").unwrap())
            .await
            .unwrap();
        assert_eq!(
            listing
                .peek()
                .await
                .unwrap()
                .map(|object| object.key.to_string()),
            Some("05400".to_owned())
        );
        assert!(listing.requests <= 4, "{} pages", listing.requests);
        listing
            .seek(&ObjectKey::new("05400x").unwrap())
            .await
            .unwrap();
        assert_eq!(
            keys(&mut listing).await.first().map(String::as_str),
            Some("05401")
        );
    }

    proptest! {
        #[test]
        fn what_comes_before_a_key_comes_before_it(key in "\\PC{1,12}") {
            if let Some(before) = before(&key) {
                prop_assert!(before < key);
            }
        }
    }
}
