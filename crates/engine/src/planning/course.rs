//! The way of one object that must be copied: an earlier attempt's where that can be gone on with, else the planner's, else
//! the one that follows from its size.

use super::relayed::{self, Relayed};
use super::{Fresh, Lesson, NoPlan, Planned, Wanted};
use crate::decide::{Course, Plan, Sizing, strategy};
use crate::lane::Lane;
use skyfresh_ledger::{Attempt, Claim, Origin};
use skyfresh_plan::replicate::StoreCopy;
use skyfresh_sky::Timestamp;
use skyfresh_store::ObjectHead;
use std::time::Duration;

/// What of the SLO has passed for a claim. What was there before the rule is late already, and for all that not urgent.
pub(crate) fn elapsed(claim: &Claim, now: Timestamp) -> Duration {
    match claim.task.signal.origin {
        Origin::Backfill => Duration::ZERO,
        Origin::Live | Origin::Repair => now.since(claim.task.changed_since),
    }
}

/// What is known of an object at the destinations, before its way is chosen.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Other destinations that hold it.
    pub(crate) fresh: Vec<Fresh>,
    /// Relays that carry it.
    pub(crate) relayed: Option<Relayed>,
    /// Parts of its last version may be unchanged.
    pub(crate) small_parts: bool,
    /// How its store can take it from the source's store by itself.
    pub(crate) server_copy: Option<StoreCopy>,
}

/// The way, and what can be learnt from it. `looked` is when both stores were asked.
pub(crate) fn course(
    lane: &Lane,
    claim: &Claim,
    source: &ObjectHead,
    previous: Option<&Attempt>,
    known: Known,
    looked: Timestamp,
) -> Result<(Course, Option<Lesson>), NoPlan> {
    let previous = previous.filter(|_| !claim.takeover);
    if let Some(earlier) = previous.and_then(|attempt| earlier(attempt, source)) {
        return Ok((earlier, None));
    }
    let wanted = Wanted {
        elapsed: elapsed(claim, looked),
        relayed_part_bytes: known.relayed.as_ref().map(|relayed| relayed.part_bytes),
        small_parts: known.small_parts,
        changes_per_s: lane.lost_to_changes_per_s(&claim.task.task.key, looked),
        fresh: known.fresh,
        server_copy: known.server_copy,
        ..Wanted::of(lane, source.size)
    };
    let (limits, multipart) = (wanted.limits, wanted.multipart);
    let by_size = || {
        let usual = lane.shared.config.sizing;
        let sizing = match &known.relayed {
            Some(relayed) => Sizing {
                part_bytes: relayed.part_bytes,
                ..usual
            },
            None => usual,
        };
        strategy(source.size, sizing, limits, multipart).map_err(NoPlan::Impossible)
    };
    let Some(brain) = &lane.shared.brain else {
        let course = Course {
            by_store: known.server_copy.is_some(),
            ..by_size()?.into()
        };
        return Ok((course, None));
    };
    let planned = brain.plan(&wanted, |next| lane.account.spending(next, looked));
    let Planned {
        strategy,
        site,
        via,
        expected,
        by_store,
        lesson,
    } = match planned {
        // The planner says that nothing fits, and the rules of the destination say why.
        Err(NoPlan::Impossible(why)) => return by_size().and(Err(NoPlan::Impossible(why))),
        planned => planned?,
    };
    let course = Course {
        strategy,
        site: Some(site),
        via,
        expected: Some(match &known.relayed {
            Some(by) if !by_store => relayed::expected(lane, by, source.size, expected),
            _ => expected,
        }),
        by_store,
    };
    Ok((course, Some(lesson)))
}

/// The way of an earlier attempt at this version, whose parts are worth more than a better plan.
fn earlier(attempt: &Attempt, source: &ObjectHead) -> Option<Course> {
    let plan: Plan = serde_json::from_value(attempt.plan.clone()).ok()?;
    (plan.source == source.version && plan.size == source.size).then_some(Course {
        strategy: plan.strategy,
        site: plan.site,
        via: plan.via,
        expected: plan.expected,
        by_store: false,
    })
}
