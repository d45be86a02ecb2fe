//! Random instances for tests: small, with ties, and with quantities beyond what floating point holds.

use crate::model::{Latency, Prices, Requirements};
use crate::workload::Usage;
use skyfresh_sky::Rng;
use std::fmt::Write as _;

/// Prices of few different values, so that ties are common: two to three vendors with one to three regions each and one or two tiers in each.
pub(crate) fn random_prices(rng: &Rng) -> (Prices, Vec<String>) {
    let mut regions = Vec::new();
    for vendor in 0..2 + rng.below(2) {
        for region in 0..1 + rng.below(3) {
            regions.push((format!("v{vendor}"), format!("r{region}")));
        }
    }
    let steps = 2 + rng.below(1_000_000) * rng.below(2);
    let price = || (rng.below(steps) as f64 / 1e10).to_string();
    let mut network = String::from("src_vendor,src_region,dest_vendor,dest_region,cost\n");
    let mut stores = String::from("Vendor,Region,Name,Group,Tier,PricePerUnit\n");
    for (vendor, region) in &regions {
        for (other_vendor, other) in regions
            .iter()
            .filter(|other| **other != (vendor.clone(), region.clone()))
        {
            writeln!(
                network,
                "{vendor},{region},{other_vendor},{other},{}",
                price()
            )
            .unwrap();
        }
        for tier in 0..1 + rng.below(2) {
            for group in [
                "storage",
                "put request",
                "get request",
                "get transfer",
                "put transfer",
            ] {
                writeln!(stores, "{vendor},{region},s,{group},t{tier},{}", price()).unwrap();
            }
        }
    }
    let names = regions
        .iter()
        .map(|(vendor, region)| format!("{vendor}-{region}"))
        .collect();
    (Prices::parse(&stores, &network).expect("a table"), names)
}

pub(crate) fn random_requirements(rng: &Rng, regions: &[String]) -> Requirements {
    let min = 1 + rng.below(5) as usize;
    let one = || vec![regions[rng.below(regions.len() as u64) as usize].clone()];
    let mut asked = Requirements {
        min_replicas: min,
        max_replicas: match rng.below(3) {
            0 => Some(min),
            // Trying all subsets of many stores takes too long.
            1 if regions.len() <= 5 => None,
            _ => Some(min + rng.below(3) as usize),
        },
        ..Requirements::default()
    };
    if rng.below(3) == 0 {
        let mut table = String::from("src_vendor,src_region,dest_vendor,dest_region,latency\n");
        for from in regions {
            for to in regions {
                let pair = format!("{},{}", from.replace('-', ","), to.replace('-', ","));
                writeln!(table, "{pair},{}", rng.below(3)).unwrap();
            }
        }
        asked.latency = Some((Latency::parse("latency.csv", &table).expect("a table"), 1.0));
    }
    match rng.below(6) {
        0 => asked.forbidden_regions = one(),
        1 => asked.required_regions = one(),
        2 => asked.required_providers = vec!["v1".into()],
        3 => asked.min_providers = 2,
        4 => asked.forbidden_providers = vec!["v0".into()],
        _ => {}
    }
    asked
}

pub(crate) fn random_usage(rng: &Rng, regions: &[String]) -> Usage {
    // Whole and small, with an odd denominator, or far beyond what floating point holds.
    let size = [
        "0",
        "1",
        "3/7",
        "0.000153",
        "123456789012345678.5",
        "1e15/3",
    ][rng.below(6) as usize];
    let reach = [2, 5, 1_000_000_007][rng.below(3) as usize];
    let map = |shown: u64| {
        let chosen = regions.iter().filter(|_| rng.below(10) < shown);
        let pairs: Vec<String> = chosen
            .map(|region| format!("{region:?}:{}", rng.below(reach)))
            .collect();
        format!("{{{}}}", pairs.join(","))
    };
    let shown = rng.below(11);
    let mut line = format!(
        r#"{{"id":"o","size_gb":"{size}","puts":{},"gets":{}"#,
        map(3),
        map(shown)
    );
    if rng.below(4) == 0 {
        write!(line, r#","egress_gb":{},"ingress_gb":{}"#, map(5), map(2)).unwrap();
    }
    line.push('}');
    serde_json::from_str(&line).expect(&line)
}
