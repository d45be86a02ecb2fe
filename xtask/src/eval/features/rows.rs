//! Rows of a replay, averaged over seeds, and the tables and pictures made of them.

use crate::eval::plot::{Axis, Plot, Series};
use serde_json::Value;
use std::collections::BTreeMap;

/// Updates per key with new data.
pub(super) const BUDGETS: [f64; 8] = [0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64];
/// In the order of the tables.
pub(super) const POLICIES: [&str; 7] = [
    "regret",
    "literal",
    "query-proportional",
    "round-robin",
    "random",
    "minimum-past",
    "max-pending",
];
/// Okabe and Ito's, one a policy.
const COLOURS: [&str; 7] = [
    "#D55E00", "#CC79A7", "#009E73", "#0072B2", "#777777", "#E69F00", "#56B4E9",
];

/// Means over seeds of one field, by policy and budget.
#[derive(Default)]
pub(super) struct Means {
    sums: BTreeMap<(String, u64), BTreeMap<String, f64>>,
    counts: BTreeMap<(String, u64), f64>,
}

impl Means {
    pub(super) fn of<'a>(rows: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut means = Means::default();
        for row in rows {
            let policy = row["policy"].as_str().unwrap_or_default().to_owned();
            let key = (policy, row["budget"].as_f64().unwrap_or(0.0).to_bits());
            *means.counts.entry(key.clone()).or_default() += 1.0;
            let sums = means.sums.entry(key).or_default();
            for (name, value) in row.as_object().into_iter().flatten() {
                if let Some(value) = value.as_f64() {
                    *sums.entry(name.clone()).or_default() += value;
                }
            }
        }
        means
    }

    pub(super) fn get(&self, policy: &str, budget: f64, field: &str) -> f64 {
        let key = (policy.to_owned(), budget.to_bits());
        let sum = self.sums.get(&key).and_then(|sums| sums.get(field));
        match (sum, self.counts.get(&key)) {
            (Some(sum), Some(count)) => sum / count,
            _ => f64::NAN,
        }
    }

    /// By how much a policy's regret differs from round-robin's at this budget, in percent.
    pub(super) fn regret_percent(&self, policy: &str, budget: f64) -> f64 {
        let turns = self.get("round-robin", budget, "regret");
        100.0 * (self.get(policy, budget, "regret") / turns - 1.0)
    }

    /// The share of updates that a policy does without at the least budget at which its loss is within 1% of updating everything's;
    /// percent. Budgets between those measured are interpolated in the loss.
    pub(super) fn saved_percent(&self, policy: &str) -> f64 {
        let bound = self.get("update-all", 1.0, "mase") * 1.01;
        let loss = |budget: f64| match budget {
            1.0 => self.get("update-all", 1.0, "mase"),
            _ => self.get(policy, budget, "mase"),
        };
        let budgets = [&BUDGETS[..], &[1.0]].concat();
        // From the greatest budget down, while the loss stays within the bound.
        let mut least = 1.0;
        for pair in budgets.windows(2).rev() {
            let (low, high) = (pair[0], pair[1]);
            if loss(low) <= bound {
                least = low;
                continue;
            }
            let (above, below) = (loss(low) - bound, bound - loss(high));
            least = low + (high - low) * above / (above + below);
            break;
        }
        100.0 * (1.0 - least)
    }

    /// A row for each policy: one cell a budget, and the mean.
    pub(super) fn table(&self, cell: impl Fn(&str, f64) -> f64, digits: usize) -> Vec<Vec<String>> {
        let row = |policy: &&str| {
            let cells: Vec<f64> = BUDGETS.iter().map(|budget| cell(policy, *budget)).collect();
            let mean = cells.iter().sum::<f64>() / cells.len() as f64;
            let mut row = vec![(*policy).to_owned()];
            row.extend(
                cells
                    .iter()
                    .chain([&mean])
                    .map(|cell| format!("{cell:.digits$}")),
            );
            row
        };
        POLICIES.iter().map(row).collect()
    }

    /// Loss by budget, a line a policy; the bounds are lines across.
    pub(super) fn picture(&self, title: &str, subtitle: &str) -> Plot {
        let across = |policy: &str, budget: f64, name: &str, colour| {
            let loss = self.get(policy, budget, "mase");
            Series {
                name: name.to_owned(),
                colour,
                points: vec![(BUDGETS[0], loss), (BUDGETS[7], loss)],
                mark: None,
            }
        };
        let mut series: Vec<Series> = POLICIES
            .iter()
            .zip(COLOURS)
            .map(|(policy, colour)| Series {
                name: (*policy).to_owned(),
                colour,
                points: BUDGETS
                    .iter()
                    .map(|budget| (*budget, self.get(policy, *budget, "mase")))
                    .collect(),
                mark: None,
            })
            .collect();
        series.push(across("update-all", 1.0, "update all", "#222222"));
        series.push(across("update-none", 0.0, "update none", "#aaaaaa"));
        let losses = || {
            series
                .iter()
                .flat_map(|s| s.points.iter().map(|(_, loss)| *loss))
        };
        let (low, high) = (
            losses().fold(f64::INFINITY, f64::min),
            losses().fold(f64::NEG_INFINITY, f64::max),
        );
        let room = (high - low) * 0.05;
        let (low, high) = (low - room, high + room);
        let tick = |part: usize| ((low + (high - low) * part as f64 / 5.0) * 1e3).round() / 1e3;
        Plot {
            title: title.to_owned(),
            subtitle: subtitle.to_owned(),
            x: Axis {
                label: "updates per key with new data",
                low: BUDGETS[0],
                high: BUDGETS[7],
                logarithmic: true,
                ticks: BUDGETS.to_vec(),
            },
            y: Axis {
                label: "mean loss (MASE)",
                low,
                high,
                logarithmic: false,
                ticks: (0..=5).map(tick).collect(),
            },
            series,
            guides: Vec::new(),
        }
    }
}

/// The head of a table by budget.
pub(super) fn columns(first: &'static str) -> Vec<&'static str> {
    vec![
        first, ".005", ".01", ".02", ".04", ".08", ".16", ".32", ".64", "mean",
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn seeds_are_averaged_and_savings_interpolated() {
        let row = |policy: &str, budget: f64, mase: f64, regret: f64| json!({"policy": policy, "budget": budget, "mase": mase, "regret": regret});
        let mut rows = vec![row("update-all", 1.0, 1.0, 0.0)];
        for budget in BUDGETS {
            rows.push(row("round-robin", budget, 1.5, 10.0));
            rows.push(row("regret", budget, 1.5, 4.0));
            rows.push(row("regret", budget, 1.3, 6.0));
        }
        let means = Means::of(&rows);
        assert_eq!(means.get("regret", 0.01, "mase"), 1.4);
        assert_eq!(means.regret_percent("regret", 0.01), -50.0);
        // From 1.4 at .64 to 1.0 at 1: 1.01 is reached at .64 + .36 × .39 / .4.
        let saved = means.saved_percent("regret");
        assert!((saved - 100.0 * (1.0 - 0.991)).abs() < 1e-9, "{saved}");
        assert!(means.get("none", 0.1, "mase").is_nan());
    }
}
