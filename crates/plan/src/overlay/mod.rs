//! Plans of overlays: which machines stand in which regions, and over which trees the data flows through them.
//!
//! In: a [`Request`] on a [`Network`]. Out: an [`Outcome`], a plan that can be printed, stored, compared and checked
//! ([`crate::check::check_overlay`]), or why there is none and what nearest to it there is. Never: a plan dearer or later than
//! asked for.

mod build;
mod choice;
mod plan;
mod request;
mod requests;

pub(crate) use build::{Draft, whole_plan};
pub use choice::{Choice, Direct, Machines, SMALL_GB, Way, choose};
pub use plan::{EdgeVolume, Infeasible, Outcome, OverlayPlan, StripeTree};
pub use request::{Goal, Limits, Request, StartUp, StoreIo};

use crate::multicast::{self, baselines};
use crate::network::Network;
use crate::packing::Work;
use crate::transfer;
use serde::{Deserialize, Serialize};
use skyfresh_sky::Invalid;

/// Who makes the plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// Trees packed by column generation; for one destination, Skyplane's programme solved exactly.
    #[default]
    Best,
    /// The paper's programme as it stands, a binary variable for every stripe on every edge: for small networks.
    Milp,
    /// Cloudcast's three approximations: clustered regions, two hops, a stripe at a time.
    Iterative,
    /// Straight from the source to every destination.
    Direct,
    /// Straight, one machine at each end, blocks dealt out in turn (GridFTP).
    GridFtp,
    /// One relay, of the highest throughput (RON's heuristic).
    Ron,
    /// The cheapest spanning tree of source and destinations.
    SpanningTree,
    /// The cheapest tree, relays allowed.
    Steiner,
    /// Greedy trees over the links with most left (SPIDER).
    Spider,
    /// A Steiner tree over links at least this share as fast as the direct one (CloudMPCast's α).
    CloudMpcast(f64),
    /// Skyplane's plan for each destination, together.
    SkyplaneCombined,
    /// Few trees within the deadline, prices unseen (deadline-aware inter-datacentre transfer).
    DeadlineAware,
    /// A tree whose children get disjoint shares, and exchange the rest (Bullet).
    Bullet,
    /// Peers that exchange pieces, rarest first and tit for tat: a simulation (BitTorrent).
    BitTorrent,
    /// What S3 multi-region replication was seen to do: straight, at its service's pace and fee.
    S3Replication,
}

/// Every engine with its name; an α of one half where one is needed.
pub const ENGINES: [(&str, Engine); 15] = [
    ("best", Engine::Best),
    ("milp", Engine::Milp),
    ("iterative", Engine::Iterative),
    ("direct", Engine::Direct),
    ("gridftp", Engine::GridFtp),
    ("ron", Engine::Ron),
    ("spanning-tree", Engine::SpanningTree),
    ("steiner", Engine::Steiner),
    ("spider", Engine::Spider),
    ("cloudmpcast", Engine::CloudMpcast(0.5)),
    ("skyplane", Engine::SkyplaneCombined),
    ("deadline-aware", Engine::DeadlineAware),
    ("bullet", Engine::Bullet),
    ("bittorrent", Engine::BitTorrent),
    ("s3-replication", Engine::S3Replication),
];

impl std::fmt::Display for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Engine::CloudMpcast(alpha) => write!(f, "cloudmpcast:{alpha}"),
            engine => {
                let named = ENGINES.iter().find(|(_, other)| other == engine);
                f.write_str(named.map_or("", |(name, _)| name))
            }
        }
    }
}

impl std::str::FromStr for Engine {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if let Some(alpha) = text.strip_prefix("cloudmpcast:") {
            let alpha = alpha
                .parse()
                .ok()
                .filter(|alpha| (0.0..=1.0).contains(alpha));
            return alpha.map(Engine::CloudMpcast).ok_or_else(|| {
                Invalid::new(
                    "engine",
                    text,
                    "α is a number from 0 to 1, e.g. cloudmpcast:0.5",
                )
            });
        }
        let named = ENGINES.iter().find(|(name, _)| *name == text);
        named.map(|(_, engine)| *engine).ok_or_else(|| {
            let names: Vec<&str> = ENGINES.iter().map(|(name, _)| *name).collect();
            Invalid::new(
                "engine",
                text,
                format!("expected one of {}", names.join(", ")),
            )
        })
    }
}

/// Makes a plan. The same request on the same network always gets the same plan.
///
/// # Errors
/// A request that no network could answer: an unknown region, a destination that is the source, a volume that is not above zero.
pub fn plan(network: &Network, request: &Request, engine: Engine) -> Result<Outcome, Invalid> {
    let mut work = Work::default();
    plan_counting(network, request, engine, &mut work)
}

/// As [`plan`], and adds up what was done for it.
///
/// # Errors
/// As [`plan`].
pub fn plan_counting(
    network: &Network,
    request: &Request,
    engine: Engine,
    work: &mut Work,
) -> Result<Outcome, Invalid> {
    if request.store_io != StoreIo::UNLIMITED && engine != Engine::Best {
        let why = "what machines move from and to stores is counted by the engine best alone";
        return Err(Invalid::new("engine", engine.to_string(), why));
    }
    let mut best: Option<Outcome> = None;
    for start_s in Limits::starts(network, request)? {
        let mut limits = Limits::new(network, request, start_s)?;
        let mut outcome = made(&limits, engine, work)?;
        // What machines cost until they have started is known only with their number: a budget is kept by asking again for less.
        for _ in 0..MOST_TURNS {
            let (Goal::Budget(usd), Some(plan)) = (request.goal, outcome.plan()) else {
                break;
            };
            let over = plan.cost_usd - usd;
            if over <= usd * 1e-9 {
                break;
            }
            limits.budget -= over / request.volume_gb;
            outcome = made(&limits, engine, work)?;
        }
        if let (StartUp::Counted, Outcome::Plan(plan)) = (request.start_up, &mut outcome) {
            // Proven for machines that start no later than these alone.
            (plan.lower_bound_usd, plan.lower_bound_s) = (None, None);
        }
        best = Some(match best {
            Some(other) => better(request, other, outcome),
            None => outcome,
        });
    }
    best.ok_or_else(|| Invalid::new("network", "empty", "it has no regions"))
}

/// Makes a plan on each of several networks, and takes the best by what is asked: the same regions over other tiers, say. Says on which
/// one the plan is; what is proven holds for plans on any one of them, not for mixtures.
///
/// # Errors
/// As [`plan`]; and no network at all.
pub fn plan_on_any(
    networks: &[Network],
    request: &Request,
    engine: Engine,
) -> Result<(usize, Outcome), Invalid> {
    let mut best: Option<(usize, Outcome)> = None;
    for (at, network) in networks.iter().enumerate() {
        let outcome = plan(network, request, engine)?;
        best = Some(match best {
            Some((other, before)) => {
                let bounds = least_bounds(&before, &outcome);
                let first = rank(request, &before) <= rank(request, &outcome);
                let (at, mut taken) = if first {
                    (other, before)
                } else {
                    (at, outcome)
                };
                if let (Outcome::Plan(plan), Some(bounds)) = (&mut taken, bounds) {
                    (plan.lower_bound_usd, plan.lower_bound_s) = bounds;
                }
                (at, taken)
            }
            None => (at, outcome),
        });
    }
    best.ok_or_else(|| Invalid::new("networks", "none", "there is nothing to plan on"))
}

type Bounds = (Option<f64>, Option<f64>);

/// What holds for either of two plans; `None` where only one network has a plan, whose own bounds hold.
fn least_bounds(a: &Outcome, b: &Outcome) -> Option<Bounds> {
    let (a, b) = (a.plan()?, b.plan()?);
    let least = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| a.min(b));
    let usd = least(a.lower_bound_usd, b.lower_bound_usd);
    Some((usd, least(a.lower_bound_s, b.lower_bound_s)))
}

const MOST_TURNS: usize = 8;

fn made(limits: &Limits, engine: Engine, work: &mut Work) -> Result<Outcome, Invalid> {
    if limits.budget <= 0.0 {
        // Requests and machines' start alone cost as much.
        let why = transfer::infeasible(limits, &engine.to_string(), transfer::EXACT, work);
        return Ok(Outcome::Infeasible(Box::new(why)));
    }
    Ok(match engine {
        Engine::Best if limits.request.destinations.len() == 1 => transfer::best(limits, work),
        Engine::Best => multicast::best(limits, work),
        Engine::Milp => multicast::milp(limits)?,
        Engine::Iterative => multicast::iterative(limits, work),
        engine => baselines::plan(limits, engine, work),
    })
}

/// The better of two answers: a plan before none, then by what is wanted.
fn better(request: &Request, a: Outcome, b: Outcome) -> Outcome {
    if rank(request, &b) < rank(request, &a) {
        b
    } else {
        a
    }
}

/// Less is better.
fn rank(request: &Request, outcome: &Outcome) -> (u8, f64) {
    match (outcome, request.goal) {
        (Outcome::Plan(plan), Goal::Budget(_) | Goal::Fastest) => (0, plan.time_s),
        (Outcome::Plan(plan), _) => (0, plan.cost_usd),
        (Outcome::Infeasible(why), _) => (
            1,
            why.shortest_s.or(why.cheapest_usd).unwrap_or(f64::INFINITY),
        ),
    }
}

#[cfg(test)]
mod terms_tests;
#[cfg(test)]
pub(crate) mod tests;
