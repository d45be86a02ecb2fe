//! The engine with the planner, in the simulated sky.

use super::run::{Load, run};
use super::{Report, Scenario};
use crate::trace::{TraceEvent, TraceOperation};
use skyfresh_sky::Usd;

/// From Virginia to Ireland, planned; what a test adds comes behind.
const PLANNED: &str = r#"
title = "planned"
[source]
region = "aws:us-east-1"
[[destination]]
region = "aws:eu-west-1"
[plan]
sites = ["source", "destination"]
process_workers = 1
[engine]
max_parts_in_flight = 64
"#;

fn load(puts: impl Iterator<Item = (u64, String, u64)>) -> Load {
    let events: Vec<_> = puts
        .map(|(at_ms, key, size)| {
            Ok(TraceEvent {
                at_ms,
                late_ms: 0,
                operation: TraceOperation::Put,
                key,
                size,
            })
        })
        .collect();
    Load {
        name: "puts".into(),
        trace: Box::new(events.into_iter()),
    }
}

fn simulate(text: &str, puts: impl Iterator<Item = (u64, String, u64)>) -> Report {
    let scenario = Scenario::parse(text).unwrap();
    let report = run(&scenario, 5, load(puts), &mut |_| {}).unwrap();
    assert_eq!(report.violations, Vec::new());
    assert_eq!(report.not_arrived, 0);
    report
}

/// One object every 20 s, none waiting for another.
fn apart(count: u64, size: u64) -> impl Iterator<Item = (u64, String, u64)> {
    (0..count).map(move |n| (n * 20_000, format!("k{n}"), size))
}

#[test]
fn large_objects_go_by_functions_and_predictions_come_true() {
    let text = format!("slo = \"4s@p99\"\n{PLANNED}");
    let report = simulate(&text, apart(40, 128_000_000));
    let functions: u64 = report
        .ways
        .iter()
        .filter(|(way, _)| way.contains("aws-lambda"))
        .map(|(_, count)| count)
        .sum();
    // The run ends when the last object is readable, which may be before its receipt is written.
    assert!(functions >= 39, "{:?}", report.ways);
    assert!(report.usd_by_kind.functions > Usd::ZERO);
    // The first ones find no idle function, which the catalogue's share of cold starts does not foresee.
    assert!(
        report.slo_attainment.unwrap() >= 0.95,
        "{:?}",
        report.slo_attainment
    );
    let (half, most) = report.predictions.shares().unwrap();
    assert!(report.predictions.transfers >= 39);
    assert!((0.2..=0.8).contains(&half) && most > 0.9, "{half} {most}");
}

#[test]
fn small_objects_go_in_one_piece_by_the_process() {
    let text = format!("slo = \"60s@p99\"\n{PLANNED}");
    let report = simulate(&text, apart(10, 100_000));
    assert_eq!(
        report.ways.keys().collect::<Vec<_>>(),
        ["one PUT from aws:us-east-1"]
    );
    assert_eq!(report.usd_by_kind.functions, Usd::ZERO);
}

/// One key of 20 MB, changed every 2 s for 4 minutes.
fn hot() -> impl Iterator<Item = (u64, String, u64)> {
    (0..120).map(|n| (n * 2_000, "hot".to_owned(), 20_000_000))
}

#[test]
fn changes_of_a_hot_key_wait_for_each_other_and_are_in_time() {
    let with = |batching: bool| {
        let text = format!("slo = \"30s@p99.9\"\n{PLANNED}")
            .replace("[engine]", &format!("batching = {batching}\n[engine]"));
        simulate(&text, hot())
    };
    let (batched, at_once) = (with(true), with(false));
    assert_eq!(batched.slo_attainment, Some(1.0), "{batched:?}");
    assert!(
        batched.bytes_moved * 3 < at_once.bytes_moved,
        "{} and {} bytes moved",
        batched.bytes_moved,
        at_once.bytes_moved
    );
    assert!(batched.usd < at_once.usd);
    assert!(batched.p50_s > at_once.p50_s, "that is what it costs");
}

#[test]
fn a_budget_is_kept_to() {
    let gigabyte = |budget: &str| {
        let text = format!("slo = \"10s@p99\"\n{PLANNED}{budget}\n[load]\ndrain_s = 7200\n");
        // 30 objects within 10 minutes; egress of each is $0.0026.
        simulate(&text, apart(30, 128_000_000))
    };
    let free = gigabyte("");
    let paused = gigabyte("[budget]\nusd = 0.05\nper = \"hour\"\non_cap = \"pause\"");
    assert!(
        paused.max_s.unwrap() > 1_000.0,
        "waited for the next hour: {:?}",
        paused.max_s
    );
    assert!(free.max_s.unwrap() < 30.0);
    let cheap = gigabyte("[budget]\nusd = 0.05\nper = \"hour\"\non_cap = \"degrade\"");
    let plans = |report: &Report| report.ways.len();
    assert!(plans(&cheap) > plans(&free), "{:?}", cheap.ways);
    assert!(cheap.usd < free.usd, "{} and {}", cheap.usd, free.usd);
    assert!(cheap.max_s.unwrap() < 1_000.0);
}

#[test]
fn an_expensive_hop_is_paid_once() {
    let text = r#"
title = "two in Europe, from another cloud"
slo = "120s@p99"
[source]
region = "gcp:us-central1"
[[destination]]
region = "aws:eu-west-1"
[[destination]]
region = "aws:eu-central-1"
[plan]
sites = ["destination"]
"#;
    let report = simulate(text, apart(6, 50_000_000));
    let relayed: u64 = report
        .ways
        .iter()
        .filter(|(way, _)| way.contains("read from aws"))
        .map(|(_, count)| count)
        .sum();
    // The run ends when the last object is readable, which may be before its receipt is written.
    assert!(relayed >= 5, "{:?}", report.ways);
    assert_eq!(report.slo_attainment, Some(1.0));
}
