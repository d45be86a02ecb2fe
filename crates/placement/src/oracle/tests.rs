//! Counts that are known, and answers that the direct method gives as well.

use super::*;
use crate::model::{Prices, Requirements};
use crate::query::Engine;
use crate::random::{random_prices, random_requirements, random_usage};
use crate::solve::{Limits, Placement, brute_force, solve};
use crate::workload::Fault;
use proptest::prelude::*;
use skyfresh_sky::{ManualClock, Rng, Timestamp};

fn scenario(regions: &str, stores: &str, replicas: (usize, usize)) -> Scenario {
    let prices = Prices::parse(
        include_str!("../../tables/storage_pricing.csv"),
        include_str!("../../tables/network_cost_v2.csv"),
    );
    let asked = Requirements {
        regions: regions.into(),
        stores: stores.into(),
        min_replicas: replicas.0,
        max_replicas: Some(replicas.1),
        ..Requirements::default()
    };
    Scenario::new(&prices.expect("the tables"), &asked).expect("a scenario")
}

fn counts(regions: &str, stores: &str, replicas: usize) -> [u64; 4] {
    let plan = Plan {
        keep: false,
        count_distinct: true,
        threads: 2,
        ..Plan::default()
    };
    let scenario = scenario(regions, stores, (replicas, replicas));
    let (_, counts) = Oracle::build(&scenario, plan).expect("within bounds");
    [
        counts.write_choices,
        counts.candidates,
        counts.distinct,
        counts.after_filter,
    ]
}

#[test]
fn there_are_as_many_candidates_as_is_known() {
    let general = "General Purpose";
    for (regions, stores, replicas, known) in [
        ("aws-eu", general, 1, [8, 8, 8, 8]),
        ("aws-eu", general, 2, [28, 48, 48, 48]),
        ("aws-eu", general, 3, [56, 124, 124, 124]),
        ("aws-eu", "", 1, [24, 24, 24, 16]),
        ("aws-eu", "", 2, [276, 408, 404, 196]),
        ("aws-eu", "", 3, [2024, 3700, 3582, 1188]),
        ("aws", "", 1, [75, 75, 75, 50]),
        ("aws", "", 2, [2775, 4710, 4673, 2353]),
        ("aws", "", 3, [67_525, 147_953, 143_719, 50_809]),
    ] {
        assert_eq!(
            counts(regions, stores, replicas),
            known,
            "{regions} {stores} {replicas}"
        );
    }
    for (replicas, write_choices, candidates, after_filter) in
        [(1, 163, 163, 118), (2, 13_203, 32_887, 17_972)]
    {
        let [found, all, _, left] = counts("azure|aws", "", replicas);
        assert_eq!(
            (found, all, left),
            (write_choices, candidates, after_filter)
        );
    }
}

fn told(placement: &Placement) -> (String, &[u32], &[(usize, u32)]) {
    (
        placement.cost.to_string(),
        &placement.stores,
        &placement.reads,
    )
}

fn place(
    oracle: &Oracle,
    workloads: &[crate::workload::Workload],
) -> Vec<Result<Placement, Fault>> {
    let clock = ManualClock::at(Timestamp::ZERO);
    let placed = oracle.place(workloads, &clock).into_iter();
    placed
        .map(|placed| placed.map(|(placement, _)| placement))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Ties, requirements, latencies, several sizes of sets, quantities beyond floating point: three methods, one answer.
    #[test]
    fn direct_brute_force_and_oracle_agree(seed in any::<u64>()) {
        let rng = Rng::seeded(seed);
        let (prices, regions) = random_prices(&rng);
        let Ok(scenario) = Scenario::new(&prices, &random_requirements(&rng, &regions)) else {
            return Ok(());
        };
        let filter = rng.below(2) == 0;
        let (oracle, _) = Oracle::build(&scenario, Plan { filter, ..Plan::default() }).expect("small");
        let workloads: Vec<_> = (0..1 + rng.below(20))
            .map(|_| random_usage(&rng, &regions).resolve(&scenario).expect("within 128 bits"))
            .collect();
        for (workload, found) in workloads.iter().zip(place(&oracle, &workloads)) {
            let direct = solve(&scenario, workload, Limits::default());
            let brute = brute_force(&scenario, workload);
            if !workload.reads_are_of_one_size() {
                prop_assert!(matches!(found, Err(Fault::Invalid(_))));
                continue;
            }
            match (direct, brute, found) {
                (Ok(direct), Ok(brute), Ok(found)) => {
                    prop_assert_eq!(told(&direct), told(&brute));
                    prop_assert_eq!(direct.unique, brute.unique);
                    prop_assert_eq!(found.cost.numerator, brute.cost.numerator);
                    if filter {
                        prop_assert!(!found.unique);
                    } else {
                        prop_assert_eq!(told(&found), told(&brute));
                        prop_assert_eq!(found.unique, brute.unique);
                    }
                }
                (Err(direct), Err(brute), Err(found)) => {
                    prop_assert_eq!(&direct, &brute);
                    prop_assert_eq!(found, Fault::Infeasible(brute.describe(&scenario)));
                }
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }
}

fn random_objects(rng: &Rng, scenario: &Scenario, count: usize) -> Vec<crate::workload::Workload> {
    (0..count)
        .map(|_| {
            let mut usage = random_usage(rng, scenario.regions());
            (usage.ingress_gb, usage.egress_gb) = (None, None);
            usage.resolve(scenario).expect("within 128 bits")
        })
        .collect()
}

#[test]
fn direct_and_oracle_agree_on_the_papers_scenarios() {
    for (regions, stores, replicas, objects) in [
        ("aws-eu", "General Purpose", (1, 5), 400),
        ("aws-eu", "", (1, 4), 400),
        ("aws", "", (1, 2), 200),
        ("azure", "", (1, 2), 200),
        ("azure|aws", "", (1, 2), 100),
    ] {
        let scenario = scenario(regions, stores, replicas);
        let (oracle, _) = Oracle::build(&scenario, Plan::default()).expect("within bounds");
        let workloads = random_objects(&Rng::named(1, regions), &scenario, objects);
        for (workload, found) in workloads.iter().zip(place(&oracle, &workloads)) {
            let direct = solve(&scenario, workload, Limits::default()).expect("feasible");
            let found = found.expect("feasible");
            assert_eq!(
                found.cost.numerator, direct.cost.numerator,
                "{regions} {workload:?}"
            );
            assert!(
                !direct.unique || found.stores == direct.stores,
                "{regions} {workload:?}"
            );
        }
    }
}

fn bytes(oracle: &Oracle) -> Vec<u8> {
    let mut bytes = Vec::new();
    oracle.write_to(&mut bytes).expect("memory");
    bytes
}

#[test]
fn shards_merged_are_the_whole_and_files_are_read_as_written() {
    let scenario = scenario("aws-eu", "", (1, 3));
    let (whole, counts) = Oracle::build(&scenario, Plan::default()).expect("small");
    assert_eq!(whole.candidates() as u64, counts.after_filter);
    let shard = |index| {
        let shard = Shard { index, of: 3 };
        let plan = Plan {
            shard,
            threads: 2,
            ..Plan::default()
        };
        let (part, _) = Oracle::build(&scenario, plan).expect("small");
        Oracle::read_from(&mut bytes(&part).as_slice()).expect("as written")
    };
    let merged = Oracle::merge(vec![shard(2), shard(0), shard(1)]).expect("all parts");
    assert_eq!(merged.blocks, whole.blocks);
    assert_eq!(bytes(&merged), bytes(&whole));
    assert_eq!(merged.scenario().regions(), scenario.regions());
    let missing = Oracle::merge(vec![shard(0), shard(1)]).expect_err("a part is missing");
    assert!(
        missing.to_string().contains("each of the 3 shards"),
        "{missing}"
    );
    let (unfiltered, _) = Oracle::build(
        &scenario,
        Plan {
            filter: false,
            shard: Shard { index: 2, of: 3 },
            ..Plan::default()
        },
    )
    .expect("small");
    assert!(Oracle::merge(vec![shard(0), shard(1), unfiltered]).is_err());
    assert!(
        Oracle::build(
            &scenario,
            Plan {
                shard: Shard { index: 3, of: 3 },
                ..Plan::default()
            }
        )
        .is_err()
    );
}

#[test]
fn damaged_files_are_refused() {
    let (oracle, _) =
        Oracle::build(&scenario("aws-eu", "General", (2, 2)), Plan::default()).expect("small");
    let whole = bytes(&oracle);
    let says = |bytes: &[u8]| {
        Oracle::read_from(&mut &bytes[..])
            .expect_err("damaged")
            .to_string()
    };
    assert!(says(b"something else entirely").contains("no oracle"));
    let mut later = whole.clone();
    later[8] = 9;
    assert!(says(&later).contains("another version"));
    for length in (0..whole.len()).step_by(97) {
        says(&whole[..length]);
    }
    for at in (12..whole.len()).step_by(53) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        says(&flipped);
    }
    let longer = [&whole[..], &[0]].concat();
    assert!(says(&longer).contains("checksum"));
}
