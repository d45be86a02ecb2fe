//! Status values as people read them.

use crate::output::{Output, Style, Table, printable};
use skyfresh_engine::planning::BudgetStatus;
use skyfresh_engine::{ChannelStatus, DestinationStatus, LaneState, RuleStatus};
use skyfresh_ledger::Outcome;
use skyfresh_plan::replicate::{Period, Spending};
use skyfresh_sky::{Timestamp, format_bytes};
use std::time::Duration;

/// A duration for a table: two significant units at most.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{}ms", duration.as_millis()),
        1..60 => format!("{:.1}s", duration.as_secs_f64()),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// So many objects.
pub(crate) fn objects(count: u64) -> String {
    if count == 1 {
        "1 object".to_owned()
    } else {
        format!("{count} objects")
    }
}

/// A size for a column: exact, or for people.
pub(crate) fn size(bytes: u64, human: bool) -> String {
    match human {
        true => format_bytes(bytes),
        false => bytes.to_string(),
    }
}

/// A time to the second, as stores tell it.
pub(crate) fn to_the_second(time: Timestamp) -> String {
    let text = time.to_string();
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text,
    }
}

/// How long ago a time was.
pub(crate) fn ago(then: Timestamp, now: Timestamp) -> String {
    format!("{} ago", duration(now.since(then)))
}

/// Seconds, where there are any.
fn seconds(value: Option<f64>) -> String {
    let finite = value.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    finite.map_or_else(|| "-".to_owned(), duration)
}

fn lag(status: &DestinationStatus) -> String {
    match status.lag.changes {
        0 => "-".to_owned(),
        _ => format!(
            "{} / {} / {}",
            seconds(status.lag.p50_s),
            seconds(status.lag.p99_s),
            seconds(status.lag.max_s)
        ),
    }
}

fn state(rule: &RuleStatus, status: &DestinationStatus) -> (Style, String) {
    match status.state {
        LaneState::Unreachable => (Style::Red, "unreachable".into()),
        _ if rule.paused => (Style::Yellow, "paused".into()),
        LaneState::Starting => (Style::Yellow, "starting".into()),
        LaneState::Ready if !status.backlog.failing.is_empty() => (Style::Red, "failing".into()),
        LaneState::Ready if status.backlog.objects > 0 => (Style::Plain, "copying".into()),
        LaneState::Ready => (Style::Green, "fresh".into()),
    }
}

fn backlog(status: &DestinationStatus) -> String {
    match status.backlog.objects {
        0 => "0".to_owned(),
        objects => format!("{objects} ({})", format_bytes(status.backlog.bytes)),
    }
}

/// Objects whose equality has been established since the process began.
pub(crate) fn verified(status: &DestinationStatus) -> u64 {
    let count = |outcome| status.totals.outcomes.get(&outcome).copied().unwrap_or(0);
    count(Outcome::Copied) + count(Outcome::AlreadyEqual)
}

/// The share of changes within the SLO, and whether it is met.
fn attainment(rule: &RuleStatus, status: &DestinationStatus) -> (Style, String) {
    let Some(share) = status.lag.slo_attainment else {
        return (Style::Plain, "-".into());
    };
    let met = rule
        .slo
        .parse::<skyfresh_sky::Slo>()
        .is_ok_and(|slo| share * 100.0 >= slo.percentile);
    (
        if met { Style::Green } else { Style::Red },
        format!("{:.2}%", share * 100.0),
    )
}

/// One rule: a heading, a row for each destination, then what a person should know.
pub(crate) fn rule(output: &Output, rule: &RuleStatus, now: Timestamp) -> String {
    let heading = output.paint(Style::Bold, printable(&rule.rule, false));
    let mut text = format!(
        "{heading}  {}  SLO {}\n",
        printable(&rule.source, false),
        rule.slo
    );
    let mut table = Table::new(&[
        "DESTINATION",
        "STATE",
        "LAG p50 / p99 / max",
        "WITHIN SLO",
        "BACKLOG",
        "EQUAL AS OF",
        "VERIFIED",
        "MOVED",
        "SPEND",
    ]);
    for status in &rule.destinations {
        table.row(vec![
            (Style::Plain, status.destination.clone()),
            state(rule, status),
            (Style::Plain, lag(status)),
            attainment(rule, status),
            (Style::Plain, backlog(status)),
            (
                Style::Plain,
                status
                    .proven
                    .map_or_else(|| "not yet".to_owned(), |proven| ago(proven, now)),
            ),
            (Style::Plain, verified(status).to_string()),
            (Style::Plain, format_bytes(status.totals.bytes_moved)),
            (Style::Plain, spend(status)),
        ]);
    }
    text.push_str(&table.render(output, 2));
    if let Some(budget) = &rule.budget {
        text.push_str(&format!("  {}\n", money(output, budget)));
    }
    for status in &rule.destinations {
        for remark in remarks(output, status, now) {
            text.push_str(&format!("  {}: {remark}\n", status.destination));
        }
    }
    for status in &rule.channels {
        text.push_str(&channel(output, status, now));
    }
    text
}

/// How a budget stands.
fn money(output: &Output, status: &BudgetStatus) -> String {
    let per = match status.budget.per {
        Period::Hour => "hour",
        Period::Month => "month",
    };
    let line = format!(
        "budget {} a {per}: {} spent",
        status.budget.usd, status.spent
    );
    match status.trouble() {
        Some(trouble) => {
            let style = match status.spending {
                Spending::Paused => Style::Red,
                _ => Style::Yellow,
            };
            format!(
                "{line}; {}",
                output.paint(style, printable(&trouble, false))
            )
        }
        None => line,
    }
}

/// How predictions came true, where there are enough to say something.
fn predictions(status: &DestinationStatus) -> Option<String> {
    let predictions = status.totals.predictions;
    let (half, most) = predictions.shares()?;
    (predictions.transfers >= LEAST_PREDICTIONS).then(|| {
        format!(
            "{} predicted transfers: {:.1}% within the predicted median, {:.1}% within the predicted quantile of the SLO",
            predictions.transfers,
            half * 100.0,
            most * 100.0
        )
    })
}

/// Shares of fewer transfers say nothing.
const LEAST_PREDICTIONS: u64 = 20;

/// Dead letters that are shown.
const LETTERS_SHOWN: usize = 3;

/// A channel: what came through it, what troubles it, what nobody could read.
fn channel(output: &Output, status: &ChannelStatus, now: Timestamp) -> String {
    let warn = |text: String| output.paint(Style::Yellow, printable(&text, false));
    let mut line = format!(
        "  channel {}: {} received, {} accepted, {} duplicate, {} refused",
        status.channel, status.received, status.accepted, status.duplicate, status.refused
    );
    if let Some(last) = status.last_message {
        line.push_str(&format!("; last message {}", ago(last, now)));
    }
    let mut text = printable(&line, false) + "\n";
    let mut remark = |remark: String| text.push_str(&format!("    {}\n", warn(remark)));
    if let Some(trouble) = &status.trouble {
        remark(trouble.clone());
    }
    let shown = status.newest_dead_letters.iter().take(LETTERS_SHOWN);
    for letter in shown.clone() {
        let (id, at) = (&letter.id, ago(letter.at, now));
        remark(format!(
            "dead letter {id} ({at}): {}: {}",
            letter.why, letter.excerpt
        ));
    }
    let more = status.dead_letters - shown.len().min(status.dead_letters);
    if more > 0 {
        remark(format!("dead letters: {more} more"));
    }
    text
}

fn spend(status: &DestinationStatus) -> String {
    // Without the price of egress the figure is a lower bound.
    let more = if status.egress_priced { "" } else { "+" };
    format!("{}{more}", status.totals.spend)
}

/// What a person should know about a destination.
pub(crate) fn remarks(output: &Output, status: &DestinationStatus, now: Timestamp) -> Vec<String> {
    let mut remarks = Vec::new();
    let warn = |text: String| output.paint(Style::Yellow, printable(&text, false));
    if let Some(trouble) = &status.trouble {
        remarks.push(warn(trouble.clone()));
    }
    if let Some(error) = &status.sweep_error {
        remarks.push(warn(format!("the last sweep failed: {error}")));
    }
    if let Some(sweep) = &status.sweep {
        if let Some(refused) = &sweep.deletes_refused {
            remarks.push(warn(format!("deletes refused: {refused}")));
        }
        if !sweep.unusable_keys.is_empty() {
            remarks.push(warn(format!(
                "keys that cannot be replicated: {:?}",
                sweep.unusable_keys
            )));
        }
    }
    let (told, untold) = (status.totals.told_changes, status.totals.untold_changes);
    if let Some(rate) = status.totals.lost_notification_rate()
        && untold > 0
    {
        remarks.push(format!(
            "lost notifications: {untold} of {} changes ({:.1}%) were found by sweeps only",
            told + untold,
            rate * 100.0
        ));
    }
    remarks.extend(predictions(status));
    if status.totals.put_off > 0 {
        remarks.push(format!(
            "{} times a change waited for the next one of its key, or for another destination to read from",
            status.totals.put_off
        ));
    }
    if status.totals.bytes_saved > 0 {
        remarks.push(format!(
            "saved: {} were copied by the destination's store; sending them would have cost {} more",
            format_bytes(status.totals.bytes_saved),
            status.totals.saved
        ));
    }
    if let Some((key, since)) = &status.backlog.oldest {
        remarks.push(printable(
            &format!("oldest pending: {key}, for {}", duration(now.since(*since))),
            false,
        ));
    }
    for failing in &status.failing {
        let last = failing.last.as_ref().map_or_else(String::new, |last| {
            format!(": {}: {}", last.kind, last.message)
        });
        let next = duration(failing.next_attempt.since(now));
        remarks.push(warn(format!(
            "failing: {} ({} times, next try in {next}){last}",
            failing.key, failing.failures
        )));
    }
    let listed = status.failing.len() as u64;
    let failing: u64 = status.backlog.failing.values().sum();
    if failing > listed {
        remarks.push(warn(format!("failing: {} more", failing - listed)));
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units_at_most() {
        for (ms, text) in [
            (12, "12ms"),
            (1_500, "1.5s"),
            (61_000, "1m01s"),
            (7_260_000, "2h01m"),
            (90_000_000, "1d01h"),
        ] {
            assert_eq!(duration(Duration::from_millis(ms)), text);
        }
    }
}
