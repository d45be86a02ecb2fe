//! What a run used, and what several runs used in the middle.

use serde::Deserialize;
use std::fmt;

/// One run, or the medians of several.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub(super) struct Figure {
    /// From start to end, seconds.
    pub(super) wall_s: f64,
    /// User and system time of the program and everything it started, seconds.
    pub(super) cpu_s: f64,
    /// The largest resident memory of any one of its processes, bytes.
    pub(super) peak_bytes: f64,
}

impl Figure {
    /// The median of each figure by itself; `None` where there was no run.
    pub(super) fn median(runs: &[Figure]) -> Option<Figure> {
        let of = |pick: fn(&Figure) -> f64| median(runs.iter().map(pick).collect());
        Some(Figure {
            wall_s: of(|run| run.wall_s)?,
            cpu_s: of(|run| run.cpu_s)?,
            peak_bytes: of(|run| run.peak_bytes)?,
        })
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{:.2} s, CPU {:.2} s, {:.0} MB",
            self.wall_s,
            self.cpu_s,
            self.peak_bytes / 1e6
        )
    }
}

/// The middle value, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    match values.len() % 2 {
        1 => Some(upper),
        _ => Some((values[middle - 1] + upper) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0]), Some(3.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 9.0]), Some(3.0));
    }

    #[test]
    fn each_figure_has_a_median_of_its_own() {
        let run = |wall_s, cpu_s| Figure {
            wall_s,
            cpu_s,
            peak_bytes: 2e6,
        };
        let middle = Figure::median(&[run(1.0, 9.0), run(2.0, 8.0), run(3.0, 1.0)]);
        assert_eq!(middle, Some(run(2.0, 8.0)));
        assert_eq!(run(1.0, 0.5).to_string(), "1.00 s, CPU 0.50 s, 2 MB");
    }
}
