//! Cloudcast's programme as it stands: section 3.3 and appendix B.
//!
//! P(s,u,v) is 1 where stripe s takes the edge (u,v), F(s,u,v) the flow that makes P a tree (|D| units leave the source, one ends
//! at each destination), N(v) the machines. Minimised is `time·⟨machines⟩ + volume/stripes·Σ egress`.

use crate::overlay::{Draft, Limits, Outcome, whole_plan};
use crate::packing::{Edges, LinkSharing, arborescence};
use crate::solve::{Model, Sense, Solved, VariableId};
use crate::transfer::infeasible;
use skyfresh_sky::Invalid;
use std::collections::BTreeMap;

/// Above this microlp's branch and bound does not come back in a minute.
const MOST_WHOLE: usize = 400;

struct Variables {
    /// By stripe and edge.
    path: Vec<BTreeMap<(usize, usize), VariableId>>,
    machines: BTreeMap<usize, VariableId>,
}

/// The paper's programme for a request, in dollars a GB of the volume; for larger solvers, by [`Model::to_mps`].
///
/// # Errors
/// A request that no network could answer, and one without a deadline: the programme has none without.
pub fn reference_model(
    network: &crate::network::Network,
    request: &crate::overlay::Request,
) -> Result<Model, Invalid> {
    let limits = Limits::new(network, request, 0.0)?;
    Ok(model(&limits)?.0)
}

fn model(limits: &Limits) -> Result<(Model, Variables), Invalid> {
    let instance = &limits.instance;
    if !limits.longest.is_finite() {
        let why = "the paper's programme minimises cost under a deadline: give --deadline or --throughput";
        return Err(Invalid::new("engine", "milp", why));
    }
    let longest = limits.longest;
    let one = 1.0 / f64::from(limits.stripes);
    let count = instance.terminals.len() as f64;
    let mut model = Model::default();
    let nodes: Vec<usize> = (0..instance.nodes)
        .filter(|node| {
            *node == instance.source
                || (0..instance.nodes).any(|from| instance.rate(from, *node) > 0.0)
        })
        .collect();
    let machines: BTreeMap<usize, VariableId> = nodes
        .iter()
        .map(|node| {
            let limit = f64::from(instance.limit[*node]);
            let usd = instance.machine_usd[*node] * longest;
            (
                *node,
                model.variable(format!("N{node}"), usd, 0.0, limit, true),
            )
        })
        .collect();
    let edges: Vec<(usize, usize)> = nodes
        .iter()
        .flat_map(|from| nodes.iter().map(move |to| (*from, *to)))
        .filter(|(from, to)| instance.rate(*from, *to) > 0.0)
        .collect();
    let mut path = Vec::new();
    for stripe in 0..limits.stripes {
        let mut paths = BTreeMap::new();
        let mut flows = BTreeMap::new();
        for (from, to) in &edges {
            let usd = instance.cost(*from, *to) * one;
            let name = format!("{stripe}_{from}_{to}");
            let taken = model.variable(format!("P{name}"), usd, 0.0, 1.0, true);
            let flow = model.variable(format!("F{name}"), 0.0, 0.0, count, false);
            // Equations 9 and 10: flow on an edge if and only if the stripe takes it.
            let terms = vec![(taken, 1.0), (flow, -1.0)];
            model.constrain(format!("a{name}"), terms, Sense::AtMost, 0.0);
            let terms = vec![(flow, 1.0), (taken, -count)];
            model.constrain(format!("b{name}"), terms, Sense::AtMost, 0.0);
            paths.insert((*from, *to), taken);
            flows.insert((*from, *to), flow);
        }
        // Equation 11: |D| units leave the source, a unit ends at each destination.
        for node in &nodes {
            let mut terms = Vec::new();
            for ((from, to), flow) in &flows {
                if from == node {
                    terms.push((*flow, 1.0));
                }
                if to == node {
                    terms.push((*flow, -1.0));
                }
            }
            let supply = match *node {
                node if node == instance.source => count,
                node if instance.is_terminal(node) => -1.0,
                _ => 0.0,
            };
            model.constrain(format!("c{stripe}_{node}"), terms, Sense::Equal, supply);
        }
        path.push(paths);
    }
    let over_stripes = |edge: &(usize, usize)| -> Vec<(VariableId, f64)> {
        path.iter().map(|paths| (paths[edge], one)).collect()
    };
    for edge in &edges {
        let mut terms = over_stripes(edge);
        let rate = instance.rate(edge.0, edge.1);
        terms.push((machines[&edge.0], -rate * longest));
        if instance.sharing == LinkSharing::Pairs && rate < instance.sends_at_most(edge.0, edge.1) {
            let name = format!("d{}_{}", edge.0, edge.1);
            model.constrain(name, terms, Sense::AtMost, 0.0);
        }
    }
    for node in &nodes {
        if let Some(limit) = instance.internet_limit(*node) {
            let out =
                |edge: &&(usize, usize)| edge.0 == *node && instance.is_internet(edge.0, edge.1);
            let ours = edges.iter().filter(out);
            let mut terms: Vec<_> = ours.flat_map(&over_stripes).collect();
            terms.push((machines[node], -limit * longest));
            model.constrain(format!("i{node}"), terms, Sense::AtMost, 0.0);
        }
        let sides = [
            ('e', instance.egress_gbps[*node], true),
            ('f', instance.ingress_gbps[*node], false),
        ];
        for (name, capacity, out) in sides {
            let here = |edge: &&(usize, usize)| {
                if out {
                    edge.0 == *node
                } else {
                    edge.1 == *node
                }
            };
            let ours: Vec<_> = edges.iter().filter(here).collect();
            let mut terms: Vec<_> = ours.iter().flat_map(|edge| over_stripes(edge)).collect();
            terms.push((machines[node], -capacity * longest));
            model.constrain(format!("{name}{node}"), terms, Sense::AtMost, 0.0);
            if instance.sharing == LinkSharing::Connections {
                let share = |edge: &&(usize, usize)| {
                    let rate = instance.rate(edge.0, edge.1);
                    over_stripes(edge)
                        .into_iter()
                        .map(move |(at, one)| (at, one / rate))
                };
                let mut terms: Vec<_> = ours.iter().flat_map(share).collect();
                terms.push((machines[node], -longest));
                model.constrain(format!("{name}c{node}"), terms, Sense::AtMost, 0.0);
            }
        }
    }
    Ok((model, Variables { path, machines }))
}

/// The paper's programme, solved to the optimum: for small networks and few stripes.
///
/// # Errors
/// No deadline, or more whole variables than can be branched on here.
pub(crate) fn milp(limits: &Limits) -> Result<Outcome, Invalid> {
    let (model, variables) = model(limits)?;
    let whole = model.whole_variables();
    if whole > MOST_WHOLE {
        let why = format!(
            "{whole} whole variables (stripes × links) are more than the {MOST_WHOLE} that are solved here: allow fewer regions or \
             stripes, or write the programme with --write-mps for a larger solver"
        );
        return Err(Invalid::new("engine", "milp", why));
    }
    let values = match model.solve() {
        Solved::Optimal { values, .. } => values,
        Solved::Infeasible => {
            let effort = crate::packing::Effort {
                most_nodes: 8,
                gap: 1e-3,
            };
            let why = infeasible(limits, "milp", effort, &mut crate::packing::Work::default());
            return Ok(Outcome::Infeasible(Box::new(why)));
        }
        Solved::Failed(why) => {
            return Err(Invalid::new(
                "engine",
                "milp",
                format!("the solver gave up: {why}"),
            ));
        }
    };
    let mut trees: BTreeMap<Edges, u32> = BTreeMap::new();
    for paths in &variables.path {
        let taken = paths.iter().filter(|(_, at)| values[**at] > 0.5);
        let tree: Edges = taken.map(|(edge, _)| *edge).collect();
        // Free edges may be taken for nothing.
        let tree =
            arborescence(&limits.instance, &tree, &limits.instance.usd_per_gb).unwrap_or(tree);
        *trees.entry(tree).or_default() += 1;
    }
    let mut machines = vec![0; limits.instance.nodes];
    for (node, at) in &variables.machines {
        machines[*node] = values[*at].round() as u32;
    }
    let draft = Draft {
        engine: "milp".into(),
        machines,
        trees: trees.into_iter().collect(),
        shares: None,
        // The programme pays machines until the deadline, this plan until it ends: the programme's optimum bounds neither.
        lower_bound_usd: None,
        lower_bound_s: None,
        time: None,
    };
    Ok(Outcome::Plan(Box::new(whole_plan(limits, draft))))
}
