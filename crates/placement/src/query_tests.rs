use super::*;
use crate::model::{Latency, Prices, Requirements};
use skyfresh_sky::{ManualClock, Timestamp};

fn scenario(latency_slo_seconds: Option<f64>) -> Scenario {
    let prices = Prices::parse(
        include_str!("../fixtures/storage_pricing.csv"),
        include_str!("../fixtures/network_cost_v2.csv"),
    );
    let latency = Latency::parse(
        "latency.csv",
        include_str!("../fixtures/latency_10485760.csv"),
    )
    .expect("the table");
    let asked = Requirements {
        stores: "General Purpose".into(),
        min_replicas: 2,
        max_replicas: Some(2),
        latency: latency_slo_seconds.map(|slo| (latency, slo)),
        ..Requirements::default()
    };
    Scenario::new(&prices.expect("the tables"), &asked).expect("a scenario")
}

fn ask(scenario: &Scenario, lines: &[&str], threads: usize) -> Vec<(String, bool)> {
    let clock = ManualClock::at(Timestamp::ZERO);
    query(&Direct::new(scenario), lines, threads, &clock)
        .iter()
        .map(|reply| (reply.json(), matches!(reply, Reply::Answer(_))))
        .collect()
}

const KNOWN: &str = r#"{"id":"known","size_gb":13,"puts":{"aws-eu-central-1":1},"gets":{"aws-eu-south-2":1,"aws-eu-north-1":1}}"#;

#[test]
fn each_line_is_answered_whatever_the_others_are() {
    let lines = [
        KNOWN,
        r#"{"id":"far","size_gb":1,"gets":{"aws-mars-1":1}}"#,
        r#"{"id":"negative","size_gb":-1}"#,
        r#"{"id":"huge","size_gb":"1e30","gets":{"aws-eu-west-1":"1e30"}}"#,
        r#"{"id":"twice","size_gb":1,"gets":{"aws-eu-west-1":1,"aws-eu-west-1":2}}"#,
        r#"{"id":"typo","size_gb":1,"getz":{}}"#,
        "nonsense",
        r#"{"id":"idle","size_gb":"1/3"}"#,
    ];
    let answers = ask(&scenario(None), &lines, 1);
    assert_eq!(
        answers[0].0,
        r#"{"id":"known","cost_usd":"1.1180111","stores":["aws-eu-north-1-s3-General Purpose","aws-eu-south-2-s3-General Purpose"],"reads":{"aws-eu-north-1":"aws-eu-north-1-s3-General Purpose","aws-eu-south-2":"aws-eu-south-2-s3-General Purpose"},"unique":true,"gap":0,"micros":0}"#
    );
    let wanted = [
        (1, "far", "invalid", "aws-mars-1"),
        (2, "negative", "invalid", "negative"),
        (3, "huge", "overflow", "128 bits"),
        (4, "twice", "invalid", "named twice"),
        (5, "typo", "invalid", "getz"),
    ];
    for (line, id, kind, word) in wanted {
        let (text, fine) = &answers[line];
        let value: serde_json::Value = serde_json::from_str(text).expect("JSON");
        assert!(
            !fine && value["id"] == id && value["kind"] == kind,
            "{text}"
        );
        assert!(
            value["error"]
                .as_str()
                .is_some_and(|error| error.contains(word)),
            "{text}"
        );
    }
    assert!(
        answers[6].0.starts_with(r#"{"id":null,"error""#),
        "{}",
        answers[6].0
    );
    assert!(
        answers[7].1 && answers[7].0.contains(r#""reads":{}"#),
        "{}",
        answers[7].0
    );
}

#[test]
fn what_binds_is_named_where_nothing_is_in_reach() {
    let near = r#"{"id":"near","size_gb":13,"gets":{"aws-eu-south-1":1,"aws-eu-north-1":1}}"#;
    let none = scenario(Some(0.01));
    let (text, fine) = &ask(&none, &[near], 1)[0];
    assert!(
        !fine
            && text.contains("infeasible")
            && text.contains("within 0.01 s")
            && text.contains("region aws-eu-north-1"),
        "{text}"
    );
    // A pair that was not measured is not in reach: eu-south-2 reads from none.
    let measured = scenario(Some(1000.0));
    let answers = ask(&measured, &[near, KNOWN], 1);
    assert!(answers[0].1, "{}", answers[0].0);
    assert!(
        !answers[1].1 && answers[1].0.contains("region aws-eu-south-2"),
        "{}",
        answers[1].0
    );
}

#[test]
fn threads_keep_the_order() {
    let lines: Vec<String> = (0..1000)
        .map(|at| {
            format!(
                r#"{{"id":"{at}","size_gb":{at},"gets":{{"aws-eu-west-1":{}}}}}"#,
                at % 7
            )
        })
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let scenario = scenario(None);
    assert_eq!(ask(&scenario, &lines, 4), ask(&scenario, &lines, 1));
}
