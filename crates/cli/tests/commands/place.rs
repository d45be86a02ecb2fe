use crate::support::{Place, snapshot};
use serde_json::Value;

/// SkyPIE's price tables.
const TABLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../placement/tables");

const OBJECTS: &str = r#"{"id":"a","size_gb":13,"puts":{"aws-eu-central-1":1},"gets":{"aws-eu-south-2":1,"aws-eu-north-1":1}}

{"id":"b","size_gb":"153/1000000","puts":{"aws-eu-south-1":4},"gets":{"aws-eu-west-2":563,"aws-eu-north-1":809,"aws-eu-south-2":1114,"aws-eu-south-1":2117,"aws-eu-west-1":4152,"aws-eu-central-2":3644}}
"#;
const BAD: &str = r#"{"id":"mars","size_gb":1,"gets":{"aws-mars-1":1}}
{"id":"negative","size_gb":-1}
{"id":"huge","size_gb":"1e30","gets":{"aws-eu-west-1":"1e30"}}
nonsense
"#;

fn europe(place: &Place) -> Vec<&'static str> {
    place.write("objects.jsonl", OBJECTS);
    place.write("some-bad.jsonl", format!("{BAD}{OBJECTS}"));
    vec![
        "--prices",
        TABLES,
        "--regions",
        "aws-eu",
        "--stores",
        "General Purpose",
        "--replicas",
        "2..2",
    ]
}

/// Without what depends on the machine.
fn without_time(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| match line.split_once(r#","micros":"#) {
            Some((before, _)) => format!("{before}}}\n"),
            None => format!("{line}\n"),
        });
    lines.collect()
}

#[test]
fn each_object_is_answered_by_every_engine_alike() {
    let place = Place::new();
    let asked = europe(&place);
    let run = |more: &[&str]| place.run(&[&["place", "query"], &asked[..], more].concat());
    let direct = run(&["--workloads", "objects.jsonl", "--json"]);
    assert!(direct.json()["micros"].is_u64(), "{direct:?}");
    let told = without_time(&direct.exits(0));
    snapshot("place_query_json", &told);
    let oracle = run(&[
        "--workloads",
        "objects.jsonl",
        "--json",
        "--engine",
        "oracle",
    ]);
    assert_eq!(without_time(&oracle.exits(0)), told);
    let ilp = run(&["--workloads", "objects.jsonl", "--json", "--engine", "ilp"]);
    for (one, other) in ilp.stdout.lines().zip(direct.stdout.lines()) {
        let read = |line: &str| serde_json::from_str::<Value>(line).unwrap();
        let (one, other) = (read(one), read(other));
        assert_eq!(one["cost_usd"], other["cost_usd"]);
        assert!(one["gap"].as_f64().unwrap() < 1e-6, "{one}");
    }
    snapshot(
        "place_query",
        &run(&["--workloads", "objects.jsonl"]).exits(0),
    );
    let limited = run(&[
        "--workloads",
        "objects.jsonl",
        "--json",
        "--time-limit",
        "10s",
    ]);
    assert_eq!(without_time(&limited.exits(0)), told);
}

#[test]
fn a_line_that_cannot_be_answered_spoils_no_other() {
    let place = Place::new();
    let asked = europe(&place);
    let run = |more: &[&str]| place.run(&[&["place", "query"], &asked[..], more].concat());
    let told = run(&["--workloads", "some-bad.jsonl", "--json"]);
    snapshot("place_query_bad_lines", &without_time(&told.exits(1)));
    let latency = format!("{TABLES}/latency_10485760.csv");
    let slow = [
        "--latency",
        &latency,
        "--slo-seconds",
        "0.01",
        "--workloads",
        "objects.jsonl",
    ];
    snapshot("place_query_infeasible", &run(&slow).exits(1));
}

#[test]
fn the_catalogue_prices_what_no_table_does() {
    let place = Place::new();
    place.write("objects.jsonl", OBJECTS);
    let run = |more: &[&str]| {
        let query = ["place", "query", "--workloads", "objects.jsonl", "--json"];
        place.run(&[&query[..], more].concat())
    };
    let free = run(&["--regions", "aws", "--replicas", "2.."]);
    free.exits(0);
    let away = run(&[
        "--replicas",
        "2..3",
        "--min-providers",
        "2",
        "--forbid-provider",
        "cloudflare",
        "--require-region",
        "gcp-europe-west1",
    ]);
    away.exits(0);
    let cost = |answer: &Value| answer["cost_usd"].as_str().unwrap().parse::<f64>().unwrap();
    assert!(cost(&away.json()) > cost(&free.json()));
    let stores = away.json()["stores"].to_string();
    assert!(stores.contains("gcp-europe-west1-gcs-Standard"), "{stores}");
    assert!(!stores.contains("cloudflare"), "{stores}");
}

#[test]
fn what_is_asked_wrongly_is_said() {
    let place = Place::new();
    let asked = europe(&place);
    for (more, said) in [
        (
            &["--workloads", "nowhere.jsonl"][..],
            "cannot read nowhere.jsonl",
        ),
        (
            &["--workloads", "objects.jsonl", "--slo-seconds", "1"],
            "--latency",
        ),
        (
            &[
                "--workloads",
                "objects.jsonl",
                "--require-region",
                "aws-mars-1",
            ],
            "aws-mars-1",
        ),
        (
            &["--workloads", "objects.jsonl", "--min-providers", "2"],
            "2 providers at least",
        ),
        (
            &["--workloads", "objects.jsonl", "--engine", "magic"],
            "direct, oracle, ilp",
        ),
        (
            &[
                "--workloads",
                "objects.jsonl",
                "--engine",
                "ilp",
                "--time-limit",
                "1s",
            ],
            "--time-limit is for --engine direct",
        ),
    ] {
        let ran = place.run(&[&["place", "query"], &asked[..], more].concat());
        assert_eq!(ran.code, Some(2), "{more:?} {ran:?}");
        assert!(ran.stderr.contains(said), "{more:?} {ran:?}");
    }
    let query = ["place", "query", "--workloads", "objects.jsonl"];
    for (more, said) in [
        (&["--prices", "nowhere"][..], "storage_pricing.csv"),
        (&["--regions", "("], "no regular expression"),
        (&["--replicas", "3..2"], "write 2 for exactly two"),
    ] {
        let ran = place.run(&[&query[..], more].concat());
        assert_eq!(ran.code, Some(2), "{more:?} {ran:?}");
        assert!(ran.stderr.contains(said), "{more:?} {ran:?}");
    }
}

#[test]
fn the_cost_is_explained_by_lines_that_add_up() {
    let place = Place::new();
    let asked = europe(&place);
    let run = |more: &[&str]| {
        let file = ["--workloads", "some-bad.jsonl"];
        place.run(&[&["place", "explain"], &asked[..], &file, more].concat())
    };
    snapshot("place_explain", &run(&["--id", "a"]).exits(0));
    let at = ["--at", "aws-eu-west-1-s3-General Purpose"];
    let today = run(&[&["--id", "a", "--json"], &at[..]].concat());
    today.exits(0);
    let told = today.json();
    assert_eq!(told["stores"], serde_json::json!([at[1]]));
    let usd = |value: &Value| value["cost_usd"].as_str().unwrap().parse::<f64>().unwrap();
    let sum: f64 = told["lines"].as_array().unwrap().iter().map(usd).sum();
    assert!((sum - usd(&told)).abs() < 1e-12, "{told}");
    assert_eq!(run(&["--json"]).code, Some(1));
    assert_eq!(run(&["--id", "c"]).code, Some(2));
    assert_eq!(run(&["--at", "moon"]).code, Some(2));
}

#[test]
fn an_oracle_is_counted_built_in_parts_merged_and_asked() {
    let place = Place::new();
    let asked = europe(&place);
    let oracle = |more: &[&str]| place.run(&[&["place", "oracle"], more].concat());
    let build = |more: &[&str]| oracle(&[&["build"], &asked[..], more].concat());
    let counted = build(&["--count"]).json();
    for (what, count) in [
        ("write_choices", 28),
        ("candidates", 48),
        ("distinct", 48),
        ("after_filter", 48),
    ] {
        assert_eq!(counted[what], count, "{counted}");
    }
    assert!(counted["seconds"].is_f64(), "{counted}");
    assert_eq!(build(&[]).code, Some(2));
    snapshot(
        "place_oracle_build",
        &build(&["--shard", "1/2", "--output", "first"]).exits(0),
    );
    let again = build(&["--shard", "1/2", "--output", "first"]);
    assert!(again.stderr.contains("is there already"), "{again:?}");
    build(&["--shard", "2/2", "--output", "second"]).exits(0);
    let lone = oracle(&["merge", "first", "--output", "whole"]);
    assert_eq!(lone.code, Some(2), "{lone:?}");
    assert!(lone.stderr.contains("each of the 2 shards"), "{lone:?}");
    oracle(&["merge", "second", "first", "--output", "whole"]).exits(0);
    let info = oracle(&["info", "whole", "--json"]).json();
    assert_eq!((&info["candidates"], &info["of"]), (&48.into(), &1.into()));
    let found = oracle(&["query", "whole", "--workloads", "objects.jsonl", "--json"]);
    found.exits(0);
    assert!(
        found.stdout.contains(r#""cost_usd":"1.1180111""#),
        "{found:?}"
    );
    let part = oracle(&["query", "first", "--workloads", "objects.jsonl"]);
    assert_eq!(part.code, Some(2), "{part:?}");
    let mut bytes = std::fs::read(place.path("whole")).unwrap();
    let last = bytes.len() - 40;
    bytes[last] ^= 1;
    place.write("whole", bytes);
    let damaged = oracle(&["info", "whole"]);
    assert_eq!(damaged.code, Some(2), "{damaged:?}");
    assert!(damaged.stderr.contains("build it again"), "{damaged:?}");
}
