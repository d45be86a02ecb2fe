//! Trees over several destinations.

use super::tests::{GB, HOME, ask, region, rough};
use super::*;
use crate::check::check_fan_out;
use skyfresh_sky::Usd;

fn far_asks(destinations: &[&str], slo: &str) -> Vec<Ask> {
    destinations.iter().map(|to| ask(to, GB, slo)).collect()
}

#[test]
fn an_expensive_hop_is_paid_once() {
    let mut planner = rough();
    let far = ["gcp:us-central1", "gcp:europe-west1", "gcp:asia-northeast1"];
    let asks = far_asks(&far, "10m@p99");
    let tree = fan_out(&mut planner, &asks).unwrap();
    let wrong = check_fan_out(&asks, planner.catalog(), &tree);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(tree.verdict, Verdict::InTime);
    // $0.09 a GB out of AWS; within GCP 0.01 to 0.08.
    let direct = tree.leaves.iter().filter(|leaf| leaf.via.is_none()).count();
    let leaves = |tree: &FanOut| -> Vec<String> {
        let leaf = |it: &Leaf| format!("{} via {:?}, {:.1} s", it.destination, it.via, it.at_slo_s);
        tree.leaves.iter().map(leaf).collect()
    };
    assert_eq!(direct, 1, "{:#?}", leaves(&tree));
    let alone: Usd = asks
        .iter()
        .map(|ask| planner.choose(ask).unwrap().price().unwrap())
        .sum();
    assert!(
        tree.total.usd() < 0.95 * alone.usd(),
        "{} and {alone} without a tree",
        tree.total
    );
    // A tight SLO leaves less time for second hops, and costs more.
    let mut fastest = |ask: &Ask| {
        let of = |it: &Candidate| it.at_slo_s;
        planner
            .choose(ask)
            .unwrap()
            .candidates
            .iter()
            .map(of)
            .fold(f64::INFINITY, f64::min)
    };
    let slowest_s = asks.iter().map(&mut fastest).fold(0.0, f64::max);
    let hurried = far_asks(&far, &format!("{}ms@p99", (slowest_s * 1_050.0) as u64));
    let quick = fan_out(&mut planner, &hurried).unwrap();
    assert!(check_fan_out(&hurried, planner.catalog(), &quick).is_empty());
    assert_eq!(quick.verdict, Verdict::InTime);
    assert!(quick.total > tree.total, "{:#?}", leaves(&quick));
    let impossible = far_asks(&far, "100ms@p99");
    assert_eq!(
        fan_out(&mut planner, &impossible).unwrap().verdict,
        Verdict::Late
    );
}

/// Six destinations are improved step by step, five are searched whole: on five, both agree here.
#[test]
fn steps_find_what_the_search_finds() {
    let mut planner = rough();
    let five = [
        "gcp:us-central1",
        "gcp:europe-west1",
        "azure:eastus",
        "azure:westeurope",
        "aws:us-west-2",
    ];
    let whole = fan_out(&mut planner, &far_asks(&five, "10m@p99")).unwrap();
    let six = [&five[..], &["aws:eu-west-1"]].concat();
    let asks = far_asks(&six, "10m@p99");
    let steps = fan_out(&mut planner, &asks).unwrap();
    assert!(check_fan_out(&asks, planner.catalog(), &steps).is_empty());
    let sixth = steps.leaves[5].candidate.cost.total();
    assert!(
        steps.total.usd() <= (whole.total + sixth).usd() * 1.001,
        "{} against {} and {sixth}",
        steps.total,
        whole.total
    );
    let mut wrong = steps.clone();
    wrong.total = Usd::ZERO;
    wrong.leaves[0].via = Some(wrong.leaves[0].destination.clone());
    let found = check_fan_out(&asks, planner.catalog(), &wrong).join("\n");
    assert!(
        found.contains("added up") && found.contains("circle"),
        "{found}"
    );
}

#[test]
fn trees_keep_to_what_was_offered() {
    let mut planner = rough();
    let far = ["gcp:us-central1", "gcp:europe-west1", HOME];
    let mut asks = far_asks(&far, "10m@p99");
    for ask in &mut asks {
        ask.sites = vec![Site::process(region(HOME))];
    }
    let tree = fan_out(&mut planner, &asks).unwrap();
    let wrong = check_fan_out(&asks, planner.catalog(), &tree);
    assert!(
        wrong.is_empty() && tree.verdict == Verdict::InTime,
        "{wrong:?} {:?}",
        tree.verdict
    );
    assert_eq!(
        tree.leaves[2].candidate.cost.egress,
        Usd::ZERO,
        "a bucket in the source's own region"
    );
    // Three of them, each of which needs half of the platform's functions.
    let mut asks = far_asks(
        &["gcp:us-central1", "gcp:europe-west1", "azure:eastus"],
        "10m@p99",
    );
    for ask in &mut asks {
        ask.sites = vec![Site::functions(region(HOME)).unwrap()];
        ask.in_flight = ask.sites.iter().map(|site| (site.clone(), 998)).collect();
        for other in ["gcp:us-central1", "gcp:europe-west1", "azure:eastus"] {
            let busy = Site::functions(region(other)).unwrap();
            ask.in_flight.insert(busy, 1_000);
        }
    }
    let tree = fan_out(&mut planner, &asks).unwrap();
    assert_eq!(
        tree.verdict,
        Verdict::Late,
        "two functions are left for three"
    );
    for ask in &mut asks {
        ask.cheapest = true;
        ask.in_flight.clear();
    }
    let tree = fan_out(&mut planner, &asks).unwrap();
    assert_eq!(tree.verdict, Verdict::Cheapest);
    assert!(check_fan_out(&asks, planner.catalog(), &tree).is_empty());
    let mut wrong = tree.clone();
    wrong.leaves[0].at_slo_s *= 9.0;
    assert!(
        check_fan_out(&asks, planner.catalog(), &wrong)
            .join("")
            .contains("its hops come to")
    );
}
