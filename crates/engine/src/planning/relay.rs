//! Relay, live: a destination that already holds what another one needs is read instead of the source, where that is cheaper;
//! and who would be served cheaper by one that is about to have it waits for it, as long as its SLO allows. So an expensive
//! hop is paid once (Cloudcast's idea, section 3 of the paper, for one object at a time).
//!
//! In: the other destinations of the rule, what their receipts say. Out: those that hold the version, pinned and with its
//! checksum; whether to wait for one. Never: two that wait for each other: only ever for one that comes earlier in the order
//! of direct prices.

use super::Brain;
use super::ask::Fresh;
use crate::Result;
use crate::decide::Via;
use crate::lane::{Lane, Sibling};
use skyfresh_ledger::{Outcome, TaskKey};
use skyfresh_sky::{ObjectKey, Region, Timestamp};
use skyfresh_store::ObjectHead;
use skyfresh_store::checksum::Crc64;
use std::time::Duration;

/// Less than this is not worth asking the ledger for: about what the questions cost.
const LEAST_SAVING_USD: f64 = 2e-5;
/// How often one that waits for another looks again, at least and at most.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// What the other destinations have to offer for one object.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Offers {
    /// Those that hold it.
    pub(crate) fresh: Vec<Fresh>,
    /// One that comes first is about to.
    pub(crate) coming: bool,
}

/// Asks what the other destinations hold. Without any that would be cheaper it asks nothing.
pub(crate) async fn offers(lane: &Lane, key: &ObjectKey, source: &ObjectHead) -> Result<Offers> {
    let mut offers = Offers::default();
    let Some(brain) = &lane.shared.brain else {
        return Ok(offers);
    };
    for (index, sibling) in lane.siblings.iter().enumerate() {
        if !is_cheaper(lane, brain, sibling, source.size) {
            continue;
        }
        let task = TaskKey {
            rule: lane.rule.name.clone(),
            destination: sibling.name.clone(),
            key: key.clone(),
        };
        let ledger = &lane.shared.ledger;
        let last = ledger.receipts_by_key(&task, 1).await?.pop();
        let held = last.and_then(|receipt| {
            let done = matches!(receipt.outcome, Outcome::Copied);
            let same = done && receipt.source.as_ref() == Some(&source.version);
            let stated = receipt.crc64.filter(|_| same)?;
            let crc64 = u64::from_str_radix(&stated, 16).map(Crc64).ok()?;
            let agrees = source.crc64.is_none_or(|stated| stated == crc64);
            let version = receipt.destination.filter(|_| agrees)?;
            Some(Via {
                destination: sibling.name.clone(),
                version,
                crc64,
            })
        });
        match held {
            Some(via) => offers.fresh.push(Fresh {
                region: sibling.region.clone(),
                via,
            }),
            None if comes_first(lane, brain, sibling, index) => {
                let task = ledger.task(&task).await?;
                offers.coming |= task.is_some_and(|task| task.failures == 0);
            }
            None => {}
        }
    }
    Ok(offers)
}

/// Dollars a GB from there to a destination, by way of wherever workers may run.
fn egress(lane: &Lane, brain: &Brain, from: &Region, to: &Region) -> Option<f64> {
    let catalog = &lane.shared.catalog;
    brain.egress_usd_per_gb(catalog, from, (&lane.source_region, to))
}

fn is_cheaper(lane: &Lane, brain: &Brain, sibling: &Sibling, size_bytes: u64) -> bool {
    let direct = egress(lane, brain, &lane.source_region, &lane.target_region);
    let from_there = egress(lane, brain, &sibling.region, &lane.target_region);
    match (direct, from_there) {
        (Some(direct), Some(from_there)) => {
            (direct - from_there) * size_bytes as f64 / 1e9 > LEAST_SAVING_USD
        }
        _ => false,
    }
}

/// Whether a destination is served before this one: its direct price is lower, or the same and it stands first in the rule.
fn comes_first(lane: &Lane, brain: &Brain, sibling: &Sibling, index: usize) -> bool {
    let own = egress(lane, brain, &lane.source_region, &lane.target_region);
    let its = egress(lane, brain, &lane.source_region, &sibling.region);
    match (its, own) {
        (Some(its), Some(own)) => its < own || (its == own && index < lane.number),
        _ => false,
    }
}

/// Until when to wait for what is coming: not so long that a direct copy, which takes `direct` at the SLO's percentile,
/// would be late. `usual` is what the other's takes in the middle.
pub(crate) fn wait(
    now: Timestamp,
    left: Duration,
    direct: Duration,
    usual: Duration,
) -> Option<Timestamp> {
    let (least, most) = LOOK_AGAIN;
    let spare = left.checked_sub(direct)?.checked_sub(least)?;
    Some(now.after(usual.clamp(least, most).min(spare.max(least))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_never_makes_a_direct_copy_late() {
        let s = Duration::from_secs;
        let now = Timestamp::from_unix_ms(1_000);
        assert_eq!(wait(now, s(30), s(10), s(3)), Some(now.after(s(3))));
        assert_eq!(
            wait(now, s(30), s(10), s(60)),
            Some(now.after(s(5))),
            "look again now and then"
        );
        assert_eq!(
            wait(now, s(12), s(10), s(60)),
            Some(now.after(Duration::from_millis(1_750)))
        );
        assert_eq!(wait(now, s(10), s(10), s(3)), None);
        assert_eq!(wait(now, s(5), s(10), s(3)), None);
    }
}
