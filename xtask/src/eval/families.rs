//! `cargo xtask eval families`: which distribution measured rates follow, and what believing another one costs.

mod copies;
mod judge;
mod measured;

use crate::report::Report;
use anyhow::{Context, Result};
use copies::{Belief, LEAST, PART_MB, PARTS};
use judge::{Judged, Prediction, QUANTILES, SLOS, shown};
use measured::Set;
use skyfresh_plan::predict::finish::Dispatch;
use skyfresh_plan::predict::fit::{Family, fit};
use skyfresh_sky::{Distribution, Rng};

/// Fit families of distributions to measured rates, and see what each costs a planner that believes it.
#[derive(clap::Args)]
pub(crate) struct Families {
    /// Seed of all draws.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Numbers of functions that a planner may choose of.
const WORKERS: [usize; 16] = [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64];

const COLUMNS: [&str; 15] = [
    "set, starts",
    "believed",
    "D",
    "critical",
    "rejected",
    "p99, n=1",
    "n=8",
    "n=64",
    "p99.9, n=1",
    "n=8",
    "n=64",
    "too few",
    "late there",
    "late at worst",
    "too many",
];

impl Families {
    /// Always true: a family that is wrong is a result, not a failure.
    pub(crate) fn run(self) -> Result<bool> {
        let (sets, origin) = measured::sets()?;
        let (mut lines, mut judged) = (Vec::new(), Vec::new());
        for (starts, index) in [("warm", 0), ("cold", 1)] {
            for set in &sets {
                let heading = format!("{}, {starts}", set.name);
                println!("{heading}");
                let (truth, of_set) = self.of_set(set, &set.starts_s[index])?;
                lines.push(seconds(&heading, &truth));
                lines.extend(of_set.iter().map(|one| one.cells(&heading)));
                judged.push(of_set);
            }
        }
        let mut rows = Vec::new();
        for first in judged.first().into_iter().flatten() {
            let same = judged.iter().flatten().filter(|one| one.name == first.name);
            rows.push(judge::over_all(&first.name, &same.collect::<Vec<_>>()));
        }
        let chosen: Vec<&Judged> = judged.iter().flatten().filter(|one| one.chosen).collect();
        rows.push(judge::over_all("**as `Fits::best` chooses**", &chosen));
        rows.extend(lines);
        let report = Report {
            title: "Families of distributions, and what believing them costs",
            notes: notes(&origin, self.seed),
            columns: COLUMNS.to_vec(),
            rows,
        };
        report.publish("families")?;
        Ok(true)
    }

    /// The truth of a set, and every belief judged by it.
    fn of_set(&self, set: &Set, start_s: &Distribution) -> Result<(Prediction, Vec<Judged>)> {
        let rates = &set.rates_mb_per_s;
        let draw = |belief: &Belief, dispatch, seed| Prediction {
            times_s: WORKERS
                .iter()
                .map(|workers| copies::draw(belief, start_s, *workers, dispatch, seed))
                .collect(),
            exact: false,
        };
        let pulled = |belief: Belief| draw(&belief, Dispatch::Pull, self.seed);
        let measured = || Belief::Measured(rates.clone());
        let truth = pulled(measured());
        let again = draw(&measured(), Dispatch::Pull, self.seed + 1);
        let mut judged = vec![Judged::new(
            "measured, drawn again".into(),
            None,
            &again,
            &truth,
        )];
        let fits = fit(rates);
        let chosen = fits.best().context("no rates")?.family;
        for fit in fits.all() {
            let prediction = pulled(Belief::Rate(fit.distribution.clone()));
            let name = fit.family.to_string();
            let mut one = Judged::new(name, Some(fit.clone()), &prediction, &truth);
            one.chosen = fit.family == chosen;
            judged.push(one);
        }
        let part_s: Vec<f64> = rates.iter().map(|rate| PART_MB / rate).collect();
        let of_times = fit(&part_s);
        for family in [Family::Normal, Family::Gumbel] {
            let fit = of_times.of(family).context("times cannot be fitted")?;
            let prediction = pulled(Belief::PartTime(fit.distribution.clone()));
            let name = format!("{family} time");
            judged.push(Judged::new(name, Some(fit.clone()), &prediction, &truth));
        }
        let closed = |workers: &usize| copies::closed_form(rates, start_s, *workers);
        let closed = Prediction {
            times_s: WORKERS.iter().map(closed).collect(),
            exact: true,
        };
        judged.push(Judged::new("closed form".into(), None, &closed, &truth));
        let equal = draw(&measured(), Dispatch::Equal, self.seed);
        let name = "closed form, of equal shares".into();
        judged.push(Judged::new(name, None, &closed, &equal));
        let (one_half, other_half) = halves(rates, &Rng::named(self.seed, "halves"));
        let (of_half, of_other) = (fit(&one_half), pulled(Belief::Measured(other_half)));
        for family in [Family::Normal, Family::Empirical] {
            let fit = of_half.of(family).context("a half cannot be fitted")?;
            let prediction = pulled(Belief::Rate(fit.distribution.clone()));
            let name = format!("{family}, of one half for the other");
            judged.push(Judged::new(name, Some(fit.clone()), &prediction, &of_other));
        }
        Ok((truth, judged))
    }
}

/// Two halves at random, each ascending.
fn halves(sorted: &[f64], rng: &Rng) -> (Vec<f64>, Vec<f64>) {
    let mut mixed = sorted.to_vec();
    for last in (1..mixed.len()).rev() {
        mixed.swap(last, rng.below(last as u64 + 1) as usize);
    }
    let mut other = mixed.split_off(mixed.len() / 2);
    mixed.sort_by(f64::total_cmp);
    other.sort_by(f64::total_cmp);
    (mixed, other)
}

/// The true quantiles, in seconds, each with its interval.
fn seconds(heading: &str, truth: &Prediction) -> Vec<String> {
    let mut cells = vec![heading.to_owned(), "measured, s".into()];
    cells.resize(5, String::new());
    for p in QUANTILES {
        for times_s in shown(truth) {
            let (low, high) = times_s.interval(p);
            cells.push(format!(
                "{:.3} ({low:.3} to {high:.3})",
                times_s.quantile(p)
            ));
        }
    }
    cells.resize(COLUMNS.len(), String::new());
    cells
}

fn notes(origin: &str, seed: u64) -> Vec<String> {
    vec![
        origin.into(),
        format!("A copy: {PARTS} parts of 8 MiB (1 GB) pulled by n functions, one part at a time each (`predict::finish::schedule`), from the calls to the last part. Each function has one rate for the whole copy; starts are the catalogue's, warm or cold for all. 20,000 draws, seed {seed}; every belief sees the same starts."),
        "The truth of a set is its measured rates, each equally likely: the first line of a set, with 95% intervals for that many draws. Other lines: the predicted quantile relative to it, in parentheses where the two intervals overlap. `measured, drawn again` is the truth under another seed: what the draws alone do.".into(),
        "`all`: the greatest error over the six sets with warm and with cold starts, and means of the choices.".into(),
        "Families are fitted to the rates; `time` to the time for a part, where maxima are the slow functions. **Bold**: what `Fits::best` chooses for the rates. D, critical: Kolmogorov-Smirnov at 1%, corrected for estimated parameters (`predict::fit::critical_distance`).".into(),
        format!("A rate or time below {LEAST} of its mean, or below 0, counts as that share of the mean. The two normals reach there: what a clamp makes of it is the family's error and no finding about functions."),
        "`closed form`: equal shares, a normal time for each, the last of n normals as a Gumbel; once judged by copies that pull, once by copies with equal shares, which it describes.".into(),
        "`of one half for the other`: fitted to a random half of the measurements and judged by the other half. The empirical family of all measurements is judged by what it was made of; this line is not.".into(),
        format!("`too few`: of {SLOS} SLOs between the real p99 of 64 functions and of one, the share for which the fewest functions whose predicted p99 is within the SLO (of {WORKERS:?}) are fewer than needed; `late there`: the share of copies that are really late at those SLOs, 1% being asked for; `too many`: more than needed, or none found. The fewest are taken for the cheapest: all wait for the end."),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_the_whole() {
        let whole: Vec<f64> = (0..101).map(f64::from).collect();
        let (one, other) = halves(&whole, &Rng::seeded(1));
        assert_eq!((one.len(), other.len()), (50, 51));
        let mut both = [one, other].concat();
        both.sort_by(f64::total_cmp);
        assert_eq!(both, whole);
    }
}
