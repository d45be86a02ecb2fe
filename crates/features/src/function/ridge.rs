//! The vector that explains a user's ratings best, given vectors of the items (the user half of alternating least squares).

use super::{Evaluator, Event, Features, Function, Update, json, keep, kept, parameter};
use crate::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Normal equations of a ridge regression, to which observations are added one by one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Normal {
    /// Sum of `x xᵀ`: the lower triangle, row after row.
    gram: Vec<f64>,
    /// Sum of `x y`.
    moment: Vec<f64>,
    /// Observations.
    count: u64,
}

impl Normal {
    /// Adds one observation. The first decides how long vectors are; others of another length are passed over, and false is
    /// returned.
    pub fn add(&mut self, x: &[f64], y: f64) -> bool {
        if self.count == 0 {
            self.moment = vec![0.0; x.len()];
            self.gram = vec![0.0; x.len() * (x.len() + 1) / 2];
        }
        let finite = y.is_finite() && x.iter().all(|value| value.is_finite());
        if x.len() != self.moment.len() || !finite {
            return false;
        }
        self.count += 1;
        let mut place = 0;
        for (row, left) in x.iter().enumerate() {
            self.moment[row] += left * y;
            for right in &x[..=row] {
                self.gram[place] += left * right;
                place += 1;
            }
        }
        true
    }

    /// Observations so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The `w` that makes `Σ (y − w·x)² + count · penalty · |w|²` least (the weighting of the penalty by the number of ratings is
    /// that of Zhou et al., AAIM 2008, §4); empty where nothing was observed.
    pub fn weights(&self, penalty: f64) -> Vec<f64> {
        let mut gram = self.gram.clone();
        let mut place = 0;
        for row in 0..self.moment.len() {
            place += row;
            gram[place] += penalty * self.count as f64;
            place += 1;
        }
        solve(&gram, &self.moment)
    }
}

/// Solves `A x = b` for a symmetric positive definite `A`, given by its lower triangle, row after row (Cholesky). A pivot that is
/// not positive, as rounding may leave, is taken as tiny.
pub fn solve(lower: &[f64], right: &[f64]) -> Vec<f64> {
    const TINY: f64 = 1e-12;
    let at = |row: usize, column: usize| row * (row + 1) / 2 + column;
    let size = right.len();
    let mut factor = lower.to_vec();
    for row in 0..size {
        for column in 0..=row {
            let mut sum = factor[at(row, column)];
            for before in 0..column {
                sum -= factor[at(row, before)] * factor[at(column, before)];
            }
            factor[at(row, column)] = match row == column {
                true => sum.max(TINY).sqrt(),
                false => sum / factor[at(column, column)],
            };
        }
    }
    let mut x = right.to_vec();
    for row in 0..size {
        for before in 0..row {
            x[row] -= factor[at(row, before)] * x[before];
        }
        x[row] /= factor[at(row, row)];
    }
    for row in (0..size).rev() {
        for after in row + 1..size {
            x[row] -= factor[at(after, row)] * x[after];
        }
        x[row] /= factor[at(row, row)];
    }
    x
}

/// A user's embedding from ratings of items whose embeddings come with the events. Gives `embedding` and `ratings` (a count).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RidgeEmbedding {
    /// The column that holds the rating.
    pub rating: String,
    /// The column that holds the item's embedding.
    pub item: String,
    /// Taken off each rating before the fit, and added to each prediction.
    pub mean: f64,
    /// Ridge penalty per rating; 0.001 in the prototype of RALF.
    pub penalty: f64,
    /// Ratings lie in this range; predictions are kept within it.
    pub range: [f64; 2],
    /// Numbers in an embedding.
    pub dimensions: usize,
}

/// Embeddings are this long at most: a key's state grows with the square.
const MAX_DIMENSIONS: usize = 512;

impl RidgeEmbedding {
    pub(super) fn checked(self) -> Result<Self> {
        let fits = (1..=MAX_DIMENSIONS).contains(&self.dimensions) && self.penalty > 0.0;
        match fits && self.range[0] < self.range[1] && self.mean.is_finite() {
            true => Ok(self),
            false => Err(parameter(
                "ridge-embedding",
                "penalty must be above 0, dimensions from 1 to 512, range from low to high",
            )),
        }
    }
}

impl Function for RidgeEmbedding {
    fn features(&self) -> Vec<String> {
        vec!["embedding".into(), "ratings".into()]
    }

    fn on_events(&self, key: &str, events: &[Event], state: &Value) -> Result<Update> {
        let mut normal: Normal = kept(key, state)?;
        for event in events {
            let item = event.vector(&self.item);
            let item = item.filter(|item| item.len() == self.dimensions);
            if let (Some(item), Some(rating)) = (item, event.number(&self.rating)) {
                normal.add(&item, rating - self.mean);
            }
        }
        let embedding = match normal.count() {
            0 => Value::Null,
            _ => normal.weights(self.penalty).into_iter().map(json).collect(),
        };
        let features = [
            ("embedding".to_owned(), embedding),
            ("ratings".to_owned(), normal.count().into()),
        ];
        Ok(Update {
            features: features.into_iter().collect(),
            state: keep(&normal),
        })
    }
}

impl Evaluator for RidgeEmbedding {
    /// The difference between a rating and the one predicted.
    fn error(&self, features: &Features, event: &Event) -> Option<f64> {
        let embedding = features.get("embedding")?.as_array()?;
        let item = event.vector(&self.item)?;
        if item.len() != embedding.len() {
            return None;
        }
        let terms = embedding.iter().zip(&item);
        let product: Option<f64> = terms.map(|(user, item)| Some(user.as_f64()? * item)).sum();
        let predicted = (self.mean + product?).clamp(self.range[0], self.range[1]);
        Some((event.number(&self.rating)? - predicted).abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    proptest! {
        /// What is solved solves.
        #[test]
        fn the_equations_hold(rows in prop::collection::vec(prop::collection::vec(-3.0..3.0f64, 3), 4..9), truth in prop::collection::vec(-2.0..2.0f64, 3)) {
            let mut normal = Normal::default();
            for row in &rows {
                let y: f64 = row.iter().zip(&truth).map(|(x, w)| x * w).sum();
                prop_assert!(normal.add(row, y));
            }
            let penalty = 0.5;
            let found = normal.weights(penalty);
            // The gradient of what is made least is zero there.
            for column in 0..3 {
                let mut gradient = penalty * rows.len() as f64 * found[column];
                for row in &rows {
                    let error: f64 = row.iter().zip(truth.iter().zip(&found)).map(|(x, (w, f))| x * (f - w)).sum();
                    gradient += row[column] * error;
                }
                prop_assert!(gradient.abs() < 1e-6, "{gradient}");
            }
        }
    }

    #[test]
    fn an_embedding_explains_the_ratings() {
        let function = RidgeEmbedding {
            rating: "rating".into(),
            item: "item".into(),
            mean: 3.0,
            penalty: 1e-6,
            range: [1.0, 5.0],
            dimensions: 2,
        };
        let event = |item: [f64; 2], rating: f64| Event {
            at_ms: 0,
            columns: [
                ("item".to_owned(), json!(item)),
                ("rating".to_owned(), json!(rating)),
            ]
            .into_iter()
            .collect(),
        };
        let ratings = [event([1.0, 0.0], 4.0), event([0.0, 1.0], 2.0)];
        let update = function.on_events("u", &ratings, &Value::Null).unwrap();
        assert_eq!(update.features["ratings"], 2);
        let error = function.error(&update.features, &event([1.0, 1.0], 3.0));
        assert!(error.unwrap() < 1e-3, "{error:?}");
        let clipped = function.error(&update.features, &event([9.0, 0.0], 5.0));
        assert_eq!(clipped, Some(0.0));
        // A vector of another length is passed over.
        let odd = [
            event([1.0, 0.0], 4.0),
            Event {
                columns: [("item".to_owned(), json!([1.0]))].into_iter().collect(),
                at_ms: 0,
            },
        ];
        assert_eq!(
            function
                .on_events("u", &odd, &Value::Null)
                .unwrap()
                .features["ratings"],
            1
        );
    }
}
