//! What predictions are worth: against the arithmetic they stand for, and after they were wrong.

use super::{Family, Residuals, Route, Shape, Site, Warm};
use skyfresh_sky::catalog::{Catalog, state_service};
use skyfresh_sky::{Distribution, Region, Rng};

const MIB: u64 = 1 << 20;
const GB: u64 = 1_000_000_000;

fn region(name: &str) -> Region {
    name.parse().unwrap()
}

fn route(destination: &str) -> Route {
    let source = region("aws:us-east-1");
    let site = Site::functions(source.clone()).unwrap();
    let state = state_service("dynamodb");
    Route::of(
        &Catalog::embedded(),
        &source,
        &region(destination),
        &site,
        state,
        0.0,
    )
    .unwrap()
}

fn parts(workers: u32) -> Shape {
    Shape::Parts {
        workers,
        part_bytes: 8 * MIB,
    }
}

#[test]
fn a_route_without_chance_takes_what_arithmetic_says() {
    let sure = Route {
        start_s: Distribution::Constant(0.5),
        read_mb_per_s: Distribution::Constant(100.0),
        write_mb_per_s: Distribution::Constant(5.0),
        store_answer_ms: Distribution::Constant(20.0),
        ledger_ms: Distribution::Constant(4.0),
        ..route("gcp:us-central1")
    };
    let (read_s, write_s) = (0.021, (sure.write.round_trip_ms + 20.0) / 1_000.0);
    let mut warm = Warm::new(sure, 1, 0.99, 1);
    // 2 MB at 5 MB/s, started, after the heads, the GET and the PUT.
    let inline = warm.predict(Shape::Inline, 2_000_000);
    let expected_s = 0.5 + write_s + read_s + 0.4 + write_s;
    assert!(
        (inline.quantile(0.99) - expected_s).abs() < 1e-3,
        "{} {expected_s}",
        inline.quantile(0.99)
    );
    assert!((inline.busy_s() - (expected_s - 0.5)).abs() < 1e-3);
    // 64 parts over 4 workers: 16 each, one after the other.
    let size = 64 * 8 * MIB;
    let part_s = read_s + write_s + 0.008 + 8.388_608 / 5.0;
    let expected_s = write_s + write_s + 0.016 + 0.5 + 16.0 * part_s + write_s;
    let pulled = warm.predict(parts(4), size);
    assert!(
        (pulled.quantile(0.5) / expected_s - 1.0).abs() < 0.01,
        "{} {expected_s}",
        pulled.quantile(0.5)
    );
    assert_eq!(pulled.quantile(0.01), pulled.quantile(0.99));
    assert_eq!(
        (pulled.cdf(expected_s * 0.98), pulled.cdf(expected_s * 1.02)),
        (0.0, 1.0)
    );
}

#[test]
fn more_bytes_take_longer_and_more_workers_less_long() {
    let mut warm = Warm::new(route("azure:westeurope"), 2, 0.99, 1);
    let mut last_s = 0.0;
    for size in [0, 1, 1_000, 300_000, 1_000_000, 10_000_000, 100_000_000, GB] {
        let delay_s = warm.predict(Shape::Inline, size).quantile(0.99);
        assert!(delay_s >= last_s, "{size}: {delay_s} after {last_s}");
        last_s = delay_s;
    }
    let p99 = |warm: &mut Warm, workers| warm.predict(parts(workers), GB).quantile(0.99);
    let (one, eight, many) = (p99(&mut warm, 1), p99(&mut warm, 8), p99(&mut warm, 64));
    assert!(
        one > 4.0 * eight && eight > 2.0 * many,
        "{one} {eight} {many}"
    );
    assert!(
        one < last_s,
        "two parts in flight are faster than one stream"
    );
    // One seed, one prediction; and interpolation lies between what was drawn.
    let mut again = Warm::new(route("azure:westeurope"), 2, 0.99, 1);
    assert_eq!(again.predict(parts(8), GB).quantile(0.99), eight);
    let between = warm.predict(parts(8), GB - 50_000_000).quantile(0.99);
    assert!(
        between < eight && between > 0.9 * eight,
        "{between} {eight}"
    );
}

#[test]
fn the_stated_error_covers_what_other_seeds_say() {
    let mut predictions: Vec<(f64, f64)> = Vec::new();
    for seed in 0..20 {
        let mut warm = Warm::new(route("gcp:europe-west1"), 2, 0.99, seed);
        let predicted = warm.predict(parts(16), GB / 4);
        predictions.push((predicted.quantile(0.99), predicted.error()));
    }
    let mean = predictions.iter().map(|(p99, _)| p99).sum::<f64>() / 20.0;
    let covered = predictions
        .iter()
        .filter(|(p99, error)| (p99 / mean - 1.0).abs() <= *error);
    let covered = covered.count();
    assert!(covered >= 17, "{covered} of 20 within what they state");
    assert!(
        predictions.iter().all(|(_, error)| *error < 0.1),
        "{predictions:?}"
    );
}

/// Plays a world whose delays are those of `truth` times `factor`, learns from each, and tells how often the last half of
/// them stayed below the predicted p99, and what the location became.
fn live(factor: f64, receipts: usize, learned: &mut Residuals) -> f64 {
    let mut warm = Warm::new(route("gcp:us-central1"), 2, 0.99, 7);
    let rng = Rng::named(11, "truth");
    let mut below = 0;
    for index in 0..receipts {
        let size = 1_000_000 + rng.below(20_000_000);
        let predicted = warm.predict(Shape::Inline, size);
        let took_s = factor * predicted.quantile(rng.unit());
        let p99 = predicted.learned_quantile(learned, 0.99);
        let within = predicted.learned_cdf(learned, took_s) <= 0.99;
        assert_eq!(
            within,
            took_s <= p99,
            "quantile and share agree at {took_s} of {p99}"
        );
        below += usize::from(within && index >= receipts / 2);
        learned.observe(took_s, predicted.median_s());
    }
    below as f64 / (receipts - receipts / 2) as f64
}

#[test]
fn a_prior_wrong_by_a_factor_of_three_is_mended_within_200_receipts() {
    for factor in [3.0, 1.0 / 3.0, 1.0] {
        let mut learned = Residuals::default();
        let below = live(factor, 200, &mut learned);
        assert!(
            (learned.location() / factor - 1.0).abs() < 0.1,
            "{factor}: {}",
            learned.location()
        );
        // 100 receipts at p99: 95 to 100 of them are within three standard deviations.
        assert!(below >= 0.95, "{factor}: {below}");
        let mut warm = Warm::new(route("gcp:us-central1"), 2, 0.99, 7);
        let predicted = warm.predict(Shape::Inline, 5_000_000);
        let p99 = predicted.learned_quantile(&learned, 0.99);
        let truth = factor * predicted.quantile(0.99);
        assert!(
            (p99 / truth - 1.0).abs() < 0.25,
            "{factor}: predicted {p99}, true {truth}"
        );
    }
}

#[test]
fn drift_is_followed() {
    let mut learned = Residuals::default();
    live(1.0, 1_000, &mut learned);
    assert!((learned.location() - 1.0).abs() < 0.1);
    live(2.0, 400, &mut learned);
    assert!(
        (learned.location() / 2.0 - 1.0).abs() < 0.1,
        "{}",
        learned.location()
    );
}

#[test]
fn nonsense_teaches_nothing() {
    let mut learned = Residuals::default();
    for (took_s, median_s) in [
        (f64::NAN, 1.0),
        (0.0, 1.0),
        (1.0, 0.0),
        (-1.0, 1.0),
        (1.0, f64::INFINITY),
    ] {
        learned.observe(took_s, median_s);
    }
    assert_eq!((learned.receipts(), learned.location()), (0, 1.0));
}

/// Measured rates are skewed to the slow side, which a Normal is not: its p99 of a large object on few workers is too early.
#[test]
fn the_published_family_is_another_prediction() {
    let mut measured = Warm::new(route("aws:us-west-2"), 1, 0.999, 1);
    let published = Route {
        family: Family::NormalGumbel,
        ..route("aws:us-west-2")
    };
    let mut published = Warm::new(published, 1, 0.999, 1);
    let p50 = |warm: &mut Warm| warm.predict(Shape::Inline, 2_000_000).quantile(0.5);
    let ratio = p50(&mut measured) / p50(&mut published);
    assert!(
        (0.7..1.3).contains(&ratio),
        "both are about the same delays: {ratio}"
    );
    let tail = |warm: &mut Warm| warm.predict(Shape::Inline, 2_000_000).quantile(0.999);
    let (ours, theirs) = (tail(&mut measured), tail(&mut published));
    assert!(
        theirs < 0.95 * ours,
        "p99.9 {ours} by measurement, {theirs} by a Normal"
    );
}
