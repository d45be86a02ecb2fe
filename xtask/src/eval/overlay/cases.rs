//! The four cases of Cloudcast's evaluation.

use super::{figure, judged, measured, number, of, text};
use crate::eval::reference::Reference;
use crate::report::{Document, Table};
use anyhow::Result;
use serde_json::json;
use std::path::Path;

/// Of our research before the planner was written: HiGHS, the same cases (dollars for 100 GB).
const BEST_KNOWN_USD: [(&str, f64); 4] = [
    ("aws", 19.992),
    ("azure", 41.232),
    ("gcp", 40.119),
    ("inter", 53.727),
];

pub(super) fn run(folder: &Path, limit_s: u32) -> Result<bool> {
    let rows = measured("cases", folder)?;
    let mut solver = Reference::start()?;
    let mut aims = Vec::new();
    let mut packed_rows = Vec::new();
    for row in of(&rows, "packed") {
        let name = text(row, "name");
        let (cost, bound, ms) = (
            number(row, "cost_usd"),
            number(row, "bound_usd"),
            number(row, "ms"),
        );
        let known = BEST_KNOWN_USD
            .iter()
            .find(|(case, _)| *case == name)
            .map_or(f64::NAN, |(_, usd)| *usd);
        let above = 100.0 * (cost / bound - 1.0);
        let (mut joint, mut joint_bound, mut joint_cpu) = (f64::NAN, f64::NAN, f64::NAN);
        let (mut iterative, mut iterative_cpu) = (f64::NAN, f64::NAN);
        if let Ok(solver) = &mut solver {
            let find = |part: &str| of(&rows, part).find(|row| row["name"] == name.as_str());
            if let Some(programme) = find("programme") {
                println!("HiGHS: {name}, the joint programme of 10 stripes, {limit_s} s at most");
                let task = json!({"kind": "mps", "path": programme["path"], "limit_s": limit_s});
                let answer = solver.solve(&task)?;
                joint = number(&answer, "usd_per_gb") * 100.0;
                joint_bound = number(&answer, "bound") * 100.0;
                joint_cpu = number(&answer, "cpu_s");
            }
            if let Some(instance) = find("instance") {
                println!("HiGHS: {name}, a programme for each of 10 stripes");
                let task = json!({"kind": "iterative", "path": instance["path"], "stripes": 10});
                let answer = solver.solve(&task)?;
                iterative = number(&answer, "usd_per_gb") * 100.0;
                iterative_cpu = number(&answer, "cpu_s");
            }
        }
        aims.push((
            format!("{name}: ${cost:.4} is no more than the best known ${known}"),
            cost <= known + 5e-4,
        ));
        aims.push((
            format!("{name}: {above:.3}% above the proven bound, at most 0.2%"),
            above <= 0.2,
        ));
        if iterative_cpu.is_finite() {
            let ratio = iterative_cpu * 1e3 / ms;
            aims.push((format!("{name}: {ratio:.0} times less processor time than a programme a stripe by HiGHS, at least 50"), ratio >= 50.0));
            let dearer = !iterative.is_finite() || cost <= iterative + 1e-6;
            aims.push((
                format!(
                    "{name}: no dearer than the stripe-iterative plan of HiGHS (${})",
                    figure(iterative, 3)
                ),
                dearer,
            ));
        }
        if joint.is_finite() {
            aims.push((
                format!("{name}: no dearer than the joint programme (${joint:.3})"),
                cost <= joint + 1e-6,
            ));
        }
        packed_rows.push(vec![
            name,
            figure(number(row, "time_s"), 1),
            figure(cost, 4),
            figure(bound, 4),
            figure(above, 3),
            figure(number(row, "trees"), 0),
            figure(number(row, "machines"), 0),
            figure(ms, 1),
            figure(joint, 3),
            figure(joint_bound, 3),
            figure(joint_cpu, 1),
            figure(iterative, 3),
            figure(iterative_cpu, 2),
            figure(known, 3),
        ]);
    }
    let stripes = of(&rows, "stripes").map(|row| {
        vec![
            text(row, "name"),
            figure(number(row, "stripes"), 0),
            text(row, "engine"),
            figure(number(row, "cost_usd"), 3),
            figure(number(row, "time_s"), 1),
            figure(number(row, "ms"), 1),
        ]
    });
    let baselines = of(&rows, "baseline").map(|row| {
        vec![
            text(row, "name"),
            text(row, "engine"),
            figure(number(row, "time_s"), 1),
            figure(number(row, "cost_usd"), 2),
            figure(number(row, "egress_usd"), 2),
            figure(number(row, "machines"), 0),
        ]
    });
    let (mut notes, met) = judged(&aims);
    notes.insert(0, "100 GB, two machines a region, the 2022-11 grid, machines at the papers' $0.54 an hour; Cloudcast's footnotes 2 to 5, the deadlines of our research. Milliseconds: of processor time, the median of nine.".into());
    notes.insert(1, "HiGHS: the paper's programme with appendix B for 10 stripes, to 10⁻⁶ or until its time is up, and its three approximations with a programme for each stripe on the same clusters; it pays machines until the deadline, packing until the transfer ends. Best known: of our research, HiGHS as well.".into());
    if let Err(why) = &solver {
        notes.insert(2, format!("**HiGHS was not run**: {why}."));
    }
    Document {
        title: "Multicast plans of the papers' cases",
        notes,
        tables: vec![
            Table {
                heading: "Packed, beside the reference".into(),
                columns: vec![
                    "case",
                    "s",
                    "$",
                    "bound $",
                    "above, %",
                    "trees",
                    "machines",
                    "ms",
                    "joint MILP, 10 stripes: $",
                    "its bound $",
                    "CPU s",
                    "iterative by HiGHS, 10 stripes: $",
                    "CPU s",
                    "best known $",
                ],
                rows: packed_rows,
            },
            Table {
                heading: "Few stripes".into(),
                columns: vec!["case", "stripes", "engine", "$", "s", "ms"],
                rows: stripes.collect(),
            },
            Table {
                heading: "Baselines, without a deadline but for the deadline-aware one".into(),
                columns: vec!["case", "engine", "s", "$", "egress $", "machines"],
                rows: baselines.collect(),
            },
        ],
    }
    .publish("overlay-cases")?;
    Ok(met)
}
