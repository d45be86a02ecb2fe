//! Puts the planner's question together.

use super::Brain;
use crate::decide::Via;
use crate::lane::Lane;
use skyfresh_plan::predict::Site;
use skyfresh_plan::replicate::{Ask, PartLimits, StoreCopy};
use skyfresh_sky::{Region, Slo};
use skyfresh_store::UploadLimits;
use std::collections::BTreeMap;
use std::time::Duration;

/// The largest object in one piece, unless the destination takes no parts: what a broken connection costs at most.
const MOST_INLINE_BYTES: u64 = 64 << 20;

/// What most tools upload in, and the least that the planner takes where it may choose.
const SMALL_PART_BYTES: u64 = 8 << 20;

/// What must be copied, from where to where.
#[derive(Clone, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) source: &'a Region,
    pub(crate) target: &'a Region,
    pub(crate) size_bytes: u64,
    pub(crate) slo: Slo,
    /// How much of the SLO's delay has passed.
    pub(crate) elapsed: Duration,
    /// What the destination takes at once.
    pub(crate) limits: UploadLimits,
    /// Whether it takes parts.
    pub(crate) multipart: bool,
    /// Bytes of the parts that relays carry; `None`: any.
    pub(crate) relayed_part_bytes: Option<u64>,
    /// Parts of its last version may be unchanged: the smaller they are, the more of them.
    pub(crate) small_parts: bool,
    /// Changes a second that would make its copy begin again; see [`Lane::lost_to_changes_per_s`].
    pub(crate) changes_per_s: f64,
    /// Other destinations that hold this version, verified.
    pub(crate) fresh: Vec<Fresh>,
    /// How the destination's store can take it from the source's store by itself.
    pub(crate) server_copy: Option<StoreCopy>,
}

impl<'a> Wanted<'a> {
    /// An object of this size on this lane, with all of the rule's SLO ahead of it; callers say what is different.
    pub(crate) fn of(lane: &'a Lane, size_bytes: u64) -> Self {
        let capabilities = lane.target.capabilities();
        Wanted {
            source: &lane.source_region,
            target: &lane.target_region,
            size_bytes,
            slo: lane.rule.slo,
            elapsed: Duration::ZERO,
            limits: capabilities.upload_limits,
            multipart: capabilities.multipart,
            relayed_part_bytes: None,
            small_parts: false,
            changes_per_s: 0.0,
            fresh: Vec::new(),
            server_copy: None,
        }
    }
}

/// Another destination of the rule that holds what is wanted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fresh {
    pub(crate) region: Region,
    pub(crate) via: Via,
}

fn limits(wanted: &Wanted<'_>) -> PartLimits {
    let UploadLimits {
        min_part_bytes,
        max_part_bytes,
        max_parts,
        max_put_bytes,
    } = wanted.limits;
    if !wanted.multipart {
        return PartLimits {
            min_part_bytes,
            max_part_bytes,
            max_parts: 0,
            max_put_bytes,
        };
    }
    if let Some(part_bytes) = wanted.relayed_part_bytes {
        return PartLimits {
            min_part_bytes: part_bytes,
            max_part_bytes: part_bytes,
            max_parts: u64::from(max_parts),
            // Relays carry parts.
            max_put_bytes: 0,
        };
    }
    let fits = wanted.size_bytes / u64::from(max_parts.max(1)) < SMALL_PART_BYTES;
    let small = SMALL_PART_BYTES.max(min_part_bytes);
    PartLimits {
        min_part_bytes,
        max_part_bytes: match wanted.small_parts && fits {
            true => max_part_bytes.min(small),
            false => max_part_bytes,
        },
        max_parts: u64::from(max_parts),
        max_put_bytes: max_put_bytes.min(MOST_INLINE_BYTES),
    }
}

pub(super) fn ask(wanted: &Wanted<'_>, brain: &Brain, in_flight: &BTreeMap<Site, u64>) -> Ask {
    let (source, target) = (wanted.source, wanted.target);
    let mut ask = Ask::new(
        source.clone(),
        target.clone(),
        wanted.size_bytes,
        wanted.slo,
    );
    ask.sites = vec![Site::process(brain.home.clone())];
    for place in &brain.functions {
        let region = place.region(source, target).clone();
        ask.sites
            .extend(Site::functions(region).filter(|site| !ask.sites.contains(site)));
    }
    ask.elapsed = wanted.elapsed;
    ask.server_copy = wanted.server_copy;
    ask.changes_per_s = wanted.changes_per_s;
    ask.limits = limits(wanted);
    ask.in_flight = in_flight.clone();
    ask.process_workers = brain.process_workers;
    // A function would have to be told by itself: only workers over a pool of parts are sent elsewhere.
    ask.inline_on_functions = false;
    ask.fresh = wanted.fresh.iter().map(|it| it.region.clone()).collect();
    ask
}
