//! Many time series whose decompositions are the features: each new stretch of points is compared with what the stored
//! decomposition forecast for it.

use super::{Key, Loss, Query, Workload, shuffled};
use crate::function::Decomposition;
use crate::{Error, Result};
use skyfresh_sky::{Invalid, Rng};
use std::sync::OnceLock;

/// How series are cut into points, seasons and steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grain {
    /// Seconds from point to point; what a file has in between is averaged.
    pub interval_s: u32,
    /// Points in a season.
    pub period: usize,
    /// Points that are decomposed.
    pub window: usize,
    /// Points that arrive in a step.
    pub step: usize,
    /// Points of a key: longer series become several keys.
    pub length: usize,
    /// Keys made of one series at most.
    pub keys_per_series: usize,
}

impl Grain {
    /// An hour a point, a point a step; seasons of a day, windows of three, keys of two weeks.
    pub const HOURLY: Grain = Grain {
        interval_s: 3_600,
        period: 24,
        window: 72,
        step: 1,
        length: 336,
        keys_per_series: 3,
    };
    /// Five minutes a point, two hours a step; seasons of a day, windows of three (as in the thesis, §2.5.2), keys of two weeks.
    pub const FIVE_MINUTES: Grain = Grain {
        interval_s: 300,
        period: 288,
        window: 864,
        step: 24,
        length: 4_032,
        keys_per_series: 3,
    };
}

/// Who asks for which key in a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Queries {
    /// Every key, once.
    #[default]
    Uniform,
    /// Each key with probability one half.
    Bernoulli,
    /// Half as many queries as keys; the key of rank r is asked 1/r as often as the first. Ranks are drawn once.
    Zipf,
}

impl Queries {
    /// All kinds.
    pub const ALL: [Queries; 3] = [Queries::Uniform, Queries::Bernoulli, Queries::Zipf];

    /// As on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Queries::Uniform => "uniform",
            Queries::Bernoulli => "bernoulli",
            Queries::Zipf => "zipf",
        }
    }
}

impl std::str::FromStr for Queries {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let found = Queries::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| Invalid::new("queries", text, "give uniform, bernoulli or zipf"))
    }
}

struct Series {
    points: Vec<f64>,
    /// The naive forecast's mean error: today as yesterday.
    scale: f64,
    /// The decomposition after so many steps, once it was needed.
    features: Vec<OnceLock<Option<Decomposition>>>,
}

/// See the module. Decompositions are made when first needed and kept, so that trials after the first are fast.
pub struct SeriesWorkload {
    grain: Grain,
    queries: Queries,
    series: Vec<Series>,
    steps: usize,
    /// Cumulative query weights, and the key of each rank.
    ranks: (Vec<f64>, Vec<Key>),
}

impl std::fmt::Debug for SeriesWorkload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SeriesWorkload({})", self.name())
    }
}

impl SeriesWorkload {
    /// Cuts series (values at equal intervals of the grain) into keys. Those too short, or in which today is always as yesterday,
    /// so that errors have no scale, are left out.
    ///
    /// # Errors
    /// None is left.
    pub fn new(named: &[(String, Vec<f64>)], grain: Grain, queries: Queries) -> Result<Self> {
        let mut series = Vec::new();
        for (_, values) in named {
            let stretches = values
                .chunks_exact(grain.length)
                .take(grain.keys_per_series);
            series.extend(stretches.filter_map(|points| Series::new(points, &grain)));
        }
        if series.is_empty() {
            let why = format!(
                "no series has {} points that vary at {} s from point to point",
                grain.length, grain.interval_s
            );
            return Err(Error::invalid("read series", "data", why));
        }
        let count = series.len();
        let mut sum = 0.0;
        let weights = (1..=count).map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        });
        let ranks = (weights.collect(), shuffled(count, &Rng::named(0, "ranks")));
        Ok(SeriesWorkload {
            grain,
            queries,
            series,
            steps: (grain.length - grain.window) / grain.step,
            ranks,
        })
    }

    /// The same series under other queries; what was decomposed is kept.
    pub fn with_queries(self, queries: Queries) -> Self {
        SeriesWorkload { queries, ..self }
    }

    fn feature(&self, key: Key, records: u32) -> Option<&Decomposition> {
        let (series, grain) = (&self.series[key as usize], &self.grain);
        let records = records as usize;
        let made = series.features[records].get_or_init(|| {
            let end = grain.window + records * grain.step;
            Decomposition::of(&series.points[end - grain.window..end], grain.period).ok()
        });
        made.as_ref()
    }
}

impl Series {
    fn new(points: &[f64], grain: &Grain) -> Option<Self> {
        let differences = points.iter().zip(&points[grain.period..]);
        let sum: f64 = differences.map(|(before, now)| (now - before).abs()).sum();
        let scale = sum / (points.len() - grain.period) as f64;
        let steps = (points.len() - grain.window) / grain.step;
        (scale > 0.0 && scale.is_finite()).then(|| Series {
            points: points.to_vec(),
            scale,
            features: (0..=steps).map(|_| OnceLock::new()).collect(),
        })
    }
}

impl Workload for SeriesWorkload {
    fn name(&self) -> String {
        format!(
            "{} series of {} points, {} s each, {} queries",
            self.series.len(),
            self.grain.length,
            self.grain.interval_s,
            self.queries.as_str()
        )
    }

    fn keys(&self) -> usize {
        self.series.len()
    }

    fn steps(&self) -> usize {
        self.steps
    }

    fn warm(&self, _: Key) -> Option<u32> {
        Some(0)
    }

    fn arrivals(&self, _: usize, into: &mut Vec<(Key, u32)>) {
        into.extend((0..self.series.len() as Key).map(|key| (key, 1)));
    }

    fn queries(&self, _: usize, rng: &Rng, into: &mut Vec<Query>) {
        let count = self.series.len();
        let ask = |key| Query { key, item: 0 };
        match self.queries {
            Queries::Uniform => into.extend((0..count as Key).map(ask)),
            Queries::Bernoulli => {
                into.extend((0..count as Key).filter(|_| rng.chance(0.5)).map(ask));
            }
            Queries::Zipf => {
                let (weights, order) = &self.ranks;
                let all = weights.last().copied().unwrap_or(0.0);
                for _ in 0..count.div_ceil(2) {
                    let drawn = rng.unit() * all;
                    let rank = weights.partition_point(|sum| *sum <= drawn).min(count - 1);
                    into.push(ask(order[rank]));
                }
            }
        }
    }

    fn loss(&self, query: Query, records: Option<u32>, step: usize) -> Loss {
        let (series, grain) = (&self.series[query.key as usize], &self.grain);
        let records = records.unwrap_or(0);
        let Some(feature) = self.feature(query.key, records) else {
            return Loss::default();
        };
        let first = grain.window + step * grain.step;
        let seen = grain.window + records as usize * grain.step;
        let mut loss = Loss::default();
        for (index, value) in series.points[first..first + grain.step].iter().enumerate() {
            let ahead = first + index + 1 - seen;
            let error = (value - feature.forecast(ahead)).abs() / series.scale;
            loss.scaled += error;
            loss.squared += error * error;
        }
        let points = grain.step as f64;
        Loss {
            scaled: loss.scaled / points,
            squared: loss.squared / points,
        }
    }
}
