//! What every task of a job works with.

use super::journal::Journal;
use super::options::BulkJob;
use super::pace::Pace;
use super::tally::{BulkListener, BulkRecord, BulkTally};
use crate::overlay::Overlay;
use crate::throttle::Throttle;
use skyfresh_sky::{Clock, Rng};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Everything a task of the job needs.
pub(super) struct Shared {
    pub(super) job: BulkJob,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) rng: Rng,
    pub(super) tally: Arc<BulkTally>,
    pub(super) listener: Option<BulkListener>,
    pub(super) throttle: Option<Arc<Throttle>>,
    pub(super) journal: Journal,
    pub(super) stop: CancellationToken,
    /// Small objects at once.
    pub(super) small: Arc<Pace>,
    /// Parts, and objects that are not small, at once.
    pub(super) large: Arc<Pace>,
    /// Objects in parts at once: parts of few objects are better than one part of each of many.
    pub(super) in_parts: Semaphore,
    pub(super) link: Link,
    /// Relays that carry parts.
    pub(super) overlay: Option<Overlay>,
}

/// Answers that take longer come from far away: connections wait more than they move, and many are needed.
pub(super) const LONG_WAY_NS: u64 = 15_000_000;
/// Parts and streamed objects at once at first, over a long way.
const FIRST_LARGE_FAR: usize = 32;
/// Small objects at once at first, over a long way.
const FIRST_SMALL_FAR: usize = 256;

/// What was measured of the way to the targets, to cut large objects by.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// The shortest round trip of a small request to a target, ns; 0 before one was seen.
    round_trip_ns: AtomicU64,
    /// The last rate of a single connection, bytes a second.
    connection_bytes_per_second: AtomicU64,
}

impl Link {
    /// Bytes that one connection has under way at once, where both were measured.
    fn in_flight_bytes(&self) -> Option<u64> {
        let round_trip_ns = self.round_trip_ns.load(Ordering::Relaxed);
        let rate = self.connection_bytes_per_second.load(Ordering::Relaxed);
        let bytes = u128::from(rate) * u128::from(round_trip_ns) / 1_000_000_000;
        (rate > 0 && round_trip_ns > 0).then_some(bytes as u64)
    }
}

impl Shared {
    /// Tells whoever listens what became of an object.
    pub(super) fn tell(&self, record: &BulkRecord) {
        if let Some(listener) = &self.listener {
            listener(record);
        }
    }

    /// A small request to a target was answered after this long.
    pub(super) fn round_trip(&self, took_ns: u64) {
        let seen = self.link.round_trip_ns.load(Ordering::Relaxed);
        if seen == 0 || took_ns < seen {
            self.link
                .round_trip_ns
                .store(took_ns.max(1), Ordering::Relaxed);
        }
        if took_ns >= LONG_WAY_NS {
            self.large.begin_with(FIRST_LARGE_FAR);
            self.small.begin_with(FIRST_SMALL_FAR);
        }
    }

    /// Whether a target answers at once: then a processor or two are what limits, and few large requests are best.
    pub(super) fn is_near(&self) -> bool {
        let seen = self.link.round_trip_ns.load(Ordering::Relaxed);
        seen > 0 && seen < LONG_WAY_NS
    }

    /// One connection moved so many bytes in this time.
    pub(super) fn connection_moved(&self, bytes: u64, took_ns: u64) {
        let rate = u128::from(bytes) * 1_000_000_000 / u128::from(took_ns.max(1));
        let rate = u64::try_from(rate).unwrap_or(u64::MAX);
        self.link
            .connection_bytes_per_second
            .store(rate, Ordering::Relaxed);
    }

    /// Bytes that one connection to a target has under way at once, where that was measured.
    pub(super) fn in_flight_bytes(&self) -> Option<u64> {
        self.link.in_flight_bytes()
    }

    /// Ends the job where nothing can be done at any target any more.
    pub(super) fn give_up_if_none_is_left(&self) {
        if self
            .tally
            .targets
            .iter()
            .all(|target| target.given_up().is_some())
        {
            self.stop.cancel();
        }
    }
}
