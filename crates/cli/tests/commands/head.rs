use crate::support::{AWKWARD, Place, Sky, snapshot};

#[test]
fn an_object_is_described() {
    let place = Place::new();
    let sky = Sky::start(&place);
    sky.fill(&place, &AWKWARD);
    let head = |args: &[&str]| place.run(&[&["head"], args].concat());
    let text = head(&[&sky.location("data/ä b.bin")]).exits(0);
    // Of the copy's source, a file of this very moment.
    let (before, stamp) = text.split_once("skyfresh-source: ").unwrap();
    let text = format!("{before}skyfresh-source: [STAMP]{}", &stamp[32..]);
    snapshot("head", &text);
    let json = head(&["--json", &sky.location("data/models/*")]);
    let lines: Vec<serde_json::Value> = json
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let keys: Vec<&str> = lines
        .iter()
        .map(|line| line["key"].as_str().unwrap())
        .collect();
    assert_eq!(keys, ["models/a.bin", "models/deep/b.bin"]);
    assert_eq!(lines[0]["size"], 5000);
    // CRC-64/NVME as 16 hexadecimal digits, as no JSON number holds it.
    assert_eq!(lines[0]["crc64nvme"].as_str().unwrap().len(), 16);
    let file = head(&["--json", "./src/models/a.bin"]).json();
    assert_eq!(
        (&file["size"], &file["crc64nvme"]),
        (&5000.into(), &serde_json::Value::Null)
    );
}

#[test]
fn what_is_no_object_is_told() {
    let place = Place::new();
    let sky = Sky::start(&place);
    sky.fill(&place, &[("a/b", "1")]);
    let head = |path: &str| place.run(&["head", &sky.location(path)]);
    snapshot("head_directory", &head("data/a").exits(1));
    snapshot("head_prefix", &head("data/a/").exits(2));
    snapshot("head_no_match", &head("data/x*").exits(1));
    snapshot("head_no_bucket", &head("nowhere/a").exits(4));
    // The one that is there is shown.
    let both = place.run(&["head", &sky.location("data/a/c"), &sky.location("data/a/b")]);
    assert_eq!(both.code, Some(1), "{both:?}");
    assert!(both.stdout.starts_with("s3://data/a/b\n"), "{both:?}");
}

#[test]
fn a_file_belongs_to_the_store_around_it() {
    let place = Place::new();
    for (name, content) in AWKWARD {
        place.write(&format!("src/{name}"), content);
    }
    place
        .run(&["replicate", "./src", "./dst", "--once"])
        .exits(0);
    let run = |args: &[&str]| {
        let ran = place.run(args);
        assert_eq!(ran.code, Some(0), "{args:?}: {ran:?}");
        ran
    };
    // What was stated when it was written is found from within, too.
    let head = run(&["head", "--json", "./dst/models/a.bin"]).json();
    assert_eq!(head["key"], "models/a.bin");
    assert!(head["crc64nvme"].is_string(), "{head}");
    let told = run(&["cat", "--json", "./dst/models/deep/*"]).json();
    assert_eq!(told["verified_by"], "CRC64NVME");
    let level = run(&["ls", "./dst/models"]).stdout;
    let names: Vec<&str> = level.lines().map(|line| line[38..].trim()).collect();
    assert_eq!(names, ["a.bin", "deep/"]);
    let sum = run(&["du", "--json", "./dst/models/"]).json();
    assert_eq!((&sum["objects"], &sum["bytes"]), (&2.into(), &5001.into()));
    run(&["rm", "-y", "-r", "./dst/models/deep"]);
    run(&["rm", "./dst/models/a.bin"]);
    assert!(!place.path("dst/models").exists(), "nothing is left behind");
    run(&["verify", "./src", "./dst", "--exclude", "models/*"]);
}
