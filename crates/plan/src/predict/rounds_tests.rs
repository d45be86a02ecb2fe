use super::Rounds;
use super::finish::{Dispatch, Worker, schedule};
use proptest::prelude::*;
use skyfresh_sky::Rng;

/// A round that takes between 2 and 4 s, each as likely as the next.
fn quantile(p: f64) -> f64 {
    2.0 + 2.0 * p
}

fn cdf(delay_s: f64) -> f64 {
    ((delay_s - 2.0) / 2.0).clamp(0.0, 1.0)
}

/// Exposed for this time, always.
fn of(exposed_s: f64) -> impl Iterator<Item = f64> {
    std::iter::once(exposed_s)
}

#[test]
fn what_hardly_changes_loses_nothing() {
    for rounds in [
        Rounds::NONE,
        Rounds::of(0.0, of(3.0), 0.0),
        Rounds::of(2.0, of(0.0), 0.0),
        Rounds::of(2.0, std::iter::empty(), 0.0),
        Rounds::of(f64::NAN, of(3.0), 0.0),
        Rounds::of(-1.0, of(3.0), 0.0),
    ] {
        assert_eq!(rounds, Rounds::NONE);
        assert_eq!((rounds.mean(), rounds.cdf(3.0, cdf)), (1.0, 0.5));
        assert_eq!(rounds.quantile(0.99, quantile, cdf), quantile(0.99));
    }
}

/// Rounds played one after the other: a change while a round is exposed makes it begin again after that time.
#[test]
fn they_are_what_is_drawn() {
    // Half of the rounds are exposed for a second, the others for next to nothing.
    let (changes_per_s, exposed) = (1.4, [1.0, 1e-9]);
    let rounds = Rounds::of(changes_per_s, exposed.into_iter(), 0.25);
    let rng = Rng::named(5, "rounds");
    let (mut delays_s, mut begun) = (Vec::new(), 0u32);
    for _ in 0..100_000 {
        let mut delay_s = 0.0;
        loop {
            begun += 1;
            let exposed_s = exposed[usize::from(rng.chance(0.5))];
            let change_s = -libm::log(1.0 - rng.unit()) / changes_per_s;
            if change_s > exposed_s {
                break;
            }
            delay_s += exposed_s + 0.25;
        }
        delays_s.push(delay_s + quantile(rng.unit()));
    }
    delays_s.sort_by(f64::total_cmp);
    let mean = f64::from(begun) / delays_s.len() as f64;
    assert!((rounds.mean() / mean - 1.0).abs() < 0.01, "{mean}");
    for p in [0.1, 0.5, 0.9, 0.99, 0.999] {
        let drawn_s = delays_s[(p * delays_s.len() as f64) as usize];
        let told_s = rounds.quantile(p, quantile, cdf);
        assert!(
            (told_s / drawn_s - 1.0).abs() < 0.02,
            "p{p}: {told_s}, drawn {drawn_s}"
        );
        let share = rounds.cdf(drawn_s, cdf);
        assert!((share - p).abs() < 0.005, "p{p}: {share}");
    }
}

#[test]
fn what_changes_all_the_time_is_never_done() {
    let hopeless = Rounds::of(100.0, of(3.0), 0.0);
    assert_eq!(hopeless.quantile(0.99, quantile, cdf), f64::INFINITY);
    assert!(hopeless.cdf(1e6, cdf) < 1e-3);
    assert!(hopeless.mean() > 1e5);
}

/// The time of exposure is the model's own: parts that are all begun at once are exposed for less than parts that wait.
#[test]
fn the_last_read_begins_when_the_last_part_is_pulled() {
    let worker = Worker {
        start_s: 0.5,
        part_s: 2.0,
    };
    let last_begun = |workers: usize, after_s: f64| {
        let duplicating = Dispatch::PullAndDuplicate { after_s };
        schedule(&vec![worker; workers], 12, duplicating).last_begun_s
    };
    assert_eq!(last_begun(12, 3.0), 0.5);
    assert_eq!(last_begun(6, 3.0), 2.5);
    assert_eq!(last_begun(1, 3.0), 0.5 + 11.0 * 2.0);
}

proptest! {
    #[test]
    fn the_share_in_time_and_the_delay_at_the_percentile_are_one_statement(
        changes_per_s in 0.0f64..5.0, exposed_s in 0.0f64..3.0, p in 0.01f64..0.9999,
    ) {
        let rounds = Rounds::of(changes_per_s, of(exposed_s), 0.0);
        let at_s = rounds.quantile(p, quantile, cdf);
        prop_assert!(at_s >= quantile(p) * (1.0 - 1e-3));
        if at_s.is_finite() {
            prop_assert!(rounds.cdf(at_s, cdf) >= p - 1e-9);
            prop_assert!(rounds.cdf(at_s * 0.999 - 2e-4, cdf) <= p + 1e-9);
        }
        // More changes, or longer exposed: never sooner.
        let worse = Rounds::of(changes_per_s * 1.5, of(exposed_s), 0.0);
        prop_assert!(worse.quantile(p, quantile, cdf) >= at_s * (1.0 - 2e-3));
    }
}
