//! What a GB costs over a plan's trees, by which of the destinations get it. Pure.
//!
//! In: a plan, its destinations' regions. Out: egress of the hops that lead to some of them. Never: a hop counted twice in a tree, or
//! one that leads to none of them.

use skyfresh_plan::overlay::OverlayPlan;
use skyfresh_relay::DestinationSet;
use skyfresh_sky::{Region, Usd};
use std::collections::{BTreeMap, BTreeSet};

/// Prices of a plan's hops.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HopPrices {
    trees: Vec<Tree>,
    /// Of each destination, in the order of the relays' shape.
    targets: Vec<Region>,
}

/// One tree.
#[derive(Clone, Debug, PartialEq)]
struct Tree {
    /// What part of all bytes goes this way.
    share: f64,
    /// Into each region: from where, and what a GB costs.
    into: BTreeMap<Region, (Region, f64)>,
}

impl HopPrices {
    /// Of this plan, for destinations in these regions.
    pub fn of(plan: &OverlayPlan, targets: Vec<Region>) -> Self {
        let price = |from: &Region, to: &Region| {
            let mut edges = plan.edges.iter();
            let edge = edges.find(|edge| edge.src == *from && edge.dst == *to);
            edge.map_or(0.0, |edge| edge.usd_per_gb)
        };
        let stripes: u32 = plan.trees.iter().map(|tree| tree.stripes).sum();
        let trees = plan.trees.iter().filter(|tree| tree.stripes > 0);
        let trees = trees.map(|tree| Tree {
            share: f64::from(tree.stripes) / f64::from(stripes),
            into: tree
                .edges
                .iter()
                .map(|(from, to)| (to.clone(), (from.clone(), price(from, to))))
                .collect(),
        });
        HopPrices {
            trees: trees.collect(),
            targets,
        }
    }

    /// Of a GB that all of `wanted` get, once each: all hops together.
    pub fn usd_per_gb(&self, wanted: DestinationSet) -> Usd {
        let mut usd = 0.0;
        for tree in &self.trees {
            let mut hops: BTreeSet<&Region> = BTreeSet::new();
            for at in wanted.iter() {
                let mut region = self.targets.get(usize::from(at));
                while let Some(to) = region {
                    let Some((from, price)) = tree.into.get(to) else {
                        break;
                    };
                    // What leads here is counted already.
                    if !hops.insert(to) {
                        break;
                    }
                    usd += tree.share * price;
                    region = Some(from);
                }
            }
        }
        Usd::from_usd(usd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use skyfresh_plan::network::{MachinePrices, Network};
    use skyfresh_plan::overlay::{Engine, Goal, Request, plan};
    use skyfresh_sky::catalog::Catalog;

    fn region(text: &str) -> Region {
        text.parse().unwrap()
    }

    fn set(of: &[u8]) -> DestinationSet {
        of.iter().copied().collect()
    }

    fn planned(targets: &[&str], goal: Goal) -> OverlayPlan {
        let network = Network::from_catalog(&Catalog::embedded(), MachinePrices::OnDemand);
        let targets = targets.iter().map(|text| region(text)).collect();
        let asked = Request::new(region("aws:us-east-1"), targets, 10.0, goal);
        let outcome = plan(&network, &asked, Engine::Best).unwrap();
        outcome.plan().unwrap().clone()
    }

    #[test]
    fn an_expensive_hop_is_paid_once_for_all_behind_it_and_in_full_for_one() {
        let targets = ["gcp:us-central1", "gcp:us-east1"];
        let plan = planned(&targets, Goal::Cheapest);
        let prices = HopPrices::of(&plan, targets.map(region).to_vec());
        let usd = |of: &[u8]| prices.usd_per_gb(set(of)).usd();
        // AWS to the Internet at $0.09, from one American region of Google to another at $0.01.
        assert!((usd(&[0, 1]) - 0.10).abs() < 1e-9, "{}", usd(&[0, 1]));
        let (one, other) = (usd(&[0]), usd(&[1]));
        // Some stripes come first to the one, some to the other.
        assert!((one + other - 0.19).abs() < 1e-9 && one.min(other) > 0.09 - 1e-9);
        assert_eq!(usd(&[]), 0.0);
        let home = HopPrices::of(&plan, vec![region("aws:us-east-1")]);
        assert_eq!(home.usd_per_gb(set(&[0])), Usd::ZERO, "it is there");
    }

    const REGIONS: [&str; 6] = [
        "gcp:us-central1",
        "gcp:asia-southeast1",
        "azure:westeurope",
        "azure:eastasia",
        "aws:eu-west-1",
        "aws:ap-southeast-2",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn all_together_cost_what_the_plan_says_and_fewer_never_more(
            chosen in proptest::sample::subsequence(REGIONS.to_vec(), 1..6),
            fastest in any::<bool>(),
            some in any::<u64>(),
        ) {
            let goal = if fastest { Goal::Fastest } else { Goal::Cheapest };
            let plan = planned(&chosen, goal);
            let prices = HopPrices::of(&plan, chosen.iter().map(|text| region(text)).collect());
            let all = DestinationSet::first(chosen.len());
            let usd = |of| prices.usd_per_gb(of).usd();
            let planned = plan.egress_usd / plan.volume_gb;
            // To one destination shares are not whole stripes, as relays carry them.
            prop_assert!((usd(all) - planned).abs() < 0.01 * planned, "{} {planned}", usd(all));
            let (some, rest) = (all.intersection(DestinationSet(some)), all.without(DestinationSet(some)));
            prop_assert!(usd(some) <= usd(all) + 1e-9);
            prop_assert!(usd(all) <= usd(some) + usd(rest) + 1e-9, "joined is never dearer than apart");
        }
    }
}
