//! A lower bound on the cheapest tree where there are too many terminals to find it: Wong's dual ascent.
//!
//! The dual of the cut formulation: as long as some terminal is not reached by edges without reduced cost, the edges into the
//! nodes that reach it are lowered together by the least of them, and the bound rises by as much.

use super::instance::Instance;

/// No tree from the source to all terminals weighs less than this by `weights` (nodes × nodes, ≥ 0).
pub(crate) fn lower_bound(instance: &Instance, weights: &[f64]) -> f64 {
    let nodes = instance.nodes;
    let mut reduced = weights.to_vec();
    let mut bound = 0.0;
    let mut active: Vec<usize> = instance.terminals.clone();
    while !active.is_empty() {
        // The component with the fewest edges into it: small cuts first keep the bound high.
        let mut best: Option<(usize, Vec<bool>, usize)> = None;
        active.retain(|terminal| {
            let reach = reaching(nodes, &reduced, *terminal);
            if reach[instance.source] {
                return false;
            }
            let size = reach.iter().filter(|inside| **inside).count();
            if best.as_ref().is_none_or(|(_, _, least)| size < *least) {
                best = Some((*terminal, reach, size));
            }
            true
        });
        let Some((_, inside, _)) = best else { break };
        let mut least = f64::INFINITY;
        for from in (0..nodes).filter(|from| !inside[*from]) {
            let line = &reduced[from * nodes..(from + 1) * nodes];
            for (weight, inside) in line.iter().zip(&inside) {
                if *inside && *weight < least {
                    least = *weight;
                }
            }
        }
        if !least.is_finite() {
            return f64::INFINITY;
        }
        bound += least;
        for from in (0..nodes).filter(|from| !inside[*from]) {
            let line = &mut reduced[from * nodes..(from + 1) * nodes];
            for (weight, inside) in line.iter_mut().zip(&inside) {
                if *inside {
                    *weight = if *weight - least < 1e-15 {
                        0.0
                    } else {
                        *weight - least
                    };
                }
            }
        }
    }
    bound
}

/// Which nodes reach the terminal over edges without reduced cost.
fn reaching(nodes: usize, reduced: &[f64], terminal: usize) -> Vec<bool> {
    let mut inside = vec![false; nodes];
    inside[terminal] = true;
    let mut stack = vec![terminal];
    while let Some(to) = stack.pop() {
        for from in 0..nodes {
            if !inside[from] && reduced[from * nodes + to] == 0.0 {
                inside[from] = true;
                stack.push(from);
            }
        }
    }
    inside
}
