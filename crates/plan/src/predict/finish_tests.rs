use super::*;
use proptest::prelude::*;

fn workers(of: &[(f64, f64)]) -> Vec<Worker> {
    let worker = |&(start_s, part_s)| Worker { start_s, part_s };
    of.iter().map(worker).collect()
}

#[test]
fn by_hand() {
    // Two workers from 0 and 1 s, 1 s and 3 s a part. Pulls: 0:a, 1:a and 1:b, 2:a, 3:a, so that four parts end at 3 (a) and 4 (b).
    let two = workers(&[(0.0, 1.0), (1.0, 3.0)]);
    let pulled = schedule(&two, 4, Dispatch::Pull);
    assert_eq!(
        pulled,
        Schedule {
            finish_s: 4.0,
            busy_s: 4.0 + 3.0,
            last_begun_s: 2.0
        }
    );
    // Two each: the slow one ends at 1 + 2 × 3.
    assert_eq!(schedule(&two, 4, Dispatch::Equal).finish_s, 7.0);
    assert_eq!(schedule(&two, 4, Dispatch::Equal).last_begun_s, 4.0);
    assert_eq!(
        schedule(&two, 3, Dispatch::Equal).finish_s,
        4.0,
        "the first gets the odd one"
    );
    // The slow one holds the last part from 1 to 4; the fast one is free at 3 and may copy it again from 1 + 1.5.
    let again = Dispatch::PullAndDuplicate { after_s: 1.5 };
    assert_eq!(schedule(&two, 4, again).finish_s, 4.0);
    let slow = workers(&[(0.0, 1.0), (1.0, 30.0)]);
    assert_eq!(schedule(&slow, 4, Dispatch::Pull).finish_s, 31.0);
    assert_eq!(schedule(&slow, 4, again).finish_s, 4.0);
    let later = Dispatch::PullAndDuplicate { after_s: 7.0 };
    assert_eq!(
        schedule(&slow, 4, later).finish_s,
        9.0,
        "not before it is 7 s old"
    );
}

/// A worker that finds no part left is there to duplicate one.
#[test]
fn who_found_nothing_helps() {
    let two = workers(&[(0.0, 30.0), (0.1, 1.0)]);
    let again = Dispatch::PullAndDuplicate { after_s: 1.5 };
    assert_eq!(schedule(&two, 1, again).finish_s, 2.5);
    assert_eq!(schedule(&two, 1, Dispatch::Pull).finish_s, 30.0);
    let never = workers(&[(0.0, 30.0), (f64::INFINITY, 1.0)]);
    assert_eq!(schedule(&never, 1, again).finish_s, 30.0);
}

#[test]
fn all_at_once() {
    let many = vec![
        Worker {
            start_s: 0.0,
            part_s: 2.0
        };
        300
    ];
    for dispatch in [Dispatch::Pull, Dispatch::PullAndDuplicate { after_s: 0.5 }] {
        let first = schedule(&many, 200, dispatch).finish_s;
        let second = schedule(&many, 301, dispatch).finish_s;
        assert!(
            (first - 2.0).abs() < 1e-5 && (second - 4.0).abs() < 1e-5,
            "{first} {second}"
        );
    }
}

#[test]
fn at_the_edges() {
    for dispatch in [
        Dispatch::Equal,
        Dispatch::Pull,
        Dispatch::PullAndDuplicate { after_s: 1.0 },
    ] {
        assert_eq!(schedule(&workers(&[(2.0, 1.0)]), 0, dispatch).finish_s, 0.0);
        assert_eq!(schedule(&[], 3, dispatch).finish_s, f64::INFINITY);
        let alone = schedule(&workers(&[(2.0, 0.5)]), 4, dispatch);
        assert_eq!(
            alone,
            Schedule {
                finish_s: 4.0,
                busy_s: 2.0,
                last_begun_s: 3.5
            },
            "{dispatch:?}"
        );
    }
    let never = workers(&[(f64::INFINITY, 1.0), (1.0, 1.0)]);
    assert_eq!(schedule(&never, 3, Dispatch::Pull).finish_s, 4.0);
    assert_eq!(schedule(&never, 3, Dispatch::Equal).finish_s, f64::INFINITY);
    let nobody = schedule(&workers(&[(f64::INFINITY, 1.0)]), 1, Dispatch::Pull);
    assert_eq!(
        nobody,
        Schedule {
            finish_s: f64::INFINITY,
            busy_s: 0.0,
            last_begun_s: f64::INFINITY
        }
    );
}

fn some_workers() -> impl Strategy<Value = Vec<Worker>> {
    let worker =
        (0.0f64..5.0, 0.01f64..3.0).prop_map(|(start_s, part_s)| Worker { start_s, part_s });
    prop::collection::vec(worker, 1..40)
}

proptest! {
    /// The search and the play agree, so that either may be used.
    #[test]
    fn the_search_finds_what_the_play_finds(workers in some_workers(), parts in 1u64..400) {
        let (played, searched) = (last(&played(&workers, parts)), last(&searched(&workers, parts)));
        // A pull within the tolerance of the moment may or may not count: then the last part is another, as late by a part.
        prop_assert!((played - searched).abs() < 1e-5 * (1.0 + played), "{played} {searched}");
    }

    /// Graham: with the work at hand no schedule is later than one part after the moment by which all machines together
    /// could have done it, and none earlier than that moment.
    #[test]
    fn pulling_is_within_one_part_of_the_best(workers in some_workers(), parts in 1u64..400) {
        let finish_s = schedule(&workers, parts, Dispatch::Pull).finish_s;
        let slowest_s = workers.iter().map(|worker| worker.part_s).fold(0.0, f64::max);
        // Parts that could be done by a moment, were parts divisible.
        let done = |moment_s: f64| -> f64 {
            workers.iter().map(|worker| (moment_s - worker.start_s).max(0.0) / worker.part_s).sum()
        };
        prop_assert!(done(finish_s) >= parts as f64 - 1e-6);
        let last_start_s = workers.iter().map(|worker| worker.start_s).fold(0.0, f64::max);
        if finish_s > last_start_s + slowest_s {
            prop_assert!(done(finish_s - slowest_s) <= parts as f64 + 1e-6);
        }
    }

    #[test]
    fn duplication_never_delays_and_more_workers_never_hurt_equal_ones(
        workers in some_workers(), parts in 1u64..200, after_s in 0.0f64..5.0,
    ) {
        let pulled = schedule(&workers, parts, Dispatch::Pull).finish_s;
        let again = schedule(&workers, parts, Dispatch::PullAndDuplicate { after_s }).finish_s;
        prop_assert!(again <= pulled);
        let alike: Vec<Worker> = workers.iter().map(|_| workers[0]).collect();
        let fewer = schedule(&alike[..1 + (alike.len() - 1) / 2], parts, Dispatch::Pull).finish_s;
        prop_assert!(schedule(&alike, parts, Dispatch::Pull).finish_s <= fewer + 1e-9);
    }
}
