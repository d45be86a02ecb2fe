//! Random cases of multicast, by the number of destinations.

use super::{figure, judged, measured, number, of, text};
use crate::report::{Document, Table};
use anyhow::Result;
use std::path::Path;

/// Cloudcast's table 3: mean error in percent.
const PAPER_ERRORS: [(&str, &str); 4] = [
    ("clustered", "0.3"),
    ("two hops", "1.1"),
    ("a stripe at a time", "0.0"),
    ("all three", "1.1"),
];

pub(super) fn run(folder: &Path) -> Result<bool> {
    let rows = measured("random", folder)?;
    let mut aims = Vec::new();
    let mut table = Vec::new();
    for row in of(&rows, "random") {
        let destinations = number(row, "destinations");
        let max_ms = number(&row["ms"], "max");
        let gap = number(&row["gap_percent"], "max");
        if destinations <= 10.0 {
            aims.push((
                format!("{destinations} destinations: {max_ms:.0} ms at most, of 50"),
                max_ms <= 50.0,
            ));
        } else if destinations >= 20.0 {
            aims.push((
                format!("{destinations} destinations: {max_ms:.0} ms at most, of 1,000"),
                max_ms <= 1000.0,
            ));
        }
        aims.push((
            format!(
                "{destinations} destinations: {gap:.3}% above the proven bound at most, of 0.2%"
            ),
            gap <= 0.2,
        ));
        let spread = |name: &str, digits: usize| {
            let one = |what: &str| figure(number(&row[name], what), digits);
            format!("{} / {} / {}", one("mean"), one("median"), one("max"))
        };
        table.push(vec![
            figure(destinations, 0),
            row["cases"].to_string(),
            row["unreached"].to_string(),
            spread("ms", 1),
            spread("gap_percent", 3),
            spread("iterative_excess_percent", 2),
            row["iterative_found"].to_string(),
            row["dearer_than_iterative"].to_string(),
            spread("cost_ratio_to_direct", 2),
            spread("time_ratio_to_direct", 2),
        ]);
    }
    let errors = of(&rows, "approximation").map(|row| {
        let name = text(row, "name");
        let paper = PAPER_ERRORS
            .iter()
            .find(|(kind, _)| *kind == name)
            .map_or("–", |(_, error)| *error);
        vec![
            name.clone(),
            figure(number(row, "mean_percent"), 2),
            figure(number(row, "max_percent"), 1),
            row["infeasible"].to_string(),
            paper.to_owned(),
        ]
    });
    let errors = errors.collect();
    let (mut notes, met) = judged(&aims);
    notes.insert(0, "100 GB, two machines a region, the 2022-11 grid, machines at $0.54 an hour; sources and destinations drawn from all 71 regions; the deadline is 1.25 times what the fastest plan takes. Each cell: mean / median / max. Milliseconds: of processor time, one thread.".into());
    notes.insert(1, "Iterative: Cloudcast's three approximations by our own code, 10 stripes, where it finds a plan in time at all; by how much its plan is dearer. Ratios to direct: direct's dollars (Cloudcast's figure 13) and seconds over ours.".into());
    Document {
        title: "Random multicast cases",
        notes,
        tables: vec![
            Table {
                heading: "By the number of destinations".into(),
                columns: vec!["destinations", "cases", "without a plan", "ms", "above the bound, %", "iterative dearer by, %", "iterative found", "ours dearer", "cost: direct ÷ ours", "time: direct ÷ ours"],
                rows: table,
            },
            Table {
                heading: "What the paper's approximations cost: 100 cases of 5 destinations (Cloudcast, table 3)".into(),
                columns: vec!["approximation", "mean error, %", "worst, %", "no plan in time", "the paper's mean, %"],
                rows: errors,
            },
        ],
    }
    .publish("overlay-random")?;
    Ok(met)
}
