//! SLO-bounded batching: whether a claimed change goes back to wait for the next one of its key.
//!
//! In: a claim, before anything was read for it. Out: until when it may wait; `None`: go on. Never: lets a change wait that
//! would then be late more often than its SLO allows; waits where nothing is saved.

use super::Wanted;
use crate::lane::Lane;
use skyfresh_ledger::{Claim, Origin};
use skyfresh_plan::replicate::Spending;
use skyfresh_sky::{Timestamp, Usd};
use std::time::Duration;

/// Claiming again takes a little after the time at which it is due: the ledger is asked, and other keys are due as well. And a
/// prediction at a far percentile is off by some percent. So much of the SLO's delay is kept back for both, and at least so much.
const KEPT_BACK_SHARE: f64 = 0.04;
const LEAST_KEPT_BACK: Duration = Duration::from_millis(300);

/// Where the budget is spent and the rule goes on cheaply, changes wait for so many times the SLO's delay.
const LONGER_WHEN_SPENT: u32 = 4;

/// Waiting makes data older: what it saves in all must be worth at least this much. A small object that changes every few seconds is
/// not, one that changes many times a second is.
const LEAST_WORTH_USD: f64 = 1e-4;

/// Until when the claim may wait.
pub(crate) fn until(lane: &Lane, claim: &Claim, now: Timestamp) -> Option<Timestamp> {
    let brain = lane.shared.brain.as_ref()?;
    let task = &claim.task;
    let waits = lane.rule.batching
        && task.signal.origin == Origin::Live
        && task.failures == 0
        && task.attempt.is_none()
        && !claim.takeover;
    if !waits {
        return None;
    }
    let changes_per_s = lane.rates.per_s(&task.task.key, now)?;
    let cheapest = lane.account.spending(Usd::ZERO, now) == Spending::Degraded;
    let mut slo = lane.rule.slo;
    if cheapest {
        slo.delay *= LONGER_WHEN_SPENT;
    }
    let kept_back = slo.delay.mul_f64(KEPT_BACK_SHARE).max(LEAST_KEPT_BACK);
    let wanted = Wanted {
        slo,
        elapsed: now.since(task.changed_since) + kept_back,
        changes_per_s: lane.lost_to_changes_per_s(&task.task.key, now),
        ..Wanted::of(lane, task.signal.size?)
    };
    let hold = brain.hold(&wanted, changes_per_s, cheapest)?;
    if hold.wait_s <= 0.0 || hold.again <= 0.0 {
        return None;
    }
    // A transfer less for each change that is expected meanwhile.
    let transfer_usd = hold.saves.usd() / hold.again;
    let worth_it = transfer_usd * changes_per_s * hold.wait_s >= LEAST_WORTH_USD;
    worth_it.then(|| now.after(Duration::from_secs_f64(hold.wait_s)))
}
