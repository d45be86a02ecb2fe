//! How long changes took: from the write at the source until that content, or a newer one, could be read at the destination.

use hdrhistogram::Histogram;
use skyfresh_sky::Timestamp;
use std::time::Duration;

/// Delays are told apart up to this, in ms: a day.
const LONGEST_MS: u64 = 86_400_000;

/// One stretch of time.
#[derive(Clone, Debug)]
pub(crate) struct Stretch {
    /// Delays of changes made in it, ms.
    pub(crate) delays: Histogram<u64>,
    /// Most changes that waited at once.
    pub(crate) backlog: u64,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Delays {
    start: Timestamp,
    slo_ms: u64,
    met: u64,
    all: Histogram<u64>,
    stretch_ms: u64,
    stretches: Vec<Stretch>,
}

fn histogram(digits: u8) -> Histogram<u64> {
    // The bounds are constants that the crate accepts.
    Histogram::new_with_bounds(1, LONGEST_MS, digits).expect("bounds in order")
}

impl Delays {
    pub(crate) fn new(start: Timestamp, slo: Duration) -> Self {
        Delays {
            start,
            slo_ms: slo.as_millis() as u64,
            met: 0,
            all: histogram(3),
            stretch_ms: 10_000,
            stretches: Vec::new(),
        }
    }

    fn stretch(&mut self, at: Timestamp) -> &mut Stretch {
        let mut index = (at.since(self.start).as_millis() as u64 / self.stretch_ms) as usize;
        while index >= MOST_STRETCHES {
            self.widen();
            index /= 2;
        }
        while self.stretches.len() <= index {
            self.stretches.push(Stretch {
                delays: histogram(2),
                backlog: 0,
            });
        }
        &mut self.stretches[index]
    }

    /// Two stretches become one, so that a week takes no more memory than an hour.
    fn widen(&mut self) {
        self.stretch_ms *= 2;
        let pairs = std::mem::take(&mut self.stretches);
        let mut pairs = pairs.into_iter();
        while let Some(mut first) = pairs.next() {
            if let Some(second) = pairs.next() {
                first.delays.add(&second.delays).unwrap_or(());
                first.backlog = first.backlog.max(second.backlog);
            }
            self.stretches.push(first);
        }
    }

    pub(super) fn add(&mut self, from: Timestamp, to: Timestamp) {
        let ms = to.since(from).as_millis() as u64;
        self.met += u64::from(ms <= self.slo_ms);
        let ms = ms.clamp(1, LONGEST_MS);
        self.all.saturating_record(ms);
        self.stretch(from).delays.saturating_record(ms);
    }

    pub(super) fn backlog(&mut self, at: Timestamp, waiting: u64) {
        let stretch = self.stretch(at);
        stretch.backlog = stretch.backlog.max(waiting);
    }

    /// Changes that have arrived.
    pub(crate) fn count(&self) -> u64 {
        self.all.len()
    }

    /// A quantile in seconds, to a thousandth of its size; `None` where nothing has arrived.
    pub(crate) fn quantile_s(&self, quantile: f64) -> Option<f64> {
        (!self.all.is_empty()).then(|| self.all.value_at_quantile(quantile) as f64 / 1_000.0)
    }

    /// The share of `changes` that arrived in time.
    pub(crate) fn attainment(&self, changes: u64) -> Option<f64> {
        (changes > 0).then(|| self.met as f64 / changes as f64)
    }

    /// Stretches of equal length from the start, and that length in seconds.
    pub(crate) fn stretches(&self) -> (&[Stretch], f64) {
        (&self.stretches, self.stretch_ms as f64 / 1_000.0)
    }
}

/// Most stretches kept: as many as a picture can show.
const MOST_STRETCHES: usize = 720;
