//! Every set of stores, one by one: the reference that tests compare with.

use super::{Infeasible, Placement, cost_of};
use crate::model::Scenario;
use crate::workload::Workload;

/// As [`super::solve`], by trying all sets of the sizes allowed, with none but exact arithmetic: for small scenarios.
pub fn brute_force(scenario: &Scenario, workload: &Workload) -> Result<Placement, Infeasible> {
    if let Some(region) = super::cut_off(scenario, workload) {
        return Err(Infeasible::Region(region));
    }
    let mut best: Option<Placement> = None;
    let mut nodes = 0;
    let mut chosen: Vec<u32> = Vec::new();
    let count = scenario.stores.len() as u32;
    let (min, max) = scenario.replicas;
    let mut next = 0;
    loop {
        // Depth first in lexicographic order: go deeper, or on, or back.
        if next < count && chosen.len() < max {
            if !scenario.stores[next as usize].allowed {
                next += 1;
                continue;
            }
            chosen.push(next);
            next += 1;
        } else if let Some(last) = chosen.pop() {
            next = last + 1;
            continue;
        } else {
            break;
        }
        nodes += 1;
        if chosen.len() < min || scenario.missing(&chosen) > 0 {
            continue;
        }
        let Some((cost, reads)) = cost_of(scenario, workload, &chosen) else {
            continue;
        };
        let order = best
            .as_ref()
            .map(|best| cost.numerator.cmp(&best.cost.numerator));
        let first = best
            .as_ref()
            .is_some_and(|best| (chosen.len(), &chosen) < (best.stores.len(), &best.stores));
        match order {
            Some(std::cmp::Ordering::Greater) => continue,
            Some(std::cmp::Ordering::Equal) if !first => {
                best.iter_mut().for_each(|best| best.unique = false);
                continue;
            }
            _ => {}
        }
        best = Some(Placement {
            stores: chosen.clone(),
            reads,
            cost,
            unique: order != Some(std::cmp::Ordering::Equal),
            gap: 0.0,
            nodes,
        });
    }
    best.map(|best| Placement { nodes, ..best })
        .ok_or(Infeasible::Replicas)
}
