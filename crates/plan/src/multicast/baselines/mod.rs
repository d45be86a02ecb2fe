//! What the planners are compared with, each a small module behind one trait.
//!
//! In: [`Limits`]. Out: a draft of machines and trees, made as the baseline makes them: most of them see no prices, some no
//! machines' limits; what comes of that is added up as for every plan. Never: a plan passed as one that meets a goal which it
//! does not meet.

mod bittorrent;
mod bullet;
mod deadline;
mod direct;
mod ron;
mod s3;
mod skyplane;
mod spider;
mod trees;

use crate::overlay::{Draft, Engine, Goal, Infeasible, Limits, Outcome, OverlayPlan, whole_plan};
use crate::packing::{Edges, Work};

/// Makes a plan in some other system's manner.
trait Baseline {
    /// `None` where it knows no way.
    fn draft(&self, limits: &Limits, work: &mut Work) -> Option<Draft>;

    /// What the system charges besides, in dollars.
    fn fee_usd(&self, _limits: &Limits) -> f64 {
        0.0
    }
}

pub(crate) fn plan(limits: &Limits, engine: Engine, work: &mut Work) -> Outcome {
    let baseline: Box<dyn Baseline> = match engine {
        Engine::Direct => Box::new(direct::Direct { machines: None }),
        Engine::GridFtp => Box::new(direct::Direct { machines: Some(1) }),
        Engine::Ron => Box::new(ron::Ron),
        Engine::SpanningTree => Box::new(trees::SpanningTree),
        Engine::CloudMpcast(alpha) => Box::new(trees::Steiner { alpha }),
        Engine::Spider => Box::new(spider::Spider),
        Engine::SkyplaneCombined => Box::new(skyplane::Combined),
        Engine::DeadlineAware => Box::new(deadline::DeadlineAware),
        Engine::Bullet => Box::new(bullet::Bullet),
        Engine::BitTorrent => Box::new(bittorrent::BitTorrent { seed: 1 }),
        Engine::S3Replication => Box::new(s3::Replication),
        // The others are not baselines; the cheapest tree is the nearest to them.
        Engine::Steiner | Engine::Best | Engine::Milp | Engine::Iterative => {
            Box::new(trees::Steiner { alpha: 0.0 })
        }
    };
    let Some(mut draft) = baseline.draft(limits, work) else {
        return Outcome::Infeasible(Box::new(Infeasible {
            engine: engine.to_string(),
            binding: vec!["it knows no way to every destination".into()],
            nearest: "none by this engine: try --engine best".into(),
            shortest_s: None,
            cheapest_usd: None,
        }));
    };
    draft.engine = engine.to_string();
    let mut plan = whole_plan(limits, draft);
    plan.fee_usd = baseline.fee_usd(limits);
    plan.cost_usd += plan.fee_usd;
    held_to_goal(limits, plan)
}

/// A baseline does what it does; whether that is what was asked for is seen afterwards.
fn held_to_goal(limits: &Limits, plan: OverlayPlan) -> Outcome {
    const SLACK: f64 = 1.0 + 1e-9;
    let late = |seconds: f64| {
        let why = format!("it takes {:.2} s, of {seconds:.2} s allowed", plan.time_s);
        (why, Some(plan.time_s), None)
    };
    let (why, shortest_s, cheapest_usd) = match limits.request.goal {
        Goal::Deadline(seconds) if plan.time_s > seconds * SLACK => late(seconds),
        Goal::Throughput(gbps) if plan.throughput_gbps * SLACK < gbps => {
            late(limits.gbits() / gbps)
        }
        Goal::Budget(usd) if plan.cost_usd > usd * SLACK => {
            let why = format!("it costs ${:.4}, of ${usd:.4} allowed", plan.cost_usd);
            (why, None, Some(plan.cost_usd))
        }
        _ => return Outcome::Plan(Box::new(plan)),
    };
    Outcome::Infeasible(Box::new(Infeasible {
        engine: plan.engine.clone(),
        binding: vec![why],
        nearest: format!("{:.2} s for ${:.4}", plan.time_s, plan.cost_usd),
        shortest_s,
        cheapest_usd,
    }))
}

/// A draft in which every region that takes part has all the machines that it may have.
fn all_machines(limits: &Limits, trees: Vec<(Edges, u32)>, shares: Option<Vec<f64>>) -> Draft {
    let mut machines = vec![0; limits.instance.nodes];
    for (from, to) in trees.iter().flat_map(|(tree, _)| tree) {
        machines[*from] = limits.instance.limit[*from];
        machines[*to] = limits.instance.limit[*to];
    }
    Draft {
        engine: String::new(),
        machines,
        trees,
        shares,
        lower_bound_usd: None,
        lower_bound_s: None,
        time: None,
    }
}
