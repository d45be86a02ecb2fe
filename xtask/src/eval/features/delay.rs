//! Feedback that comes late: regret, with and without its guards, against round-robin.

use super::rows::{BUDGETS, Means, columns};
use super::{data, measured};
use crate::eval::overlay::judged;
use crate::report::{Document, Table};
use anyhow::Result;
use serde_json::Value;

const DELAYS: [u64; 7] = [0, 1, 2, 4, 8, 16, 24];

pub(super) fn run() -> Result<bool> {
    let Some(data) = data() else {
        return Ok(true);
    };
    let rows = measured(&["delay", &data.display().to_string()])?;
    let mut tables = Vec::new();
    let mut aims = Vec::new();
    for grain in ["hourly", "five-minute"] {
        for guards in [true, false] {
            let mut worst = (f64::NEG_INFINITY, 0, 0.0);
            let mut longest = 0.0f64;
            let cells = DELAYS.map(|delay| {
                let of = |row: &&Value| {
                    let turns = row["policy"] == "round-robin";
                    row["grain"] == grain
                        && row["delay_steps"] == delay
                        && (turns || row["guards"] == guards)
                };
                let means = Means::of(rows.iter().filter(of));
                let mut row = vec![delay.to_string()];
                let mut sum = 0.0;
                for budget in BUDGETS {
                    let loss = |policy: &str| means.get(policy, budget, "mase");
                    let excess = 100.0 * (loss("regret") / loss("round-robin") - 1.0);
                    if excess > worst.0 {
                        worst = (excess, delay, budget);
                    }
                    longest = longest.max(means.get("regret", budget, "staleness_max") * budget);
                    sum += excess;
                    row.push(format!("{excess:.1}"));
                }
                row.push(format!("{:.1}", sum / 8.0));
                row
            });
            tables.push(Table {
                heading: format!(
                    "Loss against round-robin, %: {grain}, {} guards",
                    if guards { "with" } else { "without" }
                ),
                columns: columns("delay, steps"),
                rows: cells.to_vec(),
            });
            if guards {
                aims.push((
                    format!("{grain}: at most {:.1}% worse than round-robin, of 2% (delay {}, budget {})", worst.0, worst.1, worst.2),
                    worst.0 <= 2.0,
                ));
                aims.push((
                    format!("{grain}: no key waited longer than {longest:.1} rounds (steps × budget), of 10 that a reserve of a tenth allows"),
                    longest <= 10.0 + 1e-9,
                ));
            }
        }
    }
    let (mut notes, met) = judged(&aims);
    notes.insert(0, "As in features-series.md, uniform queries, so that all seeds are one replay; errors are reported so many steps after the query. Guards: keys are taken in turn while the delay exceeds the refresh interval, or while a round-robin shadow is estimated to do better.".into());
    Document {
        title: "Features: feedback that comes late",
        notes,
        tables,
    }
    .publish("features-delay")?;
    Ok(met)
}
