//! One destination: Skyplane's planner.

use super::{figure, judged, measured, number, of, text};
use crate::eval::reference::Reference;
use crate::report::{Document, Table};
use anyhow::Result;
use serde_json::json;
use std::path::Path;

pub(super) fn run(folder: &Path) -> Result<bool> {
    let rows = measured("unicast", folder)?;
    let mut aims = Vec::new();
    let mut routes = Vec::new();
    for part in ["baseline", "three quarters", "fastest", "ceiling"] {
        for row in of(&rows, part) {
            routes.push(vec![
                text(row, "name"),
                format!("{part}: {}", text(row, "engine")),
                figure(number(row, "gbps"), 3),
                figure(number(row, "cost_usd") / 50.0, 5),
                figure(number(row, "machines"), 0),
                figure(number(row, "ms"), 2),
            ]);
        }
    }
    routes.sort();
    let frontiers: Vec<Vec<String>> = of(&rows, "frontier")
        .map(|row| {
            let ms = number(row, "ms");
            aims.push((
                format!("frontier of {}: {ms:.0} ms, at most 500", text(row, "name")),
                ms <= 500.0,
            ));
            vec![
                text(row, "name"),
                figure(number(row, "points"), 0),
                figure(number(row, "breakpoints"), 0),
                figure(ms, 0),
            ]
        })
        .collect();
    let pairs: Vec<Vec<String>> = of(&rows, "pairs")
        .map(|row| {
            let machines = number(row, "machines");
            let (median, max, sum) = (number(row, "median_ms"), number(row, "max_ms"), number(row, "sum_s"));
            aims.push((format!("{machines} machine(s): {median:.2} ms median of {} plans, at most 10", row["plans"]), median <= 10.0));
            aims.push((format!("{machines} machine(s): {max:.1} ms at most, of 50"), max <= 50.0));
            aims.push((format!("{machines} machine(s): all 4,970 pairs, two plans each, in {sum:.1} s, less than 60"), sum < 60.0));
            vec![figure(machines, 0), row["plans"].to_string(), figure(median, 2), figure(number(row, "p99_ms"), 2), figure(max, 1), figure(sum, 1)]
        })
        .collect();
    let (sampled, solver_note) = against_the_programme(&rows, &mut aims)?;
    let (mut notes, met) = judged(&aims);
    notes.insert(0, "50 GB; routes and the sample on the 2022-01 grid, all pairs on that of 2022-11; machines at the papers' $0.54 an hour. Milliseconds: of processor time, one thread.".into());
    notes.insert(1, "Three quarters: the cheapest at 75% of the fastest's throughput. Ceiling: the fastest for 1.05 times what the direct way costs. Baseline: the direct way, RON's relay.".into());
    notes.insert(2, solver_note);
    Document {
        title: "Unicast plans",
        notes,
        tables: vec![
            Table {
                heading: "Routes, one machine a region".into(),
                columns: vec!["route", "plan", "Gbit/s", "$ a GB", "machines", "ms"],
                rows: routes,
            },
            Table {
                heading: "Every ordered pair of 71 regions: the fastest plan, and the cheapest at three quarters of it".into(),
                columns: vec!["machines a region", "plans", "median ms", "p99 ms", "max ms", "all, s"],
                rows: pairs,
            },
            Table {
                heading: "Frontiers of 100 throughputs, with the relaxation's breakpoints".into(),
                columns: vec!["route", "points", "breakpoints", "ms"],
                rows: frontiers,
            },
            Table {
                heading: "Beside the paper's programme (4a to 4j) solved by HiGHS".into(),
                columns: vec!["plans", "agree", "cheaper here, the plan being faster than asked", "dearer here", "ours, ms: median, max", "HiGHS, ms: median, max"],
                rows: sampled,
            },
        ],
    }
    .publish("overlay-unicast")?;
    Ok(met)
}

/// The sampled programmes: how often both come to the same price.
fn against_the_programme(
    rows: &[serde_json::Value],
    aims: &mut Vec<(String, bool)>,
) -> Result<(Vec<Vec<String>>, String)> {
    let mut solver = match Reference::start()? {
        Ok(solver) => solver,
        Err(why) => return Ok((Vec::new(), format!("**HiGHS was not run**: {why}."))),
    };
    println!("HiGHS: the sampled programmes");
    let (mut agree, mut cheaper, mut dearer, mut ours, mut theirs) =
        (0, 0, 0, Vec::new(), Vec::new());
    for row in of(rows, "sampled") {
        let answer = solver.solve(&json!({"kind": "mps", "path": row["path"], "limit_s": 60}))?;
        let reference = number(&answer, "usd_per_gb");
        let usd = number(row, "cost_usd") / number(row, "volume_gb");
        ours.push(number(row, "ms"));
        theirs.push(number(&answer, "cpu_s") * 1e3);
        // HiGHS stops within 10⁻⁶ of its bound.
        match usd / reference - 1.0 {
            difference if difference.abs() <= 3e-6 => agree += 1,
            difference if difference < 0.0 => cheaper += 1,
            _ => dearer += 1,
        }
    }
    ours.sort_by(f64::total_cmp);
    theirs.sort_by(f64::total_cmp);
    aims.push((
        format!(
            "no plan of {} is dearer than the programme's optimum",
            ours.len()
        ),
        dearer == 0,
    ));
    let both = |values: &[f64]| match values {
        [] => "–".to_owned(),
        values => format!(
            "{:.2}, {:.1}",
            values[values.len() / 2],
            values[values.len() - 1]
        ),
    };
    let row = vec![
        ours.len().to_string(),
        agree.to_string(),
        cheaper.to_string(),
        dearer.to_string(),
        both(&ours),
        both(&theirs),
    ];
    let note = "The sample: random pairs, 1 to 4 machines a region, at 80% of the fastest's throughput. The programme fixes the throughput to the goal; a plan here may be faster, and then cheaper.";
    Ok((vec![row], note.into()))
}
