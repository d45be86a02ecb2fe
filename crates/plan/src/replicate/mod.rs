//! The cheapest way for a change to reach its destination in time.
//!
//! In: an [`Ask`]: what must be copied from where to where, how much of its SLO is left, what may be used. Out: a [`Choice`]:
//! every candidate with its predicted delay and its price, which one won, and why. Never: a plan that breaks a limit of the
//! destination or a quota; a word like "fits" that the prediction does not bear out.
//!
//! The cheapest candidate is chosen whose probability to be in time, of what is left of the SLO, is at least the SLO's
//! percentile, or a faster one that is hardly dearer ([`Ask::premium`]); where there is none, the one that is most likely in time, and the choice says so (λReplica, slides, "The Brain":
//! "cheapest region and concurrency whose p99 ≤ SLO"). A copy that the destination's store makes by itself goes before faster
//! ones within that premium: what it spares of a process's network and memory has no price here.

mod budget;
mod candidates;
mod cost;
mod fan_out;
mod hold;
mod learnt;
mod network;
mod planner;
mod queue;
mod urgency;

pub use budget::{Budget, OnCap, Period, Spending};
pub use candidates::{Way, shapes};
pub use cost::{Cost, price};
pub use fan_out::{FanOut, Leaf, fan_out};
pub use hold::{Hold, hold};
pub use learnt::Learnt;
pub use network::{Network, Stream};
pub use planner::{Planner, Settings};
pub use queue::{Queue, Ticket};
pub use urgency::{Pending, in_order};

use crate::predict::Site;
use serde::{Deserialize, Serialize};
use skyfresh_sky::{Provider, Region, Slo, Usd};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a destination takes. The same figures as the store's capability record has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartLimits {
    /// Fewest bytes of a part but the last.
    pub min_part_bytes: u64,
    /// Most bytes of a part.
    pub max_part_bytes: u64,
    /// Most parts.
    pub max_parts: u64,
    /// Most bytes in a single PUT.
    pub max_put_bytes: u64,
}

impl PartLimits {
    /// S3's (5 MiB to 5 GiB, 10,000 parts, 5 GiB in one PUT), which Google Cloud Storage's multipart API shares.
    pub const S3: PartLimits = PartLimits {
        min_part_bytes: 5 << 20,
        max_part_bytes: 5 << 30,
        max_parts: 10_000,
        max_put_bytes: 5 << 30,
    };
}

/// How a store takes an object from another store by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreCopy {
    /// In one request.
    Whole,
    /// Into so many parts of an upload: more than one request copies.
    Parts(u64),
}

impl StoreCopy {
    /// What one request copies between buckets, in bytes: several at once are faster than one for more, and it must end before it
    /// is given up.
    pub const MOST_BYTES: u64 = 1 << 30;

    /// As a store of this provider does it. Google copies whole objects only, of any size.
    pub fn usual(size_bytes: u64, provider: Provider) -> Self {
        match provider {
            Provider::Gcp => StoreCopy::Whole,
            _ if size_bytes <= Self::MOST_BYTES => StoreCopy::Whole,
            _ => StoreCopy::Parts(size_bytes.div_ceil(Self::MOST_BYTES)),
        }
    }
}

/// The premium where nobody says otherwise.
pub const PREMIUM: f64 = 0.01;

/// What is asked of the planner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ask {
    /// Where the object is.
    pub source: Region,
    /// Where it must be.
    pub destination: Region,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// How fresh, and for which share of changes.
    pub slo: Slo,
    /// How much of the SLO's delay has passed since the change.
    pub elapsed: Duration,
    /// Where workers may run.
    pub sites: Vec<Site>,
    /// Other regions that hold this version already, verified: it may be read from there.
    pub fresh: Vec<Region>,
    /// How the destination's store can take the object from the source's store by itself; `None` where it cannot.
    pub server_copy: Option<StoreCopy>,
    /// Bytes of it that the destination holds already, in unchanged parts that it can take over by itself.
    pub unchanged_bytes: u64,
    /// What the destination takes.
    pub limits: PartLimits,
    /// How often the object changes, in changes a second, where the source does not keep what was overwritten: a change while it
    /// is read makes the copy begin again ([`Rounds`](crate::predict::Rounds)). 0 where it keeps it, or hardly changes.
    #[serde(default)]
    pub changes_per_s: f64,
    /// Functions under way at each site, over everything.
    pub in_flight: BTreeMap<Site, u64>,
    /// Most workers on one object in a process that decides for itself ([`Host::Process`](crate::predict::Host::Process)):
    /// they share its memory.
    pub process_workers: u32,
    /// Whether a function may carry an object in one piece; otherwise only the process does.
    pub inline_on_functions: bool,
    /// By which share a plan may be dearer than the cheapest in time, if it is faster: most of a price is egress, which all
    /// plans pay, so that a tenth of the delay is often to be had for a permille of the dollars.
    pub premium: f64,
    /// Whether dollars go before the SLO: the budget is spent, and the rule says to go on cheaply.
    pub cheapest: bool,
}

impl Ask {
    /// A copy by workers in the source's or the destination's region, with nothing under way.
    pub fn new(source: Region, destination: Region, size_bytes: u64, slo: Slo) -> Self {
        let mut regions = vec![source.clone(), destination.clone()];
        regions.dedup();
        Ask {
            sites: regions.into_iter().filter_map(Site::functions).collect(),
            source,
            destination,
            size_bytes,
            slo,
            elapsed: Duration::ZERO,
            fresh: Vec::new(),
            server_copy: None,
            unchanged_bytes: 0,
            changes_per_s: 0.0,
            limits: PartLimits::S3,
            in_flight: BTreeMap::new(),
            process_workers: u32::MAX,
            inline_on_functions: true,
            premium: PREMIUM,
            cheapest: false,
        }
    }

    /// What is left of the SLO's delay, in seconds.
    pub fn left_s(&self) -> f64 {
        self.slo.delay.saturating_sub(self.elapsed).as_secs_f64()
    }

    /// Bytes that move by this way. Only an upload of parts can take over unchanged ones.
    pub fn moved_bytes(&self, way: &Way) -> u64 {
        match way {
            Way::Workers { shape, .. } if shape.is_parts() => {
                self.size_bytes.saturating_sub(self.unchanged_bytes)
            }
            _ => self.size_bytes,
        }
    }

    /// The share of changes that must be in time, 0 to 1.
    pub fn share(&self) -> f64 {
        self.slo.percentile / 100.0
    }
}

/// A way that could be taken, what is expected of it, and what it costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The way.
    pub way: Way,
    /// Half of such transfers take no longer, in seconds.
    pub p50_s: f64,
    /// As many as the SLO's percentile says take no longer, in seconds.
    pub at_slo_s: f64,
    /// Rounds that it takes, in the mean: more than 1 where the object changes while it is read ([`Ask::changes_per_s`]).
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub rounds: f64,
    /// By which share of itself that may be off, since the model was drawn and not computed.
    pub error: f64,
    /// One of its links was never measured: its delays stand on the catalogue's estimates.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
    /// The probability that it takes no longer than what is left of the SLO.
    pub in_time: f64,
    /// What it costs; rounds that are lost come on top of it.
    pub cost: Cost,
    /// Why it may not be taken, where a quota or a limit says so.
    pub refused: Option<String>,
}

fn one() -> f64 {
    1.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_one(rounds: &f64) -> bool {
    *rounds == 1.0
}

/// What a choice is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The cheapest that is in time often enough, or a faster one within the premium.
    InTime,
    /// None is in time often enough: this is the likeliest.
    Late,
    /// The budget is spent: this is the cheapest, in time or not.
    Cheapest,
    /// Nothing may be done now: every candidate is refused.
    Nothing,
}

/// The planner's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// Every candidate, the cheapest first.
    pub candidates: Vec<Candidate>,
    /// The one that won, an index of `candidates`.
    pub chosen: Option<usize>,
    /// What it is worth.
    pub verdict: Verdict,
    /// Why it won, in words.
    pub why: String,
}

impl Choice {
    /// The candidate that won.
    pub fn winner(&self) -> Option<&Candidate> {
        self.chosen.and_then(|index| self.candidates.get(index))
    }

    /// Its price.
    pub fn price(&self) -> Option<Usd> {
        self.winner().map(|winner| winner.cost.total())
    }
}

#[cfg(test)]
mod fan_out_tests;
#[cfg(test)]
mod hold_tests;
#[cfg(test)]
mod learnt_tests;
#[cfg(test)]
mod store_copy_tests;
#[cfg(test)]
mod tests;
