use crate::support::{Place, Ran, Sky, server, snapshot};
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

/// An Azure Resource Manager that keeps what it is given: GET, PUT and DELETE by path. Serves until the test ends.
struct Manager {
    url: String,
}

const ACCOUNT: &str =
    "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/acme";

impl Manager {
    /// `refused`: PUTs of paths that hold this are answered 403.
    fn start(refused: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let mut kept = std::collections::BTreeMap::<String, String>::new();
            for connection in listener.incoming() {
                let mut connection = BufReader::new(connection.unwrap());
                while let Some((method, path, body)) = request(&mut connection) {
                    let (status, answer) = match method.as_str() {
                        "GET" if path == "/subscriptions" => (
                            200,
                            json!({ "value": [{ "subscriptionId": "s" }] }).to_string(),
                        ),
                        "GET" if path.ends_with("/storageAccounts") => (
                            200,
                            json!({ "value": [{ "name": "acme", "id": ACCOUNT }] }).to_string(),
                        ),
                        "PUT" if !refused.is_empty() && path.contains(refused) => {
                            let error = json!({ "code": "AuthorizationFailed", "message": "may not write" });
                            (403, json!({ "error": error }).to_string())
                        }
                        "PUT" => {
                            kept.insert(path, body.clone());
                            (200, body)
                        }
                        "DELETE" => {
                            kept.remove(&path);
                            (200, String::new())
                        }
                        _ => match kept.get(&path) {
                            Some(body) => (200, body.clone()),
                            None => (
                                404,
                                json!({ "error": { "code": "ResourceNotFound" } }).to_string(),
                            ),
                        },
                    };
                    let head = format!(
                        "HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n",
                        answer.len()
                    );
                    let stream = connection.get_mut();
                    stream.write_all((head + &answer).as_bytes()).unwrap();
                }
            }
        });
        Manager { url }
    }
}

fn request(connection: &mut BufReader<TcpStream>) -> Option<(String, String, String)> {
    let mut line = String::new();
    connection
        .read_line(&mut line)
        .ok()
        .filter(|read| *read > 0)?;
    let mut words = line.split_ascii_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut length = 0;
    loop {
        let mut header = String::new();
        connection.read_line(&mut header).ok()?;
        if header.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).ok()?;
    let path = target.split('?').next()?.to_owned();
    Some((method, path, String::from_utf8(body).ok()?))
}

const CONFIG: &str = r#"
[[rule]]
name = "models"
source = "az://acme/data/in/"
[[rule.destination]]
name = "copy"
location = "file:///nowhere"
"#;

fn place() -> Place {
    let place = Place::new();
    place.write("skyfresh.toml", CONFIG);
    place
}

fn run(place: &Place, manager: &Manager, args: &[&str]) -> Ran {
    let mut command = place.command(args);
    Ran::new(
        command
            .env("AZURE_RESOURCE_MANAGER_URL", &manager.url)
            .output()
            .unwrap(),
    )
}

#[test]
fn a_rule_is_wired_once_and_unwired() {
    let (place, manager) = (place(), Manager::start(""));
    snapshot(
        "wire_dry_run",
        &run(&place, &manager, &["wire", "models", "--dry-run"]).exits(0),
    );
    assert!(
        !place.path("skyfresh.ledger.wired").exists(),
        "a dry run writes nothing"
    );
    snapshot("wire", &run(&place, &manager, &["wire", "models"]).exits(0));
    let record = place.read("skyfresh.ledger.wired/models.json");
    snapshot(
        "wire_again",
        &run(&place, &manager, &["wire", "models"]).exits(0),
    );
    assert_eq!(place.read("skyfresh.ledger.wired/models.json"), record);
    // Other events than were wired: what is there is not turned into them.
    place.write("skyfresh.toml", CONFIG.replace("in/", "out/"));
    snapshot(
        "wire_otherwise",
        &run(&place, &manager, &["wire", "models"]).exits(3),
    );
    // The rule may be gone.
    place.write("skyfresh.toml", "");
    snapshot(
        "unwire_dry_run",
        &run(&place, &manager, &["unwire", "models", "--dry-run"]).exits(0),
    );
    snapshot(
        "unwire",
        &run(&place, &manager, &["unwire", "models"]).exits(0),
    );
    assert!(!place.path("skyfresh.ledger.wired/models.json").exists());
    snapshot(
        "unwire_nothing",
        &run(&place, &manager, &["unwire", "models"]).exits(2),
    );
}

#[test]
fn what_was_there_is_used_and_stays() {
    let (place, manager) = (place(), Manager::start(""));
    run(&place, &manager, &["wire", "models"]).exits(0);
    // As if somebody else had wired it: nothing is on record.
    std::fs::remove_file(place.path("skyfresh.ledger.wired/models.json")).unwrap();
    snapshot(
        "wire_found",
        &run(&place, &manager, &["wire", "models"]).exits(0),
    );
    let left = run(&place, &manager, &["unwire", "models", "--json"]);
    assert_eq!(left.code, Some(0), "{left:?}");
    let told = left.json();
    assert_eq!(
        (
            told["removed"].as_array().unwrap().len(),
            told["left"].as_array().unwrap().len()
        ),
        (0, 2)
    );
    let again = run(&place, &manager, &["wire", "models", "--json"]);
    assert_eq!(
        again.json()["resources"][0]["action"],
        "found",
        "it is still there"
    );
}

#[test]
fn a_webhooks_secret_is_nowhere_to_be_read() {
    let (place, manager) = (place(), Manager::start(""));
    let push = "https://skyfresh.example.com/v1/notify/eventgrid?secret=hunter2";
    for args in [&["--dry-run"][..], &[], &["--json"], &["-vvv"]] {
        let mut all = vec!["wire", "models", "--push", push];
        all.extend(args);
        let ran = run(&place, &manager, &all);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(
            !ran.stdout.contains("hunter2") && !ran.stderr.contains("hunter2"),
            "{ran:?}"
        );
        assert!(
            args == ["--dry-run"] || ran.stdout.contains("[server.event_grid]"),
            "{ran:?}"
        );
    }
    assert!(
        !place
            .read("skyfresh.ledger.wired/models.json")
            .contains("hunter2")
    );
    assert_eq!(run(&place, &manager, &["unwire", "models"]).code, Some(0));
}

#[test]
fn a_failure_midway_is_told_and_undone() {
    let (place, manager) = (place(), Manager::start("eventSubscriptions"));
    snapshot(
        "wire_denied",
        &run(&place, &manager, &["wire", "models"]).exits(4),
    );
    let undone = run(&place, &manager, &["unwire", "models", "--json"]).json();
    assert_eq!(undone["removed"].as_array().unwrap().len(), 1, "{undone}");
    assert_eq!(undone["gone"].as_array().unwrap().len(), 1, "{undone}");
}

#[test]
fn what_cannot_be_wired_is_told() {
    let place = place();
    let manager = Manager::start("");
    snapshot(
        "wire_unknown_rule",
        &run(&place, &manager, &["wire", "model"]).exits(2),
    );
    assert_eq!(
        run(
            &place,
            &manager,
            &["wire", "models", "--via", "eventbridge"]
        )
        .code,
        Some(2)
    );
    assert_eq!(
        run(
            &place,
            &manager,
            &["wire", "models", "--push", "http://plain"]
        )
        .code,
        Some(2)
    );
    place.write(
        "skyfresh.toml",
        CONFIG.replace("az://acme/data/in/", "file:///somewhere"),
    );
    snapshot(
        "wire_directory",
        &run(&place, &manager, &["wire", "models"]).exits(2),
    );
    let sky = Sky::start(&place);
    place.write(
        "skyfresh.toml",
        CONFIG.replace("az://acme/data/in/", &sky.location("data/")),
    );
    snapshot(
        "wire_no_queues",
        &run(&place, &manager, &["wire", "models"]).exits(2),
    );
}

#[test]
fn doctor_sees_what_wire_did_on_aws() {
    let Some(cloud) = server(
        "SKYFRESH_TEST_MINISTACK",
        "doctor_sees_what_wire_did_on_aws",
    ) else {
        return;
    };
    let place = Place::new();
    let unique = place
        .path("")
        .display()
        .to_string()
        .replace(|c: char| !c.is_ascii_alphanumeric(), "");
    let bucket = format!("wire-{}", unique.to_lowercase());
    let host = cloud.strip_prefix("http://").unwrap();
    let mut connection = TcpStream::connect(host).unwrap();
    let put = format!(
        "PUT /{bucket} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    connection.write_all(put.as_bytes()).unwrap();
    connection.read_to_end(&mut Vec::new()).unwrap();
    let config = format!(
        "[endpoint.cloud]\nurl = \"{cloud}\"\nregion = \"us-east-1\"\naccess_key_id = \"test\"\nsecret_access_key = \"testtest\"\n\
         [[rule]]\nname = \"{bucket}\"\nsource = \"s3://{bucket}/in/?endpoint=cloud\"\n\
         [[rule.destination]]\nname = \"copy\"\nlocation = \"file://{}\"\n",
        place.path("dst").display()
    );
    place.write("skyfresh.toml", &config);
    let on_aws = |args: &[&str]| {
        let mut command = place.command(args);
        Ran::new(command.env("AWS_ENDPOINT_URL", &cloud).output().unwrap())
    };
    let source = || {
        let ran = on_aws(&["doctor", "-c", "skyfresh.toml", "--json"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.json()["sides"][0].clone()
    };
    let before = source();
    assert_eq!(before["notifications"]["heard"], "untold", "{before}");
    assert!(
        before["notifications"]["hints"][0]
            .as_str()
            .unwrap()
            .contains("skyfresh wire")
    );
    assert!(
        before["identity"]["name"]
            .as_str()
            .unwrap()
            .starts_with("arn:aws:"),
        "{before}"
    );
    let planned = on_aws(&["wire", &bucket, "--dry-run", "--json"]).json();
    assert_eq!(
        planned["resources"][0]["action"], "would create",
        "{planned}"
    );
    assert_eq!(
        source()["notifications"]["heard"],
        "untold",
        "a dry run changes nothing"
    );
    let wired = on_aws(&["wire", &bucket, "--json"]);
    assert_eq!(wired.code, Some(0), "{wired:?}");
    let wired = wired.json();
    // What it was told to create is what it created.
    assert_eq!(
        wired["resources"][1]["resource"],
        planned["resources"][1]["resource"]
    );
    let told = source();
    assert_eq!(told["notifications"]["heard"], "told", "{told}");
    assert!(
        told["notifications"]["hints"][0]
            .as_str()
            .unwrap()
            .contains("no [[channel]]"),
        "{told}"
    );
    // The lines it prints are lines of a configuration, and then nothing is missing.
    place.write(
        "skyfresh.toml",
        config.clone() + wired["channel"].as_str().unwrap(),
    );
    let told = source();
    assert!(told["notifications"]["hints"].is_null(), "{told}");
    assert_eq!(on_aws(&["unwire", &bucket]).code, Some(0));
    let after = source();
    assert_eq!(after["notifications"]["heard"], "untold", "{after}");
    let hint = after["notifications"]["hints"][0].as_str().unwrap();
    assert!(hint.contains("but the bucket tells nobody"), "{hint}");
}
