//! From numbers to a plan: the one place where a plan's time and dollars are added up.

use super::plan::{EdgeVolume, OverlayPlan, StripeTree};
use super::request::{Limits, StartUp};
use crate::packing::{Edges, Load};
use skyfresh_sky::Region;
use std::collections::BTreeMap;

/// What an engine decided.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) engine: String,
    /// Machines by node.
    pub(crate) machines: Vec<u32>,
    /// Trees and their stripes.
    pub(crate) trees: Vec<(Edges, u32)>,
    /// The shares that trees carry where they are not those of their stripes.
    pub(crate) shares: Option<Vec<f64>>,
    /// Without the requests at the ends.
    pub(crate) lower_bound_usd: Option<f64>,
    pub(crate) lower_bound_s: Option<f64>,
    /// Seconds a Gbit of the volume where it is not what the fullest of links and machines takes.
    pub(crate) time: Option<f64>,
}

/// The plan: what flows over each link, how long the fullest of links and machines takes, what that costs.
pub(crate) fn whole_plan(limits: &Limits, draft: Draft) -> OverlayPlan {
    let (instance, request) = (&limits.instance, limits.request);
    let all: u32 = limits.stripes;
    let mut load = Load::new(instance.nodes);
    for (at, (edges, stripes)) in draft.trees.iter().enumerate() {
        let share = match &draft.shares {
            Some(shares) => shares[at],
            None => f64::from(*stripes) / f64::from(all),
        };
        load.add(instance, edges, share);
    }
    let fullest = load.time(instance, &draft.machines);
    let flow = draft.time.map_or(fullest, |time| time.max(fullest));
    let flow_s = flow * limits.gbits();
    let region = |node: usize| limits.network.regions()[node].clone();
    let edges: Vec<EdgeVolume> = load
        .edges
        .iter()
        .map(|((from, to), share)| EdgeVolume {
            src: region(*from),
            dst: region(*to),
            gbps: share / flow,
            pair_gbps: instance.rate(*from, *to),
            gb: share * request.volume_gb,
            usd_per_gb: limits.network.usd_per_gb(*from, *to),
            tier: limits.network.tier(*from, *to),
        })
        .collect();
    let volumes = || {
        let loads = load.edges.iter();
        loads.map(|(edge, share)| (edge, share * request.volume_gb))
    };
    let egress_usd: f64 = volumes()
        .map(|((from, to), gb)| gb * limits.network.usd_per_gb(*from, *to))
        .sum();
    let at_ends_usd = request.volume_gb * limits.requests.ends;
    let at_links_usd: f64 = volumes()
        .map(|((from, to), gb)| gb * limits.requests.link(*from, *to))
        .sum();
    let requests_usd = at_ends_usd + at_links_usd;
    let standing = || {
        draft
            .machines
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
    };
    let start = |node: usize| match request.start_up {
        StartUp::Ready => 0.0,
        StartUp::Counted => limits.network.machine(node).start_s,
    };
    let start_s = standing().map(|(node, _)| start(node)).fold(0.0, f64::max);
    let vm_usd: f64 = standing()
        .map(|(node, count)| {
            let machine = limits.network.machine(node);
            f64::from(*count) * machine.usd_per_hour / 3600.0 * (start_s + flow_s)
        })
        .sum();
    let vms: BTreeMap<Region, u32> = standing()
        .filter(|(node, _)| limits.network.has_machines(*node))
        .map(|(node, count)| (region(node), *count))
        .collect();
    let tree = |(edges, stripes): &(Edges, u32)| StripeTree {
        stripes: *stripes,
        edges: edges
            .iter()
            .map(|(from, to)| (region(*from), region(*to)))
            .collect(),
    };
    OverlayPlan {
        engine: draft.engine,
        source: request.source.clone(),
        destinations: request.destinations.clone(),
        volume_gb: request.volume_gb,
        cost_usd: egress_usd + vm_usd + requests_usd,
        egress_usd,
        vm_usd,
        requests_usd,
        fee_usd: 0.0,
        time_s: start_s + flow_s,
        start_s,
        throughput_gbps: 1.0 / flow,
        // Whatever is planned, the ends' requests are paid.
        lower_bound_usd: draft.lower_bound_usd.map(|bound| bound + at_ends_usd),
        lower_bound_s: draft.lower_bound_s,
        vms,
        stripes: all,
        trees: draft.trees.iter().map(tree).collect(),
        edges,
    }
}
