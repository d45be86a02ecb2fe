//! `skyfresh wait`: a barrier.

use super::api::{ServerArgs, encode};
use crate::context::Context;
use crate::exit::{Exit, Told};
use serde::{Deserialize, Serialize};
use skyfresh_engine::WaitOutcome;
use skyfresh_sky::{Timestamp, parse_delay};
use std::time::Duration;

/// How long one call waits: shorter than what proxies allow, long enough to cost nothing.
const POLL: Duration = Duration::from_secs(20);

/// Wait until everything written before a time is proved to be at every destination
///
/// Asks the daemon for a comparison of listings, and waits until what it found is done. Exits with 0 once that is
/// proved, and with 5 if time runs out first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  skyfresh wait models --until now
  skyfresh wait models --until 2026-11-21T10:00:00Z --timeout 10m
  skyfresh wait models --until now --timeout 30s && ./switch-over.sh")]
pub(crate) struct Args {
    /// The rule
    #[arg(value_name = "RULE")]
    rule: String,
    /// `now`, or a time as RFC 3339, e.g. 2026-11-21T10:00:00Z
    #[arg(long, value_name = "TIME", value_parser = until)]
    until: Until,
    /// Give up after this long [default: never]
    #[arg(long, value_name = "DELAY", value_parser = parse_delay)]
    timeout: Option<Duration>,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Clone, Copy, Debug)]
enum Until {
    /// When the daemon is asked first, by its clock.
    Now,
    Time(Timestamp),
}

fn until(text: &str) -> Result<Until, skyfresh_sky::Invalid> {
    if text == "now" {
        Ok(Until::Now)
    } else {
        Timestamp::parse(text).map(Until::Time)
    }
}

/// The daemon's answer, and ours.
#[derive(Debug, Serialize, Deserialize)]
struct Waited {
    rule: String,
    outcome: WaitOutcome,
    until: Timestamp,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let client = args.server.client(context)?;
    let deadline = args
        .timeout
        .map(|timeout| context.clock.now().after(timeout));
    let mut until = args.until;
    loop {
        let left = deadline.map_or(POLL, |deadline| deadline.since(context.clock.now()));
        let time = match until {
            Until::Now => "now".to_owned(),
            Until::Time(time) => encode(&time.to_string()),
        };
        let poll = left.min(POLL);
        let path = format!(
            "/v1/rules/{}/wait?until={time}&timeout={}ms",
            encode(&args.rule),
            poll.as_millis()
        );
        let waited: Waited = tokio::select! {
            waited = client.post(&path, poll) => waited?,
            () = context.stop.cancelled() => return Ok(Exit::Interrupted),
        };
        // "now" is the moment of the first call, not of every one.
        until = Until::Time(waited.until);
        let reached = waited.outcome == WaitOutcome::Reached;
        let out_of_time = deadline.is_some_and(|deadline| context.clock.now() >= deadline);
        if !reached && !out_of_time {
            continue;
        }
        if context.output.json {
            context.output.json_line(&waited)?;
        } else if reached {
            context.output.line(format_args!(
                "{}: everything written before {} is at every destination",
                args.rule, waited.until
            ));
        }
        if reached {
            return Ok(Exit::Ok);
        }
        let why = format!(
            "{}: not proved for everything written before {}",
            args.rule, waited.until
        );
        return Err(Told::new(Exit::TimedOut, why)
            .hint(format!(
                "`skyfresh status {}` shows what is pending, and why",
                args.rule
            ))
            .into());
    }
}
