//! `skyfresh profile`, on directories and on a local sky.

use crate::support::{Place, Ran, Running, eventually, signal, snapshot, spawn};

/// Two regions on loopback, with one bucket each.
struct TwoRegions {
    _running: Running,
    urls: [String; 2],
}

impl TwoRegions {
    fn start(place: &Place) -> Self {
        let running = place.start(&[
            "localsky",
            "--json",
            "--regions",
            "aws:us-east-1,aws:eu-west-1",
            "--bucket",
            "data",
        ]);
        let told: serde_json::Value = serde_json::from_str(&running.first_line).unwrap();
        let url = |index: usize| told["endpoints"][index]["url"].as_str().unwrap().to_owned();
        TwoRegions {
            urls: [url(0), url(1)],
            _running: running,
        }
    }

    fn source(&self) -> String {
        format!("s3://data/?endpoint={}&region=aws:us-east-1", self.urls[0])
    }

    fn target(&self) -> String {
        format!("s3://data/?endpoint={}&region=aws:eu-west-1", self.urls[1])
    }
}

/// Without what differs from machine to machine.
fn scrubbed(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let row = [
            "HEAD, ",
            "1 stream",
            "2 streams",
            "4 streams",
            "8 streams",
            "16 streams",
        ]
        .iter()
        .find(|name| line.trim_start().starts_with(**name));
        lines.push(match row {
            None => line.to_owned(),
            Some(name) => {
                // The catalogue's figures are the same everywhere.
                let cells: Vec<&str> = line
                    .split("  ")
                    .map(str::trim)
                    .filter(|it| !it.is_empty())
                    .collect();
                let unit = cells[1].rsplit(' ').next().unwrap();
                let factor = if cells[3] == "-" { "-" } else { "[FACTOR]" };
                assert!(cells[0].starts_with(name.trim_end()));
                format!("  {}  [MEASURED] {unit}  {}  {factor}", cells[0], cells[2])
            }
        });
    }
    lines.join("\n")
}

/// What a directory or bucket holds.
fn names(place: &Place, directory: &str) -> Vec<String> {
    let entries = std::fs::read_dir(place.path(directory)).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != ".skyfresh")
        .collect();
    names.sort();
    names
}

#[test]
fn directories_are_measured_and_left_as_they_were() {
    let place = Place::new();
    place.write("src/small", "1");
    place.write("src/large", vec![7; 3 << 20]);
    place.write("dst/mine", "1");
    let ran = place.run(&["profile", "./src", "./dst", "--bytes", "4MiB"]);
    snapshot("profile", &scrubbed(&ran.exits(0)));
    assert_eq!(names(&place, "dst"), ["mine"]);
    assert_eq!(names(&place, "src"), ["large", "small"]);
    let chosen = [
        "profile",
        "./src",
        "./dst",
        "--bytes",
        "64KiB",
        "--requests",
        "3",
        "--key",
        "small",
        "--json",
    ];
    let report = place.run(&chosen).json();
    assert_eq!(report["source"]["read"], serde_json::json!(["small", 1]));
    assert_eq!(report["source"]["head"]["requests"], 3);
    for side in ["source", "destination"] {
        let rates = report[side]["rates"].as_array().unwrap();
        let streams: Vec<u64> = rates
            .iter()
            .map(|rate| rate["streams"].as_u64().unwrap())
            .collect();
        assert_eq!(streams, [1, 2, 4, 8, 16]);
        assert!(
            rates
                .iter()
                .all(|rate| rate["mb_per_s"].as_f64().unwrap() > 0.0),
            "{report}"
        );
    }
    let written = report["destination"]["rates"].as_array().unwrap();
    assert!(
        written.iter().all(|rate| rate["bytes"] == 65_536),
        "{report}"
    );
}

#[test]
fn an_empty_source_leaves_the_destination_to_measure() {
    let place = Place::new();
    let ran = place.run(&["profile", "./src", "./dst", "--bytes", "64KiB"]);
    snapshot("profile_empty_source", &scrubbed(&ran.exits(0)));
}

#[test]
fn between_regions_the_catalogue_stands_beside_and_can_be_put_right() {
    let place = Place::new();
    let sky = TwoRegions::start(&place);
    place.write("src/object", vec![7; 2 << 20]);
    let filled = place.run(&["replicate", "./src", &sky.source(), "--once"]);
    assert_eq!(filled.code, Some(0), "{filled:?}");
    place.write(
        "prices.csv",
        "# mine\nsrc,dst,usd_per_gb,throughput_gbps,rtt_ms\naws:us-east-1,aws:eu-west-1,0.011,,\n",
    );
    let (source, target) = (sky.source(), sky.target());
    let ask = [
        "profile",
        &source,
        &target,
        "--bytes",
        "4MiB",
        "--here",
        "aws:us-east-1",
    ];
    let ran = place.run(&[&ask[..], &["--save", "prices.csv"]].concat());
    snapshot("profile_between_regions", &scrubbed(&ran.exits(0)));
    let saved = place.read("prices.csv");
    assert!(
        saved.starts_with("# mine\n") && saved.contains("aws:us-east-1,aws:eu-west-1,0.011,"),
        "{saved}"
    );
    let link = [
        "catalog",
        "link",
        "aws:us-east-1",
        "aws:eu-west-1",
        "--overrides",
        "prices.csv",
        "--json",
    ];
    let link = place.run(&link).json();
    assert_eq!(link["throughput_gbps"]["origin"], "override", "{link}");
    assert!(
        link["rtt_ms"]["value"].as_f64().unwrap() < 60.0,
        "loopback is nearer than Ireland: {link}"
    );
    let listed = place.run(&["verify", "./dst", &target, "--json"]).json();
    assert_eq!(listed["equal"], 0, "{listed}");
    assert_eq!(
        listed["all_equal"], true,
        "nothing is left at the destination: {listed}"
    );
}

#[test]
fn what_could_not_be_saved_is_refused_before_anything_is_sent() {
    let place = Place::new();
    let local = [
        "profile",
        "./src",
        "./dst",
        "--here",
        "aws:us-east-1",
        "--save",
        "prices.csv",
    ];
    snapshot("profile_nothing_to_save", &place.run(&local).exits(2));
    let nowhere = ["profile", "./src", "./dst", "--save", "prices.csv"];
    assert_eq!(place.run(&nowhere).code, Some(2));
    snapshot(
        "profile_no_key",
        &place
            .run(&["profile", "./src", "./dst", "--key", "nosuch"])
            .exits(4),
    );
    assert!(!place.path("prices.csv").exists());
}

#[test]
fn interrupted_it_leaves_nothing_behind() {
    let place = Place::new();
    let mut command = place.command(&["profile", "./src", "./dst", "--bytes", "512MiB", "--json"]);
    command.env("SKYFRESH_LOG", "off");
    let child = spawn(command);
    eventually("a probe object", || {
        names(&place, "dst")
            .iter()
            .any(|name| name.contains(".skyfresh-probe-"))
    });
    signal(&child, "-INT");
    let ran = Ran::new(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(130), ""), "{ran:?}");
    assert_eq!(names(&place, "dst"), Vec::<String>::new());
}
