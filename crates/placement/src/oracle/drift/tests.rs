use super::*;
use crate::Plan;
use crate::exact::Rational;
use crate::model::Requirements;
use crate::random::{random_prices, random_usage};
use crate::solve::{brute_force, cost_of};
use skyfresh_sky::{Rng, SystemClock};

/// The workload with a quantity multiplied by `factor`.
fn scaled(workload: &Workload, quantity: Quantity, factor: Rational) -> Workload {
    let Rational {
        numerator,
        denominator,
    } = factor;
    let put = |grows: bool, amount: u128| amount * if grows { numerator } else { denominator };
    let (gets, size) = (quantity == Quantity::Gets, quantity == Quantity::Size);
    let puts = quantity == Quantity::Puts;
    Workload {
        denominator: workload.denominator * denominator,
        size: put(size, workload.size),
        puts: put(puts, workload.puts),
        ingress: (workload.ingress.iter())
            .map(|(region, gb)| (*region, put(size || puts, *gb)))
            .collect(),
        reads: (workload.reads.iter())
            .map(|(region, count, gb)| {
                let grow = gets || quantity == Quantity::GetsOf(*region);
                (*region, put(grow, *count), put(grow || size, *gb))
            })
            .collect(),
    }
}

/// Whether a set is among the cheapest for a workload.
fn is_best(scenario: &Scenario, workload: &Workload, set: &[u32]) -> bool {
    let best = brute_force(scenario, workload).expect("feasible");
    let (cost, _) = cost_of(scenario, workload, set).expect("in reach");
    cost.numerator == best.cost.numerator
}

#[test]
fn a_set_is_the_cheapest_up_to_the_factor_and_another_beyond_it() {
    let (mut changes, mut never, mut at_once) = (0, 0, 0);
    for seed in 0..400 {
        let rng = Rng::named(seed, "drift");
        let (prices, regions) = random_prices(&rng);
        let asked = Requirements {
            max_replicas: Some(3),
            ..Requirements::default()
        };
        let scenario = Scenario::new(&prices, &asked).expect("a scenario");
        let plan = Plan {
            filter: false,
            ..Plan::default()
        };
        let (oracle, _) = Oracle::build(&scenario, plan).expect("small");
        let workload = random_usage(&rng, &regions).resolve(&scenario);
        let Ok(workload) = workload else { continue };
        // Room for factors; and what the candidates are not made for is refused.
        if workload.size > 1 << 60 || workload.denominator > 1 << 40 {
            continue;
        }
        let clock = SystemClock;
        let Ok((placed, drifts)) = oracle.drifts(&workload, &clock) else {
            assert!(!workload.reads_are_of_one_size(), "seed {seed}");
            continue;
        };
        let set = &placed.0.stores;
        for (quantity, drift) in drifts {
            for (change, is_up) in [(&drift.up, true), (&drift.down, false)] {
                let told = format!("seed {seed}: {quantity:?}, {change:?}");
                let times = |factor: f64| {
                    let factor = Rational::new((factor * 1e9) as u128, 1_000_000_000);
                    scaled(&workload, quantity, factor.expect("a factor"))
                };
                let Some(change) = change else {
                    never += 1;
                    let far = if is_up { 1e6 } else { 0.0 };
                    assert!(is_best(&scenario, &times(far), set), "{told}");
                    continue;
                };
                assert_ne!(&change.stores, set, "{told}");
                let factor = change.factor;
                assert_eq!(factor >= 1.0, is_up || factor == 1.0, "{told}");
                if !(1e-3..1e6).contains(&factor) {
                    continue;
                }
                // A little before, unless that is on the other side of today; and a little beyond.
                let (before, beyond) = match is_up {
                    true => (factor * (1.0 - 1e-5), factor * (1.0 + 1e-5)),
                    false => (factor * (1.0 + 1e-5), factor * (1.0 - 1e-5)),
                };
                if (before > 1.0) == is_up {
                    assert!(is_best(&scenario, &times(before), set), "{told}");
                    changes += 1;
                } else {
                    at_once += 1;
                }
                let beyond = times(beyond);
                assert!(!is_best(&scenario, &beyond, set), "{told}");
                // Two changes can be nearer to each other than the step beyond.
                let cost = |set: &[u32]| cost_of(&scenario, &beyond, set).expect("in reach").0;
                let (other, own) = (cost(&change.stores), cost(set));
                assert!(other.numerator < own.numerator, "{told}");
            }
        }
    }
    assert!(
        changes > 300 && never > 300 && at_once > 10,
        "{changes} {never} {at_once}"
    );
}

#[test]
fn sizes_that_differ_and_stores_that_are_no_candidate_are_refused() {
    let rng = Rng::seeded(1);
    let (prices, regions) = random_prices(&rng);
    let asked = Requirements {
        max_replicas: Some(1),
        ..Requirements::default()
    };
    let scenario = Scenario::new(&prices, &asked).expect("a scenario");
    let (oracle, _) = Oracle::build(&scenario, Plan::default()).expect("small");
    let line = format!(
        r#"{{"id":"o","size_gb":1,"gets":{{"{0}":2,"{1}":2}},"egress_gb":{{"{0}":1}}}}"#,
        regions[0], regions[1]
    );
    let usage: crate::Usage = serde_json::from_str(&line).expect(&line);
    let workload = usage.resolve(&scenario).expect("known regions");
    let refused = oracle.drift(&workload, &[0], Quantity::Gets);
    assert!(matches!(refused, Err(Fault::Invalid(_))));
    let alone = workload.without_reads();
    let refused = oracle.drift(&alone, &[0, 1], Quantity::Size);
    assert!(matches!(refused, Err(Fault::Invalid(_))));
}
