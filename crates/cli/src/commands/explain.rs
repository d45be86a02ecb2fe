//! `skyfresh explain`: one key's story.

use super::api::{ServerArgs, encode};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Style, printable};
use crate::render::{ago, duration};
use skyfresh_engine::{Attempted, Explanation, PendingState, Plan};
use skyfresh_ledger::{Expected, Receipt};
use skyfresh_sky::{ObjectKey, Timestamp, format_bytes};
use std::time::Duration;

/// Tell what happened to one key, and what will: event, attempts, error, next retry, receipts
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  skyfresh explain models 7b/weights.bin
  skyfresh explain models 'a key with spaces'
  skyfresh explain models 7b/weights.bin --json")]
pub(crate) struct Args {
    /// The rule
    #[arg(value_name = "RULE")]
    rule: String,
    /// The key, below the rule's source
    #[arg(value_name = "KEY", value_parser = key)]
    key: ObjectKey,
    #[command(flatten)]
    server: ServerArgs,
}

fn key(text: &str) -> Result<ObjectKey, skyfresh_sky::Invalid> {
    ObjectKey::new(text)
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let client = args.server.client(context)?;
    let path = format!(
        "/v1/rules/{}/explain?key={}",
        encode(&args.rule),
        encode(args.key.as_str())
    );
    let told: Vec<Explanation> = client.get(&path).await?;
    if context.output.json {
        context.output.json_line(&told)?;
        return Ok(Exit::Ok);
    }
    for explanation in &told {
        tell(explanation, context);
    }
    Ok(Exit::Ok)
}

fn tell(explanation: &Explanation, context: &Context) {
    let output = &context.output;
    let now = context.clock.now();
    output.line(output.paint(Style::Bold, &explanation.destination));
    if !explanation.in_scope {
        output.line("  not in scope of the rule: include and exclude leave it out");
    }
    match &explanation.pending {
        Some(pending) => tell_pending(pending, now, context),
        None if explanation.receipts.is_empty() && explanation.tombstone.is_none() => {
            output.line(
                "  nothing pending, and nothing done that is remembered: no change of it was noticed yet",
            );
        }
        None => output.line(format_args!(
            "  {}",
            output.paint(Style::Green, "nothing pending")
        )),
    }
    for receipt in &explanation.receipts {
        output.line(format_args!("  {}", printable(&line(receipt), false)));
        if let Some(expected) = &receipt.expected {
            output.line(format_args!("    {}", printable(&told(expected), false)));
        }
    }
    if let Some(tombstone) = &explanation.tombstone {
        output.line(format_args!(
            "  {} tombstone: deleted here",
            tombstone.deleted
        ));
    }
}

fn tell_pending(pending: &Attempted, now: Timestamp, context: &Context) {
    let output = &context.output;
    let state = match pending.state {
        PendingState::Working => output.paint(Style::Plain, "being worked on"),
        PendingState::Waiting => output.paint(Style::Plain, "waiting for its turn"),
        PendingState::Retrying => output.paint(Style::Red, "failed; tried again"),
    };
    let next = match pending.state {
        PendingState::Working => String::new(),
        _ if pending.next_attempt <= now => ": now".to_owned(),
        _ => format!(": in {}", duration(pending.next_attempt.since(now))),
    };
    output.line(format_args!("  {state}{next}"));
    output.line(format_args!(
        "  {} changed at the source ({})",
        pending.changed,
        ago(pending.changed, now)
    ));
    output.line(format_args!("  {} noticed", pending.notified));
    if let Some((owner, expires)) = &pending.lease {
        output.line(format_args!(
            "  claimed by {owner} until {expires} unless renewed"
        ));
    }
    if let Some(plan) = &pending.plan {
        output.line(format_args!(
            "  plan: {}",
            printable(&plan_line(plan), false)
        ));
    }
    if let Some(failure) = &pending.last_failure {
        let why = printable(&failure.message, false);
        output.line(format_args!(
            "  {} failed for the {} time: {}: {why}",
            failure.at,
            ordinal(pending.failures),
            failure.kind
        ));
    }
    if pending.changed_again {
        output.line("  changed again while being copied: it will be copied again");
    }
}

fn ordinal(number: u32) -> String {
    let suffix = match (number % 10, number % 100) {
        (1, tens) if tens != 11 => "st",
        (2, tens) if tens != 12 => "nd",
        (3, tens) if tens != 13 => "rd",
        _ => "th",
    };
    format!("{number}{suffix}")
}

/// What was predicted, beside what came of it.
fn told(expected: &Expected) -> String {
    let seconds = |ms: u64| duration(Duration::from_millis(ms));
    let took = match expected.took_ms {
        Some(took_ms) => format!("took {}", seconds(took_ms)),
        None => "not measured: it went on with an earlier attempt".to_owned(),
    };
    format!(
        "{took}; predicted: half within {}, the SLO's percentile within {}, {}; the best of {} ways: {}: {} ({} left, {:.1}% in time)",
        seconds(expected.p50_ms),
        seconds(expected.at_slo_ms),
        expected.price,
        expected.candidates,
        expected.way,
        expected.why,
        seconds(expected.left_ms),
        f64::from(expected.in_time_permille) / 10.0,
    )
}

/// The plan of the attempt under way: the way in words, and what is expected of it.
fn plan_line(plan: &serde_json::Value) -> String {
    match serde_json::from_value::<Plan>(plan.clone()) {
        Ok(plan) => match &plan.expected {
            Some(expected) => format!("{}; {}", plan.strategy, told(expected)),
            None => plan.strategy.to_string(),
        },
        // Of a later version: shown as it is.
        Err(_) => plan.to_string(),
    }
}

fn line(receipt: &Receipt) -> String {
    let outcome = serde_json::to_value(receipt.outcome).ok();
    let outcome = outcome
        .as_ref()
        .and_then(|name| name.as_str())
        .unwrap_or_default()
        .replace('_', " ");
    let version = receipt
        .source
        .as_ref()
        .map_or_else(String::new, |version| format!(" version {version}"));
    let failures = match receipt.failures {
        0 => String::new(),
        failures => format!(", after {failures} failed attempts"),
    };
    let unkept = match receipt.unkept.as_slice() {
        [] => String::new(),
        unkept => format!(", without {}", unkept.join(", ")),
    };
    let saved = match receipt.bytes_saved {
        0 => String::new(),
        bytes => format!(", {} ({}) saved", format_bytes(bytes), receipt.saved),
    };
    format!(
        "{} {outcome}{version}, {}, {}, lag {}, {} requests, {}{saved}{failures}{unkept}",
        receipt.published,
        format_bytes(receipt.size),
        receipt.strategy,
        duration(receipt.lag()),
        receipt.requests,
        receipt.spend
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinals() {
        let all: Vec<String> = [1, 2, 3, 4, 11, 12, 21, 113]
            .into_iter()
            .map(ordinal)
            .collect();
        assert_eq!(
            all,
            ["1st", "2nd", "3rd", "4th", "11th", "12th", "21st", "113th"]
        );
    }
}
