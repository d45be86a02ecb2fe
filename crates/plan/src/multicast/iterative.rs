//! Cloudcast's approximations (section 3.4): regions clustered, two hops at most, a stripe at a time.
//!
//! Each stripe takes the cheapest tree in what capacity the stripes before it have left; a machine more, where one is needed, costs
//! what it costs for the whole deadline. Later stripes never move earlier ones: that is what packing does better.

use crate::network::Network;
use crate::overlay::{Draft, Limits, Outcome, OverlayPlan, Request, whole_plan};
use crate::packing::{Edges, Instance, Load, Pricing, Work, price};
use crate::transfer::infeasible;
use skyfresh_sky::{Invalid, Region, Rng};

/// Regions that stand for all others, besides the source and the destinations (the paper's number).
const CLUSTERS: usize = 20;
const MOST_REPAIRS: usize = 64;

/// Regions that relay where they are clustered, besides the source and the destinations, by name: for other solvers.
///
/// # Errors
/// A request that no network could answer.
pub fn standing_for_clusters(network: &Network, request: &Request) -> Result<Vec<Region>, Invalid> {
    let limits = Limits::new(network, request, 0.0)?;
    let away = far_from_centres(&limits.instance, CLUSTERS);
    let all = network.regions().iter().enumerate();
    Ok(all
        .filter(|(node, _)| !away.contains(node))
        .map(|(_, region)| region.clone())
        .collect())
}

/// Which of the paper's approximations are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approximations {
    /// Only regions that stand for clusters of regions relay.
    pub clustered: bool,
    /// A stripe goes from the source to a relay, or from anywhere to a destination.
    pub two_hops: bool,
    /// A stripe at a time, not all at once.
    pub by_stripe: bool,
}

/// The plan with some of the paper's approximations: what each of them costs (Cloudcast's table 3).
///
/// # Errors
/// A request that no network could answer.
pub fn approximated(
    network: &Network,
    request: &Request,
    what: Approximations,
    work: &mut Work,
) -> Result<Outcome, Invalid> {
    let limits = Limits::new(network, request, 0.0)?;
    Ok(with(&limits, what, work))
}

/// The plan of the three approximations.
pub(crate) fn iterative(limits: &Limits, work: &mut Work) -> Outcome {
    let all = Approximations {
        clustered: true,
        two_hops: true,
        by_stripe: true,
    };
    with(limits, all, work)
}

fn with(limits: &Limits, what: Approximations, work: &mut Work) -> Outcome {
    let mut near = limits.clone();
    if what.clustered {
        for node in far_from_centres(&limits.instance, CLUSTERS) {
            near.instance.forbid_node(node);
        }
    }
    let nodes = near.instance.nodes;
    if what.two_hops {
        for from in (0..nodes).filter(|from| *from != limits.instance.source) {
            for to in (0..nodes).filter(|to| !limits.instance.is_terminal(*to)) {
                near.instance.forbid(from, to);
            }
        }
    }
    if !what.by_stripe {
        return super::best(&near, work);
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
    for at in 0..limits.stripes {
        let room = Room {
            longest,
            one,
            later: limits.stripes - at - 1,
        };
        let tree = next_tree(instance, &load, &machines, room, work)?;
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

/// What stripes have to fit into.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Seconds a Gbit of the volume.
    pub(super) longest: f64,
    /// A stripe, as a share of the volume.
    pub(super) one: f64,
    /// How many more stripes the source must send after this one: room for each of them is kept.
    pub(super) later: u32,
}

/// The cheapest tree for one more stripe, machines that it needs included.
pub(super) fn next_tree(
    instance: &Instance,
    load: &Load,
    machines: &[u32],
    room: Room,
    work: &mut Work,
) -> Option<Edges> {
    let mut barred = instance.clone();
    let mut reserved = load.clone();
    reserved.egress[instance.source] += f64::from(room.later) * room.one;
    for _ in 0..MOST_REPAIRS {
        let weights = weights(&barred, &reserved, machines, room.longest, room.one);
        work.priced += 1;
        let tree = price(&barred, &weights, Pricing::Good)?.tree;
        let mut with = reserved.clone();
        with.add(instance, &tree, room.one);
        let over = (0..instance.nodes).find(|node| {
            let needed = with.machine_time(instance, *node) / room.longest - 1e-9;
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
        let internet = instance.internet_limit(from);
        let internet = internet.map_or(0.0, |limit| more(from, load.internet[from], limit));
        for to in 0..nodes {
            let usd = instance.cost(from, to);
            if !usd.is_finite() {
                continue;
            }
            let on_edge = load.edges.get(&(from, to)).copied().unwrap_or(0.0);
            let mut out = out.max(more(from, on_edge, instance.rate(from, to)));
            if instance.is_internet(from, to) {
                out = out.max(internet);
            }
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

/// Regions that are neither an end nor the one that stands for its cluster: k-means on what leads out of each region, prices and
/// bandwidths, the best of several beginnings drawn from a fixed seed.
fn far_from_centres(instance: &Instance, clusters: usize) -> Vec<usize> {
    const BEGINNINGS: usize = 10;
    const TURNS: usize = 50;
    let nodes = instance.nodes;
    let features = features(instance);
    let rng = Rng::seeded(20);
    let mut best: Option<(f64, Vec<Vec<f64>>)> = None;
    for _ in 0..BEGINNINGS {
        let mut centres = spread(&features, clusters.min(nodes), &rng);
        for _ in 0..TURNS {
            let owners: Vec<usize> = features
                .iter()
                .map(|one| closest(&centres, one).0)
                .collect();
            for (at, centre) in centres.iter_mut().enumerate() {
                let members = || (0..nodes).filter(|node| owners[*node] == at);
                let count = members().count();
                for (feature, value) in centre.iter_mut().enumerate() {
                    if count > 0 {
                        let sum: f64 = members().map(|node| features[node][feature]).sum();
                        *value = sum / count as f64;
                    }
                }
            }
        }
        let inertia: f64 = features.iter().map(|one| closest(&centres, one).1).sum();
        if best.as_ref().is_none_or(|(least, _)| inertia < *least) {
            best = Some((inertia, centres));
        }
    }
    let centres = best.map_or_else(Vec::new, |(_, centres)| centres);
    let standing: Vec<usize> = centres
        .iter()
        .map(|centre| closest(&features, centre).0)
        .collect();
    (0..nodes)
        .filter(|node| {
            *node != instance.source && !instance.is_terminal(*node) && !standing.contains(node)
        })
        .collect()
}

/// Beginnings far from one another: each next one drawn with odds that grow with its squared distance (k-means++).
fn spread(features: &[Vec<f64>], clusters: usize, rng: &Rng) -> Vec<Vec<f64>> {
    let first = rng.below(features.len() as u64) as usize;
    let mut centres = vec![features[first].clone()];
    while centres.len() < clusters {
        let odds: Vec<f64> = features
            .iter()
            .map(|one| closest(&centres, one).1)
            .collect();
        let mut left = rng.unit() * odds.iter().sum::<f64>();
        let drawn = odds.iter().position(|odds| {
            left -= odds;
            left < 0.0
        });
        centres.push(features[drawn.unwrap_or(0)].clone());
    }
    centres
}

/// Which of `points` is the nearest, and its squared distance.
fn closest(points: &[Vec<f64>], to: &[f64]) -> (usize, f64) {
    let distance = |point: &[f64]| -> f64 {
        let parts = point.iter().zip(to);
        parts.map(|(a, b)| (a - b) * (a - b)).sum()
    };
    points
        .iter()
        .map(|point| distance(point))
        .enumerate()
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .unwrap_or((0, 0.0))
}

/// What it costs to send from a region to every other, and how fast that is, as the tables have it.
fn features(instance: &Instance) -> Vec<Vec<f64>> {
    let nodes = instance.nodes;
    let finite = |value: f64| if value.is_finite() { value } else { 0.0 };
    (0..nodes)
        .map(|node| {
            let usd = (0..nodes).map(|other| finite(instance.cost(node, other)));
            let gbps = (0..nodes).map(|other| instance.rate(node, other));
            usd.chain(gbps).collect()
        })
        .collect()
}
