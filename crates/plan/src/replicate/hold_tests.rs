//! How long a change waits for the next one of its key, and what it loses to those that come while it is copied.

use super::tests::{HOME, MB, ask, choose, planner, region};
use super::*;
use crate::predict::{Shape, Warm};
use skyfresh_sky::Rng;

/// Poisson changes of one key: each transfer covers what changed while it was held. Nothing may be late more often than the
/// SLO says, and what was saved must be about what was promised.
#[test]
fn holding_saves_transfers_and_is_in_time() {
    let mut planner = planner();
    let ask = ask("gcp:us-central1", 100 * MB, "30s@p99");
    let winner = choose(&mut planner, &ask).winner().unwrap().clone();
    let nothing = planner.hold(&ask, &winner, 0.0001).unwrap();
    assert_eq!(
        nothing.wait_s, 0.0,
        "no other change is expected: {nothing:?}"
    );
    for per_minute in [5.0, 10.0, 50.0, 100.0] {
        let per_s = per_minute / 60.0;
        let held = planner.hold(&ask, &winner, per_s).unwrap();
        assert!(held.wait_s > 1.0 && held.wait_s < 30.0, "{held:?}");
        let rng = Rng::named(3, "changes");
        let (mut changes, mut transfers, mut late) = (0u32, 0u32, 0u32);
        let (site, shape) = match &winner.way {
            Way::Workers { site, shape, .. } => (site, *shape),
            Way::ServerCopy => unreachable!("not offered"),
        };
        let route = crate::predict::Route::of(
            planner.catalog(),
            &ask.source,
            &ask.destination,
            site,
            None,
            0.05,
        )
        .unwrap();
        let predicted = Warm::new(route, 2, 0.99, 77).predict(shape, ask.size_bytes);
        let mut now_s = 0.0;
        while transfers < 2_000 {
            // The first change begins the wait; those within it come along.
            let mut next_s = now_s - libm::log(1.0 - rng.unit()) / per_s;
            let first_s = next_s;
            let begins_s = first_s + held.wait_s;
            let takes_s = predicted.quantile(rng.unit());
            while next_s <= begins_s {
                changes += 1;
                late += u32::from(begins_s + takes_s - next_s > 30.0);
                next_s -= libm::log(1.0 - rng.unit()) / per_s;
            }
            transfers += 1;
            now_s = begins_s;
        }
        let attained = 1.0 - f64::from(late) / f64::from(changes);
        assert!(attained >= 0.99, "{per_minute} a minute: {attained}");
        let each = f64::from(changes) / f64::from(transfers);
        assert!(
            (each / (1.0 + per_s * held.wait_s) - 1.0).abs() < 0.1,
            "{each} changes a transfer"
        );
    }
}

/// An object that changes while it is copied: rounds that are lost are part of what is promised, the ways that are exposed for
/// longest are not taken, and a change waits for less long.
#[test]
fn what_changes_while_it_is_read_goes_by_ways_that_are_hardly_exposed() {
    let mut planner = planner();
    let mut calm = ask("aws:eu-west-1", 100 * MB, "30s@p99.9");
    calm.sites.push(Site::process(region(HOME)));
    calm.limits.max_put_bytes = 64 << 20;
    let hot = Ask {
        changes_per_s: 2.0,
        ..calm.clone()
    };
    let one = |choice: &Choice| {
        let one = |it: &&Candidate| {
            matches!(
                &it.way,
                Way::Workers {
                    shape: Shape::Parts { workers: 1, .. },
                    ..
                }
            )
        };
        choice.candidates.iter().find(one).unwrap().clone()
    };
    let (of_calm, of_hot) = (choose(&mut planner, &calm), choose(&mut planner, &hot));
    assert_eq!(
        (of_calm.verdict, of_hot.verdict),
        (Verdict::InTime, Verdict::InTime)
    );
    // One worker reads part after part for seconds, and hardly ever gets to the end.
    assert_eq!(
        (one(&of_calm).rounds, one(&of_calm).in_time > 0.999),
        (1.0, true)
    );
    assert!(one(&of_hot).rounds > 100.0, "{:?}", one(&of_hot));
    assert!(one(&of_hot).in_time < 0.5, "{:?}", one(&of_hot));
    let (calm_way, hot_way) = (of_calm.winner().unwrap(), of_hot.winner().unwrap());
    assert!(hot_way.rounds > 1.0 && hot_way.rounds < 2.0, "{hot_way:?}");
    assert!(calm_way.rounds < hot_way.rounds && calm_way.cost.total() < hot_way.cost.total());
    let held = |planner: &mut Planner, ask: &Ask, way: &Candidate| {
        planner.hold(ask, way, 2.0).unwrap().wait_s
    };
    let (calm_s, hot_s) = (
        held(&mut planner, &calm, hot_way),
        held(&mut planner, &hot, hot_way),
    );
    assert!(hot_s > 10.0 && hot_s < calm_s - 1.0, "{hot_s} and {calm_s}");
}
