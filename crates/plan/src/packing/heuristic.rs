//! A cheap tree for many terminals: nearest terminals first, then relays put in and taken out as long as that helps.

use super::edmonds::spanning;
use super::instance::Instance;
use super::paths::AllPairs;
use super::tree::{Edges, arborescence, weight};

/// A tree that no single relay more or less makes cheaper by `weights` (nodes × nodes), and what it weighs. `None` where a
/// terminal cannot be reached.
pub(crate) fn good_tree(
    instance: &Instance,
    weights: &[f64],
    paths: &AllPairs,
) -> Option<(f64, Edges)> {
    let mut best = nearest_first(instance, weights, paths)?;
    // Each turn takes the best of all single changes; a tree has few relays, so few turns are needed.
    for _ in 0..2 * instance.nodes {
        let members = members(instance, &best.1);
        let mut better: Option<(f64, Edges)> = None;
        for node in 0..instance.nodes {
            if node == instance.source || instance.is_terminal(node) {
                continue;
            }
            let mut changed = members.clone();
            match changed.binary_search(&node) {
                Ok(at) => {
                    changed.remove(at);
                }
                Err(at) if saves(instance.nodes, weights, &best.1, &members, node) => {
                    changed.insert(at, node);
                }
                Err(_) => continue,
            }
            let Some((_, edges)) = spanning(instance.nodes, weights, instance.source, &changed)
            else {
                continue;
            };
            let Some(tree) = arborescence(instance, &edges, weights) else {
                continue;
            };
            let cost = weight(instance.nodes, &tree, weights);
            let least = better.as_ref().map_or(best.0 - 1e-12, |(cost, _)| *cost);
            if cost < least {
                better = Some((cost, tree));
            }
        }
        match better {
            Some(change) => best = change,
            None => break,
        }
    }
    Some(best)
}

/// Whether a relay looks worth its own way in: what members' ways in would be shorter by from it, the tree otherwise as it is. Ways that
/// turn round besides are not seen, which is why this only says where to look.
fn saves(nodes: usize, weights: &[f64], tree: &Edges, members: &[usize], relay: usize) -> bool {
    let from_relay = &weights[relay * nodes..(relay + 1) * nodes];
    let saved: f64 = tree
        .iter()
        .map(|(from, to)| (weights[from * nodes + to] - from_relay[*to]).max(0.0))
        .sum();
    let in_ways = members.iter().map(|from| weights[from * nodes + relay]);
    saved > in_ways.fold(f64::INFINITY, f64::min)
}

/// Takahashi and Matsuyama: the terminal nearest to the tree is joined by its shortest path, again and again.
fn nearest_first(instance: &Instance, weights: &[f64], paths: &AllPairs) -> Option<(f64, Edges)> {
    let mut inside = vec![false; instance.nodes];
    inside[instance.source] = true;
    let mut left = instance.terminals.clone();
    let mut edges = Edges::new();
    while !left.is_empty() {
        let mut nearest: Option<(f64, usize, usize)> = None;
        for terminal in &left {
            for (from, way) in paths.to(*terminal).iter().enumerate() {
                if inside[from] && nearest.is_none_or(|(least, ..)| *way < least) {
                    nearest = Some((*way, from, *terminal));
                }
            }
        }
        let (way, from, terminal) = nearest?;
        if !way.is_finite() {
            return None;
        }
        let before = edges.len();
        paths.path(from, terminal, &mut edges);
        for (_, to) in &edges[before..] {
            inside[*to] = true;
        }
        left.retain(|terminal| !inside[*terminal]);
    }
    let tree = arborescence(instance, &edges, weights)?;
    Some((weight(instance.nodes, &tree, weights), tree))
}

fn members(instance: &Instance, edges: &Edges) -> Vec<usize> {
    let mut members: Vec<usize> = edges.iter().map(|(_, to)| *to).collect();
    members.push(instance.source);
    members.sort_unstable();
    members
}
