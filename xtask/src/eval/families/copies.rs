//! How long a copy takes, drawn many times: under what was measured, under a fitted family, and by the closed form.

use skyfresh_plan::predict::Samples;
use skyfresh_plan::predict::finish::{Dispatch, Worker, schedule};
use skyfresh_sky::{Distribution, Rng};
use std::f64::consts::PI;

/// Megabytes of 10⁶ bytes in a part: 8 MiB, the prototype's default.
pub(super) const PART_MB: f64 = 8.388608;
/// Parts of 1 GB; the last is counted as a whole one.
pub(super) const PARTS: u64 = 120;
/// Draws of a copy.
const DRAWS: usize = 20_000;
/// A rate or time that a family draws below this share of its mean, or below 0, counts as this share.
pub(super) const LEAST: f64 = 0.01;

/// What is believed of one function.
pub(super) enum Belief {
    /// Each of these rates is equally likely, in 10⁶ bytes a second, ascending.
    Measured(Vec<f64>),
    /// The rate, in 10⁶ bytes a second.
    Rate(Distribution),
    /// The time for a part, in seconds.
    PartTime(Distribution),
}

impl Belief {
    /// The time for a part, in seconds. Small draws of `rng` are the slow parts however it is believed, so that most beliefs
    /// are compared under the same luck (a mixture draws twice).
    fn draw(&self, rng: &Rng) -> f64 {
        match self {
            Belief::Measured(rates) => PART_MB / rates[(rng.unit() * rates.len() as f64) as usize],
            Belief::Rate(rate) => PART_MB / rate.sample(rng).max(rate.mean() * LEAST),
            Belief::PartTime(time) => {
                // 1 would be infinite.
                let share = 1.0 - rng.unit().max(f64::EPSILON);
                time.quantile(share).max(time.mean() * LEAST)
            }
        }
    }
}

/// The time of a copy by so many functions, from the calls to the last part, in seconds.
pub(super) fn draw(
    belief: &Belief,
    start_s: &Distribution,
    workers: usize,
    dispatch: Dispatch,
    seed: u64,
) -> Samples {
    // Of their own, so that starts are the same under every belief.
    let (starts, rates) = (Rng::named(seed, "start"), Rng::named(seed, "rate"));
    let mut pool = Vec::with_capacity(workers);
    let mut finishes = Vec::with_capacity(DRAWS);
    for _ in 0..DRAWS {
        pool.clear();
        pool.extend((0..workers).map(|_| Worker {
            start_s: start_s.sample(&starts).max(0.0),
            part_s: belief.draw(&rates),
        }));
        finishes.push(schedule(&pool, PARTS, dispatch).finish_s);
    }
    Samples::new(finishes)
}

/// The closed form: each function has an equal share of the parts and takes a normal time for it, start included; the last of
/// them is a Gumbel, as the greatest of n independent normals nearly is: location μ + σ (√(2 ln n) − (ln ln n + ln 4π) /
/// (2 √(2 ln n))), scale σ / √(2 ln n).
///
/// R. A. Fisher, L. H. C. Tippett, Proc. Cambridge Philosophical Society 24 (1928) 180-190; the constants as in M. R. Leadbetter,
/// G. Lindgren, H. Rootzén, Extremes (1983), theorem 1.5.3.
pub(super) fn closed_form(
    rates_mb_per_s: &[f64],
    start_s: &Distribution,
    workers: usize,
) -> Samples {
    let share = PARTS.div_ceil(workers as u64) as f64;
    let own_s: Vec<f64> = rates_mb_per_s
        .iter()
        .map(|rate| share * PART_MB / rate)
        .collect();
    let grid = |count: usize| (0..count).map(move |i| (i as f64 + 0.5) / count as f64);
    let starts_s: Vec<f64> = grid(2_000).map(|p| start_s.quantile(p)).collect();
    let ((own_mean, own_variance), (start_mean, start_variance)) =
        (moments(&own_s), moments(&starts_s));
    let (mean, sd) = (
        own_mean + start_mean,
        (own_variance + start_variance).sqrt(),
    );
    let of = match workers {
        1 => Distribution::Normal { mean, sd },
        _ => greatest_of_normals(mean, sd, workers),
    };
    Samples::new(grid(DRAWS).map(|p| of.quantile(p)).collect())
}

fn greatest_of_normals(mean: f64, sd: f64, count: usize) -> Distribution {
    let logarithm = (count as f64).ln();
    let root = (2.0 * logarithm).sqrt();
    let second = (logarithm.ln() + (4.0 * PI).ln()) / (2.0 * root);
    Distribution::Gumbel {
        location: mean + sd * (root - second),
        scale: sd / root,
    }
}

/// Mean and variance.
fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|x| (x - mean) * (x - mean)).sum();
    (mean, squares / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_chance_every_belief_is_the_same_copy() {
        let start_s = Distribution::Constant(0.5);
        // 1 s a part; 8 functions have 15 parts each.
        let beliefs = [
            Belief::Measured(vec![PART_MB; 3]),
            Belief::Rate(Distribution::Constant(PART_MB)),
            Belief::PartTime(Distribution::Constant(1.0)),
        ];
        for belief in &beliefs {
            for dispatch in [Dispatch::Pull, Dispatch::Equal] {
                let drawn = draw(belief, &start_s, 8, dispatch, 1);
                assert!((drawn.quantile(0.99) - 15.5).abs() < 1e-6);
            }
        }
        let closed = closed_form(&[PART_MB; 3], &start_s, 8);
        assert!((closed.quantile(0.99) - 15.5).abs() < 1e-6);
    }

    /// The median of the greatest of n is the normal's quantile at 2^(−1/n); the p99 at 0.99^(1/n). The approximation converges
    /// slowly: of 64 it is 3% of a standard deviation late at the median, and 19% at the p99.
    #[test]
    fn the_greatest_of_normals_is_nearly_a_gumbel() {
        let one = Distribution::Normal { mean: 0.0, sd: 1.0 };
        for count in [64, 1_000] {
            let close = |p: f64, within: f64| {
                let exact = one.quantile(p.powf(1.0 / count as f64));
                let got = greatest_of_normals(0.0, 1.0, count).quantile(p);
                assert!((got - exact).abs() < within, "{count}, {p}: {got}, {exact}");
            };
            close(0.5, 0.03);
            close(0.99, 0.2);
        }
    }

    #[test]
    fn a_family_that_reaches_below_zero_is_clamped() {
        let rng = Rng::seeded(3);
        for belief in [
            Belief::Rate(Distribution::Normal { mean: 1.0, sd: 5.0 }),
            Belief::PartTime(Distribution::Normal { mean: 1.0, sd: 5.0 }),
        ] {
            assert!((0..2_000).all(|_| (0.0..=PART_MB * 100.001).contains(&belief.draw(&rng))));
        }
    }
}
