//! Keys in the order in which they began to wait, any of which can leave at once.

use super::Key;

/// No neighbour.
const NONE: Key = Key::MAX;

#[derive(Clone, Copy, Debug)]
struct Link {
    before: Key,
    after: Key,
    waits: bool,
}

const FREE: Link = Link {
    before: NONE,
    after: NONE,
    waits: false,
};

/// A doubly linked list through an array: every operation takes constant time; 12 bytes a key.
#[derive(Clone, Debug)]
pub(super) struct WaitingList {
    links: Vec<Link>,
    first: Key,
    last: Key,
}

impl Default for WaitingList {
    fn default() -> Self {
        WaitingList {
            links: Vec::new(),
            first: NONE,
            last: NONE,
        }
    }
}

impl WaitingList {
    pub(super) fn bytes(&self) -> usize {
        self.links.capacity() * size_of::<Link>()
    }

    pub(super) fn waits(&self, key: Key) -> bool {
        self.links.get(key as usize).is_some_and(|link| link.waits)
    }

    /// The key that has waited longest.
    pub(super) fn first(&self) -> Option<Key> {
        (self.first != NONE).then_some(self.first)
    }

    /// Lets the key wait behind all others; nothing where it waits already.
    pub(super) fn push(&mut self, key: Key) {
        if self.waits(key) {
            return;
        }
        if self.links.len() <= key as usize {
            self.links.resize(key as usize + 1, FREE);
        }
        self.links[key as usize] = Link {
            before: self.last,
            after: NONE,
            waits: true,
        };
        match self.last {
            NONE => self.first = key,
            last => self.links[last as usize].after = key,
        }
        self.last = key;
    }

    /// Takes the key out; nothing where it does not wait.
    pub(super) fn remove(&mut self, key: Key) {
        if !self.waits(key) {
            return;
        }
        let Link { before, after, .. } = std::mem::replace(&mut self.links[key as usize], FREE);
        match before {
            NONE => self.first = after,
            before => self.links[before as usize].after = after,
        }
        match after {
            NONE => self.last = before,
            after => self.links[after as usize].before = before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_agrees_with_a_plain_list(steps in prop::collection::vec((any::<bool>(), 0..12u32), 0..100)) {
            let mut list = WaitingList::default();
            let mut model: Vec<Key> = Vec::new();
            for (enters, key) in steps {
                if enters {
                    list.push(key);
                    if !model.contains(&key) {
                        model.push(key);
                    }
                } else {
                    list.remove(key);
                    model.retain(|other| *other != key);
                }
                prop_assert_eq!(list.first(), model.first().copied());
                prop_assert!((0..12).all(|key| list.waits(key) == model.contains(&key)));
            }
            while let Some(first) = list.first() {
                prop_assert_eq!(first, model.remove(0));
                list.remove(first);
            }
            prop_assert!(model.is_empty());
        }
    }
}
