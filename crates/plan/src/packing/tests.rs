//! On small random networks: against every tree there is, and against the papers' programmes solved by another solver.

use super::ascent::lower_bound;
use super::heuristic::good_tree;
use super::paths::{AllPairs, shortest};
use super::steiner::cheapest_tree;
use super::tree::{arborescence, weight};
use super::*;
use crate::check::check_overlay;
use crate::network::Network;
use crate::overlay::tests::{request, small_network};
use crate::overlay::{Engine, Goal, Outcome, plan};
use crate::solve::Solved;
use crate::{multicast, transfer};
use proptest::prelude::*;

/// A network of `nodes` regions `aws:r0`… with these figures in turn.
fn network(nodes: usize, figures: &[(u32, u32)]) -> Network {
    let vm = "cloud,instance,egress_gbps,ingress_gbps,usd_per_hour\naws,m5,5,10,0.54\n";
    small_network(nodes, figures, |node| format!("aws:r{node}"), vm)
}

fn figures(count: usize) -> impl Strategy<Value = Vec<(u32, u32)>> {
    prop::collection::vec((5..80_u32, 1..20_u32), count..=count)
}

/// The cheapest tree by trying every set of relays.
fn brute_force(instance: &Instance, weights: &[f64]) -> Option<f64> {
    let others: Vec<usize> = (0..instance.nodes)
        .filter(|node| *node != instance.source && !instance.is_terminal(*node))
        .collect();
    (0..1_usize << others.len())
        .filter_map(|set| {
            let mut members = instance.terminals.clone();
            members.push(instance.source);
            members.extend(
                others
                    .iter()
                    .enumerate()
                    .filter(|(at, _)| set >> at & 1 == 1)
                    .map(|(_, node)| *node),
            );
            members.sort_unstable();
            let (_, edges) = spanning(instance.nodes, weights, instance.source, &members)?;
            let tree = arborescence(instance, &edges, weights)?;
            Some(weight(instance.nodes, &tree, weights))
        })
        .min_by(f64::total_cmp)
}

/// The cheapest spanning arborescence by trying every choice of parents.
fn brute_force_spanning(nodes: usize, weights: &[f64], root: usize) -> f64 {
    let choices = nodes.pow(nodes as u32 - 1);
    let mut best = f64::INFINITY;
    for choice in 0..choices {
        let (mut rest, mut cost) = (choice, 0.0);
        let mut parent = vec![root; nodes];
        for node in (0..nodes).filter(|node| *node != root) {
            parent[node] = rest % nodes;
            rest /= nodes;
            cost += if parent[node] == node {
                f64::INFINITY
            } else {
                weights[parent[node] * nodes + node]
            };
        }
        let reaches = |node: usize| {
            let mut at = node;
            (0..nodes).any(|_| {
                at = parent[at];
                at == root
            })
        };
        if cost < best && (0..nodes).all(|node| node == root || reaches(node)) {
            best = cost;
        }
    }
    best
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn trees_are_the_cheapest_there_are(figures in figures(42), terminals in prop::collection::btree_set(1..7_usize, 1..5)) {
        let network = network(7, &figures);
        let terminals: Vec<usize> = terminals.into_iter().collect();
        let instance = Instance::new(&network, 0, &terminals, 1, LinkSharing::Pairs);
        let weights = instance.usd_per_gb.clone();
        let paths = AllPairs::new(instance.nodes, &weights);
        let (exact, tree) = cheapest_tree(&instance, &weights, &paths).unwrap();
        let every = brute_force(&instance, &weights).unwrap();
        prop_assert!((exact - every).abs() < 1e-9, "{exact} against {every}");
        prop_assert_eq!(arborescence(&instance, &tree, &weights), Some(tree));
        let bound = lower_bound(&instance, &weights);
        prop_assert!(bound <= exact + 1e-9, "a bound of {bound} on {exact}");
        let (good, _) = good_tree(&instance, &weights, &paths).unwrap();
        prop_assert!(good >= exact - 1e-9);
        for terminal in 1..7 {
            let (length, _) = shortest(instance.nodes, &weights, 0, terminal).unwrap();
            prop_assert!((length - paths.distance(0, terminal)).abs() < 1e-12);
        }
    }

    #[test]
    fn spanning_trees_are_the_cheapest_there_are(figures in figures(20)) {
        let network = network(5, &figures);
        let instance = Instance::new(&network, 0, &[1, 2, 3, 4], 1, LinkSharing::Pairs);
        let weights = &instance.usd_per_gb;
        let (cost, edges) = spanning(5, weights, 0, &[0, 1, 2, 3, 4]).unwrap();
        prop_assert_eq!(edges.len(), 4);
        prop_assert!((cost - brute_force_spanning(5, weights, 0)).abs() < 1e-9);
    }

    /// One destination: no dearer than the paper's programme at exactly the goal, and the same where the plan takes all the time.
    #[test]
    fn one_destination_agrees_with_the_papers_programme(figures in figures(20), goal in 2..60_u32, vms in 1..4_u32) {
        let network = network(5, &figures);
        let request = request("aws:r0", &["aws:r4"], 10.0, Goal::Throughput(f64::from(goal) / 10.0), vms);
        let outcome = plan(&network, &request, Engine::Best).unwrap();
        match transfer::reference_model(&network, &request).unwrap().solve() {
            Solved::Optimal { objective, .. } => {
                let plan = outcome.plan().unwrap();
                prop_assert_eq!(check_overlay(&network, &request, plan), Vec::<String>::new());
                let usd = plan.cost_usd / 10.0;
                prop_assert!(usd <= objective + 1e-6, "{usd} against {objective}");
                let takes_all = (plan.throughput_gbps * 10.0 - f64::from(goal)).abs() < 1e-6;
                prop_assert!(!takes_all || (usd - objective).abs() < 1e-5, "{usd} against {objective}");
            }
            Solved::Infeasible => prop_assert!(outcome.plan().is_none()),
            Solved::Failed(why) => prop_assert!(false, "{}", why),
        }
    }

    /// Two destinations and few stripes: never below a proven bound, and no dearer than the paper's programme where stripes are
    /// many enough.
    #[test]
    fn two_destinations_agree_with_the_papers_programme(figures in figures(12), deadline in 20..120_u32) {
        let network = network(4, &figures);
        let mut request = request("aws:r0", &["aws:r2", "aws:r3"], 10.0, Goal::Deadline(f64::from(deadline)), 2);
        request.stripes = Some(4);
        let exact = multicast::reference_model(&network, &request).unwrap().solve();
        let outcome = plan(&network, &request, Engine::Best).unwrap();
        request.stripes = Some(4_000);
        let fine = plan(&network, &request, Engine::Best).unwrap();
        request.stripes = Some(4);
        if let Some(plan) = outcome.plan() {
            prop_assert_eq!(check_overlay(&network, &request, plan), Vec::<String>::new());
        }
        match exact {
            Solved::Optimal { objective, .. } => {
                // Whoever may split the volume as finely as it likes pays no more than the four stripes' optimum.
                let fine = fine.plan().unwrap();
                prop_assert!(fine.cost_usd / 10.0 <= objective * 1.0005, "{} against {objective}", fine.cost_usd / 10.0);
                let bound = fine.lower_bound_usd.unwrap();
                prop_assert!(bound / 10.0 <= objective + 1e-9);
            }
            // Machines must be fewer or the time longer for any plan of four stripes.
            Solved::Infeasible => prop_assert!(outcome.plan().is_none(), "{:?}", outcome),
            Solved::Failed(why) => prop_assert!(false, "{}", why),
        }
    }

    /// Whatever is asked for, an answer is a plan that the checker passes, or names what stands in the way.
    #[test]
    fn every_answer_is_checked(
        figures in figures(30),
        goal in 0..5_usize,
        amount in 1..400_u32,
        vms in 1..4_u32,
        destinations in prop::collection::btree_set(1..6_usize, 1..4),
        engine in 0..crate::overlay::ENGINES.len(),
        counted: bool,
    ) {
        let network = network(6, &figures);
        let amount = f64::from(amount);
        let goals = [Goal::Cheapest, Goal::Deadline(amount), Goal::Throughput(amount / 40.0), Goal::Budget(amount / 40.0), Goal::Fastest];
        let names: Vec<String> = destinations.iter().map(|node| format!("aws:r{node}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut request = request("aws:r0", &names, 10.0, goals[goal], vms);
        if counted {
            request.start_up = crate::overlay::StartUp::Counted;
        }
        let engine = crate::overlay::ENGINES[engine].1;
        match plan(&network, &request, engine) {
            Ok(Outcome::Plan(plan)) => {
                let wrong = check_overlay(&network, &request, &plan);
                prop_assert_eq!(wrong, Vec::<String>::new(), "{} {:?}", engine, goals[goal]);
            }
            Ok(Outcome::Infeasible(why)) => {
                prop_assert!(!why.binding.is_empty() && !why.nearest.is_empty(), "{:?}", why);
                // The nearest request that it names has a plan.
                if let (Some(seconds), Engine::Best) = (why.shortest_s, engine) {
                    let mut nearest = request.clone();
                    nearest.goal = Goal::Deadline(seconds * 1.01);
                    nearest.start_up = crate::overlay::StartUp::Ready;
                    let again = plan(&network, &nearest, engine).unwrap();
                    prop_assert!(again.plan().is_some(), "{:?}", why);
                }
            }
            Err(_) => prop_assert_eq!(engine, Engine::Milp),
        }
    }
}
