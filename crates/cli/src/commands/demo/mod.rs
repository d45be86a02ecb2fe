//! `skyfresh demo`: the main job on this machine, in under a minute, without any cloud.

mod report;
mod stage;
mod writer;

use crate::context::Context;
use crate::exit::{Exit, Told};
use crate::output::Style;
use crate::render;
use anyhow::Context as _;
use report::Summary;
use skyfresh_engine::WaitOutcome;
use skyfresh_engine::verify::{Depth, VerifyReport, verify};
use stage::{RULE, Stage};
use std::time::Duration;
use writer::Writer;

/// How often the table on a terminal is drawn.
const FRAME_EVERY: Duration = Duration::from_millis(250);
/// How often a line is written elsewhere.
const LINE_EVERY: Duration = Duration::from_secs(2);
/// How long convergence may take once the writer has stopped.
const PATIENCE: Duration = Duration::from_secs(120);

/// Show the main job on this machine: three clouds, a live writer, lag, spend, and proof. Needs no cloud
///
/// Starts object stores of three clouds on loopback, each with its own protocol (Amazon S3, Azure Blob Storage, Google Cloud
/// Storage), as far from each other as the real regions; loads real files (those
/// below the current directory, filled up with generated ones); keeps two regions fresh while a writer puts,
/// overwrites and deletes objects, and changes large ones while they are being copied, and while notifications are lost,
/// repeated, delayed and reordered; then compares every object at every destination, byte for byte, without the engine.
/// Exits with 0 only if all are equal.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  skyfresh demo
  skyfresh demo --objects 2000 --seconds 60
  skyfresh demo --json --seconds 5 | tail -1")]
pub(crate) struct Args {
    /// Objects to load before the writer starts
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    objects: u32,
    /// How long the live writer writes
    #[arg(long, value_name = "S", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: u32,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let stage = Stage::build(context)
        .await
        .context("cannot set up the demo")?;
    let outcome = play(&args, &stage, context).await;
    stage.strike().await;
    outcome
}

async fn play(args: &Args, stage: &Stage, context: &Context) -> anyhow::Result<Exit> {
    let output = &context.output;
    let people = !output.json;
    if people {
        output.line(output.paint(
            Style::Bold,
            "Three regions of three clouds on this machine, as far apart as the real ones:",
        ));
        for line in stage.describe() {
            output.line(format_args!("  {line}"));
        }
    }
    let writer = Writer::new(stage.writer_store(), context);
    let loaded = tokio::select! {
        loaded = writer.load(args.objects) => loaded?,
        () = context.stop.cancelled() => return Ok(Exit::Interrupted),
    };
    if people {
        output.line(format_args!(
            "loaded {loaded}; the rule starts, and the writer with it"
        ));
    }
    stage.start().await?;
    let written = tokio::select! {
        written = writer.run(Duration::from_secs(args.seconds.into())) => written?,
        shown = show(stage, context) => match shown? {},
        () = context.stop.cancelled() => return Ok(Exit::Interrupted),
    };
    if people {
        output.end_frame();
        output.line(format_args!(
            "the writer has stopped ({written}); waiting for the proof that everything has arrived"
        ));
    }
    let waited = tokio::select! {
        waited = stage.engine.wait(RULE, context.clock.now(), PATIENCE) => waited?,
        shown = show(stage, context) => match shown? {},
        () = context.stop.cancelled() => return Ok(Exit::Interrupted),
    };
    if people {
        output.end_frame();
        for status in stage.engine.status(Some(RULE)).await? {
            output.line(render::rule(output, &status, context.clock.now()).trim_end());
        }
    }
    let metered_egress = stage.metered_egress();
    let compared = compare(stage, context).await?;
    let summary = Summary::of(stage, &compared).await?;
    if output.json {
        output.json_line(&summary)?;
    } else {
        for line in report::conclusion(output, &summary, &written, &compared, metered_egress) {
            output.line(line);
        }
    }
    conclude(&summary, waited)
}

/// Shows how it stands until dropped.
async fn show(stage: &Stage, context: &Context) -> anyhow::Result<std::convert::Infallible> {
    let output = &context.output;
    loop {
        if !output.json {
            for status in stage.engine.status(Some(RULE)).await? {
                match output.is_live() {
                    true => output.frame(&render::rule(output, &status, context.clock.now())),
                    false => report::lines(&status)
                        .iter()
                        .for_each(|line| output.line(line)),
                }
            }
        }
        context
            .clock
            .sleep(if output.is_live() {
                FRAME_EVERY
            } else {
                LINE_EVERY
            })
            .await;
    }
}

/// Compares every object of every destination with the source, byte for byte, over connections of its own.
async fn compare(stage: &Stage, context: &Context) -> anyhow::Result<Vec<(String, VerifyReport)>> {
    let source = stage.source_store();
    let mut all = Vec::new();
    for (name, target) in stage.target_stores() {
        let tell = |compared: &skyfresh_engine::verify::Compared| {
            if compared.verdict != skyfresh_engine::verify::Verdict::Equal {
                context.output.note(format_args!(
                    "{} {name}: {} ({})",
                    compared.verdict.sign(),
                    compared.key,
                    compared.how
                ));
            }
        };
        let report = verify(
            source.as_ref(),
            target.as_ref(),
            None,
            Depth::Bytes,
            context.clock.as_ref(),
            tell,
        )
        .await?;
        all.push((name, report));
    }
    Ok(all)
}

fn conclude(summary: &Summary, waited: WaitOutcome) -> anyhow::Result<Exit> {
    match (summary.equal, waited) {
        (true, WaitOutcome::Reached) => Ok(Exit::Ok),
        (true, WaitOutcome::TimedOut) => Err(Told::new(
            Exit::TimedOut,
            format!("not proved within {} s", PATIENCE.as_secs()),
        )
        .into()),
        (false, _) => Err(Told::new(Exit::Failed, "not all objects are equal").into()),
    }
}
