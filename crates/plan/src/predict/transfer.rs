//! One transfer, drawn many times: from the decision until the object is readable at the destination.

use super::draws::{BITS, Draws};
use super::finish::{Dispatch, Schedule, Worker, schedule};
use super::{Family, Route, Samples};
use serde::{Deserialize, Serialize};
use skyfresh_sky::{Distribution, Rng};
use std::cell::Cell;

/// How bytes travel through workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// One GET into one PUT.
    Inline,
    /// Parts, each of so many bytes but the last, pulled by so many workers.
    Parts {
        /// Workers.
        workers: u32,
        /// Bytes of a part.
        part_bytes: u64,
    },
}

impl Shape {
    /// Parts that an object of this size has; 1 inline.
    pub fn parts(self, size_bytes: u64) -> u64 {
        match self {
            Shape::Inline => 1,
            Shape::Parts { part_bytes, .. } => size_bytes.div_ceil(part_bytes.max(1)).max(1),
        }
    }

    /// Whether there is an upload of parts.
    pub fn is_parts(self) -> bool {
        matches!(self, Shape::Parts { .. })
    }

    /// Workers; 1 inline.
    pub fn workers(self) -> u32 {
        match self {
            Shape::Inline => 1,
            Shape::Parts { workers, .. } => workers,
        }
    }
}

/// What a transfer of one shape and size takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Transfer {
    /// From the decision until the object is readable at the destination, in seconds.
    pub delay_s: Samples,
    /// Mean of the seconds that all workers run, together.
    pub busy_s: f64,
    /// Seconds from the decision until the last part's read has begun: a change of the source until then makes the copy begin
    /// again, unless older versions are kept.
    pub exposed_s: Samples,
    /// Mean of the seconds from finding out that the source has changed until the copy begins again.
    pub given_up_s: f64,
}

/// Objects up to this size are read while the destination's head is asked for (`engine/src/carry.rs`).
const READ_AT_ONCE_BYTES: u64 = 256 << 10;
/// A part is duplicated when it is so many times older than parts usually get, and no younger than this
/// (`engine/src/copy/worker.rs`).
const STRAGGLER_FACTOR: f64 = 3.0;
const STRAGGLER_LEAST_S: f64 = 0.5;
/// Operations on the ledger before workers are called: the intent, the upload, the attempt, the pool (`engine/src/carry.rs`).
const LEDGER_BEFORE: f64 = 4.0;
/// Operations on the ledger for a part: claimed, finished.
const LEDGER_A_PART: f64 = 2.0;
/// Operations on the ledger to forget an attempt: its pool, its intent, the attempt (`engine/src/attempt.rs`).
const LEDGER_FORGOTTEN: f64 = 3.0;
/// The pause before a copy begins again whose source has changed, in seconds: 40, 80, 160 ms, then a retry's 100 ms and more
/// (`engine/src/carry.rs`, `engine/src/backoff.rs`).
const PAUSE_S: f64 = 0.1;
/// Beyond so many slots fewer draws are made, down to so many: the last of many parts varies less from draw to draw.
const MANY_SLOTS: usize = 64;
const LEAST_DRAWS: usize = 512;

/// The distributions of a route, ready to be drawn from.
#[derive(Debug)]
pub(super) struct Tables {
    start_s: Draws,
    read_mb_per_s: Draws,
    write_mb_per_s: Draws,
    answer_s: Draws,
    answer_mean_s: f64,
    ledger_s: Draws,
}

impl Tables {
    pub(super) fn of(route: &Route) -> Self {
        let seconds = |ms: &Distribution| {
            let Draws(values) = Draws::of(ms, 0.0);
            Draws(values.into_iter().map(|ms| ms / 1_000.0).collect())
        };
        let answer_s = seconds(&route.store_answer_ms);
        Tables {
            answer_mean_s: answer_s.mean(),
            start_s: Draws::of(&route.start_s, 0.0),
            read_mb_per_s: Draws::of(&route.read_mb_per_s, 0.01),
            write_mb_per_s: Draws::of(&route.write_mb_per_s, 0.01),
            answer_s,
            ledger_s: seconds(&route.ledger_ms),
        }
    }
}

/// What is to be drawn, how often, and by which seed.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) route: &'a Route,
    pub(super) tables: &'a Tables,
    pub(super) shape: Shape,
    pub(super) size_bytes: u64,
    /// Of one worker.
    pub(super) parts_in_flight: u32,
    pub(super) draws: usize,
    pub(super) seed: u64,
}

/// Everything one draw needs.
struct Drawing<'a> {
    route: &'a Route,
    tables: &'a Tables,
    rng: Rng,
    /// Random bits not yet used, and how many.
    bits: Cell<(u64, u32)>,
}

impl Drawing<'_> {
    fn pick(&self, draws: &Draws) -> f64 {
        if draws.is_constant() {
            return draws.pick(0);
        }
        let (mut bits, mut left) = self.bits.get();
        if left < BITS {
            (bits, left) = (self.rng.u64(), u64::BITS);
        }
        self.bits.set((bits >> BITS, left - BITS));
        draws.pick(bits)
    }

    /// A request to the source's store, and one to the destination's.
    fn request_s(&self) -> (f64, f64) {
        let (read, write) = (&self.route.read, &self.route.write);
        (
            read.round_trip_ms / 1_000.0 + self.pick(&self.tables.answer_s),
            write.round_trip_ms / 1_000.0 + self.pick(&self.tables.answer_s),
        )
    }

    /// Both heads, asked for at the same time.
    fn heads_s(&self) -> f64 {
        let (read_s, write_s) = self.request_s();
        read_s.max(write_s)
    }

    /// An instance: when it begins, and what one stream through it carries, in 10⁶ bytes a second.
    /// `streams` share what the host has.
    fn instance(&self, streams: f64) -> (f64, f64) {
        let start_s = self.pick(&self.tables.start_s);
        let reads = self
            .pick(&self.tables.read_mb_per_s)
            .min(self.route.read.connection_mb_per_s);
        let writes = self
            .pick(&self.tables.write_mb_per_s)
            .min(self.route.write.connection_mb_per_s);
        let share = self.route.host_mb_per_s / streams.max(1.0);
        (start_s, reads.min(writes).min(share))
    }

    fn inline(&self, size_bytes: u64) -> Schedule {
        let (start_s, mb_per_s) = self.instance(1.0);
        let (read_s, write_s) = self.request_s();
        let heads_s = self.heads_s();
        // What is read at once is not looked at before.
        let (again_s, last_begun_s) = if size_bytes > READ_AT_ONCE_BYTES {
            (read_s, start_s + heads_s + read_s)
        } else {
            (0.0, 0.0)
        };
        let busy_s = heads_s + again_s + size_bytes as f64 / 1e6 / mb_per_s + write_s;
        Schedule {
            finish_s: start_s + busy_s,
            busy_s,
            last_begun_s,
        }
    }

    fn before_parts_s(&self) -> f64 {
        self.heads_s() + self.request_s().1 + LEDGER_BEFORE * self.pick(&self.tables.ledger_s)
    }

    /// Seconds of a worker's part. Requests differ from part to part: over `each` of them their mean varies so much less.
    fn part_s(&self, mb_per_s: f64, part_bytes: u64, each: f64) -> f64 {
        let usual_s = self.tables.answer_mean_s * 2.0;
        let legs_s = (self.route.read.round_trip_ms + self.route.write.round_trip_ms) / 1_000.0;
        let drawn_s = self.pick(&self.tables.answer_s) + self.pick(&self.tables.answer_s);
        let answers_s = usual_s + (drawn_s - usual_s) / each.max(1.0).sqrt();
        let ledger_s = LEDGER_A_PART * self.pick(&self.tables.ledger_s);
        legs_s + answers_s.max(0.0) + ledger_s + part_bytes as f64 / 1e6 / mb_per_s
    }
}

/// What a transfer takes. The seed decides every draw; the n-th worker of a draw is the
/// same however many there are, so that more workers are compared with fewer and not with others.
pub(super) fn transfer(asked: Asked<'_>) -> Transfer {
    let Asked {
        route,
        tables,
        shape,
        size_bytes,
        parts_in_flight,
        draws,
        seed,
    } = asked;
    let slots = shape.workers() as usize * parts_in_flight.max(1) as usize;
    let draws = match slots {
        ..=MANY_SLOTS => draws,
        _ => (draws * MANY_SLOTS / slots).max(draws.min(LEAST_DRAWS)),
    };
    let mut delays_s = Vec::with_capacity(draws);
    // A part's claim, and its read until the source's answer is there. Not drawn: that would move every other draw.
    let opened_s =
        tables.ledger_s.mean() + route.read.round_trip_ms / 1_000.0 + tables.answer_mean_s;
    let mut exposed_s = Vec::with_capacity(draws);
    let mut busy_s = 0.0;
    let mut workers = Vec::with_capacity(slots);
    for draw in 0..draws {
        let drawing = Drawing {
            route,
            tables,
            rng: Rng::seeded(seed ^ (draw as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            bits: Cell::default(),
        };
        let drawn = match shape {
            Shape::Inline => drawing.inline(size_bytes),
            Shape::Parts {
                workers: count,
                part_bytes,
            } => {
                let parts = shape.parts(size_bytes);
                let part_bytes = part_bytes.min(size_bytes.max(1));
                let (before_s, publish_s) = (drawing.before_parts_s(), drawing.request_s().1);
                let each = parts as f64 / slots as f64;
                let streams = (slots as u64).min(parts) as f64;
                workers.clear();
                for _ in 0..count {
                    let (start_s, mb_per_s) = drawing.instance(streams);
                    for _ in 0..parts_in_flight.max(1) {
                        let part_s = drawing.part_s(mb_per_s, part_bytes, each);
                        workers.push(Worker { start_s, part_s });
                    }
                }
                let usual_s = workers.iter().map(|w| w.part_s).sum::<f64>() / slots as f64;
                let after_s = (STRAGGLER_FACTOR * usual_s).max(STRAGGLER_LEAST_S);
                let pulled = schedule(&workers, parts, Dispatch::PullAndDuplicate { after_s });
                Schedule {
                    finish_s: before_s + pulled.finish_s + publish_s,
                    busy_s: pulled.busy_s / f64::from(parts_in_flight.max(1)) + publish_s,
                    last_begun_s: before_s + pulled.last_begun_s + opened_s,
                }
            }
        };
        delays_s.push(drawn.finish_s);
        busy_s += drawn.busy_s;
        exposed_s.push(drawn.last_begun_s);
    }
    let delay_s = Samples::new(delays_s);
    let busy_s = busy_s / draws as f64;
    let delay_s = match route.family {
        Family::Measured => delay_s,
        Family::NormalGumbel => normal_gumbel(Asked { draws, ..asked }),
    };
    Transfer {
        delay_s,
        busy_s,
        exposed_s: Samples::new(exposed_s),
        given_up_s: given_up_s(route, tables, shape),
    }
}

/// Until a copy begins again whose source has changed: an upload is discarded and forgotten, and a pause made.
fn given_up_s(route: &Route, tables: &Tables, shape: Shape) -> f64 {
    let discarded_s = match shape {
        Shape::Inline => 0.0,
        Shape::Parts { .. } => {
            let request_s = route.write.round_trip_ms / 1_000.0 + tables.answer_mean_s;
            request_s + LEDGER_FORGOTTEN * tables.ledger_s.mean()
        }
    };
    discarded_s + PAUSE_S
}

/// λReplica's model: the time of one worker is Normal; n workers get equal shares, and the last of n Normals is Gumbel, with
/// the constants of extreme value theory: location `μ + σ b`, scale `σ / b'` (Fisher and Tippett 1928; Cramér 1946, 28.6),
/// where `b = √(2 ln n) − (ln ln n + ln 4π) / (2 √(2 ln n))` and `b' = √(2 ln n)`.
fn normal_gumbel(asked: Asked<'_>) -> Samples {
    let (shape, size_bytes, draws) = (asked.shape, asked.size_bytes, asked.draws);
    let drawing = Drawing {
        route: asked.route,
        tables: asked.tables,
        rng: Rng::named(asked.seed, "moments"),
        bits: Cell::default(),
    };
    let slots = u64::from(shape.workers()) * u64::from(asked.parts_in_flight.max(1));
    let slots = slots.min(shape.parts(size_bytes));
    let one = || match shape {
        Shape::Inline => (0.0, drawing.inline(size_bytes).finish_s),
        Shape::Parts { part_bytes, .. } => {
            let each = shape.parts(size_bytes).div_ceil(slots) as f64;
            let (start_s, mb_per_s) = drawing.instance(slots as f64);
            let part_s = drawing.part_s(mb_per_s, part_bytes.min(size_bytes.max(1)), each);
            let around_s = drawing.before_parts_s() + drawing.request_s().1;
            (around_s, start_s + each * part_s)
        }
    };
    let drawn: Vec<(f64, f64)> = (0..draws).map(|_| one()).collect();
    let moments = |of: fn(&(f64, f64)) -> f64| {
        let mean = drawn.iter().map(of).sum::<f64>() / draws as f64;
        let square = |value: f64| (value - mean) * (value - mean);
        let variance = drawn.iter().map(|pair| square(of(pair))).sum::<f64>() / draws as f64;
        (mean, variance.sqrt())
    };
    let ((around_s, around_sd), (mean, sd)) = (moments(|pair| pair.0), moments(|pair| pair.1));
    let of = if slots < 2 {
        Distribution::Normal {
            mean: around_s + mean,
            sd: (sd * sd + around_sd * around_sd).sqrt(),
        }
    } else {
        let root = (2.0 * libm::log(slots as f64)).sqrt();
        let second = libm::log(libm::log(slots as f64)) + libm::log(4.0 * std::f64::consts::PI);
        Distribution::Gumbel {
            location: around_s + mean + sd * (root - second / (2.0 * root)),
            scale: sd / root,
        }
    };
    let at = |point: usize| of.quantile((point as f64 + 0.5) / draws as f64).max(0.0);
    Samples::new((0..draws).map(at).collect())
}
