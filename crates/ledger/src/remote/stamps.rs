//! Marks of states, chosen by the writer, so that it recognises its own write after an answer was lost.

use skyfresh_sky::Rng;
use std::sync::atomic::{AtomicU64, Ordering};

/// A source of stamps that never recur: 64 random bits name this source, a counter the write.
#[derive(Debug)]
pub(crate) struct Stamps {
    source: String,
    count: AtomicU64,
}

impl Stamps {
    /// A source that no other process has.
    pub(crate) fn new(rng: &Rng) -> Self {
        Stamps {
            source: rng.token(),
            count: AtomicU64::new(0),
        }
    }

    /// A stamp that no write has had.
    pub(crate) fn next(&self) -> String {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        format!("{}-{count:x}", self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn two_sources_never_give_the_same_stamp() {
        let rng = Rng::seeded(1);
        let (a, b) = (Stamps::new(&rng), Stamps::new(&rng));
        let all: BTreeSet<String> = (0..100).flat_map(|_| [a.next(), b.next()]).collect();
        assert_eq!(all.len(), 200);
    }
}
