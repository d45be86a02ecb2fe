//! Whether relays that stand by carry an object, in which parts, and with which of the rule's other destinations.
//!
//! In: the object, the destinations that lack it too. Out: its parts, the same for all of them, so that one chunk of the relays can
//! be a part of each; what a worker must know. Never: relays for what they would not better, or while they are down.

use crate::Result;
use crate::decide::{Plan, mark_hash};
use crate::lane::Lane;
use crate::overlay::{RelayEnd, RelayEnds, RelayOrder, StandingWay};
use skyfresh_ledger::{Claim, Expected};
use skyfresh_relay::DestinationSet;
use skyfresh_sky::{ObjectKey, Usd};
use skyfresh_store::{ObjectHead, UploadLimits};
use std::sync::Arc;
use std::time::Duration;

/// The usual part: what most tools upload in, so that parts that have not changed are found again.
const PART_BYTES: u64 = 8 << 20;

/// How relays carry an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Relayed {
    /// Bytes of every part but the last.
    pub(crate) part_bytes: u64,
    /// What its workers must know.
    pub(crate) order: RelayOrder,
    /// Its share of the egress, if all that lack it are carried together.
    egress_per_gb: Usd,
}

/// Bytes of the parts of an object that go by relays; `None` where it has no two, or more than destinations or relays take.
fn part_bytes(size: u64, limits: UploadLimits, most: u64) -> Option<u64> {
    // As the planner counts: one more byte a part than would just do.
    let least = size / u64::from(limits.max_parts.max(1)) + 1;
    let needed = match least <= PART_BYTES.max(limits.min_part_bytes) {
        true => 0,
        false => least.next_multiple_of(1 << 20),
    };
    let bytes = PART_BYTES.max(limits.min_part_bytes).max(needed);
    (size > bytes && bytes <= most.min(limits.max_part_bytes)).then_some(bytes)
}

/// What all of these take.
fn narrowest(all: impl Iterator<Item = UploadLimits>) -> Option<UploadLimits> {
    all.reduce(|a, b| UploadLimits {
        min_part_bytes: a.min_part_bytes.max(b.min_part_bytes),
        max_part_bytes: a.max_part_bytes.min(b.max_part_bytes),
        max_parts: a.max_parts.min(b.max_parts),
        max_put_bytes: a.max_put_bytes.min(b.max_put_bytes),
    })
}

/// Looks for relays for an object that must be copied from its source; `spare` is how much sooner than it must it would be fresh.
pub(crate) async fn relayed(
    lane: &Lane,
    claim: &Claim,
    head: &ObjectHead,
    spare: Duration,
) -> Result<Option<Relayed>> {
    let size = head.size;
    if size <= PART_BYTES {
        return Ok(None);
    }
    let Some(relays) = lane.shared.executor.relays() else {
        return Ok(None);
    };
    let Some(group) = Group::of(lane) else {
        return Ok(None);
    };
    let ends = &group.ends;
    let is_useful = |way: &StandingWay| way.is_open() && size >= way.plan().least_bytes;
    let mut found: Option<(Arc<StandingWay>, Vec<usize>, DestinationSet)> = None;
    if ends.targets.len() > 1
        && let Some(way) = relays.way(ends).await
        && way.plan().place(group.own).is_some()
        && is_useful(&way)
    {
        let mates = group.mates(lane, &claim.task.task.key, head, &way).await?;
        let all = mates.iter().chain([&group.own]);
        let places: DestinationSet = all.filter_map(|at| way.plan().place(*at)).collect();
        if !mates.is_empty() && way.plan().pays_for(places) {
            found = Some((way, mates, places));
        }
    }
    if found.is_none()
        && let Some(alone) = ends.alone(group.own)
        && let Some(way) = relays.way(&alone).await
        && is_useful(&way)
    {
        found = Some((way, Vec::new(), DestinationSet::one(0)));
    }
    let Some((way, mates, places)) = found else {
        return Ok(None);
    };
    let most = u64::from(way.plan().topology.chunk_bytes);
    let Some(part_bytes) = part_bytes(size, group.limits, most) else {
        return Ok(None);
    };
    let all = way.plan().prices.usd_per_gb(places);
    Ok(Some(Relayed {
        part_bytes,
        egress_per_gb: Usd::from_units(all.units() / (mates.len() as i64 + 1)),
        order: RelayOrder {
            ends: group.ends,
            target: group.own,
            mates,
            spare,
        },
    }))
}

/// What a worker must know of an object that goes from the source its own way, in whatever parts.
pub(crate) fn alone(lane: &Lane, spare: Duration) -> Option<RelayOrder> {
    let source = RelayEnd {
        location: lane.rule.source.clone(),
        region: lane.source_region.clone(),
    };
    order_from(lane, source, spare)
}

fn order_from(lane: &Lane, source: RelayEnd, spare: Duration) -> Option<RelayOrder> {
    lane.shared.executor.relays()?;
    let target = RelayEnd {
        location: lane.destination.location.clone(),
        region: lane.target_region.clone(),
    };
    Some(RelayOrder {
        ends: RelayEnds {
            source,
            targets: vec![target],
        },
        target: 0,
        mates: Vec::new(),
        spare,
    })
}

/// What a worker must know of an object that is read from another destination.
pub(crate) fn from_sibling(lane: &Lane, plan: &Plan, spare: Duration) -> Option<RelayOrder> {
    let via = plan.via.as_ref()?;
    let sibling = lane.siblings.iter().find(|it| it.name == via.destination)?;
    let source = RelayEnd {
        location: sibling.location.clone(),
        region: sibling.region.clone(),
    };
    order_from(lane, source, spare)
}

/// What is expected where relays carry: another price.
pub(crate) fn expected(lane: &Lane, relayed: &Relayed, size: u64, expected: Expected) -> Expected {
    let catalog = &lane.shared.catalog;
    let direct = catalog.egress_usd_per_gb(&lane.source_region, &lane.target_region);
    let (direct, relays) = (
        direct.unwrap_or_default().per_gb(size),
        relayed.egress_per_gb.per_gb(size),
    );
    let with = match relayed.order.mates.len() {
        0 => String::new(),
        1 => ", with another destination".to_owned(),
        others => format!(", with {others} other destinations"),
    };
    let units = expected.price.units() - direct.units() + relays.units();
    Expected {
        way: format!("{}, by relays{with}", expected.way),
        price: Usd::from_units(units.max(0)),
        ..expected
    }
}

/// The destinations of a rule that the same relays may carry to.
struct Group {
    ends: RelayEnds,
    /// Each one's name.
    names: Vec<String>,
    /// Which of them is the lane's.
    own: usize,
    limits: UploadLimits,
}

impl Group {
    /// Those that take parts; whoever plans may leave some out. `None` where the lane's takes none.
    fn of(lane: &Lane) -> Option<Group> {
        let source = &lane.source_region;
        let members = lane.siblings.iter().enumerate();
        let members = members.filter(|(_, it)| it.store.capabilities().multipart);
        let members: Vec<_> = members.collect();
        let own = members.iter().position(|(at, _)| *at == lane.number)?;
        let siblings = || members.iter().map(|(_, sibling)| *sibling);
        let limits = narrowest(siblings().map(|it| it.store.capabilities().upload_limits))?;
        Some(Group {
            own,
            limits,
            names: siblings().map(|it| it.name.clone()).collect(),
            ends: RelayEnds {
                source: RelayEnd {
                    location: lane.rule.source.clone(),
                    region: source.clone(),
                },
                targets: siblings()
                    .map(|it| RelayEnd {
                        location: it.location.clone(),
                        region: it.region.clone(),
                    })
                    .collect(),
            },
        })
    }

    /// Those that lack the object too, as far as the ledger knows, and have no trouble with it.
    async fn mates(
        &self,
        lane: &Lane,
        key: &ObjectKey,
        head: &ObjectHead,
        way: &StandingWay,
    ) -> Result<Vec<usize>> {
        let ledger = &lane.shared.ledger;
        let mut mates = Vec::new();
        for (at, name) in self.names.iter().enumerate() {
            let Some(place) = way.plan().place(at).filter(|_| at != self.own) else {
                continue;
            };
            // It has what it would be joined for.
            if way.is_ahead((key.clone(), head.version.clone()), place) {
                continue;
            }
            let mut task = lane.task_key(key.clone());
            task.destination.clone_from(name);
            let lacks = match ledger.task(&task).await? {
                Some(task) => task.failures == 0,
                // Nobody has told it yet (each destination has sweeps of its own), or it has it.
                None => {
                    let keys = std::slice::from_ref(key);
                    let marks = ledger.marks(&task.rule, name, keys).await?;
                    let mark = marks.into_iter().next().flatten();
                    let held = mark_hash(&head.version.etag);
                    mark.is_none_or(|mark| mark.source != held)
                }
            };
            if lacks {
                mates.push(at);
            }
        }
        Ok(mates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use skyfresh_plan::replicate::{PartLimits, shapes};

    const S3: UploadLimits = UploadLimits {
        min_part_bytes: 5 << 20,
        max_part_bytes: 5 << 30,
        max_parts: 10_000,
        max_put_bytes: 5 << 30,
    };

    #[test]
    fn parts_follow_from_the_size_alone() {
        let most = 64 << 20;
        assert_eq!(part_bytes(8 << 20, S3, most), None, "one piece");
        assert_eq!(part_bytes((8 << 20) + 1, S3, most), Some(8 << 20));
        assert_eq!(part_bytes(4 << 30, S3, most), Some(8 << 20));
        assert_eq!(part_bytes(300_000_000_000, S3, most), Some(29 << 20));
        // Where the last part would be whole, too.
        assert_eq!(part_bytes(160_000 << 20, S3, most), Some(17 << 20));
        assert_eq!(part_bytes(1_000_000_000_000, S3, most), None, "too large");
    }

    proptest! {
        #[test]
        fn every_destination_takes_the_parts(
            size in 1u64..2_000_000_000_000, least in 0u64..32 << 20, parts in 1u32..20_000,
        ) {
            let own = UploadLimits { min_part_bytes: least, max_parts: parts, ..S3 };
            let limits = narrowest([S3, own].into_iter()).unwrap();
            if let Some(bytes) = part_bytes(size, limits, 64 << 20) {
                for limits in [S3, own] {
                    prop_assert!(bytes >= limits.min_part_bytes && bytes <= limits.max_part_bytes);
                    prop_assert!(size.div_ceil(bytes) <= u64::from(limits.max_parts));
                }
                prop_assert!(bytes <= 64 << 20 && bytes < size);
                let ways = shapes(size, PartLimits {
                    min_part_bytes: bytes,
                    max_part_bytes: bytes,
                    max_parts: u64::from(limits.max_parts),
                    max_put_bytes: 0,
                });
                prop_assert!(!ways.is_empty(), "the planner finds no way for {size} in parts of {bytes}");
            }
        }
    }
}
