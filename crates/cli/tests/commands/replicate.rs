use crate::support::{Daemon, Place, Ran, Sky, eventually, signal, snapshot, spawn};

const ONCE: [&str; 4] = ["replicate", "./src", "./dst", "--once"];

#[test]
fn once_copies_proves_and_exits() {
    let place = Place::new();
    for key in ["a", "dir/b", "ünïcode key"] {
        place.write(&format!("src/{key}"), key);
    }
    place.write("src/empty", "");
    snapshot("replicate_once", &place.run(&ONCE).exits(0));
    assert_eq!(place.read("dst/ünïcode key"), "ünïcode key");
    snapshot("replicate_once_again", &place.run(&ONCE).exits(0));
    assert_eq!(
        place.run(&["verify", "./src", "./dst", "--deep"]).code,
        Some(0)
    );
    let json = place.run(&[&ONCE[..], &["--json", "-q"]].concat());
    assert_eq!(json.json()["outcome"], "verified");
    assert_eq!(json.stderr, "", "quiet is quiet");
}

#[test]
fn between_buckets_of_one_sky() {
    let place = Place::new();
    let sky = Sky::start(&place);
    place.write("src/models/a.bin", "1".repeat(100_000));
    let (first, second) = (sky.location("data/in/"), sky.location("copy/out/"));
    assert_eq!(
        place.run(&["replicate", "./src", &first, "--once"]).code,
        Some(0)
    );
    let ran = place.run(&[
        "replicate",
        &first,
        &second,
        "./dst",
        "--once",
        "--tags",
        "--bandwidth",
        "50MB",
    ]);
    snapshot("replicate_two_destinations", &ran.exits(0));
    assert_eq!(place.run(&["verify", "./src", "./dst"]).code, Some(0));
    assert_eq!(
        place.run(&["verify", &first, &second, "--deep"]).code,
        Some(0)
    );
}

#[test]
fn an_empty_bucket_is_replicated_and_deletes_nothing() {
    let place = Place::new();
    let sky = Sky::start(&place);
    let empty = sky.location("data/");
    assert_eq!(
        place.run(&["replicate", &empty, "./dst", "--once"]).code,
        Some(0)
    );
    place.write("dst/kept", "1");
    let refused = place.run(&["replicate", &empty, "./dst", "--once", "--delete"]);
    snapshot("replicate_empty_source", &refused.exits(3));
    assert_eq!(place.read("dst/kept"), "1");
    let meant = place.run(&[
        "replicate",
        &empty,
        "./dst",
        "--once",
        "--delete",
        "--allow-empty-source",
    ]);
    assert_eq!(meant.code, Some(0), "{meant:?}");
    assert!(!place.path("dst/kept").exists());
}

#[test]
fn too_many_deletes_are_refused() {
    let place = Place::new();
    place.write("src/a", "1");
    (0..5).for_each(|number| place.write(&format!("dst/{number}"), "1"));
    let refused = place.run(&[&ONCE[..], &["--delete", "--max-deletes", "4"]].concat());
    snapshot("replicate_too_many_deletes", &refused.exits(3));
    assert!(
        place.path("dst/4").exists() && place.path("dst/a").exists(),
        "what is no delete was done"
    );
    assert_eq!(
        place
            .run(&[&ONCE[..], &["--delete", "--max-deletes", "5"]].concat())
            .code,
        Some(0)
    );
    assert!(!place.path("dst/4").exists());
}

#[test]
fn what_cannot_be_replicated_is_told_and_is_no_success() {
    let place = Place::new();
    place.write("src/a", "1");
    std::os::unix::fs::symlink("a", place.path("src/link")).unwrap();
    snapshot("replicate_unusable_key", &place.run(&ONCE).exits(1));
    assert_eq!(place.read("dst/a"), "1", "the others are copied");
}

#[test]
fn nothing_starts_that_cannot_work() {
    let place = Place::new();
    let sky = Sky::start(&place);
    let inside = place.run(&["replicate", "./src", "./src/copy", "--once"]);
    snapshot("replicate_inside_source", &inside.exits(2));
    let missing = place.run(&["replicate", "./src", &sky.location("nobucket/"), "--once"]);
    snapshot("replicate_no_bucket", &missing.exits(4));
    assert_eq!(
        place
            .run(&["replicate", "./missing", "./dst", "--once"])
            .code,
        Some(4)
    );
    for (flag, value) in [
        ("--slo", "soon"),
        ("--bandwidth", "0"),
        ("--sweep-every", "1"),
        ("--include", "["),
    ] {
        let ran = place.run(&["replicate", "./src", "./dst", "--once", flag, value]);
        assert_eq!(ran.code, Some(2), "{flag} {value}: {ran:?}");
    }
    let deaf = place.run(&["replicate", "./src", "./dst", "--listen", "127.0.0.1:0"]);
    snapshot("replicate_no_webhook_secret", &deaf.exits(2));
}

#[test]
fn a_ledger_of_another_process_is_left_alone() {
    let daemon = Daemon::start();
    let ran = daemon
        .place
        .run(&[&ONCE[..], &["--ledger", "skyfresh.ledger"]].concat());
    snapshot("replicate_locked_ledger", &ran.exits(3));
}

#[test]
fn without_once_it_follows_until_it_is_stopped() {
    let place = Place::new();
    place.write("src/a", "1");
    let running = place.start(&["replicate", "./src", "./dst", "--delete"]);
    eventually("the backfill", || place.path("dst/a").exists());
    place.write("src/b", "2");
    eventually("a new file", || place.path("dst/b").exists());
    std::fs::remove_file(place.path("src/a")).unwrap();
    eventually("a delete", || !place.path("dst/a").exists());
    let ran = running.end("-INT");
    assert_eq!(ran.code, Some(130), "{ran:?}");
    assert!(ran.stdout.contains("d1: backlog"), "{ran:?}");
    assert!(
        ran.stderr
            .contains("goes on when the same command runs again"),
        "{ran:?}"
    );
}

#[test]
fn a_bucket_is_followed_by_its_notifications() {
    let place = Place::new();
    let mut sky = place.command(&[
        "localsky",
        "--json",
        "--regions",
        "aws:us-east-1",
        "--bucket",
        "data",
        "--bucket",
        "copy",
    ]);
    // The receiver's port must be known to the sky before it is open: a notification is sent until it is taken.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    sky.args([
        "--notify",
        &format!("http://127.0.0.1:{port}/v1/notifications"),
    ])
    .env("SKYFRESH_NOTIFY_TOKEN", "s3cret");
    let sky = crate::support::Running::start(sky);
    let told: serde_json::Value = serde_json::from_str(&sky.first_line).unwrap();
    let location = |bucket: &str| {
        format!(
            "s3://{bucket}/?endpoint={}",
            told["endpoints"][0]["url"].as_str().unwrap()
        )
    };
    let listen = format!("127.0.0.1:{port}");
    let (source, target) = (location("data"), location("copy"));
    // An hour between sweeps: only notifications can be in time.
    let mut follow = place.command(&[
        "replicate",
        &source,
        &target,
        "--listen",
        &listen,
        "--sweep-every",
        "1h",
        "--json",
    ]);
    follow.env("SKYFRESH_WEBHOOK_SECRET", "s3cret");
    let follow = crate::support::Running::start(follow);
    place.write("src/new", "1");
    assert_eq!(
        place.run(&["replicate", "./src", &source, "--once"]).code,
        Some(0)
    );
    eventually("the new object", || {
        place.run(&["verify", &source, &target]).code == Some(0)
    });
    let ran: Ran = follow.end("-TERM");
    assert_eq!(ran.code, Some(130), "{ran:?}");
    sky.end("-TERM");
}

#[test]
fn an_endpoint_by_name_brings_its_credentials() {
    let place = Place::new();
    let sky = Sky::start(&place);
    place.write("src/a", "1");
    place.write(
        "near.toml",
        format!(
            "[endpoint.near]\nurl = \"{}\"\naccess_key_id = \"skyfresh\"\nsecret_access_key = \"${{THE_SECRET}}\"\n",
            sky.url
        ),
    );
    let mut command = place.command(&[
        "replicate",
        "./src",
        "s3://data/?endpoint=near",
        "--once",
        "-c",
        "near.toml",
    ]);
    command
        .env_remove("AWS_ACCESS_KEY_ID")
        .env("THE_SECRET", crate::support::SECRET_KEY);
    let ran = Ran::new(command.output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let unset = place.run(&[
        "replicate",
        "./src",
        "s3://data/?endpoint=near",
        "--once",
        "-c",
        "near.toml",
    ]);
    snapshot("replicate_variable_not_set", &unset.exits(2));
}

#[test]
fn interrupted_once_goes_on_with_the_next_run() {
    let place = Place::new();
    place.write("src/large", vec![7; 3_000_000]);
    let slow = place.command(
        &[
            &ONCE[..],
            &["--bandwidth", "100KB", "--ledger", "the.ledger", "-v"],
        ]
        .concat(),
    );
    let child = spawn(slow);
    eventually("its ledger", || place.path("the.ledger").exists());
    // Thirty seconds of work are left: it is stopped in the middle.
    signal(&child, "-INT");
    let ran = Ran::new(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(130), "{ran:?}");
    assert!(ran.stderr.contains("goes on where it stopped"), "{ran:?}");
    assert!(!place.path("dst/large").exists(), "nothing half is visible");
    let again = place.run(&[&ONCE[..], &["--ledger", "the.ledger"]].concat());
    assert_eq!(again.code, Some(0), "{again:?}");
    assert_eq!(
        std::fs::read(place.path("dst/large")).unwrap(),
        vec![7; 3_000_000]
    );
}
