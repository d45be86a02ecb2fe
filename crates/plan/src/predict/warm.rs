//! Predictions at hand: each route's transfers are drawn once for every shape and for sizes a fifth apart, and looked up from
//! then on.

use super::transfer::{Shape, Tables, Transfer, transfer};
use super::{Residuals, Route};
use std::collections::HashMap;
use std::sync::Arc;

/// Sizes between two of these steps are interpolated: a step is a factor of 2^(1/4).
const STEPS_PER_DOUBLING: f64 = 4.0;

/// The predictions of one route.
#[derive(Debug)]
pub struct Warm {
    route: Route,
    tables: Tables,
    seed: u64,
    parts_in_flight: u32,
    drawn: HashMap<(Shape, u32), Arc<Transfer>>,
}

/// What one transfer of one size takes, between the two sizes that were drawn.
#[derive(Clone, Debug)]
pub struct Predicted {
    below: Arc<Transfer>,
    above: Arc<Transfer>,
    /// 0: as `below`; 1: as `above`.
    fraction: f64,
}

impl Warm {
    /// Nothing drawn yet. Workers keep `parts_in_flight` parts on their way at once.
    pub fn new(route: Route, parts_in_flight: u32, seed: u64) -> Self {
        Warm {
            tables: Tables::of(&route),
            route,
            seed,
            parts_in_flight: parts_in_flight.max(1),
            drawn: HashMap::new(),
        }
    }

    /// The route that is predicted.
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// What a transfer takes. The first of a shape and about a size is drawn, in milliseconds (hundreds of them for hundreds
    /// of workers); later ones are looked up.
    pub fn predict(&mut self, shape: Shape, size_bytes: u64) -> Predicted {
        let exact = libm::log2(size_bytes.max(1) as f64) * STEPS_PER_DOUBLING;
        let step = exact.floor().max(0.0) as u32;
        let size_at = |step: u32| libm::exp2(f64::from(step) / STEPS_PER_DOUBLING);
        let (low, high) = (size_at(step), size_at(step + 1));
        let fraction = ((size_bytes as f64 - low) / (high - low)).clamp(0.0, 1.0);
        Predicted {
            below: self.at(shape, step, low),
            above: self.at(shape, step + 1, high),
            fraction,
        }
    }

    fn at(&mut self, shape: Shape, step: u32, size_bytes: f64) -> Arc<Transfer> {
        let (route, tables) = (&self.route, &self.tables);
        let (in_flight, seed) = (self.parts_in_flight, self.seed);
        let draw = || {
            let size_bytes = size_bytes.round() as u64;
            Arc::new(transfer(route, tables, shape, size_bytes, in_flight, seed))
        };
        Arc::clone(self.drawn.entry((shape, step)).or_insert_with(draw))
    }
}

impl Predicted {
    fn values(&self) -> (&[f64], &[f64]) {
        (self.below.delay_s.values(), self.above.delay_s.values())
    }

    /// The value of one rank: both tables have as many draws, and the same ones.
    fn value(&self, rank: usize) -> f64 {
        let (below, above) = self.values();
        below[rank] + (above[rank] - below[rank]) * self.fraction
    }

    /// The delay in seconds that a share `p` of transfers does not exceed, before anything learnt.
    pub fn quantile(&self, p: f64) -> f64 {
        let count = self.values().0.len();
        let rank = (p.clamp(0.0, 1.0) * count as f64).ceil() as usize;
        self.value(rank.clamp(1, count) - 1)
    }

    /// The share of transfers that take no longer than this, before anything learnt.
    pub fn cdf(&self, delay_s: f64) -> f64 {
        let count = self.values().0.len();
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.value(middle) <= delay_s {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low as f64 / count as f64
    }

    /// Half of the transfers are faster, in seconds, before anything learnt: what receipts are compared with.
    pub fn median_s(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The same with what receipts have taught.
    pub fn learned_cdf(&self, learned: &Residuals, delay_s: f64) -> f64 {
        learned.cdf(delay_s / self.median_s(), |ratio| {
            self.cdf(ratio * self.median_s())
        })
    }

    /// The same with what receipts have taught, in seconds.
    pub fn learned_quantile(&self, learned: &Residuals, p: f64) -> f64 {
        let median_s = self.median_s();
        let ratio = learned.quantile(
            p,
            |p| self.quantile(p) / median_s,
            |ratio| self.cdf(ratio * median_s),
        );
        ratio * median_s
    }

    /// Mean of the seconds that all workers run, together.
    pub fn busy_s(&self) -> f64 {
        self.below.busy_s + (self.above.busy_s - self.below.busy_s) * self.fraction
    }

    /// Where the true quantile of the model lies with 95% confidence, given that it was drawn and not computed; in seconds.
    pub fn interval(&self, p: f64) -> (f64, f64) {
        let between = |low: f64, high: f64| low + (high - low) * self.fraction;
        let (below, above) = (
            self.below.delay_s.interval(p),
            self.above.delay_s.interval(p),
        );
        (between(below.0, above.0), between(below.1, above.1))
    }
}
