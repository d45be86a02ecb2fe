//! How many pages of a listing are asked for ahead of its reader.
//!
//! In: how long pages took, whether their reader waited, and how much of them was of use. Out: a number of pages. Never: more than
//! one where pages come quickly, or where guesses waste more than they bring.

use super::shared::LONG_WAY_NS;

/// Pages ahead at most. With one asked for out of turn and the one being read, that is 16.
pub(super) const MOST_AHEAD: usize = 14;
/// Keys that must have come before their use is judged, and those after which old ones count half.
const JUDGED: usize = 4_000;
const REMEMBERED: usize = 16_000;
/// Pages that are read one by one after guesses have wasted; doubles each time.
const FIRST_REST: u64 = 8;

/// See the module.
#[derive(Debug)]
pub(super) struct Width {
    pages: usize,
    /// Keys that came, and those of them that are of use.
    came: usize,
    useful: usize,
    /// Pages to be read one by one before it is widened again, and how many it will be the next time.
    rest: u64,
    next_rest: u64,
    /// Pages read.
    read: u64,
    /// The last page took long.
    far: bool,
    /// Pages that take long do so because of the way.
    may_be_far: bool,
}

impl Width {
    /// One page ahead at first; and for good where pages that take long do not come from far away.
    pub(super) fn new(may_be_far: bool) -> Self {
        Width {
            may_be_far,
            pages: 1,
            came: 0,
            useful: 0,
            rest: 0,
            next_rest: FIRST_REST,
            read: 0,
            far: false,
        }
    }

    /// Pages that may be under way or waiting.
    pub(super) fn pages(&self) -> usize {
        self.pages
    }

    /// Whether guesses may be wanted soon.
    pub(super) fn may_widen(&self) -> bool {
        self.far && self.rest <= 1
    }

    /// A page is read, and was waited for or not.
    pub(super) fn read(&mut self, waited: bool, took_ns: u64) {
        self.far = self.may_be_far && took_ns >= LONG_WAY_NS;
        self.read += 1;
        if self.rest > 0 {
            self.rest -= 1;
        } else if waited && self.far && self.read > 1 {
            // The first page may have waited for a connection to be made.
            self.pages = (self.pages * 2).min(MOST_AHEAD);
        }
    }

    /// A page came, of whose keys so many are of use.
    pub(super) fn came(&mut self, keys: usize, useful: usize) {
        self.came += keys;
        self.useful += useful;
        self.judge();
    }

    /// So many keys that were thought to be of use are dropped unread.
    pub(super) fn unread(&mut self, keys: usize) {
        self.useful = self.useful.saturating_sub(keys);
        self.judge();
    }

    fn judge(&mut self) {
        if self.came >= JUDGED && self.useful * 2 < self.came {
            self.narrow();
        }
        if self.came >= REMEMBERED {
            self.came /= 2;
            self.useful /= 2;
        }
    }

    /// Back to one page ahead, for a while that grows with every time.
    pub(super) fn narrow(&mut self) {
        (self.came, self.useful) = (0, 0);
        if self.pages > 1 {
            self.pages = 1;
            self.rest = self.next_rest;
            self.next_rest = self.next_rest.saturating_mul(2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR_NS: u64 = 100_000_000;

    #[test]
    fn it_doubles_only_for_readers_that_wait_for_what_is_far() {
        let mut width = Width::new(true);
        for _ in 0..9 {
            width.read(true, 3_000_000);
            width.read(false, FAR_NS);
        }
        assert_eq!(width.pages(), 1);
        let widths = [(); 5].map(|()| {
            width.read(true, FAR_NS);
            width.pages()
        });
        assert_eq!(widths, [2, 4, 8, MOST_AHEAD, MOST_AHEAD]);
    }

    #[test]
    fn the_first_page_alone_says_nothing() {
        let mut width = Width::new(true);
        width.read(true, FAR_NS);
        assert_eq!(width.pages(), 1);
    }

    #[test]
    fn waste_narrows_it_for_longer_each_time() {
        let mut width = Width::new(true);
        let mut waits = Vec::new();
        width.read(true, FAR_NS);
        for _ in 0..2 {
            width.read(true, FAR_NS);
            assert!(width.pages() > 1);
            (0..9).for_each(|_| width.came(1_000, 400));
            assert_eq!(width.pages(), 1);
            let mut pages = 0;
            while width.pages() == 1 {
                width.read(true, FAR_NS);
                pages += 1;
            }
            waits.push(pages);
        }
        assert_eq!(waits, [9, 17]);
    }

    #[test]
    fn what_is_mostly_of_use_keeps_it_wide() {
        let mut width = Width::new(true);
        (0..9).for_each(|_| width.read(true, FAR_NS));
        (0..99).for_each(|_| width.came(1_000, 600));
        assert_eq!(width.pages(), MOST_AHEAD);
        width.unread(9_000);
        assert_eq!(width.pages(), 1);
    }
}
