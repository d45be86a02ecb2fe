//! The paper's figure 9 on a synthetic trace: what objects cost as each method places them.

use super::super::plot::{Axis, Mark, Plot, Series};
use super::{SAME, measured, number, publish, text};
use crate::report::Table;
use crate::workspace;
use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Seconds in which 1.1 million objects are to be placed.
const TRACE_AIM_S: f64 = 30.0;
const COLOURS: [&str; 8] = [
    "#000000", "#999999", "#D55E00", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#0072B2",
];

pub(super) fn run() -> Result<bool> {
    let rows = measured("trace")?;
    if rows.is_empty() {
        bail!("the placements told nothing");
    }
    let exact = |row: &Value| {
        rows.iter()
            .find(|other| {
                other["model"] == row["model"]
                    && other["remote"] == row["remote"]
                    && text(other, "method") == "exact, up to 12"
            })
            .map_or(f64::NAN, |exact| number(exact, "usd"))
    };
    let ratio = |row: &Value| number(row, "usd") / exact(row);
    let slowest = rows
        .iter()
        .map(|row| number(row, "total_seconds"))
        .fold(0.0, f64::max);
    let aims = vec![
        (
            format!(
                "1.1 million objects placed exactly in {slowest:.1} s at most, on two threads, of {TRACE_AIM_S} s"
            ),
            slowest <= TRACE_AIM_S,
        ),
        (
            "every placement proven, none of a heuristic cheaper".into(),
            rows.iter()
                .all(|row| row["with_gap"] == 0 && ratio(row) >= 1.0 - SAME),
        ),
    ];
    let mut methods: Vec<&str> = Vec::new();
    for row in &rows {
        if !methods.contains(&text(row, "method")) {
            methods.push(text(row, "method"));
        }
    }
    for model in ["A", "B"] {
        let series = methods.iter().zip(COLOURS).map(|(method, colour)| Series {
            name: (*method).to_owned(),
            colour,
            points: rows
                .iter()
                .filter(|row| text(row, "method") == *method && text(row, "model") == model)
                .map(|row| (number(row, "remote") * 100.0, ratio(row)))
                .collect(),
            mark: Some((Mark::Circle, true)),
        });
        draw(model, series.collect())?;
    }
    let table = Table {
        heading: format!(
            "Dollars by method, under one cost: sampled, {} of 1,100,000 objects",
            rows[0]["sampled"]
        ),
        columns: vec![
            "remote model",
            "p",
            "method",
            "$",
            "relative",
            "seconds",
            "exact, processor s a thread",
            "exact, total s",
        ],
        rows: rows
            .iter()
            .map(|row| {
                vec![
                    text(row, "model").into(),
                    row["remote"].to_string(),
                    text(row, "method").into(),
                    format!("{:.4}", number(row, "usd")),
                    format!("{:.3}", ratio(row)),
                    format!("{:.1}", number(row, "cpu_seconds")),
                    format!("{:.1}", number(row, "busy_seconds")),
                    format!("{:.1}", number(row, "total_seconds")),
                ]
            })
            .collect(),
    };
    let notes = vec![
        "A synthetic trace: 1.1 million objects of ten AWS regions in a week, sizes log-normal (median 100 KB, σ 2.2, at most 5 GB), home and hour uniform, kept to the week's end; 55% have one put; the home's gets are Pareto, α 1.2, at most 10⁴. Copies may be in 75 stores of 25 regions.".into(),
        "The exact method places all objects, and SpanStore decides by the sums of all; dollars are compared on one object in ten.".into(),
        "Remote model A: each of the nine other regions reads, with probability p, as often as the home; B: each reads p times as often. The paper's figure 9 has a published trace in their place; its shape, not its figures, can be compared.".into(),
        "SpanStore: one set of stores for all objects of an hour that are accessed from the same regions, found exactly for the sum of all of them. k-means: up to five clusters of regions by read costs. Profit: greedy, while the cost falls. Home and everywhere: in the home region, in all ten, the cheapest tier there.".into(),
        "`processor s a thread`: how long the busier of two threads had a processor for the exact method on all objects, the making of the trace included; `total s`: the same by the clock, beside whatever else the machine did. `seconds`: each method alone, on the sample, by the clock, on both threads together.".into(),
        "![Cost relative to exact, model A](placement-trace-a.svg)".into(),
        "![Cost relative to exact, model B](placement-trace-b.svg)".into(),
    ];
    publish(
        "placement-trace",
        "A trace, placed exactly and by heuristics",
        &aims,
        notes,
        table,
    )
}

/// The picture of one remote model.
fn draw(model: &str, series: Vec<Series>) -> Result<()> {
    let what = match model {
        "A" => "each remote region reads as often as the home, with this probability",
        _ => "each remote region reads this share of the home's gets",
    };
    let plot = Plot {
        title: format!("Cost of placements, relative to the exact ones: model {model}"),
        subtitle: format!("1.1 million objects of ten AWS regions; {what}"),
        x: Axis {
            label: match model {
                "A" => "probability that a remote region reads, %",
                _ => "remote reads, % of the home's gets",
            },
            low: 0.08,
            high: 125.0,
            logarithmic: true,
            ticks: vec![0.1, 1.0, 10.0, 100.0],
        },
        y: Axis {
            label: "cost, relative to exact",
            low: 0.9,
            high: 50.0,
            logarithmic: true,
            ticks: vec![1.0, 2.0, 5.0, 10.0, 20.0, 50.0],
        },
        series,
        guides: Vec::new(),
    };
    let name = format!("docs/results/placement-trace-{}.svg", model.to_lowercase());
    let path = workspace::root().join(name);
    std::fs::write(&path, plot.svg()).with_context(|| format!("cannot write {}", path.display()))
}
