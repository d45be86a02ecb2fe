//! What more throughput costs: the frontier between price and speed.

use super::{EXACT, flow_plan, packed};
use crate::network::Network;
use crate::overlay::{Goal, Limits, OverlayPlan, Request};
use crate::packing::{Aim, Pool, Relaxed, Work, pack, relax};
use serde::{Deserialize, Serialize};
use skyfresh_sky::Invalid;

/// A point that no other point is both faster and cheaper than.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrontierPoint {
    /// Gbit/s.
    pub throughput_gbps: f64,
    /// Dollars.
    pub cost_usd: f64,
    /// Whether the price per throughput changes here where machines need not be whole: a link or a machine is full from here on,
    /// and another route begins.
    pub breakpoint: bool,
    /// The plan; none at breakpoints, which whole machines may not reach.
    pub plan: Option<OverlayPlan>,
}

/// At most this many breakpoints: real networks have a dozen.
const MOST_BREAKPOINTS: usize = 200;

/// The plans of the frontier by throughput, from the cheapest to the fastest: at `samples` throughputs spread evenly and at every
/// breakpoint of the relaxation, which is found exactly; and those breakpoints themselves.
///
/// # Errors
/// As [`crate::overlay::plan`], and a request with more than one destination.
pub fn frontier(
    network: &Network,
    request: &Request,
    samples: usize,
    work: &mut Work,
) -> Result<Vec<FrontierPoint>, Invalid> {
    if request.destinations.len() != 1 {
        let given = request.destinations.len().to_string();
        let why = "a frontier is drawn for one destination";
        return Err(Invalid::new("destinations", given, why));
    }
    let mut asked = request.clone();
    asked.goal = Goal::Fastest;
    let limits = Limits::new(network, &asked, 0.0)?;
    let mut pool = Pool::new();
    let Some((fastest, _)) = packed(&limits, EXACT, work) else {
        return Ok(Vec::new());
    };
    let any = Aim::Cost {
        longest: f64::INFINITY,
    };
    let Some(cheapest) = pack(&limits.instance, any, EXACT, &mut pool, work) else {
        return Ok(Vec::new());
    };
    let (slow, fast) = (1.0 / cheapest.time, 1.0 / fastest.time);
    let breakpoints = breakpoints(&limits, fastest.time, &mut pool, work);
    let spread = (0..samples).map(|at| {
        let part = at as f64 / samples.max(2).saturating_sub(1) as f64;
        slow + (fast - slow) * part
    });
    let mut goals: Vec<f64> = spread.collect();
    goals.extend(breakpoints.iter().map(|(time, _)| 1.0 / time));
    goals.retain(|goal| (slow..=fast).contains(goal));
    goals.sort_by(f64::total_cmp);
    goals.dedup_by(|a, b| (*a - *b).abs() < 1e-9);

    let volume = request.volume_gb;
    let mut points: Vec<FrontierPoint> = Vec::new();
    // From the fastest down: whatever is not cheaper than something faster is dominated.
    for goal in goals.iter().rev() {
        let aim = Aim::Cost {
            longest: (1.0 / goal).max(fastest.time) * (1.0 + 1e-12),
        };
        let Some(found) = pack(&limits.instance, aim, EXACT, &mut pool, work) else {
            continue;
        };
        let plan = flow_plan(&limits, found, None);
        if points
            .last()
            .is_none_or(|last| plan.cost_usd < last.cost_usd * (1.0 - 1e-9))
        {
            points.push(FrontierPoint {
                throughput_gbps: plan.throughput_gbps,
                cost_usd: plan.cost_usd,
                breakpoint: false,
                plan: Some(plan),
            });
        }
    }
    points.extend(breakpoints.iter().map(|(time, usd)| FrontierPoint {
        throughput_gbps: 1.0 / time,
        cost_usd: (usd + limits.requests.ends) * volume,
        breakpoint: true,
        plan: None,
    }));
    points.sort_by(|a, b| a.throughput_gbps.total_cmp(&b.throughput_gbps));
    Ok(points)
}

/// Where the relaxed optimum's slope changes, as (seconds a Gbit, dollars a GB). The optimum is convex and piecewise linear in the
/// time allowed, so between two points whose lines meet below the optimum there is another one to find, and where they meet on
/// it is a breakpoint.
fn breakpoints(limits: &Limits, fastest: f64, pool: &mut Pool, work: &mut Work) -> Vec<(f64, f64)> {
    let solve = |time: f64, pool: &mut Pool, work: &mut Work| -> Option<(f64, f64, f64)> {
        let found: Relaxed = relax(
            &limits.instance,
            Aim::Cost { longest: time },
            0.0,
            pool,
            work,
        )?;
        Some((time, found.objective, found.slope))
    };
    // Beyond the cheapest relaxed plan more time saves nothing; its own time is where the last breakpoint lies.
    let mut slow = fastest;
    let mut right = None;
    for _ in 0..64 {
        let Some(found) = solve(slow, pool, work) else {
            break;
        };
        right = Some(found);
        if found.2.abs() < 1e-12 {
            break;
        }
        slow *= 2.0;
    }
    let (Some(left), Some(right)) = (solve(fastest * (1.0 + 1e-9), pool, work), right) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut open = vec![(left, right)];
    while let Some((left, right)) = open.pop() {
        // Lines: usd + slope × (t − time).
        let slopes = right.2 - left.2;
        if slopes.abs() < 1e-10 || found.len() >= MOST_BREAKPOINTS {
            continue;
        }
        let meet = (left.1 - left.2 * left.0 - right.1 + right.2 * right.0) / slopes;
        if !(left.0..=right.0).contains(&meet) {
            continue;
        }
        let Some(middle) = solve(meet, pool, work) else {
            continue;
        };
        let line = left.1 + left.2 * (meet - left.0);
        if (middle.1 - line).abs() <= 1e-9 * (1.0 + line.abs()) {
            found.push((meet, middle.1));
        } else {
            open.push((left, middle));
            open.push((middle, right));
        }
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    found
}
