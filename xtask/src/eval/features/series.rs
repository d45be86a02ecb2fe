//! Real series: every policy, budget and kind of query.

use super::rows::{BUDGETS, Means, columns};
use super::{data, measured};
use crate::eval::overlay::{judged, picture};
use crate::report::{Document, Table};
use anyhow::Result;
use serde_json::Value;

const GRAINS: [&str; 2] = ["hourly", "five-minute"];
const QUERIES: [&str; 3] = ["uniform", "bernoulli", "zipf"];

pub(super) fn run() -> Result<bool> {
    let Some(data) = data() else {
        return Ok(true);
    };
    let rows = measured(&["series", &data.display().to_string()])?;
    let mut tables = Vec::new();
    let (mut overall, mut smallest, mut saved) = (Vec::new(), Vec::new(), Vec::new());
    let mut starved = 0.0;
    for grain in GRAINS {
        for queries in QUERIES {
            let of = |row: &&Value| row["grain"] == grain && row["query_kind"] == queries;
            let means = Means::of(rows.iter().filter(of));
            let regrets = BUDGETS.map(|budget| means.regret_percent("regret", budget));
            overall.push(regrets.iter().sum::<f64>() / 8.0);
            smallest.push(f64::midpoint(regrets[0], regrets[1]));
            saved.push(means.saved_percent("regret"));
            // Below .02 there are fewer updates in all than keys: some get none under any policy.
            starved += BUDGETS[2..]
                .iter()
                .map(|b| means.get("regret", *b, "starved"))
                .sum::<f64>();
            let (keys, steps) = (
                means.get("update-all", 1.0, "keys"),
                means.get("update-all", 1.0, "steps"),
            );
            let (all, none) = (
                means.get("update-all", 1.0, "mase"),
                means.get("update-none", 0.0, "mase"),
            );
            let heading = format!("{grain}, {queries} queries, {keys} keys, {steps} steps");
            tables.push(Table {
                heading: format!("Regret against round-robin, %: {heading}"),
                columns: columns("policy"),
                rows: means.table(|policy, budget| means.regret_percent(policy, budget), 1),
            });
            tables.push(Table {
                heading: format!("Loss (MASE; update all {all:.3}, none {none:.3}): {heading}"),
                columns: columns("policy"),
                rows: means.table(|policy, budget| means.get(policy, budget, "mase"), 3),
            });
            if queries == "uniform" {
                for (name, field, digits) in [
                    ("Loss (MSE, scaled)", "mse", 2),
                    ("Mean staleness, steps", "staleness_mean", 1),
                    ("Keys never updated", "starved", 1),
                ] {
                    tables.push(Table {
                        heading: format!("{name}: {heading}"),
                        columns: columns("policy"),
                        rows: means
                            .table(|policy, budget| means.get(policy, budget, field), digits),
                    });
                }
                let name = format!("features-{grain}.svg");
                let subtitle = format!("Numenta Anomaly Benchmark, {heading}, mean of 5 seeds");
                picture(
                    &name,
                    &means
                        .picture("What an order of updates is worth", &subtitle)
                        .svg(),
                )?;
            }
        }
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let list = |values: &[f64]| {
        let told: Vec<String> = values.iter().map(|value| format!("{value:.1}")).collect();
        told.join(", ")
    };
    let order = "hourly uniform, Bernoulli, Zipf; five-minute uniform, Bernoulli, Zipf";
    let aims = [
        (
            format!(
                "regret {:.1}% against round-robin, of −14%: the mean over budgets of {} ({order})",
                mean(&overall),
                list(&overall)
            ),
            mean(&overall) <= -14.0,
        ),
        (
            format!(
                "at the two smallest budgets {:.1}%, of −30%: {}",
                mean(&smallest),
                list(&smallest)
            ),
            mean(&smallest) <= -30.0,
        ),
        (
            format!(
                "within 1% of update all with {:.0}% fewer updates, of 61% (stretch 79%): {}",
                mean(&saved),
                list(&saved)
            ),
            mean(&saved) >= 61.0,
        ),
        (
            format!("keys that never got an update, at budgets from .02 up: {starved:.0}, of 0"),
            starved == 0.0,
        ),
    ];
    let (mut notes, met) = judged(&aims);
    notes.insert(0, "Each key is two weeks of one series. Its feature is the decomposition of the last three days (STL, season of a day, AR(1) remainder); every step asks for forecasts of the points to come, whose error over that of \"as yesterday\" is reported; then the points are data. Regret: loss beyond that of updating everything. Five seeds, which draw queries and the order in which equal keys come. [Hourly](features-hourly.svg), [five-minute](features-five-minute.svg).".into());
    notes.insert(1, "The error at small budgets is that of few updates on few keys: at .005 the 89 keys get about 120 (hourly) or 60 (five-minute) updates in all.".into());
    Document {
        title: "Features: regret on real series",
        notes,
        tables,
    }
    .publish("features-series")?;
    Ok(met)
}
