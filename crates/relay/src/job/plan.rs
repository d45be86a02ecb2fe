//! The trees as they are carried out now: as planned, led round what is lost. Pure.

use super::shares::groups;
use crate::program::Carried;
use crate::topology::{Losses, Node, Topology, Tree, around};
use crate::{DestinationSet, NodeId, TreeId};

/// All trees of a job.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) topology: Topology,
    pub(super) losses: Losses,
    /// Destinations that are not given up.
    pub(super) alive: DestinationSet,
    planned: Vec<Planned>,
    next: u32,
}

#[derive(Clone, Debug)]
struct Planned {
    group: usize,
    tree: Tree,
    now: Option<Carried>,
}

/// What a change of the plan did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) ended: Vec<TreeId>,
    /// New trees and their groups.
    pub(super) begun: Vec<(TreeId, usize)>,
}

impl Plan {
    pub(super) fn new(topology: Topology) -> Self {
        let groups = groups(&topology);
        let planned = topology
            .trees
            .iter()
            .zip(groups)
            .map(|(tree, group)| Planned {
                group,
                tree: tree.clone(),
                now: None,
            });
        Plan {
            planned: planned.collect(),
            losses: Losses::default(),
            alive: topology.all(),
            next: 0,
            topology,
        }
    }

    /// Each group's stripes.
    pub(super) fn weights(&self) -> Vec<u64> {
        let count = self
            .planned
            .iter()
            .map(|planned| planned.group + 1)
            .max()
            .unwrap_or(0);
        let mut weights = vec![0; count];
        for planned in &self.planned {
            weights[planned.group] += u64::from(planned.tree.stripes);
        }
        weights
    }

    /// Leads every tree round the losses. A tree whose way stays the same keeps its number and goes on.
    pub(super) fn lead(&mut self) -> Change {
        let mut change = Change::default();
        for planned in &mut self.planned {
            let led = around(&self.topology, &planned.tree, &self.losses, self.alive);
            let same = match (&planned.now, &led) {
                (Some(now), Some((tree, wanted))) => now.tree == *tree && now.wanted == *wanted,
                (None, None) => true,
                _ => false,
            };
            if same {
                continue;
            }
            change.ended.extend(planned.now.take().map(|now| now.id));
            if let Some((tree, wanted)) = led {
                let id = TreeId(self.next);
                self.next += 1;
                change.begun.push((id, planned.group));
                planned.now = Some(Carried {
                    id,
                    group: planned.group,
                    tree,
                    wanted,
                });
            }
        }
        change
    }

    /// A node is dead.
    pub(super) fn lose(&mut self, id: &NodeId) {
        self.losses.nodes.insert(id.clone());
        // A tree without hops begins at the first source: one that is alive.
        let losses = &self.losses;
        self.topology
            .sources
            .sort_by_key(|source| losses.nodes.contains(source));
    }

    /// Puts a new node in a dead one's place, everywhere.
    pub(super) fn replace(&mut self, dead: &NodeId, by: Node) {
        for planned in &mut self.planned {
            for (from, to) in &mut planned.tree.edges {
                for id in [from, to] {
                    if id == dead {
                        *id = by.id.clone();
                    }
                }
            }
        }
        let topology = &mut self.topology;
        for destination in &mut topology.destinations {
            if destination.nodes.contains(dead) {
                destination.nodes.push(by.id.clone());
            }
        }
        if let Some(at) = topology.sources.iter().position(|id| id == dead) {
            // In its place: a tree without hops begins at the first source.
            topology.sources[at] = by.id.clone();
        }
        topology.nodes.push(by);
    }

    /// Whether nobody else can do a node's work: it alone reads, or alone writes for a destination.
    pub(super) fn is_needed(&self, id: &NodeId) -> bool {
        let alone = |ids: &[NodeId]| {
            ids.contains(id)
                && ids
                    .iter()
                    .all(|other| other == id || self.losses.nodes.contains(other))
        };
        let mut destinations = self.topology.destinations.iter().enumerate();
        alone(&self.topology.sources)
            || destinations
                .any(|(at, destination)| self.alive.contains(at as u8) && alone(&destination.nodes))
    }

    /// The trees that are carried out now.
    pub(super) fn carried(&self) -> impl Iterator<Item = &Carried> {
        self.planned
            .iter()
            .filter_map(|planned| planned.now.as_ref())
    }

    /// Destinations that some tree reaches.
    pub(super) fn reached(&self) -> DestinationSet {
        let trees = self.carried();
        trees.fold(DestinationSet::default(), |set, now| set.union(now.wanted))
    }
}
