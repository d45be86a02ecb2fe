//! What must hold under every policy, whatever happens.

use super::*;
use proptest::prelude::*;
use skyfresh_sky::Rng;

fn scheduler(name: PolicyName, options: Options) -> KeyScheduler {
    KeyScheduler::new(name.policy(&options, &Rng::seeded(7)), options)
}

fn report(scheduler: &mut KeyScheduler, key: Key, error: f64, now: f64) {
    let version = scheduler.key(key).map_or(0, |state| state.version);
    let feedback = Feedback {
        version,
        error,
        queried_at: now,
    };
    scheduler.feedback(key, feedback, now);
}

/// Gives keys `0..keys` a feature each, and pending data.
fn warm(scheduler: &mut KeyScheduler, keys: Key) {
    for key in 0..keys {
        scheduler.data(key, 1, 0.0);
    }
    while let Some(lease) = scheduler.select(0.0) {
        assert!(scheduler.complete(&lease, 0.0));
    }
    for key in 0..keys {
        scheduler.data(key, 1, 0.0);
    }
}

#[test]
fn each_policy_takes_what_it_says() {
    let first = |name: PolicyName, prepare: &dyn Fn(&mut KeyScheduler)| {
        let mut scheduler = scheduler(name, Options::plain());
        warm(&mut scheduler, 4);
        prepare(&mut scheduler);
        scheduler.select(9.0).map(|lease| lease.key)
    };
    let errors = |scheduler: &mut KeyScheduler| {
        // Key 1 errs most in sum, key 2 grew most since its first error.
        for (key, error, now) in [
            (1, 5.0, 1.0),
            (1, 5.0, 2.0),
            (2, 1.0, 1.0),
            (2, 4.0, 2.0),
            (3, 0.5, 1.0),
        ] {
            report(scheduler, key, error, now);
        }
    };
    assert_eq!(first(PolicyName::Regret, &errors), Some(1));
    assert_eq!(first(PolicyName::Literal, &errors), Some(2));
    let queries = |scheduler: &mut KeyScheduler| scheduler.query(3, 1.0);
    assert_eq!(first(PolicyName::QueryProportional, &queries), Some(3));
    let data = |scheduler: &mut KeyScheduler| scheduler.data(2, 5, 1.0);
    assert_eq!(first(PolicyName::MaxPending, &data), Some(2));
    assert_eq!(first(PolicyName::RoundRobin, &data), Some(0));
    // Key 0 has taken two records already.
    let past = |scheduler: &mut KeyScheduler| {
        let lease = scheduler.select(1.0).unwrap();
        assert_eq!(lease.key, 0);
        assert!(scheduler.complete(&lease, 1.0));
        scheduler.data(0, 1, 1.0);
    };
    assert_eq!(first(PolicyName::MinimumPast, &past), Some(1));
}

#[test]
fn random_takes_every_key() {
    let mut scheduler = scheduler(PolicyName::Random, Options::plain());
    let mut seen = [0; 4];
    for _ in 0..400 {
        (0..4).for_each(|key| scheduler.data(key, 1, 0.0));
        let lease = scheduler.select(0.0).unwrap();
        seen[lease.key as usize] += 1;
        scheduler.complete(&lease, 0.0);
    }
    assert!(
        seen.iter().all(|count| (60..140).contains(count)),
        "{seen:?}"
    );
}

#[test]
fn data_that_arrives_under_a_lease_makes_the_key_pending_again() {
    let mut scheduler = scheduler(PolicyName::Regret, Options::default());
    scheduler.data(0, 3, 0.0);
    let lease = scheduler.select(1.0).unwrap();
    assert_eq!(lease.records, 3);
    scheduler.data(0, 2, 1.5);
    assert_eq!(scheduler.select(1.6), None, "one lease at a time");
    assert!(scheduler.complete(&lease, 2.0));
    let again = scheduler.select(3.0).unwrap();
    assert_eq!((again.key, again.records, again.version), (0, 2, 2));
    // Data up to the selection is in the feature, not that which came under the lease.
    assert_eq!(scheduler.key(0).unwrap().updated_at, Some(1.0));
}

#[test]
fn a_lease_that_runs_out_restores_what_it_cleared() {
    let mut scheduler = scheduler(PolicyName::Regret, Options::default());
    warm(&mut scheduler, 1);
    report(&mut scheduler, 0, 2.0, 1.0);
    scheduler.query(0, 1.0);
    let lease = scheduler.select(1.0).unwrap();
    assert_eq!(scheduler.key(0).unwrap().errors, 0.0);
    report(&mut scheduler, 0, 3.0, 2.0);
    scheduler.data(0, 4, 2.0);
    assert_eq!(scheduler.expire(60.0), 0);
    assert_eq!(scheduler.expire(61.0), 1);
    let state = *scheduler.key(0).unwrap();
    assert_eq!((state.errors, state.queries), (5.0, 1));
    assert_eq!((state.pending_records, state.phase), (5, Phase::Pending));
    assert!(!scheduler.complete(&lease, 62.0), "the lease is lost");
    assert!(!scheduler.abandon(&lease, 62.0));
    let again = scheduler.select(63.0).unwrap();
    assert!(scheduler.abandon(&again, 64.0));
    assert_eq!(scheduler.key(0).unwrap().errors, 5.0);
    assert_eq!(scheduler.stats().expired, 1);
}

#[test]
fn late_errors_count_for_less_and_large_ones_are_capped() {
    let mut scheduler = scheduler(PolicyName::Regret, Options::default());
    warm(&mut scheduler, 2);
    for _ in 0..64 {
        report(&mut scheduler, 1, 1.0, 0.0);
    }
    let late = Feedback {
        version: 9,
        error: 4.0,
        queried_at: 0.0,
    };
    scheduler.feedback(0, late, 0.0);
    assert_eq!(scheduler.key(0).unwrap().errors, 1.0);
    report(&mut scheduler, 0, 1e9, 0.0);
    assert_eq!(scheduler.key(0).unwrap().errors, 11.0);
    for bad in [f64::NAN, -3.0] {
        report(&mut scheduler, 0, bad, 0.0);
    }
    assert_eq!(scheduler.key(0).unwrap().errors, 11.0);
    assert_eq!(scheduler.stats().late, 1);
}

#[test]
fn decayed_errors_keep_their_order_for_ever() {
    let options = Options {
        decay_time: Some(2.0),
        default_regret: 0.01,
        reserve: 0.0,
        delay_fallback: None,
        shadow_guard: None,
        ..Options::default()
    };
    let mut scheduler = scheduler(PolicyName::Regret, options);
    warm(&mut scheduler, 3);
    // Far beyond what exp() can hold without scaling back.
    for step in 1..5_000 {
        let now = f64::from(step);
        report(&mut scheduler, 0, 1.0, now);
        report(&mut scheduler, 1, 1.1, now);
        assert!(scheduler.key(1).unwrap().errors.is_finite());
    }
    assert_eq!(scheduler.select(5_000.0).unwrap().key, 1);
    // An error of now outweighs many of long ago.
    report(&mut scheduler, 2, 1.0, 5_040.0);
    assert_eq!(scheduler.select(5_040.0).unwrap().key, 2);
}

#[test]
fn the_default_regret_brings_up_keys_that_nobody_queries() {
    for decay_time in [None, Some(3.0)] {
        let options = Options {
            default_regret: 0.5,
            decay_time,
            ..Options::plain()
        };
        let mut scheduler = scheduler(PolicyName::Regret, options);
        warm(&mut scheduler, 2);
        // Key 0 is refreshed, key 1 grows stale in silence.
        let lease = scheduler.select(5.0).unwrap();
        assert!(scheduler.complete(&lease, 5.0));
        scheduler.data(lease.key, 1, 6.0);
        let other = 1 - lease.key;
        assert_eq!(scheduler.select(9.0).map(|lease| lease.key), Some(other));
    }
}

#[test]
fn keys_are_taken_in_turn_while_feedback_comes_too_late() {
    let options = Options {
        reserve: 0.0,
        shadow_guard: None,
        ..Options::default()
    };
    let mut scheduler = scheduler(PolicyName::Regret, options);
    warm(&mut scheduler, 4);
    for step in 1..400 {
        let now = f64::from(step);
        let late = Feedback {
            version: 1,
            error: 1.0,
            queried_at: now - 50.0,
        };
        scheduler.feedback(3, late, now);
        let lease = scheduler.select(now).unwrap();
        scheduler.complete(&lease, now);
        scheduler.data(lease.key, 1, now);
    }
    let stats = scheduler.stats();
    assert!(
        stats.delay_fallback && stats.selected_round_robin > 350,
        "{stats:?}"
    );
}

#[test]
fn the_shadow_sees_that_the_order_is_worse_than_turns() {
    let options = Options {
        reserve: 0.0,
        delay_fallback: None,
        ..Options::default()
    };
    let mut scheduler = scheduler(PolicyName::Regret, options);
    warm(&mut scheduler, 10);
    // Keys 0 and 1 err much whatever their age; the others err as they age.
    let mut fell_back = false;
    for step in 1..4_000 {
        let now = f64::from(step);
        for key in 0..10 {
            let staleness = scheduler.key(key).unwrap().staleness(now).unwrap();
            let error = if key < 2 { 500.0 } else { staleness };
            report(&mut scheduler, key, error, now);
            scheduler.data(key, 1, now);
        }
        let lease = scheduler.select(now).unwrap();
        scheduler.complete(&lease, now);
        fell_back |= scheduler.stats().shadow_fallback;
    }
    assert!(fell_back, "{:?}", scheduler.stats());
}

#[derive(Clone, Debug)]
enum Step {
    Data(Key, u32),
    Query(Key),
    Feedback(Key, f64),
    Select,
    Complete(usize),
    Abandon(usize),
    Wait(f64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..12u32, 1..5u32).prop_map(|(key, records)| Step::Data(key, records)),
        1 => (0..12u32).prop_map(Step::Query),
        2 => (0..12u32, 0.0..10.0f64).prop_map(|(key, error)| Step::Feedback(key, error)),
        3 => Just(Step::Select),
        2 => any::<usize>().prop_map(Step::Complete),
        1 => any::<usize>().prop_map(Step::Abandon),
        1 => (0.0..50.0f64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..300)
}

fn any_policy() -> impl Strategy<Value = (PolicyName, Options)> {
    let options = prop_oneof![
        Just(Options::plain()),
        Just(Options::default()),
        Just(Options {
            decay_time: Some(0.2),
            default_regret: 0.1,
            ..Options::default()
        }),
    ];
    (prop::sample::select(PolicyName::ALL.to_vec()), options)
}

proptest! {
    /// Every record that arrived is in a completed feature, under a lease, or pending: none is lost, none is counted twice.
    #[test]
    fn no_record_is_lost((name, options) in any_policy(), steps in steps()) {
        let mut scheduler = scheduler(name, options);
        let (mut arrived, mut done, mut now) = ([0u64; 12], [0u64; 12], 0.0);
        let mut leases: Vec<Lease> = Vec::new();
        for step in steps {
            match step {
                Step::Data(key, records) => {
                    arrived[key as usize] += u64::from(records);
                    scheduler.data(key, records, now);
                }
                Step::Query(key) => scheduler.query(key, now),
                Step::Feedback(key, error) => report(&mut scheduler, key, error, now),
                Step::Select => {
                    if let Some(lease) = scheduler.select(now) {
                        leases.retain(|other| other.until > now);
                        prop_assert!(leases.iter().all(|other| other.key != lease.key));
                        leases.push(lease);
                    }
                }
                Step::Complete(index) if !leases.is_empty() => {
                    let lease = leases.remove(index % leases.len());
                    let in_time = lease.until > now;
                    prop_assert_eq!(scheduler.complete(&lease, now), in_time);
                    if in_time {
                        done[lease.key as usize] += u64::from(lease.records);
                    }
                }
                Step::Abandon(index) if !leases.is_empty() => {
                    scheduler.expire(now);
                    let lease = leases.remove(index % leases.len());
                    prop_assert_eq!(scheduler.abandon(&lease, now), lease.until > now);
                }
                Step::Wait(delay) => now += delay,
                Step::Complete(_) | Step::Abandon(_) => {}
            }
            let stats = scheduler.stats();
            prop_assert!(stats.pending + stats.processing <= 12);
        }
        // Whatever is outstanding ends; then all that arrived is done.
        now += 1_000.0;
        scheduler.expire(now);
        while let Some(lease) = scheduler.select(now) {
            prop_assert!(scheduler.complete(&lease, now));
            done[lease.key as usize] += u64::from(lease.records);
        }
        prop_assert_eq!(arrived, done);
        for (key, state) in scheduler.keys().iter().enumerate() {
            prop_assert_eq!(state.phase, Phase::Idle);
            prop_assert_eq!(state.feature_records, done[key]);
        }
    }

    /// With a reserve of a tenth and n keys pending, none waits for more than 10 n + 10 selections, whatever is reported.
    #[test]
    fn no_key_starves(errors in prop::collection::vec(0.0..1e6f64, 8), decay in any::<bool>(), keys in 2..40u32) {
        let options = Options { decay_time: decay.then_some(5.0), ..Options::default() };
        let mut scheduler = scheduler(PolicyName::Regret, options);
        warm(&mut scheduler, keys);
        let mut last = vec![0u32; keys as usize];
        for selection in 0..(40 * keys) {
            let now = f64::from(selection);
            // Only some keys are ever queried.
            for (key, error) in errors.iter().enumerate().take(keys as usize / 2 + 1) {
                report(&mut scheduler, key as Key, *error, now);
            }
            let lease = scheduler.select(now).unwrap();
            prop_assert!(scheduler.complete(&lease, now));
            last[lease.key as usize] = selection;
            (0..keys).for_each(|key| scheduler.data(key, 1, now));
            let waited = last.iter().map(|last| selection - last).max().unwrap_or(0);
            prop_assert!(waited <= 10 * keys + 10, "a key waited {waited} selections of {keys} keys");
        }
    }
}
