//! What was taken lately: signatures and message ids that must not, or need not, be taken again.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};

/// Names remembered. Older ones are forgotten: a repetition then only makes a key be looked at again.
const LIMIT: usize = 10_000;
/// Bytes of a name that are kept.
const NAME_LIMIT: usize = 256;

/// A bounded memory.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    names: BTreeSet<Box<str>>,
    /// Oldest first.
    order: VecDeque<Box<str>>,
}

impl Seen {
    /// Remembers a name; false where it was remembered already. An empty name is nobody's.
    pub(crate) fn is_new(&self, name: &str) -> bool {
        if name.is_empty() {
            return true;
        }
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let State { names, order } = &mut *guard;
        let name: Box<str> = cut(name).into();
        if !names.insert(name.clone()) {
            return false;
        }
        order.push_back(name);
        if order.len() > LIMIT
            && let Some(oldest) = order.pop_front()
        {
            names.remove(&oldest);
        }
        true
    }

    /// Forgets a name: what it stands for was not taken after all.
    pub(crate) fn forget(&self, name: &str) {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let State { names, order } = &mut *guard;
        if names.remove(cut(name)) {
            order.retain(|each| **each != *cut(name));
        }
    }
}

fn cut(name: &str) -> &str {
    let mut end = name.len().min(NAME_LIMIT);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_bounded_and_can_forget() {
        let seen = Seen::default();
        assert!(seen.is_new("a") && !seen.is_new("a"));
        seen.forget("a");
        assert!(seen.is_new("a"));
        for number in 0..LIMIT {
            assert!(seen.is_new(&number.to_string()));
        }
        assert!(seen.is_new("a"), "the oldest went");
        assert!(seen.0.lock().unwrap().names.len() <= LIMIT);
        assert!(seen.is_new("") && seen.is_new(""));
        let long = "ü".repeat(NAME_LIMIT);
        assert!(seen.is_new(&long) && !seen.is_new(&long));
    }
}
