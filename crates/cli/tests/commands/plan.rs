use crate::support::{Place, snapshot};
use serde_json::Value;

#[test]
fn a_change_to_one_destination() {
    let place = Place::new();
    let arguments = [
        "plan",
        "replicate",
        "aws:us-east-1",
        "gcp:us-central1",
        "--size",
        "1GB",
        "--slo",
        "10s@p99",
    ];
    let ran = place.run(&arguments);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    snapshot("plan_replicate_one", &ran.stdout);

    let ran = place.run(&[&arguments[..], &["--json"]].concat());
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    let choice = &told["destinations"][0]["choice"];
    let chosen = &choice["candidates"][choice["chosen"].as_u64().unwrap() as usize];
    assert!(chosen["in_time"].as_f64().unwrap() >= 0.99, "{chosen}");
    assert_eq!(choice["verdict"], "in_time");
}

#[test]
fn a_hot_key_to_several_within_a_budget() {
    let place = Place::new();
    let arguments = [
        "plan",
        "replicate",
        "aws:us-east-1",
        "gcp:europe-west1",
        "gcp:us-central1",
        "--size",
        "100MB",
        "--slo",
        "60s",
        "--changes",
        "20/min",
    ];
    let ran = place.run(&[&arguments[..], &["--budget", "5000/month"]].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    snapshot("plan_replicate_several", &ran.stdout);
    let beyond = place.run(&[&arguments[..], &["--budget", "1/hour"]].concat());
    assert_eq!(beyond.code, Some(1), "{beyond:?}");
    assert!(beyond.stdout.contains("beyond the budget"), "{beyond:?}");
}

#[test]
fn what_cannot_be_planned_is_said() {
    let place = Place::new();
    let plan = |more: &[&str]| place.run(&[&["plan", "replicate", "aws:us-east-1"], more].concat());
    let late = plan(&["azure:eastus", "--size", "1GB", "--slo", "1s@p99"]);
    assert_eq!(late.code, Some(1), "{late:?}");
    assert!(
        late.stdout.contains("none is in time for 1s@p99"),
        "{late:?}"
    );
    for (arguments, says) in [
        (
            &["aws:mars-1", "--size", "1GB"][..],
            "knows no region aws:mars-1",
        ),
        (
            &["gcp:us-central1", "--size", "1GB", "--state", "clay-tablet"],
            "clay-tablet",
        ),
        (
            &["gcp:us-central1", "--size", "1GB", "--changes", "often"],
            "write 20/min",
        ),
        (
            &[
                "gcp:us-central1",
                "--size",
                "1GB",
                "--changes",
                "1/s",
                "--budget",
                "0/month",
            ],
            "50/month",
        ),
    ] {
        let wrong = plan(arguments);
        assert_eq!(wrong.code, Some(2), "{wrong:?}");
        assert!(wrong.stderr.contains(says), "{wrong:?}");
    }
}
