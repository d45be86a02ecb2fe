//! A listing as a stream of objects in key order, some pages ahead of its reader.

use super::ahead::Ahead;
use crate::Result;
use skyfresh_sky::{Clock, ObjectKey};
use skyfresh_store::{ListedObject, ObjectStore};
use std::collections::VecDeque;
use std::sync::Arc;

/// Keys that a report keeps of those that cannot be copied.
const MOST_UNUSABLE: usize = 100;

/// One side's listing. Holds the page being read, and those that [`Ahead`] holds: 16 at most.
#[derive(Debug)]
pub(super) struct Listing {
    page: VecDeque<ListedObject>,
    ahead: Ahead,
    /// Objects listed so far.
    pub(super) listed: u64,
    /// How long the first page took to come, ns.
    pub(super) first_page_ns: Option<u64>,
    /// Full keys that are there but that no key here can name.
    pub(super) unusable: Vec<String>,
}

impl Listing {
    /// A listing of the keys that begin with `literal`.
    pub(super) fn new(store: Arc<dyn ObjectStore>, literal: &str, clock: Arc<dyn Clock>) -> Self {
        let after = (!literal.is_empty()).then(|| before(literal)).flatten();
        Listing {
            page: VecDeque::new(),
            ahead: Ahead::new(store, literal, after, clock),
            listed: 0,
            first_page_ns: None,
            unusable: Vec::new(),
        }
    }

    /// The same in pages of so many keys.
    #[cfg(test)]
    pub(super) fn in_pages_of(mut self, keys: usize) -> Self {
        self.ahead.set_page(keys);
        self
    }

    /// Pages in memory or under way, with the one being read.
    #[cfg(test)]
    pub(super) fn pages_held(&self) -> usize {
        usize::from(!self.page.is_empty()) + self.ahead.held()
    }

    /// Pages asked for: each is billed, whatever comes of it.
    pub(super) fn requests(&self) -> u64 {
        self.ahead.requests
    }

    /// Asks for the first page, so that it is on its way while other things begin.
    pub(super) fn start(&mut self) {
        self.ahead.ask();
    }

    /// The next object, which stays. `None` at the end; a listing that fails midway is an error, never an end.
    pub(super) async fn peek(&mut self) -> Result<Option<&ListedObject>> {
        while self.page.is_empty() && self.turn().await? {
            self.ahead.ask();
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
        let floor = before(key.as_str());
        loop {
            // The page on its way may end before the key, too; the one after it need not be asked for where it is.
            if let Some(floor) = &floor {
                self.ahead.skip(floor);
            }
            if !self.page.is_empty() {
                self.ahead.ask();
                return Ok(());
            }
            if !self.turn().await? {
                return Ok(());
            }
            while self.page.pop_front_if(|object| object.key < *key).is_some() {}
        }
    }

    /// Takes the next page in. `false` at the end.
    async fn turn(&mut self) -> Result<bool> {
        let Some(chunk) = self.ahead.next().await? else {
            return Ok(false);
        };
        self.first_page_ns.get_or_insert(chunk.took_ns);
        self.listed += chunk.objects.len() as u64;
        let room = MOST_UNUSABLE.saturating_sub(self.unusable.len());
        self.unusable.extend(chunk.unusable.into_iter().take(room));
        self.page = chunk.objects.into();
        Ok(true)
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
        assert!(listing.requests() <= 4, "{} pages", listing.requests());
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
