//! Random cases: how good and how quick, by the number of destinations; and what the paper's approximations cost.

use super::{Done, grid_2022_11, quantile, request, tell, timed};
use serde_json::json;
use skyfresh_plan::Work;
use skyfresh_plan::multicast::{Approximations, approximated};
use skyfresh_plan::overlay::{Engine, Goal, Outcome};
use skyfresh_sky::Rng;
use std::path::Path;

const VOLUME_GB: f64 = 100.0;
const MACHINES: u32 = 2;
/// Deadlines are this much longer than the fastest plan takes.
const LONGER: f64 = 1.25;

pub(crate) fn run(_folder: &Path) -> Done {
    let network = grid_2022_11()?;
    let regions: Vec<String> = network.regions().iter().map(ToString::to_string).collect();
    for (destinations, cases) in [
        (2, 60),
        (5, 100),
        (6, 60),
        (8, 40),
        (10, 40),
        (12, 20),
        (15, 20),
        (20, 20),
    ] {
        let rng = Rng::seeded(destinations as u64);
        let (mut ms, mut gaps, mut excess, mut versus_direct, mut faster, mut iterative_ms) = (
            Vec::new(),
            Vec::new(),
            Vec::new(),
            Vec::new(),
            Vec::new(),
            Vec::new(),
        );
        let mut dearer = 0;
        let mut unreached = 0;
        for _ in 0..cases {
            let mut left = regions.clone();
            let mut pick = || left.swap_remove(rng.below(left.len() as u64) as usize);
            let source = pick();
            let others: Vec<String> = (0..destinations).map(|_| pick()).collect();
            let others: Vec<&str> = others.iter().map(String::as_str).collect();
            let with = |goal| request(&source, &others, VOLUME_GB, goal, MACHINES);
            let (outcome, _) = timed(&network, &with(Goal::Fastest)?, Engine::Best, 1)?;
            let Some(fastest) = outcome.plan() else {
                unreached += 1;
                continue;
            };
            let mut asked = with(Goal::Deadline(fastest.time_s * LONGER))?;
            let (outcome, one) = timed(&network, &asked, Engine::Best, 3)?;
            let Some(plan) = outcome.plan() else {
                unreached += 1;
                continue;
            };
            ms.push(one);
            if let Some(bound) = plan.lower_bound_usd {
                gaps.push(100.0 * (plan.cost_usd / bound - 1.0));
            }
            let (direct, _) = timed(&network, &with(Goal::Cheapest)?, Engine::Direct, 1)?;
            if let Some(direct) = direct.plan() {
                versus_direct.push(direct.cost_usd / plan.cost_usd);
                faster.push(direct.time_s / plan.time_s);
            }
            asked.stripes = Some(10);
            let (iterative, one) = timed(&network, &asked, Engine::Iterative, 1)?;
            if let Some(iterative) = iterative.plan() {
                excess.push(100.0 * (iterative.cost_usd / plan.cost_usd - 1.0));
                iterative_ms.push(one);
                dearer += usize::from(plan.cost_usd > iterative.cost_usd * (1.0 + 1e-9));
            }
        }
        let spread = |values: &mut Vec<f64>| {
            values.sort_by(f64::total_cmp);
            let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
            match values.is_empty() {
                true => json!(null),
                false => {
                    json!({"mean": mean, "median": quantile(values, 0.5), "max": quantile(values, 1.0)})
                }
            }
        };
        tell(&json!({
            "part": "random", "destinations": destinations, "cases": cases, "unreached": unreached, "ms": spread(&mut ms),
            "gap_percent": spread(&mut gaps), "iterative_excess_percent": spread(&mut excess), "iterative_found": excess.len(),
            "dearer_than_iterative": dearer, "cost_ratio_to_direct": spread(&mut versus_direct), "time_ratio_to_direct": spread(&mut faster),
        }))?;
    }
    approximations(&regions)
}

fn approximations(regions: &[String]) -> Done {
    let network = grid_2022_11()?;
    let rng = Rng::seeded(3);
    let kinds = [
        (
            "clustered",
            Approximations {
                clustered: true,
                two_hops: false,
                by_stripe: false,
            },
        ),
        (
            "two hops",
            Approximations {
                clustered: false,
                two_hops: true,
                by_stripe: false,
            },
        ),
        (
            "a stripe at a time",
            Approximations {
                clustered: false,
                two_hops: false,
                by_stripe: true,
            },
        ),
        (
            "all three",
            Approximations {
                clustered: true,
                two_hops: true,
                by_stripe: true,
            },
        ),
    ];
    let mut errors: Vec<Vec<f64>> = vec![Vec::new(); kinds.len()];
    let mut missed = vec![0; kinds.len()];
    for _ in 0..100 {
        let mut left = regions.to_vec();
        let mut pick = || left.swap_remove(rng.below(left.len() as u64) as usize);
        let source = pick();
        let others: Vec<String> = (0..5).map(|_| pick()).collect();
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        let with = |goal| request(&source, &others, VOLUME_GB, goal, MACHINES);
        let (outcome, _) = timed(&network, &with(Goal::Fastest)?, Engine::Best, 1)?;
        let Some(fastest) = outcome.plan() else {
            continue;
        };
        let mut asked = with(Goal::Deadline(fastest.time_s * LONGER))?;
        let (outcome, _) = timed(&network, &asked, Engine::Best, 1)?;
        let Some(best) = outcome.plan() else { continue };
        asked.stripes = Some(10);
        for (at, (_, kind)) in kinds.iter().enumerate() {
            // Only the third approximation needs few stripes.
            asked.stripes = kind.by_stripe.then_some(10);
            match approximated(&network, &asked, *kind, &mut Work::default())? {
                Outcome::Plan(plan) => {
                    errors[at].push(100.0 * (plan.cost_usd / best.cost_usd - 1.0))
                }
                Outcome::Infeasible(_) => missed[at] += 1,
            }
        }
    }
    for (at, (name, _)) in kinds.iter().enumerate() {
        errors[at].sort_by(f64::total_cmp);
        let mean = errors[at].iter().sum::<f64>() / errors[at].len().max(1) as f64;
        let worst = errors[at].last();
        tell(
            &json!({"part": "approximation", "name": name, "mean_percent": mean, "max_percent": worst, "infeasible": missed[at]}),
        )?;
    }
    Ok(())
}
