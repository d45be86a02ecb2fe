use crate::support::{Place, Ran, snapshot};
use serde_json::Value;

const SCENARIO: &str = r#"
title = "A minute from Virginia to Ireland"
slo = "5s@p99"
delete = true
[source]
region = "aws:us-east-1"
[[destination]]
region = "aws:eu-west-1"
[load]
trace = "synthetic:ibm"
[load.synthetic]
events_per_s = 5.0
duration_s = 60.0
"#;

fn place() -> Place {
    let place = Place::new();
    place.write("minute.toml", SCENARIO);
    place.write("storm.toml", "title = \"Storms\"\nstorm = true\n");
    place
}

/// The one JSON value of a command that ended well.
fn told(ran: &Ran) -> Value {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn a_load_gives_delays_dollars_and_a_picture() {
    let place = place();
    let ran = place.run(&["sim", "minute.toml", "--svg", "minute.svg"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    // How long it took here is no part of the result.
    let timeless = |text: &str| match text.split_once("simulated in ") {
        Some((before, after)) => {
            let (_, after) = after.split_once('\n').unwrap();
            format!("{before}simulated in N s\n{after}")
        }
        None => text.to_owned(),
    };
    snapshot("sim_minute", &timeless(&ran.stdout));
    assert!(place.read("minute.svg").starts_with("<svg"));

    let json = |seed: &str| told(&place.run(&["sim", "minute.toml", "--json", "--seed", seed]));
    let (one, again, other) = (json("1"), json("1"), json("2"));
    for field in [
        "p50_s",
        "p99_s",
        "p999_s",
        "p9999_s",
        "slo_attainment",
        "usd",
        "wall_s",
    ] {
        assert!(one[field].is_f64(), "{field}: {one}");
    }
    assert!(one["events"].as_u64().unwrap() > 200, "{one}");
    assert_eq!(one["log_hash"], again["log_hash"]);
    assert_ne!(one["log_hash"], other["log_hash"]);
}

#[test]
fn a_trace_is_a_file_and_a_bad_line_of_it_is_named() {
    let place = place();
    place.write(
        "trace",
        "1000 REST.PUT.OBJECT 8d4fcda3d675bac9 1056\n1900 REST.GET.OBJECT 8d4fcda3d675bac9 1056\n3000 REST.DELETE.OBJECT 8d4fcda3d675bac9\n",
    );
    let ran = place.run(&["sim", "minute.toml", "--trace", "trace", "--json"]);
    let report = told(&ran);
    assert_eq!(
        (&report["events"], &report["load"]),
        (&2.into(), &"trace".into())
    );
    place.write(
        "trace",
        "1000 REST.PUT.OBJECT 8d4fcda3d675bac9 1056\nyesterday\n",
    );
    let ran = place.run(&["sim", "minute.toml", "--trace", "trace"]);
    assert!(ran.stderr.contains("trace line 2"), "{ran:?}");
    assert_ne!(ran.code, Some(0));
}

#[test]
fn storms_say_that_every_guarantee_holds() {
    let place = place();
    let many = place.run(&["sim", "storm.toml", "--seeds", "0..6", "--json"]);
    let storms = told(&many);
    assert_eq!((&storms["runs"], &storms["failed"]), (&6.into(), &0.into()));
    let one = place.run(&["sim", "storm.toml", "--seed", "2"]).exits(0);
    assert!(one.contains("every guarantee holds"), "{one}");
    // A schedule that does nothing at all is one, too.
    let schedule = r#"{"seed":1,"setup":{"destinations":1,"processes":1,"shared_ledger":false,"delete":false,"max_deletes":1000,
        "source_states_checksums":true,"target_states_checksums":true,"versioned_source":false,"latency_ms":2},"steps":[]}"#;
    place.write("quiet.json", schedule);
    place
        .run(&["sim", "storm.toml", "--schedule", "quiet.json"])
        .exits(0);
}

#[test]
fn what_cannot_be_simulated_is_said() {
    let place = place();
    place.write("wrong.toml", SCENARIO.replace("eu-west-1", "mars-1"));
    snapshot("sim_no_link", &place.run(&["sim", "wrong.toml"]).exits(2));
    snapshot(
        "sim_storm_with_trace",
        &place.run(&["sim", "storm.toml", "--trace", "x"]).exits(2),
    );
    snapshot(
        "sim_seeds",
        &place
            .run(&["sim", "storm.toml", "--seeds", "9..3"])
            .exits(2),
    );
}
