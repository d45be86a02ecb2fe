//! Plans carried out by real relays over shaped links: what they were predicted to take, and what they took.

use super::{figure, judged, number, text, told_by};
use crate::report::{Document, Table};
use anyhow::Result;
use serde_json::Value;

/// Most that a run may be off its prediction, and off the prediction with the start of the flow in it.
const OFF: f64 = 0.10;
const OFF_WITH_START: f64 = 0.05;

pub(super) fn run() -> Result<bool> {
    println!("carrying plans out by relays over shaped links");
    let rows = told_by("skyfresh-sim", "achieved", &[])?;
    let mut aims = Vec::new();
    let mut table = Vec::new();
    for row in &rows {
        let name = text(row, "case");
        let (predicted, fill, achieved) = (
            number(row, "predicted_s"),
            number(row, "fill_s"),
            number(row, "achieved_s"),
        );
        let off = achieved / predicted - 1.0;
        let off_with_start = achieved / (predicted + fill) - 1.0;
        aims.push((
            format!("{name}: {:+.1}% of the plan's time, of ±10%", off * 100.0),
            off.abs() <= OFF,
        ));
        aims.push((
            format!(
                "{name}: {:+.1}% with the flow's start in it, of ±5%",
                off_with_start * 100.0
            ),
            off_with_start.abs() <= OFF_WITH_START,
        ));
        let once = row["read_once"] == Value::Bool(true);
        aims.push((
            format!("{name}: everything arrived, and the source was read once"),
            once && row["complete"] == Value::Bool(true),
        ));
        table.push(vec![
            name,
            row["destinations"].to_string(),
            row["machines"].to_string(),
            row["trees"].to_string(),
            figure(predicted, 2),
            figure(fill, 2),
            figure(achieved, 2),
            format!("{:+.1}", off * 100.0),
            format!("{:+.1}", off_with_start * 100.0),
            figure(number(row, "start_s"), 2),
            row["resent"].to_string(),
        ]);
    }
    let (mut notes, met) = judged(&aims);
    notes.insert(0, "16 GB a case, one destination on Skyplane's grid (2022-01), several on Cloudcast's (2022-11); bytes and rates are divided by 100, times and round trips are as they are. Parts of S3's least size (5 MiB, divided likewise), at most 8 connections a hop and tree (as many as the tree's part of the way, and of the job, takes), 8 of which could carry twice the way's rate (the measured rates are those of 64 connections, where more no longer help), TLS 1.3 and sealed payloads. Sources give bytes at once and destinations keep none: what is judged is the planner's model of links and machines, and what relays make of it.".into());
    notes.insert(1, "Shaped by localsky's own way: each pair of machines has the pair's rate (for one destination, its share of the machine's connections as planned) and round trip; each machine sends and receives no more than its provider lets it.".into());
    notes.insert(2, "Start of the flow: connections open (three round trips, all hops at once); chunks are stored and forwarded, so the first needs a chunk's time on one connection and half a round trip for every hop, and its acknowledgement half a round trip back (`engine/src/overlay/expect.rs`, which `cp --relays` tells its expectation by). Relays' own start is left out and stands in a column of its own: they are tasks of one process here, virtual machines elsewhere.".into());
    Document {
        title: "Plans carried out by relays: predicted against achieved",
        notes,
        tables: vec![Table {
            heading: "By case".into(),
            columns: vec![
                "case",
                "destinations",
                "relays",
                "trees of relays",
                "planned, s",
                "start of the flow, s",
                "achieved, s",
                "off the plan, %",
                "off with the start, %",
                "relays' start, s",
                "chunks sent again",
            ],
            rows: table,
        }],
    }
    .publish("overlay-achieved")?;
    Ok(met)
}
