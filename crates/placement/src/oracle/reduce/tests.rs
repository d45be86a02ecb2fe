//! What is dropped is needed by no object, and what is proven to be needed is the cheapest somewhere.

use crate::model::{Prices, Requirements, Scenario};
use crate::oracle::{Counts, Oracle, Plan, Shard};
use crate::query::Engine;
use crate::random::{random_prices, random_requirements, random_usage};
use crate::solve::{Limits, solve};
use proptest::prelude::*;
use skyfresh_sky::{ManualClock, Rng, Timestamp};

fn reduced(scenario: &Scenario, shard: Shard) -> (Oracle, Counts) {
    let plan = Plan {
        reduce: true,
        shard,
        threads: 2,
        ..Plan::default()
    };
    Oracle::build(scenario, plan).expect("small")
}

fn tables(regions: &str, stores: &str, replicas: usize) -> Scenario {
    let prices = Prices::parse(
        include_str!("../../../tables/storage_pricing.csv"),
        include_str!("../../../tables/network_cost_v2.csv"),
    );
    let asked = Requirements {
        regions: regions.into(),
        stores: stores.into(),
        min_replicas: replicas,
        max_replicas: Some(replicas),
        ..Requirements::default()
    };
    Scenario::new(&prices.expect("the tables"), &asked).expect("a scenario")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// Ties, requirements, latencies, several sizes of sets: costs are those of the direct method, to the last digit.
    #[test]
    fn no_object_costs_more_for_it(seed in any::<u64>()) {
        let rng = Rng::seeded(seed);
        let (prices, regions) = random_prices(&rng);
        let Ok(scenario) = Scenario::new(&prices, &random_requirements(&rng, &regions)) else {
            return Ok(());
        };
        let (oracle, counts) = reduced(&scenario, Shard::WHOLE);
        prop_assert_eq!(oracle.candidates() as u64, counts.after_reduction);
        let objects: Vec<_> = (0..40)
            .map(|_| {
                let mut usage = random_usage(&rng, &regions);
                (usage.ingress_gb, usage.egress_gb) = (None, None);
                usage.resolve(&scenario).expect("within 128 bits")
            })
            .collect();
        let clock = ManualClock::at(Timestamp::ZERO);
        for (object, found) in objects.iter().zip(oracle.place(&objects, &clock)) {
            match (solve(&scenario, object, Limits::default()), found) {
                (Ok(direct), Ok((found, _))) => {
                    prop_assert_eq!(direct.cost.numerator, found.cost.numerator);
                    prop_assert!(!direct.unique || direct.stores == found.stores);
                }
                (Err(_), Err(_)) => {}
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }
}

#[test]
fn all_placements_of_the_papers_first_scenario_are_needed() {
    let (_, counts) = reduced(&tables("aws-eu", "General Purpose", 2), Shard::WHOLE);
    assert_eq!(
        (counts.after_filter, counts.after_reduction, counts.unproven),
        (48, 48, 0)
    );
}

#[test]
fn several_together_make_others_needless_and_shards_are_the_whole() {
    let scenario = tables("aws-eu", "", 3);
    let (whole, counts) = reduced(&scenario, Shard::WHOLE);
    // Most of what is unproven has a twin, of the same prices in all respects.
    assert_eq!((counts.after_filter, counts.after_reduction), (1188, 1090));
    assert!(counts.unproven <= 64, "{counts:?}");
    let shards = (0..3).map(|index| reduced(&scenario, Shard { index, of: 3 }).0);
    let merged = Oracle::merge(shards.collect()).expect("all shards");
    assert!(merged.is_reduced() && merged.blocks == whole.blocks);
}
