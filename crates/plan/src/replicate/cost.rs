//! What a way costs: egress, requests, functions, shared state.

use super::{Ask, StoreCopy, Way};
use serde::{Deserialize, Serialize};
use skyfresh_sky::catalog::{Catalog, StateService, request_prices};
use skyfresh_sky::{Provider, Region, Usd};
use std::time::Duration;

/// Dollars by what they are paid for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Bytes that leave a region.
    pub egress: Usd,
    /// Requests to object stores.
    pub requests: Usd,
    /// Functions.
    pub functions: Usd,
    /// The ledger's service.
    pub state: Usd,
    /// The catalogue has no price of one of the links: `egress` lacks it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unpriced: bool,
}

impl Cost {
    /// All of it.
    pub fn total(&self) -> Usd {
        self.egress + self.requests + self.functions + self.state
    }
}

/// Write units that the ledger takes for one change that is copied by one PUT: measured, with a shared ledger (test
/// `shared_cost` of `crates/ledger`).
const SMALL_OBJECT_UNITS: f64 = 5.0;
/// Write units that a pool of parts takes beside: measured 7, 13, 109 and 1,070 for 4, 10, 100 and 1,000 parts (the same test).
const POOL_UNITS: f64 = 3.0;
pub(super) const POOL_UNITS_A_PART: f64 = 1.07;

/// Prices a way. `busy_s` is what all its workers run, together.
pub fn price(
    catalog: &Catalog,
    state: Option<&StateService>,
    ask: &Ask,
    way: &Way,
    busy_s: f64,
) -> Cost {
    let moved_bytes = ask.moved_bytes(way);
    let mut cost = Cost::default();
    let mut leave = |from: &Region, to: &Region| match catalog.egress_usd_per_gb(from, to) {
        Some(usd_per_gb) => cost.egress += usd_per_gb.per_gb(moved_bytes),
        None => cost.unpriced = true,
    };
    let (from, parts) = match way {
        Way::ServerCopy => {
            leave(&ask.source, &ask.destination);
            let parts = match ask.server_copy {
                Some(StoreCopy::Parts(parts)) => parts,
                _ => 1,
            };
            (&ask.source, parts)
        }
        Way::Workers { site, shape, via } => {
            let from = via.as_ref().unwrap_or(&ask.source);
            // Nobody said where that is: what is sure is what leaves the one store for the other.
            if site.region.provider == Provider::Local {
                leave(from, &ask.destination);
            } else {
                leave(from, &site.region);
                leave(&site.region, &ask.destination);
            }
            (from, shape.parts(moved_bytes))
        }
    };
    let in_parts = match way {
        Way::Workers { shape, .. } => shape.is_parts(),
        Way::ServerCopy => matches!(ask.server_copy, Some(StoreCopy::Parts(_))),
    };
    // Both heads; a GET and a write a part; an upload is created and completed; an unchanged part is a copy of its own. What a
    // store reads for a copy of its own is in the price of the copy, but for Azure, which charges the source a read.
    let by_store = *way == Way::ServerCopy && from.provider != Provider::Azure;
    let reads = 1 + if by_store { 0 } else { parts };
    let unchanged_parts = match way {
        Way::Workers { shape, .. } if shape.is_parts() && ask.unchanged_bytes > 0 => {
            shape.parts(ask.unchanged_bytes)
        }
        _ => 0,
    };
    let writes = parts + unchanged_parts + if in_parts { 2 } else { 0 };
    let (source, target) = (
        request_prices(from.provider),
        request_prices(ask.destination.provider),
    );
    cost.requests = source.read.times(reads) + target.read + target.write.times(writes);
    if let Way::Workers { site, shape, .. } = way
        && let Some((platform, memory_mb)) = site.billed()
    {
        let workers = u64::from(shape.workers());
        let each = Duration::try_from_secs_f64(busy_s / workers as f64).unwrap_or(Duration::MAX);
        cost.functions = platform.price(memory_mb, each, workers);
    }
    if let Some(state) = state {
        let pool = if in_parts && *way != Way::ServerCopy {
            POOL_UNITS + POOL_UNITS_A_PART * parts as f64
        } else {
            0.0
        };
        cost.state = state.price((SMALL_OBJECT_UNITS + pool).round() as u64, 0);
    }
    cost
}
