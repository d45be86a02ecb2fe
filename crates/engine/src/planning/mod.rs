//! **planning**: asks the planner for the way of each change, and tells it what came of it.
//!
//! In: what a change needs (size, what is left of its SLO, what its destination takes), receipts, how often keys change.
//! Out: a way with its prediction; how long a change may wait for the next one of its key. Never: IO; a way that the
//! destination, the process or the platform cannot take.
//!
//! `course` is the question's answer for one object, `ask` puts the question together, `relay` finds destinations to read from,
//! `relayed` relays that stand by, `rates` knows hot keys, `hold` decides whether to wait for the next change, `account` keeps what a rule has spent of its budget,
//! `memory` what receipts have taught.

pub(crate) mod account;
mod ask;
pub(crate) mod course;
pub(crate) mod hold;
pub(crate) mod memory;
pub(crate) mod rates;
pub(crate) mod relay;
pub(crate) mod relayed;

pub use account::BudgetStatus;
pub(crate) use ask::{Fresh, Wanted};

use crate::decide::{Strategy, Via};
use skyfresh_ledger::Expected;
use skyfresh_plan::predict::{Shape, Site};
use skyfresh_plan::replicate::{Ask, Candidate, Choice, Hold, Planner, Spending, Verdict, Way};
use skyfresh_sky::catalog::Catalog;
use skyfresh_sky::{Invalid, Provider, Region};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How the engine plans by itself.
#[derive(Debug)]
pub struct Planning {
    /// Predicts, prices and compares.
    pub planner: Planner,
    /// Where this process runs. [`Region::local`]: as near to every store as can be.
    pub home: Region,
    /// Most workers on one object in this process.
    pub process_workers: u32,
    /// Where the executor can run workers on functions.
    pub functions: Vec<WorkerPlace>,
}

/// A place, as a rule sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerPlace {
    /// The source's region.
    Source,
    /// The destination's region.
    Destination,
    /// A region of its own.
    Region(Region),
}

impl WorkerPlace {
    fn region<'a>(&'a self, source: &'a Region, target: &'a Region) -> &'a Region {
        match self {
            WorkerPlace::Source => source,
            WorkerPlace::Destination => target,
            WorkerPlace::Region(region) => region,
        }
    }
}

impl std::str::FromStr for WorkerPlace {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "source" => Ok(WorkerPlace::Source),
            "destination" => Ok(WorkerPlace::Destination),
            region => region.parse().map(WorkerPlace::Region),
        }
    }
}

/// The planner, and what is under way.
#[derive(Debug)]
pub(crate) struct Brain {
    planner: Mutex<Planner>,
    home: Region,
    process_workers: u32,
    functions: Vec<WorkerPlace>,
    in_flight: Arc<Mutex<BTreeMap<Site, u64>>>,
}

/// A way, chosen.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) strategy: Strategy,
    pub(crate) site: Site,
    pub(crate) via: Option<Via>,
    pub(crate) expected: Expected,
    /// The destination's store is to take it by itself; site and strategy are for where that fails.
    pub(crate) by_store: bool,
    pub(crate) lesson: Lesson,
}

/// What is needed to learn from how long it took.
#[derive(Clone, Debug)]
pub(crate) struct Lesson {
    ask: Ask,
    way: Way,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoPlan {
    /// It fits no way at all.
    Impossible(String),
    /// Not now: quotas are used up.
    Later(String),
    /// The rule's budget is spent, and the rule says to wait.
    Paused,
}

impl Brain {
    pub(crate) fn new(planning: Planning) -> Self {
        let Planning {
            planner,
            home,
            process_workers,
            functions,
        } = planning;
        Brain {
            planner: Mutex::new(planner),
            home,
            process_workers: process_workers.max(1),
            functions,
            in_flight: Arc::default(),
        }
    }

    /// Where this process runs.
    pub(crate) fn home(&self) -> &Region {
        &self.home
    }

    fn planner(&self) -> MutexGuard<'_, Planner> {
        self.planner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, wanted: &Wanted<'_>) -> Ask {
        let in_flight = self
            .in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        ask::ask(wanted, self, &in_flight)
    }

    /// Least dollars a GB from one region to another, through wherever workers may run; `None` where a price is not known.
    pub(crate) fn egress_usd_per_gb(
        &self,
        catalog: &Catalog,
        from: &Region,
        wanted: (&Region, &Region),
    ) -> Option<f64> {
        let (source, target) = wanted;
        let leg = |from: &Region, to: &Region| Some(catalog.egress_usd_per_gb(from, to)?.usd());
        let through = |region: &Region| match region.provider {
            Provider::Local => leg(from, target),
            _ => Some(leg(from, region)? + leg(region, target)?),
        };
        let functions = self
            .functions
            .iter()
            .map(|place| place.region(source, target));
        std::iter::once(&self.home)
            .chain(functions)
            .filter_map(through)
            .min_by(f64::total_cmp)
    }

    /// Chooses a way. `spending` says what the budget allows, given the price of the cheapest way.
    pub(crate) fn plan(
        &self,
        wanted: &Wanted<'_>,
        spending: impl Fn(skyfresh_sky::Usd) -> Spending,
    ) -> Result<Planned, NoPlan> {
        let mut ask = self.ask(wanted);
        let unlisted = |error: Invalid| NoPlan::Impossible(error.to_string());
        let mut choice = self.planner().choose(&ask).map_err(unlisted)?;
        let least = choice
            .candidates
            .iter()
            .find(|candidate| candidate.refused.is_none())
            .map(|candidate| candidate.cost.total());
        match least.map(spending) {
            Some(Spending::Paused) => return Err(NoPlan::Paused),
            Some(Spending::Degraded) => {
                ask.cheapest = true;
                choice = self.planner().choose(&ask).map_err(unlisted)?;
            }
            _ => {}
        }
        let nothing = |choice: &Choice| match choice.verdict {
            Verdict::Nothing if !choice.candidates.is_empty() => NoPlan::Later(choice.why.clone()),
            _ => NoPlan::Impossible(choice.why.clone()),
        };
        let winner = choice.winner().ok_or_else(|| nothing(&choice))?;
        let by_store = winner.way == Way::ServerCopy;
        // A store's own copy may fail, or turn out not to be provable: then workers go the best of their ways.
        let without;
        let workers = match by_store {
            false => winner,
            true => {
                let server_copy = None;
                let ask = Ask {
                    server_copy,
                    ..ask.clone()
                };
                without = self.planner().choose(&ask).map_err(unlisted)?;
                without.winner().ok_or_else(|| nothing(&without))?
            }
        };
        let Way::Workers { site, shape, via } = &workers.way else {
            return Err(NoPlan::Impossible("no workers were offered".into()));
        };
        let via = via.as_ref().and_then(|region| {
            let fresh = wanted.fresh.iter().find(|fresh| fresh.region == *region);
            fresh.map(|fresh| fresh.via.clone())
        });
        Ok(Planned {
            strategy: strategy(*shape, ask.size_bytes),
            site: site.clone(),
            via,
            expected: expected(&ask, winner, &choice),
            by_store,
            lesson: Lesson {
                way: winner.way.clone(),
                ask,
            },
        })
    }

    /// How long a change may wait for the next one of its key, which changes so often.
    pub(crate) fn hold(
        &self,
        wanted: &Wanted<'_>,
        changes_per_s: f64,
        cheapest: bool,
    ) -> Option<Hold> {
        let mut ask = self.ask(wanted);
        ask.cheapest = cheapest;
        let mut planner = self.planner();
        let choice = planner.choose(&ask).ok()?;
        // Where it would be late anyway, waiting only makes it later.
        let winner = choice
            .winner()
            .filter(|_| choice.verdict != Verdict::Late)?;
        planner.hold(&ask, winner, changes_per_s).ok()
    }

    /// Learns what a transfer took, from looking at both stores until it was readable.
    pub(crate) fn learn(&self, lesson: &Lesson, took: Duration) {
        let took_s = took.as_secs_f64();
        if let Err(error) = self.planner().learn(&lesson.ask, &lesson.way, took_s) {
            tracing::debug!(%error, "nothing learnt");
        }
    }

    /// Counts workers at a site as under way until the guard is dropped.
    pub(crate) fn busy(&self, site: &Site, workers: u32) -> Busy {
        let workers = u64::from(workers);
        let mut in_flight = self
            .in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *in_flight.entry(site.clone()).or_default() += workers;
        Busy {
            in_flight: Arc::clone(&self.in_flight),
            site: site.clone(),
            workers,
        }
    }
}

/// Workers under way.
#[derive(Debug)]
pub(crate) struct Busy {
    in_flight: Arc<Mutex<BTreeMap<Site, u64>>>,
    site: Site,
    workers: u64,
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut in_flight = self
            .in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(under_way) = in_flight.get_mut(&self.site) {
            *under_way = under_way.saturating_sub(self.workers);
        }
    }
}

fn strategy(shape: Shape, size_bytes: u64) -> Strategy {
    match shape {
        Shape::Inline => Strategy::Inline,
        Shape::Parts {
            workers,
            part_bytes,
        } => {
            // The planner keeps to the destination's greatest number of parts, which is one of 32 bits.
            let parts = u32::try_from(shape.parts(size_bytes)).unwrap_or(u32::MAX);
            Strategy::Multipart {
                part_bytes,
                parts,
                workers: workers.min(parts),
            }
        }
    }
}

fn expected(ask: &Ask, winner: &Candidate, choice: &Choice) -> Expected {
    let ms = |s: f64| (s * 1_000.0).round().clamp(0.0, 1e15) as u64;
    Expected {
        way: winner.way.to_string(),
        why: choice.why.clone(),
        candidates: u32::try_from(choice.candidates.len()).unwrap_or(u32::MAX),
        p50_ms: ms(winner.p50_s),
        at_slo_ms: ms(winner.at_slo_s),
        left_ms: ms(ask.left_s()),
        // Never rounded up to a certainty.
        in_time_permille: (winner.in_time * 1_000.0).floor().clamp(0.0, 1_000.0) as u16,
        price: winner.cost.total(),
        took_ms: None,
    }
}

#[cfg(test)]
mod tests;
