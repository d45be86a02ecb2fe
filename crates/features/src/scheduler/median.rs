//! The median of what came lately.

/// Values that are looked at.
const WINDOW: usize = 512;
/// Values after which the median is computed again.
const EVERY: u32 = 128;
/// Values below which there is no median yet.
const ENOUGH: usize = 32;

/// The median of the last [`WINDOW`] values, computed anew every [`EVERY`].
#[derive(Clone, Debug, Default)]
pub(super) struct RecentMedian {
    values: Vec<f64>,
    next: usize,
    since: u32,
    median: Option<f64>,
}

impl RecentMedian {
    pub(super) fn add(&mut self, value: f64) {
        if self.values.len() < WINDOW {
            self.values.push(value);
        } else {
            self.values[self.next] = value;
            self.next = (self.next + 1) % WINDOW;
        }
        self.since += 1;
        let first = self.median.is_none() && self.values.len() >= ENOUGH;
        if first || self.since >= EVERY && self.values.len() >= ENOUGH {
            self.since = 0;
            let mut sorted = self.values.clone();
            let middle = sorted.len() / 2;
            self.median = Some(*sorted.select_nth_unstable_by(middle, f64::total_cmp).1);
        }
    }

    /// `None` before there are enough values.
    pub(super) fn get(&self) -> Option<f64> {
        self.median
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_what_comes() {
        let mut median = RecentMedian::default();
        (0..31).for_each(|_| median.add(1.0));
        assert_eq!(median.get(), None);
        median.add(1e9);
        assert_eq!(median.get(), Some(1.0));
        (0..1024).for_each(|_| median.add(7.0));
        assert_eq!(median.get(), Some(7.0));
    }
}
