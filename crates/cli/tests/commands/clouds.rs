//! The commands for objects do the same in every cloud's own protocol, and on disk.

use crate::support::{Place, Running, with_directory};
use serde_json::Value;

const OBJECTS: [(&str, &str); 4] = [
    ("100% +.txt", "abc"),
    ("models/a.bin", "12345"),
    ("models/deep/b.bin", "b"),
    ("ä b.bin", "12"),
];

/// Where each cloud's store is, with the configuration that names them.
fn locations(place: &Place, told: &Value) -> Vec<String> {
    let url = |region: &str| {
        let mut endpoints = told["endpoints"].as_array().unwrap().iter();
        let found = endpoints.find(|endpoint| endpoint["to"] == region);
        found.unwrap()["url"].as_str().unwrap().to_owned()
    };
    let azure = told["azure_connection_strings"]["azure:westeurope"]
        .as_str()
        .unwrap();
    let account = azure
        .split("AccountName=")
        .nth(1)
        .unwrap()
        .split(';')
        .next()
        .unwrap();
    let config = format!(
        "[endpoint.google]\nurl = \"{}\"\ngoogle_token = {}\n\
         [endpoint.azure]\nurl = \"{}\"\nazure_connection_string = \"{azure}\"\n",
        url("gcp:us-central1"),
        told["google_token"],
        url("azure:westeurope"),
    );
    place.write("skyfresh.toml", config);
    vec![
        format!(
            "s3://data/in/?endpoint={}&region=us-east-1",
            url("aws:us-east-1")
        ),
        "gs://data/in/?endpoint=google".to_owned(),
        format!("az://{account}/data/in/?endpoint=azure"),
        with_directory("file://DIR/dst", &place.path("").canonicalize().unwrap()),
    ]
}

/// The location of something below another one.
fn below(location: &str, name: &str) -> String {
    match location.split_once('?') {
        Some((path, options)) => format!("{path}{name}?{options}"),
        None => format!("{location}/{name}"),
    }
}

/// A local sky of three clouds with a bucket `data` each, and what it tells of itself.
fn three_clouds(place: &Place) -> (Running, Value) {
    let running = place.start(&[
        "localsky",
        "--json",
        "--regions",
        "aws:us-east-1,gcp:us-central1,azure:westeurope",
        "--bucket",
        "data",
    ]);
    let told = serde_json::from_str(&running.first_line).unwrap();
    (running, told)
}

#[test]
fn every_store_is_listed_read_and_emptied_alike() {
    let place = Place::new();
    let (_running, told) = three_clouds(&place);
    for (name, content) in OBJECTS {
        place.write(&format!("src/{name}"), content);
    }
    for location in locations(&place, &told) {
        let run = |args: &[&str]| {
            let ran = place.run(&[args, &["-c", "skyfresh.toml"]].concat());
            assert_eq!(ran.code, Some(0), "{args:?}: {ran:?}");
            ran
        };
        run(&["replicate", "./src", &location, "--once"]);
        let level = run(&["ls", &location]).stdout;
        let names: Vec<&str> = level.lines().map(|line| line[38..].trim()).collect();
        assert_eq!(names, ["100% +.txt", "models/", "ä b.bin"], "{location}");
        let listed = run(&["ls", "-r", "--json", &location]).stdout;
        let listed: Vec<Value> = listed
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(listed.len(), OBJECTS.len(), "{location}");
        let sum = run(&["du", "--json", &location]).json();
        assert_eq!(
            (&sum["objects"], &sum["bytes"]),
            (&4.into(), &11.into()),
            "{location}"
        );
        let head = run(&["head", "--json", &below(&location, "models/a.bin")]).json();
        assert_eq!(
            (&head["size"], &head["etag"]),
            (&5.into(), &listed[1]["etag"]),
            "{location}"
        );
        // The bytes, proved by what each store states.
        let bytes = run(&["cat", "--json", &below(&location, "*.bin")]).stdout;
        let ends: Vec<Value> = bytes
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let proved = ends.iter().filter(|line| line["verified_by"].is_string());
        assert_eq!(proved.count(), 3, "{location}: {bytes}");
        assert_eq!(run(&["cat", &below(&location, "*.bin")]).stdout, "12345b12");
        run(&["rm", listed[0]["uri"].as_str().unwrap()]);
        run(&["rm", "-r", "-y", &below(&location, "models")]);
        let left = run(&["ls", "-r", &location]).stdout;
        assert!(
            left.lines().count() == 1 && left.ends_with("ä b.bin\n"),
            "{location}: {left}"
        );
    }
}

#[test]
fn azure_reads_large_objects_from_s3_by_itself() {
    let place = Place::new();
    let (_running, told) = three_clouds(&place);
    let large = "skyfresh ".repeat(200_000);
    place.write("src/large é.txt", &large);
    for number in 0..20 {
        place.write(&format!("src/small/{number}"), "few bytes");
    }
    let locations = locations(&place, &told);
    let (s3, azure) = (&locations[0], &locations[2]);
    let run = |args: &[&str]| {
        let ran = place.run(&[args, &["-c", "skyfresh.toml"]].concat());
        assert_eq!(ran.code, Some(0), "{args:?}: {ran:?}");
        ran
    };
    // How each object got there.
    let copied = |extra: &[&str]| {
        let ran = run(&[&["cp", "-r", "--json", "--always", s3, azure], extra].concat());
        let lines = ran
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        let records = lines.filter(|line: &Value| line["outcome"].is_string());
        let server = |record: &Value| record["outcome"] == "server_copied";
        records
            .filter(server)
            .map(|record| record["key"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    run(&["cp", "-r", "./src", s3]);
    assert_eq!(copied(&[]), ["large é.txt"]);
    assert_eq!(run(&["cat", &below(azure, "large é.txt")]).stdout, large);
    assert_eq!(copied(&["--no-server-copy"]), Vec::<String>::new());
    assert_eq!(copied(&["--bwlimit", "500MB"]), Vec::<String>::new());
    // In one request.
    let deleted = run(&["rm", "-r", "-y", "--json", s3]).json();
    assert_eq!(deleted["deleted"], 21);
    let listed = place.run(&["ls", s3, "-c", "skyfresh.toml"]);
    assert_eq!(listed.code, Some(1), "nothing is left: {listed:?}");
}
