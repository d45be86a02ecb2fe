//! The best set so far, and whether another costs the same.

use super::instance::Instance;
use super::{Infeasible, Placement, cost_of};
use crate::exact::Wide;
use crate::model::Scenario;
use crate::workload::Workload;
use std::cmp::Ordering;

/// Sets that only exact arithmetic tells apart from the best are compared with it up to this many times; beyond it the answer is
/// the best of those compared, with a gap of some 1e-13 rather than 0.
const MAX_EXACT: u32 = 200_000;

pub(super) struct Best<'a> {
    scenario: &'a Scenario,
    workload: &'a Workload,
    /// No set of a rounded cost above this is as good as the best.
    pub(super) upper: f64,
    slack: f64,
    stores: Vec<u32>,
    /// The rounded cost of `stores`.
    rounded: f64,
    /// The exact one, where rounded costs do not decide.
    exact: Option<Wide>,
    /// Another set costs the same.
    pub(super) tied: bool,
    compared: u32,
    /// Stores in which a copy costs nothing: the best set with one of them costs the same.
    free: Vec<u32>,
}

impl<'a> Best<'a> {
    pub(super) fn new(scenario: &'a Scenario, workload: &'a Workload, instance: &Instance) -> Self {
        Best {
            scenario,
            workload,
            upper: instance.forbidden - 1.0,
            slack: instance.slack,
            stores: Vec::new(),
            rounded: f64::INFINITY,
            exact: None,
            tied: false,
            compared: 0,
            free: instance.free.clone(),
        }
    }

    /// Whether nothing can be told from rounded costs any more than that a set is about as good.
    pub(super) fn is_exhausted(&self) -> bool {
        self.compared > MAX_EXACT
    }

    /// How many stores a set lacks to meet the requirements.
    pub(super) fn missing(&self, stores: impl Iterator<Item = u32>) -> usize {
        if self.scenario.groups.is_trivial() {
            return 0;
        }
        self.scenario.missing(&stores.collect::<Vec<u32>>())
    }

    /// Whether every set that costs at least `bound` is dearer than the best, or as dear and after it in the order, where
    /// `fewest` is the first in the order of these sets. Only where that another set costs the same is known already; after
    /// [`MAX_EXACT`] comparisons, whether it is about as dear.
    pub(super) fn is_after(&self, bound: f64, fewest: impl FnOnce() -> Vec<u32>) -> bool {
        if self.is_exhausted() {
            return bound >= self.rounded - self.slack;
        }
        if !self.tied || self.slack > 0.0 || bound < self.upper {
            return false;
        }
        let first = fewest();
        (first.len(), &first) >= (self.stores.len(), &self.stores)
    }

    /// Considers a set of the rounded cost `rounded` that meets all requirements but that of latency.
    pub(super) fn offer(&mut self, rounded: f64, stores: impl Iterator<Item = u32>) {
        if rounded > self.upper {
            return;
        }
        let mut stores: Vec<u32> = stores.collect();
        stores.sort_unstable();
        if stores == self.stores {
            return;
        }
        let (order, exact) = self.compare(rounded, &stores);
        match order {
            Ordering::Greater => return,
            Ordering::Equal => {
                self.tied = true;
                if (self.stores.len(), &self.stores) < (stores.len(), &stores) {
                    return;
                }
            }
            Ordering::Less => self.tied = false,
        }
        self.stores = stores;
        self.rounded = rounded;
        self.exact = exact;
        self.upper = self.upper.min(rounded + self.slack);
    }

    fn compare(&mut self, rounded: f64, stores: &[u32]) -> (Ordering, Option<Wide>) {
        if self.slack == 0.0 {
            return (rounded.total_cmp(&self.rounded), None);
        }
        if self.rounded.is_infinite() || rounded + self.slack < self.rounded {
            return (Ordering::Less, None);
        }
        self.compared = self.compared.saturating_add(1);
        if self.compared > MAX_EXACT {
            return (Ordering::Greater, None);
        }
        let exact = |stores: &[u32]| {
            cost_of(self.scenario, self.workload, stores).map(|(cost, _)| cost.numerator)
        };
        if self.exact.is_none() {
            self.exact = exact(&self.stores);
        }
        let mine = exact(stores);
        match (mine, self.exact) {
            (Some(mine), Some(best)) => (mine.cmp(&best), Some(mine)),
            (None, _) => (Ordering::Greater, None),
            (Some(_), None) => (Ordering::Less, mine),
        }
    }

    /// The answer, where every set costs at least `lower` in rounded costs or was looked at.
    pub(super) fn placement(self, lower: f64, nodes: u64) -> Result<Placement, Infeasible> {
        let found = cost_of(self.scenario, self.workload, &self.stores);
        let Some((cost, reads)) = found.filter(|_| !self.stores.is_empty()) else {
            return Err(Infeasible::Replicas);
        };
        let may_grow = self.stores.len() < self.scenario.replicas.1
            && self.free.iter().any(|store| !self.stores.contains(store));
        let lower = if self.is_exhausted() {
            lower.min(self.rounded - self.slack)
        } else {
            lower
        };
        let upper = self.rounded + self.slack;
        let gap = if lower < upper {
            ((upper - lower.max(0.0)) / upper).min(1.0)
        } else {
            0.0
        };
        Ok(Placement {
            stores: self.stores,
            reads,
            cost,
            unique: !self.tied && !may_grow && lower == f64::INFINITY,
            gap,
            nodes,
        })
    }
}
