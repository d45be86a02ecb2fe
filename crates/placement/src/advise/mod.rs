//! Where groups of objects should be, from where they are: what that saves, what moving costs, and when it has paid for itself.
//!
//! **In:** a scenario, groups of objects with their workloads ([`crate::logs`]), the stores that hold all of them today. **Out:** for each
//! group the cheapest stores, what today's and those cost a month, what the copies to new stores cost once ([`Advised`]); sums of
//! all, by item and by region ([`Sums`]). **Never:** advice to move for nothing: a placement that costs the same as today's is today's.
//!
//! A new store is filled from the one of today's stores from which that is cheapest: per GB the way out of the one and into the other, per
//! object one read and one write. Fees for deleting early are not in price tables, and not in here.

mod sums;

pub use sums::{ItemSum, RegionSum, Sums};

use crate::exact::{Cost, Wide};
use crate::logs::Group;
use crate::model::Scenario;
use crate::solve::{Limits, cost_of, solve};
use crate::workload::Fault;
use skyfresh_sky::Invalid;

/// A thread is worth starting for this many groups.
const GROUPS_PER_THREAD: usize = 64;

/// Where everything is today.
#[derive(Clone, Debug)]
pub struct Today<'a> {
    scenario: &'a Scenario,
    /// The same, without a limit of latency: today's stores may be too slow.
    unlimited: Scenario,
    stores: Vec<u32>,
    /// Whether they keep to the requirements, but for latency.
    meets: bool,
}

/// A copy that is to be made once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// The store of today's that it is made from.
    pub from: u32,
    /// The new store.
    pub to: u32,
}

/// What is best for one group.
#[derive(Clone, Debug)]
pub struct Advised {
    /// What today's stores cost a month.
    pub today: Cost,
    /// What the best ones cost a month.
    pub best: Cost,
    /// These, ascending: today's where nothing is better.
    pub stores: Vec<u32>,
    /// (cost − proven lower bound) / cost of the best: 0 unless a limit stopped the search.
    pub gap: f64,
    /// Copies to be made.
    pub moves: Vec<Move>,
    /// What they cost, once.
    pub moving: Cost,
}

impl Advised {
    /// What is saved in a month; negative where requirements make it dearer.
    pub fn saving(&self) -> Saving {
        Saving::between(&self.today, &self.best)
    }

    /// Months until what was saved is what moving cost: 0 where moving costs nothing, `None` where nothing is saved.
    pub fn payback_months(&self) -> Option<f64> {
        self.saving().payback_months(&self.moving)
    }
}

/// A difference between two costs.
#[derive(Clone, Copy, Debug)]
pub struct Saving {
    /// Whether it is below 0.
    pub negative: bool,
    /// Without its sign.
    pub amount: Cost,
}

impl Saving {
    /// `today − best`, which are over one denominator.
    pub fn between(today: &Cost, best: &Cost) -> Saving {
        let negative = today.numerator < best.numerator;
        let (more, less) = match negative {
            true => (best, today),
            false => (today, best),
        };
        Saving {
            negative,
            amount: Cost {
                numerator: more.numerator.minus(less.numerator),
                denominator: today.denominator,
            },
        }
    }

    /// In dollars, to within 1e-15 relative.
    pub fn usd(&self) -> f64 {
        match self.negative {
            true => -self.amount.usd(),
            false => self.amount.usd(),
        }
    }

    /// Months until it is what moving cost; `None` where nothing is saved.
    pub fn payback_months(&self, moving: &Cost) -> Option<f64> {
        let usd = self.usd();
        (usd > 0.0).then(|| moving.usd() / usd)
    }
}

impl std::fmt::Display for Saving {
    /// Dollars in decimal, as [`Cost`] has them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.negative {
            f.write_str("-")?;
        }
        self.amount.fmt(f)
    }
}

/// Stores by what a GB and an object cost to be copied to one of them.
struct Ways {
    /// By store: from which of today's; 1e-10 $ a GB, and an object.
    ways: Vec<(u32, i64, i64)>,
}

impl<'a> Today<'a> {
    /// All groups are in these stores of `scenario`, by name.
    ///
    /// # Errors
    /// None are named, or one that the scenario has not.
    pub fn new(scenario: &'a Scenario, names: &[String]) -> Result<Self, Invalid> {
        let mut stores = Vec::with_capacity(names.len());
        for name in names {
            let found = scenario.stores.iter().position(|store| store.name == *name);
            let found = found.ok_or_else(|| {
                let why = format!(
                    "not among the {} stores chosen; names are provider-region-service-tier, e.g. {}",
                    scenario.stores.len(),
                    scenario.stores[0].name
                );
                Invalid::new("store", name, why)
            })?;
            stores.push(found as u32);
        }
        stores.sort_unstable();
        stores.dedup();
        if stores.is_empty() {
            return Err(Invalid::new("stores of today", "", "name one at least"));
        }
        let (least, most) = scenario.replicas;
        let meets = (least..=most).contains(&stores.len())
            && scenario.missing(&stores) == 0
            && stores
                .iter()
                .all(|store| scenario.stores[*store as usize].allowed);
        let mut unlimited = scenario.clone();
        unlimited.admissible.clear();
        Ok(Today {
            scenario,
            unlimited,
            stores,
            meets,
        })
    }

    /// Today's stores, ascending.
    pub fn stores(&self) -> &[u32] {
        &self.stores
    }

    /// What is best for each group, in their order, on up to `threads` threads.
    pub fn advise(
        &self,
        groups: &[Group],
        limits: Limits,
        threads: usize,
    ) -> Vec<Result<Advised, Fault>> {
        let ways = self.ways();
        let work = |groups: &[Group]| -> Vec<Result<Advised, Fault>> {
            let one = |group| self.one(group, limits, &ways);
            groups.iter().map(one).collect()
        };
        let threads = threads.min(groups.len().div_ceil(GROUPS_PER_THREAD)).max(1);
        if threads == 1 {
            return work(groups);
        }
        std::thread::scope(|scope| {
            let running: Vec<_> = groups
                .chunks(groups.len().div_ceil(threads))
                .map(|groups| scope.spawn(move || work(groups)))
                .collect();
            running
                .into_iter()
                .flat_map(|thread| match thread.join() {
                    Ok(advised) => advised,
                    Err(panic) => std::panic::resume_unwind(panic),
                })
                .collect()
        })
    }

    /// Advice to leave a group where it is.
    pub fn stay(&self, advised: &Advised) -> Advised {
        Advised {
            best: advised.today,
            stores: self.stores.clone(),
            gap: 0.0,
            moves: Vec::new(),
            moving: Cost {
                numerator: Wide::ZERO,
                denominator: advised.today.denominator,
            },
            today: advised.today,
        }
    }

    /// Whether today's stores keep to the requirements, for a group: then it may stay where it is.
    pub fn may_stay(&self, group: &Group) -> bool {
        self.meets && cost_of(self.scenario, &group.workload, &self.stores).is_some()
    }

    fn one(&self, group: &Group, limits: Limits, ways: &Ways) -> Result<Advised, Fault> {
        let workload = &group.workload;
        let (today, _) = cost_of(&self.unlimited, workload, &self.stores)
            .ok_or_else(|| Fault::Invalid("today's stores have no price for a region".into()))?;
        let found = solve(self.scenario, workload, limits)
            .map_err(|infeasible| Fault::Infeasible(infeasible.describe(self.scenario)))?;
        let no_better = found.cost.numerator >= today.numerator && self.may_stay(group);
        let (stores, best) = match no_better {
            true => (self.stores.clone(), today),
            false => (found.stores, found.cost),
        };
        let mut moving = Wide::ZERO;
        let mut moves = Vec::new();
        for to in stores.iter().filter(|to| !self.stores.contains(to)) {
            let (from, gb, object) = ways.ways[*to as usize];
            // Over the workload's denominator, a multiple of the bytes' 10⁹.
            let objects = u128::from(group.objects).saturating_mul(workload.denominator);
            moving = moving
                .plus(Wide::product(workload.size, gb))
                .plus(Wide::product(objects, object));
            moves.push(Move { from, to: *to });
        }
        Ok(Advised {
            today,
            best,
            stores,
            gap: if no_better { 0.0 } else { found.gap },
            moves,
            moving: Cost {
                numerator: moving,
                denominator: workload.denominator,
            },
        })
    }

    /// From where each store is filled, by the price of a GB.
    fn ways(&self) -> Ways {
        let scenario = self.scenario;
        let way = |to: usize| {
            let home = scenario.stores[to].region * scenario.stride;
            let priced = |from: &u32| {
                let from = *from as usize;
                // The way out of the one is the way between the regions too; into the other from its own region is free of it.
                let gb = scenario.egress[home + from] + scenario.ingress[home + to];
                (gb, scenario.stores[from].get + scenario.stores[to].put)
            };
            let cheapest = self.stores.iter().min_by_key(|from| (priced(from), **from));
            cheapest.map_or((0, 0, 0), |from| {
                let (gb, object) = priced(from);
                (*from, gb, object)
            })
        };
        Ways {
            ways: (0..scenario.stores.len()).map(way).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
