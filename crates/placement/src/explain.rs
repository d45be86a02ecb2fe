//! Where a placement's money goes: lines that add up to its cost, to the last digit.

use crate::exact::{Cost, Wide};
use crate::model::Scenario;
use crate::solve::cost_of;
use crate::workload::Workload;

/// What a line pays for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Item {
    /// A month's storage.
    Storage,
    /// Put requests of all regions.
    Puts,
    /// GB written by a region.
    Ingress,
    /// Get requests of a region.
    Gets,
    /// GB read by a region.
    Egress,
}

/// One line: what is paid to a store, and for which region where it is for one.
#[derive(Clone, Debug)]
pub struct CostLine {
    /// Index into [`Scenario::stores`].
    pub store: u32,
    /// Index into [`Scenario::regions`]; `None` for storage and puts.
    pub region: Option<usize>,
    /// What for.
    pub item: Item,
    /// How much, exactly.
    pub cost: Cost,
}

/// The lines of the set `stores` (ascending indices), those that are 0 left out: by store, within it storage, puts, what regions
/// write, what regions read that read from it. They add up to [`cost_of`] the set. `None` where a region can read from none.
pub fn explain(scenario: &Scenario, workload: &Workload, stores: &[u32]) -> Option<Vec<CostLine>> {
    let (_, reads) = cost_of(scenario, workload, stores)?;
    let mut lines = Vec::new();
    for &store in stores {
        let prices = &scenario.stores[store as usize];
        let at = |region: usize| region * scenario.stride + store as usize;
        let mut add = |item, region, quantity, price| {
            let numerator = Wide::product(quantity, price);
            if numerator != Wide::ZERO {
                lines.push(CostLine {
                    store,
                    region,
                    item,
                    cost: Cost {
                        numerator,
                        denominator: workload.denominator,
                    },
                });
            }
        };
        add(Item::Storage, None, workload.size, prices.storage);
        add(Item::Puts, None, workload.puts, prices.put);
        for (region, gb) in &workload.ingress {
            add(
                Item::Ingress,
                Some(*region),
                *gb,
                scenario.ingress[at(*region)],
            );
        }
        for ((region, gets, gb), (_, from)) in workload.reads.iter().zip(&reads) {
            if *from == store {
                add(Item::Gets, Some(*region), *gets, prices.get);
                add(
                    Item::Egress,
                    Some(*region),
                    *gb,
                    scenario.egress[at(*region)],
                );
            }
        }
    }
    Some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Prices, Requirements};
    use crate::solve::{Limits, solve};
    use crate::workload::Usage;

    #[test]
    fn lines_add_up_to_the_cost() {
        let prices = Prices::parse(
            include_str!("../fixtures/storage_pricing.csv"),
            include_str!("../fixtures/network_cost_v2.csv"),
        );
        let asked = Requirements {
            min_replicas: 2,
            max_replicas: Some(4),
            ..Requirements::default()
        };
        let scenario = Scenario::new(&prices.expect("tables"), &asked).expect("a scenario");
        let line = r#"{"id":"o","size_gb":"7/3","puts":{"aws-eu-west-1":3},"gets":{"aws-eu-west-2":11,"aws-eu-north-1":"5/7"}}"#;
        let usage: Usage = serde_json::from_str(line).expect(line);
        let workload = usage.resolve(&scenario).expect("known regions");
        let found = solve(&scenario, &workload, Limits::default()).expect("feasible");
        let lines = explain(&scenario, &workload, &found.stores).expect("in reach");
        let sum = lines
            .iter()
            .fold(Wide::ZERO, |sum, line| sum.plus(line.cost.numerator));
        assert_eq!(sum, found.cost.numerator);
        for item in [
            Item::Storage,
            Item::Puts,
            Item::Ingress,
            Item::Gets,
            Item::Egress,
        ] {
            assert!(lines.iter().any(|line| line.item == item), "{item:?}");
        }
        assert!(lines.iter().all(|line| found.stores.contains(&line.store)));
    }
}
