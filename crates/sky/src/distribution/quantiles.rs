//! A measured distribution, kept as some of its quantiles.

use crate::Invalid;
use serde::{Deserialize, Serialize};

/// Points `(p, value)` of a quantile function: `p` ascends within `0.0..=1.0`, values never descend. Linear between the
/// points; before the first and after the last the value is theirs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<(f64, f64)>", into = "Vec<(f64, f64)>")]
pub struct Quantiles(Vec<(f64, f64)>);

/// More points than a measurement of this kind supports.
const MAX_POINTS: usize = 10_000;

impl Quantiles {
    /// The distribution through these points.
    ///
    /// # Errors
    /// No point or more than 10,000, a number that is not finite, a `p` outside `0.0..=1.0`, or points out of order.
    pub fn new(points: Vec<(f64, f64)>) -> Result<Self, Invalid> {
        let bad = |given: String, why: &str| Err(Invalid::new("quantile points", given, why));
        if points.is_empty() || points.len() > MAX_POINTS {
            let given = format!("{} points", points.len());
            return bad(given, "needs between 1 and 10000 [p, value] points");
        }
        for (p, value) in &points {
            if !(0.0..=1.0).contains(p) || !value.is_finite() {
                let why = "each is [p, value] with p between 0 and 1 and a finite value";
                return bad(format!("[{p}, {value}]"), why);
            }
        }
        for pair in points.windows(2) {
            let ((p0, v0), (p1, v1)) = (pair[0], pair[1]);
            if p1 <= p0 || v1 < v0 {
                let why = "p must ascend from point to point, and the value must not descend";
                return bad(format!("[{p0}, {v0}], [{p1}, {v1}]"), why);
            }
        }
        Ok(Quantiles(points))
    }

    /// The points, `p` ascending.
    pub fn points(&self) -> &[(f64, f64)] {
        &self.0
    }

    pub(super) fn quantile(&self, p: f64) -> f64 {
        let after = self.0.partition_point(|point| point.0 < p);
        let (p1, v1) = self.0[after.min(self.0.len() - 1)];
        match after.checked_sub(1).map(|before| self.0[before]) {
            Some((p0, v0)) if p0 < p1 => v0 + (v1 - v0) * ((p - p0) / (p1 - p0)),
            // Before the first point or after the last.
            _ => v1,
        }
    }

    pub(super) fn cdf(&self, x: f64) -> f64 {
        let after = self.0.partition_point(|point| point.1 <= x);
        match (after.checked_sub(1).map(|i| self.0[i]), self.0.get(after)) {
            (None, _) => 0.0,
            (Some(_), None) => 1.0,
            (Some((p0, v0)), Some(&(p1, v1))) => p0 + (p1 - p0) * ((x - v0) / (v1 - v0)),
        }
    }

    pub(super) fn mean(&self) -> f64 {
        let (first, last) = (self.0[0], self.0[self.0.len() - 1]);
        let between =
            |pair: &[(f64, f64)]| (pair[1].0 - pair[0].0) * f64::midpoint(pair[0].1, pair[1].1);
        let middle: f64 = self.0.windows(2).map(between).sum();
        first.0 * first.1 + middle + (1.0 - last.0) * last.1
    }
}

impl TryFrom<Vec<(f64, f64)>> for Quantiles {
    type Error = Invalid;
    fn try_from(points: Vec<(f64, f64)>) -> Result<Self, Invalid> {
        Quantiles::new(points)
    }
}

impl From<Quantiles> for Vec<(f64, f64)> {
    fn from(quantiles: Quantiles) -> Self {
        quantiles.0
    }
}
