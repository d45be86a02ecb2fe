//! What came of a job: a line or a table for each destination, what to know about it, and the exit code.

use super::progress::get;
use crate::context::Context;
use crate::exit::{Exit, Told, of_kind};
use crate::output::{Style, Table, printable};
use crate::render;
use serde::Serialize;
use skyfresh_engine::bulk::{BulkTally, DeleteLimits, TargetTally};
use skyfresh_engine::region_of;
use skyfresh_sky::catalog::Catalog;
use skyfresh_sky::{Location, Usd, format_bytes};
use skyfresh_store::MetadataLimits;
use std::time::Duration;

/// A job that has ended.
pub(super) struct Ended<'a> {
    pub(super) source: &'a Location,
    pub(super) targets: &'a [Location],
    /// What people call each destination: with the object's name where there is one.
    pub(super) labels: &'a [String],
    pub(super) tally: &'a BulkTally,
    pub(super) catalog: &'a Catalog,
    pub(super) took: Duration,
    pub(super) stopped: bool,
    pub(super) dry_run: bool,
    pub(super) deletes: Option<DeleteLimits>,
    /// Relays carry large objects, or would.
    pub(super) relayed: bool,
    /// Which destinations' stores may copy by themselves.
    pub(super) same_service: &'a [bool],
    /// What each destination's source and it itself keep beside the bytes.
    pub(super) metadata: &'a [(MetadataLimits, MetadataLimits)],
}

/// The last line of JSON output, one for each destination.
#[derive(Serialize)]
struct Summary {
    summary: bool,
    to: String,
    outcome: &'static str,
    copied: u64,
    server_copied: u64,
    copied_bytes: u64,
    skipped: u64,
    proved_equal: u64,
    failed: u64,
    deleted: u64,
    planned: u64,
    planned_bytes: u64,
    usd: f64,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletes_refused: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
}

/// Says it. The exit code is of the worst that happened.
pub(super) fn tell(ended: &Ended<'_>, context: &Context) -> anyhow::Result<Exit> {
    let output = &context.output;
    let verdicts: Vec<Verdict> = ended
        .tally
        .targets
        .iter()
        .map(|target| Verdict::of(ended, target))
        .collect();
    if output.json {
        for (index, verdict) in verdicts.iter().enumerate() {
            output.json_line(&summary(ended, index, verdict))?;
        }
    } else {
        output.line(table(ended, &verdicts, context).trim_end());
        for index in 0..ended.targets.len() {
            for remark in remarks(ended, index) {
                output.line(format_args!("  {remark}"));
            }
        }
    }
    if ended.stopped {
        output.note("stopped before the end; the same command goes on where it stopped, inside large objects too");
        return Ok(Exit::Interrupted);
    }
    let worst = verdicts
        .into_iter()
        .filter_map(|verdict| verdict.told)
        .max_by_key(|told| told.exit as u8);
    match worst {
        Some(told) => Err(told.into()),
        None => Ok(Exit::Ok),
    }
}

/// What is to be said of one destination as a whole.
struct Verdict {
    outcome: &'static str,
    told: Option<Told>,
}

impl Verdict {
    fn of(ended: &Ended<'_>, target: &TargetTally) -> Self {
        let told = Verdict::trouble(ended, target);
        let outcome = match &told {
            _ if ended.stopped => "interrupted",
            Some(told) if told.exit == Exit::Refused => "refused",
            Some(_) => "failed",
            None if ended.dry_run => "dry_run",
            None => "verified",
        };
        Verdict { outcome, told }
    }

    fn trouble(ended: &Ended<'_>, target: &TargetTally) -> Option<Told> {
        if let Some((kind, why)) = target.given_up() {
            return Some(
                Told::new(of_kind(kind), why)
                    .hint("nothing more was done at this destination; what was copied is verified"),
            );
        }
        if let Some((kind, why)) = ended.tally.source_failed() {
            let told = Told::new(
                of_kind(kind),
                format!("the source could not be read to its end: {why}"),
            );
            return Some(match ended.deletes {
                Some(_) => {
                    told.hint("nothing was deleted; run it again once the source can be listed")
                }
                None => told.hint("run it again: what is done is not done twice"),
            });
        }
        let failed = get(&target.failed);
        if failed > 0 {
            let first = target.failures().into_iter().next();
            let first = first.map_or_else(String::new, |(key, _, why)| {
                format!("; first {}: {why}", printable(key.as_str(), false))
            });
            let what = format!("{} failed{first}", render::objects(failed));
            return Some(
                Told::new(Exit::Failed, what)
                    .hint("run it again to retry: what is done is not done twice"),
            );
        }
        let unusable = ended.tally.unusable();
        if let Some(first) = unusable.first() {
            let what = format!(
                "{} at the source cannot be copied, their keys are not valid here; first {}",
                render::objects(unusable.len() as u64),
                printable(first, false)
            );
            return Some(
                Told::new(Exit::Failed, what).hint("rename them at the source, or leave them out"),
            );
        }
        target.deletes_refused().map(|why| {
            Told::new(Exit::Refused, format!("deletes refused: {why}")).hint(
                "look at what is missing at the source first; then raise --max-delete, or give --allow-empty-source if it is \
                 meant to be empty",
            )
        })
    }
}

fn cost(ended: &Ended<'_>, index: usize) -> Usd {
    let (source, target) = (
        region_of(ended.source, None),
        region_of(&ended.targets[index], None),
    );
    let done = ended.tally.targets[index]
        .usage
        .price(ended.catalog, &source, &target);
    match ended.dry_run {
        true => done + super::dry::estimate(ended, index).usd,
        false => done,
    }
}

fn summary(ended: &Ended<'_>, index: usize, verdict: &Verdict) -> Summary {
    let target = &ended.tally.targets[index];
    Summary {
        summary: true,
        to: ended.targets[index].to_string(),
        outcome: verdict.outcome,
        copied: get(&target.copied),
        server_copied: get(&target.server_copied),
        copied_bytes: get(&target.copied_bytes),
        skipped: get(&target.skipped),
        proved_equal: get(&target.proved),
        failed: get(&target.failed),
        deleted: get(&target.deleted),
        planned: get(&target.planned),
        planned_bytes: get(&target.planned_bytes),
        usd: cost(ended, index).usd(),
        seconds: ended.took.as_secs_f64(),
        deletes_refused: target.deletes_refused(),
        trouble: verdict.told.as_ref().map(|told| told.message.clone()),
    }
}

fn table(ended: &Ended<'_>, verdicts: &[Verdict], context: &Context) -> String {
    let output = &context.output;
    let (copied, deleted) = match ended.dry_run {
        true => ("WOULD COPY", "WOULD DELETE"),
        false => ("COPIED", "DELETED"),
    };
    let names = [
        "TO", "RESULT", copied, "BYTES", "SKIPPED", "FAILED", deleted, "TIME", "COST",
    ];
    let mut table = Table::new(&names);
    for (index, verdict) in verdicts.iter().enumerate() {
        let target = &ended.tally.targets[index];
        let (count, bytes) = match ended.dry_run {
            true => (get(&target.planned), get(&target.planned_bytes)),
            false => (get(&target.copied), get(&target.copied_bytes)),
        };
        let (style, result) = match verdict.outcome {
            "verified" => (Style::Green, "verified"),
            "dry_run" => (Style::Plain, "dry run"),
            other => (Style::Red, other),
        };
        table.row(vec![
            (Style::Plain, ended.labels[index].clone()),
            (style, result.to_owned()),
            (Style::Plain, count.to_string()),
            (Style::Plain, format_bytes(bytes)),
            (Style::Plain, get(&target.skipped).to_string()),
            (Style::Plain, get(&target.failed).to_string()),
            (Style::Plain, get(&target.deleted).to_string()),
            (Style::Plain, render::duration(ended.took)),
            (Style::Plain, cost(ended, index).to_string()),
        ]);
    }
    table.render(output, 0)
}

/// What people should know beyond the figures.
fn remarks(ended: &Ended<'_>, index: usize) -> Vec<String> {
    let (location, target) = (&ended.targets[index], &ended.tally.targets[index]);
    let mut remarks = Vec::new();
    let server = get(&target.server_copied);
    if server > 0 {
        remarks.push(format!(
            "{} copied by the store itself",
            render::objects(server)
        ));
    }
    let unprovable = get(&target.unprovable);
    if unprovable > 0 {
        remarks.push(format!(
            "{} moved through this machine, because no checksum would have proved a copy by the store",
            render::objects(unprovable)
        ));
    }
    let by_size = get(&target.skipped_by_size);
    if by_size > 0 {
        remarks.push(format!(
            "{} NOT verified: only their sizes were compared (--size-only)",
            render::objects(by_size)
        ));
    }
    let unkept = get(&target.unkept);
    if unkept > 0 {
        remarks.push(format!(
            "{} lost metadata that {} cannot keep: {}",
            render::objects(unkept),
            location,
            printable(&target.unkept_kinds().join(", "), false)
        ));
    }
    for (key, _, why) in target.failures().iter().take(5) {
        remarks.push(format!(
            "failed {}: {}",
            printable(key.as_str(), false),
            printable(why, false)
        ));
    }
    match (ended.dry_run, ended.relayed) {
        (true, _) => remarks.extend(super::dry::remarks(ended, index)),
        (false, true) => remarks
            .push("cost: without what relays carried; their hops' egress is told above".to_owned()),
        (false, false) => {}
    }
    remarks
}
