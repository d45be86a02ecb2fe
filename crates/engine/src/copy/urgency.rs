//! How much an order cannot wait.

use crate::decide::Plan;
use crate::lane::Lane;
use serde::{Deserialize, Serialize};
use skyfresh_ledger::Claim;
use skyfresh_plan::replicate::Pending;
use skyfresh_sky::{Timestamp, Usd};

/// What decides the place of an order among those that wait for workers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Urgency {
    /// When the oldest change it carries must be at the destination, by the rule's SLO.
    pub deadline: Timestamp,
    /// What it takes, in seconds, as planned; 0 where nothing was predicted.
    pub takes_s: f64,
    /// Regret for each second that it is late: the application's weight of the key (`weights`).
    pub regret_per_s: f64,
    /// What it costs, as planned; 0 where nothing was predicted.
    pub usd: Usd,
}

impl Urgency {
    /// Of a claim and its plan. Where nothing was predicted it takes no time and costs nothing: it goes by its deadline, and by its
    /// regret once that has passed.
    pub(crate) fn of(lane: &Lane, claim: &Claim, plan: &Plan) -> Self {
        let expected = plan.expected.as_ref();
        Urgency {
            deadline: claim.task.changed_since.after(lane.rule.slo.delay),
            takes_s: expected.map_or(0.0, |it| it.at_slo_ms as f64 / 1_000.0),
            regret_per_s: lane.weights.of(&claim.task.task.key),
            usd: expected.map_or(Usd::ZERO, |it| it.price),
        }
    }
}

impl From<Urgency> for Pending {
    fn from(urgency: Urgency) -> Self {
        Pending {
            deadline: urgency.deadline,
            takes_s: urgency.takes_s,
            regret_per_s: urgency.regret_per_s,
            cost: urgency.usd,
        }
    }
}
