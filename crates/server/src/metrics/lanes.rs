//! What every destination of every rule shows, from one snapshot of the status.

use super::text::{Exposition, Type};
use skyfresh_engine::{DestinationStatus, LaneState, RuleStatus};
use skyfresh_sky::{Kind, Timestamp};

const STATES: [(LaneState, &str); 3] = [
    (LaneState::Starting, "starting"),
    (LaneState::Ready, "ready"),
    (LaneState::Unreachable, "unreachable"),
];
/// Names of [`skyfresh_engine::Totals::outcomes`], so that each is a series before it first happens.
const OUTCOMES: [&str; 5] = [
    "copied",
    "already_equal",
    "deleted",
    "absent",
    "out_of_scope",
];
const KINDS: [Kind; 8] = [
    Kind::RetryAfter,
    Kind::Missing,
    Kind::Precondition,
    Kind::Denied,
    Kind::Invalid,
    Kind::Unsupported,
    Kind::Corrupt,
    Kind::Internal,
];

/// Reads one value of a lane; `None` leaves the series out.
type Read = fn(&RuleStatus, &DestinationStatus) -> Option<f64>;

/// The metrics with one value a lane.
const SIMPLE: [(&str, Type, &str, Read); 18] = [
    (
        "skyfresh_lag_changes",
        Type::Gauge,
        "Changes of the last hour behind skyfresh_lag_seconds and skyfresh_slo_attainment_ratio.",
        |_, lane| Some(lane.lag.changes as f64),
    ),
    (
        "skyfresh_slo_attainment_ratio",
        Type::Gauge,
        "Share of the last hour's changes that were readable within the SLO's delay; absent without changes.",
        |_, lane| lane.lag.slo_attainment,
    ),
    (
        "skyfresh_watermark_timestamp_seconds",
        Type::Gauge,
        "Every change known of made before this is at the destination.",
        |_, lane| Some(seconds(lane.watermark)),
    ),
    (
        "skyfresh_proven_timestamp_seconds",
        Type::Gauge,
        "Everything written before this is at the destination, proved by comparing listings; absent until it is.",
        |_, lane| lane.proven.map(seconds),
    ),
    (
        "skyfresh_backlog_objects",
        Type::Gauge,
        "Keys pending.",
        |_, lane| Some(lane.backlog.objects as f64),
    ),
    (
        "skyfresh_backlog_bytes",
        Type::Gauge,
        "Their bytes, as far as sizes are known.",
        |_, lane| Some(lane.backlog.bytes as f64),
    ),
    (
        "skyfresh_backlog_oldest_timestamp_seconds",
        Type::Gauge,
        "When the key that has been pending longest was heard of; absent when nothing is pending.",
        |_, lane| {
            lane.backlog
                .oldest
                .as_ref()
                .map(|(_, since)| seconds(*since))
        },
    ),
    (
        "skyfresh_failing_objects",
        Type::Gauge,
        "Pending keys whose last attempt failed.",
        |_, lane| Some(lane.backlog.failing.values().sum::<u64>() as f64),
    ),
    (
        "skyfresh_in_flight",
        Type::Gauge,
        "Keys being worked on.",
        |_, lane| Some(lane.in_flight as f64),
    ),
    (
        "skyfresh_paused",
        Type::Gauge,
        "1 where the rule is paused.",
        |rule, _| Some(f64::from(rule.paused)),
    ),
    (
        "skyfresh_bytes_moved_total",
        Type::Counter,
        "Bytes read from the source.",
        |_, lane| Some(lane.totals.bytes_moved as f64),
    ),
    (
        "skyfresh_requests_total",
        Type::Counter,
        "Requests to both stores.",
        |_, lane| Some(lane.totals.requests as f64),
    ),
    (
        "skyfresh_spend_usd_total",
        Type::Counter,
        "Dollars by the price catalogue.",
        |_, lane| Some(lane.totals.spend.usd()),
    ),
    (
        "skyfresh_bytes_saved_total",
        Type::Counter,
        "Bytes that did not leave the source, because the destination had them already.",
        |_, lane| Some(lane.totals.bytes_saved as f64),
    ),
    (
        "skyfresh_saved_usd_total",
        Type::Counter,
        "Dollars that moving them would have cost by the price catalogue, less what was spent instead.",
        |_, lane| Some(lane.totals.saved.usd()),
    ),
    (
        "skyfresh_leases_lost_total",
        Type::Counter,
        "Claims that another owner took over.",
        |_, lane| Some(lane.totals.leases_lost as f64),
    ),
    (
        "skyfresh_lost_notifications_total",
        Type::Counter,
        "Changes that only a sweep found.",
        |_, lane| Some(lane.totals.lost_notifications as f64),
    ),
    (
        "skyfresh_lost_notification_ratio",
        Type::Gauge,
        "Share of the changes brought over since the process began that only a sweep found; absent without changes.",
        |_, lane| lane.totals.lost_notification_rate(),
    ),
];

fn seconds(time: Timestamp) -> f64 {
    time.unix_ms() as f64 / 1000.0
}

/// Writes the metrics of all lanes.
pub(super) fn write(page: &mut Exposition, status: &[RuleStatus]) {
    let lanes = || {
        status
            .iter()
            .flat_map(|rule| rule.destinations.iter().map(move |lane| (rule, lane)))
    };
    let labelled =
        |rule: &RuleStatus, lane: &DestinationStatus| (rule.rule.clone(), lane.destination.clone());

    let mut lag = page.family(
        "skyfresh_lag_seconds",
        Type::Summary,
        "From a change at the source until it, or a newer version, was readable, over the last hour; quantile 1 is the longest.",
    );
    for (rule, lane) in lanes() {
        let (rule, destination) = labelled(rule, lane);
        for (quantile, value) in [
            ("0.5", lane.lag.p50_s),
            ("0.99", lane.lag.p99_s),
            ("1", lane.lag.max_s),
        ] {
            if let Some(value) = value {
                lag.sample(
                    &[
                        ("rule", &rule),
                        ("destination", &destination),
                        ("quantile", quantile),
                    ],
                    value,
                );
            }
        }
    }
    for (name, kind, help, read) in SIMPLE {
        let mut family = page.family(name, kind, help);
        for (rule, lane) in lanes() {
            if let Some(value) = read(rule, lane) {
                family.sample(
                    &[("rule", &rule.rule), ("destination", &lane.destination)],
                    value,
                );
            }
        }
    }
    let mut state = page.family(
        "skyfresh_state",
        Type::Gauge,
        "1 for the state the destination is in, 0 for the others.",
    );
    for (rule, lane) in lanes() {
        for (each, name) in STATES {
            let labels = [
                ("rule", rule.rule.as_str()),
                ("destination", &lane.destination),
                ("state", name),
            ];
            state.sample(&labels, f64::from(lane.state == each));
        }
    }
    let mut finished = page.family(
        "skyfresh_finished_total",
        Type::Counter,
        "Finished claims by outcome.",
    );
    for (rule, lane) in lanes() {
        for name in OUTCOMES {
            let labels = [
                ("rule", rule.rule.as_str()),
                ("destination", &lane.destination),
                ("outcome", name),
            ];
            finished.sample(&labels, outcome(lane, name) as f64);
        }
    }
    let mut failures = page.family(
        "skyfresh_failures_total",
        Type::Counter,
        "Failed attempts by kind.",
    );
    for (rule, lane) in lanes() {
        for kind in KINDS {
            let labels = [
                ("rule", rule.rule.as_str()),
                ("destination", &lane.destination),
                ("kind", kind.as_str()),
            ];
            failures.sample(
                &labels,
                lane.totals.failures.get(&kind).copied().unwrap_or(0) as f64,
            );
        }
    }
}

/// The count of an outcome by the name it has in JSON. Outcomes are the ledger's type, which this crate does not name.
fn outcome(lane: &DestinationStatus, name: &str) -> u64 {
    let named = |outcome: &_| serde_json::to_value(outcome).is_ok_and(|value| value == name);
    lane.totals
        .outcomes
        .iter()
        .find(|(outcome, _)| named(*outcome))
        .map_or(0, |(_, count)| *count)
}
