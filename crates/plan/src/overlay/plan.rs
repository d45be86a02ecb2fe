//! A plan as a value.

use serde::{Deserialize, Serialize};
use skyfresh_sky::Region;
use skyfresh_sky::catalog::NetworkTier;
use std::collections::BTreeMap;

/// What an engine came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A plan that does what was asked.
    Plan(Box<OverlayPlan>),
    /// There is none.
    Infeasible(Box<Infeasible>),
}

impl Outcome {
    /// The plan, where there is one.
    pub fn plan(&self) -> Option<&OverlayPlan> {
        match self {
            Outcome::Plan(plan) => Some(plan),
            Outcome::Infeasible(_) => None,
        }
    }
}

/// Why there is no plan, and what there is instead.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Infeasible {
    /// Who looked.
    pub engine: String,
    /// The limits that stand in the way, the tightest first.
    pub binding: Vec<String>,
    /// The nearest request that has a plan, in words.
    pub nearest: String,
    /// The shortest deadline that has a plan, in seconds, where the deadline or throughput was too much.
    pub shortest_s: Option<f64>,
    /// The least budget that has a plan, in dollars, where the budget was too little.
    pub cheapest_usd: Option<f64>,
}

/// Data over trees, through machines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OverlayPlan {
    /// Who made it.
    pub engine: String,
    /// Where the data is.
    pub source: Region,
    /// Where it must also be.
    pub destinations: Vec<Region>,
    /// How much, in GB.
    pub volume_gb: f64,
    /// All of it in dollars: egress, machines, requests and fees.
    pub cost_usd: f64,
    /// Egress.
    pub egress_usd: f64,
    /// Machines, by the second, for as long as it takes.
    pub vm_usd: f64,
    /// Requests to the stores; 0 where they are not counted.
    #[serde(default)]
    pub requests_usd: f64,
    /// Fees of a service, where the plan is one's.
    pub fee_usd: f64,
    /// Until the last destination has all of it; machines' start included where that was asked for.
    pub time_s: f64,
    /// Of `time_s`, until all machines had started.
    pub start_s: f64,
    /// What every destination receives while data flows, Gbit/s.
    pub throughput_gbps: f64,
    /// No plan within the same limits costs less (or, where the fastest was asked for, no faster one costs less): proven. `None`
    /// where the engine proves nothing.
    pub lower_bound_usd: Option<f64>,
    /// No plan within the same limits is faster: proven. `None` where cost was minimised.
    pub lower_bound_s: Option<f64>,
    /// Machines by region.
    pub vms: BTreeMap<Region, u32>,
    /// In how many equal parts the volume is routed.
    pub stripes: u32,
    /// Which way they go.
    pub trees: Vec<StripeTree>,
    /// What goes over each link.
    pub edges: Vec<EdgeVolume>,
}

/// A tree from the source to every destination (to some of them, in plans made a destination at a time).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StripeTree {
    /// How many of the plan's stripes go this way.
    pub stripes: u32,
    /// Its links.
    pub edges: Vec<(Region, Region)>,
}

/// What goes over a link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EdgeVolume {
    /// From here.
    pub src: Region,
    /// To here.
    pub dst: Region,
    /// While data flows, Gbit/s.
    pub gbps: f64,
    /// What one machine here and one there carry at most between them, Gbit/s.
    pub pair_gbps: f64,
    /// In all, GB.
    pub gb: f64,
    /// What a GB costs, in dollars: egress.
    pub usd_per_gb: f64,
    /// Google Cloud's network tier that it leaves by, on the way from there to another provider, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<NetworkTier>,
}
