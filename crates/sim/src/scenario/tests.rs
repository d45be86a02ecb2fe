use super::run::{Load, run};
use super::{Report, Scenario};
use crate::trace::{TraceEvent, TraceOperation, synthetic};
use skyfresh_sky::Usd;
use skyfresh_sky::catalog::{Catalog, function_platform};

const SMALL: &str = r#"
title = "small"
slo = "10s@p99"
delete = true
[source]
region = "aws:us-east-1"
[[destination]]
region = "azure:westeurope"
[load]
trace = "synthetic:ibm"
[load.synthetic]
events_per_s = 20.0
duration_s = 60.0
"#;

fn simulate(text: &str) -> Report {
    let scenario = Scenario::parse(text).unwrap();
    let load = Load {
        name: "synthetic".into(),
        trace: synthetic(&scenario.load.synthetic, 3),
    };
    run(&scenario, 3, load, &mut |_| {}).unwrap()
}

fn puts(sizes: &[u64]) -> Load {
    let events: Vec<_> = sizes
        .iter()
        .enumerate()
        .map(|(number, size)| {
            Ok(TraceEvent {
                at_ms: 1_000 * number as u64,
                late_ms: 0,
                operation: TraceOperation::Put,
                key: format!("k{number}"),
                size: *size,
            })
        })
        .collect();
    Load {
        name: "puts".into(),
        trace: Box::new(events.into_iter()),
    }
}

#[test]
fn a_load_arrives_and_its_quantiles_are_in_order() {
    let report = simulate(SMALL);
    assert_eq!((report.not_arrived, report.violations.len()), (0, 0));
    assert!(report.events > 1_000, "{}", report.events);
    let quantiles = [report.p50_s, report.p99_s, report.p999_s, report.p9999_s].map(Option::unwrap);
    assert!(quantiles.is_sorted() && quantiles[0] > 0.1, "{quantiles:?}");
    assert!(report.slo_attainment.unwrap() > 0.9);
    assert!(report.picture().unwrap().starts_with("<svg"));
    let again = simulate(SMALL);
    assert_eq!(report.log_hash, again.log_hash);
}

/// Every way of giving parts out ends with equal objects, also where functions die, and no two ways are the same run.
#[test]
fn every_dispatch_delivers() {
    let mut runs = std::collections::BTreeSet::new();
    for dispatch in ["pull-and-duplicate", "pull", "equal", "counter"] {
        let text = format!(
            "{SMALL}\n[functions]\nplatform = \"aws-lambda\"\nregion = \"aws:us-east-1\"\n\
             [engine]\nparts_a_worker = 1\npart_bytes = 8388608\nmax_workers = 12\ndispatch = \"{dispatch}\"\n\
             [[fault]]\nat_ms = 100\naction = {{ kill_worker = {{ skip = 5, polls = 40 }} }}\n"
        );
        let scenario = Scenario::parse(&text).unwrap();
        let report = run(&scenario, 1, puts(&[200_000_000; 6]), &mut |_| {}).unwrap();
        assert_eq!(
            (report.not_arrived, &report.violations[..]),
            (0, &[][..]),
            "{dispatch}"
        );
        runs.insert(report.log_hash);
    }
    assert_eq!(runs.len(), 4);
}

/// The meter's dollars are the catalogue's: bytes by the price of the link, requests by their kind, functions by begun slices.
#[test]
fn dollars_are_the_catalogues_own() {
    let scenario = Scenario::parse(&SMALL.replace("westeurope", "eastus")).unwrap();
    let sizes = [1_000_000, 3_000_000, 40_000_000];
    let report = run(&scenario, 1, puts(&sizes), &mut |_| {}).unwrap();
    let bytes: u64 = sizes.iter().sum();
    assert_eq!((report.bytes_moved, report.not_arrived), (bytes, 0));
    let catalog = Catalog::embedded();
    let (from, to) = (
        "aws:us-east-1".parse().unwrap(),
        "azure:eastus".parse().unwrap(),
    );
    let price = catalog.egress_usd_per_gb(&from, &to).unwrap();
    let bill = report.usd_by_kind;
    assert_eq!(bill.egress, price.per_gb(bytes));
    assert_eq!(bill.functions, Usd::ZERO);
    // At the least one GET, one HEAD and one PUT for each; parts and one comparison of the listings besides.
    let least = Usd::from_usd(3.0 * (4e-7 + 4e-7 + 5e-6));
    assert!(
        bill.requests > least && bill.requests < Usd::from_usd(2e-4),
        "{bill:?}"
    );
    assert_eq!(report.usd, bill.total());
}

/// Each copy's receipt is in the report where it is asked for, the last one's too, and its delay is the observer's.
#[test]
fn receipts_are_kept_where_they_are_asked_for() {
    let text = SMALL.replace("[load]", "[load]\nkeep_receipts = true");
    let scenario = Scenario::parse(&text).unwrap();
    let report = run(&scenario, 1, puts(&[1_000, 2_000, 40_000_000]), &mut |_| {}).unwrap();
    let sizes: Vec<u64> = report.receipts.iter().map(|receipt| receipt.size).collect();
    assert_eq!(sizes, [1_000, 2_000, 40_000_000]);
    let longest = report.receipts.iter().map(|receipt| receipt.lag_s);
    let longest = longest.fold(0.0, f64::max);
    assert!((longest - report.max_s.unwrap()).abs() < 0.1, "{longest}");
    let plain = Scenario::parse(SMALL).unwrap();
    let report = run(&plain, 1, puts(&[1_000]), &mut |_| {}).unwrap();
    assert!(report.receipts.is_empty());
}

#[test]
fn functions_are_billed_by_their_slices_and_take_what_they_measured() {
    let text = format!(
        "{}\n[functions]\nplatform = \"aws-lambda\"\nregion = \"aws:us-east-1\"\n",
        SMALL.replace(
            "[load.synthetic]\nevents_per_s = 20.0\nduration_s = 60.0\n",
            ""
        )
    );
    let scenario = Scenario::parse(&text).unwrap();
    let report = run(&scenario, 1, puts(&[200_000_000]), &mut |_| {}).unwrap();
    let platform = function_platform("aws-lambda").unwrap();
    let second = platform.price(1_024, std::time::Duration::from_secs(1), 4);
    let functions = report.usd_by_kind.functions;
    assert!(
        functions > second && functions < second.times(60),
        "{functions} for four workers on 200 MB; {second} is a second of them"
    );
    assert!(report.max_s.unwrap() > 1.0, "a cold start alone takes that");
}

#[test]
fn what_cannot_be_is_refused_with_what_can() {
    for (from, to, says) in [
        ("aws:us-east-1", "aws:mars-1", "no figures of the link"),
        ("[load]", "[load]\nspeed = 3", "unknown field"),
        (
            "delete = true",
            "delete = true\nstorm = true",
            "leave them out",
        ),
        (
            "[load]",
            "[notifications]\npath = \"pigeon\"\n[load]",
            "eventbridge",
        ),
        (
            "[load]",
            "[engine]\nprocesses = 2\n[load]",
            "[state] service",
        ),
        (
            "[load]",
            "[engine]\nmachine = \"abacus\"\n[load]",
            "m5.8xlarge",
        ),
    ] {
        let text = SMALL.replacen(from, to, 1);
        let error = match Scenario::parse(&text) {
            Err(error) => error.to_string(),
            Ok(scenario) => match run(&scenario, 1, puts(&[1]), &mut |_| {}) {
                Err(error) => error.to_string(),
                Ok(_) => panic!("{to} is taken"),
            },
        };
        assert!(error.contains(says), "{to}: {error}");
    }
}

/// A machine's network carries 312 MB a second from store to store. Where nearly 4 GB come within a second, the last would be late, and
/// all at once still more so: what cannot be carried in time goes by functions, and nothing is late. The rest need none.
#[test]
fn what_the_network_cannot_carry_in_time_goes_elsewhere() {
    let text = "title = \"burst\"\nslo = \"10s@p99\"\n[source]\nregion = \"aws:us-east-1\"\n\
        [[destination]]\nregion = \"aws:eu-west-1\"\n\
        [engine]\nmachine = \"m5.8xlarge\"\nlane_concurrency = 2048\n";
    let functions = "[functions]\nplatform = \"aws-lambda\"\nregion = \"aws:us-east-1\"\n";
    let burst = |text: &str, bytes: u64| {
        let scenario = Scenario::parse(text).unwrap();
        let events = (0..900).map(move |number| {
            Ok(TraceEvent {
                at_ms: number,
                late_ms: 0,
                operation: TraceOperation::Put,
                key: format!("k{number}"),
                size: bytes,
            })
        });
        let load = Load {
            name: "burst".into(),
            trace: Box::new(events),
        };
        run(&scenario, 1, load, &mut |_| {}).unwrap()
    };
    let alone = burst(text, 4 << 20);
    assert!(alone.misses.all > 0, "{:?}", alone.misses);
    let copying = &alone.missed["copying"];
    assert!(
        copying
            .iter()
            .all(|it| it.delay_ms > 10_000 && it.bytes == 4 << 20)
    );
    let helped = burst(&format!("{text}{functions}"), 4 << 20);
    assert_eq!((helped.misses.all, helped.not_arrived), (0, 0));
    assert!(helped.usd_by_kind.functions > Usd::ZERO);
    let small = burst(&format!("{text}{functions}"), 64 << 10);
    assert_eq!(
        (small.misses.all, small.usd_by_kind.functions),
        (0, Usd::ZERO)
    );
}
