//! The master: how much of the volume each tree carries, for how long how many machines stand, how long it all takes.
//!
//! Variables: y_τ ≥ 0, the share of tree τ; m_v ≥ 0, machine-seconds a Gbit in region v; u, seconds a Gbit of the volume. Rows, per
//! GB of the volume: Σ y = 1; what is read ≤ what the source's machines read from their store; what leaves, enters and takes connections at v ≤ its capacity × m_v,
//! and what leaves over the internet, where that is limited apart; per link ≤ bandwidth × m_u;
//! least_v·u ≤ m_v ≤ most_v·u; u ≤ the deadline's; cost ≤ the budget's. That is linear although machines × time is not, since
//! machine-time is the variable: with least = most it is the plan's own arithmetic, else a relaxation of the number of
//! machines. (Charnes and Cooper's substitution does the same to Skyplane's objective, equation 4a.)

use super::instance::{Instance, LinkSharing};
use super::price::{Pricing, price};
use super::tree::{Edges, weight};
use crate::solve::simplex::{ColumnId, End, RowId, Simplex};
use std::collections::BTreeMap;

/// What is minimised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Aim {
    /// Dollars, in no more than this many seconds a Gbit (infinite: no deadline).
    Cost { longest: f64 },
    /// Time, for no more than this many dollars a GB (infinite: no budget).
    Time { budget: f64 },
}

/// Fewest and most machines of each node.
pub(crate) type Bounds = Vec<(u32, u32)>;

/// An optimum of the master.
#[derive(Clone, Debug)]
pub(crate) struct Relaxed {
    /// Dollars a GB, or seconds a Gbit, by the aim.
    pub(crate) objective: f64,
    /// No solution within these bounds on machines has less.
    pub(crate) bound: f64,
    /// What a second a Gbit more of time would change of the objective; 0 where there is time enough.
    pub(crate) slope: f64,
    /// Machines by node, whole or not.
    pub(crate) machines: Vec<f64>,
    /// Trees that carry something, and their shares.
    pub(crate) trees: Vec<(Edges, f64)>,
}

/// What no tree costs.
const SHORT_USD: f64 = 1e4;
/// Where a share counts as nothing.
const NOTHING: f64 = 1e-9;
/// How much better than the optimum an unseen tree could make it, of it, before pricing ends.
const GAP: f64 = 1e-9;

/// Trees known from other masters of the same instance, in the order in which they were found.
pub(crate) type Pool = Vec<Edges>;

/// Solves the master by column generation, beginning with the trees of `start`. Of `pool` those come in that would better it,
/// before anything is priced; it takes the new ones in. Good trees are looked for first; where `pricing` asks for it, that there
/// are none by which it would be better than by `gap`, of it, is proven in the end. `None` where the volume cannot be carried within the bounds.
pub(crate) fn solve(
    instance: &Instance,
    aim: Aim,
    bounds: &Bounds,
    start: &[(Edges, f64)],
    (pool, pricing, gap): (&mut Pool, Pricing, f64),
    work: &mut Work,
) -> Option<Relaxed> {
    work.masters += 1;
    let mut master = Master::new(instance, aim, bounds);
    for (tree, _) in start {
        master.add(tree);
    }
    let mut bound: f64 = f64::NEG_INFINITY;
    let mut stage = Pricing::Good;
    for _ in 0..MOST_ROUNDS {
        let before = master.lp.pivots;
        let end = master.lp.optimise();
        work.pivots += master.lp.pivots - before;
        if end != End::Optimal {
            break;
        }
        let duals = master.lp.duals();
        let weights = master.weights(&duals);
        let objective = master.lp.objective();
        // What a tree may weigh: all read alike.
        let worth = duals[master.demand] + master.read.map_or(0.0, |row| duals[row].min(0.0));
        let better = worth - GAP * (1.0 + objective.abs());
        if master.add_from(pool, &weights, better) {
            continue;
        }
        work.priced += 1;
        let priced = price(instance, &weights, stage)?;
        if priced.bound.is_finite() {
            // Σ y = 1, so no solution can gain more than the best tree's reduced cost.
            bound = bound.max(objective + (priced.bound - worth).min(0.0));
        }
        let near = stage == Pricing::Proven && bound >= objective - gap * objective.abs();
        if near && priced.weight < better {
            break;
        }
        if priced.weight < better && !master.knows(&priced.tree) {
            master.add(&priced.tree);
            pool.push(priced.tree);
            stage = Pricing::Good;
        } else if stage == pricing || priced.bound == priced.weight {
            break;
        } else {
            stage = pricing;
        }
    }
    master.read(bound)
}

const MOST_ROUNDS: usize = 2_000;

/// What was done, in units that do not depend on the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Pivots of the simplex.
    pub pivots: u64,
    /// Trees or paths priced.
    pub priced: u64,
    /// Masters solved.
    pub masters: u64,
}

#[derive(Clone, Copy, Debug)]
struct NodeRows {
    egress: RowId,
    /// What leaves over the internet, where that is limited apart.
    internet: Option<RowId>,
    ingress: RowId,
    connections: Option<(RowId, RowId)>,
    /// The machine-time, where the number of machines is not fixed; else that of all of them is a multiple of `u`.
    machine_time: Option<ColumnId>,
}

struct Master<'a> {
    instance: &'a Instance,
    aim: Aim,
    bounds: &'a Bounds,
    lp: Simplex,
    demand: RowId,
    short: ColumnId,
    time: ColumnId,
    budget: Option<RowId>,
    deadline: Option<RowId>,
    /// What is read from the source's store, where that is limited: every tree reads its share once.
    read: Option<RowId>,
    nodes: Vec<Option<NodeRows>>,
    edges: BTreeMap<(usize, usize), RowId>,
    trees: BTreeMap<Edges, ColumnId>,
}

impl<'a> Master<'a> {
    fn new(instance: &'a Instance, aim: Aim, bounds: &'a Bounds) -> Self {
        let mut lp = Simplex::default();
        let (demand, short) = lp.add_equality(1.0, SHORT_USD);
        // Machines whose number is fixed are paid for as long as it takes, used or not.
        let fixed: f64 = bounds
            .iter()
            .zip(&instance.machine_usd)
            .filter(|((least, most), _)| least == most)
            .map(|((least, _), usd)| f64::from(*least) * usd)
            .sum();
        let (time_cost, longest, budget) = match aim {
            Aim::Cost { longest } => (fixed, longest, f64::INFINITY),
            Aim::Time { budget } => (1.0, f64::INFINITY, budget),
        };
        let time = lp.add_column(time_cost, Vec::new());
        let deadline = longest
            .is_finite()
            .then(|| lp.add_row(longest, &[(time, 1.0)]));
        let budget = budget
            .is_finite()
            .then(|| lp.add_row(budget, &[(time, fixed)]));
        let mut master = Master {
            instance,
            aim,
            bounds,
            lp,
            demand,
            short,
            time,
            budget,
            deadline,
            read: None,
            nodes: vec![None; instance.nodes],
            edges: BTreeMap::new(),
            trees: BTreeMap::new(),
        };
        for (node, (least, most)) in bounds.iter().enumerate() {
            if *least > 0 && least != most {
                master.open(node);
            }
        }
        if instance.read_gbps.is_finite() {
            let least = f64::from(bounds[instance.source].0);
            let entry = match master.open(instance.source).machine_time {
                Some(column) => (column, -instance.read_gbps),
                None => (master.time, -instance.read_gbps * least),
            };
            master.read = Some(master.lp.add_row(0.0, &[entry]));
        }
        master
    }

    fn open(&mut self, node: usize) -> NodeRows {
        if let Some(rows) = self.nodes[node] {
            return rows;
        }
        let (least, most) = self.bounds[node];
        let usd = self.instance.machine_usd[node];
        let mut machine_time = None;
        if least != most {
            let mut entries = Vec::new();
            if let Some(budget) = self.budget {
                entries.push((budget, usd));
            }
            let cost = if self.pays() { usd } else { 0.0 };
            let column = self.lp.add_column(cost, entries);
            self.lp
                .add_row(0.0, &[(column, 1.0), (self.time, -f64::from(most))]);
            if least > 0 {
                self.lp
                    .add_row(0.0, &[(column, -1.0), (self.time, f64::from(least))]);
            }
            machine_time = Some(column);
        }
        let capacity = |lp: &mut Simplex, time: ColumnId, gbps: f64| match machine_time {
            Some(column) => lp.add_row(0.0, &[(column, -gbps)]),
            None => lp.add_row(0.0, &[(time, -gbps * f64::from(least))]),
        };
        let egress = capacity(&mut self.lp, self.time, self.instance.egress_gbps[node]);
        let ingress = capacity(&mut self.lp, self.time, self.instance.ingress_gbps[node]);
        let connections = (self.instance.sharing == LinkSharing::Connections).then(|| {
            (
                capacity(&mut self.lp, self.time, 1.0),
                capacity(&mut self.lp, self.time, 1.0),
            )
        });
        let internet = self.instance.internet_limit(node);
        let internet = internet.map(|gbps| capacity(&mut self.lp, self.time, gbps));
        let rows = NodeRows {
            egress,
            internet,
            ingress,
            connections,
            machine_time,
        };
        self.nodes[node] = Some(rows);
        rows
    }

    fn pays(&self) -> bool {
        matches!(self.aim, Aim::Cost { .. })
    }

    fn knows(&self, tree: &Edges) -> bool {
        self.trees.contains_key(tree)
    }

    fn add(&mut self, tree: &Edges) {
        if self.knows(tree) {
            return;
        }
        let mut uses: BTreeMap<RowId, f64> = BTreeMap::new();
        for (from, to) in tree {
            let (out, into) = (self.open(*from), self.open(*to));
            *uses.entry(out.egress).or_default() += 1.0;
            if let Some(row) = out.internet
                && self.instance.is_internet(*from, *to)
            {
                *uses.entry(row).or_default() += 1.0;
            }
            *uses.entry(into.ingress).or_default() += 1.0;
            let rate = self.instance.rate(*from, *to);
            if let (Some((row, _)), Some((_, into_row))) = (out.connections, into.connections) {
                *uses.entry(row).or_default() += 1.0 / rate;
                *uses.entry(into_row).or_default() += 1.0 / rate;
            } else if rate < self.instance.sends_at_most(*from, *to) {
                // A link faster than a machine's cap never binds.
                let row =
                    *self
                        .edges
                        .entry((*from, *to))
                        .or_insert_with(|| match out.machine_time {
                            Some(column) => self.lp.add_row(0.0, &[(column, -rate)]),
                            None => {
                                let least = f64::from(self.bounds[*from].0);
                                self.lp.add_row(0.0, &[(self.time, -rate * least)])
                            }
                        });
                *uses.entry(row).or_default() += 1.0;
            }
        }
        let usd = self.instance.tree_cost(tree);
        uses.insert(self.demand, 1.0);
        if let Some(read) = self.read {
            uses.insert(read, 1.0);
        }
        if let Some(budget) = self.budget {
            uses.insert(budget, usd);
        }
        let cost = if self.pays() { usd } else { 0.0 };
        let column = self.lp.add_column(cost, uses.into_iter().collect());
        self.trees.insert(tree.clone(), column);
    }

    /// Adds the known trees that weigh least, of those that weigh less than `most`. Whether there were any.
    fn add_from(&mut self, pool: &Pool, weights: &[f64], most: f64) -> bool {
        const AT_ONCE: usize = 3;
        let nodes = self.instance.nodes;
        let weighed = pool.iter().map(|tree| (weight(nodes, tree, weights), tree));
        let mut good: Vec<(f64, &Edges)> = weighed
            .filter(|(weight, tree)| *weight < most && !self.knows(tree))
            .collect();
        good.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(b.1)));
        for (_, tree) in good.iter().take(AT_ONCE) {
            self.add(tree);
        }
        !good.is_empty()
    }

    /// What a GB over each edge is worth at these duals: nodes × nodes.
    fn weights(&self, duals: &[f64]) -> Vec<f64> {
        let instance = self.instance;
        let nodes = instance.nodes;
        // Duals of rows ≤ are ≤ 0: scarcity makes an edge dearer.
        let scarce = |row: RowId| (-duals[row]).max(0.0);
        let budget = self.budget.map_or(0.0, scarce);
        let paid = if self.pays() { 1.0 } else { 0.0 } + budget;
        // A node that no tree uses yet: its machines' price is put on what it would send, or receive where it is an end. That
        // is a feasible dual, and keeps trees from trying every node in turn.
        let unopened = |node: usize, sends: bool| {
            let (least, most) = self.bounds[node];
            if most == 0 {
                return f64::INFINITY;
            }
            if least == most || sends == instance.is_terminal(node) {
                return 0.0;
            }
            let capacity = if sends {
                instance.egress_gbps[node]
            } else {
                instance.ingress_gbps[node]
            };
            paid * instance.machine_usd[node] / capacity
        };
        let mut out = vec![0.0; nodes];
        let mut internet = vec![0.0; nodes];
        let mut into = vec![0.0; nodes];
        let mut out_connections = vec![0.0; nodes];
        let mut in_connections = vec![0.0; nodes];
        for node in 0..nodes {
            match self.nodes[node] {
                Some(rows) => {
                    out[node] = scarce(rows.egress);
                    internet[node] = rows.internet.map_or(0.0, scarce);
                    into[node] = scarce(rows.ingress);
                    if let Some((row, into_row)) = rows.connections {
                        out_connections[node] = scarce(row);
                        in_connections[node] = scarce(into_row);
                    }
                }
                None => {
                    out[node] = unopened(node, true);
                    into[node] = unopened(node, false);
                }
            }
        }
        let mut weights = vec![f64::INFINITY; nodes * nodes];
        for from in 0..nodes {
            for to in 0..nodes {
                let usd = instance.cost(from, to);
                if usd.is_finite() {
                    let connections =
                        (out_connections[from] + in_connections[to]) / instance.rate(from, to);
                    let internet = match instance.is_internet(from, to) {
                        true => internet[from],
                        false => 0.0,
                    };
                    weights[from * nodes + to] =
                        paid * usd + out[from] + internet + into[to] + connections;
                }
            }
        }
        for ((from, to), row) in &self.edges {
            weights[from * nodes + to] += scarce(*row);
        }
        weights
    }

    fn read(&self, bound: f64) -> Option<Relaxed> {
        if self.lp.value(self.short) > NOTHING {
            return None;
        }
        let time = self.lp.value(self.time);
        let trees = self
            .trees
            .iter()
            .map(|(tree, column)| (tree.clone(), self.lp.value(*column)))
            .filter(|(_, share)| *share > NOTHING)
            .collect();
        let machines = (0..self.instance.nodes).map(|node| {
            let column = self.nodes[node].and_then(|rows| rows.machine_time);
            match column {
                Some(column) => self.lp.value(column) / time.max(f64::MIN_POSITIVE),
                None => {
                    let (least, most) = self.bounds[node];
                    if least == most { f64::from(least) } else { 0.0 }
                }
            }
        });
        Some(Relaxed {
            objective: self.lp.objective(),
            bound,
            slope: self.deadline.map_or(0.0, |row| self.lp.duals()[row]),
            machines: machines.collect(),
            trees,
        })
    }
}
