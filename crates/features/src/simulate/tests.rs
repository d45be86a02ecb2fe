//! Replays are honest, and policies differ in the way that they should.

use super::*;
use std::fs;

fn trial(contender: Contender, budget: f64) -> Trial {
    Trial {
        contender,
        budget,
        seed: 3,
        delay_steps: 0,
        options: None,
    }
}

/// Keys of which the first few wander and the others do not.
fn waves() -> SeriesWorkload {
    let grain = Grain {
        length: 200,
        ..Grain::HOURLY
    };
    let named: Vec<(String, Vec<f64>)> = (0..20)
        .map(|key| {
            let rng = Rng::seeded(key);
            let mut level = 0.0;
            let points = (0..200).map(|index| {
                if key < 4 {
                    level += 4.0 * (rng.unit() - 0.5);
                }
                10.0 + level + (index % 24) as f64 + rng.unit()
            });
            (format!("{key}"), points.collect())
        })
        .collect();
    SeriesWorkload::new(&named, grain, Queries::Uniform).unwrap()
}

#[test]
fn bounds_are_bounds_and_regret_lies_between() {
    let workload = waves().with_queries(Queries::Zipf);
    let all = baseline(&workload, 3);
    let row = |contender, budget| run(&workload, &trial(contender, budget), all).0;
    let everything = row(Contender::UpdateAll, 0.1);
    assert_eq!(everything.regret, 0.0);
    assert_eq!(everything.updates, 20 * 128);
    assert_eq!((everything.staleness_mean, everything.starved), (0.0, 0));
    let nothing = row(Contender::UpdateNone, 0.1);
    assert_eq!((nothing.updates, nothing.starved), (0, 20));
    let turns = row(Contender::Policy(PolicyName::RoundRobin), 0.1);
    let regret = row(Contender::Policy(PolicyName::Regret), 0.1);
    assert_eq!(turns.updates, 256);
    assert_eq!(regret.updates, 256);
    assert!(regret.regret < 0.8 * turns.regret, "{regret:?} {turns:?}");
    assert!(turns.regret < nothing.regret, "{turns:?} {nothing:?}");
    assert_eq!((turns.starved, regret.starved), (0, 0));
    // 20 keys, 2 updates a step: nobody waits for more than ten steps in turn.
    assert!(turns.staleness_max <= 11, "{turns:?}");
    let full = row(Contender::Policy(PolicyName::Regret), 1.0);
    assert_eq!((full.mase, full.regret), (everything.mase, 0.0));
}

#[test]
fn the_same_seed_gives_the_same_row() {
    let workload = waves().with_queries(Queries::Zipf);
    let again = |seed| {
        let trial = Trial {
            seed,
            ..trial(Contender::Policy(PolicyName::Random), 0.2)
        };
        run(&workload, &trial, 0.0).0
    };
    assert_eq!(again(5), again(5));
    assert_ne!(again(5), again(6));
}

#[test]
fn seeds_differ_though_all_keys_are_asked_alike() {
    let workload = waves();
    let mase = |seed| {
        let trial = Trial {
            seed,
            ..trial(Contender::Policy(PolicyName::RoundRobin), 0.05)
        };
        run(&workload, &trial, 0.0).0.mase
    };
    assert_ne!(mase(5), mase(6), "equal keys come in another order");
}

#[test]
fn errors_that_come_late_are_reported_late() {
    let workload = waves();
    let trial = Trial {
        delay_steps: 7,
        ..trial(Contender::Policy(PolicyName::Regret), 0.2)
    };
    let (_, stats) = run(&workload, &trial, 0.0);
    assert!((stats.delay - 7.0).abs() < 1e-9, "{stats:?}");
    assert!(stats.late > 0);
}

#[test]
fn synthetic_ratings_have_the_shares_of_their_model() {
    let shape = RatingShape::SMALL;
    let workload = Ratings::synthetic(&shape, 1);
    assert_eq!(
        (workload.keys(), workload.steps()),
        (shape.users, shape.steps)
    );
    let all = baseline(&workload, 1);
    let row = |contender, budget| run(&workload, &trial(contender, budget), all).0;
    let everything = row(Contender::UpdateAll, 1.0);
    let nothing = row(Contender::UpdateNone, 1.0);
    assert!(
        everything.mase < 0.9,
        "embeddings must beat the mean: {everything:?}"
    );
    assert!(
        nothing.mase > everything.mase * 1.02,
        "{nothing:?} {everything:?}"
    );
    let turns = row(Contender::Policy(PolicyName::RoundRobin), 0.1);
    let regret = row(Contender::Policy(PolicyName::Regret), 0.1);
    assert!(regret.regret < turns.regret, "{regret:?} {turns:?}");
}

#[test]
fn files_are_read_and_bad_lines_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    write(
        "a.csv",
        "timestamp,value\n2014-02-14 00:00:00,1\n2014-02-14 00:30:00,3\n2014-02-14 03:00:00,8\n",
    );
    write("b.csv", "key,time,value\nx,0,1\ny,3600,2\nx,7200,5\n");
    let series = load_series(folder.path(), 3_600).unwrap();
    let named = |name: &str, values: &[f64]| (name.to_owned(), values.to_vec());
    let expected = [
        named("a", &[2.0, 2.0, 2.0, 8.0]),
        named("x", &[1.0, 1.0, 5.0]),
        named("y", &[2.0]),
    ];
    assert_eq!(series, expected);
    let bad = write("c.csv", "timestamp,value\nnoon,1\n");
    let error = load_series(&bad, 60).unwrap_err().to_string();
    assert!(
        error.contains("line 2") && error.contains("time"),
        "{error}"
    );
    let missing = load_series(&folder.path().join("none.csv"), 60).unwrap_err();
    assert_eq!(missing.kind, skyfresh_sky::Kind::Missing);
}

#[test]
fn a_log_of_ratings_is_read_and_fitted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ratings.dat");
    let rng = Rng::seeded(2);
    let lines: Vec<String> = (0..4_000)
        .map(|at| {
            let (user, item) = (rng.below(40), rng.below(60));
            // Odd users like odd items.
            let stars = if (user + item) % 2 == 0 { 5 } else { 2 };
            format!("{}::{}::{stars}::{}", user + 1, item + 10, 1_000 + at * 60)
        })
        .collect();
    fs::write(&path, lines.join("\n")).unwrap();
    let workload = load_ratings(&path, 100).unwrap();
    assert_eq!((workload.keys(), workload.steps()), (40, 100));
    let trial = trial(Contender::UpdateAll, 1.0);
    let row = run(&workload, &trial, 0.0).0;
    assert!(row.mase < 0.3 && row.queries == 2_000, "{row:?}");
    fs::write(&path, "1::2::3\n").unwrap();
    let error = load_ratings(&path, 100).unwrap_err().to_string();
    assert!(error.contains("line 1"), "{error}");
}
