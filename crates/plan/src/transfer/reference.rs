//! Skyplane's programme as the paper has it (equations 4a to 4j), for other solvers to compare with.

use crate::network::Network;
use crate::overlay::{Limits, Request};
use crate::solve::{Model, Sense, VariableId};
use skyfresh_sky::Invalid;
use std::collections::BTreeMap;

/// Connections of a machine (the paper's LIMIT^conn).
const CONNECTIONS: f64 = 64.0;

/// F, N and M with every constraint of the paper, the indices of 4h and 4i put right; N whole, M not. Minimised are dollars a GB
/// at exactly the throughput that is the goal.
///
/// # Errors
/// A request that no network could answer; one with several destinations, or without a throughput or deadline.
pub fn reference_model(network: &Network, request: &Request) -> Result<Model, Invalid> {
    let limits = Limits::new(network, request, 0.0)?;
    let instance = &limits.instance;
    let [terminal] = instance.terminals[..] else {
        let given = instance.terminals.len().to_string();
        return Err(Invalid::new(
            "destinations",
            given,
            "the programme is for one",
        ));
    };
    if !limits.longest.is_finite() {
        let why = "the programme needs a throughput or a deadline";
        return Err(Invalid::new("goal", format!("{:?}", request.goal), why));
    }
    let goal_gbps = 1.0 / limits.longest;
    let mut model = Model::default();
    let machines: Vec<VariableId> = (0..instance.nodes)
        .map(|node| {
            let usd = instance.machine_usd[node] / goal_gbps;
            let limit = f64::from(instance.limit[node]);
            model.variable(format!("N{node}"), usd, 0.0, limit, true)
        })
        .collect();
    // By edge: its flow and its connections.
    let mut edges: BTreeMap<(usize, usize), (VariableId, VariableId)> = BTreeMap::new();
    for from in (0..instance.nodes).filter(|from| *from != terminal) {
        for to in (0..instance.nodes).filter(|to| *to != instance.source) {
            let rate = instance.rate(from, to);
            if rate <= 0.0 {
                continue;
            }
            let name = format!("{from}_{to}");
            let usd = instance.cost(from, to) / goal_gbps;
            let flow = model.variable(format!("F{name}"), usd, 0.0, f64::INFINITY, false);
            let count = model.variable(format!("M{name}"), 0.0, 0.0, f64::INFINITY, false);
            // 4b
            let terms = vec![(flow, 1.0), (count, -rate / CONNECTIONS)];
            model.constrain(format!("b{name}"), terms, Sense::AtMost, 0.0);
            edges.insert((from, to), (flow, count));
        }
    }
    for (node, ours) in machines.iter().enumerate() {
        let out = || edges.iter().filter(move |((from, _), _)| *from == node);
        let into = || edges.iter().filter(move |((_, to), _)| *to == node);
        let mut add = |name: &str, terms: Vec<(VariableId, f64)>, sense, bound| {
            model.constrain(format!("{name}{node}"), terms, sense, bound);
        };
        if node == instance.source {
            let terms = out().map(|(_, (flow, _))| (*flow, 1.0)).collect();
            add("c", terms, Sense::Equal, goal_gbps);
        } else if node == terminal {
            let terms = into().map(|(_, (flow, _))| (*flow, 1.0)).collect();
            add("d", terms, Sense::Equal, goal_gbps);
        } else {
            let mut terms: Vec<_> = out().map(|(_, (flow, _))| (*flow, 1.0)).collect();
            terms.extend(into().map(|(_, (flow, _))| (*flow, -1.0)));
            add("e", terms, Sense::Equal, 0.0);
        }
        if let Some(limit) = instance.internet_limit(node) {
            // Not the paper's, which has one limit: its 4g once more, for what goes over the internet.
            let leaves = out().filter(|((from, to), _)| instance.is_internet(*from, *to));
            let mut flows: Vec<_> = leaves.map(|(_, (flow, _))| (*flow, 1.0)).collect();
            flows.push((*ours, -limit));
            add("gi", flows, Sense::AtMost, 0.0);
        }
        let caps = [
            ("f", true, instance.ingress_gbps[node]),
            ("g", false, instance.egress_gbps[node]),
        ];
        for (name, enters, cap) in caps {
            let side: Vec<_> = if enters {
                into().collect()
            } else {
                out().collect()
            };
            let mut flows: Vec<_> = side.iter().map(|(_, (flow, _))| (*flow, 1.0)).collect();
            flows.push((*ours, -cap));
            add(name, flows, Sense::AtMost, 0.0);
            let mut counts: Vec<_> = side.iter().map(|(_, (_, count))| (*count, 1.0)).collect();
            counts.push((*ours, -CONNECTIONS));
            add(if enters { "i" } else { "h" }, counts, Sense::AtMost, 0.0);
        }
    }
    Ok(model)
}
