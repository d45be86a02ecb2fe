//! `skyfresh features`.

use crate::support::{Place, snapshot};
use serde_json::Value;
use std::fmt::Write as _;

/// Two weeks of hours for a few keys: some wander, all have a season.
fn log() -> String {
    let mut text = "key,time,value\n".to_owned();
    for key in 0..6u32 {
        let mut level = 50.0;
        for hour in 0..336u32 {
            // A fixed sequence that looks like noise.
            let noise = f64::from((hour * 7_919 + key * 104_729) % 101) / 101.0 - 0.5;
            if key < 2 {
                level += 3.0 * noise;
            }
            let value = level + f64::from(hour % 24) + noise;
            let _ = writeln!(text, "{key},{},{value:.3}", hour * 3_600);
        }
    }
    text
}

#[test]
fn a_log_is_replayed_under_several_policies() {
    let place = Place::new();
    place.write("log.csv", log());
    let arguments = [
        "features",
        "simulate",
        "--data",
        "log.csv",
        "--policy",
        "regret,round-robin,update-all",
        "--budget",
        ".05,.2",
        "--seeds",
        "2",
    ];
    let ran = place.run(&[&arguments[..], &["--svg", "loss.svg"]].concat());
    snapshot("features_simulate", &ran.exits(0));
    assert!(place.read("loss.svg").contains("round-robin"));

    let ran = place.run(&[&arguments[..], &["--json"]].concat());
    let rows: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 2 * 2 * 2 + 2, "{ran:?}");
    let mut names: Vec<&String> = rows[0].as_object().unwrap().keys().collect();
    names.sort();
    let expected = [
        "budget",
        "mase",
        "mse",
        "policy",
        "regret",
        "seed",
        "staleness_mean",
        "starved",
        "updates",
    ];
    assert_eq!(names, expected);
    let all = rows
        .iter()
        .find(|row| row["policy"] == "update-all")
        .unwrap();
    assert_eq!(all["regret"], 0.0);
}

#[test]
fn what_cannot_be_replayed_is_said() {
    let place = Place::new();
    let simulate = |data: &str, policy: &str, budget: &str| {
        place.run(&[
            "features", "simulate", "--data", data, "--policy", policy, "--budget", budget,
            "--seeds", "1",
        ])
    };
    let unknown = simulate("log.csv", "best", ".1");
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("round-robin"), "{unknown:?}");
    let budget = simulate("log.csv", "regret", "2");
    assert!(
        budget.code == Some(2) && budget.stderr.contains("at most 1"),
        "{budget:?}"
    );
    let missing = simulate("log.csv", "regret", ".1");
    assert!(
        missing.code == Some(4) && missing.stderr.contains("log.csv"),
        "{missing:?}"
    );
    place.write("short.csv", "time,value\n0,1\n3600,2\n");
    let short = simulate("short.csv", "regret", ".1");
    assert!(
        short.code == Some(2) && short.stderr.contains("336"),
        "{short:?}"
    );
}
