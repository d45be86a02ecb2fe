//! `skyfresh unwire`: removes what `wire` created, and nothing else.

use crate::config::Config;
use crate::context::Context;
use crate::exit::{Exit, Told};
use crate::open::Opener;
use crate::output::{Style, printable};
use crate::wiring::{Opened, Records};
use skyfresh_channel::wiring::{Entry, Left, State};
use skyfresh_sky::Location;
use std::path::PathBuf;

/// Remove the channel that `wire` created, and nothing else
///
/// Goes by what `wire` wrote down beside the ledger, last created first: the rule may have left the configuration since.
/// What was there before, or was changed by others since, is left and told. Take its channel out of the configuration
/// first: a daemon that still pulls from it will complain. Exits with 0 if nothing of ours is left, 1 otherwise.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  skyfresh unwire models --dry-run
  skyfresh unwire models
  skyfresh unwire models -c /etc/skyfresh/skyfresh.toml --json")]
pub(crate) struct Args {
    /// The rule
    #[arg(value_name = "RULE")]
    rule: String,
    /// Only print what would be removed
    #[arg(long)]
    dry_run: bool,
    /// The configuration
    #[arg(short, long, value_name = "FILE", default_value = "skyfresh.toml")]
    config: PathBuf,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let config = Config::read(&args.config, &context.environment)?;
    let records = Records::beside(&config.ledger.path);
    let Some(record) = records.read(&args.rule)? else {
        let why = format!("nothing is recorded of wiring rule {:?}", args.rule);
        return Err(Told::new(Exit::Usage, why)
            .hint(format!(
                "{} would hold it",
                records.path(&args.rule).display()
            ))
            .into());
    };
    if args.dry_run {
        for entry in record.entries.iter().rev() {
            let action = match entry.state {
                State::Found => "would leave",
                State::Creating | State::Created => "would remove",
            };
            tell(context, action, entry, "");
        }
        if context.output.json {
            let lines = serde_json::json!({ "rule": args.rule, "dry_run": true, "entries": record.entries });
            context.output.json_line(&lines)?;
        }
        return Ok(Exit::Ok);
    }
    let source: Location = record.source.parse()?;
    let opener = Opener::new(context, config.endpoints.clone());
    let opened = Opened::open(&opener, &source, context).await;
    let opened = opened.map_err(|error| super::wire::cannot_open(error, &args.rule))?;
    // Nothing is removed before it is certain that no other rule needs it.
    let record = records.hand_over(record)?;
    let done = skyfresh_channel::wiring::unwire(opened.cloud(), record, &records).await;
    let (unwired, kept) = done.map_err(|stopped| {
        let error = anyhow::Error::from(stopped.error);
        error.context(format!(
            "unwiring rule {:?} stopped; run it again to go on with the {} left",
            args.rule,
            stopped.record.entries.len()
        ))
    })?;
    for entry in &unwired.removed {
        tell(context, "removed", entry, "");
    }
    for entry in &unwired.gone {
        tell(context, "gone", entry, "it had been removed by others");
    }
    for (entry, left) in &unwired.left {
        match left {
            Left::NotOurs => {
                tell(
                    context,
                    "left",
                    entry,
                    "it was there before, or another rule uses it",
                );
            }
            Left::Changed(why) => {
                tell(
                    context,
                    "left",
                    entry,
                    &format!("it was changed by others since: {why}"),
                );
            }
        }
    }
    if context.output.json {
        let names = |entries: &[Entry]| {
            entries
                .iter()
                .map(|entry| entry.name.clone())
                .collect::<Vec<_>>()
        };
        let left: Vec<&str> = unwired.left.iter().map(|(entry, _)| &*entry.name).collect();
        context.output.json_line(&serde_json::json!({
            "rule": args.rule,
            "dry_run": false,
            "removed": names(&unwired.removed),
            "gone": names(&unwired.gone),
            "left": left,
        }))?;
    }
    Ok(match kept.entries.is_empty() {
        true => Exit::Ok,
        false => Exit::Failed,
    })
}

fn tell(context: &Context, action: &str, entry: &Entry, remark: &str) {
    let output = &context.output;
    if output.json {
        return;
    }
    let style = if action == "left" {
        Style::Yellow
    } else {
        Style::Plain
    };
    let name = printable(&entry.name, false);
    let action = output.paint(style, format_args!("{action:<13}"));
    output.line(format_args!("{action}{} {name}", entry.resource.kind()));
    if !remark.is_empty() {
        output.line(format_args!("             {}", printable(remark, false)));
    }
}
