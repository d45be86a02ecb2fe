//! A proof in whole numbers that one of several planes is below 0 or at it everywhere in a cone.
//!
//! Planes are given by their values along the cone's rays. Where a mixture of them (weights of 0 and more, not all 0) is at most 0 along
//! every ray, it is so everywhere, and at each point one of those mixed is. A programme finds the weights in floating point; the rays along which
//! the mixture is 0 then determine them exactly, and the whole is checked without rounding.

use microlp::{ComparisonOp, OptimizationDirection, Problem, SolveOutcome, Variable};

/// Weights below this are rounding.
const NO_WEIGHT: f64 = 1e-9;
/// Mixtures nearer to 0 than this, of the ray's scale, are taken to be meant as 0.
const ZERO: f64 = 1e-7;
/// Weights that the rays leave open are rounded to parts of this.
const PARTS: f64 = (1u64 << 20) as f64;

/// Whether a mixture of `planes` is found, and proven, that is at most 0 along every ray. `scales` say what is large along each.
pub(super) fn some_mixture_is_never_above(planes: &[Vec<i128>], scales: &[f64]) -> bool {
    let alone = |plane: &&Vec<i128>| plane.iter().all(|price| *price <= 0);
    if planes.iter().any(|plane| alone(&plane)) {
        return true;
    }
    let Some(weights) = lowest_mixture(planes, scales) else {
        return false;
    };
    let (mixed, weights): (Vec<&Vec<i128>>, Vec<f64>) = planes
        .iter()
        .zip(weights)
        .filter(|(_, weight)| *weight > NO_WEIGHT)
        .unzip();
    exact_weights(&mixed, &weights, scales).is_some_and(|weights| is_never_above(&mixed, &weights))
}

/// Weights, adding up to 1, of the mixture whose highest value along a ray is lowest.
fn lowest_mixture(planes: &[Vec<i128>], scales: &[f64]) -> Option<Vec<f64>> {
    let mut problem = Problem::new(OptimizationDirection::Minimize);
    let highest = problem.add_var(1.0, (f64::NEG_INFINITY, f64::INFINITY));
    let weights: Vec<Variable> = planes
        .iter()
        .map(|_| problem.add_var(0.0, (0.0, 1.0)))
        .collect();
    let all = weights.iter().map(|weight| (*weight, 1.0));
    problem.add_constraint(all.collect::<Vec<_>>(), ComparisonOp::Eq, 1.0);
    for (ray, scale) in scales.iter().enumerate() {
        let mut row = vec![(highest, -1.0)];
        for (weight, plane) in weights.iter().zip(planes) {
            if plane[ray] != 0 {
                row.push((*weight, plane[ray] as f64 / scale));
            }
        }
        problem.add_constraint(row, ComparisonOp::Le, 0.0);
    }
    let Ok(SolveOutcome::Solution(solution)) = problem.solve() else {
        return None;
    };
    Some(weights.iter().map(|weight| solution[*weight]).collect())
}

/// Weights near `weights`, in whole numbers, for which the mixture is 0 along the rays where it seems to be. `None`: numbers grew beyond 128 bits.
fn exact_weights(planes: &[&Vec<i128>], weights: &[f64], scales: &[f64]) -> Option<Vec<i128>> {
    let count = planes.len();
    // Rows of a matrix in echelon form, each with the column of its pivot.
    let mut rows: Vec<(usize, Vec<i128>)> = Vec::new();
    for (ray, scale) in scales.iter().enumerate() {
        let mixture: f64 = planes
            .iter()
            .zip(weights)
            .map(|(plane, weight)| plane[ray] as f64 / scale * weight)
            .sum();
        if mixture.abs() > ZERO || rows.len() + 1 >= count {
            continue;
        }
        let mut row: Vec<i128> = planes.iter().map(|plane| plane[ray]).collect();
        for (column, pivot) in &rows {
            row = eliminated(&row, pivot, *column)?;
        }
        if let Some(column) = row.iter().position(|price| *price != 0) {
            for (_, other) in &mut rows {
                *other = eliminated(other, &row, column)?;
            }
            rows.push((column, row));
        }
    }
    // What no row determines is rounded; each row's pivot then follows.
    let is_pivot = |column: usize| rows.iter().any(|(pivot, _)| *pivot == column);
    let open: Vec<usize> = (0..count).filter(|column| !is_pivot(*column)).collect();
    let mut exact = vec![0i128; count];
    for column in &open {
        exact[*column] = match open.len() {
            1 => 1,
            _ => (weights[*column] * PARTS).round() as i128,
        };
    }
    let denominator = rows.iter().try_fold(1i128, |least, (column, row)| {
        least.checked_mul(row[*column].abs() / divisor(least, row[*column]))
    })?;
    for column in &open {
        exact[*column] = exact[*column].checked_mul(denominator)?;
    }
    for (column, row) in &rows {
        let mut sum = 0i128;
        for other in &open {
            sum = sum.checked_add(row[*other].checked_mul(exact[*other])?)?;
        }
        // Exact: the denominator is a multiple of the pivot.
        exact[*column] = -(sum / row[*column]);
    }
    Some(exact)
}

/// `row` without its entry in the column of `pivot`'s, divided by what all entries have in common.
fn eliminated(row: &[i128], pivot: &[i128], column: usize) -> Option<Vec<i128>> {
    if row[column] == 0 {
        return Some(row.to_vec());
    }
    let shared = divisor(row[column], pivot[column]);
    let (times, less) = (pivot[column] / shared, row[column] / shared);
    let mut left = Vec::with_capacity(row.len());
    for (one, other) in row.iter().zip(pivot) {
        left.push(
            one.checked_mul(times)?
                .checked_sub(other.checked_mul(less)?)?,
        );
    }
    let shared = left
        .iter()
        .fold(0, |shared, price| divisor(shared, *price))
        .max(1);
    Some(left.into_iter().map(|price| price / shared).collect())
}

/// Whether weights of 0 and more, not all 0, mix the planes to at most 0 along every ray.
fn is_never_above(planes: &[&Vec<i128>], weights: &[i128]) -> bool {
    if weights.iter().any(|weight| *weight < 0) || weights.iter().all(|weight| *weight == 0) {
        return false;
    }
    (0..planes[0].len()).all(|ray| {
        let mixture = planes
            .iter()
            .zip(weights)
            .try_fold(0i128, |sum, (plane, weight)| {
                sum.checked_add(plane[ray].checked_mul(*weight)?)
            });
        mixture.is_some_and(|mixture| mixture <= 0)
    })
}

/// The greatest common divisor, 0 or more.
fn divisor(one: i128, other: i128) -> i128 {
    let (mut one, mut other) = (one.unsigned_abs(), other.unsigned_abs());
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one as i128
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proven(planes: &[&[i128]]) -> bool {
        let planes: Vec<Vec<i128>> = planes.iter().map(|plane| plane.to_vec()).collect();
        some_mixture_is_never_above(&planes, &vec![10.0; planes[0].len()])
    }

    #[test]
    fn mixtures_are_proven_to_the_last_unit() {
        assert!(proven(&[&[0, -1, 0]]));
        assert!(!proven(&[&[0, 1, -9]]));
        // Half and half is 0 along both; a unit more along one of them is more than that.
        assert!(proven(&[&[3, -3], &[-3, 3]]));
        assert!(!proven(&[&[3, -3], &[-3, 4]]));
        // A third and two thirds, which no floating-point number is.
        assert!(proven(&[&[2, -4, 0], &[-1, 2, 0]]));
        assert!(proven(&[&[7, -5, -2], &[-4, 9, -1], &[-6, -7, 3]]));
        // Nothing along the first ray makes up for the second.
        assert!(!proven(&[&[-9, 1], &[-9, 2]]));
    }

    #[test]
    fn numbers_beyond_128_bits_prove_nothing() {
        let huge = i128::MAX / 2;
        assert!(!proven(&[&[huge, 1 - huge, 5], &[3 - huge, huge, -7]]));
    }
}
