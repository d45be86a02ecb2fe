//! A heap of dense keys that finds, changes and removes any key in logarithmic time.

use super::Key;

/// Children of a node. Four entries of 16 bytes are one cache line, and the tree is half as deep as with two.
const FAN_OUT: usize = 4;
/// The place of a key that is not in the heap.
const ABSENT: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, PartialEq)]
struct Entry {
    priority: f64,
    key: Key,
    /// Breaks ties: the key that came first wins, so that equal keys take turns. Wraps after 2³² insertions, which can only
    /// change the order of equals.
    order: u32,
}

impl Entry {
    fn before(&self, other: &Entry) -> bool {
        self.priority > other.priority
            || (self.priority == other.priority
                && (other.order.wrapping_sub(self.order) as i32) > 0)
    }
}

/// Keys by priority, the largest first. Keys are small dense integers; 20 bytes each.
#[derive(Clone, Debug, Default)]
pub struct IndexedHeap {
    entries: Vec<Entry>,
    /// Where each key is in `entries`.
    places: Vec<u32>,
    inserted: u32,
}

impl IndexedHeap {
    /// How many keys are in it.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no key is in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether this key is in it.
    pub fn contains(&self, key: Key) -> bool {
        self.place(key).is_some()
    }

    /// Bytes of memory that it holds.
    pub fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>() + self.places.capacity() * size_of::<u32>()
    }

    fn place(&self, key: Key) -> Option<usize> {
        match self.places.get(key as usize) {
            Some(&place) if place != ABSENT => Some(place as usize),
            _ => None,
        }
    }

    /// Puts the key in, or changes its priority. What is no number counts as the lowest.
    pub fn set(&mut self, key: Key, priority: f64) {
        let priority = if priority.is_nan() {
            f64::NEG_INFINITY
        } else {
            priority
        };
        if let Some(place) = self.place(key) {
            let rises = priority > self.entries[place].priority;
            self.entries[place].priority = priority;
            if rises {
                self.rise(place);
            } else {
                self.sink(place);
            }
            return;
        }
        if self.places.len() <= key as usize {
            self.places.resize(key as usize + 1, ABSENT);
        }
        let order = self.inserted;
        self.inserted = self.inserted.wrapping_add(1);
        let place = self.entries.len();
        self.entries.push(Entry {
            priority,
            key,
            order,
        });
        self.places[key as usize] = place as u32;
        self.rise(place);
    }

    /// The key of the largest priority.
    pub fn peek(&self) -> Option<(Key, f64)> {
        self.entries
            .first()
            .map(|entry| (entry.key, entry.priority))
    }

    /// Takes out the key of the largest priority.
    pub fn pop(&mut self) -> Option<(Key, f64)> {
        let (key, priority) = self.peek()?;
        self.remove(key);
        Some((key, priority))
    }

    /// Takes the key out; false where it was not in.
    pub fn remove(&mut self, key: Key) -> bool {
        let Some(place) = self.place(key) else {
            return false;
        };
        self.places[key as usize] = ABSENT;
        let last = self.entries.pop();
        if let Some(last) = last.filter(|last| last.key != key) {
            let rises = last.before(&self.entries[place]);
            self.write(place, last);
            if rises {
                self.rise(place);
            } else {
                self.sink(place);
            }
        }
        true
    }

    /// Multiplies every priority by a positive factor, which keeps the order.
    pub fn scale(&mut self, factor: f64) {
        for entry in &mut self.entries {
            entry.priority *= factor;
        }
    }

    fn write(&mut self, place: usize, entry: Entry) {
        self.entries[place] = entry;
        self.places[entry.key as usize] = place as u32;
    }

    fn rise(&mut self, mut place: usize) {
        let entry = self.entries[place];
        while place > 0 {
            let parent = (place - 1) / FAN_OUT;
            let above = self.entries[parent];
            if !entry.before(&above) {
                break;
            }
            self.write(place, above);
            place = parent;
        }
        self.write(place, entry);
    }

    fn sink(&mut self, mut place: usize) {
        let entry = self.entries[place];
        loop {
            let first = place * FAN_OUT + 1;
            let end = (first + FAN_OUT).min(self.entries.len());
            let Some(&(mut best)) = self.entries.get(first) else {
                break;
            };
            let mut child = first;
            for other in first + 1..end {
                if self.entries[other].before(&best) {
                    (child, best) = (other, self.entries[other]);
                }
            }
            if !best.before(&entry) {
                break;
            }
            self.write(place, best);
            place = child;
        }
        self.write(place, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[derive(Clone, Debug)]
    enum Step {
        Set(Key, i8),
        Remove(Key),
        Pop,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..40u32, any::<i8>()).prop_map(|(key, priority)| Step::Set(key, priority)),
            1 => (0..40u32).prop_map(Step::Remove),
            1 => Just(Step::Pop),
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_sorted_map(steps in steps()) {
            let mut heap = IndexedHeap::default();
            // key → (priority, order of insertion)
            let mut model: BTreeMap<Key, (i8, usize)> = BTreeMap::new();
            for (index, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Set(key, priority) => {
                        heap.set(key, f64::from(priority));
                        let order = model.get(&key).map_or(index, |known| known.1);
                        model.insert(key, (priority, order));
                    }
                    Step::Remove(key) => {
                        prop_assert_eq!(heap.remove(key), model.remove(&key).is_some());
                    }
                    Step::Pop => {
                        let best = model.iter().max_by_key(|(_, (priority, order))| {
                            (*priority, std::cmp::Reverse(*order))
                        });
                        let best = best.map(|(key, (priority, _))| (*key, f64::from(*priority)));
                        prop_assert_eq!(heap.pop(), best);
                        if let Some((key, _)) = best {
                            model.remove(&key);
                        }
                    }
                }
                prop_assert_eq!(heap.len(), model.len());
                prop_assert!((0..40).all(|key| heap.contains(key) == model.contains_key(&key)));
            }
        }
    }

    #[test]
    fn infinities_and_no_numbers_are_ordered() {
        let mut heap = IndexedHeap::default();
        heap.set(1, f64::NAN);
        heap.set(2, f64::INFINITY);
        heap.set(3, 1.0);
        heap.set(4, f64::INFINITY);
        heap.scale(0.5);
        let order: Vec<_> = std::iter::from_fn(|| heap.pop())
            .map(|(key, _)| key)
            .collect();
        assert_eq!(order, [2, 4, 3, 1]);
        assert!(heap.is_empty());
    }
}
