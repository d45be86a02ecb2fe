use super::tests::{GB, MB, ask, choose, planner};
use super::*;
use std::fmt::Write as _;

/// What becomes of the same objects where the destination's store may take them by itself, and where it is never in time.
#[test]
fn decisions_where_the_store_may_copy() {
    let mut planner = planner();
    let mut table = String::new();
    for (destination, size, slo, copy) in [
        ("aws:us-east-1", 128 * MB, "60s@p99", StoreCopy::Whole),
        ("aws:us-west-2", 128 * MB, "60s@p99", StoreCopy::Whole),
        ("aws:us-west-2", GB, "5m@p99", StoreCopy::Whole),
        ("aws:us-west-2", GB, "10s@p99", StoreCopy::Whole),
        ("aws:eu-west-1", 20 * GB, "1h@p99", StoreCopy::Parts(19)),
    ] {
        for server_copy in [None, Some(copy)] {
            let mut ask = ask(destination, size, slo);
            ask.sites.push(Site::process(Region::local()));
            ask.server_copy = server_copy;
            let choice = choose(&mut planner, &ask);
            let winner = choice.winner().unwrap();
            let _ = writeln!(
                table,
                "{destination:14} {size:>12} B {slo:8} {:?}: {}, {:.1} s at the SLO's percentile, {}: {}",
                choice.verdict,
                winner.way,
                winner.at_slo_s,
                winner.cost.total(),
                choice.why
            );
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn how_a_store_copies_teaches_nothing_of_how_workers_do() {
    let mut planner = planner();
    let mut copied = ask("aws:us-west-2", 128 * MB, "60s@p99");
    copied.sites = vec![Site::process(copied.destination.clone())];
    copied.server_copy = Some(StoreCopy::Whole);
    let of = |choice: &Choice, by_store: bool| {
        let mut candidates = choice.candidates.iter();
        let found = candidates.find(|it| (it.way == Way::ServerCopy) == by_store);
        found.unwrap().p50_s
    };
    let before = choose(&mut planner, &copied);
    for _ in 0..40 {
        planner.learn(&copied, &Way::ServerCopy, 50.0).unwrap();
    }
    let after = choose(&mut planner, &copied);
    assert!(of(&after, true) > 2.0 * of(&before, true));
    assert_eq!(of(&after, false), of(&before, false));
}
