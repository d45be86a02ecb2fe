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

/// Without what depends on the machine.
fn without_time(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with("planned by"));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn an_overlay_to_one_region_and_to_several() {
    let place = Place::new();
    let one = [
        "plan",
        "azure:westus",
        "aws:eu-west-1",
        "--size",
        "50GB",
        "--throughput",
        "4Gbps",
    ];
    let ran = place.run(&one);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    snapshot("plan_overlay_one", &without_time(&ran.stdout));

    let map = place.path("plan.svg");
    let several = [
        "plan",
        "gcp:asia-southeast1-a",
        "azure:eastasia",
        "aws:ap-southeast-2",
        "aws:sa-east-1",
        "--size",
        "100GB",
        "--vms",
        "2",
        "--deadline",
        "3m",
        "--map",
        map.to_str().unwrap(),
    ];
    let ran = place.run(&several);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    snapshot("plan_overlay_several", &without_time(&ran.stdout));
    let drawn = std::fs::read_to_string(map).unwrap();
    assert!(
        drawn.starts_with("<svg ") && drawn.contains("Azure eastasia"),
        "{drawn}"
    );
}

#[test]
fn an_overlay_as_json_adds_up() {
    let place = Place::new();
    let arguments = [
        "plan",
        "aws:us-east-1",
        "gcp:europe-west1",
        "azure:eastus",
        "--size",
        "100GB",
        "--deadline",
        "10m",
        "--json",
    ];
    let ran = place.run(&arguments);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    let number = |name: &str| {
        told[name]
            .as_f64()
            .unwrap_or_else(|| panic!("{name}: {told}"))
    };
    assert_eq!(told["feasible"], true);
    let parts = ["egress_usd", "vm_usd", "requests_usd"].map(number);
    assert!((parts.iter().sum::<f64>() - number("cost_usd")).abs() < 1e-9);
    assert!(number("time_s") <= 600.0 && number("lower_bound_usd") <= number("cost_usd"));
    assert!((number("throughput_gbps") * number("time_s") - 800.0).abs() < 1e-6);
    assert!(number("solve_ms") > 0.0 && told["engine"] == "best");
    assert!(told["vms"]["aws:us-east-1"].as_u64().unwrap() >= 1);
    let stripes: u64 = told["trees"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tree| tree["stripes"].as_u64().unwrap())
        .sum();
    assert_eq!(stripes, told["stripes"].as_u64().unwrap());
    let edge = &told["trees"][0]["edges"][0];
    assert!(edge[0].is_string() && edge[1].is_string(), "{edge}");
    for edge in told["edges"].as_array().unwrap() {
        assert!(
            edge["src"].is_string()
                && edge["dst"].is_string()
                && edge["gb"].as_f64().unwrap() > 0.0,
            "{edge}"
        );
    }
}

#[test]
fn what_no_overlay_can_do_is_said() {
    let place = Place::new();
    let plan = |more: &[&str]| {
        place.run(
            &[
                &["plan", "aws:us-east-1", "gcp:europe-west1", "--size", "1TB"],
                more,
            ]
            .concat(),
        )
    };
    let late = plan(&["--deadline", "1s"]);
    assert_eq!(late.code, Some(1), "{late:?}");
    snapshot("plan_overlay_infeasible", &late.stdout);
    let poor = plan(&["--budget", "1", "--json"]);
    assert_eq!(poor.code, Some(1), "{poor:?}");
    let told: Value = serde_json::from_str(&poor.stdout).unwrap();
    assert_eq!(told["feasible"], false);
    assert!(told["cheapest_usd"].as_f64().unwrap() > 1.0, "{told}");
    for (more, said) in [
        (&["--engine", "magic"][..], "expected one of best"),
        (&["--engine", "milp"][..], "minimises cost under a deadline"),
        (&["--without", "aws:nowhere"][..], "no region aws:nowhere"),
        (
            &["--deadline", "5m", "--budget", "3"][..],
            "cannot be used with",
        ),
        (&["--network", "nowhere"][..], "throughput.csv"),
        (&["--throughput", "fast"][..], "write 10Gbps"),
    ] {
        let ran = plan(more);
        assert_eq!(ran.code, Some(2), "{more:?} {ran:?}");
        assert!(ran.stderr.contains(said), "{more:?} {ran:?}");
    }
    let alone = place.run(&["plan"]);
    assert_eq!(alone.code, Some(2), "{alone:?}");
}

#[test]
fn the_frontier_of_price_and_throughput() {
    let place = Place::new();
    let picture = place.path("frontier.svg");
    let arguments = [
        "plan",
        "pareto",
        "azure:westus",
        "aws:eu-west-1",
        "--size",
        "50GB",
        "--samples",
        "5",
        "--svg",
        picture.to_str().unwrap(),
    ];
    let ran = place.run(&arguments);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    snapshot("plan_pareto", &ran.stdout);
    assert!(std::fs::read_to_string(picture).unwrap().contains("Gbit/s"));
    let several = place.run(&[
        "plan",
        "pareto",
        "azure:westus",
        "aws:eu-west-1",
        "aws:us-east-1",
        "--size",
        "50GB",
    ]);
    assert_eq!(several.code, Some(2), "{several:?}");
}

#[test]
fn the_papers_tables_are_read_and_its_programme_is_written() {
    let place = Place::new();
    let folder = place.path("network");
    std::fs::create_dir(&folder).unwrap();
    for (name, text) in [
        (
            "throughput.csv",
            "src,dst,gbps\naws:a,aws:b,4\naws:a,gcp:c-a,2\naws:b,gcp:c-a,4\n",
        ),
        (
            "egress_price.csv",
            "src,dst,usd_per_gb\naws:a,aws:b,0.02\naws:a,gcp:c-a,0.09\naws:b,gcp:c-a,0.09\n",
        ),
        (
            "vm.csv",
            "cloud,instance,egress_gbps,ingress_gbps,usd_per_hour\naws,m5,5,10,0.54\ngcp,n2,7,16,0.54\n",
        ),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let programme = place.path("programme.mps");
    let arguments = [
        "plan",
        "aws:a",
        "gcp:c",
        "--size",
        "10GB",
        "--deadline",
        "60s",
        "--stripes",
        "2",
        "--network",
        folder.to_str().unwrap(),
    ];
    let written = [
        &arguments[..],
        &["--write-mps", programme.to_str().unwrap(), "--json"],
    ]
    .concat();
    let ran = place.run(&written);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let text = std::fs::read_to_string(programme).unwrap();
    assert!(
        text.starts_with("NAME overlay\nROWS\n") && text.ends_with("ENDATA\n"),
        "{text}"
    );
    let best: Value = serde_json::from_str(&ran.stdout).unwrap();
    let exact = place.run(&[&arguments[..], &["--engine", "milp", "--json"]].concat());
    assert_eq!(exact.code, Some(0), "{exact:?}");
    let exact: Value = serde_json::from_str(&exact.stdout).unwrap();
    assert_eq!(exact["destinations"][0], "gcp:c-a");
    assert!(best["cost_usd"].as_f64().unwrap() <= exact["cost_usd"].as_f64().unwrap() + 1e-9);
}
