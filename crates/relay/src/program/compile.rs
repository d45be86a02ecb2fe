//! From a shape to each node's program. Pure.

use super::{Json, Operator, Program, Route, Share};
use crate::topology::{Security, Shape, Topology, Tree};
use crate::{DestinationSet, Error, JobId, NodeId, Result, TreeId};
use std::collections::BTreeMap;

/// A tree that is to be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Its number.
    pub id: TreeId,
    /// Its group: trees over the same regions.
    pub group: usize,
    /// Its shape.
    pub tree: Tree,
    /// The destinations that it still has to reach.
    pub wanted: DestinationSet,
}

/// Where a node (the first) reaches another (the second), `host:port`; `None` where that is not known.
pub type Addresses<'a> = &'a (dyn Fn(&NodeId, &NodeId) -> Option<String> + 'a);

/// Each node's program. Nodes that no tree goes over get one without routes.
///
/// # Errors
/// `Invalid` where a tree breaks the rules of [`Topology::validate`], or a next hop has no address.
pub fn compile(
    job: JobId,
    topology: &Topology,
    trees: &[Carried],
    addresses: Addresses<'_>,
) -> Result<BTreeMap<NodeId, Program>> {
    let empty = |id: &NodeId| Program {
        job,
        node: id.clone(),
        security: topology.security,
        chunk_bytes: topology.chunk_bytes,
        queue_chunks: topology.queue_chunks,
        routes: Vec::new(),
    };
    let mut programs: BTreeMap<NodeId, Program> = topology
        .nodes
        .iter()
        .map(|node| (node.id.clone(), empty(&node.id)))
        .collect();
    for carried in trees {
        let shape = Shape::of(topology, &carried.tree, carried.wanted)?;
        for node in &shape.order {
            if shape.reaches(node).is_empty() {
                continue;
            }
            let route = route(topology, carried, &shape, node, addresses)?;
            if let Some(program) = programs.get_mut(node) {
                program.routes.push(route);
            }
        }
    }
    Ok(programs)
}

fn route(
    topology: &Topology,
    carried: &Carried,
    shape: &Shape,
    node: &NodeId,
    addresses: Addresses<'_>,
) -> Result<Route> {
    let sealed = topology.security == Security::Sealed;
    let mut building = Building {
        route: Route {
            tree: carried.id,
            share: None,
            operators: Vec::new(),
            wires: Vec::new(),
        },
    };
    let mut writes = Vec::new();
    for at in shape.writes(node).iter() {
        let destination = &topology.destinations[usize::from(at)];
        writes.push(Operator::Write {
            destination: at,
            name: destination.name.clone(),
            sink: Json(destination.sink.clone()),
        });
    }
    let mut sends = Vec::new();
    for to in shape.children.get(node).into_iter().flatten() {
        let reaches = shape.reaches(to);
        if reaches.is_empty() {
            continue;
        }
        let address = addresses(node, to).ok_or_else(|| {
            Error::invalid(
                "compile program",
                format!("{node} sends to {to}, whose address is not known: start it first"),
            )
        })?;
        sends.push(Operator::Send {
            to: to.clone(),
            address,
            connections: topology.width(&carried.tree, node, to),
            reaches,
        });
    }
    // What is transformed on the way to the hops at the source, and on the way to the writers elsewhere.
    let mut steps = Vec::new();
    match shape.parent.get(node) {
        None => {
            building.route.share = topology.rates.as_ref().map(|_| Share {
                group: carried.group as u32,
                stripes: carried.tree.stripes,
            });
            let begin = building.add(
                None,
                Operator::Read {
                    source: Json(topology.source.clone()),
                },
            );
            steps.extend(topology.compress.then_some(Operator::Compress));
            steps.extend(sealed.then_some(Operator::Seal));
            building.ends(begin, (steps, sends), (Vec::new(), writes));
        }
        Some(from) => {
            let begin = building.add(None, Operator::Receive { from: from.clone() });
            steps.extend(sealed.then_some(Operator::Open));
            steps.extend(topology.compress.then_some(Operator::Decompress));
            building.ends(begin, (Vec::new(), sends), (steps, writes));
        }
    }
    Ok(building.route)
}

struct Building {
    route: Route,
}

impl Building {
    fn add(&mut self, from: Option<u16>, operator: Operator) -> u16 {
        let at = self.route.operators.len() as u16;
        self.route.operators.push(operator);
        self.route.wires.extend(from.map(|from| (from, at)));
        at
    }

    /// Both branches of a node, each a row of steps and then its ends. Hops come first: they only enqueue.
    fn ends(
        &mut self,
        begin: u16,
        sends: (Vec<Operator>, Vec<Operator>),
        writes: (Vec<Operator>, Vec<Operator>),
    ) {
        let mut branches = vec![sends, writes];
        branches.retain(|(_, ends)| !ends.is_empty());
        let plain = branches.iter().all(|(steps, _)| steps.is_empty());
        if plain {
            // One tee serves both.
            let ends = branches.into_iter().flat_map(|(_, ends)| ends).collect();
            self.branch(begin, Vec::new(), ends);
            return;
        }
        let from = if branches.len() > 1 {
            self.add(Some(begin), Operator::Tee)
        } else {
            begin
        };
        for (steps, ends) in branches {
            self.branch(from, steps, ends);
        }
    }

    fn branch(&mut self, mut from: u16, steps: Vec<Operator>, ends: Vec<Operator>) {
        for step in steps {
            from = self.add(Some(from), step);
        }
        if ends.len() > 1 {
            from = self.add(Some(from), Operator::Tee);
        }
        for end in ends {
            self.add(Some(from), end);
        }
    }
}
