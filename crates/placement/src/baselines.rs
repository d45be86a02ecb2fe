//! How others place objects: heuristics that the exact answer is measured against (SkyPIE, section 6.3).
//!
//! In: a scenario and workloads. Out: sets of stores, to be priced by [`crate::cost_of`], so that all are judged by one cost. Never: a
//! requirement kept beyond the number of replicas; these heuristics know of none.

use crate::Scenario;
use crate::solve::{Instance, Limits, solve};
use crate::workload::{Fault, Workload};

/// Turns of k-means after which it is taken for settled; it settles within a few.
const MAX_TURNS: usize = 20;

/// The single store of least cost.
pub fn single_best(scenario: &Scenario, workload: &Workload) -> Vec<u32> {
    profit(scenario, workload, 1)
}

/// Ranked by profit, after Alghamdi and others (2017): the store of least cost for storage and access; then, while the cost falls and
/// there are fewer than `most`, the one that lowers it most.
pub fn profit(scenario: &Scenario, workload: &Workload, most: usize) -> Vec<u32> {
    let instance = Instance::new(scenario, workload);
    let columns = instance.store.len();
    let mut nearest = vec![f64::INFINITY; workload.reads.len()];
    let mut set: Vec<usize> = Vec::new();
    let (mut keep, mut cost) = (0.0, f64::INFINITY);
    while set.len() < most.min(columns) {
        let with = |column: usize| {
            let reads = nearest
                .iter()
                .enumerate()
                .map(|(row, nearest)| instance.row(row)[column].min(*nearest));
            keep + instance.keep[column] + reads.sum::<f64>()
        };
        let best = (0..columns)
            .filter(|column| !set.contains(column))
            .map(|column| (with(column), column))
            .min_by(|one, other| one.0.total_cmp(&other.0));
        let Some((least, column)) = best.filter(|(least, _)| *least < cost) else {
            break;
        };
        cost = least;
        keep += instance.keep[column];
        for (row, nearest) in nearest.iter_mut().enumerate() {
            *nearest = nearest.min(instance.row(row)[column]);
        }
        set.push(column);
    }
    stores(&instance, set)
}

/// Clusters of regions by the cost of their reads alone, after Sharov and others (2015): for k = 1..=`most`, seeds are the stores
/// that are cheapest to read from for the k regions that read most; each region joins the store cheapest to it, each cluster
/// moves to the store cheapest for it, until nothing moves. The k of least read cost counts, among equals the smallest.
pub fn k_means(scenario: &Scenario, workload: &Workload, most: usize) -> Vec<u32> {
    let instance = Instance::new(scenario, workload);
    let rows = workload.reads.len();
    let columns = instance.store.len();
    let cheapest = |cost: &dyn Fn(usize) -> f64| {
        (0..columns)
            .min_by(|one, other| cost(*one).total_cmp(&cost(*other)))
            .unwrap_or(0)
    };
    if rows == 0 {
        return stores(&instance, vec![cheapest(&|column| instance.keep[column])]);
    }
    let mut by_gets: Vec<usize> = (0..rows).collect();
    by_gets.sort_by_key(|row| std::cmp::Reverse(workload.reads[*row].1));
    let read_cost = |centres: &[usize]| -> f64 {
        let least = |row: usize| {
            let costs = centres.iter().map(|column| instance.row(row)[*column]);
            costs.fold(f64::INFINITY, f64::min)
        };
        (0..rows).map(least).sum()
    };
    let mut best: Option<(f64, Vec<usize>)> = None;
    for k in 1..=most.min(rows) {
        let mut centres: Vec<usize> = by_gets[..k]
            .iter()
            .map(|row| cheapest(&|column| instance.row(*row)[column]))
            .collect();
        for _ in 0..MAX_TURNS {
            let mut clusters = vec![Vec::new(); centres.len()];
            for row in 0..rows {
                let near = (0..centres.len()).min_by(|one, other| {
                    let cost = |at: usize| instance.row(row)[centres[at]];
                    cost(*one).total_cmp(&cost(*other))
                });
                if let Some(near) = near {
                    clusters[near].push(row);
                }
            }
            clusters.retain(|cluster| !cluster.is_empty());
            let moved: Vec<usize> = clusters
                .iter()
                .map(|cluster| {
                    cheapest(&|column| cluster.iter().map(|row| instance.row(*row)[column]).sum())
                })
                .collect();
            if moved == centres {
                break;
            }
            centres = moved;
        }
        let cost = read_cost(&centres);
        if best.as_ref().is_none_or(|(least, _)| cost < *least) {
            best = Some((cost, centres));
        }
    }
    stores(
        &instance,
        best.map(|(_, centres)| centres).unwrap_or_default(),
    )
}

/// In each of these regions, the store of it that costs least for all that the object does.
pub fn everywhere(scenario: &Scenario, workload: &Workload, regions: &[usize]) -> Vec<u32> {
    let instance = Instance::new(scenario, workload);
    let own = |region: usize, column: usize| {
        let row = workload
            .reads
            .iter()
            .position(|(other, ..)| *other == region);
        instance.keep[column] + row.map_or(0.0, |row| instance.row(row)[column])
    };
    let set = regions.iter().filter_map(|region| {
        let of =
            |column: &usize| scenario.stores[instance.store[*column] as usize].region == *region;
        (0..instance.store.len())
            .filter(of)
            .min_by(|one, other| own(*region, *one).total_cmp(&own(*region, *other)))
    });
    stores(&instance, set.collect())
}

/// What SpanStore decides for all objects of one group at once (Wu and others, 2013): the cheapest set for the sum of their
/// workloads. Its integer programme finds the same set as [`solve`], which is asked here. Groups are objects that are accessed
/// from the same regions in the same hour.
///
/// # Errors
/// The sum passes 128 bits, or no set keeps to the requirements.
pub fn span_store(
    scenario: &Scenario,
    total: &Workload,
    limits: Limits,
) -> Result<Vec<u32>, Fault> {
    solve(scenario, total, limits)
        .map(|placement| placement.stores)
        .map_err(|infeasible| Fault::Infeasible(infeasible.describe(scenario)))
}

fn stores(instance: &Instance, mut columns: Vec<usize>) -> Vec<u32> {
    columns.sort_unstable();
    columns.dedup();
    columns
        .into_iter()
        .map(|column| instance.store[column])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{random_prices, random_usage};
    use crate::solve::{brute_force, cost_of};
    use crate::{Prices, Requirements};
    use skyfresh_sky::Rng;

    fn cost(scenario: &Scenario, workload: &Workload, set: &[u32]) -> f64 {
        let (cost, _) = cost_of(scenario, workload, set).expect("all reads are admissible");
        cost.usd()
    }

    #[test]
    fn no_heuristic_is_cheaper_than_the_cheapest_and_one_store_is_the_best_of_one() {
        let mut dearer = [0; 3];
        for seed in 0..400 {
            let rng = Rng::named(seed, "baselines");
            let (prices, regions) = random_prices(&rng);
            let scenario = |most: usize| {
                let asked = Requirements {
                    max_replicas: Some(most),
                    ..Requirements::default()
                };
                Scenario::new(&prices, &asked).expect("a scenario")
            };
            let (any, one) = (scenario(4), scenario(1));
            let workload = random_usage(&rng, &regions)
                .resolve(&any)
                .expect("within 128 bits");
            let best = brute_force(&any, &workload).expect("feasible").cost.usd();
            let best_of_one = brute_force(&one, &workload).expect("feasible").cost.usd();
            let single = cost(&any, &workload, &single_best(&any, &workload));
            // Where costs are rounded to be compared, heuristics may take one for the other.
            let rounded = Instance::new(&any, &workload).slack > 0.0;
            assert!(rounded || single == best_of_one, "seed {seed}");
            let all: Vec<usize> = (0..any.regions().len()).collect();
            let found = [
                profit(&any, &workload, 4),
                k_means(&any, &workload, 4),
                everywhere(&any, &workload, &all),
            ];
            for (set, dearer) in found.iter().zip(&mut dearer) {
                assert!(!set.is_empty() && set.is_sorted(), "seed {seed}: {set:?}");
                let cost = cost(&any, &workload, set);
                // Everywhere may be more than four copies, and then cheaper than the best four.
                assert!(
                    set.len() > 4 || cost >= best * (1.0 - 1e-12),
                    "seed {seed}: {set:?}"
                );
                *dearer += usize::from(cost > best * (1.0 + 1e-9));
            }
        }
        assert!(dearer.iter().all(|count| *count > 0), "{dearer:?}");
    }

    #[test]
    fn clusters_follow_the_reads() {
        let prices = Prices::parse(
            include_str!("../tables/storage_pricing.csv"),
            include_str!("../tables/network_cost_v2.csv"),
        );
        let asked = Requirements {
            regions: "aws".into(),
            stores: "General Purpose".into(),
            ..Requirements::default()
        };
        let scenario = Scenario::new(&prices.expect("tables"), &asked).expect("a scenario");
        let line = r#"{"id":"o","size_gb":1,"gets":{"aws-eu-west-1":9,"aws-us-east-1":5}}"#;
        let usage: crate::Usage = serde_json::from_str(line).expect(line);
        let workload = usage.resolve(&scenario).expect("known regions");
        let names: Vec<&str> = k_means(&scenario, &workload, 5)
            .iter()
            .map(|store| scenario.stores()[*store as usize].name.as_str())
            .collect();
        assert_eq!(
            names,
            [
                "aws-eu-west-1-s3-General Purpose",
                "aws-us-east-1-s3-General Purpose"
            ]
        );
    }
}
