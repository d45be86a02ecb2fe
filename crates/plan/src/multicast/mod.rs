//! One source, many destinations: Cloudcast's planner (NSDI 2024, section 3), by packing trees.
//!
//! In: [`Limits`]. Out: whole stripes on trees and whole machines, the cheapest within the deadline or the fastest within the
//! budget, with a proven bound. Never: a destination without a stripe; more on a link than it carries in the time.
//!
//! - `best` packs trees by column generation (`packing`) and makes their shares whole stripes.
//! - `iterative` is the paper's three approximations: clustered regions, two hops, a stripe at a time.
//! - `milp` is the paper's programme as it stands, appendix B included.
//! - [`baselines`] are what they are compared with.

pub mod baselines;
mod iterative;
mod milp;
mod stripes;

pub(crate) use iterative::iterative;
pub use iterative::{Approximations, approximated, standing_for_clusters};
pub(crate) use milp::milp;
pub use milp::reference_model;

use crate::overlay::{Draft, Goal, Limits, Outcome, whole_plan};
use crate::packing::{Aim, Effort, Packed, Pool, Work, pack};
use crate::transfer::infeasible;
use stripes::whole;

/// Near enough: what is left is a part of the machines' price.
const NEAR: Effort = Effort {
    most_nodes: 14,
    gap: 1e-4,
};

/// How much later than the fastest the cheapest may be, in stripes.
const MARGINS: [f64; 6] = [4.0, 12.0, 40.0, 120.0, 400.0, 1600.0];

/// With fewer stripes than this a stripe is so large that rounding shares may lose more than making stripes one at a time.
const FEW_STRIPES: u32 = 64;

pub(crate) fn best(limits: &Limits, work: &mut Work) -> Outcome {
    let mut pool = Pool::new();
    let aim = match limits.request.goal {
        Goal::Cheapest | Goal::Deadline(_) | Goal::Throughput(_) => Aim::Cost {
            longest: limits.longest,
        },
        Goal::Budget(_) | Goal::Fastest => Aim::Time {
            budget: limits.budget,
        },
    };
    let found = match pack(&limits.instance, aim, NEAR, &mut pool, work) {
        Some(found) => by_aim(limits, aim, found, &mut pool, work),
        None => None,
    };
    let iterated = (limits.stripes < FEW_STRIPES && matches!(aim, Aim::Cost { .. }))
        .then(|| iterative::plan_without_limits(limits, work))
        .flatten();
    let mut plans: Vec<_> = found.into_iter().collect();
    if let Some(mut plan) = iterated {
        plan.engine = "best".into();
        plan.lower_bound_usd = plans.first().and_then(|plan| plan.lower_bound_usd);
        plans.push(plan);
    }
    let cheapest = plans
        .into_iter()
        .min_by(|a, b| a.cost_usd.total_cmp(&b.cost_usd));
    match cheapest {
        Some(plan) => Outcome::Plan(Box::new(plan)),
        None => {
            let mut why = infeasible(limits, "best", NEAR, work);
            if why.binding.is_empty() {
                why.binding = vec![format!(
                    "stripes: {} are too few to fill the links",
                    limits.stripes
                )];
            }
            Outcome::Infeasible(Box::new(why))
        }
    }
}

fn by_aim(
    limits: &Limits,
    aim: Aim,
    found: Packed,
    pool: &mut Pool,
    work: &mut Work,
) -> Option<crate::overlay::OverlayPlan> {
    let volume = limits.request.volume_gb;
    let (rounded, least_usd, least_s) = match aim {
        Aim::Cost { longest } => {
            let bound = found.bound * volume;
            (whole(limits, found, longest, pool, work)?, bound, None)
        }
        Aim::Time { budget } => {
            let least = found.bound * limits.gbits();
            // Of the fastest the cheapest. Stripes are whole, so a little time is left for their rounding; more, where that is too
            // little, or makes them dearer than the budget.
            let rounded = MARGINS.iter().find_map(|stripes| {
                let longest = found.time * (1.0 + stripes / f64::from(limits.stripes));
                let cheapest = Aim::Cost { longest };
                let cheaper = pack(&limits.instance, cheapest, NEAR, pool, work)?;
                let bound = cheaper.bound * volume;
                let rounded = whole(limits, cheaper, longest, pool, work)?;
                let within = rounded.usd_per_gb <= budget * (1.0 + 1e-9);
                within.then_some((rounded, bound))
            });
            let (rounded, bound) = rounded?;
            (rounded, bound, Some(least))
        }
    };
    let draft = Draft {
        engine: "best".into(),
        machines: rounded.machines,
        trees: rounded.trees,
        shares: None,
        lower_bound_usd: Some(least_usd),
        lower_bound_s: least_s,
        time: None,
    };
    let mut plan = whole_plan(limits, draft);
    // The bound holds for plans of any number of stripes, so for this one.
    plan.lower_bound_usd = plan.lower_bound_usd.map(|bound| bound.min(plan.cost_usd));
    Some(plan)
}
