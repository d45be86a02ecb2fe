//! Part 6: objects that are made from others, with the changelog and without.

use super::stats::{Mean, average};
use super::world::{Lab, Runs, surroundings};
use super::{Replica, SOURCE, difference, dollars};
use crate::report::Report;
use anyhow::Result;
use skyfresh_sky::format_bytes;

const DESTINATION: &str = "aws:eu-west-1";
/// Objects that are there first, and bytes of each.
const OBJECTS: u64 = 24;
const OBJECT_BYTES: u64 = 256_000_000;
/// Copies, joins of four, appends: so many of each kind.
const EDITS_OF_A_KIND: u64 = 24;
const APPENDED_BYTES: u64 = 4_000_000;
/// The share of bytes that must be saved, in percent.
const SAVED_PERCENT: f64 = 95.0;

/// True where every guarantee was kept and enough was saved.
pub(super) fn run(lab: &Lab, asked: &Replica) -> Result<bool> {
    let runs = [true, false].map(|changelog| Runs {
        scenario: scenario(changelog),
        trace: Some(String::new()),
        seeds: asked.seeds,
    });
    let [with, without] = match lab.run(&runs)?.try_into() {
        Ok(both) => both,
        Err(_) => anyhow::bail!("two runs have two outcomes"),
    };
    let first = (OBJECTS * OBJECT_BYTES) as f64;
    let edited = |bytes: &[f64]| average(bytes) - first;
    let (sent, whole) = (edited(&with.bytes_moved), edited(&without.bytes_moved));
    let saved_percent = (1.0 - sent / whole) * 100.0;
    let row = |name: &str, of: &super::world::Outcome, bytes: f64| {
        vec![
            name.to_owned(),
            format_bytes(bytes.max(0.0) as u64),
            difference(bytes, whole),
            dollars(average(&of.usd) * average(&of.events)),
            format!("{:.2}", average(&of.p50_s)),
            Mean::of(&of.p99_s).text(),
        ]
    };
    let report = Report {
        title: "Objects made from others: what is sent with the changelog, and without",
        notes: vec![
            format!("{OBJECTS} objects of {} are written in parts of 8 MiB from {SOURCE}; then {EDITS_OF_A_KIND} copies, {EDITS_OF_A_KIND} joins of four objects and {EDITS_OF_A_KIND} appends of {} to what has grown by then, at the source by its own operations; in each of {} seeds. Copies and appends are found by checksums, joins are told (`skyfresh changelog add`).", format_bytes(OBJECT_BYTES), format_bytes(APPENDED_BYTES), asked.seeds),
            "Bytes: what crossed regions for the edits, the first writes not counted. Dollars and delays: of everything, the first writes included. ± is half of the 95% interval of the mean of the seeds' quantiles (Student's t).".into(),
            format!("{saved_percent:.2}% of the bytes are saved; the aim is {SAVED_PERCENT}%. What is left are the appended bytes, and the last part of what they were appended to."),
        ],
        columns: vec!["", "bytes for edits", "against whole", "$ in all", "p50 s", "p99 s (±)"],
        rows: vec![
            row("with the changelog", &with, sent),
            row("without", &without, whole),
        ],
    };
    report.publish("replica-changelog")?;
    Ok(with.kept && without.kept && saved_percent >= SAVED_PERCENT)
}

fn scenario(changelog: bool) -> String {
    let edits = EDITS_OF_A_KIND * 3;
    let text = format!(
        "[plan]\nsites = [\"source\", \"destination\"]\nbatching = false\n\
         [engine]\nmax_parts_in_flight = 4096\nsweep_every_s = 86400\nchangelog = {changelog}\n\
         [load.edits]\nobjects = {OBJECTS}\nobject_bytes = {OBJECT_BYTES}\nedits = {edits}\nevery_ms = 30000\nappend_bytes = {APPENDED_BYTES}\n"
    );
    surroundings("changelog", "60s@p99", DESTINATION) + &text
}
