//! A prediction against what really happens: how far its quantiles are off, and what a planner chooses that believes it.

use super::WORKERS;
use skyfresh_plan::predict::Samples;
use skyfresh_plan::predict::fit::Fit;

/// Numbers of functions whose predictions are shown.
pub(super) const SHOWN: [usize; 3] = [1, 8, 64];
/// Quantiles that are shown.
pub(super) const QUANTILES: [f64; 2] = [0.99, 0.999];
/// SLOs of each set, evenly spaced by ratio from the real p99 of the most functions to that of one.
pub(super) const SLOS: usize = 200;

/// What one belief says of copies by so many functions as [`WORKERS`] has.
pub(super) struct Prediction {
    /// Times of a copy, in seconds, by the number of functions.
    pub(super) times_s: Vec<Samples>,
    /// Not drawn, so that its quantiles have no interval.
    pub(super) exact: bool,
}

/// A belief, judged.
pub(super) struct Judged {
    pub(super) name: String,
    /// The fit that it is, if it is one.
    pub(super) fit: Option<Fit>,
    /// What `Fits::best` chose.
    pub(super) chosen: bool,
    /// Of each quantile by each of [`SHOWN`]: relative error, and whether the draws could make it.
    errors: Vec<(f64, bool)>,
    choices: Choices,
}

/// What a planner chooses that believes a prediction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Choices {
    /// Share of the SLOs for which it takes fewer functions than are needed.
    too_few: f64,
    /// Share of the copies that are late at those, summed over all SLOs and divided by their number.
    late: f64,
    /// The same at the worst of them.
    latest: f64,
    /// Share of the SLOs for which it takes more than are needed, or finds none although there is one.
    too_many: f64,
}

impl Judged {
    pub(super) fn new(
        name: String,
        fit: Option<Fit>,
        prediction: &Prediction,
        real: &Prediction,
    ) -> Self {
        let error = |p: f64, predicted: &Samples, real: &Samples| {
            let (value, (real_low, real_high)) = (predicted.quantile(p), real.interval(p));
            let (low, high) = match prediction.exact {
                true => (value, value),
                false => predicted.interval(p),
            };
            let overlap = low <= real_high && real_low <= high;
            (value / real.quantile(p) - 1.0, overlap)
        };
        let errors = QUANTILES.iter().flat_map(|p| {
            let pairs = shown(prediction).zip(shown(real));
            pairs.map(move |(predicted, real)| error(*p, predicted, real))
        });
        Judged {
            name,
            fit,
            chosen: false,
            errors: errors.collect(),
            choices: choices(&prediction.times_s, &real.times_s),
        }
    }

    pub(super) fn cells(&self, heading: &str) -> Vec<String> {
        let mark = if self.chosen { "**" } else { "" };
        let mut cells = vec![heading.to_owned(), format!("{mark}{}{mark}", self.name)];
        cells.extend(match &self.fit {
            Some(fit) => [
                format!("{:.3}", fit.distance),
                format!("{:.3}", fit.critical),
                if fit.rejected() { "yes" } else { "no" }.into(),
            ],
            None => ["", "", ""].map(String::from),
        });
        cells.extend(self.errors.iter().map(|(error, by_chance)| {
            let percent = format!("{:+.1}%", 100.0 * error);
            if *by_chance {
                format!("({percent})")
            } else {
                percent
            }
        }));
        cells.extend(self.choices.cells());
        cells
    }
}

/// One line for the same belief over all sets: greatest errors, and means of the choices.
pub(super) fn over_all(name: &str, judged: &[&Judged]) -> Vec<String> {
    let count = judged.len().max(1) as f64;
    let fits: Vec<&Fit> = judged.iter().filter_map(|one| one.fit.as_ref()).collect();
    let rejected = fits.iter().filter(|fit| fit.rejected()).count();
    let rejected = match fits.is_empty() {
        true => String::new(),
        false => format!("{rejected} of {}", fits.len()),
    };
    let mut cells = vec!["all".into(), name.into(), String::new(), String::new()];
    cells.push(rejected);
    for index in 0..SHOWN.len() * QUANTILES.len() {
        let errors = judged.iter().map(|one| one.errors[index].0);
        let worst = errors.fold(0.0f64, |worst, error| {
            if error.abs() > worst.abs() {
                error
            } else {
                worst
            }
        });
        cells.push(format!("{:+.1}%", 100.0 * worst));
    }
    let mut all = Choices::default();
    for Judged { choices, .. } in judged {
        all.too_few += choices.too_few / count;
        all.late += choices.late / count;
        all.latest = all.latest.max(choices.latest);
        all.too_many += choices.too_many / count;
    }
    cells.extend(all.cells());
    cells
}

/// The predictions for those numbers of functions that are shown.
pub(super) fn shown(of: &Prediction) -> impl Iterator<Item = &Samples> {
    let at = WORKERS.iter().zip(&of.times_s);
    at.filter(|(workers, _)| SHOWN.contains(workers))
        .map(|(_, times_s)| times_s)
}

impl Choices {
    fn cells(&self) -> [String; 4] {
        let percent = |share: f64| format!("{:.1}%", 100.0 * share);
        let late = |share: f64| match self.too_few > 0.0 {
            true => percent(share),
            false => "-".into(),
        };
        [
            percent(self.too_few),
            late(self.late / self.too_few),
            late(self.latest),
            percent(self.too_many),
        ]
    }
}

/// The fewest functions of [`WORKERS`] whose p99 is within the SLO, as an index; beyond the last where there are none.
fn fewest(times_s: &[Samples], slo_s: f64) -> usize {
    let in_time = |times_s: &Samples| times_s.quantile(0.99) <= slo_s;
    times_s.iter().position(in_time).unwrap_or(times_s.len())
}

fn choices(predicted: &[Samples], real: &[Samples]) -> Choices {
    let p99 = real.iter().map(|times_s| times_s.quantile(0.99));
    let (low, high) = p99.fold((f64::INFINITY, 0.0f64), |(low, high), p99| {
        (low.min(p99), high.max(p99))
    });
    let each = 1.0 / SLOS as f64;
    let mut choices = Choices::default();
    for index in 0..SLOS {
        let slo_s = low * (high / low).powf((index as f64 + 0.5) * each);
        let (believed, needed) = (fewest(predicted, slo_s), fewest(real, slo_s));
        if believed < needed {
            let late = 1.0 - real[believed].cdf(slo_s);
            choices.too_few += each;
            choices.late += late * each;
            choices.latest = choices.latest.max(late);
        } else if believed > needed {
            choices.too_many += each;
        }
    }
    choices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_by_hand() {
        // One function takes 4 s, two 2 s, three 1 s; in 2 of 100 cases two take 3 s.
        let always = Samples::constant;
        let two = Samples::new((0..100).map(|i| if i < 2 { 3.0 } else { 2.0 }).collect());
        let real = [always(4.0), two, always(1.0)];
        let same = choices(&real, &real);
        assert_eq!((same.too_few, same.too_many), (0.0, 0.0));
        // Two are believed to take 2 s always: too few for SLOs of 2 to 3 s, log(3/2) / log(4) of all, where 2% are late.
        let hopeful = choices(&[always(4.0), always(2.0), always(1.0)], &real);
        assert!((hopeful.too_few - 0.2925).abs() < 0.006, "{hopeful:?}");
        assert_eq!(hopeful.cells()[1..3], ["2.0%", "2.0%"]);
        let fearful = choices(&[always(9.0), always(9.0), always(9.0)], &real);
        assert_eq!(fearful.cells(), ["0.0%", "-", "-", "100.0%"]);
    }

    #[test]
    fn errors_are_relative_and_chance_is_marked() {
        let grid = |from: f64| Samples::new((0..1_000).map(|i| from + f64::from(i)).collect());
        let of = |from: f64| Prediction {
            times_s: WORKERS.iter().map(|_| grid(from)).collect(),
            exact: false,
        };
        let judged = |from| Judged::new("x".into(), None, &of(from), &of(1_000.0));
        // The p99 is 1,989, and 3 or 1,000 more; the intervals are 6 ranks to each side.
        assert_eq!(judged(1_003.0).cells("set")[5], "(+0.2%)");
        let far = judged(2_000.0);
        assert_eq!(far.cells("set")[5], "+50.3%");
        let all = over_all("x", &[&judged(1_003.0), &far]);
        assert_eq!((all.len(), all[5].as_str()), (15, "+50.3%"));
    }
}
