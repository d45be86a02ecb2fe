//! Users who rate items: a user's embedding is the feature, each new rating first a question, then data.

use super::{Key, Loss, Query, Workload};
use crate::function::Normal;
use crate::{Error, Result};
use skyfresh_sky::Rng;
use std::sync::OnceLock;

/// What a synthetic log of ratings looks like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RatingShape {
    /// Users.
    pub users: usize,
    /// Items.
    pub items: usize,
    /// Ratings, about.
    pub ratings: usize,
    /// Steps into which the second half of the log falls.
    pub steps: usize,
}

impl RatingShape {
    /// As large as MovieLens 1M (F. M. Harper and J. A. Konstan, ACM TiiS 5, 2015).
    pub const MOVIELENS_1M: RatingShape = RatingShape {
        users: 6_040,
        items: 3_706,
        ratings: 1_000_209,
        steps: 2_000,
    };
    /// A tenth of that.
    pub const SMALL: RatingShape = RatingShape {
        users: 604,
        items: 370,
        ratings: 100_000,
        steps: 500,
    };
}

/// Share of each star, 1 to 5, in MovieLens 1M.
const STARS: [f64; 5] = [0.0562, 0.1075, 0.2611, 0.3489, 0.2263];
/// Numbers in a true embedding; items' are known with noise, as if they came from a fit of the first half.
const TASTES: usize = 8;
/// An item's vector: a constant for the user's bias, the item's bias, its tastes.
const DIMENSIONS: usize = TASTES + 2;
/// Ridge penalty per rating. The prototype's 0.001 is for 50 dimensions fitted to the same ratings; items here carry noise.
const PENALTY: f64 = 0.02;
/// A user's ratings come in sessions of about this many.
const SESSION: usize = 40;
/// Steps over which a session spreads.
const SESSION_STEPS: f64 = 20.0;

struct User {
    /// Item and stars, in order of time; those before the second half first.
    ratings: Vec<(u32, f64)>,
    before: usize,
    /// The embedding of the first so many ratings, once it was needed.
    features: Vec<OnceLock<Box<[f64]>>>,
}

/// See the module.
pub struct Ratings {
    name: String,
    items: Vec<[f64; DIMENSIONS]>,
    users: Vec<User>,
    /// In each step: the user and the place of the rating among the user's.
    steps: Vec<Vec<(Key, u32)>>,
    mean: f64,
    /// Mean absolute error, and squared, of guessing the mean.
    naive: Loss,
}

impl std::fmt::Debug for Ratings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ratings({})", self.name)
    }
}

impl Ratings {
    /// A log that a seed decides: tastes are normal, stars have the shares of MovieLens 1M, users rate from 20 items up (log-normal,
    /// median 96) in sessions, items are popular by rank, users come evenly over the whole log.
    pub fn synthetic(shape: &RatingShape, seed: u64) -> Self {
        let rng = Rng::named(seed, "ratings");
        let normal = || {
            // Box and Muller.
            let radius = (-2.0 * (1.0 - rng.unit()).ln()).sqrt();
            radius * (std::f64::consts::TAU * rng.unit()).cos()
        };
        let truth: Vec<[f64; DIMENSIONS]> = (0..shape.items)
            .map(|_| {
                let mut item = [1.0; DIMENSIONS];
                item[1] = 0.5 * normal();
                item[2..]
                    .iter_mut()
                    .for_each(|taste| *taste = 0.35 * normal());
                item
            })
            .collect();
        let known = truth.iter().map(|item| {
            let mut known = *item;
            known[1..]
                .iter_mut()
                .for_each(|value| *value += 0.08 * normal());
            known
        });
        let known: Vec<_> = known.collect();
        let counts: Vec<f64> = (0..shape.users)
            .map(|_| (96f64.ln() + normal()).exp().max(20.0))
            .collect();
        let scale = shape.ratings as f64 / counts.iter().sum::<f64>();
        let mut log: Vec<(f64, Key, u32, f64)> = Vec::new();
        for (user, count) in counts.iter().enumerate() {
            let mut taste = [1.0; DIMENSIONS];
            taste[0] = 0.4 * normal();
            taste[2..].iter_mut().for_each(|value| *value = normal());
            let count = ((count * scale) as usize).clamp(1, shape.items);
            let mut session_at = 0.0;
            for index in 0..count {
                if index % SESSION == 0 {
                    session_at = rng.unit() * 2.0 * shape.steps as f64;
                }
                // Popular by rank: the square puts a quarter of the items into half of the ratings.
                let item =
                    ((rng.unit().powi(2) * shape.items as f64) as usize).min(shape.items - 1);
                let like: f64 = taste.iter().zip(&truth[item]).map(|(a, b)| a * b).sum();
                let at = session_at + rng.unit() * SESSION_STEPS;
                log.push((at, user as Key, item as u32, like + 0.7 * normal()));
            }
        }
        stars(&mut log);
        log.sort_by(|a, b| a.0.total_cmp(&b.0));
        let name = format!(
            "synthetic ratings: {} users, {} items, {} ratings",
            shape.users,
            shape.items,
            log.len()
        );
        let middle = shape.steps as f64;
        let timed = log.iter().map(|(at, user, item, stars)| {
            let step = (*at >= middle).then(|| ((at - middle) as usize).min(shape.steps - 1));
            (step, *user, *item, *stars)
        });
        Self::new(name, known, shape.users, shape.steps, timed)
    }

    /// A log of `(user, item, stars, time)` in order of time. Items' vectors are fitted to its first half by alternating least
    /// squares, as in the thesis (§2.5.1); the second half is replayed in `steps` equal parts of time.
    ///
    /// # Errors
    /// Fewer than a thousand ratings.
    pub fn from_log(name: &str, log: &[(u32, u32, f64, f64)], steps: usize) -> Result<Self> {
        if log.len() < 1_000 {
            let why = format!("{} ratings are too few: give at least 1,000", log.len());
            return Err(Error::invalid("read ratings", name, why));
        }
        let users = log.iter().map(|row| row.0 as usize + 1).max().unwrap_or(0);
        let items = log.iter().map(|row| row.1 as usize + 1).max().unwrap_or(0);
        let (first, second) = log.split_at(log.len() / 2);
        let (from, to) = (second[0].3, second[second.len() - 1].3);
        let known = fit_items(first, users, items);
        let width = ((to - from) / steps as f64).max(f64::MIN_POSITIVE);
        let timed = log
            .iter()
            .enumerate()
            .map(|(index, (user, item, stars, at))| {
                let step =
                    (index >= first.len()).then(|| (((at - from) / width) as usize).min(steps - 1));
                (step, *user, *item, *stars)
            });
        Ok(Self::new(name.to_owned(), known, users, steps, timed))
    }

    /// `log`: step (`None`: first half), user, item, stars; in order of time.
    fn new(
        name: String,
        items: Vec<[f64; DIMENSIONS]>,
        users: usize,
        steps: usize,
        log: impl Iterator<Item = (Option<usize>, Key, u32, f64)>,
    ) -> Self {
        let empty = || User {
            ratings: Vec::new(),
            before: 0,
            features: Vec::new(),
        };
        let mut users: Vec<User> = (0..users).map(|_| empty()).collect();
        let mut in_steps = vec![Vec::new(); steps];
        let (mut sum, mut count) = (0.0, 0.0);
        for (step, user, item, stars) in log {
            let place = users[user as usize].ratings.len() as u32;
            users[user as usize].ratings.push((item, stars));
            match step {
                None => {
                    users[user as usize].before += 1;
                    sum += stars;
                    count += 1.0;
                }
                Some(step) => in_steps[step].push((user, place)),
            }
        }
        for user in &mut users {
            user.features = (0..=user.ratings.len()).map(|_| OnceLock::new()).collect();
        }
        let mean = if count > 0.0 { sum / count } else { 3.0 };
        let mut naive = Loss::default();
        let mut asked = 0.0;
        for (user, place) in in_steps.iter().flatten() {
            let error = users[*user as usize].ratings[*place as usize].1 - mean;
            naive.scaled += error.abs();
            naive.squared += error * error;
            asked += 1.0;
        }
        naive.scaled /= f64::max(asked, 1.0);
        naive.squared /= f64::max(asked, 1.0);
        Ratings {
            name,
            items,
            users,
            steps: in_steps,
            mean,
            naive,
        }
    }

    fn embedding(&self, user: Key, records: u32) -> &[f64] {
        let user = &self.users[user as usize];
        user.features[records as usize].get_or_init(|| {
            let mut normal = Normal::default();
            for (item, stars) in &user.ratings[..records as usize] {
                normal.add(&self.items[*item as usize], stars - self.mean);
            }
            normal.weights(PENALTY).into()
        })
    }
}

/// Replaces likings by stars with the shares of [`STARS`]: the least liked get one.
fn stars(log: &mut [(f64, Key, u32, f64)]) {
    let mut order: Vec<usize> = (0..log.len()).collect();
    order.sort_by(|a, b| log[*a].3.total_cmp(&log[*b].3));
    let (mut star, mut until) = (0, STARS[0]);
    for (rank, index) in order.iter().enumerate() {
        while star < 4 && rank as f64 >= until * log.len() as f64 {
            star += 1;
            until += STARS[star];
        }
        log[*index].3 = star as f64 + 1.0;
    }
}

/// Items' vectors by alternating least squares: users and items take turns, six times.
fn fit_items(log: &[(u32, u32, f64, f64)], users: usize, items: usize) -> Vec<[f64; DIMENSIONS]> {
    const ROUNDS: usize = 6;
    let mean = log.iter().map(|row| row.2).sum::<f64>() / log.len() as f64;
    let rng = Rng::named(1, "items");
    let start = |_| {
        let mut item = [1.0; DIMENSIONS];
        item[1..]
            .iter_mut()
            .for_each(|value| *value = 0.2 * (rng.unit() - 0.5));
        item
    };
    let mut vectors: Vec<[f64; DIMENSIONS]> = (0..items).map(start).collect();
    for _ in 0..ROUNDS {
        let mut normals = vec![Normal::default(); users];
        for (user, item, stars, _) in log {
            normals[*user as usize].add(&vectors[*item as usize], stars - mean);
        }
        let embeddings: Vec<Vec<f64>> = normals.iter().map(|n| n.weights(PENALTY)).collect();
        let mut normals = vec![Normal::default(); items];
        for (user, item, stars, _) in log {
            // The item's first number stays 1, so that users keep their bias: only the rest is fitted.
            let user = &embeddings[*user as usize];
            normals[*item as usize].add(&user[1..], stars - mean - user[0]);
        }
        for (vector, normal) in vectors.iter_mut().zip(&normals) {
            let fitted = normal.weights(PENALTY);
            for (value, fitted) in vector[1..].iter_mut().zip(fitted) {
                *value = fitted;
            }
        }
    }
    vectors
}

impl Workload for Ratings {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn keys(&self) -> usize {
        self.users.len()
    }

    fn steps(&self) -> usize {
        self.steps.len()
    }

    fn warm(&self, key: Key) -> Option<u32> {
        let before = self.users[key as usize].before;
        (before > 0).then_some(before as u32)
    }

    fn arrivals(&self, step: usize, into: &mut Vec<(Key, u32)>) {
        let mut users: Vec<Key> = self.steps[step].iter().map(|(user, _)| *user).collect();
        users.sort_unstable();
        for users in users.chunk_by(|a, b| a == b) {
            into.push((users[0], users.len() as u32));
        }
    }

    fn queries(&self, step: usize, _: &Rng, into: &mut Vec<Query>) {
        let asked = self.steps[step].iter();
        into.extend(asked.map(|(key, item)| Query {
            key: *key,
            item: *item,
        }));
    }

    fn loss(&self, query: Query, records: Option<u32>, _: usize) -> Loss {
        let (item, stars) = self.users[query.key as usize].ratings[query.item as usize];
        let product = records.map_or(0.0, |records| {
            let user = self.embedding(query.key, records);
            let item = &self.items[item as usize];
            user.iter().zip(item).map(|(a, b)| a * b).sum()
        });
        let error = (stars - (self.mean + product).clamp(1.0, 5.0)).abs();
        Loss {
            scaled: error / self.naive.scaled,
            squared: error * error / self.naive.squared,
        }
    }
}
