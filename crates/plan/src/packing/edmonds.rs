//! The cheapest spanning arborescence of a set of nodes: Edmonds' algorithm on a dense graph.

use super::tree::Edges;

/// The cheapest arborescence from `root` that spans all of `members` (which contains it), by `weights` (nodes × nodes, infinite
/// where there is no edge). `None` where a member cannot be reached within the set.
pub(crate) fn spanning(
    nodes: usize,
    weights: &[f64],
    root: usize,
    members: &[usize],
) -> Option<(f64, Edges)> {
    let count = members.len();
    let root_at = members.iter().position(|member| *member == root)?;
    // A dense matrix of what each edge costs yet, and which edge of the graph it stands for.
    let mut cost = vec![f64::INFINITY; count * count];
    let mut origin = vec![(usize::MAX, usize::MAX); count * count];
    for (a, from) in members.iter().enumerate() {
        for (b, to) in members.iter().enumerate() {
            if a != b && b != root_at {
                cost[a * count + b] = weights[from * nodes + to];
                origin[a * count + b] = (*from, *to);
            }
        }
    }
    let edges = contract(count, cost, &origin, root_at)?;
    let total = edges
        .iter()
        .map(|(from, to)| weights[from * nodes + to])
        .sum();
    let mut edges = edges;
    edges.sort_unstable();
    Some((total, edges))
}

/// The edges of the graph that make up the cheapest arborescence of this, perhaps contracted, graph.
fn contract(count: usize, cost: Vec<f64>, origin: &[(usize, usize)], root: usize) -> Option<Edges> {
    let mut parent = vec![usize::MAX; count];
    for to in (0..count).filter(|to| *to != root) {
        let best = (0..count)
            .filter(|from| *from != to)
            .min_by(|a, b| cost[a * count + to].total_cmp(&cost[b * count + to]))?;
        if !cost[best * count + to].is_finite() {
            return None;
        }
        parent[to] = best;
    }
    let Some(cycle) = find_cycle(&parent, root) else {
        let all = (0..count).filter(|to| *to != root);
        return Some(all.map(|to| origin[parent[to] * count + to]).collect());
    };
    // The cycle becomes one node, the last of the new graph.
    let mut in_cycle = vec![false; count];
    cycle.iter().for_each(|node| in_cycle[*node] = true);
    let outside: Vec<usize> = (0..count).filter(|node| !in_cycle[*node]).collect();
    let new_count = outside.len() + 1;
    let merged = outside.len();
    let mut new_cost = vec![f64::INFINITY; new_count * new_count];
    let mut new_origin = vec![(usize::MAX, usize::MAX); new_count * new_count];
    for (a, from) in outside.iter().enumerate() {
        for (b, to) in outside.iter().enumerate() {
            new_cost[a * new_count + b] = cost[from * count + to];
            new_origin[a * new_count + b] = origin[from * count + to];
        }
        for inner in &cycle {
            let out = cost[inner * count + from];
            if out < new_cost[merged * new_count + a] {
                new_cost[merged * new_count + a] = out;
                new_origin[merged * new_count + a] = origin[inner * count + from];
            }
            // Entering at `inner` saves the cycle's own edge into it.
            let into = cost[from * count + inner] - cost[parent[*inner] * count + inner];
            if into < new_cost[a * new_count + merged] {
                new_cost[a * new_count + merged] = into;
                new_origin[a * new_count + merged] = origin[from * count + inner];
            }
        }
    }
    let new_root = outside.iter().position(|node| *node == root)?;
    let mut edges = contract(new_count, new_cost, &new_origin, new_root)?;
    // The cycle's edges, but for the one into the node at which it is entered. An edge of the graph may stand for a node that
    // was contracted before, so the entry is found by the edges into the cycle's nodes as this level knows them.
    let entered = |inner: usize, edges: &Edges| {
        let mut ways = (0..count).filter(|from| !in_cycle[*from]);
        ways.any(|from| {
            cost[from * count + inner].is_finite() && edges.contains(&origin[from * count + inner])
        })
    };
    let entry = cycle
        .iter()
        .copied()
        .find(|inner| entered(*inner, &edges))?;
    for inner in cycle.into_iter().filter(|inner| *inner != entry) {
        edges.push(origin[parent[inner] * count + inner]);
    }
    Some(edges)
}

fn find_cycle(parent: &[usize], root: usize) -> Option<Vec<usize>> {
    let count = parent.len();
    // 0: unseen; else the walk that saw it.
    let mut seen = vec![0_usize; count];
    seen[root] = usize::MAX;
    for start in 0..count {
        let mut at = start;
        while seen[at] == 0 {
            seen[at] = start + 1;
            at = parent[at];
        }
        if at != root && seen[at] == start + 1 {
            let mut cycle = vec![at];
            let mut next = parent[at];
            while next != at {
                cycle.push(next);
                next = parent[next];
            }
            return Some(cycle);
        }
    }
    None
}
