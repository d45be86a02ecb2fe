//! What is told, as values for JSON and for people.

use crate::intake::pump_meter::ChannelStatus;
use crate::intake::sweep::SweepReport;
use crate::planning::BudgetStatus;
use serde::{Deserialize, Serialize};
use skyfresh_ledger::{Backlog, Expected, Failure, Outcome, Receipt, Task, Tombstone};
use skyfresh_sky::{Kind, Timestamp, Usd};
use std::collections::BTreeMap;

/// One rule.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RuleStatus {
    /// Its name.
    pub rule: String,
    /// Its source.
    pub source: String,
    /// Its SLO, e.g. `60s@p99`.
    pub slo: String,
    /// Whether it is paused.
    pub paused: bool,
    /// How its budget stands, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetStatus>,
    /// The channels it hears through, beside what is pushed and watched.
    #[serde(default)]
    pub channels: Vec<ChannelStatus>,
    /// Each destination.
    pub destinations: Vec<DestinationStatus>,
}

/// Whether a lane works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaneState {
    /// Finding out what the stores can do.
    Starting,
    /// Working.
    Ready,
    /// A store cannot be used; it is tried again.
    Unreachable,
}

/// One destination of a rule.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DestinationStatus {
    /// Its name.
    pub destination: String,
    /// Where it is.
    pub location: String,
    /// Whether it works.
    pub state: LaneState,
    /// What a person should know, and do.
    pub trouble: Option<String>,
    /// What is pending.
    pub backlog: Backlog,
    /// Claims under way.
    pub in_flight: u64,
    /// How far behind changes were in the last hour.
    pub lag: Lag,
    /// Every change *that we know of* made before this is at the destination.
    pub watermark: Timestamp,
    /// Everything written before this is at the destination: proved by a complete comparison of listings.
    pub proven: Option<Timestamp>,
    /// Since this process began.
    pub totals: Totals,
    /// Keys whose last attempt failed, some of them.
    pub failing: Vec<FailingKey>,
    /// The last complete sweep.
    pub sweep: Option<SweepReport>,
    /// Why the sweep after it failed, where it did.
    pub sweep_error: Option<String>,
    /// False where the catalogue has no egress price for this pair of regions: spend then lacks it.
    pub egress_priced: bool,
}

/// Lag of live changes over the last hour: from the change at the source until it, or a newer version, was readable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lag {
    /// Changes counted.
    pub changes: u64,
    /// Median, seconds.
    pub p50_s: Option<f64>,
    /// 99th percentile, seconds.
    pub p99_s: Option<f64>,
    /// Longest, seconds.
    pub max_s: Option<f64>,
    /// Share of them within the SLO's delay, 0 to 1.
    pub slo_attainment: Option<f64>,
}

/// Counters since `since`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// When counting began.
    pub since: Timestamp,
    /// Finished claims by outcome.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Failed attempts by kind.
    pub failures: BTreeMap<Kind, u64>,
    /// Bytes read from the source.
    pub bytes_moved: u64,
    /// Requests to both stores.
    pub requests: u64,
    /// Dollars by the catalogue.
    pub spend: Usd,
    /// Claims that another owner took over.
    pub leases_lost: u64,
    /// Changes that only a sweep found.
    pub lost_notifications: u64,
    /// Changes brought to the destination that a notification, a channel or a watch had told of.
    #[serde(default)]
    pub told_changes: u64,
    /// Changes brought to the destination that only a sweep had found.
    #[serde(default)]
    pub untold_changes: u64,
    /// Bytes that no worker had to carry, because the destination's store had them already or took them from the source's store.
    #[serde(default)]
    pub bytes_saved: u64,
    /// What sending them would have cost by the catalogue, less what was spent instead.
    #[serde(default)]
    pub saved: Usd,
    /// How often a change waited for the next one of its key, or for another destination to read from.
    #[serde(default)]
    pub put_off: u64,
    /// How predictions came true.
    #[serde(default)]
    pub predictions: Predictions,
}

/// How predictions came true: of right ones, half of the transfers are within their median, and as many as the SLO's
/// percentile says within that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Predictions {
    /// Transfers that were predicted, and done without having to go on with an earlier attempt.
    pub transfers: u64,
    /// Of them, those that took no longer than was predicted for half of them.
    pub within_p50: u64,
    /// Those that took no longer than was predicted at the SLO's percentile.
    pub within_slo_percentile: u64,
}

impl Predictions {
    /// Takes up what became of one.
    pub fn count(&mut self, expected: &Expected) {
        if let Some(took_ms) = expected.took_ms {
            self.transfers += 1;
            self.within_p50 += u64::from(took_ms <= expected.p50_ms);
            self.within_slo_percentile += u64::from(took_ms <= expected.at_slo_ms);
        }
    }

    /// The share within the predicted median, and within the predicted percentile, 0 to 1; `None` before the first.
    pub fn shares(&self) -> Option<(f64, f64)> {
        let share = |count: u64| count as f64 / self.transfers as f64;
        (self.transfers > 0).then(|| (share(self.within_p50), share(self.within_slo_percentile)))
    }
}

impl Totals {
    /// The share of changes that nobody told of, 0 to 1; `None` before the first change.
    pub fn lost_notification_rate(&self) -> Option<f64> {
        let all = self.told_changes + self.untold_changes;
        (all > 0).then(|| self.untold_changes as f64 / all as f64)
    }
}

/// A key whose last attempt failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FailingKey {
    /// The key.
    pub key: String,
    /// Attempts failed in a row.
    pub failures: u32,
    /// The last failure.
    pub last: Option<Failure>,
    /// When it is tried again.
    pub next_attempt: Timestamp,
}

impl From<Task> for FailingKey {
    fn from(task: Task) -> Self {
        FailingKey {
            key: task.task.key.to_string(),
            failures: task.failures,
            last: task.last_failure,
            next_attempt: task.due,
        }
    }
}

/// One key at one destination: what is pending, and what was done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// The destination.
    pub destination: String,
    /// What is pending, in words; `None` when nothing is.
    pub pending: Option<Attempted>,
    /// Finished claims, newest first.
    pub receipts: Vec<Receipt>,
    /// The delete that is remembered.
    pub tombstone: Option<Tombstone>,
    /// Whether the rule covers the key.
    pub in_scope: bool,
}

/// Where a pending key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PendingState {
    /// An owner holds its lease.
    Working,
    /// Not yet tried.
    Waiting,
    /// Failed, and will be tried again.
    Retrying,
}

/// A pending key's story.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Attempted {
    /// When the oldest change not yet covered happened.
    pub changed: Timestamp,
    /// When we learnt of it.
    pub notified: Timestamp,
    /// Where it stands.
    pub state: PendingState,
    /// Who works on it, and until when its lease runs.
    pub lease: Option<(String, Timestamp)>,
    /// The strategy of the transfer under way, as recorded.
    pub plan: Option<serde_json::Value>,
    /// Failed attempts.
    pub failures: u32,
    /// The last failure.
    pub last_failure: Option<Failure>,
    /// When it is tried (again).
    pub next_attempt: Timestamp,
    /// It changed again while being copied.
    pub changed_again: bool,
}

/// Tells a pending task's story.
pub(crate) fn explain_task(task: Task, now: Timestamp) -> Attempted {
    let working = task.lease.as_ref().is_some_and(|lease| lease.expires > now);
    Attempted {
        changed: task.changed_since,
        notified: task.pending_since,
        state: if working {
            PendingState::Working
        } else if task.failures > 0 {
            PendingState::Retrying
        } else {
            PendingState::Waiting
        },
        lease: task
            .lease
            .filter(|_| working)
            .map(|lease| (lease.owner, lease.expires)),
        plan: task.attempt.map(|attempt| attempt.plan),
        failures: task.failures,
        last_failure: task.last_failure,
        next_attempt: task.due,
        changed_again: task.dirty.is_some(),
    }
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitOutcome {
    /// Everything written before the asked time is at every destination: proved.
    Reached,
    /// Time ran out first.
    TimedOut,
}

/// The two watermarks of a lane: what we know of, and what is proved.
///
/// Proved: a complete sweep that began at S submitted every difference before it ended at E; once nothing that was pending
/// at E is pending any more, everything written before S is at the destination.
pub(crate) fn watermark(
    now: Timestamp,
    backlog: &Backlog,
    sweep: Option<&SweepReport>,
) -> (Timestamp, Option<Timestamp>) {
    let known = match (&backlog.oldest, backlog.oldest_changed) {
        (Some(_), Some(changed)) => changed,
        (Some((_, pending_since)), None) => *pending_since,
        (None, _) => now,
    };
    let proven = sweep
        .filter(|sweep| sweep.deletes_refused.is_none() && sweep.unusable_keys.is_empty())
        .and_then(|sweep| {
            let covered = backlog
                .oldest
                .as_ref()
                .is_none_or(|(_, pending_since)| *pending_since > sweep.ended);
            covered.then_some(sweep.started)
        });
    (known, proven)
}

#[cfg(test)]
mod tests {
    use super::*;
    use skyfresh_sky::ObjectKey;

    #[test]
    fn nothing_is_proved_while_something_of_the_sweep_is_pending() {
        let at = Timestamp::from_unix_ms;
        let sweep = SweepReport {
            started: at(100),
            ended: at(200),
            ..SweepReport::default()
        };
        let pending = |since| Backlog {
            objects: 1,
            oldest: Some((ObjectKey::new("k").unwrap(), at(since))),
            oldest_changed: Some(at(since - 5)),
            ..Backlog::default()
        };
        assert_eq!(
            watermark(at(900), &Backlog::default(), Some(&sweep)),
            (at(900), Some(at(100)))
        );
        assert_eq!(
            watermark(at(900), &pending(200), Some(&sweep)),
            (at(195), None)
        );
        assert_eq!(
            watermark(at(900), &pending(201), Some(&sweep)),
            (at(196), Some(at(100)))
        );
        assert_eq!(
            watermark(at(900), &Backlog::default(), None),
            (at(900), None)
        );
        let refused = SweepReport {
            deletes_refused: Some("too many".into()),
            ..sweep
        };
        assert_eq!(
            watermark(at(900), &Backlog::default(), Some(&refused)).1,
            None
        );
    }
}
