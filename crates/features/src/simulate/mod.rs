//! What an order of updates would have been worth on a log: the log is replayed, offline, under each policy and budget.
//!
//! **In:** a [`Workload`] (data, queries, and how wrong a feature of any age would have been), a [`Trial`]. **Out:** a [`Row`].
//! **Never:** lets a policy see what it could not have known: a step's errors are reported after its queries, and its data is
//! there after its errors (test, then train).

mod load;
mod picture;
mod ratings;
mod series;

#[cfg(test)]
mod tests;

pub use load::{load_ratings, load_series};
pub use picture::picture;
pub use ratings::{RatingShape, Ratings};
pub use series::{Grain, Queries, SeriesWorkload};

use crate::scheduler::{Feedback, Key, KeyScheduler, Options, PolicyName, Scheduler, Stats};
use serde::Serialize;
use skyfresh_sky::{Invalid, Rng};
use std::collections::VecDeque;

/// How wrong a prediction was.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Loss {
    /// Absolute error over the error of a naive forecast (MASE; Hyndman and Koehler, Int. J. Forecasting 22, 2006).
    pub scaled: f64,
    /// Squared error, over the square of the same.
    pub squared: f64,
}

/// One query of a key's feature, whose error will be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// The key.
    pub key: Key,
    /// What is asked, where it matters: the place in the workload's log.
    pub item: u32,
}

/// A log that can be replayed.
pub trait Workload: Sync {
    /// What it is, for headings.
    fn name(&self) -> String;

    /// How many keys: `0..keys`.
    fn keys(&self) -> usize;

    /// How many steps.
    fn steps(&self) -> usize;

    /// Records that the key's feature has before the first step; `None` where it has no feature.
    fn warm(&self, key: Key) -> Option<u32>;

    /// The keys for which records arrive in this step, and how many.
    fn arrivals(&self, step: usize, into: &mut Vec<(Key, u32)>);

    /// The queries of this step.
    fn queries(&self, step: usize, rng: &Rng, into: &mut Vec<Query>);

    /// The error of a query in this step answered by the feature of the key's first `records` records.
    fn loss(&self, query: Query, records: Option<u32>, step: usize) -> Loss;
}

/// A policy, or a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum Contender {
    /// A policy, within the budget.
    Policy(PolicyName),
    /// Every key with new data in every step, whatever the budget.
    #[serde(rename = "update-all")]
    UpdateAll,
    /// No key, ever.
    #[serde(rename = "update-none")]
    UpdateNone,
}

impl Contender {
    /// As on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Contender::Policy(name) => name.as_str(),
            Contender::UpdateAll => "update-all",
            Contender::UpdateNone => "update-none",
        }
    }
}

impl std::str::FromStr for Contender {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "update-all" => Ok(Contender::UpdateAll),
            "update-none" => Ok(Contender::UpdateNone),
            _ => text.parse().map(Contender::Policy),
        }
    }
}

/// What to replay a log under.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    /// Who decides.
    pub contender: Contender,
    /// Updates per key that has new data, 0 to 1: 1 is enough for all.
    pub budget: f64,
    /// Decides queries and what a policy draws. Equals come in the order of their keys under every seed: where neither is drawn, as under
    /// uniform queries with a policy that is not random, all seeds give one row.
    pub seed: u64,
    /// Steps until an error is reported.
    pub delay_steps: usize,
    /// How the scheduler goes about it; `None`: the policy's defaults.
    pub options: Option<Options>,
}

/// What came of a [`Trial`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The policy.
    pub policy: &'static str,
    /// The trial's budget.
    pub budget: f64,
    /// The trial's seed.
    pub seed: u64,
    /// Mean scaled absolute error over all queries.
    pub mase: f64,
    /// Mean scaled squared error over all queries.
    pub mse: f64,
    /// Scaled absolute error, summed over all queries, beyond that of updating everything; can be negative.
    pub regret: f64,
    /// Steps since the update, mean over keys with a feature and steps.
    pub staleness_mean: f64,
    /// Keys that got data and never an update.
    pub starved: usize,
    /// Updates made.
    pub updates: u64,
    /// The longest time in steps that a key with new data had not been updated.
    #[serde(skip)]
    pub staleness_max: u64,
    /// Queries.
    #[serde(skip)]
    pub queries: u64,
}

/// Replays the log. `baseline` is the summed loss of updating everything ([`baseline`]), from which regret is counted.
pub fn run(workload: &dyn Workload, trial: &Trial, baseline: f64) -> (Row, Stats) {
    let mut replay = Replay::new(workload, trial);
    for step in 0..workload.steps() {
        replay.step(step);
    }
    replay.finish(baseline)
}

/// The summed scaled loss of updating everything under this seed.
pub fn baseline(workload: &dyn Workload, seed: u64) -> f64 {
    let trial = Trial {
        contender: Contender::UpdateAll,
        budget: 1.0,
        seed,
        delay_steps: 0,
        options: None,
    };
    let (row, _) = run(workload, &trial, 0.0);
    row.regret
}

struct Replay<'a> {
    workload: &'a dyn Workload,
    trial: Trial,
    scheduler: KeyScheduler,
    rng: Rng,
    /// The workload's key → the scheduler's, and back.
    alias: Vec<Key>,
    original: Vec<Key>,
    /// Records that arrived, and those in the feature.
    arrived: Vec<u32>,
    featured: Vec<Option<u32>>,
    updated_step: Vec<u64>,
    touched: Vec<bool>,
    reports: VecDeque<(usize, Key, Feedback)>,
    credit: f64,
    a_step: f64,
    sum: Loss,
    queries: u64,
    updates: u64,
    staleness_sum: f64,
    staleness_count: u64,
    staleness_max: u64,
}

impl<'a> Replay<'a> {
    fn new(workload: &'a dyn Workload, trial: &Trial) -> Self {
        let keys = workload.keys();
        // Queries are the same for every policy under one seed; what a policy draws is a stream of its own.
        let rng = Rng::named(trial.seed, "queries");
        let name = match trial.contender {
            Contender::Policy(name) => name,
            Contender::UpdateAll | Contender::UpdateNone => PolicyName::RoundRobin,
        };
        let options = trial.options.unwrap_or_else(|| name.default_options());
        let policy = name.policy(&options, &Rng::named(trial.seed, "policy"));
        let alias = shuffled(keys, &Rng::named(trial.seed, "order"));
        let mut original = vec![0; keys];
        for (key, alias) in alias.iter().enumerate() {
            original[*alias as usize] = key as Key;
        }
        let mut scheduler = KeyScheduler::new(policy, options);
        let mut featured = vec![None; keys];
        let mut arrived = vec![0; keys];
        // In the seed's order: keys that are equal are taken in the order in which they came.
        for (alias, key) in original.iter().enumerate() {
            if let Some(records) = workload.warm(*key) {
                scheduler.restore(alias as Key, 1, -1.0, u64::from(records));
                featured[*key as usize] = Some(records);
                arrived[*key as usize] = records;
            }
        }
        let mut replay = Replay {
            workload,
            trial: *trial,
            scheduler,
            rng,
            alias,
            original,
            arrived,
            featured,
            updated_step: vec![0; keys],
            touched: vec![false; keys],
            reports: VecDeque::new(),
            credit: 0.0,
            a_step: 0.0,
            sum: Loss::default(),
            queries: 0,
            updates: 0,
            staleness_sum: 0.0,
            staleness_count: 0,
            staleness_max: 0,
        };
        replay.a_step = replay.updates_a_step();
        replay
    }

    /// Mean number of keys that get data in a step, times the budget.
    fn updates_a_step(&self) -> f64 {
        let (mut all, mut arrivals) = (0, Vec::new());
        for step in 0..self.workload.steps() {
            arrivals.clear();
            self.workload.arrivals(step, &mut arrivals);
            all += arrivals.len();
        }
        self.trial.budget * all as f64 / self.workload.steps().max(1) as f64
    }

    fn step(&mut self, step: usize) {
        let now = step as f64;
        let mut queries = Vec::new();
        self.workload.queries(step, &self.rng, &mut queries);
        for query in queries {
            self.ask(query, step);
        }
        while let Some((due, key, feedback)) = self.reports.front().copied() {
            if due > step {
                break;
            }
            self.reports.pop_front();
            self.scheduler.feedback(key, feedback, now);
        }
        let mut arrivals = Vec::new();
        self.workload.arrivals(step, &mut arrivals);
        arrivals.sort_by_key(|(key, _)| self.alias[*key as usize]);
        for (key, records) in arrivals {
            self.arrived[key as usize] += records;
            self.scheduler.data(self.alias[key as usize], records, now);
        }
        self.update(step);
        for key in 0..self.featured.len() {
            if let Some(records) = self.featured[key] {
                let staleness = match self.arrived[key] > records {
                    true => step as u64 + 1 - self.updated_step[key],
                    false => 0,
                };
                self.staleness_sum += staleness as f64;
                self.staleness_count += 1;
                self.staleness_max = self.staleness_max.max(staleness);
            }
        }
    }

    fn ask(&mut self, query: Query, step: usize) {
        let index = query.key as usize;
        let loss = self.workload.loss(query, self.featured[index], step);
        self.sum.scaled += loss.scaled;
        self.sum.squared += loss.squared;
        self.queries += 1;
        let key = self.alias[index];
        self.scheduler.query(key, step as f64);
        let version = self.scheduler.key(key).map_or(0, |state| state.version);
        let feedback = Feedback {
            version,
            error: loss.scaled,
            queried_at: step as f64,
        };
        let due = step + self.trial.delay_steps;
        self.reports.push_back((due, key, feedback));
    }

    fn update(&mut self, step: usize) {
        let now = step as f64;
        self.credit += match self.trial.contender {
            Contender::Policy(_) => self.a_step,
            Contender::UpdateAll => f64::INFINITY,
            Contender::UpdateNone => 0.0,
        };
        while self.credit >= 1.0 {
            let Some(lease) = self.scheduler.select(now) else {
                // What nobody wants now is not saved up for later.
                self.credit = 0.0;
                break;
            };
            self.credit -= 1.0;
            let key = self.original[lease.key as usize] as usize;
            self.featured[key] = Some(self.arrived[key]);
            self.updated_step[key] = step as u64 + 1;
            self.touched[key] = true;
            self.updates += 1;
            self.scheduler.complete(&lease, now);
        }
    }

    fn finish(self, baseline: f64) -> (Row, Stats) {
        let got_data = |key: usize| self.arrived[key] > self.workload.warm(key as Key).unwrap_or(0);
        let starved = (0..self.touched.len())
            .filter(|key| !self.touched[*key] && got_data(*key))
            .count();
        let queries = self.queries.max(1) as f64;
        let row = Row {
            policy: self.trial.contender.as_str(),
            budget: self.trial.budget,
            seed: self.trial.seed,
            mase: self.sum.scaled / queries,
            mse: self.sum.squared / queries,
            regret: self.sum.scaled - baseline,
            staleness_mean: self.staleness_sum / self.staleness_count.max(1) as f64,
            starved,
            updates: self.updates,
            staleness_max: self.staleness_max,
            queries: self.queries,
        };
        (row, self.scheduler.stats())
    }
}

/// `0..count` in an order that the stream decides (Fisher and Yates).
fn shuffled(count: usize, rng: &Rng) -> Vec<Key> {
    let mut order: Vec<Key> = (0..count as Key).collect();
    for index in (1..count).rev() {
        order.swap(index, rng.below(index as u64 + 1) as usize);
    }
    order
}
