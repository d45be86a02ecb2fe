//! What is packed into what: the network as seen by one request, by dense numbers.

use crate::network::Network;
use serde::{Deserialize, Serialize};
use skyfresh_sky::Provider;

/// How a link's capacity grows with the machines at its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkSharing {
    /// Every machine's connections are shared out among the regions it talks to: `Σ_v F_uv/bandwidth_uv ≤ N_u`, and so for what
    /// comes in (Skyplane's constraints 4b, 4h and 4i with its connections M eliminated: 64 of them carry the bandwidth).
    Connections,
    /// Every machine reaches every other region at the full bandwidth of one pair: `F_uv ≤ bandwidth_uv·N_u` (Cloudcast's
    /// constraints 3 and 4).
    Pairs,
}

/// A request on a network. Rates are in Gbit/s, costs in dollars a GB; time is `u`, the reciprocal of the rate at which the whole
/// volume arrives: seconds a Gbit.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) nodes: usize,
    pub(crate) source: usize,
    /// Sorted, without the source.
    pub(crate) terminals: Vec<usize>,
    /// Nodes × nodes, dollars a GB; infinite where there is no way or it is forbidden.
    pub(crate) usd_per_gb: Vec<f64>,
    /// Nodes × nodes, of one pair of machines.
    pub(crate) gbps: Vec<f64>,
    /// What a machine sends in all.
    pub(crate) egress_gbps: Vec<f64>,
    /// What of that it sends to other providers.
    pub(crate) internet_egress_gbps: Vec<f64>,
    pub(crate) ingress_gbps: Vec<f64>,
    /// What a machine at the source reads from the store there.
    pub(crate) read_gbps: f64,
    /// What a machine costs for moving a GB at 1 Gbit/s: 8 seconds of it.
    pub(crate) machine_usd: Vec<f64>,
    /// Most machines.
    pub(crate) limit: Vec<u32>,
    pub(crate) sharing: LinkSharing,
    providers: Vec<Provider>,
}

/// Seconds that a GB (10⁹ bytes) takes at 1 Gbit/s.
pub(crate) const GBIT_PER_GB: f64 = 8.0;

impl Instance {
    /// Every region and link of `network`, machines at its prices.
    pub(crate) fn new(
        network: &Network,
        source: usize,
        terminals: &[usize],
        machines: u32,
        sharing: LinkSharing,
    ) -> Self {
        let nodes = network.len();
        let mut terminals = terminals.to_vec();
        terminals.sort_unstable();
        terminals.dedup();
        let mut usd_per_gb = vec![f64::INFINITY; nodes * nodes];
        let mut gbps = vec![0.0; nodes * nodes];
        for from in 0..nodes {
            for to in (0..nodes).filter(|to| *to != from && *to != source) {
                let rate = network.gbps(from, to);
                if rate > 0.0 {
                    usd_per_gb[from * nodes + to] = network.usd_per_gb(from, to);
                    gbps[from * nodes + to] = rate;
                }
            }
        }
        let all: Vec<_> = (0..nodes).map(|node| network.machine(node)).collect();
        Instance {
            nodes,
            source,
            terminals,
            usd_per_gb,
            gbps,
            egress_gbps: all.iter().map(|machine| machine.egress_gbps).collect(),
            internet_egress_gbps: all
                .iter()
                .map(|machine| machine.internet_egress_gbps)
                .collect(),
            ingress_gbps: all.iter().map(|machine| machine.ingress_gbps).collect(),
            read_gbps: f64::INFINITY,
            machine_usd: all
                .iter()
                .map(|machine| GBIT_PER_GB * machine.usd_per_hour / 3600.0)
                .collect(),
            limit: vec![machines; nodes],
            sharing,
            providers: network
                .regions()
                .iter()
                .map(|region| region.provider)
                .collect(),
        }
    }

    /// Whether a link leads to another provider, over the internet.
    pub(crate) fn is_internet(&self, from: usize, to: usize) -> bool {
        self.providers[from] != self.providers[to]
    }

    /// What a machine sends over the internet, where that is limited apart from all that it sends.
    pub(crate) fn internet_limit(&self, node: usize) -> Option<f64> {
        let limit = self.internet_egress_gbps[node];
        (limit < self.egress_gbps[node]).then_some(limit)
    }

    /// What a machine sends over one link at most, whatever the link carries.
    pub(crate) fn sends_at_most(&self, from: usize, to: usize) -> f64 {
        match self.is_internet(from, to) {
            true => self.internet_egress_gbps[from].min(self.egress_gbps[from]),
            false => self.egress_gbps[from],
        }
    }

    /// Takes a link out.
    pub(crate) fn forbid(&mut self, from: usize, to: usize) {
        self.usd_per_gb[from * self.nodes + to] = f64::INFINITY;
        self.gbps[from * self.nodes + to] = 0.0;
    }

    /// Takes a node's links out.
    pub(crate) fn forbid_node(&mut self, node: usize) {
        for other in 0..self.nodes {
            self.forbid(node, other);
            self.forbid(other, node);
        }
    }

    pub(crate) fn cost(&self, from: usize, to: usize) -> f64 {
        self.usd_per_gb[from * self.nodes + to]
    }

    pub(crate) fn rate(&self, from: usize, to: usize) -> f64 {
        self.gbps[from * self.nodes + to]
    }

    pub(crate) fn is_terminal(&self, node: usize) -> bool {
        self.terminals.binary_search(&node).is_ok()
    }

    /// What a GB costs over these edges.
    pub(crate) fn tree_cost(&self, edges: &[(usize, usize)]) -> f64 {
        edges.iter().map(|(from, to)| self.cost(*from, *to)).sum()
    }
}

/// What flows: by edge, and through each node, as shares of the volume.
#[derive(Clone, Debug, Default)]
pub(crate) struct Load {
    pub(crate) edges: std::collections::BTreeMap<(usize, usize), f64>,
    pub(crate) egress: Vec<f64>,
    /// Of the egress, what goes to other providers.
    pub(crate) internet: Vec<f64>,
    pub(crate) ingress: Vec<f64>,
    /// `Σ F/bandwidth` out of and into each node.
    pub(crate) connections_out: Vec<f64>,
    pub(crate) connections_in: Vec<f64>,
    /// Read from the source's store.
    pub(crate) read: f64,
}

impl Load {
    pub(crate) fn new(nodes: usize) -> Self {
        Load {
            edges: std::collections::BTreeMap::new(),
            egress: vec![0.0; nodes],
            internet: vec![0.0; nodes],
            ingress: vec![0.0; nodes],
            connections_out: vec![0.0; nodes],
            connections_in: vec![0.0; nodes],
            read: 0.0,
        }
    }

    /// Adds what a tree carries.
    pub(crate) fn add(&mut self, instance: &Instance, edges: &[(usize, usize)], share: f64) {
        self.read += share;
        for (from, to) in edges {
            *self.edges.entry((*from, *to)).or_default() += share;
            self.egress[*from] += share;
            if instance.is_internet(*from, *to) {
                self.internet[*from] += share;
            }
            self.ingress[*to] += share;
            self.connections_out[*from] += share / instance.rate(*from, *to);
            self.connections_in[*to] += share / instance.rate(*from, *to);
        }
    }

    /// How long it takes with these machines, in seconds a Gbit of the volume: the fullest of links and machines. Infinite
    /// where something flows and no machine stands.
    pub(crate) fn time(&self, instance: &Instance, machines: &[u32]) -> f64 {
        let mut longest: f64 = 0.0;
        let mut take = |load: f64, capacity: f64| {
            if load > 0.0 {
                longest = longest.max(load / capacity);
            }
        };
        for (node, count) in machines.iter().enumerate() {
            let count = f64::from(*count);
            take(self.egress[node], instance.egress_gbps[node] * count);
            take(
                self.internet[node],
                instance.internet_egress_gbps[node] * count,
            );
            take(self.ingress[node], instance.ingress_gbps[node] * count);
            if instance.sharing == LinkSharing::Connections {
                take(self.connections_out[node], count);
                take(self.connections_in[node], count);
            }
        }
        let readers = f64::from(machines[instance.source]);
        take(self.read, instance.read_gbps * readers);
        if instance.sharing == LinkSharing::Pairs {
            for ((from, to), load) in &self.edges {
                take(
                    *load,
                    instance.rate(*from, *to) * f64::from(machines[*from]),
                );
            }
        }
        longest
    }

    /// Machine-seconds a Gbit that each node needs at least.
    pub(crate) fn machine_time(&self, instance: &Instance, node: usize) -> f64 {
        let mut most = self.egress[node] / instance.egress_gbps[node];
        most = most.max(self.internet[node] / instance.internet_egress_gbps[node]);
        most = most.max(self.ingress[node] / instance.ingress_gbps[node]);
        if node == instance.source {
            most = most.max(self.read / instance.read_gbps);
        }
        match instance.sharing {
            LinkSharing::Connections => most
                .max(self.connections_out[node])
                .max(self.connections_in[node]),
            LinkSharing::Pairs => {
                let out = self.edges.range((node, 0)..=(node, usize::MAX));
                out.map(|((from, to), load)| load / instance.rate(*from, *to))
                    .fold(most, f64::max)
            }
        }
    }
}
