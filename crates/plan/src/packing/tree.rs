//! Trees from the source to every terminal.

use super::instance::Instance;

/// Edges of an arborescence, sorted.
pub(crate) type Edges = Vec<(usize, usize)>;

/// What of `edges` is an arborescence from the source to all terminals, without leaves that nobody asked for. Where paths meet
/// again the cheaper parent by `weights` (nodes × nodes) is kept. `None` where a terminal is not reached.
pub(crate) fn arborescence(
    instance: &Instance,
    edges: &[(usize, usize)],
    weights: &[f64],
) -> Option<Edges> {
    let nodes = instance.nodes;
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); nodes];
    for (from, to) in edges {
        children[*from].push(*to);
    }
    // Shortest ways from the source within these edges.
    let mut distance = vec![f64::INFINITY; nodes];
    let mut parent = vec![usize::MAX; nodes];
    let mut done = vec![false; nodes];
    distance[instance.source] = 0.0;
    while let Some(node) = (0..nodes)
        .filter(|node| !done[*node] && distance[*node].is_finite())
        .min_by(|a, b| distance[*a].total_cmp(&distance[*b]))
    {
        done[node] = true;
        for to in &children[node] {
            let way = distance[node] + weights[node * nodes + to];
            if !done[*to] && way < distance[*to] {
                distance[*to] = way;
                parent[*to] = node;
            }
        }
    }
    let mut used = vec![false; nodes];
    let mut kept = Edges::new();
    for terminal in &instance.terminals {
        let mut at = *terminal;
        while at != instance.source && !used[at] {
            let from = parent[at];
            if from == usize::MAX {
                return None;
            }
            used[at] = true;
            kept.push((from, at));
            at = from;
        }
    }
    kept.sort_unstable();
    Some(kept)
}

/// Σ of the edges' weights.
pub(crate) fn weight(nodes: usize, edges: &[(usize, usize)], weights: &[f64]) -> f64 {
    edges
        .iter()
        .map(|(from, to)| weights[from * nodes + to])
        .sum()
}
