//! One change, several destinations: which of them read from the source, and which from a destination that has it already.
//!
//! Cloudcast's idea (NSDI '24, section 3: pay for an expensive hop once), live: a tree whose edges are copies of the whole
//! object, each of which must be done before the next begins. Every destination must be in time through all hops above it.

use super::{Ask, Candidate, Planner, Verdict, Way};
use crate::predict::{Host, Site};
use serde::{Deserialize, Serialize};
use skyfresh_sky::{Invalid, Region, Usd};
use std::collections::BTreeMap;

/// Where one destination reads from, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Leaf {
    /// The destination.
    pub destination: Region,
    /// Another destination that it reads from; `None` is the source.
    pub via: Option<Region>,
    /// How.
    pub candidate: Candidate,
    /// As many changes as the SLO's percentile says are there within so many seconds, hops above included.
    pub at_slo_s: f64,
}

/// A tree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FanOut {
    /// Every destination, in the order asked.
    pub leaves: Vec<Leaf>,
    /// What it costs.
    pub total: Usd,
    /// Whether every destination is in time.
    pub verdict: Verdict,
}

/// Up to so many destinations every tree is looked at; 6⁵ of them. Beyond, trees are improved one destination at a time.
const EVERY_TREE_UP_TO: usize = 5;

/// One way into a destination: where from, how long at the SLO's percentile, what it costs.
struct Edge {
    candidate: Candidate,
    price: Usd,
}

/// Chooses the cheapest tree found whose destinations are all in time; where there is none, every destination reads from the
/// source by the way that is likeliest in time.
///
/// Up to five destinations every shape of a tree is looked at. Within a shape each destination, from the source down, takes its
/// cheapest way that leaves those below it the time that they need at their fastest: a dearer way above can allow a
/// cheaper one below, which is not looked for.
///
/// Delays along a path are added up at the SLO's percentile each. That is more than the percentile of their sum where delays are
/// spread around their middle, and less where each has a rare slow mode just beyond the percentile.
///
/// # Errors
/// As [`Planner::choose`].
pub fn fan_out(planner: &mut Planner, asks: &[Ask]) -> Result<FanOut, Invalid> {
    let count = asks.len();
    // edges[to][from]: from = count is the source.
    let mut edges: Vec<Vec<Vec<Edge>>> = Vec::with_capacity(count);
    for (to, ask) in asks.iter().enumerate() {
        let mut into = Vec::with_capacity(count + 1);
        for from in 0..=count {
            let source = asks
                .get(from)
                .map_or(&ask.source, |other| &other.destination);
            if from == to {
                into.push(Vec::new());
                continue;
            }
            into.push(ways_in(planner, ask, source)?);
        }
        edges.push(into);
    }
    // With a spent budget time does not matter.
    let cheapest = asks.iter().any(|ask| ask.cheapest);
    let left_s = |ask: &Ask| {
        if cheapest {
            f64::INFINITY
        } else {
            ask.left_s()
        }
    };
    let lefts: Vec<f64> = asks.iter().map(left_s).collect();
    let mut room: BTreeMap<Site, u64> = BTreeMap::new();
    for ask in asks {
        for (site, under_way) in &ask.in_flight {
            let most = site.platform().map_or(u64::MAX, |it| it.max_concurrency);
            room.insert(site.clone(), most.saturating_sub(*under_way));
        }
    }
    let direct = vec![count; count];
    let mut best = evaluate(&edges, &lefts, &room, &direct);
    if count <= EVERY_TREE_UP_TO {
        let mut parents = direct.clone();
        while advance(&mut parents, count) {
            best = better(best, evaluate(&edges, &lefts, &room, &parents));
        }
    } else {
        let mut parents = direct.clone();
        loop {
            let mut improved = None;
            for to in 0..count {
                for from in 0..=count {
                    let mut tried = parents.clone();
                    tried[to] = from;
                    let tree = evaluate(&edges, &lefts, &room, &tried);
                    if is_better(tree.as_ref(), best.as_ref()) {
                        best = tree;
                        improved = Some(tried);
                    }
                }
            }
            match improved {
                Some(tried) => parents = tried,
                None => break,
            }
        }
    }
    match best {
        Some(tree) => {
            let verdict = if cheapest {
                Verdict::Cheapest
            } else {
                Verdict::InTime
            };
            Ok(describe(asks, &edges, &tree, verdict))
        }
        None => late(planner, asks),
    }
}

/// Ways into a destination from one place, none of which is both slower and dearer than another.
fn ways_in(planner: &mut Planner, ask: &Ask, source: &Region) -> Result<Vec<Edge>, Invalid> {
    let mut from_there = ask.clone();
    if *source != ask.source {
        for site in &mut from_there.sites {
            // Functions beside the source move with it; a process stays where it is.
            let functions = matches!(site.host, Host::Functions { .. });
            if functions
                && site.region == ask.source
                && let Some(moved) = Site::functions(source.clone())
            {
                *site = moved;
            }
        }
        from_there.sites.sort();
        from_there.sites.dedup();
        from_there.source = source.clone();
        let same_provider = source.provider == ask.source.provider;
        from_there.server_copy = ask.server_copy.filter(|_| same_provider);
    }
    let choice = planner.choose(&from_there)?;
    let mut fastest_s = f64::INFINITY;
    let mut edges = Vec::new();
    for candidate in choice.candidates {
        let usable = candidate.refused.is_none() && !candidate.cost.unpriced;
        if usable && candidate.at_slo_s < fastest_s {
            fastest_s = candidate.at_slo_s;
            let price = candidate.cost.total();
            edges.push(Edge { candidate, price });
        }
    }
    Ok(edges)
}

/// A tree that is in time: for each destination its parent and the edge taken.
struct Tree {
    parents: Vec<usize>,
    taken: Vec<usize>,
    at_slo_s: Vec<f64>,
    total: Usd,
}

/// The cheapest edges that make this tree be in time, taken from the root down; `None` where there are none, or it is no tree.
///
/// Each destination takes the cheapest edge that leaves the hops below it the time that they need at their fastest.
fn evaluate(
    edges: &[Vec<Vec<Edge>>],
    lefts: &[f64],
    room: &BTreeMap<Site, u64>,
    parents: &[usize],
) -> Option<Tree> {
    let count = parents.len();
    let mut order = Vec::with_capacity(count);
    let mut placed = vec![false; count];
    while order.len() < count {
        let before = order.len();
        for to in 0..count {
            if !placed[to] && (parents[to] == count || placed[parents[to]]) {
                placed[to] = true;
                order.push(to);
            }
        }
        if order.len() == before {
            return None;
        }
    }
    // From the leaves up: when each must be there at the latest, that all below can be in time by their fastest edges.
    let mut latest: Vec<f64> = lefts.to_vec();
    for &to in order.iter().rev() {
        if parents[to] != count {
            let fastest_s = edges[to][parents[to]].last()?.candidate.at_slo_s;
            latest[parents[to]] = latest[parents[to]].min(latest[to] - fastest_s);
        }
    }
    let (mut taken, mut at_slo_s, mut total) = (vec![0; count], vec![0.0; count], Usd::ZERO);
    for &to in &order {
        let from = parents[to];
        let begun_s = if from == count { 0.0 } else { at_slo_s[from] };
        let into = &edges[to][from];
        let in_time = |edge: &Edge| begun_s + edge.candidate.at_slo_s <= latest[to];
        let index = into.iter().position(in_time)?;
        taken[to] = index;
        at_slo_s[to] = begun_s + into[index].candidate.at_slo_s;
        total += into[index].price;
    }
    if !fits(edges, parents, &taken, room) {
        return None;
    }
    Some(Tree {
        parents: parents.to_vec(),
        taken,
        at_slo_s,
        total,
    })
}

/// Whether all functions of a tree may run at the same time, as those that read from the source do.
fn fits(
    edges: &[Vec<Vec<Edge>>],
    parents: &[usize],
    taken: &[usize],
    room: &BTreeMap<Site, u64>,
) -> bool {
    let mut wanted: BTreeMap<&Site, u64> = BTreeMap::new();
    for (to, from) in parents.iter().enumerate() {
        if let Way::Workers { site, shape, .. } = &edges[to][*from][taken[to]].candidate.way {
            *wanted.entry(site).or_default() += u64::from(shape.workers());
        }
    }
    wanted.iter().all(|(site, workers)| {
        let most = site.platform().map_or(u64::MAX, |it| it.max_concurrency);
        *workers <= room.get(*site).copied().unwrap_or(most)
    })
}

fn is_better(tree: Option<&Tree>, than: Option<&Tree>) -> bool {
    match (tree, than) {
        (Some(tree), Some(than)) => tree.total < than.total,
        (tree, _) => tree.is_some(),
    }
}

fn better(best: Option<Tree>, tree: Option<Tree>) -> Option<Tree> {
    if is_better(tree.as_ref(), best.as_ref()) {
        tree
    } else {
        best
    }
}

/// The next assignment of parents, counting down from everyone reading the source; false after the last.
fn advance(parents: &mut [usize], count: usize) -> bool {
    for parent in parents.iter_mut() {
        if *parent > 0 {
            *parent -= 1;
            return true;
        }
        *parent = count;
    }
    false
}

fn describe(asks: &[Ask], edges: &[Vec<Vec<Edge>>], tree: &Tree, verdict: Verdict) -> FanOut {
    let leaf = |(to, ask): (usize, &Ask)| {
        let from = tree.parents[to];
        Leaf {
            destination: ask.destination.clone(),
            via: asks.get(from).map(|parent| parent.destination.clone()),
            candidate: edges[to][from][tree.taken[to]].candidate.clone(),
            at_slo_s: tree.at_slo_s[to],
        }
    };
    FanOut {
        leaves: asks.iter().enumerate().map(leaf).collect(),
        total: tree.total,
        verdict,
    }
}

/// Everyone from the source, each by its own choice.
fn late(planner: &mut Planner, asks: &[Ask]) -> Result<FanOut, Invalid> {
    let mut leaves = Vec::new();
    let mut total = Usd::ZERO;
    for ask in asks {
        let choice = planner.choose(ask)?;
        let Some(winner) = choice.winner() else {
            return Ok(FanOut {
                leaves: Vec::new(),
                total: Usd::ZERO,
                verdict: Verdict::Nothing,
            });
        };
        total += winner.cost.total();
        leaves.push(Leaf {
            destination: ask.destination.clone(),
            via: None,
            at_slo_s: winner.at_slo_s,
            candidate: winner.clone(),
        });
    }
    Ok(FanOut {
        leaves,
        total,
        verdict: Verdict::Late,
    })
}
