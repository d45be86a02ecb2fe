//! Two normals, one of which each logarithm is drawn from, by expectation maximisation.

use super::moments;
use skyfresh_sky::{Distribution, Weighted};
use std::f64::consts::PI;

/// Shares of the measurements that begin as the lower of the two.
const STARTS: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];
/// Steps from each start; the one that has come furthest goes on.
const FIRST_STEPS: usize = 20;
/// Steps in all, at most. What has not settled by then is used as it is: one family too many for the measurements.
const MOST_STEPS: usize = 300;
/// Settled: a step gains less log-likelihood than this for each measurement.
const SETTLED: f64 = 1e-7;
/// The narrowest that a part may become, relative to the whole: a part on one repeated measurement would otherwise shrink
/// without end, and the likelihood grow without end.
const NARROWEST: f64 = 1e-3;

#[derive(Clone, Copy)]
struct Part {
    weight: f64,
    mean: f64,
    sd: f64,
}

/// The mixture of two lognormals whose logarithms these are (ascending, two different ones at least), the lower first, and
/// the log-likelihood of the logarithms. `None` where one part is left with less than one measurement.
///
/// A. P. Dempster, N. M. Laird, D. B. Rubin, "Maximum Likelihood from Incomplete Data via the EM Algorithm", JRSS B 39
/// (1977) 1-38. Starts are cuts of the sorted measurements, so that nothing is drawn.
pub(super) fn fit(logarithms: &[f64]) -> Option<(Distribution, f64)> {
    let (_, sd) = moments(logarithms);
    let narrowest = sd * NARROWEST;
    let settled = SETTLED * logarithms.len() as f64;
    let run = |mut parts: [Part; 2], steps: usize| {
        let mut reached = f64::NEG_INFINITY;
        for _ in 0..steps {
            let (next, likelihood) = step(&parts, logarithms, narrowest);
            if likelihood - reached < settled {
                break;
            }
            (parts, reached) = (next, likelihood);
        }
        (parts, reached)
    };
    let starts = STARTS.map(|share| run(cut(logarithms, share, narrowest), FIRST_STEPS));
    let furthest = starts.into_iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let (mut parts, _) = run(furthest.0, MOST_STEPS - FIRST_STEPS);
    let alone = 1.0 / logarithms.len() as f64;
    if parts
        .iter()
        .any(|part| part.weight.is_nan() || part.weight < alone)
    {
        return None;
    }
    parts.sort_by(|a, b| a.mean.total_cmp(&b.mean));
    let (_, likelihood) = step(&parts, logarithms, narrowest);
    let weighted = |part: &Part| Weighted {
        weight: part.weight,
        of: Distribution::Lognormal {
            median: libm::exp(part.mean),
            sigma: part.sd,
        },
    };
    let mixture = Distribution::Mixture(parts.iter().map(weighted).collect());
    Some((mixture, likelihood))
}

fn cut(sorted: &[f64], share: f64, narrowest: f64) -> [Part; 2] {
    let at = (sorted.len() as f64 * share) as usize;
    let (lower, upper) = sorted.split_at(at.clamp(2, sorted.len() - 2));
    [lower, upper].map(|values| {
        let (mean, sd) = moments(values);
        Part {
            weight: values.len() as f64 / sorted.len() as f64,
            mean,
            sd: sd.max(narrowest),
        }
    })
}

/// The parts after one step, and the log-likelihood before it.
fn step(parts: &[Part; 2], logarithms: &[f64], narrowest: f64) -> ([Part; 2], f64) {
    // About the old means, so that the spread of a narrow part is not lost in the size of its mean.
    let mut sums = [[0.0f64; 3]; 2];
    let mut likelihood = 0.0;
    // What does not depend on the measurement is taken out: this is where fitting spends its time.
    let constants = parts.map(|part| libm::log(part.weight / part.sd) - 0.5 * libm::log(2.0 * PI));
    for y in logarithms {
        let density = |index: usize| {
            let z = (y - parts[index].mean) / parts[index].sd;
            constants[index] - 0.5 * z * z
        };
        let density = [density(0), density(1)];
        let greater = density[0].max(density[1]);
        let relative = density.map(|density| libm::exp(density - greater));
        let total = relative[0] + relative[1];
        likelihood += greater + libm::log(total);
        for ((sum, part), share) in sums.iter_mut().zip(parts).zip(relative) {
            let (share, offset) = (share / total, y - part.mean);
            sum[0] += share;
            sum[1] += share * offset;
            sum[2] += share * offset * offset;
        }
    }
    let mut next = *parts;
    for (part, [count, offsets, squares]) in next.iter_mut().zip(sums) {
        part.weight = count / logarithms.len() as f64;
        // Nothing is left to place it by; it is dropped at the end.
        if count > 0.0 {
            let moved = offsets / count;
            part.mean += moved;
            part.sd = (squares / count - moved * moved)
                .max(0.0)
                .sqrt()
                .max(narrowest);
        }
    }
    (next, likelihood)
}
