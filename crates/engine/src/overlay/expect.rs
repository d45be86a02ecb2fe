//! How long relays will take for a plan. Pure.
//!
//! A plan's time is what its bytes take at its rate. Carried out, a pipeline of relays must fill first, and its last chunk must come to
//! the end and be acknowledged: with large parts and many hops that is seconds.

use skyfresh_plan::overlay::OverlayPlan;
use skyfresh_relay::NodeId;
use skyfresh_relay::topology::Topology;
use std::collections::BTreeMap;

/// Round trips until a connection carries its first chunk: TCP, TLS, greeting and welcome.
const OPENING_ROUND_TRIPS: f64 = 3.0;

/// From the first connection to the last acknowledgement, beyond the plan's own time, in seconds: the longest of all trees and
/// destinations. Connections open, all at once; chunks are stored and forwarded, so every hop adds half a round trip and the time of one
/// chunk on one connection; the acknowledgement goes back the same way. A connection has its part of what the plan gives the tree, and
/// no less than all connections at the source have on average: small trees' few connections share its machines' ports with the others'.
///
/// `rtt_s`: the round trip between two nodes, in seconds.
pub fn flow_start_s(
    topology: &Topology,
    plan: &OverlayPlan,
    rtt_s: impl Fn(&NodeId, &NodeId) -> f64,
) -> f64 {
    let stripes: u32 = topology.trees.iter().map(|tree| tree.stripes).sum();
    let plan_bytes_per_s = plan.throughput_gbps * 1e9 / 8.0;
    let begins = topology.trees.iter().flat_map(|tree| {
        let root = tree.root(topology);
        let first = tree
            .edges
            .iter()
            .filter(move |(from, _)| Some(from) == root);
        first.map(|(from, to)| f64::from(topology.width(tree, from, to)))
    });
    let average_bytes_per_s = plan_bytes_per_s / begins.sum::<f64>().max(1.0);
    let mut longest = 0.0f64;
    for tree in &topology.trees {
        let share = f64::from(tree.stripes) / f64::from(stripes.max(1));
        // When a node has the first chunk, and how long an acknowledgement takes from it.
        let mut reached: BTreeMap<&NodeId, (f64, f64)> = BTreeMap::new();
        reached.extend(tree.root(topology).map(|root| (root, (0.0, 0.0))));
        // Parents need not stand before their children.
        for _ in 0..tree.edges.len() {
            for (from, to) in &tree.edges {
                let Some((has, back)) = reached.get(from).copied() else {
                    continue;
                };
                let rtt_s = rtt_s(from, to);
                let connections = f64::from(topology.width(tree, from, to));
                let part_bytes_per_s = plan_bytes_per_s * share / connections;
                let bytes_per_s = part_bytes_per_s.max(average_bytes_per_s);
                let chunk_s = f64::from(topology.chunk_bytes) / bytes_per_s;
                let leaves = f64::max(has, OPENING_ROUND_TRIPS * rtt_s);
                let arrives = leaves + chunk_s + rtt_s / 2.0;
                let back = back + rtt_s / 2.0;
                reached.insert(to, (arrives, back));
                longest = longest.max(arrives + back);
            }
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overlay::{OverlayShape, shape};
    use skyfresh_plan::overlay::StripeTree;
    use skyfresh_relay::topology::Security;
    use skyfresh_sky::Region;

    #[test]
    fn a_chunk_passes_every_hop_and_its_acknowledgement_comes_back() {
        let region = |text: &str| text.parse::<Region>().unwrap();
        let (a, b, c) = (
            region("aws:us-east-1"),
            region("gcp:us-east1"),
            region("gcp:us-west1"),
        );
        let plan = OverlayPlan {
            engine: "best".into(),
            source: a.clone(),
            destinations: vec![c.clone()],
            volume_gb: 1.0,
            cost_usd: 0.0,
            egress_usd: 0.0,
            vm_usd: 0.0,
            requests_usd: 0.0,
            fee_usd: 0.0,
            time_s: 1.0,
            start_s: 0.0,
            // A GB a second.
            throughput_gbps: 8.0,
            lower_bound_usd: None,
            lower_bound_s: None,
            vms: [(a.clone(), 1), (b.clone(), 1), (c.clone(), 1)].into(),
            stripes: 1,
            // Children before their parents.
            trees: vec![StripeTree {
                stripes: 1,
                edges: vec![(b.clone(), c.clone()), (a, b)],
            }],
            edges: Vec::new(),
        };
        let topology = shape(&OverlayShape {
            plan: &plan,
            hosts: None,
            source: serde_json::Value::Null,
            targets: vec![("c".into(), c, serde_json::Value::Null)],
            chunk_bytes: 10_000_000,
            connections: 4,
            security: Security::Plain,
        })
        .unwrap();
        // A chunk takes 4 × 10 MB / 1 GB/s a hop: 0.04 s.
        let start_s = flow_start_s(&topology, &plan, |from, _| match from.as_str() {
            "aws-us-east-1-1" => 0.1,
            _ => 0.02,
        });
        let expected = (0.3 + 0.04 + 0.05) + (0.04 + 0.01) + (0.05 + 0.01);
        assert!((start_s - expected).abs() < 1e-9, "{start_s} {expected}");
    }
}
