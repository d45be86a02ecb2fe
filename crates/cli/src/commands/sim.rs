//! `skyfresh sim`: the real engine in a simulated sky, in virtual time.

use crate::context::Context;
use crate::exit::{Exit, Told};
use crate::output::{Style, Table};
use anyhow::Context as _;
use serde::Serialize;
use skyfresh_sim::fault::{Schedule, generate};
use skyfresh_sim::scenario::{Load, Report, Scenario, Trouble, run};
use skyfresh_sim::storm::{self, Failure, Outcome};
use skyfresh_sim::trace::{SYNTHETIC_LABEL, Trace, ibm, s3_access_log, synthetic};
use std::fs::File;
use std::io::BufReader;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Run the engine in a simulated sky, in virtual time: delays, dollars, and whether any guarantee breaks
///
/// A scenario is a file (scenarios/ has some, each says what it shows). One with a load is run once for each seed and gives delay
/// quantiles, SLO attainment and dollars by kind. One with `storm = true` makes schedules of faults from seeds and watches the
/// guarantees; a schedule that breaks one is made small and kept. The same scenario and seed give the same run on any machine.
///
/// Exits with 1 where a guarantee was broken or a change did not arrive.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  skyfresh sim scenarios/ibm-hour.toml --svg hour.svg
  skyfresh sim scenarios/ibm-hour.toml --trace IBMObjectStoreTrace000Part0 --json
  skyfresh sim scenarios/storm.toml --seeds 0..10000
  skyfresh sim scenarios/storm.toml --schedule sim-regressions/seed-621.json -v"
)]
pub(crate) struct Args {
    /// The scenario
    #[arg(value_name = "SCENARIO.toml")]
    scenario: PathBuf,
    /// The seed, instead of the scenario's
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    seed: Option<u64>,
    /// A run for each of these seeds, the last one excluded
    #[arg(long, value_name = "A..B", value_parser = parse_range)]
    seeds: Option<Range<u64>>,
    /// What users do: a file, or synthetic:ibm
    #[arg(long, value_name = "FILE|synthetic:ibm")]
    trace: Option<String>,
    /// What the file is
    #[arg(long, value_name = "FORMAT", default_value = "ibm", requires = "trace")]
    format: Format,
    /// Draw delays over time and their distribution
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Run this schedule instead of one made from a seed (storms)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "seeds"])]
    schedule: Option<PathBuf>,
    /// Where schedules that break a guarantee are kept (storms)
    #[arg(long, value_name = "DIR", default_value = "sim-regressions")]
    keep: PathBuf,
    /// Runs at once; the machine's cores where it is left out
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// Formats of trace files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// IBM COS: `<ms> REST.VERB.OBJECT <id> [size] [start] [end]`
    Ibm,
    /// S3 server access logs
    S3,
}

fn parse_range(text: &str) -> Result<Range<u64>, String> {
    let bad = || format!("{text} is no range of seeds: write 0..100");
    let (from, to) = text.split_once("..").ok_or_else(bad)?;
    let range = from.parse().map_err(|_| bad())?..to.parse().map_err(|_| bad())?;
    match range.is_empty() {
        true => Err(bad()),
        false => Ok(range),
    }
}

pub(crate) async fn run_command(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let path = args.scenario.display();
    let text = std::fs::read_to_string(&args.scenario)
        .with_context(|| format!("cannot read the scenario {path}"))?;
    let scenario = Scenario::parse(&text).with_context(|| format!("in {path}"))?;
    let misplaced = match scenario.storm {
        true => args.trace.is_some() || args.svg.is_some(),
        false => args.schedule.is_some(),
    };
    if misplaced {
        let why = "--trace and --svg are for scenarios with a load, --schedule is for storms";
        return Err(Told::new(Exit::Usage, why).into());
    }
    // A run has a runtime of its own, and keeps its thread busy.
    tokio::task::block_in_place(|| match scenario.storm {
        true => storms(&args, &scenario, context),
        false => loads(&args, &scenario, context),
    })
}

fn seeds(args: &Args, scenario: &Scenario) -> Range<u64> {
    let one = args.seed.unwrap_or(scenario.seed);
    args.seeds.clone().unwrap_or(one..one + 1)
}

fn load(args: &Args, scenario: &Scenario, seed: u64) -> anyhow::Result<Load> {
    let named = args.trace.clone().or_else(|| scenario.load.trace.clone());
    let named = named.ok_or_else(|| {
        Told::new(Exit::Usage, "the scenario names no trace")
            .hint("give --trace FILE or --trace synthetic:ibm")
    })?;
    if named == "synthetic:ibm" {
        return Ok(Load {
            name: SYNTHETIC_LABEL.to_owned(),
            trace: synthetic(&scenario.load.synthetic, seed),
        });
    }
    let file = File::open(&named).with_context(|| format!("cannot open the trace {named}"))?;
    let reader = BufReader::new(file);
    let trace: Trace = match args.format {
        Format::Ibm => ibm(reader),
        Format::S3 => s3_access_log(reader),
    };
    let name = Path::new(&named).file_name().unwrap_or_default();
    Ok(Load {
        name: name.to_string_lossy().into_owned(),
        trace,
    })
}

/// A report, with what the run took in this world.
#[derive(Serialize)]
struct Timed<'a> {
    #[serde(flatten)]
    report: &'a Report,
    wall_s: f64,
}

fn loads(args: &Args, scenario: &Scenario, context: &Context) -> anyhow::Result<Exit> {
    let output = &context.output;
    let mut exit = Exit::Ok;
    for seed in seeds(args, scenario) {
        let load = load(args, scenario, seed)?;
        let begun_ns = context.clock.monotonic_ns();
        let since = || context.clock.monotonic_ns().saturating_sub(begun_ns) as f64 / 1e9;
        let mut progress = |virtual_ms: u64| {
            if output.is_live() && !output.json {
                let minutes = virtual_ms as f64 / 60_000.0;
                let text = format!(
                    "seed {seed}: {minutes:.1} minutes of load, in {:.0} s",
                    since()
                );
                output.frame(&text);
            }
        };
        let report = run(scenario, seed, load, &mut progress).map_err(|error| match error {
            // What the file says, not the run, is at fault.
            Trouble::Scenario(error) => anyhow::Error::new(error),
            error => anyhow::Error::new(error),
        })?;
        output.end_frame();
        let wall_s = since();
        if let (Some(path), Some(picture)) = (&args.svg, report.picture()) {
            std::fs::write(path, picture)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        if !report.violations.is_empty() || report.not_arrived > 0 {
            exit = Exit::Failed;
        }
        match output.json {
            true => output.json_line(&Timed {
                report: &report,
                wall_s,
            })?,
            false => show(&report, wall_s, context),
        }
    }
    Ok(exit)
}

fn show(report: &Report, wall_s: f64, context: &Context) {
    let output = &context.output;
    let seconds =
        |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2} s"));
    output.line(output.paint(Style::Bold, &report.title));
    output.line(format!(
        "{}, seed {}: {} changes to arrive in {:.0} s of virtual time, simulated in {wall_s:.0} s",
        report.load, report.seed, report.events, report.virtual_s
    ));
    let mut table = Table::new(&[
        "p50", "p99", "p99.9", "p99.99", "longest", "SLO", "attained",
    ]);
    let quantiles = [
        report.p50_s,
        report.p99_s,
        report.p999_s,
        report.p9999_s,
        report.max_s,
    ];
    let attained = report
        .slo_attainment
        .map_or("-".to_owned(), |share| format!("{:.3}%", share * 100.0));
    let cells = quantiles.map(seconds).into_iter();
    let cells = cells.chain([report.slo.clone(), attained]);
    table.row(cells.map(|cell| (Style::Plain, cell)).collect());
    output.line(table.render(output, 2));
    let bill = &report.usd_by_kind;
    output.line(format!(
        "  {} = egress {} + requests {} + functions {} + state {} + storage {} + machines {}",
        report.usd,
        bill.egress,
        bill.requests,
        bill.functions,
        bill.state,
        bill.storage,
        bill.machines
    ));
    output.line(format!(
        "  most waiting at once {}, not arrived {}, left out {}, log {} ({} events)",
        report.most_waiting, report.not_arrived, report.skipped, report.log_hash, report.log_events
    ));
    for violation in &report.violations {
        output.line(output.paint(Style::Red, violation));
    }
}

/// What storms came to.
#[derive(Serialize)]
struct Storms {
    runs: u64,
    failed: u64,
    wall_s: f64,
}

fn storms(args: &Args, scenario: &Scenario, context: &Context) -> anyhow::Result<Exit> {
    let output = &context.output;
    if let Some(path) = &args.schedule {
        let name = path.display();
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the schedule {name}"))?;
        let schedule: Schedule = serde_json::from_str(&text)
            .map_err(|error| Told::new(Exit::Usage, format!("{name} is no schedule: {error}")))?;
        return one_storm(&schedule, context);
    }
    let seeds = seeds(args, scenario);
    if seeds.end - seeds.start == 1 && args.seeds.is_none() {
        let exit = one_storm(&generate(seeds.start), context)?;
        if exit == Exit::Failed {
            keep(args, seeds.start, context)?;
        }
        return Ok(exit);
    }
    let begun_ns = context.clock.monotonic_ns();
    let threads = args
        .threads
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    let total = seeds.end - seeds.start;
    let mut runs = 0;
    let counted = std::sync::atomic::AtomicU64::new(0);
    let failures = storm::sweep_seeds(seeds, threads, |progress| {
        counted.store(progress.done, std::sync::atomic::Ordering::SeqCst);
        if output.is_live() && !output.json {
            let text = format!(
                "{} of {total} storms, {} failed",
                progress.done, progress.failed
            );
            output.frame(&text);
        }
        !context.stop.is_cancelled()
    });
    output.end_frame();
    runs += counted.load(std::sync::atomic::Ordering::SeqCst);
    for Failure { seed, outcome } in &failures {
        report_failure(*seed, outcome, context);
        keep(args, *seed, context)?;
    }
    let wall_s = context.clock.monotonic_ns().saturating_sub(begun_ns) as f64 / 1e9;
    let storms = Storms {
        runs,
        failed: failures.len() as u64,
        wall_s,
    };
    match output.json {
        true => output.json_line(&storms)?,
        false => output.line(format!(
            "{runs} storms in {wall_s:.0} s: {} broke a guarantee",
            failures.len()
        )),
    }
    if context.stop.is_cancelled() {
        return Ok(Exit::Interrupted);
    }
    Ok(if failures.is_empty() {
        Exit::Ok
    } else {
        Exit::Failed
    })
}

/// Runs a schedule and tells all; with `-v` the log, too.
fn one_storm(schedule: &Schedule, context: &Context) -> anyhow::Result<Exit> {
    let output = &context.output;
    let outcome = storm::run(schedule, tracing::enabled!(tracing::Level::INFO));
    if output.json {
        output.json_line(&outcome)?;
    } else {
        for line in &outcome.log {
            output.line(line);
        }
        for violation in &outcome.violations {
            output.line(output.paint(Style::Red, violation));
        }
        output.line(format!(
            "{} steps, {} events, {:.0} s of virtual time, log {:016x}: {}",
            schedule.steps.len(),
            outcome.events,
            outcome.took_ms as f64 / 1_000.0,
            outcome.hash,
            match outcome.violations.is_empty() {
                true => "every guarantee holds",
                false => "a guarantee is broken",
            }
        ));
    }
    Ok(match outcome.violations.is_empty() {
        true => Exit::Ok,
        false => Exit::Failed,
    })
}

fn report_failure(seed: u64, outcome: &Outcome, context: &Context) {
    if let Some(first) = outcome.violations.first() {
        context.output.note(format!("seed {seed}: {first}"));
    }
}

/// Makes a failing schedule small and keeps it.
fn keep(args: &Args, seed: u64, context: &Context) -> anyhow::Result<()> {
    let small = storm::shrink(&generate(seed));
    std::fs::create_dir_all(&args.keep)
        .with_context(|| format!("cannot make {}", args.keep.display()))?;
    let path = args.keep.join(format!("seed-{seed}.json"));
    let text = serde_json::to_string_pretty(&small.schedule)?;
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    context.output.note(format!(
        "seed {seed}: kept as {} steps in {}; replay: skyfresh sim {} --schedule {} -v",
        small.schedule.steps.len(),
        path.display(),
        args.scenario.display(),
        path.display()
    ));
    Ok(())
}
