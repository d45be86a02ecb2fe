//! What remains of a tree when nodes or links are gone.

use super::{Shape, Topology, Tree};
use crate::{DestinationSet, NodeId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

/// What cannot be used any more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Losses {
    /// Nodes that are dead.
    pub nodes: BTreeSet<NodeId>,
    /// Links over which nothing comes through, from and to.
    pub links: BTreeSet<(NodeId, NodeId)>,
}

impl Losses {
    fn allows(&self, from: &NodeId, to: &NodeId) -> bool {
        from != to
            && !self.nodes.contains(from)
            && !self.nodes.contains(to)
            && !self.links.contains(&(from.clone(), to.clone()))
    }

    fn alive(&self, id: &NodeId) -> bool {
        !self.nodes.contains(id)
    }
}

/// The tree that reaches every destination in `wanted` that can still be reached, and those that it reaches.
///
/// A hop that works is kept. A node whose previous hop is gone is adopted by its nearest ancestor that can reach it, else by
/// another node of the tree, else through any other node that is alive, else by the root itself. A dead writer's work goes to
/// another node of its destination. `None`: no source is alive, or nothing can be reached.
pub fn around(
    topology: &Topology,
    tree: &Tree,
    losses: &Losses,
    wanted: DestinationSet,
) -> Option<(Tree, DestinationSet)> {
    let shape = Shape::of(topology, tree, wanted).ok()?;
    let root = if losses.alive(&shape.root) {
        shape.root.clone()
    } else {
        topology.sources.iter().find(|id| losses.alive(id))?.clone()
    };
    let mut writers = Vec::new();
    for (at, writer) in &shape.writers {
        let others = topology.destinations[usize::from(*at)].nodes.iter();
        let writer = [writer]
            .into_iter()
            .chain(others)
            .find(|id| losses.alive(id));
        writers.extend(writer.map(|writer| (*at, writer.clone())));
    }
    let mut build = Build {
        losses,
        root: root.clone(),
        parent: HashMap::new(),
        order: vec![root.clone()],
    };
    // Working hops first, top down, so that orphans find their ancestors in place.
    for node in &shape.order {
        if let Some(from) = shape.parent.get(node) {
            let from = if *from == shape.root { &root } else { from };
            if build.has(from) && losses.allows(from, node) && !build.has(node) {
                build.attach(from, node);
            }
        }
    }
    for node in shape.order.iter().filter(|id| losses.alive(id)) {
        if !build.has(node) {
            let ancestors =
                std::iter::successors(shape.parent.get(node), |id| shape.parent.get(*id));
            let ancestors: Vec<NodeId> = ancestors.cloned().collect();
            build.adopt(topology, &ancestors, node);
            // What hung below it comes along where its own hops work.
            let mut below: VecDeque<&NodeId> = VecDeque::from([node]);
            while let Some(from) = below.pop_front() {
                for to in shape.children.get(from).into_iter().flatten() {
                    if build.has(from) && !build.has(to) && losses.allows(from, to) {
                        build.attach(from, to);
                        below.push_back(to);
                    }
                }
            }
        }
    }
    let mut reached = DestinationSet::default();
    let mut ends = HashSet::new();
    for (at, writer) in writers {
        if build.has(&writer) || build.adopt(topology, &[], &writer) {
            reached = reached.union(DestinationSet::one(at));
            ends.insert(writer);
        }
    }
    if reached.is_empty() {
        return None;
    }
    // Nodes that now lead nowhere, and further nodes of a destination that has its writer, would break the tree's rule.
    let mut kept = HashSet::new();
    for end in &ends {
        let mut at = Some(end);
        while let Some(node) = at {
            kept.insert(node.clone());
            at = build.parent.get(node);
        }
    }
    let mut edges = Vec::new();
    for node in build.order.iter().filter(|id| kept.contains(id)) {
        if let Some(from) = build.parent.get(node) {
            edges.push((from.clone(), node.clone()));
        }
    }
    let tree = Tree {
        stripes: tree.stripes,
        edges,
    };
    Some((tree, reached))
}

struct Build<'a> {
    losses: &'a Losses,
    root: NodeId,
    parent: HashMap<NodeId, NodeId>,
    /// Nodes that are reached, every one after its parent.
    order: Vec<NodeId>,
}

impl Build<'_> {
    fn has(&self, node: &NodeId) -> bool {
        self.order.contains(node)
    }

    fn attach(&mut self, from: &NodeId, to: &NodeId) {
        self.parent.insert(to.clone(), from.clone());
        self.order.push(to.clone());
    }

    /// Finds `orphan` a new previous hop.
    fn adopt(&mut self, topology: &Topology, ancestors: &[NodeId], orphan: &NodeId) -> bool {
        if !self.losses.alive(orphan) {
            return false;
        }
        let in_tree = self.order.iter().filter(|id| **id != self.root);
        let root = [&self.root];
        let nearest = ancestors
            .iter()
            .filter(|id| self.has(id))
            .chain(in_tree)
            .chain(root);
        let from = nearest
            .into_iter()
            .find(|from| self.losses.allows(from, orphan))
            .cloned();
        if let Some(from) = from {
            self.attach(&from, orphan);
            return true;
        }
        // Nobody in the tree reaches it: one more hop over a node that stands aside may.
        for node in topology.nodes.iter().filter(|node| !self.has(&node.id)) {
            if !self.losses.allows(&node.id, orphan) {
                continue;
            }
            let from = self
                .order
                .iter()
                .find(|from| self.losses.allows(from, &node.id));
            if let Some(from) = from.cloned() {
                self.attach(&from, &node.id);
                self.attach(&node.id, orphan);
                return true;
            }
        }
        false
    }
}
