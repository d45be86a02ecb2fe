//! What is asked of an overlay.

use super::requests::Requests;
use crate::network::Network;
use crate::packing::{GBIT_PER_GB, Instance, LinkSharing};
use serde::{Deserialize, Serialize};
use skyfresh_sky::{Invalid, Provider, Region};
use std::collections::BTreeSet;

/// What is wanted of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// The cheapest, however long it takes.
    Cheapest,
    /// The cheapest that ends within so many seconds.
    Deadline(f64),
    /// The cheapest at which every destination receives at least so many Gbit/s.
    Throughput(f64),
    /// The fastest for at most so many dollars.
    Budget(f64),
    /// The fastest, and of the fastest the cheapest.
    Fastest,
}

/// Whether the time until machines answer counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartUp {
    /// Machines stand ready, and are paid for while data flows: what the papers compute.
    #[default]
    Ready,
    /// Machines are asked for when the transfer is: the slowest to start delays it, and all are paid for from then on.
    Counted,
}

/// What one machine moves from and to the object store of its own region, in Gbit/s; infinite where that is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoreIo {
    /// At the source.
    pub read_gbps: f64,
    /// At each destination.
    pub write_gbps: f64,
}

impl StoreIo {
    /// No limit but the machines'.
    pub const UNLIMITED: StoreIo = StoreIo {
        read_gbps: f64::INFINITY,
        write_gbps: f64::INFINITY,
    };
}

/// A transfer to plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Where the data is.
    pub source: Region,
    /// Where it must also be.
    pub destinations: Vec<Region>,
    /// How much, in GB (10⁹ bytes).
    pub volume_gb: f64,
    /// What is wanted.
    pub goal: Goal,
    /// Most machines in one region.
    pub vms_per_region: u32,
    /// In how many equal parts the volume is routed; `None`: one for every 62.5 MB.
    pub stripes: Option<u32>,
    /// How machines share links; `None`: as the papers have it, [`LinkSharing::Connections`] for one destination and
    /// [`LinkSharing::Pairs`] for more.
    pub sharing: Option<LinkSharing>,
    /// Regions through which nothing may flow.
    pub without_regions: BTreeSet<Region>,
    /// Providers through whose regions nothing may flow; source and destinations stay allowed.
    pub without_providers: BTreeSet<Provider>,
    /// Whether data may flow through regions that have a store and no machines (free egress, say): it is written there and read
    /// again.
    pub through_stores: bool,
    /// Whether machines' start counts.
    pub start_up: StartUp,
    /// What machines move from and to the stores at the ends.
    pub store_io: StoreIo,
    /// Bytes of a part, for which requests to the stores are paid: a read at the source, a write at each destination. `None`: requests
    /// are not counted, as the papers do.
    pub part_bytes: Option<u64>,
}

impl Request {
    /// A transfer with the defaults: one machine a region for one destination, as [`Request`] says otherwise.
    pub fn new(source: Region, destinations: Vec<Region>, volume_gb: f64, goal: Goal) -> Self {
        Request {
            source,
            destinations,
            volume_gb,
            goal,
            vms_per_region: 1,
            stripes: None,
            sharing: None,
            without_regions: BTreeSet::new(),
            without_providers: BTreeSet::new(),
            through_stores: false,
            start_up: StartUp::Ready,
            store_io: StoreIo::UNLIMITED,
            part_bytes: None,
        }
    }
}

/// Stripes of a GB where none are asked for: 62.5 MB each, about the chunks that relays pass on.
const STRIPES_PER_GB: f64 = 16.0;
const MOST_STRIPES: u32 = 1_000_000;

/// A request on its network, checked and numbered.
#[derive(Clone, Debug)]
pub struct Limits<'a> {
    pub(crate) network: &'a Network,
    pub(crate) request: &'a Request,
    pub(crate) instance: Instance,
    pub(crate) stripes: u32,
    /// Most seconds of transfer a Gbit of the volume; infinite without a deadline.
    pub(crate) longest: f64,
    /// Most dollars a GB, requests at the ends aside; infinite without a budget.
    pub(crate) budget: f64,
    /// What requests to the stores cost.
    pub(crate) requests: Requests,
    /// Until all machines that may take part have started, in seconds.
    pub(crate) start_s: f64,
}

impl<'a> Limits<'a> {
    /// By when machines may have started, where their start counts: a plan without those that start last may be the better one,
    /// so each is to be tried. One zero where it does not count.
    pub(crate) fn starts(network: &Network, request: &Request) -> Result<Vec<f64>, Invalid> {
        if request.start_up == StartUp::Ready {
            return Ok(vec![0.0]);
        }
        let limits = Limits::new(network, request, f64::INFINITY)?;
        let ends = limits
            .instance
            .terminals
            .iter()
            .chain([&limits.instance.source]);
        let start = |node: &usize| network.machine(*node).start_s;
        let least = ends.map(start).fold(0.0, f64::max);
        let mut starts: Vec<f64> = (0..network.len())
            .map(|node| start(&node).max(least))
            .collect();
        starts.sort_by(f64::total_cmp);
        starts.dedup();
        Ok(starts)
    }

    /// `start_s`: only machines that have started by then may take part.
    pub(crate) fn new(
        network: &'a Network,
        request: &'a Request,
        start_s: f64,
    ) -> Result<Self, Invalid> {
        let number = |region: &Region| {
            network.number(region).ok_or_else(|| {
                let why = "the network has no links of it; `skyfresh catalog regions` lists those of the catalogue";
                Invalid::new("region", region.to_string(), why)
            })
        };
        let source = number(&request.source)?;
        let mut destinations = Vec::new();
        for region in &request.destinations {
            let at = number(region)?;
            if at == source {
                let why = "it is the source: a copy within a region needs no overlay";
                return Err(Invalid::new("destination", region.to_string(), why));
            }
            destinations.push(at);
        }
        if destinations.is_empty() {
            return Err(Invalid::new(
                "destinations",
                "none",
                "name at least one region",
            ));
        }
        let above_zero = |what: &'static str, value: f64| {
            if value.is_finite() && value > 0.0 {
                return Ok(());
            }
            Err(Invalid::new(
                what,
                value.to_string(),
                "must be a number above zero",
            ))
        };
        above_zero("volume", request.volume_gb)?;
        match request.goal {
            Goal::Deadline(value) => above_zero("deadline", value)?,
            Goal::Throughput(value) => above_zero("throughput", value)?,
            Goal::Budget(value) => above_zero("budget", value)?,
            Goal::Cheapest | Goal::Fastest => {}
        }
        if !(1..=10_000).contains(&request.vms_per_region) {
            let given = request.vms_per_region.to_string();
            return Err(Invalid::new(
                "vms",
                given,
                "must be from 1 to 10,000 a region",
            ));
        }
        let by_volume = (request.volume_gb * STRIPES_PER_GB).ceil().max(1.0);
        let stripes = request
            .stripes
            .unwrap_or(by_volume.min(f64::from(MOST_STRIPES)) as u32);
        if !(1..=MOST_STRIPES).contains(&stripes) {
            let why = format!("must be from 1 to {MOST_STRIPES}");
            return Err(Invalid::new("stripes", stripes.to_string(), why));
        }
        let sharing = request.sharing.unwrap_or(if destinations.len() == 1 {
            LinkSharing::Connections
        } else {
            LinkSharing::Pairs
        });
        let mut instance = Instance::new(
            network,
            source,
            &destinations,
            request.vms_per_region,
            sharing,
        );
        for (what, gbps) in [
            ("read rate", request.store_io.read_gbps),
            ("write rate", request.store_io.write_gbps),
        ] {
            if gbps.is_nan() || gbps <= 0.0 {
                let why = "must be a number above zero";
                return Err(Invalid::new(what, gbps.to_string(), why));
            }
        }
        // All of the volume is read once at the source, and comes once into each destination, whatever is passed on there.
        instance.read_gbps = request.store_io.read_gbps;
        for node in &destinations {
            instance.ingress_gbps[*node] =
                instance.ingress_gbps[*node].min(request.store_io.write_gbps);
        }
        for (node, region) in network.regions().iter().enumerate() {
            let ends = node == source || destinations.contains(&node);
            let barred = request.without_regions.contains(region)
                || request.without_providers.contains(&region.provider);
            let late =
                request.start_up == StartUp::Counted && network.machine(node).start_s > start_s;
            let store = !request.through_stores && !network.has_machines(node);
            if (barred || late || store) && !ends {
                instance.forbid_node(node);
            }
        }
        let requests = Requests::new(network, source, &destinations, request.part_bytes)?;
        requests.add_to(&mut instance);
        let gbits = request.volume_gb * GBIT_PER_GB;
        let start = if start_s.is_finite() { start_s } else { 0.0 };
        let longest = match request.goal {
            Goal::Deadline(seconds) => (seconds - start).max(0.0) / gbits,
            Goal::Throughput(gbps) => 1.0 / gbps,
            Goal::Cheapest | Goal::Budget(_) | Goal::Fastest => f64::INFINITY,
        };
        if start > 0.0 && longest.is_finite() && longest > 0.0 {
            // Machines are paid for from their start, so what they cost while data flows is more by that; exact where it flows
            // until the deadline, and what a plan costs is added up exactly in the end.
            let flow_s = longest * gbits;
            for usd in &mut instance.machine_usd {
                *usd *= 1.0 + start / flow_s;
            }
        }
        let budget = match request.goal {
            Goal::Budget(usd) => usd / request.volume_gb - requests.ends,
            _ => f64::INFINITY,
        };
        Ok(Limits {
            network,
            request,
            instance,
            stripes,
            longest,
            budget,
            requests,
            start_s: start,
        })
    }

    /// Gbit of the whole volume.
    pub(crate) fn gbits(&self) -> f64 {
        self.request.volume_gb * GBIT_PER_GB
    }
}
