//! Predictions at hand: each route's transfers are drawn once for every shape and for sizes a fifth apart, and looked up from
//! then on.

use super::ladder::{self, Ladder};
use super::transfer::{Asked, Shape, Tables, transfer};
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
    draws: usize,
    percentile: f64,
    drawn: HashMap<(Shape, u32), Arc<Drawn>>,
}

/// What is kept of the draws of one shape and size.
#[derive(Clone, Debug)]
struct Drawn {
    delay_s: Ladder,
    /// The error of the quantile that was asked for when drawing, as a share of it to both sides.
    error: f64,
    busy_s: f64,
    exposed_s: [f32; EXPOSURES],
    given_up_s: f64,
}

/// Equally likely times for which a transfer is exposed to changes of its source, that are kept of all that were drawn.
const EXPOSURES: usize = 16;

/// Draws beyond the percentile that is planned for: so many that its own error is about a fifth of the tail beyond it.
const DRAWS_BEYOND: f64 = 20.0;
/// With fewer draws beyond the percentile its error is not known.
const LEAST_BEYOND: f64 = 5.0;
/// Draws at least and at most. The most is reached at p99.9.
const DRAWS: (f64, f64) = (1_024.0, 16_384.0);
/// Tables kept of one route, of a kilobyte each. Then all are forgotten, and those still in use drawn again.
const MOST_TABLES: usize = 20_000;

/// What one transfer of one size takes, between the two sizes that were drawn.
#[derive(Clone, Debug)]
pub struct Predicted {
    below: Arc<Drawn>,
    above: Arc<Drawn>,
    /// 0: as `below`; 1: as `above`.
    fraction: f64,
}

impl Warm {
    /// Nothing drawn yet. Workers keep `parts_in_flight` parts on their way at once. There will be as many draws as the
    /// quantile at `percentile`, 0 to 1, needs.
    pub fn new(route: Route, parts_in_flight: u32, percentile: f64, seed: u64) -> Self {
        let draws = (DRAWS_BEYOND / (1.0 - percentile).max(1e-9)).clamp(DRAWS.0, DRAWS.1);
        Warm {
            tables: Tables::of(&route),
            route,
            seed,
            draws: draws as usize,
            percentile: percentile.clamp(0.0, 1.0),
            parts_in_flight: parts_in_flight.max(1),
            drawn: HashMap::new(),
        }
    }

    /// With so many draws, at least 2, whatever the percentile needs.
    pub fn with_draws(mut self, draws: usize) -> Self {
        self.draws = draws.max(2);
        self.drawn.clear();
        self
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

    fn at(&mut self, shape: Shape, step: u32, size_bytes: f64) -> Arc<Drawn> {
        if let Some(drawn) = self.drawn.get(&(shape, step)) {
            return Arc::clone(drawn);
        }
        if self.drawn.len() >= MOST_TABLES {
            self.drawn.clear();
        }
        let transfer = transfer(Asked {
            route: &self.route,
            tables: &self.tables,
            shape,
            size_bytes: size_bytes.round() as u64,
            parts_in_flight: self.parts_in_flight,
            draws: self.draws,
            seed: self.seed,
        });
        let beyond = transfer.delay_s.values().len() as f64 * (1.0 - self.percentile);
        let (low, high) = transfer.delay_s.interval(self.percentile);
        let error = (high - low) / 2.0 / transfer.delay_s.quantile(self.percentile);
        let drawn = Arc::new(Drawn {
            error: if beyond < LEAST_BEYOND {
                1.0
            } else {
                error.min(1.0)
            },
            delay_s: Ladder::of(&transfer.delay_s),
            busy_s: transfer.busy_s,
            exposed_s: std::array::from_fn(|index| {
                let middle = (index as f64 + 0.5) / EXPOSURES as f64;
                transfer.exposed_s.quantile(middle) as f32
            }),
            given_up_s: transfer.given_up_s,
        });
        self.drawn.insert((shape, step), Arc::clone(&drawn));
        drawn
    }
}

impl Predicted {
    fn value(&self, rung: usize) -> f64 {
        let (below, above) = (
            self.below.delay_s.value(rung),
            self.above.delay_s.value(rung),
        );
        below + (above - below) * self.fraction
    }

    /// The delay in seconds that a share `p` of transfers does not exceed, before anything learnt.
    pub fn quantile(&self, p: f64) -> f64 {
        ladder::quantile(p, |rung| self.value(rung))
    }

    /// The share of transfers that take no longer than this, before anything learnt.
    pub fn cdf(&self, delay_s: f64) -> f64 {
        ladder::cdf(delay_s, |rung| self.value(rung))
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

    /// Seconds from the decision until the last read has begun, each as likely as the others, before anything learnt: a change
    /// of the source until then makes the copy begin again, unless older versions are kept.
    pub fn exposed_s(&self) -> impl Iterator<Item = f64> + '_ {
        let both = self.below.exposed_s.iter().zip(&self.above.exposed_s);
        both.map(|(below, above)| {
            let (below_s, above_s) = (f64::from(*below), f64::from(*above));
            below_s + (above_s - below_s) * self.fraction
        })
    }

    /// Mean of the seconds from finding out that the source has changed until the copy begins again, before anything learnt.
    pub fn given_up_s(&self) -> f64 {
        self.below.given_up_s
    }

    /// How far the model's true quantile at the percentile planned for may lie from the predicted one, to both sides, since it
    /// was drawn and not computed: a share of it, with 95% confidence. 1 where so few draws lie beyond that it is not known.
    pub fn error(&self) -> f64 {
        self.below.error.max(self.above.error)
    }
}
