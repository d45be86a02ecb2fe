//! What the papers' programmes do not have: limits by destination, network tiers, requests to the stores.

use super::tests::{region, request, small_network};
use super::*;
use crate::check::check_overlay;
use crate::network::{Addresses, MachinePrices};
use crate::solve::Solved;
use proptest::prelude::*;
use skyfresh_sky::catalog::{Catalog, NetworkTier};

fn catalog_network() -> Network {
    Network::from_catalog(&Catalog::embedded(), MachinePrices::OnDemand)
}

fn made(network: &Network, asked: &Request) -> OverlayPlan {
    match plan(network, asked, Engine::Best).unwrap() {
        Outcome::Plan(plan) => {
            assert_eq!(check_overlay(network, asked, &plan), Vec::<String>::new());
            *plan
        }
        Outcome::Infeasible(why) => panic!("{asked:?}: {why:?}"),
    }
}

const VM: &str =
    "cloud,instance,egress_gbps,ingress_gbps,usd_per_hour\naws,m5,5,10,0.54\ngcp,n2,7,16,0.54\n";

/// The name of a region of a small network: two of Google Cloud's, then one of AWS's, and so on.
fn name(node: usize) -> String {
    match node % 3 {
        2 => format!("aws:r{node}"),
        _ => format!("gcp:r{node}"),
    }
}

/// A network of two providers whose machines reach their own provider's by internal addresses, so that Google Cloud's have two limits,
/// with these figures in turn.
fn two_limits(nodes: usize, figures: &[(u32, u32)]) -> Network {
    small_network(nodes, figures, name, VM).reached_by(Addresses::Internal)
}

fn figures(count: usize) -> impl Strategy<Value = Vec<(u32, u32)>> {
    prop::collection::vec((10..300_u32, 1..20_u32), count..=count)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// One destination and two limits: as the paper's programme with the second limit in it, solved by another solver.
    #[test]
    fn limits_by_destination_agree_with_the_programme(figures in figures(20), goal in 5..150_u32, vms in 1..4_u32, to in 1..5_usize) {
        let network = two_limits(5, &figures);
        let goal = Goal::Throughput(f64::from(goal) / 10.0);
        let asked = request(&name(0), &[&name(to)], 10.0, goal, vms);
        let outcome = plan(&network, &asked, Engine::Best).unwrap();
        match crate::transfer::reference_model(&network, &asked).unwrap().solve() {
            Solved::Optimal { objective, .. } => {
                let plan = outcome.plan().unwrap();
                prop_assert_eq!(check_overlay(&network, &asked, plan), Vec::<String>::new());
                prop_assert!(plan.cost_usd / 10.0 <= objective + 1e-6, "{} against {objective}", plan.cost_usd / 10.0);
            }
            Solved::Infeasible => prop_assert!(outcome.plan().is_none()),
            Solved::Failed(why) => prop_assert!(false, "{}", why),
        }
    }

    /// Several destinations, every engine, requests counted or not: each answer adds up, and keeps both limits.
    #[test]
    fn every_answer_with_the_terms_is_checked(
        figures in figures(30),
        goal in 0..5_usize,
        amount in 1..400_u32,
        vms in 1..4_u32,
        destinations in prop::collection::btree_set(1..6_usize, 1..4),
        engine in 0..ENGINES.len(),
        part_kib in 0..40_000_u64,
        counted: bool,
    ) {
        let network = two_limits(6, &figures).with_request_prices(&Catalog::embedded());
        let amount = f64::from(amount);
        let goals = [Goal::Cheapest, Goal::Deadline(amount), Goal::Throughput(amount / 20.0), Goal::Budget(amount / 40.0), Goal::Fastest];
        let names: Vec<String> = destinations.iter().map(|node| name(*node)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut asked = request(&name(0), &names, 10.0, goals[goal], vms);
        asked.part_bytes = (part_kib > 0).then_some(part_kib * 1024);
        if counted {
            asked.start_up = StartUp::Counted;
        }
        let engine = ENGINES[engine].1;
        match plan(&network, &asked, engine) {
            Ok(Outcome::Plan(plan)) => {
                let wrong = check_overlay(&network, &asked, &plan);
                prop_assert_eq!(wrong, Vec::<String>::new(), "{} {:?}", engine, asked);
                prop_assert_eq!(plan.requests_usd > 0.0, asked.part_bytes.is_some());
            }
            Ok(Outcome::Infeasible(why)) => prop_assert!(!why.binding.is_empty() && !why.nearest.is_empty(), "{:?}", why),
            Err(_) => prop_assert_eq!(engine, Engine::Milp),
        }
    }

    /// Whatever is asked on the catalogue's regions: no link within Google Cloud has a tier, no plan over STANDARD breaks a limit, and
    /// whoever may take either tier does no worse than with one.
    #[test]
    fn tiers_are_taken_out_of_google_alone(at in 0..28_usize, others in prop::collection::btree_set(0..78_usize, 1..3), goal in 0..3_usize) {
        let network = catalog_network();
        let google = network.of_provider(skyfresh_sky::Provider::Gcp);
        let source = network.regions()[google[at]].clone();
        let machines = (0..network.len()).filter(|at| network.has_machines(*at));
        let regions: Vec<_> = machines.map(|at| network.regions()[at].clone()).collect();
        let mut destinations: Vec<_> = others.iter().map(|at| regions[*at].clone()).collect();
        destinations.retain(|region| *region != source);
        prop_assume!(!destinations.is_empty());
        let goal = [Goal::Cheapest, Goal::Fastest, Goal::Throughput(2.0)][goal];
        let mut asked = Request::new(source, destinations, 20.0, goal);
        asked.part_bytes = Some(16 << 20);
        let networks = [network.clone(), network.on_standard_tier(Some(0.9)).unwrap()];
        let plans = networks.clone().map(|network| plan(&network, &asked, Engine::Best).unwrap());
        let (taken, either) = plan_on_any(&networks, &asked, Engine::Best).unwrap();
        for (network, outcome) in networks.iter().zip(&plans).chain([(&networks[taken], &either)]) {
            let Some(plan) = outcome.plan() else { continue };
            prop_assert_eq!(check_overlay(network, &asked, plan), Vec::<String>::new());
            for edge in &plan.edges {
                prop_assert_eq!(edge.tier.is_some(), NetworkTier::applies(&edge.src, &edge.dst));
            }
        }
        for outcome in &plans {
            prop_assert!(rank(&asked, &either) <= rank(&asked, outcome));
        }
    }
}

#[test]
fn a_programme_for_several_destinations_has_both_limits() {
    // Straight to AWS is the only way, and cheap machines the only ones: two are needed for 14 Gbit/s, not one.
    let figures = [(300, 5)];
    let network = two_limits(3, &figures);
    let mut asked = request(
        "gcp:r0",
        &["gcp:r1", "aws:r2"],
        10.0,
        Goal::Throughput(7.5),
        2,
    );
    asked.stripes = Some(8);
    asked.without_regions.insert(region("gcp:r1"));
    for engine in [Engine::Best, Engine::Milp, Engine::Iterative] {
        let outcome = plan(&network, &asked, engine).unwrap();
        let plan = outcome
            .plan()
            .unwrap_or_else(|| panic!("{engine}: {outcome:?}"));
        assert_eq!(check_overlay(&network, &asked, plan), Vec::<String>::new());
        let abroad = plan
            .edges
            .iter()
            .filter(|edge| edge.src.provider != edge.dst.provider);
        for edge in abroad {
            let machines = f64::from(plan.vms[&edge.src]);
            assert!(edge.gbps <= 7.0 * machines + 1e-6, "{engine}: {edge:?}");
        }
    }
}

#[test]
fn within_google_internal_addresses_carry_more_and_the_checker_knows_both_limits() {
    let public = catalog_network();
    let internal = public.clone().reached_by(Addresses::Internal);
    let within = request("gcp:us-east1", &["gcp:us-east4"], 50.0, Goal::Fastest, 1);
    let (slow, fast) = (made(&public, &within), made(&internal, &within));
    assert!(
        slow.throughput_gbps <= 7.0 + 1e-6,
        "{}",
        slow.throughput_gbps
    );
    assert!(fast.throughput_gbps > 10.0, "{}", fast.throughput_gbps);
    let found = check_overlay(&public, &within, &fast);
    assert!(
        found.iter().any(|line| line.contains("Gbit/s, of 7")),
        "{found:?}"
    );
    // To others a machine sends no more than before, whatever it sends in all.
    let abroad = request("gcp:us-east1", &["aws:us-east-1"], 50.0, Goal::Fastest, 1);
    let plan = made(&internal, &abroad);
    let sent: f64 = plan
        .edges
        .iter()
        .filter(|edge| edge.src == abroad.source && edge.tier.is_some())
        .map(|edge| edge.gbps)
        .sum();
    assert!(sent <= 7.0 + 1e-6, "{sent}");
    let gbps = "src,dst,gbps\ngcp:a,aws:b,30\n";
    let usd = "src,dst,usd_per_gb\ngcp:a,aws:b,0.1\n";
    let wide = Network::read(gbps, usd, &VM.replace(",7,", ",9,")).unwrap();
    let narrow = Network::read(gbps, usd, VM).unwrap();
    let [wide, narrow] = [wide, narrow].map(|network| network.reached_by(Addresses::Internal));
    let asked = request("gcp:a", &["aws:b"], 10.0, Goal::Fastest, 1);
    let plan = made(&wide, &asked);
    assert!((plan.throughput_gbps - 9.0).abs() < 1e-6);
    let found = check_overlay(&narrow, &asked, &plan);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("to other providers, of 7 at most"),
        "{found:?}"
    );
    let late = request("gcp:a", &["aws:b"], 10.0, Goal::Throughput(8.0), 1);
    let Outcome::Infeasible(why) = super::plan(&narrow, &late, Engine::Best).unwrap() else {
        panic!("7 Gbit/s are the most");
    };
    assert!(why.binding[0].contains("to other providers"), "{why:?}");
}

#[test]
fn the_standard_tier_is_cheaper_and_said_and_a_wrong_tier_is_seen() {
    let premium = catalog_network();
    let standard = premium.on_standard_tier(None).unwrap();
    let asked = request(
        "gcp:us-central1",
        &["aws:us-east-1"],
        100.0,
        Goal::Cheapest,
        1,
    );
    let (dear, cheap) = (made(&premium, &asked), made(&standard, &asked));
    // $0.12 and $0.085 a GB; machines besides.
    assert!((dear.egress_usd - 12.0).abs() < 1e-9, "{}", dear.egress_usd);
    assert!(
        (cheap.egress_usd - 8.5).abs() < 1e-9,
        "{}",
        cheap.egress_usd
    );
    assert_eq!(dear.edges[0].tier, Some(NetworkTier::Premium));
    assert_eq!(cheap.edges[0].tier, Some(NetworkTier::Standard));
    let (at, either) =
        plan_on_any(&[premium.clone(), standard.clone()], &asked, Engine::Best).unwrap();
    let either = either.plan().unwrap();
    assert_eq!((at, either.cost_usd), (1, cheap.cost_usd));
    assert!(either.lower_bound_usd.unwrap() <= cheap.cost_usd);
    assert!(plan_on_any(&[], &asked, Engine::Best).is_err());

    let mut wrong = cheap.clone();
    wrong.edges[0].tier = Some(NetworkTier::Premium);
    let found = check_overlay(&standard, &asked, &wrong);
    assert!(
        found.iter().any(|line| line.contains("another tier")),
        "{found:?}"
    );
    let found = check_overlay(&premium, &asked, &cheap);
    assert!(
        found
            .iter()
            .any(|line| line.contains("costs something else")),
        "{found:?}"
    );
    let within = request(
        "gcp:us-central1",
        &["gcp:us-east1"],
        10.0,
        Goal::Cheapest,
        1,
    );
    let mut inside = made(&standard, &within);
    assert!(inside.edges.iter().all(|edge| edge.tier.is_none()));
    inside.edges[0].tier = Some(NetworkTier::Standard);
    let found = check_overlay(&standard, &within, &inside);
    assert!(
        found
            .iter()
            .any(|line| line.contains("does not leave Google Cloud")),
        "{found:?}"
    );
}

#[test]
fn requests_are_paid_by_the_part() {
    let network = catalog_network();
    let to = ["aws:us-east-1", "aws:eu-west-1"];
    let mut asked = request("gcp:us-central1", &to, 100.0, Goal::Cheapest, 1);
    let without = made(&network, &asked);
    assert_eq!(without.requests_usd, 0.0);
    asked.part_bytes = Some(10_000_000);
    let with = made(&network, &asked);
    // 10,000 parts: read once at $0.40 a million, written twice at $5 a million.
    assert!(
        (with.requests_usd - (0.004 + 0.05 + 0.05)).abs() < 1e-9,
        "{}",
        with.requests_usd
    );
    assert!((with.cost_usd - without.cost_usd - with.requests_usd).abs() < 1e-6);
    let bounds = with.lower_bound_usd.unwrap() - without.lower_bound_usd.unwrap();
    assert!((bounds - with.requests_usd).abs() < 1e-6, "{bounds}");
    let mut wrong = with.clone();
    wrong.requests_usd = 0.0;
    wrong.cost_usd -= with.requests_usd;
    let found = check_overlay(&network, &asked, &wrong);
    assert!(
        found.iter().any(|line| line.contains("requests:")),
        "{found:?}"
    );

    // A budget has to do for them, too; one that does not is refused in the same dollars.
    asked.goal = Goal::Budget(with.cost_usd * 1.05);
    assert!(made(&network, &asked).cost_usd <= with.cost_usd * 1.05);
    for usd in [without.cost_usd, 0.05] {
        asked.goal = Goal::Budget(usd);
        let Outcome::Infeasible(why) = plan(&network, &asked, Engine::Best).unwrap() else {
            panic!("${usd} do not even do for the requests");
        };
        let cheapest = why.cheapest_usd.unwrap();
        assert!((cheapest / with.cost_usd - 1.0).abs() < 5e-3, "{why:?}");
        assert!(why.binding[0].contains(&format!("${usd:.4}")), "{why:?}");
    }
    asked.part_bytes = Some(0);
    assert!(plan(&network, &asked, Engine::Best).is_err());
}

#[test]
fn a_store_in_between_is_written_to_and_read_from() {
    let network = catalog_network();
    let mut asked = request(
        "gcp:europe-west2",
        &["aws:ap-southeast-2", "azure:australiaeast"],
        100.0,
        Goal::Cheapest,
        2,
    );
    asked.through_stores = true;
    asked.part_bytes = Some(100_000_000);
    let plan = made(&network, &asked);
    let of_r2 =
        |region: &skyfresh_sky::Region| region.provider == skyfresh_sky::Provider::Cloudflare;
    let sum = |wanted: &dyn Fn(&EdgeVolume) -> bool| -> f64 {
        let edges = plan.edges.iter().filter(|edge| wanted(edge));
        edges.map(|edge| edge.gb).sum()
    };
    let (into, out) = (sum(&|edge| of_r2(&edge.dst)), sum(&|edge| of_r2(&edge.src)));
    assert!(
        into > 0.0 && out > into,
        "free egress is used: {:?}",
        plan.edges
    );
    let end = |name: &str| {
        network
            .request_usd(network.number(&region(name)).unwrap())
            .unwrap()
    };
    let ends = end("gcp:europe-west2").read
        + end("aws:ap-southeast-2").write
        + end("azure:australiaeast").write;
    // Ten parts a GB; class A at $4.50 a million, class B at $0.36.
    let expected = 10.0 * (100.0 * ends + into * 4.5e-6 + out * 0.36e-6);
    assert!(
        (plan.requests_usd - expected).abs() < 1e-9,
        "{} and {expected}",
        plan.requests_usd
    );
    // With parts of a few KB that is dearer than another way.
    asked.part_bytes = Some(5_000);
    let small = made(&network, &asked);
    assert!(
        !small.edges.iter().any(|edge| of_r2(&edge.src)),
        "{:?}",
        small.edges
    );

    // From a store alone, each part is read by whoever takes it; into one, written once.
    let mut asked = request(
        "cloudflare:weur",
        &["aws:us-east-1"],
        10.0,
        Goal::Cheapest,
        1,
    );
    asked.part_bytes = Some(10_000_000);
    let plan = made(&network, &asked);
    assert!(
        (plan.requests_usd - 1000.0 * (0.36e-6 + 5e-6)).abs() < 1e-9,
        "{}",
        plan.requests_usd
    );
    let mut asked = request(
        "aws:us-east-1",
        &["cloudflare:weur"],
        10.0,
        Goal::Cheapest,
        1,
    );
    asked.part_bytes = Some(10_000_000);
    let plan = made(&network, &asked);
    assert!(
        (plan.requests_usd - 1000.0 * (0.4e-6 + 4.5e-6)).abs() < 1e-9,
        "{}",
        plan.requests_usd
    );
}

#[test]
fn what_nobody_knows_is_not_free() {
    let papers = crate::network::read_grid(include_str!("../../grids/2022-11.csv")).unwrap();
    let mut asked = request("aws:us-east-1", &["aws:eu-west-1"], 10.0, Goal::Cheapest, 1);
    asked.part_bytes = Some(16 << 20);
    let error = plan(&papers, &asked, Engine::Best).unwrap_err().to_string();
    assert!(error.contains("not known"), "{error}");
    let priced = papers.with_request_prices(&Catalog::embedded());
    assert!(made(&priced, &asked).requests_usd > 0.0);
    // A store in between without prices is no way.
    let with_store = priced.with_store(region("cloudflare:auto"), 0.0, 50.0);
    asked.through_stores = true;
    let plan = made(&with_store, &asked);
    assert!(
        plan.edges
            .iter()
            .all(|edge| edge.dst != region("cloudflare:auto"))
    );
}
