//! Shortest paths on dense graphs.

/// Distances between all pairs, and the first hop of each shortest path.
pub(crate) struct AllPairs {
    nodes: usize,
    /// `distance[to × nodes + from]`: by target, so that what follows reads neighbouring sources.
    to: Vec<f64>,
    /// `next[to × nodes + from]`: where the path goes first. As wide as distances, so that both are chosen by one mask, several at once.
    next: Vec<f64>,
}

const NONE: f64 = f64::INFINITY;

impl AllPairs {
    /// By Floyd and Warshall. `weights` is nodes × nodes by source, infinite where there is no edge; none is negative.
    pub(crate) fn new(nodes: usize, weights: &[f64]) -> Self {
        let mut to = vec![f64::INFINITY; nodes * nodes];
        // next[target × nodes + source]: where a path from the source to the target goes first.
        let mut next = vec![NONE; nodes * nodes];
        for source in 0..nodes {
            for target in 0..nodes {
                let weight = weights[source * nodes + target];
                if weight.is_finite() {
                    to[target * nodes + source] = weight;
                    next[target * nodes + source] = target as f64;
                }
            }
            to[source * nodes + source] = 0.0;
            next[source * nodes + source] = source as f64;
        }
        let mut through = vec![0.0; nodes];
        let mut first = vec![NONE; nodes];
        for middle in 0..nodes {
            through.copy_from_slice(&to[middle * nodes..(middle + 1) * nodes]);
            first.copy_from_slice(&next[middle * nodes..(middle + 1) * nodes]);
            for target in 0..nodes {
                let rest = to[target * nodes + middle];
                if !rest.is_finite() || target == middle {
                    continue;
                }
                let row = target * nodes..(target + 1) * nodes;
                let ways = through.iter().zip(&first);
                let row = to[row.clone()].iter_mut().zip(&mut next[row]);
                for ((to, next), (through, first)) in row.zip(ways) {
                    let way = through + rest;
                    let shorter = way < *to;
                    *to = if shorter { way } else { *to };
                    *next = if shorter { *first } else { *next };
                }
            }
        }
        AllPairs { nodes, to, next }
    }

    /// How far every node is from `target`.
    pub(crate) fn to(&self, target: usize) -> &[f64] {
        &self.to[target * self.nodes..(target + 1) * self.nodes]
    }

    /// From one node to another.
    pub(crate) fn distance(&self, from: usize, to: usize) -> f64 {
        self.to[to * self.nodes + from]
    }

    /// Adds the edges of the shortest path.
    pub(crate) fn path(&self, from: usize, to: usize, edges: &mut Vec<(usize, usize)>) {
        let mut at = from;
        while at != to {
            let next = self.next[to * self.nodes + at];
            if next == NONE {
                return;
            }
            let next = next as usize;
            edges.push((at, next));
            at = next;
        }
    }
}

/// The cheapest path from `source` to `target` and its length; `None` where there is none. Dijkstra on a dense graph, with a
/// tie going to the lower number.
pub(crate) fn shortest(
    nodes: usize,
    weights: &[f64],
    source: usize,
    target: usize,
) -> Option<(f64, Vec<(usize, usize)>)> {
    let mut distance = vec![f64::INFINITY; nodes];
    let mut parent = vec![usize::MAX; nodes];
    let mut done = vec![false; nodes];
    distance[source] = 0.0;
    loop {
        let mut nearest: Option<usize> = None;
        for node in 0..nodes {
            if !done[node]
                && distance[node].is_finite()
                && nearest.is_none_or(|best| distance[node] < distance[best])
            {
                nearest = Some(node);
            }
        }
        let node = nearest?;
        if node == target {
            break;
        }
        done[node] = true;
        let line = &weights[node * nodes..(node + 1) * nodes];
        for (to, weight) in line.iter().enumerate() {
            let way = distance[node] + weight;
            if way < distance[to] {
                distance[to] = way;
                parent[to] = node;
            }
        }
    }
    let mut edges = Vec::new();
    let mut at = target;
    while at != source {
        edges.push((parent[at], at));
        at = parent[at];
    }
    edges.reverse();
    Some((distance[target], edges))
}
