//! What a process's network carries, and what goes elsewhere because it cannot be carried in time.
//!
//! All copies of a process share its network card. The more of them move bytes at once, the slower is each: with two thousand, one of
//! 8 MB takes half a minute, and is late, although the same bytes one after the other would all be in time. So no more copies are
//! begun than fill the network, by the rates they would have alone; the others wait their turn, the most urgent first. And where
//! the bytes that wait take too much of what is left of the SLO, a change goes by a machine of its own: a function.
//!
//! In: rates, bytes that wait, what is left. Out: the share of the network that a copy takes; whether it goes elsewhere. Never:
//! holds up what needs next to nothing of the network behind what needs much.

use crate::predict::Route;

/// What the process's network carries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Network {
    /// Bytes a second, of both directions together.
    pub bytes_per_s: f64,
}

/// A copy by one stream from store to store, through the process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stream {
    /// What passes before and after its bytes, in seconds: requests on their way, stores that answer.
    pub idle_s: f64,
    /// What one connection carries, in bytes a second.
    pub bytes_per_s: f64,
}

/// A copy reads what it writes: its bytes cross the network twice.
const CROSSINGS: f64 = 2.0;
/// Rates are means over a copy, and copies do not move their bytes at the same moment: so many times what the network carries is
/// begun at once, lest it idles.
const BEGUN_AT_ONCE: f64 = 1.5;
/// Waiting for the network may take such a share of what is left of the SLO. Not more: the rest is for the copy itself, for
/// starting a function where it comes to that, and for a burst that has only begun.
const WAIT_SHARE: f64 = 0.125;
/// Copies that are elsewhere at once: half of the functions that accounts may run at once by default, for large objects need them
/// too.
const MOST_ELSEWHERE: u64 = 500;

impl Stream {
    /// Through a process on this route.
    pub fn of(route: &Route) -> Self {
        let idle_ms = route.read.round_trip_ms
            + route.write.round_trip_ms
            + 2.0 * route.store_answer_ms.quantile(0.5);
        let mb_per_s = route
            .read
            .connection_mb_per_s
            .min(route.write.connection_mb_per_s);
        Stream {
            idle_s: (idle_ms / 1e3).max(1e-3),
            bytes_per_s: (mb_per_s * 1e6).max(1.0),
        }
    }

    /// The mean rate of a copy of so many bytes that shares the network with nobody, in bytes a second.
    pub fn mean_bytes_per_s(&self, size_bytes: u64) -> f64 {
        let size = size_bytes as f64;
        size / (self.idle_s + size / self.bytes_per_s)
    }
}

impl Network {
    /// The share of what may be begun at once that a copy takes while it is under way, above 0 and at most 1.
    pub fn share(&self, stream: &Stream, size_bytes: u64) -> f64 {
        let takes = stream.mean_bytes_per_s(size_bytes) * CROSSINGS;
        let share = takes / (self.bytes_per_s.max(1.0) * BEGUN_AT_ONCE);
        share.clamp(f64::MIN_POSITIVE, 1.0)
    }

    /// How long it takes until so many bytes have been copied that wait, in seconds.
    pub fn wait_s(&self, waiting_bytes: u64) -> f64 {
        waiting_bytes as f64 * CROSSINGS / self.bytes_per_s.max(1.0)
    }

    /// Whether a change goes elsewhere that would wait for `wait_s` here, with `left_s` left of its SLO's delay, where so many are
    /// elsewhere already. One that is late already goes as soon as it would wait at all.
    pub fn goes_elsewhere(&self, wait_s: f64, left_s: f64, elsewhere: u64) -> bool {
        wait_s > left_s.max(0.0) * WAIT_SHARE && elsewhere < MOST_ELSEWHERE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predict::Site;
    use proptest::prelude::{prop_assert, proptest};
    use skyfresh_sky::Region;
    use skyfresh_sky::catalog::Catalog;

    /// Of an m5.8xlarge.
    const NETWORK: Network = Network { bytes_per_s: 625e6 };

    fn stream() -> Stream {
        let region = |name: &str| name.parse::<Region>().unwrap();
        let (source, target) = (region("aws:us-east-1"), region("aws:eu-west-1"));
        let site = Site::process(source.clone());
        let catalog = Catalog::embedded();
        Stream::of(&Route::of(&catalog, &source, &target, &site, None, 0.0).unwrap())
    }

    #[test]
    fn small_ones_take_next_to_nothing_and_large_ones_as_many_as_fill_it() {
        let stream = stream();
        assert!((8.0e6..9.0e6).contains(&stream.bytes_per_s), "{stream:?}");
        assert!((0.1..0.2).contains(&stream.idle_s), "{stream:?}");
        let at_once = |bytes: u64| (1.0 / NETWORK.share(&stream, bytes)).round();
        let counts = [4_000, 1_000_000, 8 << 20].map(at_once);
        assert!(counts[0] > 10_000.0, "{counts:?}");
        assert!((100.0..140.0).contains(&counts[1]), "{counts:?}");
        assert!((55.0..70.0).contains(&counts[2]), "{counts:?}");
    }

    #[test]
    fn it_goes_elsewhere_where_waiting_takes_too_much_of_what_is_left() {
        let wait_s = NETWORK.wait_s(625_000_000);
        assert!((wait_s - 2.0).abs() < 1e-9, "read and written");
        assert!(NETWORK.goes_elsewhere(wait_s, 9.5, 0));
        assert!(!NETWORK.goes_elsewhere(wait_s, 60.0, 0), "there is time");
        assert!(!NETWORK.goes_elsewhere(0.0, -3.0, 0), "nobody waits here");
        assert!(NETWORK.goes_elsewhere(0.1, -3.0, 0), "late already");
        assert!(!NETWORK.goes_elsewhere(wait_s, 9.5, 500), "quotas hold");
    }

    proptest! {
        /// Larger ones take more, never more than all; and who may wait for long may wait for less.
        #[test]
        fn shares_and_waits_grow(a in 0u64..1 << 40, b in 0u64..1 << 40, left_s in -10.0f64..100.0) {
            let (less, more) = (a.min(b), a.max(b));
            let stream = stream();
            let (small, large) = (NETWORK.share(&stream, less), NETWORK.share(&stream, more));
            prop_assert!(0.0 < small && small <= large && large <= 1.0);
            let elsewhere = |bytes| NETWORK.goes_elsewhere(NETWORK.wait_s(bytes), left_s, 0);
            prop_assert!(elsewhere(more) || !elsewhere(less));
        }
    }
}
