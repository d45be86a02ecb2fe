use super::*;
use skyfresh_plan::replicate::Settings;
use skyfresh_sky::catalog::Catalog;
use skyfresh_sky::{Slo, Usd};
use skyfresh_store::UploadLimits;

fn region(name: &str) -> Region {
    name.parse().unwrap()
}

fn brain(functions: Vec<WorkerPlace>) -> Brain {
    let settings = Settings {
        draws: Some(256),
        ..Settings::default()
    };
    Brain::new(Planning {
        planner: Planner::new(Catalog::embedded(), settings).unwrap(),
        home: region("aws:us-east-1"),
        process_workers: 8,
        functions,
    })
}

struct Case {
    source: Region,
    target: Region,
    slo: Slo,
}

impl Case {
    fn new(slo: &str) -> Self {
        Case {
            source: region("aws:us-east-1"),
            target: region("aws:eu-west-1"),
            slo: slo.parse().unwrap(),
        }
    }

    fn wanted(&self, size_bytes: u64) -> Wanted<'_> {
        Wanted {
            relayed_part_bytes: None,
            source: &self.source,
            target: &self.target,
            size_bytes,
            slo: self.slo,
            elapsed: Duration::ZERO,
            limits: UploadLimits::S3,
            multipart: true,
            small_parts: false,
            changes_per_s: 0.0,
            fresh: Vec::new(),
            server_copy: None,
        }
    }
}

fn unlimited(_: Usd) -> Spending {
    Spending::Normal
}

#[test]
fn a_plan_keeps_to_the_process_and_says_what_it_expects() {
    let (brain, case) = (brain(Vec::new()), Case::new("60s@p99"));
    let planned = brain.plan(&case.wanted(1_000_000_000), unlimited).unwrap();
    let Strategy::Multipart {
        part_bytes,
        parts,
        workers,
    } = planned.strategy
    else {
        panic!("a gigabyte in one piece: {:?}", planned.strategy)
    };
    assert!((1..=8).contains(&workers), "{workers}");
    assert_eq!(u64::from(parts), 1_000_000_000u64.div_ceil(part_bytes));
    assert_eq!(planned.site, Site::process(region("aws:us-east-1")));
    let expected = &planned.expected;
    assert!(
        expected.p50_ms > 0 && expected.p50_ms <= expected.at_slo_ms,
        "{expected:?}"
    );
    assert!(
        expected.at_slo_ms <= 60_000 && expected.left_ms == 60_000,
        "{expected:?}"
    );
    assert!(
        expected.in_time_permille >= 990 && expected.candidates > 3,
        "{expected:?}"
    );
    assert!(
        expected.price >= usd(0.02),
        "egress of a gigabyte: {expected:?}"
    );
    let small = brain.plan(&case.wanted(1_000), unlimited).unwrap();
    assert_eq!(small.strategy, Strategy::Inline);
}

fn usd(dollars: f64) -> Usd {
    Usd::from_usd(dollars)
}

#[test]
fn what_the_destination_does_not_take_is_not_planned() {
    let (brain, case) = (brain(Vec::new()), Case::new("60s@p99"));
    let no_parts = Wanted {
        multipart: false,
        ..case.wanted(1_000_000_000)
    };
    let planned = brain.plan(&no_parts, unlimited).unwrap();
    assert_eq!(planned.strategy, Strategy::Inline);
    let too_large = Wanted {
        multipart: false,
        ..case.wanted(6 << 30)
    };
    assert!(matches!(
        brain.plan(&too_large, unlimited),
        Err(NoPlan::Impossible(_))
    ));
}

#[test]
fn a_spent_budget_makes_it_cheap_or_stops_it() {
    let functions = vec![WorkerPlace::Source, WorkerPlace::Destination];
    let (brain, case) = (brain(functions), Case::new("8s@p99"));
    let wanted = case.wanted(1_000_000_000);
    let usual = brain.plan(&wanted, unlimited).unwrap();
    let cheap = brain.plan(&wanted, |_| Spending::Degraded).unwrap();
    assert!(cheap.expected.price < usual.expected.price);
    assert!(cheap.expected.at_slo_ms > usual.expected.at_slo_ms);
    assert!(
        cheap.expected.why.contains("budget"),
        "{}",
        cheap.expected.why
    );
    let least = std::cell::Cell::new(Usd::ZERO);
    let paused = brain.plan(&wanted, |next| {
        least.set(next);
        Spending::Paused
    });
    assert_eq!(paused.unwrap_err(), NoPlan::Paused);
    assert_eq!(least.get(), cheap.expected.price, "what the cheapest costs");
}

#[test]
fn workers_under_way_count_until_they_are_done() {
    let (brain, case) = (brain(vec![WorkerPlace::Source]), Case::new("8s@p99"));
    let wanted = case.wanted(1_000_000_000);
    let planned = brain.plan(&wanted, unlimited).unwrap();
    assert!(planned.site.platform().is_some(), "{}", planned.site);
    let busy = brain.busy(&planned.site, 1_000);
    let crowded = brain.plan(&wanted, unlimited).unwrap();
    assert!(
        crowded.site.platform().is_none(),
        "the platform is full: {}",
        crowded.site
    );
    drop(busy);
    let again = brain.plan(&wanted, unlimited).unwrap();
    assert_eq!(again.site, planned.site);
}

#[test]
fn receipts_move_the_next_prediction() {
    let (brain, case) = (brain(Vec::new()), Case::new("60s@p99"));
    let wanted = case.wanted(50_000_000);
    let before = brain.plan(&wanted, unlimited).unwrap();
    for _ in 0..100 {
        let planned = brain.plan(&wanted, unlimited).unwrap();
        brain.learn(
            &planned.lesson,
            Duration::from_millis(3 * before.expected.p50_ms),
        );
    }
    let after = brain.plan(&wanted, unlimited).unwrap();
    let longer = after.expected.p50_ms as f64 / before.expected.p50_ms as f64;
    assert!(
        longer > 1.2,
        "{longer}: slower, or another way than the one that was found slow"
    );
}

#[test]
fn hot_keys_wait_as_long_as_they_may_and_others_do_not() {
    let (brain, case) = (brain(Vec::new()), Case::new("30s@p99"));
    let wanted = case.wanted(20_000_000);
    let hold = brain.hold(&wanted, 0.5, false).unwrap();
    assert!(hold.wait_s > 5.0 && hold.wait_s < 30.0, "{hold:?}");
    assert!(hold.saves > Usd::ZERO, "{hold:?}");
    let rare = brain.hold(&wanted, 1e-4, false).unwrap();
    assert_eq!(rare.wait_s, 0.0);
    let late = Wanted {
        elapsed: Duration::from_secs(31),
        ..case.wanted(20_000_000)
    };
    assert_eq!(brain.hold(&late, 0.5, false), None, "late already");
}
