//! How many connections a hop has. Pure.

use super::{Topology, Tree};
use crate::NodeId;

impl Topology {
    /// Connections of one hop of a tree.
    ///
    /// Where ways share a machine's port, whoever has more connections gets more of it, and a plan's time holds only if each tree gets
    /// what the plan gives it: connections are as many as its share of the bytes says, beside the tree that carries most. On a way that
    /// it fills it needs more than that: as many as the way takes to be full.
    pub fn width(&self, tree: &Tree, from: &NodeId, to: &NodeId) -> u16 {
        let Some(rates) = &self.rates else {
            return self.connections;
        };
        let region = |id| self.node(id).map_or("", |node| node.region.as_str());
        let (from, to) = (region(from), region(to));
        let pair = rates
            .pair_gbps
            .iter()
            .find(|(a, b, _)| a == from && b == to);
        // A hop that the plan did not know leads round a loss.
        let Some((.., pair_gbps)) = pair else {
            return self.connections;
        };
        let all = self.trees.iter().map(|tree| f64::from(tree.stripes));
        let (sum, most) = all.fold((0.0, 1.0), |(sum, most), stripes| {
            (sum + stripes, f64::max(most, stripes))
        });
        let stripes = f64::from(tree.stripes);
        let beside_others = stripes / most;
        let of_the_way = rates.total_gbps * stripes / f64::max(sum, 1.0) / pair_gbps;
        let part = f64::max(beside_others, of_the_way);
        // NaN, as of a plan without rates, becomes 0 connections, and then 1.
        let width = (f64::from(self.connections) * part).ceil() as u16;
        width.clamp(1, self.connections.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Destination, Node, Rates, Security};
    use super::*;
    use serde_json::Value;

    fn id(text: &str) -> NodeId {
        NodeId::new(text).unwrap()
    }

    fn topology(rates: Option<Rates>) -> Topology {
        let node = |name: &str| Node {
            id: id(name),
            region: name.to_owned(),
            address: None,
        };
        let tree = |stripes, via: &str| Tree {
            stripes,
            edges: vec![(id("a"), id(via))],
        };
        Topology {
            nodes: vec![node("a"), node("b"), node("c")],
            sources: vec![id("a")],
            source: Value::Null,
            destinations: vec![Destination {
                name: "d".into(),
                nodes: vec![id("b"), id("c")],
                sink: Value::Null,
            }],
            trees: vec![tree(75, "b"), tree(25, "c")],
            chunk_bytes: 1,
            queue_chunks: 16,
            connections: 32,
            rates,
            security: Security::Plain,
            compress: false,
        }
    }

    fn widths(rates: Option<Rates>) -> [u16; 2] {
        let topology = topology(rates);
        [("b", 0), ("c", 1)]
            .map(|(to, at): (&str, usize)| topology.width(&topology.trees[at], &id("a"), &id(to)))
    }

    fn rates(b_gbps: f64, c_gbps: f64) -> Option<Rates> {
        let pair = |to: &str, gbps| ("a".to_owned(), to.to_owned(), gbps);
        Some(Rates {
            total_gbps: 4.0,
            pair_gbps: vec![pair("b", b_gbps), pair("c", c_gbps)],
        })
    }

    #[test]
    fn a_tree_has_its_share_of_connections_and_enough_to_fill_its_way() {
        assert_eq!(widths(None), [32, 32]);
        // Ways with room: a third of what the other tree has.
        assert_eq!(widths(rates(10.0, 10.0)), [32, 11]);
        // 1 Gbit/s over a way of 1: all of them; over one of 2: half.
        assert_eq!(widths(rates(10.0, 1.0)), [32, 32]);
        assert_eq!(widths(rates(10.0, 2.0)), [32, 16]);
        let unplanned = Some(Rates {
            total_gbps: f64::NAN,
            pair_gbps: Vec::new(),
        });
        assert_eq!(widths(unplanned), [32, 32], "round a loss");
    }
}
