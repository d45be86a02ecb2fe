//! What views do, in Prometheus' text format.

use super::view::ViewStatus;
use std::fmt::Write as _;

/// The counters and gauges of all views, and how many rows are not online yet, where these are elsewhere.
pub(super) fn text(all: &[ViewStatus], unpublished: Option<u64>) -> String {
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, kind: &str, value: &dyn Fn(&ViewStatus) -> f64| {
        let _ = writeln!(
            text,
            "# HELP skyfresh_features_{name} {help}\n# TYPE skyfresh_features_{name} {kind}"
        );
        for view in all {
            let _ = writeln!(
                text,
                "skyfresh_features_{name}{{view=\"{}\",shard=\"{}\"}} {}",
                view.view,
                view.shard,
                value(view)
            );
        }
    };
    gauge("keys", "Keys that are known.", "gauge", &|view| {
        view.keys as f64
    });
    gauge(
        "pending_keys",
        "Keys with data that is in no feature yet.",
        "gauge",
        &|view| view.schedule.pending as f64,
    );
    gauge(
        "starved_keys",
        "Keys with data and no feature.",
        "gauge",
        &|view| view.without_feature as f64,
    );
    gauge(
        "staleness_median_seconds",
        "Age of the features of keys with new data.",
        "gauge",
        &|view| view.staleness_s[0],
    );
    gauge(
        "staleness_p90_seconds",
        "Age of the features of keys with new data.",
        "gauge",
        &|view| view.staleness_s[1],
    );
    gauge(
        "staleness_p99_seconds",
        "Age of the features of keys with new data.",
        "gauge",
        &|view| view.staleness_s[2],
    );
    gauge(
        "regret",
        "Errors reported that wait for an update of their key.",
        "gauge",
        &|view| view.regret,
    );
    gauge("updates_total", "Updates begun.", "counter", &|view| {
        view.schedule.selected as f64
    });
    gauge(
        "budget_updates_per_second",
        "The budget.",
        "gauge",
        &|view| view.updates_per_s,
    );
    gauge(
        "budget_use_ratio",
        "Share of the budget used over the last minute.",
        "gauge",
        &|view| view.budget_use,
    );
    gauge(
        "feedback_coverage_ratio",
        "Errors reported for each query.",
        "gauge",
        &|view| view.feedback_coverage,
    );
    gauge(
        "refresh_interval_seconds",
        "From one update of a key to its next, smoothed.",
        "gauge",
        &|view| view.schedule.refresh_interval,
    );
    gauge(
        "in_turn",
        "1 while keys are taken in turn: feedback comes too late, or the shadow did better.",
        "gauge",
        &|view| f64::from(view.schedule.delay_fallback || view.schedule.shadow_fallback),
    );
    gauge("queries_total", "Queries.", "counter", &|view| {
        view.schedule.queries as f64
    });
    gauge("feedback_total", "Errors reported.", "counter", &|view| {
        view.schedule.feedback as f64
    });
    gauge(
        "feedback_late_total",
        "Errors reported of replaced features.",
        "counter",
        &|view| view.schedule.late as f64,
    );
    gauge(
        "feedback_delay_seconds",
        "From query to feedback, smoothed.",
        "gauge",
        &|view| view.schedule.delay,
    );
    gauge(
        "shadow_excess_ratio",
        "Estimated error beyond that of a round-robin shadow, as a share.",
        "gauge",
        &|view| view.schedule.shadow_excess,
    );
    if let Some(rows) = unpublished {
        let name = "skyfresh_features_unpublished_rows";
        let help = "Rows that the online store has not taken yet.";
        let _ = writeln!(
            text,
            "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {rows}"
        );
    }
    text
}
