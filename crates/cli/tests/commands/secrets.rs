//! No secret is ever printed, however much is asked for.

use crate::support::{Place, Ran, Running, SECRET_KEY, Sky};

const TOKEN: &str = "t0ken-that-nobody-may-see";
const WEBHOOK: &str = "webh00k-that-nobody-may-see";
const EVENT_GRID: &str = "gr1d-c0de-that-nobody-may-see";
const QUEUE_KEY: &str = "queue-key-that-nobody-may-see";

fn assert_silent(ran: &Ran) {
    for secret in [SECRET_KEY, TOKEN, WEBHOOK, EVENT_GRID, QUEUE_KEY] {
        assert!(
            !ran.stdout.contains(secret) && !ran.stderr.contains(secret),
            "{secret} in {ran:?}"
        );
    }
}

#[test]
fn at_any_verbosity() {
    let place = Place::new();
    let sky = Sky::start(&place);
    place.write("src/a", "1");
    let (data, copy) = (sky.location("data/"), sky.location("copy/"));
    for args in [
        &["replicate", "./src", &data, "--once", "-vvv"][..],
        &["replicate", &data, &copy, "--once", "-vvv"],
        &["verify", &data, &copy, "-vvv", "--deep"],
        &["doctor", &data, &copy, "-vvv"],
        &["verify", &data, &sky.location("nobucket/"), "-vvv"],
    ] {
        let ran = Ran::new(
            place
                .command(args)
                .env("SKYFRESH_TOKEN", TOKEN)
                .output()
                .unwrap(),
        );
        assert!(
            args[0] != "replicate" || ran.stderr.contains("DEBUG"),
            "-vvv says something: {ran:?}"
        );
        assert_silent(&ran);
    }
    place.write(
        "skyfresh.toml",
        format!(
            "[server]\nlisten = \"127.0.0.1:0\"\napi_token = \"{TOKEN}\"\nwebhook_secret = \"${{WEBHOOK}}\"\n\
             [endpoint.near]\nurl = \"{}\"\naccess_key_id = \"skyfresh\"\nsecret_access_key = \"{SECRET_KEY}\"\n\
             [[rule]]\nname = \"r\"\nsource = \"s3://data/?endpoint=near\"\n\
             [[rule.destination]]\nname = \"d\"\nlocation = \"s3://copy/?endpoint=near\"\n",
            sky.url
        ),
    );
    let mut serve = place.command(&["serve", "-vvv"]);
    let serve = Running::start({
        serve
            .env("WEBHOOK", WEBHOOK)
            .env_remove("AWS_SECRET_ACCESS_KEY");
        serve
    });
    let url = serve
        .first_line
        .split_whitespace()
        .nth(2)
        .unwrap()
        .to_owned();
    for args in [
        &["rules", "-vvv"][..],
        &["wait", "r", "--until", "now", "-vvv"],
        &["status", "-vvv", "--json"],
    ] {
        let mut command = place.command(args);
        let ran = Ran::new(
            command
                .env("SKYFRESH_SERVER", &url)
                .env("SKYFRESH_TOKEN", TOKEN)
                .output()
                .unwrap(),
        );
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_silent(&ran);
        let refused = Ran::new(
            command
                .env("SKYFRESH_TOKEN", "wr0ng-token")
                .output()
                .unwrap(),
        );
        assert_eq!(refused.code, Some(4));
        assert!(!refused.stderr.contains("wr0ng-token"), "{refused:?}");
    }
    let served = serve.end("-TERM");
    assert_eq!(served.code, Some(0));
    assert!(served.stderr.contains("stopping"), "{served:?}");
    assert_silent(&served);
}

/// Everything that can be said is said: every library at its most talkative, with a channel that is pulled and senders that are
/// refused.
#[test]
fn at_trace_level_with_channels_and_pushed_notifications() {
    let place = Place::new();
    let sky = Sky::start(&place);
    // A local sky has no queues: it refuses, which is when most is said.
    place.write(
        "skyfresh.toml",
        format!(
            "[server]\nlisten = \"127.0.0.1:0\"\napi_token = \"{TOKEN}\"\nwebhook_secret = \"{WEBHOOK}\"\n\
             [server.pubsub]\naudience = \"a\"\nservice_account = \"s\"\nkeys_url = \"http://127.0.0.1:1/\"\n\
             [server.event_grid]\nsecret = \"${{GRID}}\"\n\
             [endpoint.queues]\nurl = \"{url}\"\nregion = \"us-east-1\"\naccess_key_id = \"skyfresh\"\n\
             secret_access_key = \"{QUEUE_KEY}\"\n\
             [[channel]]\nname = \"events\"\nsqs = \"{url}/0/events\"\nendpoint = \"queues\"\n",
            url = sky.url
        ),
    );
    let mut serve = place.command(&["serve", "-vvv"]);
    serve.env("GRID", EVENT_GRID).env("SKYFRESH_LOG", "trace");
    let serve = Running::start(serve);
    let url = serve
        .first_line
        .split_whitespace()
        .nth(2)
        .unwrap()
        .to_owned();
    let status = || {
        let mut command = place.command(&["status", "--json", "-vvv"]);
        command
            .env("SKYFRESH_SERVER", &url)
            .env("SKYFRESH_TOKEN", TOKEN)
            .env("SKYFRESH_LOG", "trace");
        let ran = Ran::new(command.output().unwrap());
        assert_silent(&ran);
        ran
    };
    assert_eq!(status().code, Some(0));
    let address = url.strip_prefix("http://").unwrap();
    for (path, header) in [
        (
            format!("/v1/notify/eventgrid?code={EVENT_GRID}"),
            String::new(),
        ),
        (
            "/v1/notify/eventgrid".into(),
            format!("Authorization: Bearer {EVENT_GRID}\r\n"),
        ),
        (
            "/v1/notifications".into(),
            format!("Authorization: Bearer {WEBHOOK}\r\n"),
        ),
        (
            "/v1/notify/pubsub".into(),
            format!("Authorization: Bearer {WEBHOOK}.a.b\r\n"),
        ),
    ] {
        let answer = post(address, &path, &header, "{}");
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
        assert!(!answer.contains("nobody-may-see"), "{answer}");
    }
    let channels = get(
        address,
        "/v1/channels",
        &format!("Authorization: Bearer {TOKEN}\r\n"),
    );
    assert!(channels.contains("\"malformed\":3"), "{channels}");
    assert!(!channels.contains("nobody-may-see"), "{channels}");
    let served = serve.end("-TERM");
    assert_eq!(served.code, Some(0));
    assert!(
        served.stderr.contains("TRACE"),
        "everything is said: {served:?}"
    );
    assert!(
        served.stderr.contains("the channel gives trouble"),
        "{served:?}"
    );
    assert_silent(&served);
}

fn post(address: &str, path: &str, header: &str, body: &str) -> String {
    let length = body.len();
    exchange(
        address,
        &format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}Content-Length: {length}\r\n\r\n{body}"
        ),
    )
}

fn get(address: &str, path: &str, header: &str) -> String {
    exchange(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}\r\n"),
    )
}

fn exchange(address: &str, request: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
