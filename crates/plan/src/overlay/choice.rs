//! Whether relays are worth it. Pure.
//!
//! In: what going direct would cost and take, what the planner came to, what is wanted. Out: which of both, and why in words.
//! Never: relays that are neither cheaper nor faster for what is wanted; machines rented for a small job.

use super::{Goal, Outcome, OverlayPlan};

/// Volumes below this never pay for machines, in GB: in the 30 s and more that one takes to start, a few connections have moved
/// it.
pub const SMALL_GB: f64 = 1.0;

/// What it costs and takes without relays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Direct {
    /// Egress and requests, in dollars; `None` where a price is not known.
    pub cost_usd: Option<f64>,
    /// In seconds; `None` where no link is known.
    pub time_s: Option<f64>,
}

/// Whether relays' machines are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machines {
    /// They stand, and cost the same whether they are used or not.
    Standing,
    /// They are rented for the job, and paid from their start.
    Rented,
}

/// Which way.
#[derive(Clone, Debug, PartialEq)]
pub enum Way {
    /// As without relays.
    Direct,
    /// By this plan.
    Relays(Box<OverlayPlan>),
}

/// Which way, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// Which.
    pub way: Way,
    /// Why, in a sentence.
    pub why: String,
}

/// Chooses between going direct and a plan's relays for a goal: the cheaper of those that are in time, the faster of those within
/// the budget; what is not known of going direct does not speak for it.
pub fn choose(direct: Direct, outcome: &Outcome, goal: Goal, machines: Machines) -> Choice {
    let stay = |why: String| Choice {
        way: Way::Direct,
        why,
    };
    let plan = match outcome {
        Outcome::Plan(plan) => plan,
        Outcome::Infeasible(why) => {
            return stay(format!("no relays do what was asked ({})", why.nearest));
        }
    };
    if machines == Machines::Rented && plan.volume_gb < SMALL_GB {
        let gb = plan.volume_gb;
        return stay(format!(
            "{gb:.3} GB are too little to rent machines for (below {SMALL_GB} GB)"
        ));
    }
    let cost_usd = match machines {
        Machines::Standing => plan.egress_usd + plan.requests_usd + plan.fee_usd,
        Machines::Rented => plan.cost_usd,
    };
    let relays = Judged {
        cost_usd: Some(cost_usd),
        time_s: Some(plan.time_s),
    };
    let direct = Judged {
        cost_usd: direct.cost_usd,
        time_s: direct.time_s,
    };
    let both = format!("relays {relays}, direct {direct}");
    let go = |why: &str| Choice {
        way: Way::Relays(plan.clone()),
        why: format!("{why}: {both}"),
    };
    let keep = |why: &str| stay(format!("{why}: {both}"));
    let cheaper = less(relays.cost_usd, direct.cost_usd);
    let faster = less(relays.time_s, direct.time_s);
    match goal {
        Goal::Cheapest if cheaper => go("relays are cheaper"),
        Goal::Cheapest => keep("relays are not cheaper"),
        Goal::Fastest if faster => go("relays are faster"),
        Goal::Fastest => keep("relays are not faster"),
        Goal::Budget(usd) if !within(direct.cost_usd, usd) => go("only relays keep the budget"),
        Goal::Budget(_) if faster => go("relays are faster within the budget"),
        Goal::Budget(_) => keep("relays are not faster within the budget"),
        Goal::Deadline(_) | Goal::Throughput(_) => {
            let longest_s = match goal {
                Goal::Deadline(seconds) => seconds,
                Goal::Throughput(gbps) => plan.volume_gb * 8.0 / gbps,
                Goal::Cheapest | Goal::Fastest | Goal::Budget(_) => f64::INFINITY,
            };
            match within(direct.time_s, longest_s) {
                false => go("only relays are in time"),
                true if cheaper => go("relays are in time and cheaper"),
                true => keep("direct is in time, and relays are not cheaper"),
            }
        }
    }
}

struct Judged {
    cost_usd: Option<f64>,
    time_s: Option<f64>,
}

impl std::fmt::Display for Judged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.cost_usd {
            Some(usd) => write!(f, "${usd:.4}")?,
            None => f.write_str("an unknown price")?,
        }
        match self.time_s {
            Some(seconds) => write!(f, " in {seconds:.1} s"),
            None => f.write_str(" in an unknown time"),
        }
    }
}

/// Whether the first is known to be less by more than rounding, where the second is known; what is unknown is more than anything.
fn less(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a < b * (1.0 - 1e-6),
        (Some(_), None) => true,
        (None, _) => false,
    }
}

fn within(value: Option<f64>, most: f64) -> bool {
    value.is_some_and(|value| value <= most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overlay::Infeasible;
    use proptest::prelude::*;

    fn plan(cost_usd: f64, time_s: f64, volume_gb: f64) -> Outcome {
        let region: skyfresh_sky::Region = "aws:us-east-1".parse().unwrap();
        Outcome::Plan(Box::new(OverlayPlan {
            engine: "best".into(),
            source: region.clone(),
            destinations: vec![region],
            volume_gb,
            cost_usd,
            egress_usd: cost_usd * 0.75,
            vm_usd: cost_usd * 0.25,
            requests_usd: 0.0,
            fee_usd: 0.0,
            time_s,
            start_s: 0.0,
            throughput_gbps: 1.0,
            lower_bound_usd: None,
            lower_bound_s: None,
            vms: Default::default(),
            stripes: 1,
            trees: Vec::new(),
            edges: Vec::new(),
        }))
    }

    fn relays(direct: (f64, f64), relays: (f64, f64), goal: Goal) -> bool {
        let direct = Direct {
            cost_usd: Some(direct.0),
            time_s: Some(direct.1),
        };
        let outcome = plan(relays.0, relays.1, 10.0);
        let choice = choose(direct, &outcome, goal, Machines::Rented);
        choice.way != Way::Direct
    }

    #[test]
    fn the_cheaper_in_time_is_taken() {
        assert!(relays((2.0, 9.0), (1.0, 10.0), Goal::Cheapest));
        assert!(!relays((1.0, 9.0), (1.0, 1.0), Goal::Cheapest));
        assert!(relays((1.0, 9.0), (2.0, 5.0), Goal::Deadline(6.0)));
        assert!(!relays((1.0, 5.0), (2.0, 4.0), Goal::Deadline(6.0)));
        assert!(relays((1.0, 9.0), (2.0, 5.0), Goal::Fastest));
        assert!(!relays((1.0, 4.0), (0.9, 5.0), Goal::Budget(1.5)));
        assert!(relays((2.0, 4.0), (0.9, 5.0), Goal::Budget(1.5)));
    }

    #[test]
    fn small_jobs_never_rent_machines_and_standing_ones_are_not_priced() {
        let direct = Direct {
            cost_usd: Some(0.9),
            time_s: None,
        };
        let small = plan(0.1, 1.0, 0.5);
        let rented = choose(direct, &small, Goal::Cheapest, Machines::Rented);
        assert!(rented.way == Way::Direct && rented.why.contains("too little"));
        let standing = choose(direct, &small, Goal::Cheapest, Machines::Standing);
        assert!(standing.way != Way::Direct, "{}", standing.why);
        let large = plan(1.0, 1.0, 5.0);
        let rented = choose(direct, &large, Goal::Cheapest, Machines::Rented);
        assert_eq!(rented.way, Way::Direct, "{}", rented.why);
        let standing = choose(direct, &large, Goal::Cheapest, Machines::Standing);
        assert!(standing.way != Way::Direct, "egress alone is less");
    }

    #[test]
    fn what_is_infeasible_goes_direct_and_says_what_is_nearest() {
        let outcome = Outcome::Infeasible(Box::new(Infeasible {
            engine: "best".into(),
            binding: vec!["deadline".into()],
            nearest: "61 s".into(),
            shortest_s: Some(61.0),
            cheapest_usd: None,
        }));
        let direct = Direct {
            cost_usd: None,
            time_s: None,
        };
        let choice = choose(direct, &outcome, Goal::Deadline(60.0), Machines::Rented);
        assert!(choice.way == Way::Direct && choice.why.contains("61 s"));
    }

    proptest! {
        #[test]
        fn relays_are_never_taken_where_direct_is_both_cheaper_and_faster(
            direct in (0.1f64..10.0, 0.1f64..10.0), more in (0.0f64..5.0, 0.0f64..5.0), at in 0usize..4,
        ) {
            let worse = (direct.0 + more.0, direct.1 + more.1);
            // Goals that going direct meets.
            let goals = [Goal::Cheapest, Goal::Fastest, Goal::Budget(direct.0), Goal::Deadline(direct.1)];
            prop_assert!(!relays(direct, worse, goals[at]));
        }
    }
}
