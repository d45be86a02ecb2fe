//! By which relays a worker's parts go: together with other destinations of its rule, else alone.
//!
//! In: what a worker was told of its object; its parts. Out: a part as its store holds it, and what that cost; or nothing: it goes
//! direct. Never: waits for longer than the object has time to spare.

use super::carry::{Part, PartAsked, PartAt};
use super::ends::RelayOrder;
use super::together::{Asker, Joined};
use super::way::{Patience, StandingWay};
use crate::throttle::Throttle;
use skyfresh_ledger::PartDone;
use skyfresh_relay::DestinationSet;
use skyfresh_sky::Usd;
use std::sync::Arc;
use std::time::Duration;

/// What part of the time to spare is used up by waiting for others.
const SPARE_SHARE: u32 = 8;
/// How long a part waits for other destinations to ask for it, at least and at most: lanes hear of a change at once, and each
/// looks at its own store and begins an upload there.
const GATHER: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));
/// How long a part that could go direct waits for relays that start, at most.
const START: Duration = Duration::from_secs(10);

/// A place in relays that carry to several destinations.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    way: Arc<StandingWay>,
    at: u8,
    mates: DestinationSet,
}

impl Seat {
    /// The order's place; `None` where these relays do not carry to its target, or to none of its mates.
    pub(super) fn of(way: Arc<StandingWay>, order: &RelayOrder) -> Option<Seat> {
        let at = way.plan.place(order.target)?;
        let mates = order.mates.iter().filter_map(|mate| way.plan.place(*mate));
        let mates = mates
            .collect::<DestinationSet>()
            .without(DestinationSet::one(at));
        (!mates.is_empty()).then_some(Seat { way, at, mates })
    }
}

/// A part that relays have carried.
#[derive(Debug)]
pub(crate) struct Carried {
    pub(crate) done: PartDone,
    /// Of all hops that this destination pays for.
    pub(crate) egress_per_gb: Usd,
    /// Whether the read at the source was for this destination: one serves all.
    pub(crate) reads: bool,
}

/// The relays of one order.
#[derive(Clone, Debug)]
pub(crate) struct Carriers {
    alone: Option<Arc<StandingWay>>,
    together: Option<Seat>,
    patience: Patience,
    /// How long its parts may wait for others in all.
    wait: Duration,
    gather: Duration,
}

impl Carriers {
    pub(super) fn new(
        alone: Option<Arc<StandingWay>>,
        together: Option<Seat>,
        spare: Duration,
        lease: Duration,
    ) -> Self {
        let wait = spare / SPARE_SHARE;
        let (gather, start) = (wait.clamp(GATHER.0, GATHER.1), wait.min(START));
        Carriers {
            alone,
            together,
            patience: Patience {
                // Whoever else waits for the part may duplicate it when its lease is over.
                carry: lease.saturating_sub(gather + start),
                start,
            },
            wait: wait.max(GATHER.0),
            gather,
        }
    }

    /// Whether any of them are up, or may be tried.
    pub(crate) fn are_open(&self) -> bool {
        let together = self.together.as_ref().map(|seat| &seat.way);
        self.alone.iter().chain(together).any(|way| way.is_open())
    }

    /// Has a part of an upload carried; `None`: relays are not there, or did not.
    pub(crate) async fn part(
        &self,
        part: &Part,
        upload: &str,
        throttle: Option<&Arc<Throttle>>,
    ) -> Option<Carried> {
        let takes = |way: &Arc<StandingWay>| way.takes(part.size, self.patience);
        if let Some(seat) = self.together.as_ref().filter(|seat| takes(&seat.way)) {
            let asker = Asker {
                at: seat.at,
                mates: seat.mates,
                upload,
                patience: self.patience,
                gather: self.gather,
                spare: self.wait,
                throttle,
            };
            match seat.way.join(part, asker).await {
                Joined::Carried(carried) => return Some(carried),
                Joined::Lost => return None,
                Joined::Alone => {}
            }
        }
        let way = self.alone.as_ref().filter(|way| takes(way))?;
        // Relays read it, and no faster than it is handed to them.
        if let Some(throttle) = throttle {
            throttle.wait(part.size).await;
        }
        let asked = PartAsked {
            part,
            uploads: vec![PartAt {
                target: 0,
                name: &part.key,
                upload,
            }],
        };
        let mut done = None;
        let each = |_, answer| done = answer;
        way.part_each(&asked, self.patience, each).await;
        Some(Carried {
            done: done?,
            egress_per_gb: way.plan.prices.usd_per_gb(DestinationSet::one(0)),
            reads: true,
        })
    }
}
