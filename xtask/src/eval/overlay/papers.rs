//! The papers' headlines, ours beside theirs.

use super::{figure, measured, number, of, picture, text};
use crate::eval::plot::{Axis, BLUE, Mark, Plot, Series, VERMILION};
use crate::report::{Document, Table};
use anyhow::Result;
use serde_json::Value;
use std::path::Path;

/// Skyplane, table 2: seconds, Gbit/s, dollars, as printed.
const TABLE_2: [(&str, &str); 5] = [
    ("GridFTP (1 VM)", "133 s, 1.03, $1.40"),
    ("Skyplane (1 VM, direct)", "73 s, 1.71, $1.40"),
    ("Skyplane w/ RON routes (4 VMs)", "21 s, 6.02, $2.27"),
    ("Skyplane (cost optimized, 4 VMs)", "32 s, 3.88, $1.56"),
    (
        "Skyplane (throughput optimized, 4 VMs)",
        "16 s, 8.07, $1.59",
    ),
];

pub(super) fn run(folder: &Path) -> Result<bool> {
    let rows = measured("papers", folder)?;
    figure_8(&rows)?;
    let figure_7 = of(&rows, "figure 7").map(|row| {
        vec![
            text(row, "generation"),
            format!("{} → {}", text(row, "from"), text(row, "to")),
            row["pairs"].to_string(),
            figure(number(row, "direct_median_gbps"), 2),
            figure(number(row, "overlay_median_gbps"), 2),
            figure(number(row, "geomean"), 2),
            figure(number(row, "p90"), 2),
            figure(number(row, "max"), 1),
        ]
    });
    let table_2 = of(&rows, "table 2").map(|row| {
        let name = text(row, "name");
        let paper = TABLE_2
            .iter()
            .find(|(method, _)| *method == name)
            .map_or("–", |(_, told)| *told);
        vec![
            text(row, "generation"),
            name.clone(),
            figure(number(row, "time_s"), 1),
            figure(number(row, "gbps"), 2),
            figure(number(row, "cost_usd"), 2),
            paper.to_owned(),
        ]
    });
    let swept = of(&rows, "figure 8").map(|row| {
        vec![
            text(row, "name"),
            figure(number(row, "time_s"), 1),
            figure(number(row, "cost_usd"), 2),
        ]
    });
    let nine = figures_9_and_10(&rows);
    let free: Vec<Vec<String>> = of(&rows, "figure 18")
        .zip(["0.24", "0.2075", "0.12"])
        .map(|(row, paper)| {
            vec![
                text(row, "name"),
                figure(number(row, "cost_usd") / 100.0, 4),
                figure(number(row, "time_s"), 1),
                paper.to_owned(),
            ]
        })
        .collect();
    let notes = vec![
        "Predicted on the papers' two grids, which are not the runs they printed: the set of regions of Skyplane's evaluation is not available, and its figures were measured on clouds. Machines at $0.54 an hour.".into(),
        "Figure 7: the paper draws distributions and prints no numbers; as there, out of AWS nothing is faster than 5 Gbit/s and out of GCP than 7, and overlays help most out of Azure and into slow regions.".into(),
        "Table 2: the grids' direct way from Azure East US to Tokyo carries 4.8 and 6.4 Gbit/s with one machine, the paper saw 1.71, so every row here is faster by more than that. The order is the paper's, but for RON: its heuristic knows no caps; with four machines at each end its relay is as fast as our fastest plan, and as dear.".into(),
        "Figures 9 and 10: the paper's HT is 46 to 62.4% cheaper and 2 to 2.84 times faster than direct, measured; predicted here.".into(),
        "Figure 18: the paper names no regions; here from GCP London to AWS Sydney and Azure Australia East. Free egress saves less, since the Azure and AWS relays of this grid are cheap already: one of two crossings between clouds is saved.".into(),
        "![Cost and time of Cloudcast's simulated case](overlay-figure-8.svg)".into(),
    ];
    Document {
        title: "The papers' headlines",
        notes,
        tables: vec![
            Table {
                heading: "Skyplane, figure 7: throughput with relays over direct, one machine a region".into(),
                columns: vec!["grid", "clouds", "pairs", "direct, median Gbit/s", "overlay, median Gbit/s", "speed-up: geomean", "p90", "max"],
                rows: figure_7.collect(),
            },
            Table {
                heading: "Skyplane, table 2: 16 GB from azure:eastus to aws:ap-northeast-1".into(),
                columns: vec!["grid", "method", "s", "Gbit/s", "$", "the paper's, measured"],
                rows: table_2.collect(),
            },
            Table {
                heading: "Cloudcast, figure 8: 100 GB from gcp:asia-southeast1 to four regions of two clouds".into(),
                columns: vec!["plan", "s", "$"],
                rows: swept.collect(),
            },
            Table {
                heading: "Cloudcast, figures 9 and 10: against direct".into(),
                columns: vec!["case", "plan", "s", "$", "cost against direct", "times faster than direct"],
                rows: nine,
            },
            Table {
                heading: "Cloudcast, figure 18: a cloud with free egress between".into(),
                columns: vec!["plan", "$ a GB", "s", "the paper's $ a GB"],
                rows: free,
            },
        ],
    }
    .publish("overlay-papers")?;
    Ok(true)
}

fn figures_9_and_10(rows: &[Value]) -> Vec<Vec<String>> {
    let all: Vec<&Value> = of(rows, "figures 9, 10").collect();
    all.iter()
        .map(|row| {
            let direct = all
                .iter()
                .find(|other| other["name"] == row["name"] && other["label"] == "direct");
            let ratio = |name: &str| {
                direct.map_or(f64::NAN, |direct| number(direct, name) / number(row, name))
            };
            vec![
                text(row, "name"),
                text(row, "label"),
                figure(number(row, "time_s"), 1),
                figure(number(row, "cost_usd"), 2),
                format!("{:+.1}%", 100.0 * (1.0 / ratio("cost_usd") - 1.0)),
                figure(ratio("time_s"), 2),
            ]
        })
        .collect()
}

/// Cost against time: every engine a point.
fn figure_8(rows: &[Value]) -> Result<()> {
    let points = |wanted: &dyn Fn(&str) -> bool| -> Vec<(f64, f64)> {
        of(rows, "figure 8")
            .filter(|row| wanted(&text(row, "name")))
            .map(|row| (number(row, "time_s"), number(row, "cost_usd")))
            .collect()
    };
    let series = |name: &str, colour, mark, filled, wanted: &dyn Fn(&str) -> bool| Series {
        name: name.into(),
        colour,
        points: points(wanted),
        mark: Some((mark, filled)),
    };
    let plot = Plot {
        title: "100 GB from gcp:asia-southeast1 to four regions of two clouds".into(),
        subtitle: "Cloudcast's simulated case (figure 8); lower and further left is better".into(),
        x: Axis {
            label: "seconds",
            low: 40.0,
            high: 300.0,
            logarithmic: true,
            ticks: vec![50.0, 75.0, 100.0, 150.0, 200.0, 300.0],
        },
        y: Axis {
            label: "dollars",
            low: 30.0,
            high: 80.0,
            logarithmic: false,
            ticks: vec![30.0, 40.0, 50.0, 60.0, 70.0, 80.0],
        },
        series: vec![
            series("Skyfresh", VERMILION, Mark::Circle, true, &|name| {
                name.starts_with("Skyfresh")
            }),
            series(
                "one tree: spanning, Steiner, CloudMPCast",
                BLUE,
                Mark::Square,
                true,
                &|name| name.contains("tree") || name.starts_with("CloudMPCast"),
            ),
            series("Skyplane, combined", BLUE, Mark::Triangle, false, &|name| {
                name.starts_with("Skyplane")
            }),
            series(
                "SPIDER, Bullet, BitTorrent, deadline-aware",
                "#009E73",
                Mark::Triangle,
                true,
                &|name| {
                    ["SPIDER", "Bullet", "BitTorrent"].contains(&name)
                        || name.starts_with("deadline")
                },
            ),
            series("direct", "#222222", Mark::Square, false, &|name| {
                name == "direct"
            }),
        ],
        guides: Vec::new(),
    };
    picture("overlay-figure-8.svg", &plot.svg())?;
    Ok(())
}
