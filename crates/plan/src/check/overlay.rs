//! Checks plans of overlays from the request and the network's tables alone.

use crate::network::Network;
use crate::overlay::{Goal, OverlayPlan, Request, StartUp, StripeTree};
use crate::packing::LinkSharing;
use skyfresh_sky::{Provider, Region};
use std::collections::{BTreeMap, BTreeSet};

/// Rounding of sums of thousands of products.
const RELATIVE: f64 = 1e-6;

/// Everything that is wrong with a plan, in words; nothing where all is right. What is checked: that every tree leads from the
/// source to every destination and every destination gets every stripe; that volumes follow the trees, and what enters a relay
/// leaves it; that no link, machine, connection or region carries more than it can, over the internet or at all; regions that are barred;
/// network tiers; that egress, machines, requests, time and throughput come out again when they are added up from scratch; the deadline,
/// the throughput, the budget; and that no lower bound is above what it bounds.
pub fn check_overlay(network: &Network, request: &Request, plan: &OverlayPlan) -> Vec<String> {
    let mut check = Check {
        network,
        request,
        plan,
        wrong: Vec::new(),
    };
    check.shape();
    check.volumes();
    check.capacity();
    check.tiers();
    check.money();
    check.goal();
    check.wrong
}

struct Check<'a> {
    network: &'a Network,
    request: &'a Request,
    plan: &'a OverlayPlan,
    wrong: Vec<String>,
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= RELATIVE * (1.0 + a.abs().max(b.abs()))
}

impl Check<'_> {
    fn fault(&mut self, what: String) {
        self.wrong.push(what);
    }

    fn number(&mut self, region: &Region) -> Option<usize> {
        let number = self.network.number(region);
        if number.is_none() {
            self.fault(format!("{region} is not in the network"));
        }
        number
    }

    fn shape(&mut self) {
        let plan = self.plan;
        if plan.source != self.request.source || plan.destinations != self.request.destinations {
            self.fault("the plan is for other regions than were asked for".into());
        }
        let all: u64 = plan.trees.iter().map(|tree| u64::from(tree.stripes)).sum();
        if all != u64::from(plan.stripes) {
            self.fault(format!(
                "trees carry {all} stripes, the volume has {}",
                plan.stripes
            ));
        }
        for (at, tree) in plan.trees.iter().enumerate() {
            self.tree(at, tree);
        }
    }

    fn tree(&mut self, at: usize, tree: &StripeTree) {
        let mut parents: BTreeMap<&Region, &Region> = BTreeMap::new();
        for (from, to) in &tree.edges {
            if parents.insert(to, from).is_some() {
                self.fault(format!("tree {at} enters {to} twice"));
            }
            if *to == self.request.source {
                self.fault(format!("tree {at} leads back to the source"));
            }
            let numbers = (self.number(from), self.number(to));
            if let (Some(a), Some(b)) = numbers
                && self.network.gbps(a, b) <= 0.0
            {
                self.fault(format!("tree {at}: there is no link from {from} to {to}"));
            }
        }
        for region in &self.request.destinations {
            let mut here = region;
            let mut hops = 0;
            while *here != self.request.source && hops <= tree.edges.len() {
                let Some(parent) = parents.get(here) else {
                    break;
                };
                here = parent;
                hops += 1;
            }
            if *here != self.request.source {
                self.fault(format!(
                    "tree {at} does not lead from the source to {region}"
                ));
            }
        }
        // Whatever is entered is left again, or wanted there.
        for region in parents.keys() {
            let leaves = tree.edges.iter().any(|(from, _)| from == *region);
            if !leaves && !self.request.destinations.contains(region) {
                self.fault(format!(
                    "tree {at} ends at {region}, which nobody asked for"
                ));
            }
        }
    }

    fn volumes(&mut self) {
        let plan = self.plan;
        let stripe_gb = plan.volume_gb / f64::from(plan.stripes.max(1));
        let mut expected: BTreeMap<(&Region, &Region), (f64, f64)> = BTreeMap::new();
        for tree in &plan.trees {
            for (from, to) in &tree.edges {
                let sum = expected.entry((from, to)).or_default();
                sum.0 += f64::from(tree.stripes) * stripe_gb;
                sum.1 += 1.0;
            }
        }
        let mut seen = BTreeSet::new();
        for edge in &plan.edges {
            if !seen.insert((&edge.src, &edge.dst)) {
                self.fault(format!("{} to {} is listed twice", edge.src, edge.dst));
            }
            // Where shares are exact, stripes are the whole numbers nearest to them: no tree is off by more than one.
            let by_trees = expected.remove(&(&edge.src, &edge.dst)).unwrap_or_default();
            let slack = by_trees.1 * stripe_gb + RELATIVE * plan.volume_gb;
            if (edge.gb - by_trees.0).abs() > slack {
                self.fault(format!(
                    "{} to {} carries {} GB, its trees {} GB",
                    edge.src, edge.dst, edge.gb, by_trees.0
                ));
            }
        }
        for ((from, to), (gb, _)) in expected {
            if gb > 0.0 {
                self.fault(format!(
                    "{from} to {to} is on a tree, and not among the links"
                ));
            }
        }
        let entering = |region: &Region| -> f64 {
            plan.edges
                .iter()
                .filter(|edge| edge.dst == *region)
                .map(|edge| edge.gb)
                .sum()
        };
        for region in &self.request.destinations {
            let gb = entering(region);
            if !near(gb, plan.volume_gb) {
                self.fault(format!("{region} receives {gb} GB of {}", plan.volume_gb));
            }
        }
        for edge in &plan.edges {
            // Copies may be made, bytes may not.
            if edge.src != self.request.source && edge.gb > entering(&edge.src) * (1.0 + RELATIVE) {
                self.fault(format!(
                    "{} sends more than it receives to {}",
                    edge.src, edge.dst
                ));
            }
        }
    }

    fn capacity(&mut self) {
        let plan = self.plan;
        let sharing = self
            .request
            .sharing
            .unwrap_or(match self.request.destinations.len() {
                1 => LinkSharing::Connections,
                _ => LinkSharing::Pairs,
            });
        let mut out: BTreeMap<&Region, (f64, f64)> = BTreeMap::new();
        let mut into: BTreeMap<&Region, (f64, f64)> = BTreeMap::new();
        let mut abroad: BTreeMap<&Region, f64> = BTreeMap::new();
        for edge in &plan.edges {
            let (Some(a), Some(b)) = (self.number(&edge.src), self.number(&edge.dst)) else {
                continue;
            };
            let rate = self.network.gbps(a, b);
            let flow_s = plan.time_s - plan.start_s;
            if !near(edge.gbps * flow_s, edge.gb * 8.0) {
                let (src, dst) = (&edge.src, &edge.dst);
                self.fault(format!("{src} to {dst}: rate and volume do not agree"));
            }
            let machines = f64::from(self.machines(&edge.src));
            if sharing == LinkSharing::Pairs && edge.gbps > rate * machines * (1.0 + RELATIVE) {
                self.fault(format!(
                    "{} to {} carries {} Gbit/s, of {} that {machines} machines can",
                    edge.src,
                    edge.dst,
                    edge.gbps,
                    rate * machines
                ));
            }
            if edge.src.provider != edge.dst.provider {
                *abroad.entry(&edge.src).or_default() += edge.gbps;
            }
            let sums = (
                out.entry(&edge.src).or_default(),
                into.entry(&edge.dst).or_default(),
            );
            for sum in [sums.0, sums.1] {
                sum.0 += edge.gbps;
                sum.1 += edge.gbps / rate;
            }
        }
        for (region, gbps) in abroad {
            let Some(number) = self.network.number(region) else {
                continue;
            };
            let cap = self.network.machine(number).internet_egress_gbps;
            let most = cap * f64::from(self.machines(region));
            if gbps > most * (1.0 + RELATIVE) {
                self.fault(format!(
                    "{region} sends {gbps} Gbit/s to other providers, of {most} at most"
                ));
            }
        }
        for (side, sums, sends) in [("sends", &out, true), ("receives", &into, false)] {
            for (region, (gbps, connections)) in sums {
                let Some(number) = self.network.number(region) else {
                    continue;
                };
                let machine = self.network.machine(number);
                let cap = if sends {
                    machine.egress_gbps
                } else {
                    machine.ingress_gbps
                };
                let count = f64::from(self.machines(region));
                if *gbps > cap * count * (1.0 + RELATIVE) {
                    self.fault(format!(
                        "{region} {side} {gbps} Gbit/s, of {} at most",
                        cap * count
                    ));
                }
                if sharing == LinkSharing::Connections && *connections > count * (1.0 + RELATIVE) {
                    let (has, of) = (64.0 * connections, 64.0 * count);
                    self.fault(format!(
                        "{region} {side} over {has} connections, of {of} at most"
                    ));
                }
            }
        }
        let io = self.request.store_io;
        let ends = self.request.destinations.iter();
        let ends = ends.map(|region| (region, io.write_gbps, "writes"));
        for (region, gbps, does) in ends.chain([(&plan.source, io.read_gbps, "reads")]) {
            let most = gbps * f64::from(self.machines(region));
            if plan.throughput_gbps > most * (1.0 + RELATIVE) {
                let rate = plan.throughput_gbps;
                self.fault(format!("{region} {does} {rate} Gbit/s, of {most} at most"));
            }
        }
        for (region, count) in &plan.vms {
            if *count > self.request.vms_per_region {
                self.fault(format!("{region} has {count} machines"));
            }
            let ends = *region == self.request.source || self.request.destinations.contains(region);
            let barred = self.request.without_regions.contains(region)
                || self.request.without_providers.contains(&region.provider);
            if barred && !ends {
                self.fault(format!("{region} is barred"));
            }
        }
    }

    /// Machines of a region; a region that has only a store needs none.
    fn machines(&self, region: &Region) -> u32 {
        let number = self.network.number(region);
        if number.is_some_and(|number| !self.network.has_machines(number)) {
            return self.request.vms_per_region;
        }
        self.plan.vms.get(region).copied().unwrap_or(0)
    }

    fn money(&mut self) {
        let plan = self.plan;
        let mut egress = 0.0;
        for edge in &plan.edges {
            if let (Some(a), Some(b)) = (self.number(&edge.src), self.number(&edge.dst)) {
                egress += edge.gb * self.network.usd_per_gb(a, b);
            }
        }
        let mut machines = 0.0;
        let mut start: f64 = 0.0;
        for (region, count) in &plan.vms {
            if let Some(number) = self.number(region) {
                let machine = self.network.machine(number);
                machines += f64::from(*count) * machine.usd_per_hour * plan.time_s / 3600.0;
                start = start.max(machine.start_s);
            }
        }
        if self.request.start_up == StartUp::Counted && !near(start, plan.start_s) {
            self.fault(format!(
                "machines start in {start} s, not in {}",
                plan.start_s
            ));
        }
        let requests = self.requests();
        let sum = egress + machines + requests + plan.fee_usd;
        for (what, stated, counted) in [
            ("egress", plan.egress_usd, egress),
            ("machines", plan.vm_usd, machines),
            ("requests", plan.requests_usd, requests),
            ("cost", plan.cost_usd, sum),
            (
                "throughput × time",
                plan.throughput_gbps * (plan.time_s - plan.start_s),
                plan.volume_gb * 8.0,
            ),
        ] {
            if !near(stated, counted) {
                self.fault(format!("{what}: {stated} is stated, {counted} comes out"));
            }
        }
        let above = |bound: Option<f64>, value: f64| {
            bound.is_some_and(|bound| bound > value * (1.0 + RELATIVE))
        };
        if above(plan.lower_bound_usd, plan.cost_usd) || above(plan.lower_bound_s, plan.time_s) {
            self.fault("a lower bound is above what it bounds".into());
        }
    }

    /// Dollars for requests, counted by parts: machines at the source read each once, those at a destination write it once; regions that
    /// have only a store are written to by whoever sends there, and read from by whoever receives.
    fn requests(&mut self) -> f64 {
        let plan = self.plan;
        let Some(part_bytes) = self.request.part_bytes else {
            return 0.0;
        };
        let parts = |gb: f64| gb * 1e9 / part_bytes as f64;
        // Region, GB, whether it is read.
        let mut stores: Vec<(&Region, f64, bool)> = vec![(&plan.source, plan.volume_gb, true)];
        let ends = plan.destinations.iter();
        stores.extend(ends.map(|region| (region, plan.volume_gb, false)));
        let has_machines = |region: &Region| {
            let number = self.network.number(region);
            number.is_some_and(|number| self.network.has_machines(number))
        };
        stores.retain(|(region, ..)| has_machines(region));
        for edge in &plan.edges {
            if !has_machines(&edge.src) {
                stores.push((&edge.src, edge.gb, true));
            }
            if !has_machines(&edge.dst) {
                stores.push((&edge.dst, edge.gb, false));
            }
        }
        let mut usd = 0.0;
        for (region, gb, reads) in stores {
            let Some(number) = self.number(region) else {
                continue;
            };
            match self.network.request_usd(number) {
                Some(price) if reads => usd += parts(gb) * price.read,
                Some(price) => usd += parts(gb) * price.write,
                None => self.fault(format!("nobody knows what requests cost in {region}")),
            }
        }
        usd
    }

    /// The tier of each link that has one: Google Cloud's, from there to other providers alone.
    fn tiers(&mut self) {
        for edge in &self.plan.edges {
            let (Some(a), Some(b)) = (self.number(&edge.src), self.number(&edge.dst)) else {
                continue;
            };
            let leaves = edge.src.provider == Provider::Gcp && edge.dst.provider != Provider::Gcp;
            let (src, dst) = (&edge.src, &edge.dst);
            if edge.tier.is_some() && !leaves {
                self.fault(format!(
                    "{src} to {dst} has a tier, and does not leave Google Cloud"
                ));
            }
            if edge.tier != self.network.tier(a, b) {
                self.fault(format!(
                    "{src} to {dst} goes by another tier than the network's"
                ));
            }
            if !near(edge.usd_per_gb, self.network.usd_per_gb(a, b)) {
                self.fault(format!("{src} to {dst}: a GB costs something else"));
            }
        }
    }

    fn goal(&mut self) {
        let plan = self.plan;
        let slack = 1.0 + RELATIVE;
        let missed = match self.request.goal {
            Goal::Deadline(seconds) => plan.time_s > seconds * slack,
            Goal::Throughput(gbps) => plan.throughput_gbps * slack < gbps,
            Goal::Budget(usd) => plan.cost_usd > usd * slack,
            Goal::Cheapest | Goal::Fastest => false,
        };
        if missed {
            self.fault(format!("the goal {:?} is missed", self.request.goal));
        }
    }
}
