//! A bound from below on all sets, and the stores that no better set has.
//!
//! With a price λ_r on "region r reads from one store", cost(W) ≥ Σ λ_r + Σ_{o∈W} ρ_o for every W, where
//! ρ_o = a_o + Σ_r min(0, b_{r,o} − λ_r): the least of it over sets of the allowed sizes takes the smallest ρ. Every λ gives a
//! bound; subgradient steps of Polyak's length raise it. λ is kept whole, so that bounds are exact as costs are.

use super::best::Best;
use super::instance::{Instance, whole};

// The numbers below were chosen by trial on the objects of `examples/evaluate/speed.rs`; no answer depends on them.

/// How hard to look for a better bound.
struct Effort {
    /// Steps at most, and without a better bound.
    steps: usize,
    patience: usize,
    /// Steps without a better bound after which the next ones are half as long, from the best prices.
    halve_after: usize,
    /// The first share of Polyak's step.
    length: f64,
}

/// What most objects need.
const QUICK: Effort = Effort {
    steps: 120,
    patience: 12,
    halve_after: 6,
    length: 1.7,
};
/// Where the search did not come to an end: steps cost far less than the sets that they spare.
const THOROUGH: Effort = Effort {
    steps: 3000,
    patience: 150,
    halve_after: 25,
    length: 1.0,
};
/// Steps between strikes; the first step is followed by one as well, which spares the others most of their work.
const STRIKE_EVERY: usize = 5;
/// So few sets are sooner searched than bounded further.
const FEW_SETS: f64 = 500.0;
/// Where prices begin between the two least read costs of a good set.
const START: f64 = 0.42;

pub(super) struct Dual {
    /// Σ λ_r of the best bound.
    pub(super) constant: f64,
    /// ρ_o of the best bound, by column.
    pub(super) reduced: Vec<f64>,
    /// No set costs less.
    pub(super) lower: f64,
    /// λ of the best bound, by row.
    lambda: Vec<f64>,
}

/// The columns of the smallest `reduced`, ascending: `least` of them, and while negative up to `most`.
fn cheapest(reduced: &[f64], (least, most): (usize, usize), found: &mut Vec<usize>) {
    found.clear();
    // What a column must be below to be taken.
    let mut bar = if most == 0 {
        f64::NEG_INFINITY
    } else if least == 0 {
        0.0
    } else {
        f64::INFINITY
    };
    for (column, &value) in reduced.iter().enumerate() {
        if value >= bar {
            continue;
        }
        let place = found.partition_point(|other| reduced[*other] <= value);
        found.insert(place, column);
        // One too many: the last goes, unless it pays.
        while found.len() > most
            || (found.len() > least && found.last().is_some_and(|last| reduced[*last] >= 0.0))
        {
            found.pop();
        }
        let last = found.last().map_or(0.0, |last| reduced[*last]);
        bar = if found.len() == most {
            last
        } else if found.len() >= least {
            last.max(0.0)
        } else {
            f64::INFINITY
        };
    }
}

/// What a read saves of a region's price: min(0, `read` − `lambda`).
fn saved(read: f64, lambda: f64) -> f64 {
    let saved = read - lambda;
    if saved < 0.0 { saved } else { 0.0 }
}

fn reduced_costs(instance: &Instance, lambda: &[f64], reduced: &mut Vec<f64>) {
    reduced.clear();
    reduced.extend_from_slice(&instance.keep);
    // Four rows at a time: the sums are then read and written a quarter as often.
    let (fours, rest) = lambda.as_chunks::<4>();
    for (four, lambda) in fours.iter().enumerate() {
        let [first, second, third, fourth] = [0, 1, 2, 3].map(|row| instance.row(4 * four + row));
        for ((((reduced, first), second), third), fourth) in reduced
            .iter_mut()
            .zip(first)
            .zip(second)
            .zip(third)
            .zip(fourth)
        {
            *reduced += (saved(*first, lambda[0]) + saved(*second, lambda[1]))
                + (saved(*third, lambda[2]) + saved(*fourth, lambda[3]));
        }
    }
    for (row, lambda) in rest.iter().enumerate() {
        for (reduced, read) in reduced.iter_mut().zip(instance.row(4 * fours.len() + row)) {
            *reduced += saved(*read, *lambda);
        }
    }
}

/// How many sets of at most `most` of `columns` there are, roughly.
fn set_count(columns: usize, most: usize) -> f64 {
    (0..most.min(columns)).fold(1.0, |count, at| {
        count * (columns - at) as f64 / (at + 1) as f64
    })
}

/// Bounds all sets from below, strikes columns from `instance` that none of the best has, and offers sets met on the way.
/// `nearest`: the two least read costs of each row in a good set, where prices begin.
pub(super) fn bound(instance: &mut Instance, nearest: &[(f64, f64)], best: &mut Best<'_>) -> Dual {
    let lambda = nearest
        .iter()
        .map(|(first, second)| {
            let second = if second.is_finite() { *second } else { *first };
            whole(first + (second - first) * START)
        })
        .map(|start| if start.is_finite() { start } else { 0.0 })
        .collect();
    ascend(instance, lambda, best, &QUICK)
}

/// As [`bound`], from the prices of a bound that did not suffice.
pub(super) fn sharpen(instance: &mut Instance, dual: Dual, best: &mut Best<'_>) -> Dual {
    ascend(instance, dual.lambda, best, &THOROUGH)
}

fn ascend(
    instance: &mut Instance,
    mut lambda: Vec<f64>,
    best: &mut Best<'_>,
    effort: &Effort,
) -> Dual {
    let mut top = Dual {
        constant: 0.0,
        reduced: Vec::new(),
        lower: f64::NEG_INFINITY,
        lambda: lambda.clone(),
    };
    let (mut reduced, mut set) = (Vec::new(), Vec::new());
    let mut reads = vec![0.0; instance.rows];
    let (mut length, mut stale) = (effort.length, 0);
    for step in 0..effort.steps {
        reduced_costs(instance, &lambda, &mut reduced);
        cheapest(&reduced, instance.replicas, &mut set);
        let constant: f64 = lambda.iter().sum();
        let lower = constant + set.iter().map(|column| reduced[*column]).sum::<f64>();
        let stores = || set.iter().map(|column| instance.store[*column]);
        let cost = instance.cost(&set);
        if set.len() >= instance.replicas.0 && cost <= best.upper && best.missing(stores()) == 0 {
            best.offer(cost, stores());
        }
        if lower > top.lower {
            top.lower = lower;
            top.constant = constant;
            top.reduced.clone_from(&reduced);
            top.lambda.clone_from(&lambda);
            stale = 0;
        } else {
            stale += 1;
            if stale % effort.halve_after == 0 {
                length *= 0.5;
                lambda.clone_from(&top.lambda);
                reduced.clone_from(&top.reduced);
                cheapest(&reduced, instance.replicas, &mut set);
            }
        }
        if step == 0 || step % STRIKE_EVERY == STRIKE_EVERY - 1 {
            strike(instance, &mut top, best.upper);
            if set_count(instance.store.len(), instance.replicas.1) <= FEW_SETS {
                break;
            }
            reduced_costs(instance, &lambda, &mut reduced);
            cheapest(&reduced, instance.replicas, &mut set);
        }
        if top.lower + instance.slack >= best.upper || stale >= effort.patience {
            break;
        }
        // The subgradient: 1 − how many stores of the set the region would read from.
        let mut square = 0.0;
        for (row, reads) in reads.iter_mut().enumerate() {
            let costs = instance.row(row);
            *reads = set.iter().fold(1.0, |left, column| {
                left - f64::from(u8::from(costs[*column] < lambda[row]))
            });
            square += *reads * *reads;
        }
        if square == 0.0 {
            break;
        }
        let pace = length * (best.upper - top.lower).max(1.0) / square;
        for (lambda, reads) in lambda.iter_mut().zip(&reads) {
            *lambda = whole((*lambda + pace * reads).clamp(0.0, instance.forbidden));
        }
    }
    strike(instance, &mut top, best.upper);
    top
}

/// Drops columns whose presence alone raises the bound above `upper`.
fn strike(instance: &mut Instance, top: &mut Dual, upper: f64) {
    let mut set = Vec::new();
    cheapest(&top.reduced, instance.replicas, &mut set);
    let (least, most) = instance.replicas;
    let last = set.last().map_or(0.0, |last| top.reduced[*last]);
    // What must go for one more to come.
    let goes = if set.len() < least {
        return;
    } else if set.len() == most {
        last
    } else if set.len() == least {
        last.max(0.0)
    } else {
        0.0
    };
    let kept: Vec<usize> = (0..instance.store.len())
        .filter(|column| top.lower - goes + top.reduced[*column] <= upper || set.contains(column))
        .collect();
    if kept.len() < instance.store.len() {
        instance.retain(&kept);
        top.reduced = kept.iter().map(|column| top.reduced[*column]).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_are_those_that_must_be_and_those_that_pay() {
        let reduced = [3.0, -1.0, 2.0, -5.0, 0.0, -1.0];
        let taken = |range| {
            let mut found = Vec::new();
            cheapest(&reduced, range, &mut found);
            found
        };
        assert_eq!(taken((1, 1)), [3]);
        assert_eq!(taken((1, 2)), [3, 1]);
        assert_eq!(taken((1, 9)), [3, 1, 5]);
        assert_eq!(taken((4, 4)), [3, 1, 5, 4]);
        assert_eq!(taken((5, 9)), [3, 1, 5, 4, 2]);
    }
}
