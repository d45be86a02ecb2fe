//! What a set of stores costs, exactly, and which region reads from which of them.

use crate::exact::{Cost, Wide};
use crate::model::Scenario;
use crate::workload::Workload;

/// What storing in one store costs: a month's storage, puts, and GB written.
pub(super) fn keeping(scenario: &Scenario, workload: &Workload, store: u32) -> Wide {
    let prices = &scenario.stores[store as usize];
    let base =
        Wide::product(workload.size, prices.storage).plus(Wide::product(workload.puts, prices.put));
    workload.ingress.iter().fold(base, |sum, (region, gb)| {
        sum.plus(Wide::product(
            *gb,
            scenario.ingress[region * scenario.stride + store as usize],
        ))
    })
}

/// What a region's reads from one store cost.
pub(super) fn reading(
    scenario: &Scenario,
    (region, gets, gb): (usize, u128, u128),
    store: u32,
) -> Wide {
    let egress = scenario.egress[region * scenario.stride + store as usize];
    Wide::product(gets, scenario.stores[store as usize].get).plus(Wide::product(gb, egress))
}

/// The cost of the set `stores` (ascending), with each region that reads and the store it reads from: the cheapest, among equals
/// the first. `None` where a region can read from none of them.
pub fn cost_of(
    scenario: &Scenario,
    workload: &Workload,
    stores: &[u32],
) -> Option<(Cost, Vec<(usize, u32)>)> {
    let mut sum = stores.iter().fold(Wide::ZERO, |sum, store| {
        sum.plus(keeping(scenario, workload, *store))
    });
    let mut reads = Vec::with_capacity(workload.reads.len());
    for read in &workload.reads {
        let (cost, store) = stores
            .iter()
            .filter(|store| scenario.is_admissible(read.0, **store as usize))
            .map(|store| (reading(scenario, *read, *store), *store))
            .min()?;
        sum = sum.plus(cost);
        reads.push((read.0, store));
    }
    let cost = Cost {
        numerator: sum,
        denominator: workload.denominator,
    };
    Some((cost, reads))
}
