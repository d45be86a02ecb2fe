//! One source, one destination: Skyplane's planner (NSDI 2023, section 5), exactly.
//!
//! In: [`Limits`] with one destination. Out: the cheapest flow within a deadline or at a throughput, the fastest within a budget,
//! and the frontier between the two. Never: a flow through a region without machines; machines rounded down.
//!
//! The paper asks for exactly the throughput that is the goal, so that its objective is linear, and sweeps goals to find the
//! fastest plan for a budget. Here time is a variable (`packing`): the cheapest plan may be faster than it must be, and
//! the fastest for a budget is one programme. The connections M are eliminated: a link's flow needs `F/bandwidth` of a machine's
//! 64 connections, and all that a machine sends or receives must fit into one machine's worth (4b, 4h and 4i; the paper's
//! indices of the last two are swapped).

mod frontier;
mod reference;

pub use frontier::{FrontierPoint, frontier};
pub use reference::reference_model;

use crate::overlay::{Draft, Goal, Infeasible, Limits, Outcome, whole_plan};
use crate::packing::{Aim, Effort, Packed, Work, pack};

/// To the optimum: the programmes are small.
pub(crate) const EXACT: Effort = Effort {
    most_nodes: 100,
    gap: 1e-6,
};

pub(crate) fn best(limits: &Limits, work: &mut Work) -> Outcome {
    match packed(limits, EXACT, work) {
        Some((packed, lower_bound_s)) => {
            Outcome::Plan(Box::new(flow_plan(limits, packed, lower_bound_s)))
        }
        None => Outcome::Infeasible(Box::new(infeasible(limits, "best", EXACT, work))),
    }
}

/// The best packing for the goal, and the least time where time was minimised.
pub(crate) fn packed(
    limits: &Limits,
    effort: Effort,
    work: &mut Work,
) -> Option<(Packed, Option<f64>)> {
    let mut pool = Vec::new();
    let aim = match limits.request.goal {
        Goal::Cheapest | Goal::Deadline(_) | Goal::Throughput(_) => Aim::Cost {
            longest: limits.longest,
        },
        Goal::Budget(_) | Goal::Fastest => Aim::Time {
            budget: limits.budget,
        },
    };
    let found = pack(&limits.instance, aim, effort, &mut pool, work)?;
    if matches!(aim, Aim::Cost { .. }) {
        return Some((found, None));
    }
    // Of the fastest the cheapest.
    let least = found.bound;
    let cheapest = Aim::Cost {
        longest: found.time * (1.0 + 1e-9),
    };
    let bound = match pack(&limits.instance, cheapest, effort, &mut pool, work) {
        Some(cheaper) if cheaper.usd_per_gb < found.usd_per_gb => {
            return Some((cheaper, Some(least)));
        }
        Some(cheaper) => cheaper.bound,
        None => f64::NEG_INFINITY,
    };
    Some((Packed { bound, ..found }, Some(least)))
}

fn flow_plan(limits: &Limits, packed: Packed, least: Option<f64>) -> crate::overlay::OverlayPlan {
    let shares: Vec<f64> = packed.trees.iter().map(|(_, share)| *share).collect();
    let stripes = apportion(&shares, limits.stripes);
    let trees = packed.trees.into_iter().zip(stripes);
    let volume = limits.request.volume_gb;
    let draft = Draft {
        engine: "best".into(),
        machines: packed.machines,
        trees: trees
            .map(|((edges, _), stripes)| (edges, stripes))
            .collect(),
        shares: Some(shares),
        lower_bound_usd: packed.bound.is_finite().then_some(packed.bound * volume),
        lower_bound_s: least.map(|least| least * limits.gbits()),
        time: None,
    };
    whole_plan(limits, draft)
}

/// Whole stripes nearest to the shares: the largest remainders get what flooring leaves. They add up to `all`.
pub(crate) fn apportion(shares: &[f64], all: u32) -> Vec<u32> {
    let exact: Vec<f64> = shares.iter().map(|share| share * f64::from(all)).collect();
    let mut whole: Vec<u32> = exact.iter().map(|exact| exact.floor() as u32).collect();
    let mut order: Vec<usize> = (0..exact.len()).collect();
    order.sort_by(|a, b| {
        let remainder = |at: usize| exact[at] - exact[at].floor();
        remainder(*b).total_cmp(&remainder(*a)).then(a.cmp(b))
    });
    let given: u32 = whole.iter().sum();
    for at in order
        .iter()
        .cycle()
        .take(all.saturating_sub(given) as usize)
    {
        whole[*at] += 1;
    }
    whole
}

/// Why there is no plan, and what there is.
pub(crate) fn infeasible(
    limits: &Limits,
    engine: &str,
    effort: Effort,
    work: &mut Work,
) -> Infeasible {
    let mut pool = Vec::new();
    let instance = &limits.instance;
    let fastest = Aim::Time {
        budget: f64::INFINITY,
    };
    let mut answer = Infeasible {
        engine: engine.into(),
        binding: Vec::new(),
        nearest: String::new(),
        shortest_s: None,
        cheapest_usd: None,
    };
    let Some(found) = pack(instance, fastest, effort, &mut pool, work) else {
        answer.binding = vec!["no way leads from the source to every destination through the regions that are allowed".into()];
        answer.nearest = "none: allow more regions or providers".into();
        return answer;
    };
    if limits.longest.is_finite() {
        let seconds = limits.start_s + found.time * limits.gbits();
        answer.binding = bottlenecks(limits, &found);
        answer.shortest_s = Some(seconds);
        answer.nearest = format!(
            "{seconds:.2} s ({:.3} Gbit/s) with {} machine(s) a region",
            1.0 / found.time,
            limits.request.vms_per_region
        );
    } else {
        let cheapest = Aim::Cost {
            longest: f64::INFINITY,
        };
        let cheapest = pack(instance, cheapest, effort, &mut pool, work).unwrap_or(found);
        let usd = (cheapest.usd_per_gb + limits.requests.ends) * limits.request.volume_gb;
        let budget = match limits.request.goal {
            Goal::Budget(usd) => usd,
            _ => f64::INFINITY,
        };
        answer.binding = vec![format!(
            "budget: ${budget:.4} is below what the cheapest plan costs"
        )];
        answer.cheapest_usd = Some(usd);
        answer.nearest = format!("${usd:.4}");
    }
    answer
}

/// What is full when nothing can go faster: machines of regions, and links.
fn bottlenecks(limits: &Limits, packed: &Packed) -> Vec<String> {
    const FULL: f64 = 1.0 - 1e-6;
    let instance = &limits.instance;
    let mut load = crate::packing::Load::new(instance.nodes);
    for (tree, share) in &packed.trees {
        load.add(instance, tree, *share);
    }
    let region = |node: usize| limits.network.regions()[node].to_string();
    let mut full = Vec::new();
    for node in 0..instance.nodes {
        let at_limit = packed.machines[node] >= instance.limit[node];
        let count = f64::from(packed.machines[node]);
        let is_full = |load: f64, capacity: f64| {
            at_limit && load > 0.0 && load >= FULL * capacity * count * packed.time
        };
        let machines = format!("{} machine(s) in {}", packed.machines[node], region(node));
        if is_full(load.egress[node], instance.egress_gbps[node]) {
            full.push(format!(
                "egress: {machines} send {} Gbit/s each",
                instance.egress_gbps[node]
            ));
        }
        if let Some(limit) = instance.internet_limit(node)
            && is_full(load.internet[node], limit)
        {
            full.push(format!(
                "internet: {machines} send {limit} Gbit/s each to other providers"
            ));
        }
        if is_full(load.ingress[node], instance.ingress_gbps[node]) {
            let written = instance.ingress_gbps[node] == limits.request.store_io.write_gbps;
            let what = if written && instance.is_terminal(node) {
                "store: {machines} write"
            } else {
                "ingress: {machines} receive"
            };
            let what = what.replace("{machines}", &machines);
            full.push(format!(
                "{what} {} Gbit/s each",
                instance.ingress_gbps[node]
            ));
        }
        if node == instance.source && is_full(load.read, instance.read_gbps) {
            full.push(format!(
                "store: {machines} read {} Gbit/s each",
                instance.read_gbps
            ));
        }
        if instance.sharing == crate::packing::LinkSharing::Connections {
            if is_full(load.connections_out[node], 1.0) {
                full.push(format!("connections: all 64 of each of {machines} send"));
            }
            if is_full(load.connections_in[node], 1.0) {
                full.push(format!("connections: all 64 of each of {machines} receive"));
            }
        }
    }
    if instance.sharing == crate::packing::LinkSharing::Pairs {
        for ((from, to), share) in &load.edges {
            let count = f64::from(packed.machines[*from]);
            let rate = instance.rate(*from, *to);
            let at_limit = packed.machines[*from] >= instance.limit[*from];
            if at_limit && *share >= FULL * rate * count * packed.time {
                full.push(format!(
                    "link: {} to {} carries {rate} Gbit/s a machine",
                    region(*from),
                    region(*to)
                ));
            }
        }
    }
    full
}
