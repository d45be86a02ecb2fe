//! The page of results: a table for each work, and the aims beside what was reached.

use super::Measured;
use super::aims::{Judged, verdicts};
use super::figure::Figure;
use super::install::Installed;
use super::servers::Servers;
use super::tools::Tool;
use super::work::Work;
use crate::report::{Document, Table};

pub(super) fn document(
    tables: &[(Work, Vec<Measured>)],
    installed: &Installed,
    rounds: u32,
    servers: Servers,
) -> Document {
    let served = match servers {
        Servers::Localsky => {
            "Source and destination are two processes of `skyfresh localsky` in memory, on loopback, on the same processors as \
             the tools; where objects are written, their entity tags are random instead of MD5, which would take longer than \
             any tool."
        }
        Servers::S3sFs => {
            "Source and destination are two processes of s3s-fs on a memory disk, on loopback, on the same processors as the \
             tools."
        }
    };
    let mut notes = vec![
        served.to_owned(),
        format!(
            "Every tool in turn, {rounds} rounds, medians; the destination is emptied before each run and counted after it. \
             CPU: user and system time of the tool and what it starts. Peak: the largest resident set of any one process."
        ),
        "LIMIT: one GET piped into one PUT (or part) by hyper 1.x on one thread, payloads unsigned, CRC64NVME over every \
         byte; ratios are to its fastest setting. 2 hops: the tool cannot copy between endpoints, and goes over a memory \
         disk."
            .into(),
    ];
    notes.extend(installed.lines());
    let smaller = tables
        .iter()
        .find(|(work, _)| *work == Work::Nothing)
        .and_then(|(_, rows)| Judged::of(rows).skyfresh);
    let mut all: Vec<Table> = tables
        .iter()
        .filter(|(_, rows)| !rows.is_empty())
        .map(|(work, rows)| table(*work, rows))
        .collect();
    all.push(aims(tables, smaller));
    Document {
        title: "Copying and comparing two S3 endpoints",
        notes,
        tables: all,
    }
}

fn table(work: Work, rows: &[Measured]) -> Table {
    let judged = Judged::of(rows);
    Table {
        heading: format!("{}: {}", work.letter(), work.describe()),
        columns: vec![
            "tool",
            "wall, s",
            "CPU, s",
            "peak, MB",
            "wall ÷ LIMIT",
            "CPU ÷ LIMIT",
            "wall ÷ best peer",
        ],
        rows: rows.iter().map(|row| cells(row, &judged)).collect(),
    }
}

fn cells(measured: &Measured, judged: &Judged) -> Vec<String> {
    let label = match measured.row.tool {
        Tool::Skyfresh => format!("**{}**", measured.row.label),
        _ => measured.row.label.clone(),
    };
    let none = || "–".to_owned();
    let Some(figure) = measured.median() else {
        let why = measured.failure.clone().unwrap_or_else(none);
        return vec![label, why, none(), none(), none(), none(), none()];
    };
    let ratio = |pick: fn(&Figure) -> f64, other: Option<Figure>| {
        other.map_or_else(none, |other| format!("{:.2}", pick(&figure) / pick(&other)))
    };
    vec![
        label,
        format!("{:.2}", figure.wall_s),
        format!("{:.2}", figure.cpu_s),
        format!("{:.0}", figure.peak_bytes / 1e6),
        ratio(|figure| figure.wall_s, judged.limit),
        ratio(|figure| figure.cpu_s, judged.limit),
        ratio(|figure| figure.wall_s, judged.best_peer),
    ]
}

fn aims(tables: &[(Work, Vec<Measured>)], smaller: Option<Figure>) -> Table {
    let rows = tables.iter().flat_map(|(work, rows)| {
        verdicts(*work, &Judged::of(rows), smaller)
            .into_iter()
            .map(|verdict| {
                vec![
                    work.letter().to_owned(),
                    verdict.aim,
                    verdict.measured,
                    verdict.met.to_owned(),
                ]
            })
    });
    Table {
        heading: "Aims".into(),
        columns: vec!["work", "aim", "measured", "met"],
        rows: rows.collect(),
    }
}
