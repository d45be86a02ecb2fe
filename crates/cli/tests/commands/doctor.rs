use crate::support::{Place, Ran, Sky, snapshot};

#[test]
fn it_names_identity_abilities_and_policy() {
    let place = Place::new();
    let sky = Sky::start(&place);
    place.write("src/a", "1");
    let ran = place.run(&["doctor", "./src", &sky.location("data/models/"), "--delete"]);
    snapshot("doctor", &ran.exits(0));
    let told = place.run(&[
        "doctor",
        "./src",
        &sky.location("data/models/"),
        "./dst",
        "--json",
    ]);
    let sides = &told.json()["sides"];
    assert!(
        sides[0].get("unkept").is_none(),
        "a source keeps what it has"
    );
    assert_eq!(
        sides[1]["unkept"],
        serde_json::json!([
            "user metadata whose names no HTTP header can have",
            "user metadata beyond 2.0 KiB"
        ])
    );
    assert_eq!(sides[2]["unkept"], serde_json::json!([]));
    let after = place.run(&["verify", "./dst", &sky.location("data/")]);
    assert_eq!(after.code, Some(0), "no probe object is left: {after:?}");
}

#[test]
fn it_says_what_does_not_work() {
    let place = Place::new();
    let sky = Sky::start(&place);
    let mut command = place.command(&["doctor", "./src", &sky.location("data/"), "--json"]);
    let ran = Ran::new(
        command
            .env("AWS_SECRET_ACCESS_KEY", "wrong")
            .output()
            .unwrap(),
    );
    assert_eq!(ran.code, Some(4));
    let told = ran.json();
    assert_eq!(
        (&told["works"], &told["sides"][0]["role"]),
        (&false.into(), &"source".into())
    );
    let checks = told["sides"][1]["checks"].as_array().unwrap();
    let failed = checks.iter().find(|check| check["works"] == false).unwrap();
    assert!(
        failed["detail"]
            .as_str()
            .unwrap()
            .contains("SignatureDoesNotMatch"),
        "{failed}"
    );
    snapshot(
        "doctor_no_directory",
        &place.run(&["doctor", "./src", "./missing"]).exits(4),
    );
    snapshot(
        "doctor_nobody_there",
        &place
            .run(&["doctor", "s3://data/?endpoint=http://127.0.0.1:1"])
            .exits(4),
    );
}

#[test]
fn it_checks_every_rule_of_a_configuration() {
    let place = Place::new();
    let rule = crate::support::with_directory(crate::support::RULE, place.path("").as_path());
    place.write("skyfresh.toml", rule);
    let ran = place.run(&["doctor", "-c", "skyfresh.toml", "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.json()["sides"].as_array().unwrap().len(), 2);
    place.write("none.toml", "");
    assert_eq!(place.run(&["doctor", "-c", "none.toml"]).code, Some(2));
    assert_eq!(place.run(&["doctor"]).code, Some(2));
}

/// A store that says it is another time, and refuses everything.
fn store_at(date: String) -> String {
    use std::io::{BufRead, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = std::io::BufReader::new(connection.unwrap());
            let mut line = String::new();
            while connection.read_line(&mut line).is_ok_and(|read| read > 2) {
                line.clear();
            }
            let body = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>";
            let answer = format!(
                "HTTP/1.1 403 Forbidden\r\nDate: {date}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = connection.get_mut().write_all(answer.as_bytes());
        }
    });
    url
}

fn clock_of(ran: &Ran) -> String {
    let line = ran.stdout.lines().find(|line| line.starts_with("  clock"));
    line.unwrap_or_else(|| panic!("no line about the clock: {ran:?}"))
        .to_owned()
}

#[test]
fn it_tells_how_far_the_clocks_are_apart() {
    let place = Place::new();
    let now = std::time::SystemTime::now();
    let ahead = |seconds| {
        let date = httpdate::fmt_http_date(now + std::time::Duration::from_secs(seconds));
        let url = store_at(date);
        place.run(&[
            "doctor",
            &format!("s3://data/?endpoint={url}&region=us-east-1"),
        ])
    };
    // A minute: lags are wrong by it, requests still pass. The machine may be slow: some seconds go by until it is read.
    let minute = ahead(60);
    let clock = clock_of(&minute);
    assert!(clock.contains("set this machine's clock (NTP)"), "{clock}");
    let skew: f64 = clock
        .split_ascii_whitespace()
        .nth(1)
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("{clock}"));
    assert!((-61.0..-20.0).contains(&skew), "{clock}");
    assert!(
        minute.stdout.contains("permission s3:ListBucket"),
        "{minute:?}"
    );
    // An hour: every request would be refused, so none is tried.
    let hour = ahead(3_600);
    assert_eq!(hour.code, Some(4), "{hour:?}");
    assert!(
        hour.stdout.contains("this machine's clock is off by -3"),
        "{hour:?}"
    );
    assert!(
        !hour.stdout.contains("list "),
        "nothing more is tried: {hour:?}"
    );
    // None worth a word.
    let none = clock_of(&ahead(0));
    assert!(!none.contains("NTP") || none.contains("+"), "{none}");
}

#[test]
fn other_clouds_have_their_identity_and_policy_too() {
    let place = Place::new();
    place.write("key.json", r#"{"type": "service_account", "client_email": "a@p.iam.gserviceaccount.com", "private_key": "hunter2"}"#);
    let url = store_at(httpdate::fmt_http_date(std::time::SystemTime::now()));
    let mut command = place.command(&[
        "doctor",
        &format!("gs://bucket/models/?endpoint={url}"),
        &format!("az://acme/container/models/?endpoint={url}"),
        "--json",
    ]);
    command
        .env("GOOGLE_APPLICATION_CREDENTIALS", place.path("key.json"))
        .env("AZURE_STORAGE_KEY", "aHVudGVyMg==");
    let ran = Ran::new(command.output().unwrap());
    assert_eq!(ran.code, Some(4), "it opens neither or is refused: {ran:?}");
    assert!(
        !ran.stdout.contains("hunter2") && !ran.stdout.contains("aHVudGVyMg"),
        "{ran:?}"
    );
    let sides = ran.json()["sides"].clone();
    assert_eq!(sides[0]["identity"]["name"], "a@p.iam.gserviceaccount.com");
    assert_eq!(sides[1]["identity"]["name"], "key of account acme");
    let role = &sides[0]["policy"]["run"]["documents"][0]["content"]["includedPermissions"];
    assert_eq!(role[0], "storage.objects.get");
    let role = &sides[1]["policy"]["run"]["documents"][0]["content"]["DataActions"];
    assert!(
        role.as_array()
            .unwrap()
            .iter()
            .any(|action| action.as_str().unwrap().ends_with("/blobs/write"))
    );
}

#[test]
fn a_source_says_how_its_changes_are_heard_of() {
    let place = Place::new();
    let sky = Sky::start(&place);
    let rule = |name: &str, source: &str| {
        let destination = place.path("dst");
        format!(
            "[[rule]]\nname = \"{name}\"\nsource = \"{source}\"\nsweep_every = \"10m\"\n[[rule.destination]]\nname = \"d\"\n\
             location = \"file://{}/{name}\"\n",
            destination.display()
        )
    };
    std::fs::create_dir_all(place.path("dst/files")).unwrap();
    std::fs::create_dir_all(place.path("dst/objects")).unwrap();
    let directory = format!("file://{}", place.path("src").display());
    let text = rule("files", &directory) + &rule("objects", &sky.location("data/"));
    place.write("skyfresh.toml", text);
    let told = place
        .run(&["doctor", "-c", "skyfresh.toml", "--json"])
        .json();
    let heard = |role_index: usize| told["sides"][role_index]["notifications"].clone();
    assert_eq!(heard(0)["heard"], "watched", "{told}");
    assert!(
        heard(0)["told"]
            .as_str()
            .unwrap()
            .contains("sweep every 10m"),
        "{told}"
    );
    assert_eq!(heard(2)["heard"], "unsupported", "{told}");
    assert!(
        heard(2)["hints"][0]
            .as_str()
            .unwrap()
            .contains("/v1/notifications"),
        "{told}"
    );
    assert!(told["sides"][2]["policy"]["wire"].is_object(), "{told}");
}
