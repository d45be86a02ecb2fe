//! The direct method against every set one by one, on random instances, and the answers that are known.

use super::*;
use crate::model::{Prices, Requirements};
use crate::random::{random_prices, random_requirements, random_usage};
use crate::workload::Usage;
use skyfresh_sky::Rng;
use std::fmt::Write as _;

#[test]
fn the_direct_method_finds_what_trying_all_sets_finds() {
    let (mut solved, mut infeasible, mut tied, mut scaled) = (0, 0, 0, 0);
    for seed in 0..4000 {
        let rng = Rng::seeded(seed);
        let (prices, regions) = random_prices(&rng);
        let Ok(scenario) = Scenario::new(&prices, &random_requirements(&rng, &regions)) else {
            continue;
        };
        for _ in 0..3 {
            let usage = random_usage(&rng, &regions);
            let workload = usage.resolve(&scenario).expect("within 128 bits");
            let expected = brute_force(&scenario, &workload);
            let found = solve(&scenario, &workload, Limits::default());
            scaled += usize::from(Instance::new(&scenario, &workload).slack > 0.0);
            match (expected, found) {
                (Err(expected), Err(found)) => {
                    assert_eq!(expected, found, "seed {seed}");
                    infeasible += 1;
                }
                (Ok(expected), Ok(found)) => {
                    let told = |placement: &Placement| {
                        (
                            placement.cost.numerator,
                            placement.stores.clone(),
                            placement.reads.clone(),
                            placement.unique,
                        )
                    };
                    assert_eq!(told(&found), told(&expected), "seed {seed}: {usage:?}");
                    assert_eq!(found.gap, 0.0, "seed {seed}");
                    solved += 1;
                    tied += usize::from(!found.unique);
                }
                (expected, found) => panic!("seed {seed}: {expected:?}, but {found:?}"),
            }
        }
    }
    assert!(
        solved > 4000 && infeasible > 100 && tied > 500 && scaled > 1000,
        "{solved} solved, {infeasible} infeasible, {tied} tied, {scaled} scaled"
    );
}

/// Scenario of AWS's European regions, from the tables published with SkyPIE.
fn europe(stores: &str, replicas: usize) -> Scenario {
    let prices = Prices::parse(
        include_str!("../../fixtures/storage_pricing.csv"),
        include_str!("../../fixtures/network_cost_v2.csv"),
    );
    let asked = Requirements {
        regions: "aws-eu".into(),
        stores: stores.into(),
        min_replicas: replicas,
        max_replicas: Some(replicas),
        ..Requirements::default()
    };
    Scenario::new(&prices.expect("the tables"), &asked).expect("a scenario")
}

fn placed(scenario: &Scenario, usage: &str) -> (String, Vec<String>, bool) {
    let usage: Usage = serde_json::from_str(usage).expect(usage);
    let workload = usage.resolve(scenario).expect("known regions");
    let found = solve(scenario, &workload, Limits::default()).expect("feasible");
    let names = found
        .stores
        .iter()
        .map(|store| scenario.stores()[*store as usize].name.clone());
    (found.cost.to_string(), names.collect(), found.unique)
}

#[test]
fn the_scenarios_have_as_many_stores_as_the_paper_says() {
    assert_eq!(europe("General Purpose", 2).stores().len(), 8);
    assert_eq!(europe("", 2).stores().len(), 24);
    assert_eq!(europe("", 2).regions().len(), 8);
}

#[test]
fn two_copies_in_europe_cost_what_is_known() {
    let scenario = europe("General Purpose", 2);
    let stores = |regions: [&str; 2]| {
        regions
            .map(|region| format!("aws-{region}-s3-General Purpose"))
            .to_vec()
    };
    assert_eq!(
        placed(
            &scenario,
            r#"{"id":"a","size_gb":13,"puts":{"aws-eu-central-1":1},"gets":{"aws-eu-south-2":1,"aws-eu-north-1":1}}"#
        ),
        (
            "1.1180111".into(),
            stores(["eu-north-1", "eu-south-2"]),
            true
        )
    );
    assert_eq!(
        placed(
            &scenario,
            r#"{"id":"b","size_gb":"153/1000000","puts":{"aws-eu-south-1":4},"gets":{"aws-eu-west-2":563,"aws-eu-north-1":809,
                "aws-eu-south-2":1114,"aws-eu-south-1":2117,"aws-eu-west-1":4152,"aws-eu-central-2":3644}}"#
        ),
        (
            "0.01922782235".into(),
            stores(["eu-central-2", "eu-west-1"]),
            true
        )
    );
}

#[test]
fn the_papers_three_images_go_where_its_table_1_says() {
    let mut stores = String::from("Vendor,Region,Name,Group,Tier,PricePerUnit\n");
    for (tier, storage, get) in [("Std", 0.03, 0.01), ("IA", 0.01, 0.05)] {
        for (group, price) in [
            ("storage", storage),
            ("get request", get),
            ("put request", 0.0),
        ] {
            writeln!(stores, "aws,one,s3,{group},{tier},{price}").unwrap();
        }
    }
    let network = "src_vendor,src_region,dest_vendor,dest_region,cost\naws,one,aws,one,0\n";
    let prices = Prices::parse(&stores, network).expect("tables");
    let scenario = Scenario::new(&prices, &Requirements::default()).expect("a scenario");
    for (size, gets, cost, tier) in [
        (3, 8, "0.17", "Std"),
        (6, 2, "0.16", "IA"),
        (9, 10, "0.37", "Std"),
    ] {
        let line = format!(r#"{{"id":"w","size_gb":{size},"gets":{{"aws-one":{gets}}}}}"#);
        assert_eq!(
            placed(&scenario, &line),
            (cost.into(), vec![format!("aws-one-s3-{tier}")], true)
        );
    }
}

#[test]
fn a_limit_leaves_the_best_so_far_with_its_gap() {
    let scenario = europe("", 4);
    let mut stopped_early = 0;
    for seed in 0..300 {
        let rng = Rng::named(seed, "limit");
        let gets: Vec<String> = scenario
            .regions()
            .iter()
            .map(|region| format!("{region:?}:{}", 90 + rng.below(200)))
            .collect();
        let line = format!(
            r#"{{"id":"o","size_gb":1.5,"puts":{{"aws-eu-west-1":30}},"gets":{{{}}}}}"#,
            gets.join(",")
        );
        let usage: Usage = serde_json::from_str(&line).expect(&line);
        let workload = usage.resolve(&scenario).expect("known regions");
        let proven = solve(&scenario, &workload, Limits::default()).expect("feasible");
        let stopped = solve(&scenario, &workload, Limits { max_nodes: 0 }).expect("feasible");
        assert_eq!(proven.gap, 0.0);
        assert!(stopped.gap < 0.5, "{}", stopped.gap);
        // Where the bound alone proves it, there is nothing to stop.
        stopped_early += usize::from(stopped.gap > 0.0);
        assert!(stopped.gap == 0.0 || !stopped.unique);
        assert!(stopped.cost.usd() * (1.0 - stopped.gap) <= proven.cost.usd() * (1.0 + 1e-12));
    }
    assert!(stopped_early > 0);
}

/// Copies in archives cost next to nothing: without more, every set of them that adds little would be looked at.
#[test]
fn copies_that_nobody_reads_are_not_tried() {
    let scenario = |most| {
        let asked = Requirements {
            regions: "aws".into(),
            max_replicas: most,
            ..Requirements::default()
        };
        let tables = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tables");
        let prices = Prices::read(&tables).expect("the tables");
        Scenario::new(&prices, &asked).expect("a scenario")
    };
    let usage: Usage = serde_json::from_str(
        r#"{"id":"o","size_gb":"0.000995187","gets":{"aws-us-east-2":3,"aws-us-west-2":1,"aws-ap-northeast-1":3}}"#,
    )
    .expect("a usage");
    let solved = |most| {
        let scenario = scenario(most);
        let workload = usage.resolve(&scenario).expect("known regions");
        solve(&scenario, &workload, Limits::default()).expect("feasible")
    };
    let (any, three) = (solved(None), solved(Some(3)));
    assert_eq!(any.stores, three.stores);
    assert_eq!(any.cost.numerator, three.cost.numerator);
    assert!(any.unique && any.nodes < 1000, "{} sets", any.nodes);
}
