//! `skyfresh verify`: an independent comparison of two places.

use crate::commands::{Filters, open_side, with_config};
use crate::context::Context;
use crate::exit::Exit;
use crate::locations::parse_location;
use crate::output::{Style, printable};
use crate::render::objects;
use anyhow::Context as _;
use serde::Serialize;
use skyfresh_engine::verify::{Compared, Depth, Verdict, VerifyReport, verify};
use skyfresh_engine::{Rule, Scope};
use skyfresh_sky::{Location, format_bytes};
use std::io::{BufWriter, Write};
use std::path::PathBuf;

/// Compare two places and say, with a date, whether they are equal
///
/// Knows nothing of what Skyfresh did before: lists both sides and compares checksums, or bytes where the stores state no
/// checksum that can be compared. Prints one line for every key that differs:
///
///   = equal   + only at SRC   - only at DST   * different   ! could not be compared
///
/// Exits with 0 only if everything in scope is equal, and with 1 otherwise.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  skyfresh verify s3://models/ s3://models-eu/
  skyfresh verify ./models s3://models/ --deep --report report.jsonl
  skyfresh verify s3://a/ 's3://b/?endpoint=http://127.0.0.1:9000' --exclude '*.tmp' --json"
)]
pub(crate) struct Args {
    /// Where the truth is: s3://bucket/prefix, file:///directory or ./directory
    #[arg(value_name = "SRC", value_parser = parse_location)]
    source: Location,
    /// What is compared with it
    #[arg(value_name = "DST", value_parser = parse_location)]
    target: Location,
    /// Read the bytes of both sides, whatever checksums they state
    #[arg(long)]
    deep: bool,
    /// Print equal keys too
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filters: Filters,
    /// Also write every verdict, then the summary, to this file as JSON lines
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Configuration to take [endpoint.NAME] sections from
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The last line of JSON output.
#[derive(Serialize)]
struct Summary<'a> {
    source: String,
    destination: String,
    all_equal: bool,
    #[serde(flatten)]
    report: &'a VerifyReport,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let opener = with_config(args.config.as_deref(), context)?;
    let mut rule = Rule::new("verify", args.source.clone(), vec![args.target.clone()]);
    args.filters.apply(&mut rule);
    let scope = Scope::new(&rule)?;
    let source = open_side(&opener, &args.source).await?;
    let target = open_side(&opener, &args.target).await?;
    let mut file = match &args.report {
        Some(path) => {
            let created = std::fs::File::create(path);
            Some(BufWriter::new(created.with_context(|| {
                format!("cannot write the report {}", path.display())
            })?))
        }
        None => None,
    };
    let depth = if args.deep {
        Depth::Bytes
    } else {
        Depth::Checksums
    };
    let mut written: anyhow::Result<()> = Ok(());
    let comparison = verify(
        source.as_ref(),
        target.as_ref(),
        Some(&scope),
        depth,
        context.clock.as_ref(),
        |compared| {
            if args.all || compared.verdict != Verdict::Equal {
                show(context, compared);
            }
            if let (Some(file), Ok(())) = (&mut file, &written) {
                written = write_line(file, compared);
            }
        },
    );
    let report = tokio::select! {
        report = comparison => report.context("cannot compare: nothing can be said of the whole")?,
        () = context.stop.cancelled() => return Ok(Exit::Interrupted),
    };
    let summary = Summary {
        source: args.source.to_string(),
        destination: args.target.to_string(),
        all_equal: report.all_equal(),
        report: &report,
    };
    if let Some(mut file) = file {
        written = written
            .and_then(|()| write_line(&mut file, &summary))
            .and_then(|()| Ok(file.flush()?));
    }
    written.context("cannot write the report")?;
    match context.output.json {
        true => context.output.json_line(&summary)?,
        false => tell(context, &report),
    }
    Ok(if report.all_equal() {
        Exit::Ok
    } else {
        Exit::Failed
    })
}

fn write_line(file: &mut impl Write, value: &impl Serialize) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *file, value)?;
    file.write_all(b"\n")?;
    Ok(())
}

fn show(context: &Context, compared: &Compared) {
    let output = &context.output;
    if output.json {
        // A value of strings and numbers always serialises.
        let _ = output.json_line(compared);
        return;
    }
    let style = match compared.verdict {
        Verdict::Equal => Style::Plain,
        Verdict::Unreadable | Verdict::Different => Style::Red,
        Verdict::OnlySource | Verdict::OnlyTarget => Style::Yellow,
    };
    let key = printable(compared.key.as_str(), false);
    let why = match compared.verdict {
        Verdict::Different | Verdict::Unreadable => {
            format!("  ({})", printable(&compared.how, false))
        }
        _ => String::new(),
    };
    output.line(format_args!(
        "{} {key}{why}",
        output.paint(style, compared.verdict.sign())
    ));
}

fn tell(context: &Context, report: &VerifyReport) {
    let output = &context.output;
    if report.all_equal() {
        let equal = output.paint(Style::Green, format_args!("equal as of {}", report.as_of));
        output.line(format_args!(
            "{equal}: {}, {}",
            objects(report.equal),
            format_bytes(report.equal_bytes)
        ));
        if report.equal == 0 {
            output.note("note: there was nothing to compare: nothing is in scope on either side");
        }
        return;
    }
    output.line(format_args!(
        "{}: {} equal, {} only at the source, {} only at the destination, {} different, {} could not be compared",
        output.paint(Style::Red, format_args!("not equal as of {}", report.as_of)),
        report.equal,
        report.only_source,
        report.only_target,
        report.different,
        report.unreadable,
    ));
}
