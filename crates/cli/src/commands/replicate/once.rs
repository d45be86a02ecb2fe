//! `--once`: copy what differs, prove equality, exit.

use super::RULE;
use super::follow::Progress;
use crate::context::Context;
use crate::exit::{Exit, Told};
use crate::output::{Style, printable};
use crate::render;
use serde::Serialize;
use skyfresh_engine::{DestinationStatus, Engine, LaneState, Rule, RuleStatus};
use skyfresh_ledger::Outcome;
use skyfresh_sky::{Timestamp, format_bytes};
use std::time::Duration;

/// How often it looks whether it is done, or going on is worth nothing.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A key that failed this often in a row is not waited for any longer, once nothing else is left to do.
const ATTEMPTS: u32 = 4;
/// A destination that could not be used for this long is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// How it ended, as JSON.
#[derive(Serialize)]
struct Summary<'a> {
    /// `verified`, `failed`, `refused` or `interrupted`.
    outcome: &'static str,
    #[serde(flatten)]
    status: &'a RuleStatus,
}

/// Why it ended.
enum End {
    Verified,
    Interrupted,
    GivenUp(Told),
}

pub(super) async fn run(rule: Rule, engine: &Engine, context: &Context) -> anyhow::Result<Exit> {
    // Taken before the first listing: everything written before now is covered by it.
    let until = context.clock.now();
    engine.apply(vec![rule]).await?;
    let end = tokio::select! {
        end = watch(until, engine, context) => end?,
        shown = show(engine, context) => match shown? {},
        () = context.stop.cancelled() => End::Interrupted,
    };
    context.output.end_frame();
    for status in engine.status(Some(RULE)).await? {
        tell(&status, &end, context)?;
    }
    match end {
        End::Verified => Ok(Exit::Ok),
        End::GivenUp(told) => Err(told.into()),
        End::Interrupted => {
            context
                .output
                .note("stopped before the end; the same command goes on where it stopped");
            Ok(Exit::Interrupted)
        }
    }
}

/// Shows progress until dropped.
async fn show(engine: &Engine, context: &Context) -> anyhow::Result<std::convert::Infallible> {
    let mut progress = Progress::new(context, true);
    loop {
        context.clock.sleep(progress.period()).await;
        // JSON has one line, at the end.
        if !context.output.json {
            progress.show(engine).await?;
        }
    }
}

/// Returns once everything is proved that was written before `until`, or once waiting any longer would not help.
async fn watch(until: Timestamp, engine: &Engine, context: &Context) -> anyhow::Result<End> {
    let mut unusable_since: Option<Timestamp> = None;
    loop {
        context.clock.sleep(LOOK_EVERY).await;
        let now = context.clock.now();
        let destinations: Vec<DestinationStatus> = engine
            .status(Some(RULE))
            .await?
            .into_iter()
            .flat_map(|rule| rule.destinations)
            .collect();
        if destinations
            .iter()
            .all(|status| status.proven.is_some_and(|proven| proven >= until))
        {
            return Ok(End::Verified);
        }
        let unusable = destinations.iter().find_map(unusable);
        unusable_since = unusable.as_ref().and(unusable_since.or(Some(now)));
        if let (Some(why), Some(since)) = (unusable, unusable_since)
            && now.since(since) >= PATIENCE
        {
            return Ok(End::GivenUp(Told::new(Exit::Unreachable, why)));
        }
        // What is over is said only when every destination is over.
        let verdicts: Option<Vec<Option<Told>>> = destinations.iter().map(settled).collect();
        if let Some(verdicts) = verdicts
            && let Some(worst) = verdicts
                .into_iter()
                .flatten()
                .max_by_key(|told| told.exit as u8)
        {
            return Ok(End::GivenUp(worst));
        }
    }
}

fn unusable(status: &DestinationStatus) -> Option<String> {
    let why = match status.state {
        LaneState::Unreachable => status.trouble.clone(),
        _ => status.sweep_error.clone(),
    };
    why.map(|why| format!("{}: {why}", status.destination))
}

/// Whether nothing more will happen at a destination: `Some(None)` when all is well there, `Some(Some(…))` when it will
/// not become so by waiting, `None` while there is something to do.
fn settled(status: &DestinationStatus) -> Option<Option<Told>> {
    let sweep = status.sweep.as_ref()?;
    if sweep.started < status.totals.since || status.sweep_error.is_some() {
        return None;
    }
    let failing: u64 = status.backlog.failing.values().sum();
    let hopeless = failing > 0 && status.failing.iter().all(|key| key.failures >= ATTEMPTS);
    if status.backlog.objects > failing || (failing > 0 && !hopeless) {
        return None;
    }
    let name = &status.destination;
    // The engine's delete guard holds them as failures, so that they are seen.
    let held = status
        .failing
        .iter()
        .filter_map(|key| key.last.as_ref())
        .find(|last| last.message.contains("held for safety"));
    if let Some(held) = held.filter(|_| hopeless) {
        return Some(Some(refused(name, &held.message)));
    }
    if hopeless {
        let what = format!(
            "{name}: {} could not be replicated",
            render::objects(failing)
        );
        return Some(Some(
            Told::new(Exit::Failed, what)
                .hint("run it again to retry: what is done is not done twice"),
        ));
    }
    if let Some(refused) = &sweep.deletes_refused {
        return Some(Some(self::refused(name, refused)));
    }
    if !sweep.unusable_keys.is_empty() {
        let keys: Vec<String> = sweep
            .unusable_keys
            .iter()
            .map(|key| printable(key, false))
            .collect();
        let what = format!(
            "{name}: keys that cannot be replicated: {}",
            keys.join(", ")
        );
        return Some(Some(
            Told::new(Exit::Failed, what).hint("rename them at the source, or remove them there"),
        ));
    }
    Some(None)
}

fn refused(destination: &str, why: &str) -> Told {
    Told::new(Exit::Refused, format!("{destination}: deletes refused: {why}")).hint(
        "look at what is missing at the source first; then raise --max-deletes, or give --allow-empty-source if it is \
         meant to be empty",
    )
}

fn tell(status: &RuleStatus, end: &End, context: &Context) -> anyhow::Result<()> {
    let output = &context.output;
    if output.json {
        let outcome = match end {
            End::Verified => "verified",
            End::Interrupted => "interrupted",
            End::GivenUp(told) if told.exit == Exit::Refused => "refused",
            End::GivenUp(_) => "failed",
        };
        return output.json_line(&Summary { outcome, status });
    }
    for destination in &status.destinations {
        let count = |outcome| {
            destination
                .totals
                .outcomes
                .get(&outcome)
                .copied()
                .unwrap_or(0)
        };
        let failed: u64 = destination.backlog.failing.values().sum();
        let verdict = match (end, destination.proven) {
            (End::Verified, Some(proven)) => {
                output.paint(Style::Green, format_args!("equal as of {proven}"))
            }
            _ => output.paint(Style::Red, "not verified"),
        };
        output.line(format_args!(
            "{}: {verdict}: {} at the source, {} copied, {} found equal, {} deleted, {failed} failed, {} moved, {}",
            printable(&destination.location, false),
            render::objects(destination.sweep.as_ref().map_or(0, |sweep| sweep.source_objects)),
            count(Outcome::Copied),
            count(Outcome::AlreadyEqual),
            count(Outcome::Deleted),
            format_bytes(destination.totals.bytes_moved),
            destination.totals.spend,
        ));
        for remark in render::remarks(output, destination, context.clock.now()) {
            output.line(format_args!("  {remark}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A destination whose first sweep is complete, with so many keys pending and these failures.
    fn destination(
        pending: u64,
        failures: &[(u32, &str)],
        refused: Option<&str>,
    ) -> DestinationStatus {
        let failing: Vec<_> = failures
            .iter()
            .map(|(times, why)| {
                let last = json!({ "kind": "denied", "message": why, "at": 200 });
                json!({ "key": "k", "failures": times, "last": last, "next_attempt": 300 })
            })
            .collect();
        let by_kind = if failing.is_empty() {
            json!({})
        } else {
            json!({ "denied": failing.len() })
        };
        let status = json!({
            "destination": "d1", "location": "mem://d/", "state": "ready", "trouble": null, "in_flight": 0,
            "backlog": { "objects": pending, "bytes": 0, "failing": by_kind, "oldest": null, "oldest_changed": null },
            "lag": { "changes": 0, "p50_s": null, "p99_s": null, "max_s": null, "slo_attainment": null },
            "watermark": 100, "proven": null, "failing": failing, "sweep_error": null, "egress_priced": true,
            "totals": {
                "since": 100, "outcomes": {}, "failures": {}, "bytes_moved": 0, "requests": 0, "spend": 0.0,
                "leases_lost": 0, "lost_notifications": 0
            },
            "sweep": {
                "started": 110, "ended": 120, "source_objects": 3, "target_objects": 0, "submitted": 3,
                "lost_notifications": 0, "deletes": 0, "deletes_refused": refused
            },
        });
        serde_json::from_value(status).unwrap()
    }

    fn exit(status: &DestinationStatus) -> Option<Option<Exit>> {
        settled(status).map(|told| told.map(|told| told.exit))
    }

    #[test]
    fn it_goes_on_while_anything_can_still_succeed() {
        assert_eq!(exit(&destination(1, &[], None)), None, "work is left");
        assert_eq!(
            exit(&destination(2, &[(9, "no")], None)),
            None,
            "other work is left"
        );
        assert_eq!(
            exit(&destination(1, &[(ATTEMPTS - 1, "no")], None)),
            None,
            "it is tried again"
        );
        let mut old = destination(0, &[], None);
        old.sweep.as_mut().unwrap().started = Timestamp::from_unix_ms(99);
        assert_eq!(exit(&old), None, "an earlier process swept, not this one");
        let mut failed = destination(0, &[], None);
        failed.sweep_error = Some("listing failed".into());
        assert_eq!(exit(&failed), None, "it sweeps again");
    }

    #[test]
    fn it_ends_with_what_went_wrong() {
        assert_eq!(exit(&destination(0, &[], None)), Some(None));
        assert_eq!(
            exit(&destination(1, &[(ATTEMPTS, "no")], None)),
            Some(Some(Exit::Failed))
        );
        assert_eq!(
            exit(&destination(1, &[(ATTEMPTS, "held for safety: …")], None)),
            Some(Some(Exit::Refused))
        );
        assert_eq!(
            exit(&destination(0, &[], Some("too many"))),
            Some(Some(Exit::Refused))
        );
        let mut unusable = destination(0, &[], None);
        unusable.sweep.as_mut().unwrap().unusable_keys = vec!["link".into()];
        assert_eq!(exit(&unusable), Some(Some(Exit::Failed)));
    }

    #[test]
    fn a_side_that_cannot_be_used_is_named_with_its_trouble() {
        let mut status = destination(0, &[], None);
        assert_eq!(super::unusable(&status), None);
        status.state = LaneState::Unreachable;
        status.trouble = Some("connection refused".into());
        assert_eq!(
            super::unusable(&status),
            Some("d1: connection refused".into())
        );
    }
}
