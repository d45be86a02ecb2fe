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

#[test]
fn an_oracle_says_how_far_objects_can_change() {
    let place = Place::new();
    let asked = europe(&place);
    let build = ["place", "oracle", "build", "--output", "europe.oracle"];
    let build = [&build[..], &["--unfiltered"], &asked[..]].concat();
    place.run(&build).exits(0);
    let query = ["place", "oracle", "query", "europe.oracle", "--drift"];
    let run = |more: &[&str]| place.run(&[&query[..], more].concat());
    let told = run(&["--workloads", "objects.jsonl"]);
    snapshot("place_oracle_drift", &told.exits(0));
    let told = run(&["--workloads", "some-bad.jsonl", "--json"]);
    assert_eq!(told.code, Some(1), "{told:?}");
    let drift = &told.json()["drift"];
    assert!(drift["size"]["up"].is_object() || drift["size"]["up"].is_null());
    assert!(drift["gets of aws-eu-west-1"].is_object(), "{drift}");
}

/// Lines of S3's server access logs: who, which object, its bytes, how often, in one month.
fn s3_log(accesses: &[(&str, &str, &str, u64, u32)]) -> String {
    let mut text = String::new();
    let mut second = 0;
    for (address, operation, key, bytes, times) in accesses {
        for _ in 0..*times {
            let (sent, day, hour) = match *operation {
                "REST.GET.OBJECT" => (bytes.to_string(), 1 + second / 24 % 30, second % 24),
                _ => ("-".to_owned(), 1 + second / 24 % 30, second % 24),
            };
            second += 1;
            text.push_str(&format!(
                "owner site [{day:02}/Sep/2026:{hour:02}:00:00 +0000] {address} - ID {operation} {key} \"GET /{key} HTTP/1.1\" 200 - {sent} {bytes} 9 8 \"-\" \"agent\" - id= SigV4 - - site.s3.amazonaws.com TLSV1.2 - -\n"
            ));
        }
    }
    text
}

const TODAY: &str = "aws-us-east-2-s3-General Purpose";

/// A log of a bucket in Ohio, read from Ireland and Mumbai, and what is asked of it.
fn ohio(place: &Place) -> Vec<&'static str> {
    let log = s3_log(&[
        (
            "10.1.0.1",
            "REST.GET.OBJECT",
            "img/cat%20one.jpg",
            50_000_000,
            300,
        ),
        (
            "10.1.0.2",
            "REST.GET.OBJECT",
            "img/<script>.jpg",
            1_000_000,
            40,
        ),
        (
            "10.2.0.1",
            "REST.GET.OBJECT",
            "maps/india.bin",
            900_000_000,
            60,
        ),
        (
            "10.0.0.1",
            "REST.PUT.OBJECT",
            "maps/india.bin",
            900_000_000,
            2,
        ),
        (
            "10.0.0.1",
            "REST.GET.OBJECT",
            "local/report.csv",
            20_000_000,
            90,
        ),
        ("192.0.2.1", "REST.GET.OBJECT", "index.html", 4_000, 30),
    ]);
    place.write("logs/2026-09.log", format!("{log}not a line\n"));
    let clients =
        "10.0.0.0/16,aws-us-east-2\n10.1.0.0/16,aws-eu-west-1\n10.2.0.0/16,aws:ap-south-1\n";
    place.write("networks.csv", clients);
    vec![
        "place",
        "advise",
        "logs",
        "--prices",
        TABLES,
        "--regions",
        "aws",
        "--stores",
        "General Purpose",
        "--at",
        TODAY,
        "--clients",
        "networks.csv",
        "--period",
        "30d",
    ]
}

#[test]
fn advice_from_a_log_becomes_rules() {
    let place = Place::new();
    let asked = ohio(&place);
    let run = |more: &[&str]| place.run(&[&asked[..], more].concat());
    snapshot("place_advise", &run(&["--html", "advice.html"]).exits(0));
    let page = place.read("advice.html");
    assert!(page.contains("<svg") && page.contains("aws-ap-south-1"));
    assert!(!page.contains("<script") && !page.contains("http-equiv=\"refresh"));
    // Nothing but the names of namespaces is an address.
    let addresses = page.matches("http").count();
    assert_eq!(
        addresses,
        page.matches("http://www.w3.org/2000/svg").count() + 1,
        "{page}"
    );

    let told = run(&["--json"]);
    told.exits(0);
    place.write("advice.jsonl", &told.stdout);
    let lines: Vec<Value> = told
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let summary = &lines[0]["summary"];
    assert_eq!(summary["accesses"], 522);
    assert_eq!(summary["bad"], 1);
    assert_eq!(summary["unplaced"], 30);
    let usd = |value: &Value| value.as_str().unwrap().parse::<f64>().unwrap();
    let groups = lines[1..]
        .iter()
        .map(|line| usd(&line["group"]["saving_usd"]));
    let saved: f64 = groups.sum();
    assert!((saved - usd(&summary["saving_usd"])).abs() < 1e-9);
    assert!(saved > 0.0);

    let apply = |more: &[&str]| {
        let apply = ["place", "apply", "advice.jsonl"];
        place.run(&[&apply[..], more].concat())
    };
    let missing = apply(&["--location", &format!("{TODAY}=s3://site/")]);
    assert_eq!(missing.code, Some(2), "{missing:?}");
    let stores: std::collections::BTreeSet<&str> = lines[1..]
        .iter()
        .flat_map(|line| line["group"]["stores"].as_array().unwrap())
        .map(|store| store.as_str().unwrap())
        .collect();
    let locations: Vec<String> = stores
        .iter()
        .map(|store| match *store {
            TODAY => format!("{TODAY}=s3://site/"),
            other => {
                let region = other.split("-s3-").next().unwrap();
                format!("{other}=s3://site-{region}/")
            }
        })
        .collect();
    let mut more: Vec<&str> = Vec::new();
    for location in &locations {
        more.extend(["--location", location]);
    }
    snapshot("place_apply", &apply(&more).exits(0));
    let written = [&more[..], &["--output", "rules.toml"]].concat();
    apply(&written).exits(0);
    let before = place.read("rules.toml");
    let again = apply(&written);
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.stderr.contains("--overwrite"), "{again:?}");
    assert_eq!(place.read("rules.toml"), before);
    apply(&[&written[..], &["--overwrite"]].concat()).exits(0);
    assert!(before.contains("[[rule]]"), "{before}");
}

#[test]
fn advice_by_object_and_access_set_costs_no_more_today() {
    let place = Place::new();
    let asked = ohio(&place);
    let summary = |more: &[&str]| {
        let told = place.run(&[&asked[..], &["--json"], more].concat());
        told.exits(0);
        let first = told.stdout.lines().next().unwrap();
        let line: Value = serde_json::from_str(first).unwrap();
        line["summary"].clone()
    };
    let prefix = summary(&[]);
    for by in ["object", "access-set"] {
        let other = summary(&["--by", by]);
        assert_eq!(other["today_usd"], prefix["today_usd"], "{by}");
    }
    // Nothing pays for itself at once.
    let stays = summary(&["--payback", "0"]);
    assert_eq!(stays["saving_usd"], "0");
    assert_eq!(stays["groups"], stays["groups_staying"]);
    // What does not fit is told by prefix.
    let folded = summary(&["--max-objects", "1"]);
    assert_eq!(folded["today_usd"], prefix["today_usd"]);
    assert_eq!(folded["one_size_in"], 1);
    assert!(folded["folded_accesses"].as_u64().unwrap() > 0);
}

#[test]
fn logs_that_say_nothing_are_refused() {
    let place = Place::new();
    let asked = ohio(&place);
    place.write("logs/2026-09.log", "nonsense\n");
    let told = place.run(&asked);
    snapshot("place_advise_nothing", &told.exits(2));
}
