//! Cloudcast's approximations (section 3.4): regions clustered, two hops at most, a stripe at a time.
//!
//! Each stripe takes the cheapest tree in what capacity the stripes before it have left; a machine more, where one is needed, costs
//! what it costs for the whole deadline. Later stripes never move earlier ones: that is what packing does better.

use crate::overlay::{Draft, Limits, Outcome, OverlayPlan, whole_plan};
use crate::packing::{Edges, Instance, Load, Work, price};
use crate::transfer::infeasible;

/// Regions that stand for all others, besides the source and the destinations (the paper's number).
const CLUSTERS: usize = 20;
const MOST_REPAIRS: usize = 64;

/// The plan of the three approximations.
pub(crate) fn iterative(limits: &Limits, work: &mut Work) -> Outcome {
    let mut near = limits.clone();
    for node in far_from_centres(&limits.instance, CLUSTERS) {
        near.instance.forbid_node(node);
    }
    // A stripe goes from the source to a relay, or from anywhere to a destination.
    let nodes = near.instance.nodes;
    for from in (0..nodes).filter(|from| *from != limits.instance.source) {
        for to in 0..nodes {
            if !limits.instance.is_terminal(to) {
                near.instance.forbid(from, to);
            }
        }
    }
    match plan(&near, work) {
        Some(plan) => Outcome::Plan(Box::new(plan)),
        None => {
            let effort = crate::packing::Effort {
                most_nodes: 8,
                gap: 1e-3,
            };
            let mut why = infeasible(limits, "iterative", effort, work);
            why.binding
                .push("a stripe at a time found no way for the last of them".into());
            Outcome::Infeasible(Box::new(why))
        }
    }
}

/// A stripe at a time on all regions and links: the third approximation alone.
pub(super) fn plan_without_limits(limits: &Limits, work: &mut Work) -> Option<OverlayPlan> {
    plan(limits, work)
}

fn plan(limits: &Limits, work: &mut Work) -> Option<OverlayPlan> {
    let instance = &limits.instance;
    let one = 1.0 / f64::from(limits.stripes);
    // Without a deadline, machines are dear for as long as the direct way takes.
    let longest = if limits.longest.is_finite() {
        limits.longest
    } else {
        direct_time(instance)
    };
    let mut machines = vec![0_u32; instance.nodes];
    let mut load = Load::new(instance.nodes);
    let mut trees: Vec<(Edges, u32)> = Vec::new();
    for _ in 0..limits.stripes {
        let tree = next_tree(instance, &load, &machines, longest, one, work)?;
        load.add(instance, &tree, one);
        for (node, count) in machines.iter_mut().enumerate() {
            let needed = (load.machine_time(instance, node) / longest - 1e-9).ceil();
            *count = (*count).max(needed as u32);
        }
        match trees.iter_mut().find(|(known, _)| *known == tree) {
            Some((_, stripes)) => *stripes += 1,
            None => trees.push((tree, 1)),
        }
    }
    trees.sort();
    let draft = Draft {
        engine: "iterative".into(),
        machines,
        trees,
        shares: None,
        lower_bound_usd: None,
        lower_bound_s: None,
        time: None,
    };
    Some(whole_plan(limits, draft))
}

/// The cheapest tree for one more stripe, machines that it needs included.
fn next_tree(
    instance: &Instance,
    load: &Load,
    machines: &[u32],
    longest: f64,
    one: f64,
    work: &mut Work,
) -> Option<Edges> {
    let mut barred = instance.clone();
    for _ in 0..MOST_REPAIRS {
        let weights = weights(&barred, load, machines, longest, one);
        work.priced += 1;
        let tree = price(&barred, &weights)?.tree;
        let mut with = load.clone();
        with.add(instance, &tree, one);
        let over = (0..instance.nodes).find(|node| {
            let needed = with.machine_time(instance, *node) / longest - 1e-9;
            needed > f64::from(instance.limit[*node])
        });
        let Some(node) = over else { return Some(tree) };
        // It leaves a region more often than that has room for: its dearest way out of there is barred.
        let out = tree.iter().filter(|(from, _)| *from == node);
        let dearest =
            out.max_by(|a, b| instance.cost(a.0, a.1).total_cmp(&instance.cost(b.0, b.1)))?;
        barred.forbid(dearest.0, dearest.1);
    }
    None
}

/// What a stripe over each edge costs in dollars a GB of the volume, a machine more included where there is no room; infinite
/// where no machine more is allowed.
fn weights(instance: &Instance, load: &Load, machines: &[u32], longest: f64, one: f64) -> Vec<f64> {
    let nodes = instance.nodes;
    let mut weights = vec![f64::INFINITY; nodes * nodes];
    // Machines more that `load` of `capacity` a machine needs.
    let more = |node: usize, load: f64, capacity: f64| {
        let needed = ((load + one) / (capacity * longest) - 1e-9).ceil();
        (needed - f64::from(machines[node])).max(0.0)
    };
    for from in 0..nodes {
        let out = more(from, load.egress[from], instance.egress_gbps[from]);
        for to in 0..nodes {
            let usd = instance.cost(from, to);
            if !usd.is_finite() {
                continue;
            }
            let on_edge = load.edges.get(&(from, to)).copied().unwrap_or(0.0);
            let out = out.max(more(from, on_edge, instance.rate(from, to)));
            let into = more(to, load.ingress[to], instance.ingress_gbps[to]);
            let allowed = |node: usize, more: f64| {
                f64::from(machines[node]) + more <= f64::from(instance.limit[node])
            };
            if allowed(from, out) && allowed(to, into) {
                let opened = out * instance.machine_usd[from] + into * instance.machine_usd[to];
                weights[from * nodes + to] = usd * one + opened * longest;
            }
        }
    }
    weights
}

fn direct_time(instance: &Instance) -> f64 {
    let mut load = Load::new(instance.nodes);
    let star: Edges = instance
        .terminals
        .iter()
        .map(|terminal| (instance.source, *terminal))
        .filter(|(from, to)| instance.rate(*from, *to) > 0.0)
        .collect();
    load.add(instance, &star, 1.0);
    load.time(instance, &instance.limit)
}

/// Regions that are neither an end nor the one that stands for its cluster. k-means on what leads out of and into each region:
/// prices and bandwidths, each scaled to its largest; the first centres are as far from one another as can be.
fn far_from_centres(instance: &Instance, clusters: usize) -> Vec<usize> {
    let nodes = instance.nodes;
    let features = features(instance);
    let distance =
        |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum() };
    let mut centres: Vec<Vec<f64>> = vec![features[instance.source].clone()];
    while centres.len() < clusters.min(nodes) {
        let nearest = |node: usize| {
            let all = centres
                .iter()
                .map(|centre| distance(centre, &features[node]));
            all.fold(f64::INFINITY, f64::min)
        };
        let Some(furthest) = (0..nodes).max_by(|a, b| nearest(*a).total_cmp(&nearest(*b))) else {
            break;
        };
        centres.push(features[furthest].clone());
    }
    let closest = |centres: &[Vec<f64>], node: usize| {
        (0..centres.len()).min_by(|a, b| {
            let to = |at: usize| distance(&centres[at], &features[node]);
            to(*a).total_cmp(&to(*b))
        })
    };
    for _ in 0..25 {
        let owners: Vec<Option<usize>> = (0..nodes).map(|node| closest(&centres, node)).collect();
        for (at, centre) in centres.iter_mut().enumerate() {
            let members: Vec<usize> = (0..nodes)
                .filter(|node| owners[*node] == Some(at))
                .collect();
            if members.is_empty() {
                continue;
            }
            for (feature, value) in centre.iter_mut().enumerate() {
                let sum: f64 = members.iter().map(|node| features[*node][feature]).sum();
                *value = sum / members.len() as f64;
            }
        }
    }
    let standing: Vec<usize> = centres
        .iter()
        .filter_map(|centre| {
            (0..nodes).min_by(|a, b| {
                distance(centre, &features[*a]).total_cmp(&distance(centre, &features[*b]))
            })
        })
        .collect();
    (0..nodes)
        .filter(|node| {
            *node != instance.source && !instance.is_terminal(*node) && !standing.contains(node)
        })
        .collect()
}

fn features(instance: &Instance) -> Vec<Vec<f64>> {
    let nodes = instance.nodes;
    let finite = |value: f64| if value.is_finite() { value } else { 0.0 };
    let most = |values: &[f64]| values.iter().copied().map(finite).fold(1e-12, f64::max);
    let (dearest, fastest) = (most(&instance.usd_per_gb), most(&instance.gbps));
    (0..nodes)
        .map(|node| {
            let mut line = Vec::with_capacity(4 * nodes);
            for other in 0..nodes {
                line.push(finite(instance.cost(node, other)) / dearest);
                line.push(finite(instance.cost(other, node)) / dearest);
                line.push(instance.rate(node, other) / fastest);
                line.push(instance.rate(other, node) / fastest);
            }
            line
        })
        .collect()
}
