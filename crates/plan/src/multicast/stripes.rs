//! Whole stripes: from shares to multiplicities.

use crate::overlay::Limits;
use crate::packing::{Aim, Edges, Effort, Load, Packed, Pool, Work, machine_usd, pack, price};

/// Trees with their stripes, and what they cost.
#[derive(Clone, Debug)]
pub(super) struct Whole {
    pub(super) machines: Vec<u32>,
    pub(super) trees: Vec<(Edges, u32)>,
    pub(super) usd_per_gb: f64,
}

/// Tighter and tighter deadlines for the shares, so that there is room to round them.
const TRIES: u32 = 7;

/// Every tree keeps the whole part of its share; the stripes left over go one by one over the cheapest tree that has room for
/// one more within `longest` seconds a Gbit. Where there is none, shares are made again for a slightly shorter time. `None` where
/// the machines have no room for whole stripes even so.
pub(super) fn whole(
    limits: &Limits,
    packed: Packed,
    longest: f64,
    pool: &mut Pool,
    work: &mut Work,
) -> Option<Whole> {
    let stripes = f64::from(limits.stripes);
    // Without a deadline rounding may take as long as it needs; a stripe more a tree.
    let room = |packed: &Packed| {
        let more = 1.0 + packed.trees.len() as f64 / stripes;
        longest.min(packed.time * more)
    };
    if let Some(found) = rounded(limits, &packed, room(&packed)) {
        return Some(found);
    }
    let effort = Effort {
        most_nodes: 8,
        gap: 1e-4,
    };
    let mut shorter = packed.trees.len() as f64 / stripes;
    let horizon = longest.min(packed.time * 2.0);
    for _ in 0..TRIES {
        let aim = Aim::Cost {
            longest: horizon * (1.0 - shorter).max(0.5),
        };
        let again = pack(&limits.instance, aim, effort, pool, work);
        if let Some(found) = again.and_then(|again| rounded(limits, &again, horizon)) {
            return Some(found);
        }
        shorter *= 1.7;
    }
    None
}

fn rounded(limits: &Limits, packed: &Packed, longest: f64) -> Option<Whole> {
    let instance = &limits.instance;
    let stripes = f64::from(limits.stripes);
    let one = 1.0 / stripes;
    let mut load = Load::new(instance.nodes);
    let mut trees: Vec<(Edges, u32)> = Vec::new();
    let mut left = limits.stripes;
    for (tree, share) in &packed.trees {
        let count = (share * stripes + 1e-6).floor() as u32;
        if count > 0 {
            load.add(instance, tree, f64::from(count) * one);
            trees.push((tree.clone(), count));
            left = left.saturating_sub(count);
        }
    }
    let tolerance = longest * (1.0 + 1e-9);
    while left > 0 {
        let mut barred = instance.clone();
        let tree = loop {
            let weights = room_weights(&barred, &load, &packed.machines, tolerance, one);
            let tree = price(&barred, &weights)?.tree;
            let mut with = load.clone();
            with.add(instance, &tree, one);
            if with.time(instance, &packed.machines) <= tolerance {
                break tree;
            }
            // Room for one, but the tree leaves that region more than once: its dearest way out is barred.
            let (from, to) = overfull(&barred, &with, &tree, &packed.machines, tolerance)?;
            barred.forbid(from, to);
        };
        // Of the same tree as many at once as fit.
        let mut count = 0;
        while count < left {
            load.add(instance, &tree, one);
            if load.time(instance, &packed.machines) > tolerance {
                load.add(instance, &tree, -one);
                break;
            }
            count += 1;
        }
        if count == 0 {
            return None;
        }
        left -= count;
        match trees.iter_mut().find(|(known, _)| *known == tree) {
            Some((_, stripes)) => *stripes += count,
            None => trees.push((tree, count)),
        }
    }
    trees.sort();
    // Machines that whole stripes do not need.
    let time = load.time(instance, &packed.machines);
    let machines: Vec<u32> = (0..instance.nodes)
        .map(|node| {
            (load.machine_time(instance, node) / time - 1e-9)
                .ceil()
                .max(0.0) as u32
        })
        .collect();
    let egress: f64 = load
        .edges
        .iter()
        .map(|((from, to), share)| share * instance.cost(*from, *to))
        .sum();
    let time = load.time(instance, &machines);
    Some(Whole {
        usd_per_gb: egress + time * machine_usd(instance, &machines),
        machines,
        trees,
    })
}

/// Egress prices of the edges that have room for a stripe more; infinite elsewhere.
fn room_weights(
    instance: &crate::packing::Instance,
    load: &Load,
    machines: &[u32],
    longest: f64,
    one: f64,
) -> Vec<f64> {
    let nodes = instance.nodes;
    let mut weights = vec![f64::INFINITY; nodes * nodes];
    let room = |load: f64, capacity: f64| load + one <= capacity * longest;
    for from in 0..nodes {
        let out = f64::from(machines[from]);
        if !room(load.egress[from], instance.egress_gbps[from] * out) {
            continue;
        }
        for to in 0..nodes {
            let usd = instance.cost(from, to);
            let into = f64::from(machines[to]);
            if !usd.is_finite() || !room(load.ingress[to], instance.ingress_gbps[to] * into) {
                continue;
            }
            let on_edge = load.edges.get(&(from, to)).copied().unwrap_or(0.0);
            if room(on_edge, instance.rate(from, to) * out) {
                weights[from * nodes + to] = usd;
            }
        }
    }
    weights
}

/// The dearest edge of the tree out of a region that it fills beyond its room.
fn overfull(
    instance: &crate::packing::Instance,
    load: &Load,
    tree: &Edges,
    machines: &[u32],
    longest: f64,
) -> Option<(usize, usize)> {
    let over = |node: usize| {
        let capacity = instance.egress_gbps[node] * f64::from(machines[node]) * longest;
        load.egress[node] > capacity
    };
    tree.iter()
        .filter(|(from, _)| over(*from))
        .max_by(|a, b| instance.cost(a.0, a.1).total_cmp(&instance.cost(b.0, b.1)))
        .copied()
}
