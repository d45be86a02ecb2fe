//! `cp --relays` and `replicate --relays`: large objects carried by relays, as processes of this machine.

use crate::support::{Place, Ran, Running, snapshot};
use serde_json::Value;

const REGIONS: [&str; 3] = ["aws:us-east-1", "gcp:us-central1", "gcp:us-east1"];

/// A local sky of three regions, S3 in each, and a bucket `data` everywhere.
struct Skies {
    _running: Running,
    urls: Vec<String>,
    regions: Vec<&'static str>,
}

impl Skies {
    fn start(place: &Place) -> Skies {
        Skies::of(place, &REGIONS)
    }

    fn of(place: &Place, regions: &[&'static str]) -> Skies {
        let running = place.start(&[
            "localsky",
            "--json",
            "--s3-everywhere",
            "--regions",
            &regions.join(","),
            "--bucket",
            "data",
        ]);
        let told: Value = serde_json::from_str(&running.first_line).unwrap();
        let endpoints = told["endpoints"].as_array().unwrap().iter();
        let urls = endpoints.map(|it| it["url"].as_str().unwrap().to_owned());
        Skies {
            urls: urls.collect(),
            regions: regions.to_vec(),
            _running: running,
        }
    }

    fn location(&self, region: usize, path: &str) -> String {
        format!(
            "s3://data/{path}?endpoint={}&region={}",
            self.urls[region], self.regions[region]
        )
    }
}

fn lines(ran: &Ran) -> Vec<Value> {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let lines = ran.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// 24 MiB that differ everywhere.
fn large() -> Vec<u8> {
    let words = (0u32..6 << 20).map(|at| at.wrapping_mul(2_654_435_761));
    words.flat_map(u32::to_le_bytes).collect()
}

#[test]
fn one_expensive_hop_serves_two_destinations_and_every_byte_is_the_sources() {
    let place = Place::new();
    let sky = Skies::start(&place);
    let bytes = large();
    place.write("src/large.bin", &bytes);
    place.write("src/small.txt", "small");
    let filled = place.run(&["cp", "-r", "src", &sky.location(0, "")]);
    assert_eq!(filled.code, Some(0), "{filled:?}");
    // S3 tells times by the second: copies of a later one are seen to be later without a look at each.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let (from, one, two) = (
        sky.location(0, ""),
        sky.location(1, ""),
        sky.location(2, ""),
    );
    let args = [
        "cp",
        "-r",
        &from,
        &one,
        &two,
        "--relays",
        "local",
        "--part-size",
        "5MiB",
        "--json",
    ];
    let dry = lines(&place.run(&[&args[..], &["--dry-run"]].concat()));
    let way = dry.iter().find(|line| line.get("way").is_some()).unwrap();
    assert_eq!(way["way"], "relays", "{way}");
    let plan = &way["plan"];
    let edges = plan["edges"].as_array().unwrap();
    assert_eq!(edges.len(), 2, "one hop out, one within: {plan}");

    let told = lines(&place.run(&args));
    let relays = told.iter().find(|line| line["relays"] == true).unwrap();
    assert_eq!(relays["direct_parts"], 0, "{relays}");
    assert_eq!(
        relays["read_bytes"],
        bytes.len(),
        "read once for both: {relays}"
    );
    let hops = relays["hops"].as_array().unwrap();
    assert_eq!(hops.len(), 2, "{relays}");
    let summaries = told.iter().filter(|line| line["summary"] == true);
    for summary in summaries {
        assert_eq!(summary["outcome"], "verified", "{summary}");
        assert_eq!(summary["copied"], 2, "the small one goes direct");
    }
    for region in [1, 2] {
        let verified = place.run(&["verify", &from, &sky.location(region, ""), "--deep"]);
        assert_eq!(verified.code, Some(0), "{verified:?}");
    }
    // Nothing to do, no relay is started.
    let again = lines(&place.run(&args));
    let way = again.iter().find(|line| line.get("way").is_some()).unwrap();
    assert_eq!(way["why"], "there is nothing to copy", "{way}");
}

#[test]
fn a_rule_has_relays_where_they_are_faster_and_is_proved_equal_all_the_same() {
    let place = Place::new();
    let sky = Skies::of(&place, &["azure:westus", "aws:eu-west-1"]);
    // More than a rule ever writes in one request, however much time there is.
    place.write("src/large.bin", large().repeat(3));
    place.write("src/small.txt", "small");
    let filled = place.run(&["cp", "-r", "src", &sky.location(0, "")]);
    assert_eq!(filled.code, Some(0), "{filled:?}");
    let (from, to) = (sky.location(0, ""), sky.location(1, ""));
    let args = ["replicate", &from, &to, "--once", "--relays", "local"];
    let faster = place.run(&[&args[..], &["--relays-for", "speed", "-v"]].concat());
    assert_eq!(faster.code, Some(0), "{faster:?}");
    assert!(
        faster.stderr.contains("large objects go by relays"),
        "{faster:?}"
    );
    assert!(
        faster.stderr.contains("standing relays have ended"),
        "none is left: {faster:?}"
    );
    let verified = place.run(&["verify", &from, &to, "--deep"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let rented = place.run(&["replicate", &from, &to, "--relays", "aws:machines.toml"]);
    assert_eq!(rented.code, Some(2), "{rented:?}");
    assert!(rented.stderr.contains("not for rules"), "{rented:?}");
}

/// What a rule's destinations have spent, in dollars, and how many bytes came to each.
fn totals(ran: &Ran) -> Vec<(f64, u64)> {
    let told = lines(ran);
    let rule = told.last().unwrap();
    let destinations = rule["destinations"].as_array().unwrap().iter();
    let totals = destinations.map(|it| &it["totals"]);
    let of = |it: &Value| {
        (
            it["spend"].as_f64().unwrap(),
            it["bytes_moved"].as_u64().unwrap(),
        )
    };
    totals.map(of).collect()
}

#[test]
fn a_rules_destinations_share_the_expensive_hop() {
    let place = Place::new();
    let sky = Skies::start(&place);
    let bytes = large();
    place.write("src/large.bin", &bytes);
    place.write("src/small.txt", "small");
    let filled = place.run(&["cp", "-r", "src", &sky.location(0, "")]);
    assert_eq!(filled.code, Some(0), "{filled:?}");
    let at = |region| sky.location(region, "");
    let (from, one, two) = (at(0), at(1), at(2));
    let args = [
        "replicate",
        &from,
        &one,
        &two,
        "--once",
        "--relays",
        "local",
        "-v",
        "--json",
    ];
    let ran = place.run(&args);
    let together = ran
        .stderr
        .lines()
        .filter(|line| line.contains("large objects go by relays"));
    assert_eq!(
        together.count(),
        1,
        "both by one way, and none alone: {ran:?}"
    );
    assert!(ran.stderr.contains("standing relays have ended"), "{ran:?}");
    let totals = totals(&ran);
    let gb = bytes.len() as f64 / 1e9;
    let spent: f64 = totals.iter().map(|(spend, _)| spend).sum();
    let whole = bytes.len() as u64 + 5;
    assert!(
        totals.iter().all(|(_, bytes)| *bytes == whole),
        "{totals:?}"
    );
    // $0.09 a GB out of AWS once, $0.01 within Google; a few requests.
    assert!(
        spent > 0.10 * gb && spent < 0.11 * gb,
        "${spent} for {gb} GB: {totals:?}"
    );
    for region in [1, 2] {
        let verified = place.run(&["verify", &from, &at(region), "--deep"]);
        assert_eq!(verified.code, Some(0), "{verified:?}");
    }
}

#[test]
fn what_is_not_cheaper_goes_direct_and_says_why() {
    let place = Place::new();
    let sky = Skies::start(&place);
    place.write("src/large.bin", large());
    let filled = place.run(&["cp", "src/large.bin", &sky.location(0, "")]);
    assert_eq!(filled.code, Some(0), "{filled:?}");
    let (from, to) = (sky.location(0, "large.bin"), sky.location(1, ""));
    let told = lines(&place.run(&["cp", &from, &to, "--relays", "local", "--json"]));
    let way = told.iter().find(|line| line.get("way").is_some()).unwrap();
    assert_eq!(way["way"], "direct", "{way}");
    assert!(way["why"].as_str().unwrap().contains("not cheaper"));
    assert!(told.iter().all(|line| line.get("relays").is_none()));
    let verified = place.run(&[
        "verify",
        &sky.location(0, ""),
        &sky.location(1, ""),
        "--deep",
    ]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

#[test]
fn what_is_wrong_is_said() {
    let place = Place::new();
    place.write("src/a", "1");
    let nowhere = place.run(&["cp", "-r", "src", "dst", "--relays", "local"]);
    snapshot("relays_without_regions", &nowhere.exits(2));
    let place_of = place.run(&["cp", "-r", "src", "dst", "--relays", "moon"]);
    assert_eq!(place_of.code, Some(2), "{place_of:?}");
    let alone = place.run(&["cp", "-r", "src", "dst", "--deadline", "1m"]);
    assert_eq!(alone.code, Some(2), "needs --relays: {alone:?}");
    let sky = Skies::start(&place);
    let filled = place.run(&["cp", "src/a", &sky.location(0, "")]);
    assert_eq!(filled.code, Some(0), "{filled:?}");
    place.write("hosts", "aws:us-east-1 relay.example.com\nmars host two\n");
    let (from, to) = (sky.location(0, "a"), sky.location(1, ""));
    let hosts = place.run(&["cp", &from, &to, "--relays", "ssh:hosts"]);
    snapshot("relays_bad_hosts", &hosts.exits(2));
    place.write(
        "hosts",
        "# one side alone\naws:us-east-1 relay.example.com\n",
    );
    let hosts = place.run(&["cp", &from, &to, "--relays", "ssh:hosts", "--json"]);
    let way = &lines(&hosts)[0];
    assert_eq!(
        way["why"], "all objects are small, and relays carry parts of large ones",
        "{way}"
    );
    place.write("src/large.bin", large());
    let filled = place.run(&["cp", "src/large.bin", &sky.location(0, "")]);
    assert_eq!(filled.code, Some(0), "{filled:?}");
    let from = sky.location(0, "large.bin");
    let hosts = place.run(&["cp", &from, &to, "--relays", "ssh:hosts", "--json"]);
    let way = &lines(&hosts)[0];
    assert_eq!(way["why"], "no host is in gcp:us-central1", "{way}");
    let not_an_owner = place.run(&["relay"]);
    snapshot("relay_without_owner", &not_an_owner.exits(4));
}
