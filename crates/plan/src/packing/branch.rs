//! Whole machines: branch and bound over their number in each region, best bound first.

use super::instance::{Instance, Load};
use super::master::{Aim, Bounds, Pool, Relaxed, Work, solve};
use super::price::{FEW_TERMINALS, Pricing};
use super::tree::Edges;
use std::collections::BTreeSet;

/// Trees, their shares, and whole machines to carry them.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    /// Machines by node.
    pub(crate) machines: Vec<u32>,
    /// Trees and the shares of the volume that they carry; the shares make up 1.
    pub(crate) trees: Vec<(Edges, f64)>,
    /// Seconds a Gbit of the volume.
    pub(crate) time: f64,
    /// Dollars a GB: egress, and machines for that time.
    pub(crate) usd_per_gb: f64,
    /// Nothing within the limits has a lower objective (dollars a GB, or seconds a Gbit): proven.
    pub(crate) bound: f64,
    /// The optimum where machines need not be whole.
    pub(crate) relaxed: f64,
}

/// How hard to try.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Most nodes of the search.
    pub(crate) most_nodes: usize,
    /// How near to the bound is near enough, of it.
    pub(crate) gap: f64,
}

impl Effort {
    /// Whether every node's trees are priced exactly.
    fn proves(&self, instance: &Instance) -> bool {
        instance.terminals.len() <= FEW_TERMINALS
    }

    /// Where trees are not priced exactly a node proves nothing: what rounding finds at the first ones is what there is.
    fn nodes(&self, instance: &Instance) -> usize {
        const UNPROVEN: usize = 4;
        match self.proves(instance) {
            true => self.most_nodes,
            false => self.most_nodes.min(UNPROVEN),
        }
    }
}

struct Open {
    bounds: Bounds,
    relaxed: Relaxed,
}

struct Search<'a> {
    instance: &'a Instance,
    aim: Aim,
    pool: &'a mut Pool,
    work: &'a mut Work,
    tried: BTreeSet<Vec<u32>>,
    best: Option<Packed>,
}

/// The best packing by the aim. `None` where none exists within the limits.
pub(crate) fn pack(
    instance: &Instance,
    aim: Aim,
    effort: Effort,
    pool: &mut Pool,
    work: &mut Work,
) -> Option<Packed> {
    let bounds: Bounds = instance.limit.iter().map(|limit| (0, *limit)).collect();
    let root = relax(instance, aim, effort.gap / 2.0, pool, work)?;
    let relaxed = root.bound;
    let mut search = Search {
        instance,
        aim,
        pool,
        work,
        tried: BTreeSet::new(),
        best: None,
    };
    search.round(&root);
    let mut open = vec![Open {
        bounds,
        relaxed: root,
    }];
    let mut proven = f64::INFINITY;
    for _ in 0..effort.nodes(instance) {
        // The least bound; of equal ones the newest, which is the deepest.
        let Some(at) = (0..open.len()).min_by(|a, b| {
            let bounds = open[*a].relaxed.bound.total_cmp(&open[*b].relaxed.bound);
            bounds.then(b.cmp(a))
        }) else {
            break;
        };
        if search.is_closed(open[at].relaxed.bound, effort.gap) {
            break;
        }
        let node = open.swap_remove(at);
        let Some(branching) = search.fractional(&node) else {
            // Whole already: what it is worth was tried when it was made.
            proven = proven.min(node.relaxed.bound);
            continue;
        };
        let value = node.relaxed.machines[branching];
        let mut down = node.bounds.clone();
        down[branching].1 = value.floor() as u32;
        let mut up = node.bounds.clone();
        up[branching].0 = value.ceil() as u32;
        for bounds in [down, up] {
            let start = &node.relaxed.trees;
            let pool = (&mut *search.pool, Pricing::Good, 0.0);
            let child = solve(instance, aim, &bounds, start, pool, search.work);
            if let Some(mut child) = child {
                child.bound = child.bound.max(node.relaxed.bound);
                search.round(&child);
                if !search.is_closed(child.bound, effort.gap) {
                    open.push(Open {
                        bounds,
                        relaxed: child,
                    });
                } else {
                    proven = proven.min(child.bound);
                }
            } else if !effort.proves(instance) {
                // No good tree was found, which does not say that there is none.
                proven = proven.min(node.relaxed.bound);
            }
        }
    }
    let mut best = search.best?;
    let left = open.iter().map(|node| node.relaxed.bound);
    let objective = objective(aim, &best);
    best.bound = left
        .fold(proven, f64::min)
        .min(objective)
        .max(relaxed.min(objective));
    best.relaxed = relaxed;
    Some(best)
}

/// The optimum where machines need not be whole, to within `gap` of it.
pub(crate) fn relax(
    instance: &Instance,
    aim: Aim,
    gap: f64,
    pool: &mut Pool,
    work: &mut Work,
) -> Option<Relaxed> {
    let bounds: Bounds = instance.limit.iter().map(|limit| (0, *limit)).collect();
    solve(
        instance,
        aim,
        &bounds,
        &[],
        (pool, Pricing::Proven, gap),
        work,
    )
}

fn objective(aim: Aim, packed: &Packed) -> f64 {
    match aim {
        Aim::Cost { .. } => packed.usd_per_gb,
        Aim::Time { .. } => packed.time,
    }
}

/// How far from a whole number counts as whole.
const WHOLE: f64 = 1e-6;

impl Search<'_> {
    fn is_closed(&self, bound: f64, gap: f64) -> bool {
        self.best.as_ref().is_some_and(|best| {
            let objective = objective(self.aim, best);
            bound >= objective - gap * objective.abs()
        })
    }

    /// The node whose machines are furthest from whole, by what they cost.
    fn fractional(&self, node: &Open) -> Option<usize> {
        let distance = |at: usize| {
            let value = node.relaxed.machines[at];
            let (least, most) = node.bounds[at];
            let part = (value - value.floor()).min(value.ceil() - value);
            if least == most || part < WHOLE {
                0.0
            } else {
                part
            }
        };
        let furthest = (0..self.instance.nodes)
            .max_by(|a, b| distance(*a).total_cmp(&distance(*b)).then(b.cmp(a)))?;
        (distance(furthest) > 0.0).then_some(furthest)
    }

    /// Tries the whole numbers above the relaxed ones, which carry all that those carry, and then no more machines than what
    /// flows needs.
    fn round(&mut self, relaxed: &Relaxed) {
        let above = |value: &f64| (value - WHOLE).ceil().max(0.0) as u32;
        let mut machines: Vec<u32> = relaxed.machines.iter().map(above).collect();
        for (count, limit) in machines.iter_mut().zip(&self.instance.limit) {
            *count = (*count).min(*limit);
        }
        self.attempt(machines, &relaxed.trees);
    }

    fn attempt(&mut self, machines: Vec<u32>, start: &[(Edges, f64)]) {
        if !self.tried.insert(machines.clone()) {
            return;
        }
        let bounds: Bounds = machines.iter().map(|count| (*count, *count)).collect();
        let pool = (&mut *self.pool, Pricing::Good, 0.0);
        let found = solve(self.instance, self.aim, &bounds, start, pool, self.work);
        let Some(found) = found else { return };
        let packed = trimmed(self.instance, found.trees, &machines);
        let better = match &self.best {
            None => true,
            Some(best) => {
                let (new, old) = (objective(self.aim, &packed), objective(self.aim, best));
                new < old * (1.0 - 1e-12)
                    || (new <= old * (1.0 + 1e-12) && packed.usd_per_gb < best.usd_per_gb)
            }
        };
        let fewer = packed.machines != machines;
        let again = fewer.then(|| (packed.machines.clone(), packed.trees.clone()));
        if better {
            self.best = Some(packed);
        }
        // With the machines that were not needed gone, other trees may be cheaper.
        if let Some((machines, trees)) = again {
            self.attempt(machines, &trees);
        }
    }
}

/// These trees with as few machines as carry them no later, shares made up to 1.
fn trimmed(instance: &Instance, trees: Vec<(Edges, f64)>, machines: &[u32]) -> Packed {
    let sum: f64 = trees.iter().map(|(_, share)| share).sum();
    let trees: Vec<(Edges, f64)> = trees
        .into_iter()
        .map(|(tree, share)| (tree, share / sum))
        .collect();
    let mut load = Load::new(instance.nodes);
    for (tree, share) in &trees {
        load.add(instance, tree, *share);
    }
    let time = load.time(instance, machines);
    let machines: Vec<u32> = (0..instance.nodes)
        .map(|node| {
            (load.machine_time(instance, node) / time - WHOLE)
                .ceil()
                .max(0.0) as u32
        })
        .collect();
    let egress: f64 = trees
        .iter()
        .map(|(tree, share)| instance.tree_cost(tree) * share)
        .sum();
    let time = load.time(instance, &machines);
    Packed {
        usd_per_gb: egress + time * machine_usd(instance, &machines),
        machines,
        trees,
        time,
        bound: f64::NEG_INFINITY,
        relaxed: f64::NEG_INFINITY,
    }
}

/// What these machines cost for a second a Gbit, in dollars a GB.
pub(crate) fn machine_usd(instance: &Instance, machines: &[u32]) -> f64 {
    machines
        .iter()
        .zip(&instance.machine_usd)
        .map(|(count, usd)| f64::from(*count) * usd)
        .sum()
}
