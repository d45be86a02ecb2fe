//! A tree looked at closely: its root, who is under whom, who writes.

use super::{Topology, Tree};
use crate::{DestinationSet, Error, NodeId, Result};
use std::collections::{BTreeMap, HashMap};

/// A tree that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Where its chunks are read.
    pub(crate) root: NodeId,
    /// Each node's next hops, in the order of the edges.
    pub(crate) children: HashMap<NodeId, Vec<NodeId>>,
    /// Each node's previous hop.
    pub(crate) parent: HashMap<NodeId, NodeId>,
    /// Who writes for which destination.
    pub(crate) writers: BTreeMap<u8, NodeId>,
    /// Nodes, every one after its parent.
    pub(crate) order: Vec<NodeId>,
}

impl Shape {
    /// Checks that `tree` is an arborescence from a source to a node of each destination in `wanted`.
    pub(crate) fn of(topology: &Topology, tree: &Tree, wanted: DestinationSet) -> Result<Shape> {
        let wrong = |context: String| Err(Error::invalid("check tree", context));
        let mut children: HashMap<NodeId, Vec<NodeId>> = HashMap::new();
        let mut parent: HashMap<NodeId, NodeId> = HashMap::new();
        for (from, to) in &tree.edges {
            if from == to {
                return wrong(format!("{from} sends to itself"));
            }
            if let Some(other) = parent.insert(to.clone(), from.clone()) {
                return wrong(format!(
                    "{to} receives from {other} and from {from}: a tree's node has one previous hop"
                ));
            }
            children.entry(from.clone()).or_default().push(to.clone());
        }
        let mut roots: Vec<&NodeId> = Vec::new();
        for (from, _) in &tree.edges {
            if !parent.contains_key(from) && !roots.contains(&from) {
                roots.push(from);
            }
        }
        let root = match (roots.as_slice(), topology.sources.first()) {
            ([root], _) => (*root).clone(),
            ([], Some(source)) if tree.edges.is_empty() => source.clone(),
            ([], _) => return wrong("its hops go round in a circle".into()),
            (several, _) => {
                return wrong(format!(
                    "it begins at {} and at {}: a tree has one root",
                    several[0], several[1]
                ));
            }
        };
        if !topology.sources.contains(&root) {
            return wrong(format!("it begins at {root}, which is not a source"));
        }
        let mut order = vec![root.clone()];
        let mut at = 0;
        while let Some(node) = order.get(at) {
            let below = children.get(node).cloned().unwrap_or_default();
            order.extend(below);
            at += 1;
        }
        // Every node but the root has one parent, so whoever is not reached sits in a circle of its own.
        if let Some(lost) = parent.keys().filter(|id| !order.contains(id)).min() {
            return wrong(format!(
                "{lost} is not reached from {root}: its hops go round in a circle"
            ));
        }
        let mut writers = BTreeMap::new();
        for at in wanted.iter() {
            let Some(destination) = topology.destinations.get(usize::from(at)) else {
                return wrong(format!("there is no destination {at}"));
            };
            // Where a way leads over several nodes of a destination, the one nearest to the root writes.
            match order.iter().find(|id| destination.nodes.contains(id)) {
                Some(writer) => writers.insert(at, writer.clone()),
                None => {
                    return wrong(format!(
                        "it does not reach destination {:?}: end it at one of its nodes",
                        destination.name
                    ));
                }
            };
        }
        Ok(Shape {
            root,
            children,
            parent,
            writers,
            order,
        })
    }

    /// The destinations written at `node` itself.
    pub(crate) fn writes(&self, node: &NodeId) -> DestinationSet {
        self.writers
            .iter()
            .filter(|(_, writer)| *writer == node)
            .map(|(at, _)| *at)
            .collect()
    }

    /// The destinations at or below `node`.
    pub(crate) fn reaches(&self, node: &NodeId) -> DestinationSet {
        let below = self.children.get(node).into_iter().flatten();
        below.fold(self.writes(node), |set, child| {
            set.union(self.reaches(child))
        })
    }
}
