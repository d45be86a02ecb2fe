//! Whole stripes: from shares to multiplicities.

use super::iterative::{Room, next_tree};
use crate::overlay::Limits;
use crate::packing::{Aim, Edges, Effort, Load, Packed, Pool, Work, machine_usd, pack};

/// Trees with their stripes, and what they cost.
#[derive(Clone, Debug)]
pub(super) struct Whole {
    pub(super) machines: Vec<u32>,
    pub(super) trees: Vec<(Edges, u32)>,
    pub(super) usd_per_gb: f64,
}

/// Tighter and tighter deadlines for the shares, so that there is room to round them.
const TRIES: u32 = 4;

/// Every tree keeps the whole part of its share; the stripes left over go one by one over the cheapest tree that has room for
/// one more within `longest` seconds a Gbit, machines that it needs included. Where there is none, shares are made again for a slightly shorter time. `None` where
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
    if let Some(found) = rounded(limits, &packed, room(&packed), Machines::Same, work) {
        return Some(found);
    }
    // Machines more where whole stripes need them, or shares made again for a shorter time: whichever is cheaper.
    let opened = rounded(limits, &packed, room(&packed), Machines::More, work);
    let mut best = opened;
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
        let found = again.and_then(|again| rounded(limits, &again, horizon, Machines::Same, work));
        if let Some(found) = found {
            let cheaper = best
                .as_ref()
                .is_none_or(|best| found.usd_per_gb < best.usd_per_gb);
            return if cheaper { Some(found) } else { best };
        }
        shorter *= 1.7;
    }
    if best.is_none() {
        best = rounded(limits, &packed, horizon, Machines::More, work);
    }
    best
}

/// Whether rounding may take machines more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Machines {
    Same,
    More,
}

fn rounded(
    limits: &Limits,
    packed: &Packed,
    longest: f64,
    allowed: Machines,
    work: &mut Work,
) -> Option<Whole> {
    let mut instance = limits.instance.clone();
    if allowed == Machines::Same {
        instance.limit.clone_from(&packed.machines);
    }
    let instance = &instance;
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
    let mut machines = packed.machines.clone();
    while left > 0 {
        let room = Room {
            longest,
            one,
            later: left - 1,
        };
        let tree = next_tree(instance, &load, &machines, room, work)?;
        load.add(instance, &tree, one);
        for (node, count) in machines.iter_mut().enumerate() {
            let needed = (load.machine_time(instance, node) / longest - 1e-9).ceil();
            *count = (*count).max(needed as u32);
        }
        left -= 1;
        match trees.iter_mut().find(|(known, _)| *known == tree) {
            Some((_, stripes)) => *stripes += 1,
            None => trees.push((tree, 1)),
        }
    }
    trees.sort();
    // Machines that whole stripes do not need.
    let time = load.time(instance, &machines);
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
