//! Synthetic ratings: every policy and budget.

use super::measured;
use super::rows::{BUDGETS, Means, POLICIES, columns};
use crate::eval::overlay::{judged, picture};
use crate::report::{Document, Table};
use anyhow::Result;

pub(super) fn run() -> Result<bool> {
    let rows = measured(&["ratings"])?;
    let means = Means::of(&rows);
    let mut aims = Vec::new();
    for budget in BUDGETS {
        let loss = |policy: &str| means.get(policy, budget, "mase");
        let mut order = POLICIES.to_vec();
        order.sort_by(|a, b| loss(a).total_cmp(&loss(b)));
        let place = 1 + order
            .iter()
            .position(|policy| *policy == "regret")
            .unwrap_or(6);
        aims.push((
            format!(
                "at {budget} place {place} of 7 (best: {}, {:.4}; regret {:.4}), of 2",
                order[0],
                loss(order[0]),
                loss("regret")
            ),
            place <= 2,
        ));
        aims.push((
            format!(
                "at {budget} no worse than round-robin: {:.4} against {:.4}",
                loss("regret"),
                loss("round-robin")
            ),
            loss("regret") <= loss("round-robin"),
        ));
    }
    let (mut notes, met) = judged(&aims);
    let (all, none) = (
        means.get("update-all", 1.0, "mase"),
        means.get("update-none", 0.0, "mase"),
    );
    notes.insert(0, format!("A log as large as MovieLens 1M with its shares of stars, its number of ratings a user (log-normal, median 96) and its sessions; tastes are drawn. The second half is replayed in 2,000 steps: each rating is first a question (the error reported is |rating − predicted|), then data for the user's embedding (ridge regression on all ratings so far, items fixed). Loss is over that of guessing the mean: update all {all:.4}, none {none:.4}. Regret runs with a decay of 30 steps. Five seeds, a log each. [Picture](features-ratings.svg)."));
    let table = |heading: &str, field: &'static str, digits| Table {
        heading: heading.to_owned(),
        columns: columns("policy"),
        rows: means.table(|policy, budget| means.get(policy, budget, field), digits),
    };
    Document {
        title: "Features: synthetic ratings",
        notes,
        tables: vec![
            table("Loss (absolute error over that of the mean)", "mase", 4),
            table("Loss (squared error over that of the mean)", "mse", 4),
            Table {
                heading: "Regret against round-robin, %".into(),
                columns: columns("policy"),
                rows: means.table(|policy, budget| means.regret_percent(policy, budget), 1),
            },
            table("Keys that got data and no update", "starved", 1),
        ],
    }
    .publish("features-ratings")?;
    let plot = means.picture(
        "What an order of updates is worth: ratings",
        "synthetic, 6,040 users, mean of 5 seeds",
    );
    picture("features-ratings.svg", &plot.svg())?;
    Ok(met)
}
